# shellcheck shell=bash
# Which processes are the lab's: RUN/NAME.pid holds a pid and its start time, so that a
# number that went to another process is never touched. Sourced by lab.

start_time() {
	local s
	{ s=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
	read -ra s <<<"${s##*) }"
	[ "${s[0]}" != Z ] && echo "${s[19]}"
}

pid_of() {
	local pid start
	[ -s "$RUN/$1.pid" ] && read -r pid start <"$RUN/$1.pid" || return 1
	[ "$(start_time "$pid")" = "$start" ] && echo "$pid"
}

spawn() { # NAME CMD...: start a recorded daemon that holds neither our lock nor our output
	local name=$1 pid
	shift
	setsid "$@" </dev/null >"$RUN/$name.log" 2>&1 9>&- &
	pid=$!
	echo "$pid $(start_time "$pid")" >"$RUN/$name.pid"
}

wait_for() { # SECONDS CMD...
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

gone() { ! pid_of "$1" >/dev/null; }

stop() { # NAME...: ask all, then wait, then force
	local n p
	for n in "$@"; do
		if p=$(pid_of "$n"); then kill -TERM "$p" || true; fi
	done
	for n in "$@"; do
		wait_for 30 gone "$n" || {
			say "$n does not stop, killing it"
			if p=$(pid_of "$n"); then kill -KILL "$p" || true; fi
			wait_for 5 gone "$n" || die "cannot stop $n"
		}
		rm -f "$RUN/$n.pid"
	done
}

# Runs a function of this script in a mount namespace of its own.
private() { unshare --mount --propagation private bash "$SELF" "__$1" "${@:2}"; }
in_core() {
	local p
	p=$(pid_of core) || die "lab is down"
	nsenter -t "$p" -n "$@"
}

leader() { # HOST: pid of the machine's systemd, below our loop and nspawn
	local p
	p=$(pid_of "host-$1") && p=$(pgrep -o -P "$p" -x systemd-nspawn) && pgrep -o -P "$p"
}

enter() { # HOST CMD...
	local l
	l=$(leader "$1") || die "host $1 is down"
	shift
	nsenter -t "$l" -m -u -i -n -p -C -r -w env -i HOME=/root USER=root LOGNAME=root \
		SHELL=/bin/bash TERM="${TERM:-dumb}" \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
