# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenarios of acceptance: real Delta Chat clients on both relays. Sourced by it.
#
# The clients trust the authorities of the public web only, so to relay A, whose certificate
# is of the lab's, they go unverified; what goes from relay to relay is verified. Of a name
# that begins with "_", as B's, they verify just the name.

PUSH_PORT=8450
TOKEN=fcm-chat.example:not-a-device

need_client() {
	demo=$top/.demo
	find_client && return
	fetch_client || fail "npm could not fetch $CLIENT"
	find_client || fail "$CLIENT has no program for this machine"
}

# chat ALICE BOB [COMMAND]: they talk; what it says goes to $work/chat.out.
chat() {
	rm -rf "$work/accounts"
	mkdir "$work/accounts"
	"$lab" net timeout 300 "$build/test/lab/chat" "$client" "$work/accounts" "$@" \
		>"$work/chat.out" 2>"$work/chat.err" || fail "$(cat "$work/chat.err")"
	cat "$work/chat.out"
	figure "$(grep '^talk' "$work/chat.out")"
}

# A string of a JSON object that comes on stdin.
json_text() { # KEY
	sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p"
}

percent_encoded() { # TEXT
	local i text=$1
	for ((i = 0; i < ${#text}; i++)); do
		case ${text:i:1} in
		[A-Za-z0-9]) printf %s "${text:i:1}" ;;
		*) printf %%%02X "'${text:i:1}" ;;
		esac
	done
}

# The page's link on A is for POST; its answer as a link that forgives the certificate.
link_of_a() {
	local page link answer
	page=$(curl_lab https://relay-a.example/)
	link=$(grep -o 'DCACCOUNT:https://[^"]*' <<<"$page" | head -n 1)
	[ -n "$link" ] || fail "no link on the page of A"
	answer=$(curl_lab -f -X POST "${link#DCACCOUNT:}") || fail "POST ${link#DCACCOUNT:}"
	printf 'dclogin:%s?p=%s&v=1&ic=3' "$(json_text email <<<"$answer")" \
		"$(percent_encoded "$(json_text password <<<"$answer")")"
}

# What the page of a self-signed relay does when its button is pressed.
link_of_b() {
	local answer
	answer=$("$lab" net curl -sSk -f -X POST https://_relay-b.example/new) || fail "POST /new"
	json_text dclogin_url <<<"$answer"
}

since() { # HOST: the journal from now on
	on "$1" 'journalctl -n 0 --show-cursor --no-pager' | sed -n 's/^-- cursor: //p'
}

journal_says() { # HOST CURSOR WHAT PATTERN
	local say
	say=$(on "$1" "journalctl --after-cursor='$2' --no-pager -o cat")
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

scene_chat() {
	local alice bob a b
	need_client
	need a
	need b
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
	! on a "journalctl --after-cursor='$a' --no-pager -o cat" | grep -E 'status=(deferred|bounced)' ||
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
	wait_for 20 journal_says_quietly b "$b" 'Server certificate not (trusted|verified)'
	local refused=$?
	on a 'rm -r /etc/ssl/lab && mv /etc/ssl/lab.good /etc/ssl/lab && postfix reload 2>/dev/null'
	on b 'postsuper -d ALL 2>/dev/null'
	[ $refused = 0 ] || fail "B sends to a server whose certificate it cannot verify"
}

journal_says_quietly() { # HOST CURSOR PATTERN
	on "$1" "journalctl --after-cursor='$2' --no-pager -o cat" | grep -qE "$3"
}

# The ways into a relay that need nothing but its name, on B.
scene_onboard() {
	local log=/var/log/nginx/access.log
	need_client
	need b
	on b ": >$log" || log=
	chat "DCACCOUNT:https://_relay-b.example/new" \
		"configure:auto$RANDOM@_relay-b.example:correct-horse-battery"
	[ -z "$log" ] || on b "cat $log" | grep -q 'config-v1.1.xml.* 200' ||
		fail "the client did not ask for the autoconfig file"
	chat "dcaccount:_relay-b.example" "$(link_of_b)"
}

# Between two messages of scene_push: Alice's device token, stored as her app would.
__token() { # FILE-WITH-LOGIN
	local address password
	read -r _ address password < <(grep '^alice ' "$1")
	curl_lab --user "$address:$password" imaps://relay-a.example/ \
		-X "SETMETADATA INBOX (/private/devicetoken \"$TOKEN\")" || exit 1
	curl_lab -v --user "$address:$password" imaps://relay-a.example/ \
		-X 'GETMETADATA "" (/shared/comment /shared/admin /shared/vendor/deltachat/irohrelay /shared/vendor/deltachat/turn /shared/vendor/deltachat/maxsmtprecipients)' \
		>"$work/metadata" 2>&1
}

metadata_has() { # PATTERN
	grep -qE "$1" "$work/metadata" || fail "metadata: no $1: $(grep 'METADATA' "$work/metadata")"
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

push_arrived() {
	on a 'journalctl -u lab-push -o cat --no-pager' | grep -qF "$TOKEN"
}

scene_push() {
	need_client
	need a
	need b
	start_push_service || fail "the push service does not start"
	write_ini a <<-END
		push_url = https://localhost:$PUSH_PORT/notify
		push_ca_file = /etc/chatmaild/lab-push.crt
		privacy_mail = somebody@example.org
	END
	deploy a
	chat "$(link_of_a)" "$(link_of_b)" "'$self' __token '$work/chat.out'"
	wait_for 10 push_arrived || fail "no POST with Alice's token"
	metadata_has '/shared/vendor/deltachat/irohrelay .*https://relay-a.example'
	metadata_has '/shared/vendor/deltachat/turn .*relay-a.example:3478:[0-9]+:stand-in'
	metadata_has '/shared/vendor/deltachat/maxsmtprecipients .*1000'
	metadata_has '/shared/admin .*somebody@example.org'
	figure "push there"
	on a 'systemctl stop lab-push; rm -f /etc/chatmaild/lab-push.crt'
	write_ini a </dev/null
	deploy a
}
