# shellcheck shell=bash
# What the scenarios of acceptance have in common. Sourced by it.

# A pipe into grep -q fails now and then, as grep leaves before the other is done: what is
# searched comes as a here-string.

# Why the scenario failed; ends it.
fail() {
	printf '%s\n' "$*" >"$work/why"
	exit 1
}

# Said behind the scenario's name if it passes.
figure() {
	printf '%s\n' "$*" >>"$work/figures"
}

elapsed() { # SINCE: seconds, of two values of EPOCHREALTIME
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

less_than() { # VALUE LIMIT
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'
}

# Does the last run's output say so? As grep takes it.
says() { # ARGUMENTS... PATTERN
	grep -qE "$@" "$work/said" || fail "nothing said of '${*: -1}': $(tail -n 5 "$work/said")"
}

domain_of() {
	case $1 in a) echo "$LAB_DOMAIN_A" ;; b) echo "$LAB_DOMAIN_B" ;; esac
}

# The operator's file of a server, as he would begin it; more lines come on stdin.
write_ini() { # HOST
	rm -f "$work/$1.ini"
	"$build/deploy/cmdeploy" init --config "$work/$1.ini" "$(domain_of "$1")"
	# The load is that of the machine the lab is on.
	printf '%s\n' 'disable_ipv6 = true' 'max_load_1m = 1000' >"$work/keys"
	[ "$1" = b ] || printf 'tls_external_cert_and_key = %s %s\n' \
		/etc/ssl/lab/fullchain.pem /etc/ssl/lab/privkey.pem >>"$work/keys"
	cat >>"$work/keys"
	# A key is given once: what init wrote of it goes.
	cut -d= -f1 "$work/keys" | tr -d ' ' | while read -r key; do
		sed -i "/^$key *=/d" "$work/$1.ini"
	done
	cat "$work/keys" >>"$work/$1.ini"
}

# cmdeploy on the lab's network, all that it says in $work/said.
cmdeploy() {
	"$lab" net timeout 300 "$build/deploy/cmdeploy" "$@" </dev/null >"$work/said" 2>&1
}

try_deploy() { # HOST ARGUMENTS...
	local host=$1
	shift
	cmdeploy run --config "$work/$host.ini" --packages "$packages" --binaries "$binaries" "$@"
}

deploy() { # HOST ARGUMENTS...
	try_deploy "$@" || fail "cmdeploy run: $(tail -n 12 "$work/said")"
	cat "$work/said"
}

refused() { # HOST ARGUMENTS...
	! try_deploy "$@" || fail "cmdeploy run: not refused: $(tail -n 5 "$work/said")"
	cat "$work/said"
}

nothing_to_do() { # HOST ARGUMENTS...
	deploy "$@"
	says '^Nothing to do: the server is as chatmail.ini wants it.$'
}

# A server with its relay and its zone, as the standard file wants it.
need() { # HOST
	write_ini "$1" </dev/null
	deploy "$1"
	load_zone "$1"
}

# A server that was made anew has other keys than those that the others remember.
load_zone() { # HOST
	local host
	cmdeploy dns --config "$work/$1.ini" --zonefile "$work/$1.zone" ||
		fail "cmdeploy dns: $(cat "$work/said")"
	"$lab" dns load "$work/$1.zone"
	for host in a b; do
		on "$host" 'unbound-control -q flush_zone . 2>/dev/null' || :
	done
}

on() { # HOST SCRIPT
	"$lab" exec "$1" "$2"
}

put() { # FILE HOST PATH: a program
	"$lab" exec "$2" "cat >'$3' && chmod 755 '$3'" <"$1"
}

# As a client, to whom the lab's authority is good.
curl_lab() {
	"$lab" net curl -sS --max-time 20 --cacert "$ca" "$@"
}

wait_for() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

since() { # HOST: the journal from now on
	on "$1" 'journalctl -n 0 --show-cursor --no-pager' | sed -n 's/^-- cursor: //p'
}

# With -u the first entry is lost where the cursor's own is of another unit.
journal() { # HOST SINCE [OPTION]...
	on "$1" "journalctl --after-cursor='$2' --no-pager -o cat ${*:3}"
}

# Everything runs, nothing has failed, and the doors are open.
healthy() { # HOST
	local port state
	state=$(on "$1" 'systemctl is-system-running' || :)
	[ "$state" = running ] ||
		fail "$1 is $state: $(on "$1" 'systemctl list-units --failed --plain --no-legend')"
	for port in 25 80 143 443 465 587 993; do
		on "$1" "ss -Hltn 'sport = :$port' | grep -q ." || fail "$1: nobody listens on $port"
	done
	[ "$("$lab" net curl -sSk -o /dev/null -w '%{http_code}' "https://$(domain_of "$1")/")" = 200 ] ||
		fail "$1: no web page"
}

# Nothing of an unfinished run is left.
tidy() { # HOST
	local left
	left=$(on "$1" 'find /etc /usr/local /var/www /var/lib/acme -xdev \
			-name "*.cmdeploy-new" -o -name "*.cmdeploy" 2>/dev/null
		cd /var/lib/cmdeploy
		find pending undo upload trial change.sh blobs/.new generations/.new \
			-mindepth 0 -not -name pending 2>/dev/null
		ls /usr/sbin/policy-rc.d 2>/dev/null
		dpkg --audit
		grep " /var/lib/cmdeploy/" /proc/mounts' || :)
	[ -z "$left" ] || fail "$1: left behind: $left"
}

# All files that a deployment may touch, with their contents and rights.
files_of() { # HOST
	on "$1" 'find /etc /usr/local /var/www /var/lib/acme -xdev \
			! -path "/etc/ssl/certs/*" -printf "%p %y %m %u:%g %l\n"
		find /etc /usr/local /var/www /var/lib/acme -xdev -type f -exec sha256sum {} +' | sort
}

units_of() { # HOST
	on "$1" 'systemctl list-units --plain --no-legend --type=service,socket,path,timer |
		grep -v "^\(user\|session\|run-\|systemd-\|apt-\|dpkg-\|chatmail-echobot@\)" | awk "{ print \$1, \$3 }"
		systemctl list-unit-files --plain --no-legend | awk "{ print \$1, \$2 }"' | sort
}
