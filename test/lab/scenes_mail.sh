# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenarios of acceptance: real Delta Chat clients on both relays. Sourced by it.
#
# The clients trust the authorities of the public web only. So relay A gets a certificate of
# an authority that has the name of one of these, and the clients' program is a copy with
# its key in place of the public one's; on the servers it takes that one's place, too. Of a
# name that begins with "_", as B's, the clients verify just the name.

PUSH_PORT=8450
TOKEN=fcm-chat.example:not-a-device

need_client() {
	find_client && return
	fetch_client || fail "npm could not fetch $CLIENT"
	find_client || fail "$CLIENT has no program for this machine"
}

# chat ALICE BOB [COMMAND]: they talk; what it says goes to $work/chat.out.
chat() {
	rm -rf "$work/accounts"
	mkdir "$work/accounts"
	"$lab" net timeout 900 "$build/test/lab/chat" "$client" "$work/accounts" "$@" \
		>"$work/chat.out" 2>"$work/chat.err" || fail "$(cat "$work/chat.err")"
	cat "$work/chat.out"
	figure "$(grep '^talk' "$work/chat.out")"
}

# The clients' authority is everybody's, and A has a certificate of it.
trust_clients() {
	local host trust=$work/trust
	rm -rf "$trust"
	mkdir "$trust"
	"$build/test/lab/trust" "$trust" "$client" relay-a.example
	client=$trust/client
	cat "$LAB_DIR/keys/ca.crt" "$trust/ca.pem" >"$ca"
	for host in a b; do
		trust_on "$host"
	done
	certify a
	# Nobody tells the services but the unit that watches these files.
	wait_for 20 serves_certificate "$trust/cert.pem" ||
		fail "A does not serve its new certificate"
}

# The clients' authority on a server; also on one that is new.
trust_on() { # HOST
	on "$1" 'cat >/usr/local/share/ca-certificates/chatmail-lab-clients.crt
		sed -i "s#^mozilla/ISRG_Root_X2.crt#!&#" /etc/ca-certificates.conf
		update-ca-certificates --fresh >/dev/null 2>&1
		! systemctl is-active -q postfix || systemctl restart postfix' \
		<"$work/trust/ca.pem" # Postfix has a copy in its chroot
}

# The certificate of A that the clients trust.
certify() { # HOST
	on "$1" 'umask 077 && cat >/etc/ssl/lab/privkey.pem' <"$work/trust/key.pem"
	cat "$work/trust/cert.pem" "$work/trust/ca.pem" | on "$1" 'cat >/etc/ssl/lab/fullchain.pem'
}

serves_certificate() { # FILE
	local port
	for port in 443 993 465; do
		"$lab" net openssl s_client -connect relay-a.example:$port </dev/null 2>/dev/null |
			openssl x509 2>/dev/null | cmp -s - <(openssl x509 -in "$1") || return 1
	done
}

# The button's link on the page of A.
link_of_a() {
	local link
	link=$(curl_lab https://relay-a.example/ | grep -o 'DCACCOUNT:https://[^"]*' | head -n 1)
	[ -n "$link" ] || fail "no link on the page of A"
	echo "$link"
}

# What the page of a self-signed relay does when its button is pressed.
link_of_b() {
	local answer
	answer=$("$lab" net curl -sSk -f -X POST https://_relay-b.example/new) || fail "POST /new"
	sed -n 's/.*"dclogin_url": "\([^"]*\)".*/\1/p' <<<"$answer"
}

journal_says() { # HOST CURSOR WHAT PATTERN
	local say
	say=$(journal "$1" "$2")
	grep -qE "$4" <<<"$say" || {
		grep -E 'TLS|DKIM|warning|reject' <<<"$say" | tail -n 20
		fail "$1: nothing of $3 in the journal"
	}
}

# How a connection between servers was protected is not told otherwise.
tell_of_tls() {
	local host
	for host in a b; do
		on "$host" 'postconf -e smtp_tls_loglevel=1 && postfix reload 2>/dev/null'
	done
}

on_the_way_to_the_bot() {
	to_the_bot=$(curl_lab -o /dev/null -w '%{redirect_url}' https://relay-a.example/echobot) &&
		[ -n "$to_the_bot" ]
}

# Its client runs in the sandbox of its units, and all ways lead to the same invitation.
scene_echobot() {
	local link to_the_bot=
	need_client
	need a
	wait_for 90 on_the_way_to_the_bot || fail "the echo bot has no invitation"
	deploy a
	link=$(sed -n 's|.*The echo bot is at \(https://[!-~]*\).*|\1|p' "$work/said")
	[ "$link" = "$to_the_bot" ] || fail "run names '$link', the page '$to_the_bot'"
	cmdeploy status --config "$work/a.ini" || fail "cmdeploy status: $(cat "$work/said")"
	grep -qF -- "$link" "$work/said" || fail "status does not name it: $(cat "$work/said")"
	curl_lab https://relay-a.example/ | grep -qF '<a href="/echobot">' ||
		fail "the home page has no link"
}

scene_chat() {
	local alice bob a b
	need_client
	need a
	need b
	trust_clients
	tell_of_tls
	a=$(since a) b=$(since b)
	alice=$(link_of_a)
	bob=$(link_of_b)
	chat "$alice" "$bob"
	journal_says b "$b" "verified TLS to A" \
		'Verified TLS connection established to relay-a.example'
	journal_says a "$a" "TLS to B" 'TLS connection established to _relay-b.example'
	journal_says a "$a" "B's signature, verified" 'd=_relay-b.example.*SSL|DKIM verification successful'
	journal_says b "$b" "A's signature, verified" 'd=relay-a.example.*SSL|DKIM verification successful'
	! journal a "$a" | grep -E 'status=(deferred|bounced)' ||
		fail "A could not deliver"
	# What was changed by hand is put right.
	deploy a
	says 'main.cf'
	deploy b
	says 'main.cf'
	nothing_to_do a
	unverified_is_refused
}

# With a certificate that nobody vouches for, A gets no mail from B.
unverified_is_refused() {
	local b
	on a 'cp -a /etc/ssl/lab /etc/ssl/lab.good
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 \
			-subj /CN=relay-a.example -addext subjectAltName=DNS:relay-a.example \
			-keyout /etc/ssl/lab/privkey.pem -out /etc/ssl/lab/fullchain.pem 2>/dev/null
		postfix reload 2>/dev/null'
	b=$(since b)
	on b 'printf "Subject: x\n\nx\n" | sendmail -f root@_relay-b.example somebody1@relay-a.example'
	local refused=0
	wait_for 20 journal_says_quietly b "$b" 'Server certificate not (trusted|verified)' || refused=$?
	on a 'rm -r /etc/ssl/lab && mv /etc/ssl/lab.good /etc/ssl/lab && postfix reload 2>/dev/null'
	on b 'postsuper -d ALL 2>/dev/null'
	[ $refused = 0 ] || fail "B sends to a server whose certificate it cannot verify"
}

journal_says_quietly() { # HOST CURSOR PATTERN
	grep -qE "$3" <<<"$(journal "$1" "$2")"
}

# Other ways into a relay: by its name alone, and by an address, for which the client looks
# for the servers. Of B it cannot ask by HTTPS, as nginx takes no "_" in a request line that
# names the host, as the client's do; it goes by what is customary then.
scene_onboard() {
	local a
	need_client
	need a
	need b
	trust_clients
	a=$(since a)
	chat "configure:auto$((RANDOM % 90000 + 10000))@relay-a.example:correct-horse-battery" \
		"configure:auto$((RANDOM % 90000 + 10000))@_relay-b.example:correct-horse-battery"
	journal_says a "$a" "the autoconfig file" 'config-v1.1.xml HTTP/1.1" 200'
	chat "dcaccount:_relay-b.example" "dcaccount:relay-a.example"
}

# One server, deployed to twice, and messages on it.
scene_one_relay() {
	need_client
	from_zero b
	figure "from zero $seconds s"
	nothing_to_do b
	load_zone b
	chat "dcaccount:_relay-b.example" "$(link_of_b)"
}

# Between two messages of scene_push: Alice's device token, stored as her app would.
__token() { # FILE-WITH-LOGIN
	local address password
	read -r _ address password < <(grep '^alice ' "$1")
	curl_lab --user "$address:$password" imaps://relay-a.example/ \
		-X "SETMETADATA INBOX (/private/devicetoken \"$TOKEN\")" || exit 1
	{
		printf 'a LOGIN "%s" "%s"\r\n' "$address" "$(sed 's/["\\]/\\&/g' <<<"$password")"
		printf 'b GETMETADATA "" (/shared/comment /shared/admin'
		printf ' /shared/vendor/deltachat/%s' irohrelay turn maxsmtprecipients
		printf ')\r\nc LOGOUT\r\n'
		sleep 3
	} | "$lab" net openssl s_client -quiet -connect relay-a.example:993 -CAfile "$ca" \
		-verify_return_error >"$work/metadata" 2>"$work/metadata.err"
}

metadata_has() { # PATTERN: values may be on the lines after their keys'
	tr -d '\r\n' <"$work/metadata" | grep -qE "$1" || fail "metadata: no $1: $(cat "$work/metadata")"
}

# The service that wakes phones, on A's own loopback.
start_push_service() {
	put "$build/test/relay/push_service" a /usr/local/lib/push_service
	on a "systemctl stop lab-push 2>/dev/null || :
		systemctl reset-failed lab-push 2>/dev/null || :
		systemd-run -q --unit=lab-push /usr/local/lib/push_service $PUSH_PORT /etc/chatmaild/lab-push.crt"
	wait_for 10 on a "chmod 644 /etc/chatmaild/lab-push.crt 2>/dev/null &&
		ss -Hltn 'sport = :$PUSH_PORT' | grep -q ."
}

push_arrived() { # CURSOR
	grep -qF "$TOKEN" <<<"$(journal a "$1")"
}

scene_push() {
	local cursor
	need_client
	need a
	need b
	trust_clients
	start_push_service || fail "the push service does not start"
	write_ini a <<-END
		push_url = https://localhost:$PUSH_PORT/notify
		push_ca_file = /etc/chatmaild/lab-push.crt
		privacy_mail = somebody@example.org
	END
	deploy a
	cursor=$(since a)
	chat "$(link_of_a)" "$(link_of_b)" \
		"'$self' __token '$work/chat.out'"
	wait_for 10 push_arrived "$cursor" || fail "no POST with Alice's token"
	metadata_has 'deltachat/irohrelay [^/]*https://relay-a.example'
	metadata_has 'deltachat/turn [^/]*relay-a.example:3478:[0-9]+:stand-in'
	metadata_has 'deltachat/maxsmtprecipients [^/]*1000'
	metadata_has '/shared/admin [^/]*somebody@example.org|/shared/admin [^/]*mailto:somebody@example.org'
	figure "push there"
	on a 'systemctl stop lab-push; rm -f /etc/chatmaild/lab-push.crt'
	write_ini a </dev/null
	deploy a
}
