# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenarios of acceptance: what an operator asks of a relay from day to day, as docs/operate.md
# and its neighbours tell; and a relay without a name. Carol and her relay are those of
# scenes_move.sh. Sourced by it.

users_by_hand() {
	carol imaps://relay-a.example/ -X NOOP
	ask users list
	says "$CAROL"
	ask users list carol0
	[ "$(grep -c @ "$work/said")" = 1 ] || fail "the list is not filtered"
	ask users show --json $CAROL
	says '"address": *"carol0001@relay-a.example"'
	ask users block $CAROL
	! carol imaps://relay-a.example/ -X NOOP || fail "who is blocked may log in"
	ask users unblock $CAROL
	carol imaps://relay-a.example/ -X NOOP || fail "who is unblocked may not log in"
	ask registration closed
	! curl_lab --user "dave00001@relay-a.example:correct-horse-battery" imaps://relay-a.example/ -X NOOP ||
		fail "a new account is made although registration is closed"
	echo correct-horse-battery >"$work/password"
	"$lab" net "$build/deploy/cmdeploy" users --config "$work/a.ini" create --password-stdin \
		dave00001@relay-a.example <"$work/password" || fail "users create"
	curl_lab --user "dave00001@relay-a.example:correct-horse-battery" imaps://relay-a.example/ -X NOOP ||
		fail "the account that was made cannot be used"
	ask registration status
	says closed
	ask registration open
	ask_in_vain 'add --yes' users delete dave00001@relay-a.example
	ask users delete --yes dave00001@relay-a.example
	ask users list
	! grep -q dave00001 "$work/said" || fail "who is deleted is still there"
	# As docs/operate.md has it.
	on a "cd /home/vmail/mail/relay-a.example/$CAROL && touch -d 2026-11-01 password && touch -r password /tmp/when
		printf 'another-password\nanother-password\n' | doveadm pw -s SHA512-CRYPT >/tmp/new 2>/dev/null
		cat /tmp/new >password && rm /tmp/new && touch -r /tmp/when password && rm /tmp/when"
	wait_for 10 curl_lab --user "$CAROL:another-password" imaps://relay-a.example/ -X NOOP ||
		fail "the new password is not taken"
	ask users delete --yes $CAROL
}

logs_by_hand() {
	local status=0
	ask logs dovecot --since '10 minutes ago'
	says '\*@relay-a.example'
	! grep -qE 'carol0001|10\.77\.0\.1' "$work/said" || fail "logs show addresses"
	ask logs dovecot --addresses --grep carol0001
	says "$CAROL"
	ask logs --grep 'nothing-has-this'
	says 'Nothing matches'
	ask_in_vain 'no such component' logs nothing
	ask_in_vain 'journal cannot be read' logs --since '$(touch /tmp/injected)'
	on a '[ ! -e /tmp/injected ]' || fail "what is asked for was run"
	"$lab" net timeout -s INT 3 "$build/deploy/cmdeploy" logs --config "$work/a.ini" chatmaild --follow \
		</dev/null >"$work/said" 2>&1 || status=$?
	[ $status = 130 ] || [ $status = 124 ] || fail "logs --follow ends with $status"
	on a '! pgrep -x journalctl' || fail "who follows is left behind"
}

scene_daily() {
	need a
	users_by_hand
	logs_by_hand
	queue_one
	ask queue
	says 'slow.example'
	! grep -q somebody "$work/said" || fail "the queue shows addresses"
	ask queue --json
	on a 'postsuper -d ALL 2>/dev/null; chatmailctl report; chatmailctl expire --dry-run; chatmailctl status
		curl -fsS --unix-socket /run/chatmaild/http.sock http://localhost/healthz'
}

# Without DNS, by an IPv4 address.
scene_nameless() {
	local ini=$work/nameless.ini answer address password
	"$lab" reset b
	rm -f "$ini"
	"$build/deploy/cmdeploy" init --config "$ini" 10.77.0.3
	printf '%s\n' 'disable_ipv6 = true' 'max_load_1m = 1000' >>"$ini"
	cmdeploy run --config "$ini" --packages "$packages" --binaries "$binaries" ||
		fail "cmdeploy run: $(tail -n 5 "$work/said")"
	answer=$("$lab" net curl -sSk -f -X POST https://10.77.0.3/new) || fail "POST /new"
	address=$(sed -n 's/.*"email": *"\([^"]*\)".*/\1/p' <<<"$answer")
	password=$(sed -n 's/.*"password": *"\([^"]*\)".*/\1/p' <<<"$answer")
	[[ $address == *@\[10.77.0.3\] ]] || fail "no address of the relay: $answer"
	"$lab" net curl -sSk --user "$address:$password" imaps://10.77.0.3/ -X NOOP || fail "no login as $address"
	grep -q dclogin <<<"$answer" || fail "no link: $answer"
}
