# shellcheck shell=bash
# The lab's servers: booted by systemd-nspawn, each in a network namespace and a control
# group of its own. Sourced by lab.

# What is below a server's disk.
lower() {
	if [ -n "$LAB_READY" ]; then
		echo "$LAB_DIR/ready:$LAB_DIR/base"
	else
		echo "$LAB_DIR/base"
	fi
}

first_boot() { # ROOT HOST
	local r=$1 h=$2 d
	d=$(domain_of "$h")
	echo "${d%%.*}" >"$r/etc/hostname"
	printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n%s %s %s\n' \
		"$(address_of "$h")" "$d" "${d%%.*}" >"$r/etc/hosts"
	echo "nameserver $GATEWAY" >"$r/etc/resolv.conf"
	mirrors | awk -v gw="$GATEWAY" '{ print "deb http://" gw ":3142/" $2, $2, "main" }' >"$r/etc/apt/sources.list"
	install -d -m 700 "$r/root/.ssh"
	install -m 600 "$KEYS/id.pub" "$r/root/.ssh/authorized_keys"
	install -m 600 "$KEYS/sshd-$h" "$r/etc/ssh/ssh_host_ed25519_key"
	install -m 644 "$KEYS/sshd-$h.pub" "$r/etc/ssh/ssh_host_ed25519_key.pub"
	install -d -m 755 "$r/etc/ssl/lab" "$r/etc/unbound/unbound.conf.d"
	cat "$KEYS/$d.crt" "$KEYS/ca.crt" >"$r/etc/ssl/lab/fullchain.pem"
	install -m 600 "$KEYS/$d.key" "$r/etc/ssl/lab/privkey.pem"
	install -m 644 "$KEYS/ca.crt" "$r/usr/local/share/ca-certificates/chatmail-lab.crt"
	chroot "$r" update-ca-certificates >/dev/null 2>&1
	# A resolver installed on the machine must ask ours: there are no root servers here.
	cat >"$r/etc/unbound/unbound.conf.d/zz-lab.conf" <<-END
	server:
	    module-config: "iterator"
	    local-zone: "test." nodefault
	    local-zone: "10.in-addr.arpa." nodefault
	forward-zone:
	    name: "."
	    forward-addr: $GATEWAY
	END
}

__boot() { # HOST
	local h=$1 d=$LAB_DIR/hosts/$1 cg=/sys/fs/cgroup/$CGROUP/$1 ns
	ns=/proc/$(pid_of "net-$h")/ns/net
	mount -t cgroup2 none /sys/fs/cgroup
	mkdir -p "$cg"
	echo $$ >"$cg/cgroup.procs"
	mount -t overlay overlay -o "lowerdir=$(lower),upperdir=$d/upper,workdir=$d/work" "$d/root" ||
		die "cannot mount an overlay in $LAB_DIR: put LAB_DIR on ext4, xfs or btrfs"
	[ -e "$d/prepared" ] || first_boot "$d/root" "$h"
	touch "$d/prepared"
	mount -t tmpfs tmpfs /run # keeps nspawn's state out of the real /run
	local n rc=133 # nspawn dies with this loop, and the machine with nspawn
	trap 'kill -TERM "$n"' TERM
	while [ $rc = 133 ]; do # 133: the machine rebooted itself
		setpriv --pdeathsig KILL systemd-nspawn --quiet --boot --register=no --keep-unit --machine="lab-$h" --directory="$d/root" \
			--network-namespace-path="$ns" --resolv-conf=off --timezone=off --link-journal=no --console=read-only &
		n=$!
		rc=0
		while kill -0 $n 2>/dev/null; do wait $n && rc=0 || rc=$?; done
	done
}

booted() {
	case $(enter "$1" systemctl is-system-running 2>/dev/null) in running | degraded) ;; *) return 1 ;; esac
}

settled() { gone "host-$1" || booted "$1"; }

boot() { # HOST...
	local h t=$SECONDS start=()
	for h in "$@"; do
		if gone "host-$h"; then start+=("$h"); fi
	done
	[ ${#start[@]} = 0 ] || private reap "${start[@]}"
	for h in "${start[@]}"; do
		mkdir -p "$LAB_DIR/hosts/$h/upper" "$LAB_DIR/hosts/$h/work" "$LAB_DIR/hosts/$h/root"
		spawn "host-$h" unshare --mount --propagation private bash "$SELF" __boot "$h"
	done
	for h in "$@"; do
		wait_for 90 settled "$h" || die "host $h does not boot in 90 s: see $RUN/host-$h.log"
		if gone "host-$h"; then die "host $h ended: $(tail -n 3 "$RUN/host-$h.log")"; fi
		say "host $h ($(domain_of "$h"), $(address_of "$h")) is up, $((SECONDS - t)) s"
	done
}

wipe() { # HOST...
	local h
	for h in "$@"; do rm -rf --one-file-system "$LAB_DIR/hosts/$h"; done
}

# Ends what is left in a machine's control group (when nspawn itself was killed) and removes it.
__reap() { # HOST...
	local h cg
	mount -t cgroup2 none /sys/fs/cgroup
	for h in "$@"; do
		cg=/sys/fs/cgroup/$CGROUP/$h
		[ -d "$cg" ] || continue
		if grep -qx 'populated 1' "$cg/cgroup.events"; then echo 1 >"$cg/cgroup.kill"; fi
		wait_for 10 grep -qx 'populated 0' "$cg/cgroup.events" || die "processes of host $h do not end"
		find "$cg" -depth -type d -exec rmdir {} +
	done
	rmdir "/sys/fs/cgroup/$CGROUP" 2>/dev/null || true
}

__net() {
	mount --bind "$RUN/resolv.conf" /etc/resolv.conf
	[ ! -d /etc/ssh/ssh_config.d ] || mount --bind "$RUN/ssh" /etc/ssh/ssh_config.d
	exec "$@"
}

teardown() {
	stop host-a host-b
	stop net-a net-b aptgate apt dns core
	private reap "${HOSTS[@]}"
	rm -rf --one-file-system "$RUN"
}
