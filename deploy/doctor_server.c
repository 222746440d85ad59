/* The script that asks a server how it does. */
#include "deploy/doctor_server.h"

#include <stdlib.h>

#include "chatmaild/endpoint.h"
#include "deploy/quote.h"

/*
 * Slow ones go into the background; each says its line by one write, so lines stay whole. A
 * program's own words are cut to a line.
 */
static const char prologue[] =
    "# how the server does\n"
    "export LC_ALL=C\n"
    "line() { tr -cs '[:print:]' ' ' | cut -c 1-300; }\n"
    "plain() { # of OpenSSL's first line its reason\n"
    "	head -n 1 | sed -E 's/^[0-9A-F]+:error:[^:]*:[^:]*:[^:]*:([^:]*).*/\\1/' | "
    "line\n"
    "}\n"
    "awk '/^MemAvailable/ { a = $2 } /^MemTotal/ { t = $2 }\n"
    "	END { print \"memory\", a, t }' /proc/meminfo\n"
    "for limit in max_user_instances max_user_watches; do\n"
    "	! n=$(cat /proc/sys/fs/inotify/$limit 2>/dev/null) || echo \"inotify $limit "
    "$n\"\n"
    "done\n"
    "! [ -e /etc/chatmail-nocreate ] || echo registration closed\n"
    "command -v systemctl >/dev/null || exit 0\n"
    "echo synchronized \"$(timeout 5 timedatectl show -p NTPSynchronized --value "
    "2>/dev/null || :)\"\n"
    "timeout 5 systemctl list-units --failed --plain --no-legend |\n"
    "	awk '{ print \"failed\", $1 }'\n"
    "! command -v ss >/dev/null || ss -Hnt state established |\n"
    "	awk '{ n = split($3, a, \":\"); c[a[n]]++ }\n"
    "		END { for (p in c) print \"connections\", p, c[p] }'\n"
    "! command -v nft >/dev/null ||\n"
    "	nft list ruleset 2>/dev/null |\n"
    "		awk '/drop|reject/ { n++ } END { print \"filter\", n + 0 }'\n"
    "! command -v chatmailctl >/dev/null || {\n"
    "	timeout 15 chatmailctl --json queue 2>/dev/null | sed 's/^/queue /' || :\n"
    "} &\n";

static void ask_disks(struct text *t, const struct config *c)
{
	quote_command(t,
	    "for place in / %s %s /var/spool/postfix /var/lib/cmdeploy /run; do\n"
	    "	df -B 1 --output=target,avail,size,iavail,itotal \"$place\" "
	    "2>/dev/null "
	    "|\n"
	    "		awk 'NR == 2 { print \"disk\", $0 }'\n"
	    "done | sort -u\n",
	    c->mailboxes_dir, c->state_dir);
}

static void ask_certificate(struct text *t, const struct config *c)
{
	quote_command(t,
	    "certificate() {\n"
	    "	hash() { sha256sum | cut -d ' ' -f 1; }\n"
	    "	if ! [ -s \"$1\" ]; then echo \"certificate none $1\"; return 0; fi\n"
	    "	if ! [ -s \"$2\" ]; then echo \"certificate none $2\"; return 0; fi\n"
	    "	if ! openssl x509 -in \"$1\" -noout 2>/dev/null; then\n"
	    "		echo \"certificate broken $1\"; return 0\n"
	    "	fi\n"
	    "	if ! openssl pkey -in \"$2\" -noout 2>/dev/null; then\n"
	    "		echo \"certificate broken $2\"; return 0\n"
	    "	fi\n"
	    "	echo certificate found \"$(openssl x509 -in \"$1\" -outform DER | "
	    "hash)\" \\\n"
	    "		\"$(openssl x509 -in \"$1\" -noout -pubkey |\n"
	    "			openssl pkey -pubin -outform DER | hash)\" \\\n"
	    "		\"$(openssl pkey -in \"$2\" -pubout -outform DER | hash)\"\n"
	    "}\n"
	    "certificate %s %s\n",
	    c->tls_cert_path, c->tls_key_path);
}

/* Units that do not run, in their own last words. */
static void ask_units(struct text *t, const struct wanted *deployed)
{
	size_t n;
	const struct wanted_thing *things = wanted_list(deployed, &n);

	text_add(t,
	    "words() {\n"
	    "	[ \"$(systemctl is-active \"$1\" 2>/dev/null || :)\" = active ] "
	    "|| echo \"why $1\" \\\n"
	    "		\"$(timeout 5 journalctl -q -u \"$1\" -n 20 -o cat "
	    "--no-pager 2>/dev/null |\n"
	    "			grep -iE 'error|fatal|emerg|fail|cannot|denied' | "
	    "tail -n 1 | line)\"\n"
	    "}\n");
	for (size_t i = 0; i < n; i++) {
		if (things[i].kind == WANTED_UNIT &&
		    things[i].unit.state == UNIT_RUNNING)
			quote_command(t, "words %s &\n", things[i].unit.name);
	}
	for (size_t i = 0; i < n; i++) {
		if (things[i].kind == WANTED_UNIT &&
		    things[i].unit.state == UNIT_RUNNING)
			quote_command(t,
			    "echo nofile %s \"$(systemctl show -p LimitNOFILE --value "
			    "%s)\"\n",
			    things[i].unit.name, things[i].unit.name);
	}
}

/* HOST and PORT of "https://HOST[:PORT]/...", each free()d by the caller. */
static void split_url(const char *url, char **host, char **port)
{
	struct span rest = span_of(url), authority;
	const char *colon;

	if (span_starts(rest, "https://"))
		rest = span_skip(rest, strlen("https://"));
	authority = span_make(rest.data, strcspn(rest.data, "/?#"));
	colon = memrchr(authority.data, ':', authority.len);
	if (colon &&
	    !memchr(colon, ']', authority.len - (size_t)(colon - authority.data))) {
		*port = span_dup(
		    span_skip(authority, (size_t)(colon + 1 - authority.data)));
		authority.len = (size_t)(colon - authority.data);
	} else {
		*port = span_dup(span_of("443"));
	}
	*host = span_dup(authority);
	if (!*host || !*port)
		abort();
}

static void ask_push(struct text *t, const struct config *c)
{
	char *host, *port;

	split_url(c->push_url, &host, &port);
	quote_command(t,
	    "push() {\n"
	    "	if said=$(timeout 12 openssl s_client -connect \"$1:$2\" -servername "
	    "\"$1\" \\\n"
	    "		-verify_hostname \"$1\" -verify_return_error %r %s \\\n"
	    "		</dev/null 2>&1); then\n"
	    "		echo push ok\n"
	    "	else\n"
	    "		echo push \"$(printf '%%s\\n' \"$said\" |\n"
	    "			grep -iE 'error|refused|timed|verif|unknown' | "
	    "plain)\"\n"
	    "	fi\n"
	    "}\n"
	    "push %s %s &\n",
	    *c->push_ca_file ? "-CAfile" : "-no_ssl3",
	    *c->push_ca_file ? c->push_ca_file : "-no_tls1", host, port);
	free(host);
	free(port);
}

static void ask_ways(struct text *t, const struct doctor_question *q)
{
	quote_command(t,
	    "resolver() {\n"
	    "	if command -v dig >/dev/null; then\n"
	    "		said=$(timeout 12 dig +time=3 +tries=2 +noall +comments "
	    "\"$1\" MX 2>&1) || :\n"
	    "		case $said in\n"
	    "		*'status: NOERROR'* | *'status: NXDOMAIN'*) echo resolver ok "
	    ";;\n"
	    "		*) echo resolver \"$(printf '%%s\\n' \"$said\" |\n"
	    "			grep -oE 'status: [A-Z]*|refused|timed out' | head -n "
	    "1)\" "
	    ";;\n"
	    "		esac\n"
	    "	fi\n"
	    "}\n"
	    "resolver %s &\n"
	    "out() {\n"
	    "	said=$(timeout 12 openssl s_client -connect \"$1:25\" -starttls smtp "
	    "</dev/null 2>&1) || :\n"
	    "	case $said in\n"
	    "	*CONNECTED*) echo out \"$1\" ok ;;\n"
	    "	*) echo out \"$1\" \"$(printf '%%s\\n' \"${said:-no answer in time}\" "
	    "| plain)\" ;;\n"
	    "	esac\n"
	    "}\n",
	    q->config->mail_domain_bare);
	for (size_t i = 0; i < q->nmail_hosts; i++)
		quote_command(t, "out %s &\n", q->mail_hosts[i]);
}

char *doctor_server_script(const struct doctor_question *q)
{
	struct text t = { 0 };

	text_add(&t, prologue);
	ask_disks(&t, q->config);
	ask_push(&t, q->config);
	ask_ways(&t, q);
	if (q->deployed)
		ask_units(&t, q->deployed);
	ask_certificate(&t, q->config);
	text_add(&t, "wait\n");
	return text_take(&t);
}
