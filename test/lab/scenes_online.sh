# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenarios of acceptance: what an operator tries a deployed relay with, cmdeploy test and
# cmdeploy bench, from his machine, on one relay and on two. Sourced by it.

# cmdeploy as the operator of A calls it, who trusts the lab's authority; in $work/said.
as_operator() {
	SSL_CERT_FILE=$ca "$lab" net timeout 900 "$build/deploy/cmdeploy" "$@" \
		--config "$work/a.ini" </dev/null >"$work/said" 2>&1
}

accounts_of() { # HOST
	on "$1" 'chatmailctl users list' | awk '{ print $NF }' | sort
}

# Both relays, and the accounts that were there before.
need_both() {
	need_client
	need a
	need b
	trust_clients
	accounts_of a >"$work/accounts.a"
	accounts_of b >"$work/accounts.b"
}

no_guest_is_left() {
	local host
	for host in a b; do
		accounts_of $host | diff "$work/accounts.$host" - ||
			fail "$host: accounts were left behind"
	done
}

# figure_of NAME: the median of a measure, in ms, out of $work/bench.json
figure_of() {
	awk -v name="\"$1\"," '$1 == "\"name\":" { found = $2 == name }
		found && $1 == "\"median\":" { printf "%.0f ms", $2 * 1000; exit }' "$work/bench.json"
}

scene_bench() {
	need_both
	as_operator bench --rpc-server "$client" --domain2 "$LAB_DOMAIN_B" \
		--json "$work/bench.json" --svg "$work/bench.svg" || fail "$(tail -n 5 "$work/said")"
	cat "$work/said"
	no_guest_is_left
	figure "A to A $(figure_of round_trip), A to B $(figure_of round_trip_two), onboarding $(figure_of onboarding)"
	grep -q '</svg>' "$work/bench.svg" || fail "no picture"
	as_operator bench --rpc-server "$client" --rounds 1 --compare "$work/bench.json" ||
		fail "$(tail -n 5 "$work/said")"
	cat "$work/said"
	says '^    formerly .* of it$'
	no_guest_is_left
	interrupted_bench
}

# In the middle of a conversation.
interrupted_bench() {
	local left
	SSL_CERT_FILE=$ca "$lab" net timeout --foreground -s INT 15 "$build/deploy/cmdeploy" bench \
		--rpc-server "$client" --config "$work/a.ini" --rounds 100 </dev/null >"$work/said" 2>&1 &&
		fail "not interrupted"
	cat "$work/said"
	says '^Interrupted'
	no_guest_is_left
	left=$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'cmdeploy-bench-*' -newer "$work/accounts.b")
	[ -z "$left" ] || fail "left behind: $left"
}

scene_online() {
	need_both
	as_operator test --domain2 "$LAB_DOMAIN_B" || fail "$(grep -A 1 FAILED "$work/said" | head -n 6)"
	cat "$work/said"
	says '^[0-9]+ passed, 0 skipped, 0 failed in '
	no_guest_is_left
	figure "$(grep ' passed, ' "$work/said")"
	as_operator test --stop || fail "on one relay: $(grep -A 1 FAILED "$work/said")"
	says '^skipped +to_second '
	says 'there is no second relay'
	no_guest_is_left
	failing_tests
	interrupted_test
	closed_doors
	! as_operator test --ssh-host2 root@nowhere.example --domain2 nowhere.example ||
		fail "a server that cannot be tidied up is tested"
	! grep -q '^ok ' "$work/said" || fail "tests were run all the same"
	no_guest_is_left
}

# Without the web server: one test fails, the exit code tells, and --stop stops there.
failing_tests() {
	on a 'systemctl stop nginx'
	! as_operator test --stop imap_creates web_account round_trip || fail "all is well without nginx"
	cat "$work/said"
	on a 'systemctl start nginx'
	says '^FAILED +web_account .* POST /new gives an account$'
	says '^1 passed, 0 skipped, 1 failed in '
	no_guest_is_left
}

# While guests are there.
interrupted_test() {
	SSL_CERT_FILE=$ca "$lab" net timeout --foreground -s INT 4 "$build/deploy/cmdeploy" test \
		--config "$work/a.ini" </dev/null >"$work/said" 2>&1 && fail "not interrupted"
	cat "$work/said"
	says '^ok +imap_creates '
	says '^Interrupted'
	no_guest_is_left
}

# Nobody can come, so nothing is tried.
closed_doors() {
	on a 'chatmailctl registration closed'
	! as_operator test || fail "guests came in"
	on a 'chatmailctl registration open'
	says 'guests are not let in, registration is closed'
}
