# shellcheck shell=bash
# The lab's network and its own services, which run from the read-only image of tools: a name
# server that knows one closed zone, and the way to Debian's packages. Sourced by lab.

__tools() { # CMD...
	local root=$RUN/tools
	mount -t overlay overlay -o "ro,lowerdir=$LAB_DIR/tools:$LAB_DIR/base" "$root"
	mount_chroot "$root"
	mkdir "$root/run/lab" "$root/run/aptcache"
	mount --bind "$RUN" "$root/run/lab"
	mount --bind "$LAB_DIR/aptcache" "$root/run/aptcache"
	exec chroot "$root" "$@"
}

tools() { echo unshare --mount --propagation private bash "$SELF" __tools; }

write_config() {
	local h d i
	mkdir -p "$RUN/ssh" "$RUN/tools" "$LAB_DIR/aptcache"
	chmod 700 "$RUN"
	echo "$LAB_DOMAIN_A $LAB_DOMAIN_B $LAB_READY" >"$RUN/settings"
	echo "nameserver $GATEWAY" >"$RUN/resolv.conf"
	: >"$RUN/known_hosts"
	{
		echo '. 60 IN SOA ns.lab.invalid. root.lab.invalid. 1 3600 600 86400 5'
		echo '. 60 IN NS ns.lab.invalid.'
		echo "ns.lab.invalid. 60 IN A $GATEWAY"
	} >"$RUN/zone"
	for h in "${HOSTS[@]}"; do
		d=$(domain_of "$h") i=$(address_of "$h")
		printf '%s,%s,%s %s\n' "$h" "$d" "$i" "$(cut -d' ' -f1,2 "$KEYS/sshd-$h.pub")" >>"$RUN/known_hosts"
		printf 'Host %s %s\n    HostName %s\n' "$h" "$d" "$i"
		{
			echo "$d. 60 IN SOA ns.lab.invalid. root.lab.invalid. 1 3600 600 86400 5"
			echo "$d. 60 IN NS ns.lab.invalid."
			echo "$d. 60 IN A $i"
			echo "$d. 60 IN MX 10 $d."
			echo "$d. 60 IN TXT \"v=spf1 a -all\""
			echo "www.$d. 60 IN CNAME $d."
			echo "mta-sts.$d. 60 IN CNAME $d."
			echo "${i##*.}.0.77.10.in-addr.arpa. 60 IN PTR $d."
		} >>"$RUN/zone"
	done >"$RUN/ssh/lab.conf"
	cat >>"$RUN/ssh/lab.conf" <<-END
	Match host 10.77.0.*
	    User root
	    IdentityFile $KEYS/id
	    IdentitiesOnly yes
	    UserKnownHostsFile $RUN/known_hosts
	    StrictHostKeyChecking yes
	    ConnectTimeout 10
	END
	# The whole name space is our own: names that are not in it do not exist.
	{
		cat <<-END
	server:
	    chroot: ""
	    username: ""
	    directory: "/run/lab"
	    pidfile: ""
	    use-syslog: no
	    do-daemonize: no
	    interface: $GATEWAY
	    access-control: 10.77.0.0/24 allow
	    module-config: "iterator"
	    local-zone: "test." nodefault
	    local-zone: "invalid." nodefault
	    local-zone: "10.in-addr.arpa." nodefault
	remote-control:
	    control-enable: yes
	    control-interface: /run/lab/unbound.ctl
	    control-use-cert: no
	END
		for d in . "$LAB_DOMAIN_A." "$LAB_DOMAIN_B."; do
			cat <<-END
	auth-zone:
	    name: "$d"
	    zonefile: "/run/lab/zone.$d"
	    for-downstream: yes
	    for-upstream: yes
	    fallback-enabled: no
	END
		done
	} >"$RUN/unbound.conf"
	write_zones
}

# A zone of its own for each domain, as name servers have them: what cmdeploy dns asks for.
write_zones() {
	awk -v domains="$LAB_DOMAIN_A. $LAB_DOMAIN_B." -v prefix="$RUN/zone." '
		BEGIN { n = split(domains, domain) }
		{
			zone = "."
			for (i = 1; i <= n; i++) {
				at = length($1) - length(domain[i])
				if (tolower(substr($1, at + 1)) == tolower(domain[i]) &&
					(at == 0 || substr($1, at, 1) == "."))
					zone = domain[i]
			}
			print >(prefix zone)
		}' "$RUN/zone"
}

write_apt_config() {
	# Packages and by-hash indexes never change, so only they are cached.
	{
		cat <<-END
	user root;
	daemon off;
	pid /tmp/nginx.pid;
	error_log stderr;
	events {}
	http {
	    access_log off;
	    client_body_temp_path /tmp/t1;
	    proxy_temp_path /tmp/t2;
	    fastcgi_temp_path /tmp/t3;
	    uwsgi_temp_path /tmp/t4;
	    scgi_temp_path /tmp/t5;
	    proxy_cache_path /run/aptcache levels=1 keys_zone=apt:10m max_size=8g inactive=365d use_temp_path=off;
	    proxy_cache apt;
	    proxy_cache_lock on;
	    proxy_cache_valid 200 365d;
	    proxy_ignore_headers Expires Cache-Control Set-Cookie Vary;
	    proxy_no_cache \$mutable;
	    proxy_cache_bypass \$mutable;
	    proxy_http_version 1.1;
	    proxy_set_header Connection "";
	    proxy_ssl_server_name on;
	    map \$uri \$mutable { default 1; ~\.deb\$ 0; ~/by-hash/ 0; }
	    server {
	        listen unix:/run/lab/apt.sock;
	END
		mirrors | awk '{ print "        location /" $2 "/ { proxy_pass " $1 "; }" }'
		printf '    }\n}\n'
	} >"$RUN/nginx.conf"
}

dns_reload() {
	local d
	write_zones
	for d in . "$LAB_DOMAIN_A." "$LAB_DOMAIN_B."; do
		# shellcheck disable=SC2046
		$(tools) unbound-control -q -c /run/lab/unbound.conf auth_zone_reload "$d" >/dev/null ||
			die "DNS server refused the records"
	done
}

core_up() {
	local p h
	pid_of core >/dev/null || {
		spawn core unshare --net sleep infinity
		p=$(pid_of core)
		wait_for 5 grep -qx sleep "/proc/$p/comm" || die "cannot create a network namespace"
		in_core sh -ec "ip link set lo up
			ip link add br0 address 02:00:0a:4d:00:01 type bridge
			ip addr add $GATEWAY/24 dev br0
			ip link set br0 up
			ip route add unreachable default
			echo 1 >/proc/sys/net/ipv4/ip_forward"
	}
	# shellcheck disable=SC2046
	pid_of dns >/dev/null || {
		spawn dns nsenter -t "$(pid_of core)" -n $(tools) unbound -d -c /run/lab/unbound.conf
		wait_for 10 test -S "$RUN/unbound.ctl" || die "DNS server does not start: $(tail -n 3 "$RUN/dns.log")"
	}
	# The package cache is the only way out: it runs outside, a unix socket leads to it.
	# shellcheck disable=SC2046
	pid_of apt >/dev/null || {
		rm -f "$RUN/apt.sock"
		spawn apt $(tools) nginx -c /run/lab/nginx.conf
		wait_for 10 test -S "$RUN/apt.sock" || die "package cache does not start: $(tail -n 3 "$RUN/apt.log")"
	}
	# shellcheck disable=SC2046
	pid_of aptgate >/dev/null || spawn aptgate nsenter -t "$(pid_of core)" -n $(tools) \
		socat "TCP-LISTEN:3142,bind=$GATEWAY,fork,reuseaddr" UNIX-CONNECT:/run/lab/apt.sock
	for h in "${HOSTS[@]}"; do
		pid_of "net-$h" >/dev/null && continue
		stop "host-$h"
		spawn "net-$h" unshare --net sleep infinity
		p=$(pid_of "net-$h")
		wait_for 5 grep -qx sleep "/proc/$p/comm" || die "cannot create a network namespace"
		in_core sh -ec "ip link del v-$h 2>/dev/null || true
			ip link add v-$h type veth peer name eth0 address 02:00:0a:4d:00:0$(address_of "$h" | cut -d. -f4) netns $p
			ip link set v-$h master br0 up"
		nsenter -t "$p" -n sh -ec "ip link set lo up
			ip addr add $(address_of "$h")/24 dev eth0
			ip link set eth0 up
			ip route add default via $GATEWAY"
	done
}
