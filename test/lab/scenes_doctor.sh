# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenarios of acceptance: cmdeploy doctor, on a relay that is sound and on one with a fault of
# each kind. Sourced by it.

DOCTOR_MAX=60 # seconds, also where nothing answers
EXIT_WARNINGS=3

# Relay A with all that a doctor looks at: a TURN server that relays, somebody who takes
# notifications, and B, which takes mail.
doctor_needs() {
	need b
	write_ini a </dev/null
	deploy a
	on a 'systemctl is-active -q lab-push' 2>/dev/null || start_push_service ||
		fail "the push service does not start"
	doctor_ini </dev/null
	deploy a
	load_zone a
}

doctor_ini() { # more lines come on stdin
	{
		printf '%s\n' 'turn_secret = not-so-secret' "push_url = https://localhost:$PUSH_PORT/notify" \
			'push_ca_file = /etc/chatmaild/lab-push.crt'
		cat
	} | write_ini a
}

# The doctor's opinion of A in $work/said.json, and its exit code in $status.
doctor() { # ARGUMENTS...
	status=0
	SSL_CERT_FILE=$ca "$lab" net timeout 120 "$build/deploy/cmdeploy" doctor \
		--config "$work/a.ini" --mail-host _relay-b.example --json "$@" \
		</dev/null >"$work/said.json" 2>"$work/said.err" || status=$?
	[ -s "$work/said.json" ] || fail "doctor says nothing: $(cat "$work/said.err")"
}

# What the doctor names as causes, a key and its words a line.
causes() {
	jq -r '.findings[] | select(.severity == "warning" or .severity == "trouble")
		| select(.because == null) | .probe + ": " + .cause' "$work/said.json"
}

consequences() {
	jq -r '.findings[] | select(.because != null) | .probe' "$work/said.json"
}

# No account of the doctor's is left, nor a message of it.
left_nothing() {
	local left
	left=$(on a 'ls /home/vmail/mail/*/ 2>/dev/null | grep ^ci- || :
		postqueue -j 2>/dev/null | grep nobody.invalid || :
		systemctl list-units --plain --no-legend "cmdeploy-doctor-*" || :')
	[ -z "$left" ] || fail "the doctor left behind: $left"
}

scene_doctor_sound() {
	local n
	doctor_needs
	for _ in 1 2 3; do
		doctor
		cat "$work/said.json"
		[ -z "$(causes)" ] || fail "found on a sound relay: $(causes)"
		[ "$status" = 0 ] || fail "exit code $status"
	done
	n=$(jq '[.findings[] | select(.severity == "sound")] | length' "$work/said.json")
	[ "$(jq '[.findings[] | select(.severity == "untried")] | length' "$work/said.json")" = 0 ] ||
		fail "not all was tried: $(jq -c '.findings[] | select(.severity == "untried")' "$work/said.json")"
	for key in "mail login" "mail arrive" "mail cleartext" "mail dkim" turn iroh push resolver "out 25"; do
		jq -e --arg key "$key" 'any(.findings[]; .probe == $key and .severity == "sound")' \
			"$work/said.json" >/dev/null || fail "'$key' is not sound"
	done
	left_nothing
	figure "$n probes sound in $(jq .seconds "$work/said.json") s," \
		"$(jq -r '.findings[] | select(.probe == "mail arrive") | .cause' "$work/said.json")"
}
