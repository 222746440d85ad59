#!/usr/local/lib/chatmaild/venv/bin/python3
"""Stand-ins for the services of a Python relay, one by each name: they speak the protocols
and keep the files of the real ones, as far as a takeover has to do with them. They judge no
mail, and send no notification: those wait in their files."""

import configparser
import crypt
import json
import os
import pathlib
import smtplib
import socket
import socketserver
import sys
import time
import uuid

INI = "/usr/local/lib/chatmaild/chatmail.ini"
os.umask(0o077)


def config():
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(INI)
    return ini["params"]


DOMAIN = config()["mail_domain"]
BOXES = pathlib.Path("/home/vmail/mail") / DOMAIN


def unescape(field):
    for letter, byte in (("t", "\t"), ("r", "\r"), ("n", "\n"), ("0", "\0"), ("1", "\1")):
        field = field.replace("\1" + letter, byte)
    return field


def split_quoted(text):
    fields, escaped = [""], False
    for c in text:
        if escaped or c not in '\\"':
            fields[-1] += c
            escaped = False
        elif c == "\\":
            escaped = True
        else:
            fields.append("")
    return fields


def replace(path, text):
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.rename(path)


class Dict(socketserver.StreamRequestHandler):
    """Dovecot's dict protocol; subclasses know what keys mean."""

    def handle(self):
        users, failed = {}, set()
        for line in self.rfile:
            words = [unescape(w) for w in line.decode().rstrip("\n").split("\t")]
            command, first, rest = words[0][:1], words[0][1:], words[1:]
            if command == "L":
                reply = self.lookup(first.split("/", 2), rest[0] if rest else "")
                self.answer("N" if reply is None else "O" + reply)
            elif command == "I":
                self.answer("".join(self.iterate(rest[1])))
            elif command == "B":
                users[first] = rest[0]
            elif command == "S":
                value = rest[1] if len(rest) > 1 else ""
                if not self.set(rest[0].split("/", 2), value, users[first]):
                    failed.add(first)
            elif command == "C":
                self.answer("F" if first in failed else "O")

    def answer(self, text):
        self.wfile.write((text + "\n").encode())

    def lookup(self, key, user):
        return None

    def iterate(self, path):
        return []

    def set(self, key, value, user):
        return False


class Doveauth(Dict):
    def lookup(self, key, _):
        fields = split_quoted(key[2])
        user = fields[-1]
        if not user.endswith("@" + DOMAIN) or "/" in user:
            return None
        path = BOXES / user / "password"
        if not path.exists():
            if key[1] == "userdb" or os.path.exists("/etc/chatmail-nocreate"):
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, "{SHA512-CRYPT}" + crypt.crypt(fields[0], crypt.METHOD_SHA512))
            (path.parent / "enforceE2EEincoming").touch()
            print("Created address:", user, file=sys.stderr, flush=True)
        return json.dumps(
            {
                "addr": user,
                "home": str(path.parent),
                "uid": "vmail",
                "gid": "vmail",
                "password": path.read_text(),
            }
        )

    def iterate(self, path):
        return [f"O{path}{p.name}\t\n" for p in BOXES.iterdir() if "@" in p.name]


class Lastlogin(Dict):
    def set(self, key, value, _):
        day = int(value) // 86400 * 86400
        path = BOXES / key[2] / "password"
        if path.exists() and int(path.stat().st_mtime) != day:
            os.utime(path, (day, day))
        return True


class Metadata(Dict):
    @staticmethod
    def tokens(user):
        try:
            return json.loads((BOXES / user / "metadata.json").read_text())
        except FileNotFoundError:
            return {}

    def lookup(self, key, user):
        name = key[2] if len(key) > 2 else ""
        if key[0] == "priv" and name == "devicetoken":
            return " ".join(self.tokens(user).get("devicetoken", {}))
        if name.endswith("/vendor/deltachat/irohrelay"):
            return "https://" + DOMAIN
        return None

    def set(self, key, value, user):
        data = self.tokens(user)
        known = data.setdefault("devicetoken", {})
        if isinstance(known, list):
            known = data["devicetoken"] = {t: int(time.time()) for t in known}
        if key[2] == "devicetoken":
            known[value] = int(time.time())
            replace(BOXES / user / "metadata.json", json.dumps(data))
            return True
        if key[2] == "messagenew":
            for token in known:
                path = BOXES / "pending_notifications" / uuid.uuid4().hex
                replace(path, f"{user}\n{int(time.time())}\n{token}")
            return True
        return False


class Filter(socketserver.StreamRequestHandler):
    """Before Postfix's queue; whatever comes goes back to it."""

    def answer(self, text):
        self.wfile.write((text + "\r\n").encode())

    def read_data(self):
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b"..") else line)
        raise EOFError

    def pass_on(self, sender, recipients, data):
        port, source = self.server.back
        try:
            with smtplib.SMTP("127.0.0.1", port, source_address=(source, 0)) as smtp:
                smtp.sendmail(sender, recipients, data)
            return "250 OK"
        except smtplib.SMTPRecipientsRefused as e:
            code, text = list(e.recipients.values())[0]
        except smtplib.SMTPResponseException as e:
            code, text = e.smtp_code, e.smtp_error
        except OSError as e:
            code, text = 451, str(e).encode()
        return f"{code} {text.decode(errors='replace').splitlines()[0]}"

    def handle(self):
        sender, recipients = "", []
        self.answer("220 filter")
        for line in self.rfile:
            verb, _, rest = line.decode(errors="replace").strip().partition(" ")
            verb = verb.upper()
            if verb == "MAIL":
                sender = rest.partition("<")[2].partition(">")[0]
            elif verb == "RCPT":
                recipients.append(rest.partition("<")[2].partition(">")[0])
            elif verb == "DATA":
                self.answer("354 go on")
                try:
                    data = self.read_data()
                except EOFError:
                    return
                self.answer(self.pass_on(sender, recipients, data))
                sender, recipients = "", []
                continue
            self.answer("221 bye" if verb == "QUIT" else "250 OK")
            if verb == "QUIT":
                return


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 1000
    daemon_threads = True


class TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 1000
    daemon_threads = True


def serve_dict(handler, path):
    if os.path.exists(path):
        os.unlink(path)
    UnixServer(path, handler).serve_forever()


def main():
    name = os.path.basename(sys.argv[0])
    if name == "doveauth":
        serve_dict(Doveauth, sys.argv[1])
    elif name == "lastlogin":
        serve_dict(Lastlogin, sys.argv[1])
    elif name == "chatmail-metadata":
        (BOXES / "pending_notifications").mkdir(exist_ok=True)
        serve_dict(Metadata, sys.argv[1])
    elif name == "filtermail":
        incoming = sys.argv[2] == "incoming"
        server = TcpServer(("127.0.0.1", 10081 if incoming else 10080), Filter)
        # OpenDKIM verifies what does not come from 127.0.0.1.
        server.back = (10026, "127.0.0.2") if incoming else (10025, "127.0.0.1")
        server.serve_forever()
    elif name == "newemail.py":
        local = uuid.uuid4().hex[:9]
        print("Content-Type: application/json\n")
        print(json.dumps({"email": f"{local}@{DOMAIN}", "password": uuid.uuid4().hex[:12]}))
    # The jobs of the timers find nothing to do.


main()
