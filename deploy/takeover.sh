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

# From here to its end nothing waits for the operator, who may be gone: the relay is not to
# stay between the two. When something fails, the old relay comes back.
# Dovecot stops first: then nobody asks the services that go, and mail waits in the queue.
begin_switch() { # UNIT...
	trap '' HUP INT PIPE TERM
	trap switch_failed EXIT
	step 'switch to our services'
	: >"$T/begun"
	sync
	systemctl stop dovecot.service
	for unit; do
		[ "$(systemctl show -p LoadState --value "$unit")" = not-found ] ||
			systemctl disable --now -q "$unit"
	done
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

# Postfix reads main.cf and master.cf at different times: of one relay's and of the other's
# it would make a third, that refuses mail.
pause_postfix() {
	step 'Postfix: stop'
	systemctl stop postfix@-.service
}

# What failed to reach Dovecot meanwhile would wait for minutes.
end_switch() {
	trap - EXIT HUP INT PIPE TERM
	postqueue -f 2>/dev/null || :
}

switch_failed() {
	trap - EXIT
	set +e
	note 'The switch failed: the Python relay is put back.'
	stop_ours
	put_theirs
	rm -f "$T/begun"
	exit 1
}

# Behind the switch: what it had, out of the way.
set_aside() { # PATH...
	mkdir -p "$T/files"
	chmod 700 "$T"
	for unit in fcgiwrap.socket fcgiwrap.service; do
		! grep -qs "^$unit " "$T/units" || systemctl disable --now -q "$unit"
	done
	for path; do
		[ -e "$path" ] || [ -L "$path" ] || continue
		case $path in
		/etc/systemd/system/*) systemctl disable --now -q "${path##*/}" || : ;;
		esac
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

# What comes for the mailboxes waits in the queue, as in the switch.
stop_ours() {
	step 'our services: stop'
	systemctl stop postfix@-.service dovecot.service
	while read -r unit enabled _; do
		case $enabled in
		unknown | not-found) ;;
		*) continue ;;
		esac
		[ "$(systemctl show -p LoadState --value "$unit")" = not-found ] ||
			systemctl disable --now -q "$unit" 2>/dev/null || :
	done <"$T/units"
	systemctl stop chatmaild.socket chatmaild-filter.socket chatmaild-http.socket \
		chatmaild.service 2>/dev/null || :
	hand_back_state
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
			[ "$kind" = file ] && ! grep -qsxF -e "$path" "$T/list" || continue
			! has_hash "$hash" "$path" || rm -f "$path"
		done
}

put_theirs() {
	step 'files of the Python relay'
	forget_ours
	while IFS= read -r path; do
		put_back "$path"
	done <"$T/list"
	systemctl daemon-reload
	while read -r unit enabled active; do
		step "$unit: as it was, $enabled, $active"
		case $enabled in
		masked*)
			systemctl mask --now -q "$unit"
			continue
			;;
		enabled) systemctl unmask -q "$unit" && systemctl enable -q "$unit" ;;
		disabled) systemctl unmask -q "$unit" && systemctl disable -q "$unit" ;;
		unknown | not-found) continue ;;
		esac
		case $active in
		active | activating | reloading)
			systemctl restart "$unit" || note "$unit does not start: journalctl -u $unit"
			;;
		*) systemctl stop "$unit" ;;
		esac
	done <"$T/units"
	postqueue -f 2>/dev/null || :
}

# The relay that was taken over, with all that came since. Packages of Debian stay.
give_back() {
	[ -e "$T/units" ] || die 'This server was not taken over from a Python relay:' \
		'there is nothing to give back.'
	trap '' HUP INT PIPE TERM
	stop_ours
	put_theirs
	step 'our packages'
	configure_packages
	for package in chatmaild-dovecot-plugin chatmaild; do
		! dpkg-query -W "$package" >/dev/null 2>&1 ||
			dpkg --remove "$package" </dev/null >&2 9>&-
	done
	rm -rf "$D/generations" "$D/pending" "$T"
	mkdir "$D/generations" "$D/pending"
}
