# shellcheck shell=bash
# What scripts show while they work: one line a step, alive while it lasts, and the end of
# its log when it fails. Sourced.

step_pid=
step_logs=${step_logs:-}

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# End the step that runs, if one does: for traps, since a background job ignores Ctrl-C.
step_cancel() {
	[ -n "$step_pid" ] || return 0
	kill -- "-$step_pid" 2>/dev/null || kill "$step_pid" 2>/dev/null || :
	wait "$step_pid" 2>/dev/null || :
	step_pid=
}

# A dot every two seconds, the elapsed time every twenty.
step_watch() {
	local start=$SECONDS ticks=0
	while kill -0 "$step_pid" 2>/dev/null; do
		sleep 0.2
		ticks=$((ticks + 1))
		[ $((ticks % 10)) -ne 0 ] || printf '.'
		[ $((ticks % 100)) -ne 0 ] || printf ' %d s ' $((SECONDS - start))
	done
}

# step TEXT COMMAND...: run COMMAND (a function will do) with its output in a log.
step() {
	local text=$1 log status=0 start=$SECONDS
	shift
	log=$(mktemp "${step_logs:-${TMPDIR:-/tmp}}/step.XXXXXX")
	printf '%-52s ' "$text"
	# Its own process group, so that step_cancel reaches the grandchildren too.
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	step_pid=$!
	set +m
	step_watch
	wait "$step_pid" || status=$?
	step_pid=
	if [ "$status" -eq 0 ]; then
		printf ' ok (%d s)\n' $((SECONDS - start))
		rm -f "$log"
		return 0
	fi
	printf ' failed (%d s)\n' $((SECONDS - start))
	tail -n "${step_tail:-25}" "$log" >&2
	say "The whole log: $log" >&2
	return "$status"
}
