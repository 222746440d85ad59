# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenarios of acceptance: a server with the Python relay is taken over while its users chat,
# and given back. Sourced by it. README.md tells what of that relay is stood in for.

GAP_MAX=10 # seconds in which mail waits at its senders
PYTHON_DIR=/usr/local/lib/chatmaild
PENDING=fcm-chat.example:was-waiting

# Host a as the Python relay leaves it, with a certificate that the clients trust; host b
# with ours. Where one runs that was given back, that one.
need_python() {
	need_client
	if python_runs && on a 'test ! -e /var/lib/cmdeploy/taken-over'; then
		client=$work/trust/client
		return
	fi
	need b
	"$lab" reset a
	on a 'mkdir -p /root/python-relay'
	put "$here/python_relay/services.py" a /root/python-relay/services.py
	put "$here/python_relay/install.sh" a /root/python-relay/install.sh
	put "$build/test/lab/stand_in" a /root/python-relay/stand_in
	# Dovecot's packages under another version take a while: once is enough.
	[ ! -d "$work/debs" ] || tar -C "$work" -c debs | "$lab" exec a 'tar -C /root/python-relay -x'
	on a "/root/python-relay/install.sh $LAB_DOMAIN_A"
	rm -rf "$work/debs"
	"$lab" exec a 'tar -C /root/python-relay -c debs' | tar -C "$work" -x
	write_ini a </dev/null
	load_zone a
	trust_clients
}

# An account as the old relay made it, its last login long ago.
old_account() { # NAME TOKENS-JSON
	on a "runuser -u vmail -- sh -c '
		cd /home/vmail/mail/$LAB_DOMAIN_A; umask 077; rm -rf $1@$LAB_DOMAIN_A; mkdir $1@$LAB_DOMAIN_A
		printf %s \"{SHA512-CRYPT}\$(openssl passwd -6 correct-horse-battery)\" >$1@$LAB_DOMAIN_A/password
		touch -d @1790035200 $1@$LAB_DOMAIN_A/password
		cat >$1@$LAB_DOMAIN_A/metadata.json'" <<<"$2"
}

# What must survive both ways: passwords, a last login, the key, the certificate.
kept_of_a() {
	on a "cd /home/vmail/mail/$LAB_DOMAIN_A
		sha256sum old0*/password /etc/dkimkeys/opendkim.private /etc/ssl/lab/privkey.pem
		stat -c '%n %Y %a %U' old000004*/password"
}

# Mail to itself, again and again, as a client sends it; "TIME CODE" each. 000: no answer.
probe() { # ADDRESS:PASSWORD
	while [ ! -e "$work/probe.stop" ]; do
		printf '%s ' "$EPOCHREALTIME"
		"$lab" net curl -sS --max-time 5 --cacert "$ca" --user "$1" --login-options AUTH=PLAIN \
			--url smtps://$LAB_DOMAIN_A --mail-from "${1%:*}" --mail-rcpt "${1%:*}" \
			--crlf -T "$work/probe.eml" -o /dev/null -w '%{response_code}\n' 2>/dev/null || :
		sleep 0.1
	done >"$work/probe.log"
}

start_probe() {
	rm -f "$work/probe.stop"
	tr -d '\r' <"$top/test/data/encrypted_deltachat.eml" |
		sed "s/^\(From\|To\): .*/\1: <old000003@$LAB_DOMAIN_A>/" >"$work/probe.eml"
	probe "old000003@$LAB_DOMAIN_A:correct-horse-battery" &
	probe_pid=$!
}

# The longest time without a 250, and nothing refused for good.
end_probe() {
	local gap
	touch "$work/probe.stop"
	wait "$probe_pid" || :
	! grep -E ' 5[0-9][0-9]$' "$work/probe.log" || fail "mail was refused for good: $(sort -k2 "$work/probe.log" | cut -d' ' -f2 | uniq -c | tr '\n' ' ')"
	gap=$(awk '$2 == 250 { if (last && $1 - last > gap) gap = $1 - last; last = $1 }
		END { printf "%.1f", gap }' "$work/probe.log")
	grep -q ' 250$' "$work/probe.log" || fail "no mail at all got through: $(tail -n 3 "$work/probe.log")"
	less_than "$gap" $GAP_MAX || busy || fail "$gap s without mail, at most $GAP_MAX are allowed"
	less_than "$gap" $GAP_MAX && figure "$gap s without mail" ||
		figure "$gap s without mail (on a busy machine: the limit is $GAP_MAX)"
}

# Whatever the scenario comes to.
stop_all() {
	touch "$work/probe.stop"
	kill "$(sed -n 's/^pid //p' "$work/traffic.out")" 2>/dev/null || :
}

start_traffic() { # the same two people all the time
	rm -rf "$work/accounts"
	mkdir "$work/accounts"
	"$lab" net timeout 900 "$build/test/lab/traffic" "$client" "$work/accounts" \
		"old000001@$LAB_DOMAIN_A:correct-horse-battery" \
		"${1-old000002@$LAB_DOMAIN_A}:correct-horse-battery" \
		>"$work/traffic.out" 2>"$work/traffic.err" &
	traffic_pid=$!
	trap stop_all EXIT
	wait_for 60 grep -q '^sent 3' "$work/traffic.out" ||
		fail "no traffic: $(cat "$work/traffic.out" "$work/traffic.err")"
}

end_traffic() {
	touch "$work/accounts/stop"
	wait "$traffic_pid" || fail "$(cat "$work/traffic.err")"
	trap - EXIT
	figure "$(tail -n 1 "$work/traffic.out")"
}

# Each message was put into each mailbox once; those of the probe all have one name.
none_doubled() { # CURSOR
	local twice
	twice=$(on a "journalctl --after-cursor='$1' -t dovecot --no-pager -o cat" |
		grep -o 'lmtp([^)]*).*msgid=<[^>]*>.*saved mail to' |
		grep -v old000003@ | sed 's/lmtp(\([^)]*\)).*\(msgid=<[^>]*>\).*/\1 \2/' | sort | uniq -d)
	[ -z "$twice" ] || fail "delivered twice: $twice"
}

# Each of its units; is-active alone is content with one.
python_runs() {
	on a 'for unit in doveauth lastlogin chatmail-metadata filtermail filtermail-incoming \
			opendkim dovecot postfix nginx fcgiwrap.socket chatmail-expire.timer; do
			systemctl is-active -q $unit || exit 1
		done'
}

python_is_gone() {
	on a "! systemctl cat doveauth filtermail chatmail-expire.timer >/dev/null 2>&1
		test ! -e $PYTHON_DIR -a ! -e /usr/lib/cgi-bin/newemail.py \
			-a ! -e /etc/apt/preferences.d/pin-dovecot
		test -d /var/lib/cmdeploy/taken-over/files$PYTHON_DIR/venv"
}

# The accounts with something to lose: tokens in both forms, a notification that waits.
old_accounts() {
	local now
	now=$(date +%s)
	on a "postsuper -d ALL 2>/dev/null; cd /home/vmail/mail/$LAB_DOMAIN_A
		rm -rf ./*@* pending_notifications/*"
	old_account old000001 "{\"devicetoken\": {\"$TOKEN\": $now}}"
	old_account old000002 '{"devicetoken": ["legacy-one", "legacy-two"], "other": 7}'
	old_account old000003 '{}'
	old_account old000004 '{}'
	on a "printf 'old000004@$LAB_DOMAIN_A\n$now\n$PENDING' |
		runuser -u vmail -- tee /home/vmail/mail/$LAB_DOMAIN_A/pending_notifications/0123456789abcdef0123456789abcdef >/dev/null"
}

push_says() { # CURSOR TOKEN
	on a "journalctl --after-cursor='$1' -u lab-push -o cat --no-pager" | grep -qF "$2"
}

tokens_of() { # NAME
	curl_lab -v --user "$1@$LAB_DOMAIN_A:correct-horse-battery" imaps://$LAB_DOMAIN_A/ \
		-X 'GETMETADATA INBOX /private/devicetoken' 2>&1 | grep '^< ' | tr -d '\r\n'
}

scene_takeover() {
	local began cursor
	need_python
	old_accounts
	on a 'mkdir -p /etc/chatmaild'
	start_push_service || fail "the push service does not start"
	on a 'cp /etc/chatmaild/lab-push.crt /etc/ssl/lab/push.crt'
	write_ini a <<-END
		push_url = https://localhost:$PUSH_PORT/notify
		push_ca_file = /etc/ssl/lab/push.crt
		max_mailbox_size = 300M
		max_user_send_per_minute = 6000
		max_user_send_burst_size = 1000
	END
	kept_of_a >"$work/kept.before"
	files_of a >"$work/files.before"
	deploy a --dry-run
	says '^A Python relay is taken over$'
	says 'stop, and set aside: chatmail-expire.service, .*doveauth.service'
	says 'device tokens of 4 accounts, 1 waiting notifications'
	says 'keep 4 mailboxes with their passwords and last logins, the DKIM key'
	says 'keep Dovecot 1:2.3.21\+dfsg1-3, without our plugin'
	says '! max_mailbox_size: there 100, .* says 300'
	files_of a | diff "$work/files.before" - || fail "--dry-run changed files"
	python_runs || fail "--dry-run stopped something"

	cursor=$(since a)
	start_traffic
	start_probe
	sleep 5
	began=$EPOCHREALTIME
	deploy a
	figure "taken over in $(elapsed "$began") s"
	sleep 5
	end_probe
	python_is_gone || fail "the Python relay is still there"
	healthy a
	tidy a
	nothing_to_do a
	push_says "$cursor" "$PENDING" || fail "the notification that waited was not sent"
	wait_for 20 push_says "$cursor" "$TOKEN" || fail "no push with a token of the old relay"
	tokens_of old000002 | grep -q 'legacy-one legacy-two' || fail "tokens of the old form: $(tokens_of old000002)"
	# What comes to the new relay comes along on the way back.
	curl_lab --user "new000001@$LAB_DOMAIN_A:correct-horse-battery" imaps://$LAB_DOMAIN_A/ \
		-X 'SETMETADATA INBOX (/private/devicetoken "new-token")'

	cmdeploy give-back --config "$work/a.ini" --dry-run || fail "give-back --dry-run: $(cat "$work/said")"
	says '^The Python relay is put back$'
	nothing_to_do a
	start_probe
	sleep 3
	began=$EPOCHREALTIME
	cmdeploy give-back --config "$work/a.ini" || fail "give-back: $(tail -n 12 "$work/said")"
	figure "given back in $(elapsed "$began") s"
	sleep 5
	end_probe
	python_runs || fail "the Python relay does not run: $(on a 'systemctl list-units --failed --plain --no-legend')"
	on a '! systemctl cat chatmaild.service >/dev/null 2>&1' || fail "chatmaild is still there"
	curl_lab https://$LAB_DOMAIN_A/ | grep -q 'The page of the Python relay' || fail "not its page"
	curl_lab --user "new000001@$LAB_DOMAIN_A:correct-horse-battery" imaps://$LAB_DOMAIN_A/ -X NOOP ||
		fail "an account made meanwhile cannot log in"
	on a "cat /home/vmail/mail/$LAB_DOMAIN_A/new000001@*/metadata.json" | grep -q '"new-token"' ||
		fail "a token that came meanwhile is lost"
	on a "cat /home/vmail/mail/$LAB_DOMAIN_A/old000002@*/metadata.json" | grep -q '"legacy-one": .*"other": 7\|"other": 7.*"legacy-one"' ||
		fail "tokens: $(on a "cat /home/vmail/mail/$LAB_DOMAIN_A/old000002@*/metadata.json")"
	sleep 5
	end_traffic
	none_doubled "$cursor"
	kept_of_a | diff "$work/kept.before" - ||
		fail "mailboxes or keys are not as before"
	on a 'systemctl stop lab-push'
}

give_back() {
	cmdeploy give-back --config "$work/a.ini" || fail "give-back: $(tail -n 12 "$work/said")"
	python_runs || fail "the Python relay does not run: $(on a 'systemctl list-units --failed --plain --no-legend')"
}

# What runs mail, as it runs now.
running() {
	on a "systemctl show -p MainPID --value dovecot postfix@- doveauth chatmail-metadata lastlogin \
			filtermail filtermail-incoming nginx opendkim
		sha256sum /etc/dovecot/dovecot.conf /etc/postfix/*.cf /etc/nginx/nginx.conf /etc/opendkim.conf"
}

# Our configuration is refused by its checker: the Python relay never notices.
scene_takeover_refused() {
	local program
	need_python
	write_ini a </dev/null
	running >"$work/running.before"
	for program in dovecot/etc/dovecot/dovecot.conf postfix/etc/postfix/master.cf; do
		rm -rf "$work/templates"
		cp -a "$top/templates" "$work/templates"
		echo 'no_such_setting = yes' >>"$work/templates/$program"
		refused a --templates "$work/templates"
		says 'The new configuration is refused. The old one stays, and what runs, too.'
		running | diff "$work/running.before" - || fail "$program: the Python relay was touched"
	done
	python_runs || fail "the Python relay does not run"
}

# Our daemon does not start: the switch is undone. With the ports of the old ini.
scene_takeover_undone() {
	need_python
	write_ini a <<-END
		filtermail_smtp_port = 10080
		filtermail_smtp_port_incoming = 10081
		postfix_reinject_port = 10025
		postfix_reinject_port_incoming = 10026
	END
	on a 'mkdir -p /var/lib/chatmaild/chatmaild.sqlite'
	refused a
	says 'The switch failed: the Python relay is put back.'
	python_runs || fail "the Python relay does not run"
	curl_lab https://$LAB_DOMAIN_A/ -o /dev/null || fail "no web page"
	on a 'rmdir /var/lib/chatmaild/chatmaild.sqlite'
	deploy a
	healthy a
	python_is_gone || fail "the Python relay is still there"
	nothing_to_do a
	give_back
}

# The connection breaks in the midst of the switch, which goes on to its end.
scene_takeover_cut() {
	local step
	need_python
	write_ini a </dev/null
	for step in 'switch to our services' 'device tokens and notifications' 'a copy of what the Python relay has'; do
		! cut_at "$step" a || fail "cut at '$step': not noticed"
		says -i 'run again'
		try_deploy a || fail "after a cut at '$step': $(tail -n 8 "$work/said")"
		healthy a
		tidy a
		python_is_gone || fail "cut at '$step': the Python relay is still there"
		nothing_to_do a
		give_back
	done
}
