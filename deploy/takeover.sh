# Taking the place of a Python relay, and giving it back: functions as those of server.sh,
# which they follow.
#
# $D/taken-over holds what it had: files/PATH; list, the paths that are ours now, be they in
# files or not; units, "UNIT ENABLED ACTIVE" each; begun, once its services were stopped.

T=$D/taken-over

# Did we write what is there?
is_ours() { # PATH
	[ -f "$1" ] && [ ! -L "$1" ] || return 1
	set -- "$(sha256sum <"$1")"
	[ -e "$D/blobs/${1%% *}" ] || [ -e "$D/binaries/${1%% *}" ]
}

list_path() { # PATH
	grep -qsxF -e "$1" "$T/list" || printf '%s\n' "$1" >>"$T/list"
}

# Before anything is changed. A run that ended early may have put files of ours already: then
# what was kept first is theirs. Directories are only ever set aside.
keep_theirs() { # PATH...
	step 'a copy of what the Python relay has'
	mkdir -p "$T/files"
	chmod 700 "$T"
	for path; do
		list_path "$path"
		[ -f "$path" ] || [ -L "$path" ] || continue
		if is_ours "$path" && [ -e "$T/files$path" ]; then
			continue
		fi
		mkdir -p "$T/files$(dirname "$path")"
		cp -aT "$path" "$T/files$path"
	done
	sync
}

keep_units() { # UNIT...
	[ ! -e "$T/begun" ] || return 0
	step 'which units run'
	for unit; do
		printf '%s %s %s\n' "$unit" \
			"$(systemctl is-enabled "$unit" 2>/dev/null | head -n 1 | grep . || echo unknown)" \
			"$(systemctl is-active "$unit" || :)"
	done >"$T/units.new"
	mv "$T/units.new" "$T/units"
	sync
}

# ---- the switch ----

# Postfix reads main.cf and master.cf at different times: of one relay's and of the other's
# it would make a third, that refuses mail. While its master stands still, no process of it
# starts, those that run go on, and who connects waits.
freeze_postfix() {
	step 'Postfix stands still'
	pid=$(tr -d ' ' </var/spool/postfix/pid/master.pid 2>/dev/null) || return 0
	[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != master ] || kill -STOP "$pid"
}

thaw_postfix() {
	pid=$(tr -d ' ' </var/spool/postfix/pid/master.pid 2>/dev/null) || return 0
	kill -CONT "$pid" 2>/dev/null || :
}

# While Dovecot takes its time: without its sockets Postfix is not to be started anew.
stop_postfix() {
	thaw_postfix
	systemctl stop --no-block postfix@-.service
}

# From here to its end nothing waits for the operator, who may be gone: the relay is not to
# stay between the two. When something fails, the old relay comes back.
begin_switch() {
	trap '' HUP INT PIPE TERM
	trap switch_failed EXIT
	step 'switch to our services'
	: >"$T/begun"
	sync "$T"
	freeze_postfix
}

# Dovecot closes its doors first, so that nobody asks the services that go, and what is to be
# delivered waits in the queue. What it is delivering may be saved, but not acknowledged yet:
# its hook still asks those services, and without an answer Postfix would send it again.
# Dovecot then takes its time for the sessions that are open; nobody waits for that here.
close_dovecot() {
	systemctl stop --no-block dovecot.service
	sleep 0.2
	left=40
	while [ $left -gt 0 ] && ss -Hx 2>/dev/null | grep -q dovecot-lmtp; do
		left=$((left - 1))
		sleep 0.1
	done
}

stop_theirs() { # UNIT...
	step 'services of the Python relay: stop'
	close_dovecot
	systemctl stop "$@" 2>/dev/null || : # not all of them are on every relay
}

# Device tokens and notifications come from files of the accounts: in a moment, but for many
# accounts. The first mails would ring no phone.
await_import() {
	step 'device tokens and notifications'
	left=100
	while [ $left -gt 0 ] && curl -sS -m 2 --unix-socket /run/chatmaild/http.sock \
		http://localhost/metrics 2>/dev/null | grep -q '^chatmail_users_rebuilding 1'; do
		left=$((left - 1))
		sleep 0.05
	done
}

# What failed to reach Dovecot meanwhile would wait for minutes.
end_switch() {
	trap - EXIT HUP INT PIPE TERM
	postqueue -f 2>/dev/null || :
}

# The last step that was told is the one that failed.
switch_failed() {
	trap - EXIT
	set +e
	step() { :; }
	note 'The switch failed: the Python relay is put back.'
	go_back
	rm -f "$T/begun"
	exit 1
}

# Behind the switch: what it had, out of the way.
set_aside() { # PATH...
	mkdir -p "$T/files"
	chmod 700 "$T"
	units=
	for path; do
		case $path in
		/etc/systemd/system/*) [ ! -e "$path" ] || units="$units ${path##*/}" ;;
		esac
	done
	! grep -qs '^fcgiwrap.socket ' "$T/units" ||
		units="$units fcgiwrap.socket fcgiwrap.service"
	# shellcheck disable=SC2086 # units are words
	[ -z "$units" ] || systemctl disable --now -q $units 2>/dev/null || :
	for path; do
		[ -e "$path" ] || [ -L "$path" ] || continue
		list_path "$path"
		rm -rf "$T/files$path"
		mkdir -p "$T/files$(dirname "$path")"
		mv -T "$path" "$T/files$path"
	done
	systemctl daemon-reload
}

# ---- the way back ----

# The daemon's memory becomes files as the Python services read them, and is put aside.
hand_back_state() {
	[ -e /usr/bin/chatmailctl ] && [ -e /etc/chatmaild/chatmail.ini ] || return 0
	step 'device tokens and notifications, as the Python services keep them'
	runuser -u vmail -- chatmailctl hand-back </dev/null >&2
}

# What is there to do with the units, as lists of words: ours go, theirs are as they were.
read_units() {
	gone='chatmaild.socket chatmaild-filter.socket chatmaild-http.socket chatmaild.service'
	mask='' enable='' disable='' start='' stop=''
	while read -r unit enabled active; do
		case $enabled in
		masked*) mask="$mask $unit" stop="$stop $unit" && continue ;;
		enabled) enable="$enable $unit" ;;
		disabled) disable="$disable $unit" ;;
		unknown | not-found) gone="$gone $unit" && continue ;;
		esac
		case $active in
		active | activating | reloading) start="$start $unit" ;;
		*) stop="$stop $unit" ;;
		esac
	done <"$T/units"
}

# systemctl, for words of which there may be none, and units of which it may know nothing.
with_units() { # VERB-AND-OPTIONS UNITS
	# shellcheck disable=SC2086 # both are words
	[ -z "$2" ] || systemctl $1 $2 2>/dev/null || :
}

# Copied, not moved: a connection that is cut here must find it all again.
put_back() { # PATH
	if [ -d "$T/files$1" ] && [ ! -L "$T/files$1" ]; then
		[ ! -e "$1" ] || return 0
		rm -rf "$1.cmdeploy-new"
		cp -aT "$T/files$1" "$1.cmdeploy-new"
		mv -T "$1.cmdeploy-new" "$1"
	elif [ -e "$T/files$1" ] || [ -L "$T/files$1" ]; then
		mkdir -p "$(dirname "$1")"
		cp -aT "$T/files$1" "$1.cmdeploy-new"
		mv -fT "$1.cmdeploy-new" "$1" 2>/dev/null || {
			cat "$1.cmdeploy-new" >"$1"
			rm "$1.cmdeploy-new"
		}
	elif [ -f "$1" ] || [ -L "$1" ]; then
		rm -f "$1"
		rmdir --ignore-fail-on-non-empty "$(dirname "$1")"
	fi
}

# What later runs put where nothing was when the relay was taken over.
forget_ours() {
	tab=$(printf '\t')
	cat "$D"/generations/*/manifest 2>/dev/null |
		while IFS=$tab read -r kind _ path hash _; do
			[ "$kind" = file ] || continue
			! grep -qsxF -e "$path" "$T/list" || continue
			! has_hash "$hash" "$path" || rm -f "$path"
		done
}

# Our config is needed for one thing more.
put_theirs() {
	step 'files of the Python relay'
	forget_ours
	while IFS= read -r path; do
		[ "$path" = /etc/chatmaild/chatmail.ini ] || put_back "$path"
	done <"$T/list"
}

# All that can be done while ours run comes first. Then it is as in the switch: what comes for
# the mailboxes meanwhile waits in the queue.
go_back() {
	read_units
	with_units 'disable --no-reload -q' "$gone"
	freeze_postfix
	put_theirs
	with_units 'mask --no-reload -q' "$mask"
	with_units 'unmask --no-reload -q' "$enable $disable"
	with_units 'enable --no-reload -q' "$enable"
	with_units 'disable --no-reload -q' "$disable"
	systemctl daemon-reload
	step 'our services: stop'
	close_dovecot
	with_units stop "$gone"
	hand_back_state
	put_back /etc/chatmaild/chatmail.ini
	with_units stop "$stop"
	stop_postfix
	step "start$start"
	# shellcheck disable=SC2086 # units are words
	[ -z "$start" ] || systemctl restart $start ||
		note 'Not all of it starts: systemctl --failed tells which.'
	postqueue -f 2>/dev/null || :
}

# The relay that was taken over, with all that came since. Packages of Debian stay.
give_back() {
	[ -e "$T/units" ] || die 'This server was not taken over from a Python relay:' \
		'there is nothing to give back.'
	trap '' HUP INT PIPE TERM
	go_back
	step 'our packages'
	configure_packages
	for package in chatmaild-dovecot-plugin chatmaild; do
		! dpkg-query -W "$package" >/dev/null 2>&1 ||
			dpkg --remove "$package" </dev/null >&2 9>&-
	done
	rm -rf "$D/generations" "$D/pending" "$T"
	mkdir "$D/generations" "$D/pending"
}
