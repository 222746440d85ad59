# shellcheck shell=bash
# Scenarios of acceptance: deploying, once and again, back, with a cut connection, and while
# clients come and go. Sourced by it.

FROM_ZERO_MAX=30 # seconds, where Debian's packages are there
AGAIN_MAX=5
ROUND_TRIPS_MAX=5

from_zero() { # HOST [SECONDS]: within this time, on a machine that has nothing else to do
	local began seconds
	"$lab" reset "$1"
	write_ini "$1" </dev/null
	began=$EPOCHREALTIME
	deploy "$1"
	seconds=$(elapsed "$began")
	[ -z "${2-}" ] || at_most "seconds" "$seconds" "$2"
	healthy "$1"
	tidy "$1"
	figure "$seconds s from zero"
}

scene_from_zero_external() {
	from_zero a $FROM_ZERO_MAX
	curl_lab -o /dev/null https://relay-a.example/ || fail "the certificate is not verified"
}

scene_from_zero_self_signed() {
	from_zero b $FROM_ZERO_MAX
	"$lab" net openssl s_client -connect _relay-b.example:993 -verify_hostname _relay-b.example \
		</dev/null 2>&1 | grep -q 'Verify return code: 18 (self-signed certificate)' ||
		fail "port 993 shows no self-signed certificate for the name"
}

scene_again() {
	local host began seconds trips
	for host in a b; do
		need "$host"
		files_of "$host" >"$work/files.before"
		began=$EPOCHREALTIME
		deploy "$host" -v
		seconds=$(elapsed "$began")
		says '^Nothing to do: the server is as chatmail.ini wants it.$'
		trips=$((1 + $(grep -c '^\[\$ ' "$work/said")))
		at_most "seconds" "$seconds" $AGAIN_MAX
		at_most "round trips" "$trips" $ROUND_TRIPS_MAX
		files_of "$host" | diff "$work/files.before" - || fail "$host: files changed"
		figure "$host: $seconds s, $trips round trips"
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
cut_at() { # N
	local wrap=$work/cut
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
					[ \$n != $1 ] || kill -KILL "\$(cat "$wrap/master")"
				done
			)
			;;
		esac
		exec /usr/bin/ssh "\$@"
	END
	chmod 755 "$wrap/ssh"
	PATH=$wrap:$PATH try_deploy a
}

scene_cut() {
	local at=${CUT_FROM:-10} all cuts=0
	write_ini a </dev/null
	"$lab" reset a
	cut_at 0 || fail "the run that is only counted: $(tail -n 5 "$work/said")"
	all=$(cat "$work/cut/steps")
	echo "--- $all steps"
	while [ "$at" -le "$all" ]; do
		"$lab" reset a
		! cut_at "$at" || fail "cut at step $at of $all: not noticed"
		cat "$work/said"
		says -i 'run again'
		echo "--- cut at step $at: $(cat "$work/cut/last")"
		try_deploy a || fail "after a cut at step $at ($(cat "$work/cut/last")): $(tail -n 8 "$work/said")"
		healthy a
		tidy a
		try_deploy a && grep -q '^Nothing to do' "$work/said" ||
			fail "after a cut at step $at ($(cat "$work/cut/last")) the second run has something to do: $(tail -n 8 "$work/said")"
		at=$((at + ${CUT_EVERY:-10})) cuts=$((cuts + 1))
	done
	figure "$cuts cuts in $all steps"
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
	on a "dpkg-query -W -f '\${Version}' chatmaild" | grep -q "lab$version" ||
		fail "the package was not upgraded"
	on a "journalctl --after-cursor='$cursor' -u lab-knock -o cat --no-pager" >"$work/knock"
	cat "$work/knock"
	grep -q '^0 of .* refused' "$work/knock" || fail "sockets: $(grep refused "$work/knock")"
	[ ! -e "$work/knock.refused" ] || fail "clients were refused: $(sort "$work/knock.refused" | uniq -c | head)"
	made=$(awk '{ n += $1 } END { print n }' "$work/knock.made")
	figure "$(grep 'of .* refused' "$work/knock")"
	figure "$made logins and accounts of clients, none refused"
	deploy a
	nothing_to_do a
}
