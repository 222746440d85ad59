#!/bin/sh
# What plan_apply.c lets happen on a server: functions for its scripts, which run by "sh -eu"
# as root. Each step says so on stderr, "@step TEXT", so that a failure can be named;
# "@note TEXT" is for the operator. POSIX shell, coreutils and what is essential in Debian.
# shellcheck disable=SC2317 # called by scripts that are not here

D=/var/lib/cmdeploy
trying= # yes: files are changed for the checkers only
time=${time-unknown} # of the run, for the names of what it keeps
umask 022
export DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_MODE=l

# Who listens may be gone, where that must not end the script.
step() {
	printf '@step %s\n' "$*" >&2 || :
}

note() {
	printf '@note %s\n' "$*" >&2 || :
}

die() {
	printf '%s\n' "$*" >&2
	exit 1
}

# One run at a time. What a cut connection left running gets some time to end.
lock() {
	exec 9>"$D/lock"
	flock -w 120 9 || die 'Another run of cmdeploy is at work on this server.' \
		'Wait until it has ended, then run again.'
	undo
}

has_hash() { # SHA256 FILE
	[ -f "$2" ] && [ "$(sha256sum <"$2")" = "$1  -" ]
}

# Remember that a unit is to be restarted or reloaded, whatever becomes of this run.
owe() { # restart|reload UNIT
	case $1,$(cat "$D/pending/$2" 2>/dev/null || :) in
	reload,restart) return ;;
	esac
	printf '%s\n' "$1" >"$D/pending/.new"
	sync "$D/pending/.new"
	mv "$D/pending/.new" "$D/pending/$2"
	sync "$D/pending"
}

mend() { # WHAT CHECK MEND [restart|reload UNIT]...
	what=$1 check=$2 mend=$3
	shift 3
	step "$what"
	! sh -eu -c "$check" </dev/null >/dev/null 2>&1 9>&- || return 0
	while [ $# -gt 0 ]; do
		owe "$1" "$2"
		shift 2
	done
	sh -eu -c "$mend" </dev/null >&2 9>&- || die "This could not be done: $what"
	sh -eu -c "$check" </dev/null >/dev/null 2>&1 9>&- ||
		die "It was done, but still is not so: $what"
}

# ---- packages ----

policy=/usr/sbin/policy-rc.d
policy_text='#!/bin/sh
# Of cmdeploy, while it installs packages: it starts their services itself, configured.
exit 101'

# No service starts before it is configured. Whoever has such a policy gets it back.
block_services() {
	trap unblock_services EXIT
	trap 'exit 1' HUP INT PIPE TERM
	if [ -e $policy ] && [ "$(cat $policy)" != "$policy_text" ]; then
		mv $policy $policy.cmdeploy
	fi
	printf '%s\n' "$policy_text" >$policy
	chmod 755 $policy
}

unblock_services() {
	if [ -e $policy ] && [ "$(cat $policy)" = "$policy_text" ]; then
		rm -f $policy
	fi
	[ ! -e $policy.cmdeploy ] || mv $policy.cmdeploy $policy
}

apt() {
	apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
		-o Acquire::Retries=2 --no-install-recommends "$@" </dev/null >&2 9>&-
}

# Another apt may be at its lists: it does not wait for that lock by itself.
update_lists() {
	step 'package lists'
	for _ in 1 2 3 4 5 6; do
		! apt update || return 0
		flock -n /var/lib/apt/lists/lock true && break
		sleep 5
	done
	die 'The package lists could not be fetched. See above whether it is the network,' \
		'the DNS or a source in /etc/apt; then run again.'
}

# Unlike apt, dpkg does not wait for whoever is at work, as Debian's daily upgrade is.
configure_packages() {
	left=60
	until dpkg --configure -a </dev/null >"$D/dpkg" 2>&1 9>&-; do
		left=$((left - 1))
		if [ "$left" = 0 ] || ! grep -q 'lock was locked by another process' "$D/dpkg"; then
			cat "$D/dpkg" >&2
			rm "$D/dpkg"
			return 1
		fi
		sleep 5
	done
	rm "$D/dpkg"
}

# An apt that can fetch no list calls that a success, and then knows no package.
no_packages() {
	die 'The packages could not be installed. See above whether it is the network,' \
		'the DNS or a source in /etc/apt; then run again.'
}

install_packages() { # fresh|stale PACKAGE-OR-FILE...
	lists=$1
	shift
	block_services
	step 'packages that were left half installed'
	configure_packages ||
		die 'A package is broken: see above; "dpkg --configure -a" has to succeed.'
	[ "$lists" = fresh ] || update_lists
	step "packages $*"
	if ! apt install --reinstall --allow-downgrades "$@"; then
		[ "$lists" = fresh ] || no_packages
		update_lists
		step "packages $*"
		apt install --reinstall --allow-downgrades "$@" || no_packages
	fi
	unblock_services
}

remove_packages() { # PACKAGE...
	step "removal of packages $*"
	block_services
	apt remove "$@" || die 'The packages could not be removed.'
	unblock_services
}

# Services that run are restarted by their packages, as on every Debian host.
upgrade_packages() {
	update_lists
	step 'upgrade of packages'
	dpkg-query -W -f '${Package} ${Version}\n' | sort >"$D/before"
	apt upgrade --with-new-pkgs || die 'The packages could not be upgraded.'
	dpkg-query -W -f '${Package} ${Version}\n' | sort >"$D/after"
	comm -13 "$D/before" "$D/after" | while read -r line; do
		note "Upgraded: $line"
	done
	rm -f "$D/before" "$D/after"
}

# ---- users ----

add_group() { # GROUP
	step "group $1"
	getent group "$1" >/dev/null || groupadd --system "$1"
}

add_user() { # USER GROUP HOME
	step "user $1"
	getent passwd "$1" >/dev/null || useradd --system --gid "$2" --home-dir "$3" \
		--no-create-home --shell /usr/sbin/nologin "$1"
}

add_member() { # USER GROUP
	step "user $1 in group $2"
	usermod -a -G "$2" "$1"
}

# ---- binaries ----

install_binary() { # PATH URL MEMBER SHA256 ARCHIVE [optional]
	path=$1 url=$2 member=$3 hash=$4 archive=$5 optional=${6-}
	kept=$D/binaries/$hash
	step "$path"
	if ! has_hash "$hash" "$kept"; then
		[ -n "$archive" ] || {
			archive=$D/upload/download
			step "$url"
			curl --fail --location --silent --show-error --proto '=https' \
				--connect-timeout 20 --retry 2 -o "$archive" "$url" || {
				set -- "This server cannot download $url; fetch it elsewhere," \
					'and run with --binaries DIR.'
				[ -n "$optional" ] || die "$@"
				mkdir -p "$D/missing"
				: >"$D/missing/$hash"
				note "$@" "Meanwhile it goes without $path."
				return
			}
		}
		if [ -n "$member" ]; then
			tar -xzOf "$archive" "$member" >"$kept.new" ||
				die "$url has no file $member."
		else
			cp "$archive" "$kept.new"
		fi
		rm -f "$archive"
		has_hash "$hash" "$kept.new" || {
			got=$(sha256sum <"$kept.new")
			rm -f "$kept.new"
			die "$url is not what it should be: its sha256 is ${got%% *}," \
				"expected is $hash. Nothing was installed."
		}
		mv "$kept.new" "$kept"
		rm -f "$D/missing/$hash"
	fi
	mkdir -p "$(dirname "$path")"
	cp "$kept" "$path.cmdeploy-new"
	chmod 755 "$path.cmdeploy-new"
	sync "$path.cmdeploy-new"
	mv -fT "$path.cmdeploy-new" "$path"
}

# ---- files ----

make_directory() { # MODE OWNER GROUP PATH
	step "$4"
	[ ! -e "$4" ] || [ -d "$4" ] ||
		die "$4 is in the way: a directory has to be there. Move it elsewhere."
	mkdir -p "$4"
	chown "$2:$3" "$4"
	chmod "$1" "$4"
}

# What others wrote is kept before it gives way.
keep_other() { # SHA256-OF-OURS PATH
	[ -z "$trying" ] || return 0
	[ -e "$2" ] || [ -L "$2" ] || return 0
	if [ -f "$2" ] && [ ! -L "$2" ]; then
		hash=$(sha256sum <"$2")
		hash=${hash%% *}
		if [ "$hash" = "$1" ] || [ -e "$D/blobs/$hash" ]; then
			return 0
		fi
	fi
	mkdir -p "$D/backup/$time$(dirname "$2")"
	cp -a "$2" "$D/backup/$time$2"
	note "Kept as it was: $2, in $D/backup/$time"
}

put() { # SHA256 MODE OWNER GROUP PATH SHA256-OF-OURS
	step "$5"
	[ ! -d "$5" ] || [ -L "$5" ] ||
		die "$5 is in the way: a file has to be there. Move it elsewhere."
	if has_hash "$1" "$5" && [ ! -L "$5" ]; then
		chown "$3:$4" "$5"
		chmod "$2" "$5"
		return
	fi
	[ -e "$D/blobs/$1" ] || die "The text of $5 is not on the server any more."
	keep_other "$6" "$5"
	mkdir -p "$(dirname "$5")"
	cp "$D/blobs/$1" "$5.cmdeploy-new"
	chown "$3:$4" "$5.cmdeploy-new"
	chmod "$2" "$5.cmdeploy-new"
	[ -n "$trying" ] || sync "$5.cmdeploy-new"
	# In a container it may be a mount, which can be written, but not replaced.
	mv -fT "$5.cmdeploy-new" "$5" 2>/dev/null || {
		cat "$5.cmdeploy-new" >"$5"
		rm "$5.cmdeploy-new"
	}
}

make_absent() { # SHA256-OF-OURS PATH
	step "removal of $2"
	if [ ! -d "$2" ] || [ -L "$2" ]; then
		keep_other "$1" "$2"
	fi
	rm -rf --one-file-system "$2"
}

# A file of ours that is wanted no more: if it still is ours.
take_away() { # SHA256 PATH
	step "removal of $2"
	if [ -L "$2" ] || ! has_hash "$1" "$2"; then
		[ ! -e "$2" ] || [ -n "$trying" ] ||
			note "Left where it is, for it was changed since: $2"
		return 0
	fi
	if [ -z "$trying" ] && [ "$(dirname "$2")" = /etc/systemd/system ] &&
		[ -d /run/systemd/system ]; then
		systemctl disable --now -q "${2##*/}" 2>/dev/null || :
	fi
	rm -f "$2"
}

take_directory_away() { # PATH
	rmdir "$1" 2>/dev/null || :
}

# ---- checks ----
# $D/change.sh has the functions change, which puts the files of a component, and checks.

# Over the directories of these files lay a layer that takes what is written.
cover() { # PATH...
	mkdir -p "$D/trial"
	mount -t tmpfs -o mode=700 tmpfs "$D/trial" || return 1
	for path; do
		dir=$(dirname "$path")
		while [ ! -d "$dir" ]; do
			dir=$(dirname "$dir")
		done
		readlink -f "$dir"
	done | sort -u >"$D/trial/directories"
	n=0 last=
	while read -r dir; do
		case $dir in
		/ | *[,:\\]*) return 1 ;;
		"$last"/*) [ -z "$last" ] || continue ;;
		esac
		last=$dir n=$((n + 1))
		mkdir "$D/trial/$n" "$D/trial/$n/upper" "$D/trial/$n/work"
		mount -t overlay -o "lowerdir=$dir,upperdir=$D/trial/$n/upper,workdir=$D/trial/$n/work" \
			overlay "$dir" || return 1
	done <"$D/trial/directories"
}

# Do the checks with the new files where nobody else sees them. 77: that is not possible here.
try_aside() { # PATH...
	unshare --mount --propagation private true 2>/dev/null || return 77
	# shellcheck disable=SC2016 # meant for the shell inside
	unshare --mount --propagation private sh -eu -c '
		. "$1"
		shift
		cover "$@" 2>/dev/null || exit 77
		. "$D/change.sh"
		trying=yes
		change
		checks
	' sh "$D/server.sh" "$@" 9>&-
}

# Put back what a try left; the list tells what there was.
undo() {
	[ -e "$D/undo/list" ] || return 0
	while read -r path; do
		rm -rf "$path"
		if [ -e "$D/undo/files$path" ] || [ -L "$D/undo/files$path" ]; then
			cp -a "$D/undo/files$path" "$path"
		fi
	done <"$D/undo/list"
	rm -rf "$D/undo"
}

# The same where everybody sees them, for a moment.
try_in_place() { # PATH...
	rm -rf "$D/undo"
	mkdir -p "$D/undo/files"
	for path; do
		[ ! -d "$path" ] || [ -L "$path" ] || continue
		if [ -e "$path" ] || [ -L "$path" ]; then
			mkdir -p "$D/undo/files$(dirname "$path")"
			cp -a "$path" "$D/undo/files$path"
		fi
		printf '%s\n' "$path" >>"$D/undo/list.new"
	done
	[ ! -e "$D/undo/list.new" ] || mv "$D/undo/list.new" "$D/undo/list"
	trap undo EXIT
	trap 'exit 1' HUP INT PIPE TERM
	tried=0
	sh -eu -c '. "$1"; . "$D/change.sh"; trying=yes; change; checks' \
		sh "$D/server.sh" 9>&- || tried=$?
	undo
	trap - EXIT
	return "$tried"
}

try() { # PATH...
	result=0
	try_aside "$@" || result=$?
	if [ "$result" = 77 ]; then
		result=0
		try_in_place "$@" || result=$?
	fi
	[ "$result" = 0 ] ||
		die 'The new configuration is refused. The old one stays, and what runs, too.'
}

check() { # WHAT SCRIPT
	step "$1"
	sh -eu -c "$2" </dev/null >&2
}

# ---- units ----

reload_systemd() {
	step 'systemctl daemon-reload'
	systemctl daemon-reload
}

unit_failed() { # UNIT WHAT
	systemctl status --no-pager -n 0 "$1" 2>&1 | sed -n 's/^ *\(Active: .*\)/\1/p' >&2 || :
	journalctl --no-pager -o cat -u "$1" -n 15 2>/dev/null >&2 || :
	die "$1 $2. These were its last lines; all of them: journalctl -u $1"
}

enable_unit() { # UNIT
	case $(systemctl is-enabled "$1" 2>/dev/null || :) in
	masked*) systemctl unmask -q "$1" && systemctl enable -q "$1" ;;
	disabled | enabled-runtime | '') systemctl enable -q "$1" ;;
	esac
}

paid() { # UNIT
	rm -f "$D/pending/$1"
}

run_unit() { # UNIT start|restart|reload
	case $2,$(cat "$D/pending/$1" 2>/dev/null || :) in
	*restart*) verb=restart ;;
	*reload*) verb=reload-or-restart ;;
	*) verb=start ;;
	esac
	step "$1: $verb"
	enable_unit "$1"
	systemctl reset-failed "$1" 2>/dev/null || :
	systemctl "$verb" "$1" || unit_failed "$1" 'does not start'
	paid "$1"
}

# What others start and stop is only restarted if it runs.
touch_unit() { # UNIT restart|reload
	case $2 in
	restart) verb=try-restart ;;
	*) verb=try-reload-or-restart ;;
	esac
	step "$1: $verb"
	if [ "$(systemctl show -p LoadState --value "$1")" != not-found ]; then
		systemctl "$verb" "$1" || unit_failed "$1" 'does not start'
	fi
	paid "$1"
}

stop_unit() { # UNIT
	step "$1: stop"
	if [ "$(systemctl show -p LoadState --value "$1")" != not-found ]; then
		systemctl disable --now -q "$1"
		systemctl reset-failed "$1" 2>/dev/null || : # what stays off has not failed
	fi
	paid "$1"
}

mask_unit() { # UNIT
	step "$1: mask"
	systemctl stop "$1" 2>/dev/null || :
	systemctl mask -q "$1"
	systemctl reset-failed "$1" 2>/dev/null || :
	paid "$1"
}

# What was owed by steps that came after the unit's own.
pay_rest() {
	for file in "$D"/pending/*; do
		[ -e "$file" ] || continue
		touch_unit "${file##*/}" "$(cat "$file")"
	done
}

# Some start well and fail right after it.
still_well() { # UNIT...
	for unit; do
		step "$unit, a moment later"
		case $(systemctl show -p ActiveState,SubState --value "$unit" | tr '\n' ' ') in
		failed* | *auto-restart*) unit_failed "$unit" 'has failed' ;;
		esac
	done
}

# ---- memory ----

# The manifest comes on stdin.
record() { # NUMBER VERSION
	step "record of generation $1"
	rm -rf "$D/generations/.new"
	mkdir "$D/generations/.new"
	cat >"$D/generations/.new/manifest"
	printf '%s %s\n' "$time" "$2" >"$D/generations/.new/applied"
	keep_texts "$D/generations/.new/manifest"
	sync
	mv -T "$D/generations/.new" "$D/generations/$1"
	sync
	forget
}

# Files that were as wanted before we came are needed, too, to come back to.
keep_texts() { # MANIFEST
	tab=$(printf '\t')
	while IFS=$tab read -r kind _ path hash _; do
		if [ "$kind" = file ] && [ ! -e "$D/blobs/$hash" ] &&
			has_hash "$hash" "$path"; then
			cp "$path" "$D/blobs/.new"
			chmod 600 "$D/blobs/.new"
			mv "$D/blobs/.new" "$D/blobs/$hash"
		fi
	done <"$1"
}

# Ten generations are enough, with what belongs to them.
forget() {
	cd "$D" || return 1
	find generations -mindepth 1 -maxdepth 1 -name '[0-9]*' -printf '%f\n' |
		sort -n | head -n -10 | while read -r number; do
		rm -rf "generations/$number"
	done
	cat generations/*/manifest 2>/dev/null | grep -oE '[0-9a-f]{64}' | sort -u >.used
	find blobs packages binaries -type f | while read -r file; do
		hash=${file##*/}
		grep -qxF "${hash%.deb}" .used || rm -f "$file"
	done
	rm -rf .used upload change.sh trial
	cd /
}
