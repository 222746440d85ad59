# shellcheck shell=bash
# Scenarios of acceptance: deploying, once and again, back, with a cut connection, and while
# clients come and go. Sourced by it.

FROM_ZERO_MAX=30 # seconds, where Debian's packages are there
AGAIN_MAX=5
ROUND_TRIPS_MAX=5

from_zero() { # HOST: how long it took is in $seconds
	local began
	"$lab" reset "$1"
	write_ini "$1" </dev/null
	began=$EPOCHREALTIME
	deploy "$1"
	seconds=$(elapsed "$began")
	healthy "$1"
	tidy "$1"
}

# Others compute here, too, more than there are processors for.
busy() {
	less_than $(($(nproc) + 1)) "$(cut -d' ' -f1 /proc/loadavg)"
}

# within SECONDS WHAT COMMAND...: the command, which leaves its time in $seconds. It gets
# some attempts; on a busy machine the time is told and not judged.
within() {
	local attempt limit=$1 what=$2 note=
	shift 2
	for attempt in 1 2 3; do
		"$@"
		echo "--- attempt $attempt: $seconds s"
		! less_than "$seconds" "$limit" || break
		! busy || note=" (on a busy machine: the limit is $limit)"
		[ -z "$note" ] || break
	done
	[ -n "$note" ] || less_than "$seconds" "$limit" ||
		fail "$what takes $seconds s, at most $limit are allowed"
	figure "$what $seconds s$note"
}

scene_from_zero_external() {
	within $FROM_ZERO_MAX "from zero" from_zero a
	curl_lab -o /dev/null https://relay-a.example/ || fail "the certificate is not verified"
}

scene_from_zero_self_signed() {
	within $FROM_ZERO_MAX "from zero" from_zero b
	local said
	said=$("$lab" net openssl s_client -connect _relay-b.example:993 \
		-verify_hostname _relay-b.example </dev/null 2>&1 || :)
	grep -q 'Verify return code: 18 (self-signed certificate)' <<<"$said" ||
		fail "port 993 shows no self-signed certificate for the name"
}

deploy_again() { # HOST
	local began=$EPOCHREALTIME
	deploy "$1" -v
	seconds=$(elapsed "$began")
}

scene_again() {
	local host trips
	for host in a b; do
		need "$host"
		files_of "$host" >"$work/files.before"
		within $AGAIN_MAX "$host again" deploy_again "$host"
		says '^Nothing to do: the server is as chatmail.ini wants it.$'
		trips=$((1 + $(grep -c '^\[\$ ' "$work/said")))
		[ "$trips" -le $ROUND_TRIPS_MAX ] || fail "$trips round trips"
		figure "$trips round trips"
		files_of "$host" | diff "$work/files.before" - || fail "$host: files changed"
	done
}

# Parts of a deployment, each of which leaves the others alone.
scene_stages() {
	need b
	write_ini b <<<'max_user_send_per_minute = 33'
	deploy b --dry-run
	says '^In all: '
	deploy b --dry-run
	says '^In all: '
	CMDEPLOY_STAGES=configure deploy b
	! grep -q 'start chatmaild' "$work/said" || fail "the stage configure restarts units"
	deploy b
	says 'start chatmaild'
	nothing_to_do b
	deploy b --website-only
	deploy b --disable-mail
	[ "$(on b 'systemctl is-active postfix dovecot' | sort -u)" = inactive ] ||
		fail "--disable-mail leaves mail running"
	need b
	[ "$(on b 'systemctl is-active postfix dovecot' | sort -u)" = active ] ||
		fail "mail is not started again"
	healthy b
}

scene_rollback() {
	need a
	nothing_to_do a
	files_of a >"$work/files.before"
	units_of a >"$work/units.before"
	write_ini a <<-END
		max_user_send_per_minute = 7
		max_message_size = 20000000
		iroh_relay =
	END
	deploy a
	files_of a >"$work/files.between"
	! diff -q "$work/files.before" "$work/files.between" >/dev/null || fail "nothing was changed"
	on a 'systemctl is-active -q iroh-relay' && fail "iroh-relay still runs"
	deploy a --rollback
	files_of a | diff "$work/files.before" - || fail "files are not as before"
	units_of a | diff "$work/units.before" - || fail "units are not as before"
	healthy a
	tidy a
	need a
	nothing_to_do a
}

# The connection is killed at step N of a run from zero; counts the steps, too.
cut_at() { # N|STEP HOST
	local wrap=$work/ssh
	rm -rf "$wrap"
	mkdir -p "$wrap"
	cat >"$wrap/ssh" <<-END
		#!/bin/bash
		case " \$* " in
		*' ControlMaster=yes '*) echo \$\$ >"$wrap/master" ;;
		*' ControlMaster=no '*)
			exec /usr/bin/ssh "\$@" 2> >(
				n=\$(cat "$wrap/steps" 2>/dev/null || echo 0)
				while IFS= read -r line; do
					printf '%s\n' "\$line" >&2
					[[ \$line == '@step '* ]] || continue
					n=\$((n + 1))
					echo \$n >"$wrap/steps"
					echo "\$line" >"$wrap/last"
					[[ \$n != '$1' && \$line != '@step $1' ]] ||
						kill -KILL "\$(cat "$wrap/master")"
				done
			)
			;;
		esac
		exec /usr/bin/ssh "\$@"
	END
	chmod 755 "$wrap/ssh"
	PATH=$wrap:$PATH try_deploy "$2"
}

# A server from nothing, cut at a step: the next run is clean, and all that it takes.
cut_once() { # HOST STEP
	local step
	"$lab" reset "$1"
	! cut_at "$2" "$1" || fail "cut at step $2: not noticed"
	cat "$work/said"
	says -i 'run again'
	step="step $2 ($(sed 's/^@step //' "$work/ssh/last"))"
	echo "--- cut at $step"
	try_deploy "$1" || fail "after a cut at $step: $(tail -n 8 "$work/said")"
	healthy "$1"
	tidy "$1"
	nothing_to_do "$1"
}

# Every so many steps, on one of the servers; both are at it.
cut_walk() { # HOST FROM EVERY ALL
	local at
	work=$work/cut-$1
	rm -rf "$work"
	mkdir -p "$work"
	cut_ini "$1"
	for ((at = $2; at <= $4; at += $3)); do
		cut_once "$1" "$at"
	done >"$work/log" 2>&1
}

# So that both servers take the same steps.
cut_ini() { # HOST
	case $1 in
	a) write_ini a </dev/null ;;
	b) write_ini b <<<"$(grep '^tls_external_cert_and_key' "$work/../a.ini")" ;;
	esac
}

scene_cut() {
	local every=${CUT_EVERY:-10} from=${CUT_FROM:-10} all a b status=0
	write_ini a </dev/null
	"$lab" reset a
	cut_at 0 a || fail "the run that is only counted: $(tail -n 5 "$work/said")"
	all=$(cat "$work/ssh/steps")
	(cut_walk a "$from" $((2 * every)) "$all") &
	a=$!
	(cut_walk b $((from + every)) $((2 * every)) "$all") &
	b=$!
	wait "$a" || status=1
	wait "$b" || status=1
	cat "$work"/cut-[ab]/log
	[ "$status" = 0 ] || fail "$(cat "$work"/cut-[ab]/why 2>/dev/null)"
	figure "$(grep -c '^--- cut at' "$work"/cut-[ab]/log | awk -F: '{ n += $2 } END { print n }') cuts in $all steps"
}

# The same packages with a higher version.
make_upgrade() {
	local deb dir=$work/upgrade
	rm -rf "$dir"
	mkdir -p "$dir"
	for deb in "$packages"/chatmaild_*.deb "$packages"/chatmaild-dovecot-plugin_*.deb; do
		dpkg-deb -R "$deb" "$dir/tree"
		sed -i 's/^Version: .*/&+lab'"$1"'/' "$dir/tree/DEBIAN/control"
		dpkg-deb -b "$dir/tree" "$dir" >/dev/null
		rm -rf "$dir/tree"
	done
}

# Until $work/knock.stop exists: accounts, logins and submissions, as clients make them.
clients() { # NUMBER
	local made=0 login
	login=up$(printf '%07d' "$1")@relay-a.example:correct-horse-battery
	while [ ! -e "$work/knock.stop" ]; do
		curl_lab --user "$login" imaps://relay-a.example/ -X NOOP >/dev/null ||
			echo "IMAP login $made" >>"$work/knock.refused"
		curl_lab --user "$login" smtps://relay-a.example/ -X NOOP >/dev/null ||
			echo "SMTP login $made" >>"$work/knock.refused"
		curl_lab -f -o /dev/null -X POST https://relay-a.example/new ||
			echo "POST /new $made" >>"$work/knock.refused"
		made=$((made + 3))
	done
	echo "$made" >>"$work/knock.made"
}

scene_upgrade() {
	local before after made version cursor
	need a
	put "$build/test/lab/knock" a /usr/local/lib/knock
	before=$(on a 'systemctl show -p MainPID --value chatmaild')
	version=$(date +%s)
	make_upgrade "$version"
	rm -f "$work"/knock.*
	cursor=$(since a)
	on a 'systemctl reset-failed lab-knock 2>/dev/null || :
		systemd-run -q --unit=lab-knock /usr/local/lib/knock \
		/run/chatmaild/auth.sock /run/chatmaild/metadata.sock /run/chatmaild/lastlogin.sock \
		/run/chatmaild/http.sock \
		/var/spool/postfix/chatmaild/outgoing.sock /var/spool/postfix/chatmaild/incoming.sock'
	clients 1 &
	clients 2 &
	sleep 2
	packages=$work/upgrade deploy a
	after=$(on a 'systemctl show -p MainPID --value chatmaild')
	sleep 2
	touch "$work/knock.stop"
	wait
	on a 'systemctl stop lab-knock'
	[ "$before" != "$after" ] || fail "the daemon was not restarted"
	grep -q "lab$version" <<<"$(on a "dpkg-query -W -f '\${Version}' chatmaild")" ||
		fail "the package was not upgraded"
	journal a "$cursor" -u lab-knock >"$work/knock"
	cat "$work/knock"
	grep -q '^0 of .* refused' "$work/knock" || fail "sockets: $(grep refused "$work/knock")"
	[ ! -e "$work/knock.refused" ] || fail "clients were refused: $(sort "$work/knock.refused" | uniq -c | head)"
	made=$(awk '{ n += $1 } END { print n }' "$work/knock.made")
	figure "$(grep 'of .* refused' "$work/knock")"
	figure "$made logins and accounts of clients, none refused"
	deploy a
	nothing_to_do a
}
