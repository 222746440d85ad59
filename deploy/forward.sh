# A server whose relay has moved: functions that make it forward what reaches it, and stop
# that. $unit and $directory are set, and for the new server $addresses and $fingerprint.
# shellcheck shell=dash disable=SC2154

refuse() { # WHY
	echo "$1" >&2
	exit 1
}

# $found: the first of $addresses where the port answers with the right certificate. Both
# servers may have the same address in a network of their own, as of containers: it leads
# back here.
find_new() { # PORT
	local own seen
	[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] ||
		refuse 'it lacks nginx: apt-get install nginx libnginx-mod-stream'
	own=" $(ip -o address | awk '{ sub("/.*", "", $4); print $4 }' | tr '\n' ' ')"
	found=
	for address in $addresses; do
		case $own in *" $address "*) continue ;; esac
		case $address in *:*) address=[$address] ;; esac
		seen=$(timeout 10 openssl s_client -connect "$address:$1" </dev/null 2>/dev/null |
			openssl x509 -noout -fingerprint -sha256 2>/dev/null) || continue
		if [ "$seen" = "$fingerprint" ]; then
			found=$address
			return
		fi
	done
	refuse "from there, port $1 of the new server does not answer with its certificate at \
${addresses% }; give an address that does by --address"
}

# What holds the public ports, and what would ask for a certificate.
write_units() {
	local other
	[ ! -e "$directory/units" ] || return 0
	for other in nginx.service acmetool-redirector.service acmetool-reconcile.timer \
		turnserver.service coturn.service; do
		! systemctl is-enabled -q "$other" 2>/dev/null || echo "$other"
	done >"$directory/units.new"
	sync
	mv "$directory/units.new" "$directory/units"
}

pass() { # PORT PROTOCOL OPTION
	printf '\tserver {\n\t\tlisten %s%s%s;\n' "$1" "$2" "$3"
	[ ! -e /proc/net/if_inet6 ] || printf '\t\tlisten [::]:%s%s%s;\n' "$1" "$2" "$3"
	printf '\t\tproxy_pass %s:%s;\n\t}\n' "$found" "$1"
}

# Errors of single connections would name the clients' addresses. Dovecot says a word to a
# silent client every two minutes.
write_config() {
	local port
	cat <<-END
	# This relay has moved. Made by cmdeploy forward, and removed by its --stop.
	load_module modules/ngx_stream_module.so;
	user www-data;
	worker_processes auto;
	worker_rlimit_nofile 131072;
	pid /run/chatmail-forward.pid;
	error_log stderr crit;
	events {
		worker_connections 32768;
	}
	stream {
		proxy_connect_timeout 10s;
		proxy_timeout 1h;
		proxy_socket_keepalive on;
	END
	for port in 25 80 143 443 465 587 993 3478; do
		pass $port '' ' so_keepalive=10m::'
	done
	pass 3478 ' udp' ''
	echo '}'
}

write_unit() {
	cat <<-END
	[Unit]
	Description=Connections of a relay that has moved, to its new server
	After=network-online.target
	Wants=network-online.target

	[Service]
	Type=forking
	PIDFile=/run/chatmail-forward.pid
	ExecStart=/usr/sbin/nginx -e stderr -c $directory/nginx.conf
	Restart=always
	RestartSec=1
	LimitNOFILE=131072
	NoNewPrivileges=yes
	PrivateTmp=yes
	ProtectHome=yes

	[Install]
	WantedBy=multi-user.target
	END
}

# Also of what was only begun.
undo() {
	local other
	systemctl disable --now -q "$unit" 2>/dev/null || :
	rm -f "/etc/systemd/system/$unit"
	systemctl daemon-reload
	systemctl reset-failed "$unit" 2>/dev/null || :
	while read -r other; do
		systemctl enable --now -q "$other" || echo "$other does not start" >&2
	done <"$directory/units"
	rm -rf "$directory"
}

# In the time when nobody answers, only what must be: to enable and disable takes seconds.
start() {
	local other others
	for other in postfix@-.service dovecot.service; do
		! systemctl is-active -q "$other" ||
			refuse "$other runs there: only a relay that has moved is forwarded"
	done
	find_new 993
	mkdir -p "$directory"
	write_units
	others=$(cat "$directory/units")
	trap undo EXIT
	write_config >"$directory/nginx.conf"
	write_unit >"/etc/systemd/system/$unit"
	nginx -t -q -e stderr -c "$directory/nginx.conf"
	systemctl daemon-reload
	# Else it waits for its clients.
	systemctl kill --kill-who=main -s TERM nginx.service 2>/dev/null || :
	# shellcheck disable=SC2086 # names of units
	[ -z "$others" ] || systemctl stop $others
	systemctl restart "$unit" || refuse "$(journalctl -u "$unit" -n 5 -o cat --no-pager)"
	# shellcheck disable=SC2086
	[ -z "$others" ] || systemctl disable -q $others
	systemctl enable -q "$unit"
	sync
	trap - EXIT
}

stop() {
	[ -e "$directory/units" ] || refuse 'it forwards nothing'
	undo
}
