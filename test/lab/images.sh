# shellcheck shell=bash
# The lab's images: a Debian 12 (base), on it the lab's own services (tools), and on it a
# relay's Debian packages (ready). Sourced by lab.

SUITE=bookworm
BASE_PACKAGES=systemd,systemd-sysv,libpam-systemd,dbus,openssh-server,iproute2,iputils-ping
BASE_PACKAGES+=,procps,netbase,ca-certificates,cron,less
TOOL_PACKAGES=(unbound nginx-light socat)
# What cmdeploy has apt install on a server.
READY_PACKAGES=(
	acmetool bind9-dnsutils curl dns-root-data dovecot-core dovecot-imapd dovecot-lmtpd libnginx-mod-stream mtail
	nginx opendkim opendkim-tools openssl postfix unbound
)

mirrors() { # "URI/ CODENAME" lines from this machine's own apt configuration
	local out P=
	eval "$(apt-config shell P Acquire::http::Proxy)"
	[ "${P:-DIRECT}" = DIRECT ] || die "apt uses a proxy on this machine, which the lab cannot pass on"
	# shellcheck disable=SC2016
	out=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
		awk -v s=$SUITE '$3 == "main" && ($2 == s || $2 == s"-updates" || $2 == s"-security") {
				sub("/*$", "/", $1); print $1, $2 }' | sort -u)
	grep -q " $SUITE\$" <<<"$out" || die "apt has no '$SUITE main' here; check its sources and run apt-get update"
	echo "$out"
}

# Private mounts a chroot needs; the names of our mirrors never reach the disk.
mount_chroot() {
	mount -t proc proc "$1/proc"
	mount --rbind /dev "$1/dev"
	mount -t tmpfs tmpfs "$1/run"
	mount -t tmpfs tmpfs "$1/tmp"
	mount --bind /etc/resolv.conf "$1/etc/resolv.conf"
	mount --bind /etc/hosts "$1/etc/hosts"
}

chroot_apt() { # ROOT ARGS...: apt-get in a chroot, straight from the host's mirrors, starting no daemon
	local root=$1
	shift
	mirrors | awk '{ print "deb", $1, $2, "main" }' >"$root/run/sources.list"
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	local o=(-y -q -o Dir::Etc::SourceList=/run/sources.list -o Dir::Etc::SourceParts=/dev/null
		-o APT::Install-Recommends=false)
	chroot "$root" apt-get "${o[@]}" update
	DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get "${o[@]}" "$@"
	rm -f "$root/usr/sbin/policy-rc.d"
	rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
	rm -rf "$root"/var/log/*.log "$root"/var/log/apt/*
}

__base() {
	local root=$1 uri
	uri=$(mirrors | awk -v s=$SUITE '$2 == s { print $1; exit }')
	debootstrap --variant=minbase --include="$BASE_PACKAGES" "$SUITE" "$root" "$uri"
	rm -f "$root"/etc/resolv.conf "$root"/etc/ssh/ssh_host_*
	: >"$root/etc/resolv.conf"
	: >"$root/etc/hosts"
	: >"$root/etc/machine-id"
	mount_chroot "$root"
	chroot_apt "$root" dist-upgrade
	: >"$root/etc/apt/sources.list"
}

# layer DIR PACKAGE...: packages on top of the base image, as the upper half of an overlay.
layer() {
	local dir=$1
	shift
	mkdir -p "$dir" "$dir.work" "$dir.root"
	mount -t overlay overlay \
		-o "lowerdir=$LAB_DIR/base,upperdir=$dir,workdir=$dir.work" "$dir.root"
	mount_chroot "$dir.root"
	chroot_apt "$dir.root" install "$@"
}

__tools_build() {
	layer "$1" "${TOOL_PACKAGES[@]}"
}

__ready_build() {
	layer "$1" "${READY_PACKAGES[@]}"
}

build() { # NAME FUNCTION RECIPE: build LAB_DIR/NAME unless the same recipe built it already
	local name=$1 dir=$LAB_DIR/$1 t=$SECONDS
	[ "$(cat "$dir.recipe" 2>/dev/null)" != "$3" ] || return 0
	say "building $name image (log: $dir.log)"
	rm -f "$dir.recipe"
	rm -rf --one-file-system "$dir" "$dir".new*
	private "$2" "$dir.new" 2>&1 | sed -uE 's#://[^/ ]+#://MIRROR#g' >"$dir.log" ||
		die "building $name failed: $(tail -n 3 "$dir.log")"
	mv "$dir.new" "$dir"
	rm -rf --one-file-system "$dir".new.*
	echo "$3" >"$dir.recipe"
	say "$name image built in $((SECONDS - t)) s"
}

make_keys() {
	local h d
	mkdir -p "$KEYS"
	chmod 700 "$KEYS"
	[ -s "$KEYS/id" ] || ssh-keygen -q -t ed25519 -N '' -C chatmail-lab -f "$KEYS/id"
	[ -s "$KEYS/ca.crt" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
		-subj '/CN=chatmail-lab test CA' -addext keyUsage=critical,keyCertSign,cRLSign \
		-keyout "$KEYS/ca.key" -out "$KEYS/ca.crt" 2>/dev/null
	for h in "${HOSTS[@]}"; do
		d=$(domain_of "$h")
		[ -s "$KEYS/sshd-$h" ] || ssh-keygen -q -t ed25519 -N '' -C "$h" -f "$KEYS/sshd-$h"
		[ -s "$KEYS/$d.crt" ] && continue
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$d" \
			-keyout "$KEYS/$d.key" -out "$KEYS/$d.csr" 2>/dev/null
		openssl x509 -req -in "$KEYS/$d.csr" -CA "$KEYS/ca.crt" -CAkey "$KEYS/ca.key" -CAcreateserial -days 825 \
			-extfile <(echo "subjectAltName=DNS:$d,DNS:www.$d,DNS:mta-sts.$d") -out "$KEYS/$d.crt" 2>/dev/null
		rm -f "$KEYS/$d.csr"
	done
}
