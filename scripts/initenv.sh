#!/usr/bin/env bash
# Prepares this checkout, on Debian 12: installs what building needs (as root, or those
# packages are there already) and builds all programs in build/. Then scripts/cmdeploy runs.
#
# usage: scripts/initenv.sh
# shellcheck disable=SC2317 # the function is called through step
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib/steps.sh
. scripts/packages.sh

if [ $# -ne 0 ]; then
	sed -n '5s/^# //p' "$0" >&2
	exit 2
fi
trap 'step_cancel; exit 130' INT TERM

build() {
	[ -f build/build.ninja ] || meson setup build --buildtype=release -Dtests=false
	ninja -C build
}

install_packages "${BUILD_PACKAGES[@]}"
step "Building in build/" build || exit 1
say "Ready: scripts/cmdeploy init DOMAIN writes chatmail.ini."
