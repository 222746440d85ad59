# shellcheck shell=bash
# The Debian 12 packages that building, running and testing need: the only list. Sourced,
# after scripts/lib/steps.sh.

# shellcheck disable=SC2034 # used by whoever sources this
BUILD_PACKAGES=(
	gcc libc6-dev meson ninja-build pkg-config dovecot-dev
	libcmark-dev libcmocka-dev libconfuse-dev libcrypt-dev libevent-dev libgmime-3.0-dev
	libjansson-dev libldns-dev libnghttp2-dev libopendkim-dev libpng-dev libqrencode-dev
	libsqlite3-dev libssl-dev libsystemd-dev
)

# Making Debian packages, beyond these.
# shellcheck disable=SC2034
PACKAGE_PACKAGES=(build-essential debhelper git)

# A whole relay on this machine, and what looks at it.
# shellcheck disable=SC2034
RELAY_PACKAGES=(
	postfix dovecot-core dovecot-imapd dovecot-lmtpd opendkim opendkim-tools unbound
	ca-certificates curl libnginx-mod-stream nginx openssl procps qrencode systemd util-linux
)

# The peers of flow tests that are not of our making.
# shellcheck disable=SC2034
PEER_PACKAGES=(nghttp2-server nsd tmux)

# What the tests need beyond these.
# shellcheck disable=SC2034
TEST_PACKAGES=(
	acmetool chromium clang clang-format coturn faketime fonts-dejavu-core iproute2 jq
	libclang-rt-dev llvm git gnupg mtail openssh-client openssh-server prometheus shellcheck tidy
	zbar-tools
)

# The host of the lab's servers.
# shellcheck disable=SC2034
LAB_PACKAGES=(
	age curl debootstrap gnupg iproute2 openssh-client openssl procps systemd-container util-linux
)

POLICY=/usr/sbin/policy-rc.d
POLICY_ASIDE=$POLICY.chatmail-aside

packages_missing() {
	local name
	for name in "$@"; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
			printf '%s\n' "$name"
	done
}

# Units enabled now, one a line. With --root it works without a running systemd too. That no
# unit is enabled is a failure to systemctl.
units_enabled() {
	command -v systemctl >/dev/null || return 0
	{ systemctl --root=/ list-unit-files --no-legend --state=enabled 2>/dev/null || :; } |
		awk '{ print $1 }' | sort
}

policy_restore() {
	if [ -e "$POLICY_ASIDE" ]; then
		mv -f "$POLICY_ASIDE" "$POLICY"
	elif grep -qs 'put here by chatmail' "$POLICY"; then
		rm -f "$POLICY"
	fi
}

# Debian starts a service when it installs it, unless this file says no.
policy_deny() {
	policy_restore # what a killed run left behind
	[ ! -e "$POLICY" ] || mv "$POLICY" "$POLICY_ASIDE"
	printf '#!/bin/sh\n# put here by chatmail while it installs packages\nexit 101\n' >"$POLICY"
	chmod 755 "$POLICY"
}

# Switch off the units that this installation enabled, and only these.
units_disable_new() {
	local before=$1 unit
	units_enabled | comm -13 <(printf '%s\n' "$before") - | while read -r unit; do
		systemctl --root=/ --quiet disable "$unit"
	done
}

packages_apt() (
	set -euo pipefail
	export DEBIAN_FRONTEND=noninteractive
	before=$(units_enabled)
	trap 'policy_restore; units_disable_new "$before"' EXIT
	policy_deny
	apt-get -q -o DPkg::Lock::Timeout=600 update
	# --no-remove: another mail server that would have to go is the owner's decision.
	apt-get -q -y -o DPkg::Lock::Timeout=600 --no-install-recommends --no-remove \
		install "$@"
)

# install_packages NAME...: those that are missing, neither started nor enabled.
install_packages() {
	local missing
	mapfile -t missing < <(packages_missing "$@")
	if [ ${#missing[@]} -eq 0 ]; then
		return 0
	fi
	[ "$(id -u)" -eq 0 ] || die "run me as root once, or install: ${missing[*]}"
	step "Installing Debian packages (${#missing[@]})" packages_apt "${missing[@]}" ||
		die "could not install ${missing[*]}"
}

# An npm that is there already is as good; Debian's comes with several hundred packages.
install_npm() {
	command -v npm >/dev/null || install_packages npm
}
