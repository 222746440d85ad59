# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenarios of acceptance: backup and restore, moving to another server and forwarding from
# the old one, with Delta Chat clients that talk all the time; and what goes wrong then.
# The relay is A's; its new server is host b. Sourced by it.

OLD=root@10.77.0.2
NEW=root@10.77.0.3
CAROL=carol0001@relay-a.example
GAP_MAX=60 # seconds without mail in a switch, on a busy machine

# As cmdeploy, of the relay A; or why not.
ask() { # COMMAND ARGUMENTS...
	cmdeploy "$1" --config "$work/a.ini" "${@:2}" ||
		fail "cmdeploy $1: $(tail -n 5 "$work/said")"
	cat "$work/said"
}

ask_in_vain() { # PATTERN COMMAND ARGUMENTS...
	! cmdeploy "$2" --config "$work/a.ini" "${@:3}" || fail "cmdeploy $2 ${*:3}: not refused"
	cat "$work/said"
	says "$1"
}

# --- somebody who is not online: her mail stays on the server ---

carol() { # CURL-ARGUMENTS...
	curl_lab --user "$CAROL:correct-horse-battery" "$@"
}

carol_gets() { # TEXT
	printf 'From: x@y.example\r\nSubject: ...\r\n\r\n%s\r\n' "$1" >"$work/letter"
	carol -T "$work/letter" imaps://relay-a.example/INBOX
}

carol_loses() { # UID
	carol imaps://relay-a.example/INBOX -X "UID STORE $1 +FLAGS (\\Deleted)" >/dev/null
	carol imaps://relay-a.example/INBOX -X EXPUNGE >/dev/null
}

# What of her mailbox clients go by.
carol_has() {
	carol imaps://relay-a.example/ -X 'STATUS INBOX (MESSAGES UIDVALIDITY)'
	carol imaps://relay-a.example/INBOX -X 'UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)' |
		sed 's/ *\\Recent//' # who asks first gets that
}

uidnext() {
	carol imaps://relay-a.example/ -X 'STATUS INBOX (UIDNEXT)' | tr -cd '0-9'
}

# All files of mailboxes that count, with times and owners.
mail_on() { # HOST
	on "$1" 'cd /home/vmail/mail/relay-a.example && find . -path "*/tmp/*" -prune -o \
		-name "dovecot*index*" -prune -o -name maildirsize -prune -o -name dovecot-uidlist \
		-prune -o -type f -printf "%P %s %T@ %m %u:%g\n"' | sort
}

keys_on() { # HOST
	on "$1" 'sha256sum /etc/dkimkeys/* /var/lib/acme/accounts/*/*/* 2>/dev/null'
}

# --- backup and restore ---

# Alice's and Bob's: they talk while the server is lost, and come back.
talk_on_a_through() { # FUNCTION
	need_client
	"$lab" reset b
	need a
	trust_clients
	chat "$(link_of_a)" "$(link_of_a)" "'$self' __move '$packages' $1"
	figure "$(grep '^meanwhile' "$work/chat.out")"
}

__move() { # PACKAGES FUNCTION
	packages=$1
	set +e
	(
		set -eE
		trap '[ -s "$work/why" ] || echo "line $LINENO: $BASH_COMMAND" >"$work/why"' ERR
		"$2"
	) >"$work/meanwhile.log" 2>&1
	[ $? = 0 ] || {
		cat "$work/why" >&2
		return 1
	}
}

backup_all_ways() {
	local dir=$work/backups
	rm -rf "$dir"
	mkdir -p "$dir/gpg"
	chmod 700 "$dir/gpg"
	age-keygen -o "$dir/key" 2>"$dir/recipient"
	age-keygen -o "$dir/other-key" 2>/dev/null
	export GNUPGHOME=$dir/gpg
	trap 'gpgconf --kill all; GNUPGHOME=$work/backups/no-keys gpgconf --kill all' EXIT
	gpg --batch --quiet --passphrase '' --quick-generate-key operator@example.org default default never
	ask backup "$dir/plain.tar"
	ask backup --age "$(sed -n 's/^Public key: //p' "$dir/recipient")" "$dir/b.tar.age"
	ask backup --gpg operator@example.org "$dir/b.tar.gpg"
	ask backup --no-mail "$dir/accounts.tar"
	[ "$(stat -c %a "$dir"/*.tar* | sort -u)" = 600 ] || fail "a backup is not for its owner alone"
	[ -z "$(find "$dir" -name '*.part')" ] || fail "parts are left"
	ask_in_vain 'is there already' backup "$dir/plain.tar"
}

# The plain backup with something else in it, sealed again.
forge() { # FILE COMMAND: in the directory where it is unpacked
	local tree=$work/backups/tree
	rm -rf "$tree"
	mkdir "$tree"
	tar -xf "$work/backups/plain.tar" -C "$tree"
	(
		cd "$tree"
		mv chatmail-backup/manifest ../manifest
		sh -euc "$2"
		tar -b1 --format=gnu -c chatmail-backup/info | head -c -1024
		tar -b1 --format=gnu -c --exclude chatmail-backup/info -- * | head -c -1024
	) >"$1"
	{
		echo "sha256 $(sha256sum <"$1" | cut -d' ' -f1)"
		sed 1d "$work/backups/manifest"
	} >"$tree/chatmail-backup/manifest"
	tar -b1 --format=gnu -C "$tree" -c chatmail-backup/manifest >>"$1"
}

cut_half() { # FILE
	head -c $(($(stat -c %s "$1") / 2)) "$1"
}

# One bit of it, in the middle.
flip_half() { # FILE TO
	local half byte
	half=$(($(stat -c %s "$1") / 2))
	byte=$(od -An -tu1 -j $half -N 1 "$1")
	cp "$1" "$2"
	# shellcheck disable=SC2059 # the byte, octal
	printf "\\$(printf %o $((byte ^ 1)))" | dd of="$2" bs=1 seek=$half conv=notrunc status=none
}

# None of these touches the server.
restore_in_vain() {
	local dir=$work/backups
	cut_half "$dir/b.tar.age" >"$dir/cut.age"
	cut_half "$dir/plain.tar" >"$dir/cut.tar"
	flip_half "$dir/b.tar.gpg" "$dir/flip.gpg"
	flip_half "$dir/b.tar.age" "$dir/flip.age"
	ask_in_vain 'cannot be restored: it could not be decrypted' restore --identity "$dir/other-key" "$dir/b.tar.age"
	ask_in_vain 'cannot be restored' restore --identity "$dir/key" "$dir/cut.age"
	ask_in_vain 'cannot be restored' restore --identity "$dir/key" "$dir/flip.age"
	ask_in_vain 'cannot be restored' restore "$dir/flip.gpg"
	ask_in_vain 'it is cut' restore "$dir/cut.tar"
	mkdir -m 700 "$dir/no-keys"
	GNUPGHOME=$dir/no-keys ask_in_vain 'it could not be decrypted' restore "$dir/b.tar.gpg"
	sed 's/relay-a/relay-x/' "$work/a.ini" >"$work/x.ini"
	! cmdeploy restore --config "$work/x.ini" --ssh-host $OLD "$dir/plain.tar" || fail "another relay's backup is restored"
	says 'is a backup of relay-a.example'
	forge "$dir/newer.tar" 'sed -i "s/^chatmail-backup 1/chatmail-backup 2/" chatmail-backup/info'
	ask_in_vain 'of a newer cmdeploy: its format is 2' restore "$dir/newer.tar"
	forge "$dir/link.tar" 'ln -s /etc/shadow home/vmail/mail/relay-a.example/dovecot-uidlist'
	ask_in_vain 'no backup has such a member: .*/dovecot-uidlist' restore "$dir/link.tar"
	forge "$dir/device.tar" 'mknod var/www/html/disk b 8 0'
	ask_in_vain 'no backup has such a member' restore "$dir/device.tar"
	mkdir -p "$dir/bin"
	ln -sf "$(command -v ssh)" "$dir/bin/"
	! "$lab" net env PATH="$dir/bin" "$build/deploy/cmdeploy" restore --config "$work/a.ini" \
		"$dir/b.tar.age" </dev/null >"$work/said" 2>&1 || fail "restored without age"
	says 'age cannot be started.*is it installed'
	on a '[ ! -e /home/vmail/mail ] && [ ! -e /etc/chatmaild ]' || fail "a refused backup left something"
}

backup_and_back() {
	local dir=$work/backups next
	carol_gets one
	carol_gets two
	carol_gets three
	carol_loses 2
	on a 'touch -d "2026-11-01 03:00" /home/vmail/mail/relay-a.example/carol0001*/password'
	cmdeploy registration --config "$work/a.ini" closed
	backup_all_ways
	# What comes after the backup is the clients' alone.
	on a 'systemctl stop postfix'
	sleep 2
	carol_has >"$work/carol.before"
	next=$(uidnext)
	mail_on a | grep ^carol >"$work/mail.before"
	keys_on a >"$work/keys.before"
	"$lab" reset a
	trust_on a
	certify a
	restore_in_vain
	on a 'mkdir -p /home/vmail && mount -t tmpfs -o size=100k tmpfs /home/vmail'
	ask_in_vain 'No space left' restore "$dir/plain.tar"
	on a '[ -z "$(ls -A /home/vmail/mail)" ] && umount /home/vmail && rmdir /home/vmail &&
		[ ! -e /etc/chatmaild ]' || fail "half of a backup was restored"
	GNUPGHOME=$dir/gpg ask restore "$dir/b.tar.gpg"
	says 'accounts and .* messages are restored'
	ask_in_vain 'has a relay already' restore "$dir/plain.tar"
	ask restore --force --identity "$dir/key" "$dir/b.tar.age"
	deploy a
	mail_on a | grep ^carol | diff "$work/mail.before" - || fail "the mailbox is not as it was"
	keys_on a | diff "$work/keys.before" - || fail "other keys"
	cmdeploy registration --config "$work/a.ini" status
	says closed
	cmdeploy registration --config "$work/a.ini" open
	carol_has | diff "$work/carol.before" - || fail "IMAP: the mailbox is not as it was"
	[ "$(uidnext)" -gt "$next" ] || fail "UIDNEXT: $(uidnext), it was $next"
	on a 'rm -rf /home/vmail/mail/relay-a.example.*'
	nothing_to_do a
	healthy a
}

scene_backup() {
	talk_on_a_through backup_and_back
}

# --- moving ---

prepare_new() {
	trust_on b
	certify b
	deploy a --disable-mail --skip-dns-check --ssh-host $NEW
}

lead_to() { # ADDRESS
	printf 'relay-a.example. 60 IN A %s\n' "$1" >"$work/lead.zone"
	"$lab" dns load "$work/lead.zone"
}

serves_from() { # HOST: does its daemon see the login of a client that asks by name?
	local cursor
	cursor=$(since "$1")
	carol imaps://relay-a.example/ -X NOOP >/dev/null || return 1
	wait_for 5 journal_says_quietly "$1" "$cursor" 'dovecot.*Login.*carol0001|imap-login.*carol0001'
}

# Mail that waits: for a server that does not answer.
queue_one() {
	printf 'slow.example. 60 IN A 10.77.0.99\n' >"$work/slow.zone"
	"$lab" dns load "$work/slow.zone"
	on a 'printf "Subject: waits\n\nx\n" | sendmail -f root@relay-a.example somebody@slow.example'
	wait_for 60 on a 'postqueue -j | grep -q slow.example' || fail "no mail waits"
}

move() {
	local gap
	prepare_new
	carol_gets one
	carol_gets two
	carol_gets three
	queue_one
	ask migrate $OLD $NEW
	carol_loses 2
	carol_gets four
	cmdeploy registration --config "$work/a.ini" closed
	carol_has >"$work/carol.before"
	uidnext >"$work/uidnext.before"
	mail_on a | grep ^carol >"$work/mail.before"
	keys_on a >"$work/keys.before"
	ask migrate --switch --forward $OLD $NEW
	says 'it was away for'
	says 'relay-a.example. A 10.77.0.3'
	gap=$(sed -n 's/.*it was away for \([0-9.]*\) s.*/\1/p' "$work/said")
	[ "${gap%.*}" -lt $GAP_MAX ] || fail "$gap s without mail"
	figure "$gap s without mail"
	serves_from b || fail "through the old server nobody reaches the new one"
	moved_whole
	forwarding
	deploy a --skip-dns-check --ssh-host $NEW
	sleep 5
	lead_to 10.77.0.3
	sleep 5
	ask forward --stop $OLD
	! on a 'ss -Hltn "sport = :993" | grep -q .' || fail "the old server still listens"
	serves_from b || fail "by its name nobody reaches the new server"
	cmdeploy dns --config "$work/a.ini" --ssh-host $NEW || fail "cmdeploy dns: $(cat "$work/said")"
	deploy a --ssh-host $NEW
	says '^Nothing to do'
}

moved_whole() {
	mail_on b | grep ^carol | diff "$work/mail.before" - || fail "the mailbox is not as it was"
	keys_on b | diff "$work/keys.before" - || fail "other keys"
	carol_has | diff "$work/carol.before" - || fail "IMAP: the mailbox is not as it was"
	uidnext | diff "$work/uidnext.before" - || fail "another UIDNEXT"
	cmdeploy registration --config "$work/a.ini" --ssh-host $NEW status
	says closed
	cmdeploy registration --config "$work/a.ini" --ssh-host $NEW open
	[ "$(on b 'postqueue -j | grep -c slow.example')" = 1 ] || fail "the queue was not moved"
}

# All ports of the relay lead to b; what else there is on a stays.
forwarding() {
	local port
	for port in 25 80 143 443 465 587 993; do
		on a "ss -Hltnp 'sport = :$port' | grep -q nginx" || fail "port $port is not forwarded"
	done
	on a 'ss -Hlunp "sport = :3478" | grep -q nginx' || fail "UDP port 3478 is not forwarded"
	for port in 443 993 465; do
		"$lab" net openssl s_client -connect 10.77.0.2:$port </dev/null 2>/dev/null |
			openssl x509 | cmp - <(openssl x509 -in "$work/trust/cert.pem") ||
			fail "port $port: another certificate"
	done
	on a 'openssl s_client -connect [::1]:993 </dev/null 2>/dev/null' | openssl x509 |
		cmp - <(openssl x509 -in "$work/trust/cert.pem") || fail "nothing is forwarded from IPv6"
	udp_passes || fail "UDP is not forwarded"
	on a '! systemctl is-active -q postfix@-.service dovecot.service chatmaild.service'
	on a 'systemctl reboot' || :
	sleep 1
	wait_for 60 on a 'systemctl is-active -q chatmail-forward' || fail "it does not forward after a restart"
	on a '! systemctl is-active -q postfix@-.service dovecot.service chatmaild.service nginx.service'
	serves_from b || fail "after a restart nobody is forwarded"
	refused a --ssh-host $OLD
	says 'cmdeploy forward --stop'
}

# A datagram to the old server's port for calls, and its answer from the new one.
udp_passes() {
	local answer
	on b 'systemctl stop turnserver coturn 2>/dev/null
		systemd-run -q --collect --unit=lab-udp perl -MIO::Socket::INET -e "
			\$s = IO::Socket::INET->new(Proto => q(udp), LocalPort => 3478) or die;
			while (\$s->recv(\$m, 99)) { \$s->send(qq(b has \$m)) }"
		sleep 1'
	answer=$(on a 'perl -MIO::Socket::INET -e "
			alarm 5;
			\$s = IO::Socket::INET->new(Proto => q(udp), PeerAddr => q(127.0.0.1:3478)) or die;
			\$s->send(q(it)); \$s->recv(\$m, 99); print \$m"')
	on b 'systemctl stop lab-udp; systemctl start turnserver'
	[ "$answer" = "b has it" ]
}

keep_zone() {
	"$lab" dns show >"$work/zone.good"
	trap '"$lab" dns set "$work/zone.good"; "$lab" reset a; "$lab" reset b' EXIT
}

scene_move() {
	keep_zone
	talk_on_a_through move
}

# The account that the CAA record names and the certificate move; and a new one is given while
# the name still leads to the old server.
scene_move_acme() {
	local ca=$work/acme/ca.crt host
	"$lab" reset a
	"$lab" reset b
	start_acme
	trap 'pkill -P $acme; wait $acme 2>/dev/null || :; "$lab" dns set "$work/zone.good"
		"$lab" reset a; "$lab" reset b' EXIT
	for host in a b; do
		on $host 'cat >/usr/local/share/ca-certificates/lab-acme.crt &&
			update-ca-certificates >/dev/null 2>&1' <"$ca"
	done
	write_ini a <<<'acme_email = operator@example.org'
	sed -i '/^tls_external_cert_and_key/d' "$work/a.ini"
	deploy a
	load_zone a
	carol_gets one
	keys_on a >"$work/keys.before"
	"$lab" ssh a 'tar -c -C / var/lib/acme' | "$lab" ssh b 'tar -x -C /'
	deploy a --disable-mail --skip-dns-check --ssh-host $NEW
	ask migrate --switch --forward $OLD $NEW
	keys_on b | diff "$work/keys.before" - || fail "other keys"
	deploy a --skip-dns-check --ssh-host $NEW
	nothing_to_do a --skip-dns-check --ssh-host $NEW
	on b 'openssl x509 -in /var/lib/acme/live/relay-a.example/cert -noout -serial' >"$work/serial"
	on b 'acmetool status; rm -r /var/lib/acme/live/relay-a.example /var/lib/acme/certs/*
		systemctl start acmetool-reconcile.service'
	! on b 'openssl x509 -in /var/lib/acme/live/relay-a.example/cert -noout -serial' |
		cmp -s "$work/serial" - || fail "the certificate is the old one"
	carol_has | grep -q 'UID 1' || fail "her mail is not on the new server"
	"$lab" dns show | grep -v '^relay-a.example. .* A ' >"$work/moved.zone"
	echo 'relay-a.example. 60 IN A 10.77.0.3' >>"$work/moved.zone"
	"$lab" dns set "$work/moved.zone"
	ask forward --stop $OLD
	cmdeploy dns --config "$work/a.ini" --ssh-host $NEW || fail "cmdeploy dns: $(cat "$work/said")"
	nothing_to_do a --ssh-host $NEW
}

# --- trouble ---

# A call is a script on a server: N's connection is killed while it runs, or has just run.
cut_call() { # N COMMAND...
	local n=$1 wrap=$work/cut
	shift
	rm -rf "$wrap"
	mkdir -p "$wrap"
	cat >"$wrap/ssh" <<-END
		#!/bin/bash
		for word; do
			[[ \$word != root@* ]] || to=\$word
		done
		case " \$* " in
		*' ControlMaster=yes '*) echo \$\$ >"$wrap/\$to" ;;
		*' ControlMaster=no '*)
			exec 9>"$wrap/lock"
			flock 9
			n=\$((\$(cat "$wrap/calls" 2>/dev/null || echo 0) + 1))
			echo \$n >"$wrap/calls"
			exec 9>&-
			[ \$n != $n ] || (sleep 0.1; kill -KILL "\$(cat "$wrap/\$to")") </dev/null >/dev/null 2>&1 &
			;;
		esac
		exec /usr/bin/ssh "\$@"
	END
	chmod 755 "$wrap/ssh"
	PATH=$wrap:$PATH cmdeploy "$1" --config "$work/a.ini" "${@:2}"
}

# Again after each cut; once mail was stopped, also back and again.
switch_with_cuts() {
	local n=1 went_back=
	until cut_call $n migrate --switch --forward $OLD $NEW; do
		cat "$work/said"
		echo "--- cut at call $n"
		if grep -q 'runs there: is this the new server' "$work/said"; then
			ask forward $OLD $NEW # what was cut had come to its end
			break
		fi
		if [ -z "$went_back" ] && grep -q 'is stopped. Do this again' "$work/said"; then
			went_back=1
			deploy a
			carol_has | diff "$work/carol.before" - || fail "on the way back mail was lost"
		fi
		n=$((n + 1))
		[ $n -lt 40 ] || fail "it does not come to its end"
	done
	cat "$work/said"
	[ -n "$went_back" ] || fail "mail was never stopped"
	figure "$n calls, each cut"
}

migrate_in_vain() {
	ask_in_vain 'prepare it first' migrate $OLD $NEW
	deploy a --disable-mail --skip-dns-check --ssh-host $NEW
	ask_in_vain 'runs there: is this the new server|there are no accounts' migrate $NEW $OLD
	ask_in_vain 'runs there: is this the new server' migrate $OLD $OLD
	ask_in_vain 'root@10.77.0.9' migrate root@10.77.0.9 $NEW
	ask_in_vain 'root@10.77.0.9' migrate $OLD root@10.77.0.9
	sed 's/relay-a/relay-x/' "$work/a.ini" >"$work/x.ini"
	! cmdeploy migrate --config "$work/x.ini" $OLD $NEW || fail "another relay was moved"
	says 'there are no accounts in /home/vmail/mail/relay-x.example'
	on b 'install -d -o vmail /home/vmail/mail/relay-a.example/other@relay-a.example'
	ask_in_vain 'there are accounts of its own' migrate $OLD $NEW
	on b 'rmdir /home/vmail/mail/relay-a.example/other@relay-a.example'
	ask_in_vain 'forwarded|runs there' forward $OLD $NEW
	ask_in_vain 'it forwards nothing' forward --stop $OLD
	on b 'mount -t tmpfs -o size=200k,mode=700,uid=$(id -u vmail) tmpfs /home/vmail/mail/relay-a.example'
	ask_in_vain 'No space left' migrate $OLD $NEW
	on b 'umount /home/vmail/mail/relay-a.example'
	on a 'systemctl is-active postfix@- dovecot chatmaild' || fail "mail was stopped"
}

scene_move_trouble() {
	keep_zone
	"$lab" reset a
	"$lab" reset b
	need a
	on a 'tar -c -C / etc/ssl/lab' | on b 'tar -x -C /'
	carol_gets one
	carol_gets "$(head -c 600000 /dev/urandom | base64)"
	queue_one
	migrate_in_vain
	carol_has >"$work/carol.before"
	uidnext >"$work/uidnext.before"
	mail_on a | grep ^carol >"$work/mail.before"
	keys_on a >"$work/keys.before"
	cmdeploy registration --config "$work/a.ini" closed
	switch_with_cuts
	cmdeploy registration --config "$work/a.ini" --ssh-host $NEW status
	deploy a --skip-dns-check --ssh-host $NEW
	moved_whole
}
