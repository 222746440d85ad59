# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# shellcheck disable=SC2016,SC2034 # what is run later, by eval
# Scenarios of acceptance: cmdeploy doctor, on a relay that is sound and on one with a fault of
# each kind. Sourced by it.

DOCTOR_MAX=60 # seconds, also where nothing answers
EXIT_WARNINGS=3

# Relay A with all that a doctor looks at: a TURN server that relays, somebody who takes
# notifications, and B, which takes mail.
doctor_needs() {
	need b
	on a '[ -e /etc/chatmaild ]' || need a
	on a 'systemctl is-active -q lab-push' 2>/dev/null || start_push_service ||
		fail "the push service does not start"
	doctor_ini </dev/null
	deploy a
	load_zone a
}

doctor_ini() { # more lines come on stdin
	{
		printf '%s\n' 'turn_secret = not-so-secret' "push_url = https://localhost:$PUSH_PORT/notify" \
			'push_ca_file = /etc/chatmaild/lab-push.crt'
		cat
	} | write_ini a
}

# The doctor's opinion of A in $work/said.json, and its exit code in $status.
doctor() { # ARGUMENTS...
	status=0
	SSL_CERT_FILE=$ca "$lab" net ${doctor_time:+faketime -f "$doctor_time"} \
		timeout 120 "$build/deploy/cmdeploy" doctor \
		--config "$work/a.ini" --mail-host _relay-b.example --json "$@" \
		</dev/null >"$work/said.json" 2>"$work/said.err" || status=$?
	[ -s "$work/said.json" ] || fail "doctor says nothing: $(cat "$work/said.err")"
}

# What the doctor names as causes, a key and its words a line.
causes() {
	jq -r '.findings[] | select(.severity == "warning" or .severity == "trouble")
		| select(.because == null) | .probe + ": " + .cause' "$work/said.json"
}

consequences() {
	jq -r '.findings[] | select(.because != null) | .probe' "$work/said.json"
}

# No account of the doctor's is left, nor a message of it. One that it could not delete goes later.
left_nothing() {
	local left
	wait_for 150 on a '! systemctl is-active -q "cmdeploy-doctor-*"' ||
		fail "what the doctor wants to delete later stays"
	left=$(on a 'ls /home/vmail/mail/*/ 2>/dev/null | grep ^ci- || :
		postqueue -j 2>/dev/null | grep nobody.invalid || :
		systemctl list-units --plain --no-legend "cmdeploy-doctor-*" || :')
	[ -z "$left" ] || fail "the doctor left behind: $left"
}

scene_doctor_sound() {
	local n
	doctor_needs
	for _ in 1 2 3; do
		doctor
		cat "$work/said.json"
		[ -z "$(causes)" ] || fail "found on a sound relay: $(causes)"
		[ "$status" = 0 ] || fail "exit code $status"
	done
	n=$(jq '[.findings[] | select(.severity == "sound")] | length' "$work/said.json")
	[ "$(jq '[.findings[] | select(.severity == "untried")] | length' "$work/said.json")" = 0 ] ||
		fail "not all was tried: $(jq -c '.findings[] | select(.severity == "untried")' "$work/said.json")"
	for key in "mail login" "mail arrive" "mail cleartext" "mail dkim" turn iroh push resolver "out 25"; do
		jq -e --arg key "$key" 'any(.findings[]; .probe == $key and .severity == "sound")' \
			"$work/said.json" >/dev/null || fail "'$key' is not sound"
	done
	left_nothing
	figure "$n probes sound in $(jq .seconds "$work/said.json") s," \
		"$(jq -r '.findings[] | select(.probe == "mail arrive") | .cause' "$work/said.json")"
}

in_time() { # WHAT
	jq -e ".seconds <= $DOCTOR_MAX" "$work/said.json" >/dev/null ||
		fail "$1: $(jq .seconds "$work/said.json") seconds"
}

# fault NAME CAUSES BREAK MEND [ARGUMENT]...: with A broken by BREAK, all that the doctor names as
# causes matches CAUSES, at least one thing does, and the exit code fits.
fault() {
	local name=$1 expected=$2 break=$3 mend=$4 found
	shift 4
	eval "$break" || fail "$name: cannot be broken"
	doctor "$@"
	eval "$mend" || fail "$name: cannot be mended"
	found=$(causes)
	printf -- '--- %s: exit code %s\n%s\n' "$name" "$status" "$found"
	consequences | sed 's/^/	so /'
	if [ -z "$found" ] || grep -qvE "^($expected)" <<<"$found"; then
		missed="$missed $name:[$(tr '\n' ';' <<<"$found")]"
	fi
	case $status in 1 | "$EXIT_WARNINGS") ;; *) missed="$missed $name:exit-$status" ;; esac
	in_time "$name"
	faults=$((faults + 1))
}

# A unit of ours is stopped.
stopped() { # UNIT [CAUSES]
	fault "stopped $1" "${2:-unit ${1//./\\.}: is stopped}" "on a 'systemctl stop $1'" \
		"on a 'systemctl reset-failed; systemctl start $1'"
}

# The zone, edited by a script of sed.
zone_fault() { # NAME CAUSES SED-SCRIPT
	zone_script=$3
	fault "$1" "$2" 'sed -E "$zone_script" "$work/zone.good" >"$work/zone.broken"
		! cmp -s "$work/zone.good" "$work/zone.broken" && "$lab" dns set "$work/zone.broken"' \
		'"$lab" dns set "$work/zone.good"'
}

# A certificate of the lab's authority in place of A's: of a name, good from and to some days.
certificate() { # NAME FROM TO [ISSUER]
	local t=$work/tls issuer=${4:-$LAB_DIR/keys/ca}
	mkdir -p "$t"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
		-keyout "$t/key.pem" -out "$t/csr" 2>/dev/null
	faketime -f "${2}d" openssl x509 -req -in "$t/csr" -CA "$issuer.crt" -CAkey "$issuer.key" \
		-CAcreateserial -CAserial "$t/serial" -days $(($3 - $2)) \
		-extfile <(echo "subjectAltName=DNS:$1,DNS:www.$1") -out "$t/cert.pem" 2>/dev/null
}

put_certificate() { # KEY CHAIN...
	on a 'cat >/etc/ssl/lab/privkey.pem' <"$1"
	shift
	cat "$@" | on a 'cat >/etc/ssl/lab/fullchain.pem; systemctl start tls-cert-reload.service || :
		systemctl reset-failed tls-cert-reload.service 2>/dev/null || :; sleep 1'
}

tls_fault() { # NAME CAUSES: with what is in $work/tls
	fault "$1" "$2" 'put_certificate "$work/tls/key.pem" "$work/tls/cert.pem"' \
		'put_certificate "$work/key.good" "$work/chain.good"'
}

# An authority below the lab's, and one that nobody knows.
make_issuers() {
	local t=$work/tls
	mkdir -p "$t"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=middle \
		-keyout "$t/middle.key" -out "$t/middle.csr" 2>/dev/null
	openssl x509 -req -in "$t/middle.csr" -CA "$LAB_DIR/keys/ca.crt" -CAkey "$LAB_DIR/keys/ca.key" \
		-CAcreateserial -CAserial "$t/serial" -days 90 -extfile <(echo basicConstraints=CA:TRUE) \
		-out "$t/middle.crt" 2>/dev/null
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=nobody -days 90 \
		-keyout "$t/nobody.key" -out "$t/nobody.crt" 2>/dev/null
}

faults_of_units() {
	local unit
	on a 'systemctl stop chatmaild.socket chatmaild-filter.socket chatmaild-http.socket'
	fault "stopped chatmaild" 'unit chatmaild[-a-z]*\.(socket|service): is stopped' \
		"on a 'systemctl stop chatmaild.service'" \
		"on a 'systemctl start chatmaild.socket chatmaild-filter.socket chatmaild-http.socket chatmaild.service'"
	for unit in dovecot.service nginx.service unbound.service coturn.service iroh-relay.service \
		tls-cert-reload.path chatmail-echobot.socket \
		chatmail-opendkim@sign.service chatmail-opendkim@verify.service; do
		stopped $unit
	done
	stopped postfix@-.service 'unit postfix(@-)?\.service: is stopped'
	fault masked 'unit nginx\.service: is masked' "on a 'systemctl mask --now nginx.service 2>/dev/null'" \
		"on a 'systemctl unmask nginx.service 2>/dev/null; systemctl start nginx.service'"
	fault disabled 'unit dovecot\.service: is disabled' "on a 'systemctl disable dovecot.service 2>/dev/null'" \
		"on a 'systemctl enable dovecot.service 2>/dev/null'"
	fault "a stranger's unit" 'failed stranger\.service' \
		"on a 'systemd-run -q --unit=stranger sh -c \"exit 1\"; sleep 0.5'" \
		"on a 'systemctl reset-failed stranger.service'"
	fault "few files" 'limit nofile dovecot\.service' "on a 'mkdir -p /etc/systemd/system/dovecot.service.d
		printf \"[Service]\nLimitNOFILE=512\n\" >/etc/systemd/system/dovecot.service.d/zz.conf
		systemctl daemon-reload; systemctl restart dovecot'" \
		"on a 'rm /etc/systemd/system/dovecot.service.d/zz.conf; systemctl daemon-reload; systemctl restart dovecot'"
}

faults_of_dns() {
	local d='relay-a\.example\.'
	"$lab" dns show >"$work/zone.good"
	zone_fault "no address" 'dns A relay-a.example: missing' "/^$d .* A /d"
	zone_fault "no MX" 'dns MX relay-a.example: missing' "/^$d .* MX /d"
	zone_fault "MX elsewhere" 'dns MX relay-a.example: wrong' "s/^($d .* MX +10) .*/\1 _relay-b.example./"
	zone_fault "no www" 'dns CNAME www.relay-a.example: missing' "/^www\.$d/d"
	zone_fault "no DKIM record" 'dns TXT opendkim._domainkey.relay-a.example: missing' \
		"/^opendkim\._domainkey\.$d/d"
	zone_fault "half a DKIM record" 'dns TXT opendkim._domainkey.relay-a.example: wrong' \
		"s/^(opendkim\._domainkey\.$d .* TXT +\"[^\"]*\").*/\1/"
	zone_fault "a DKIM record of another key" 'dns TXT opendkim._domainkey.relay-a.example: wrong' \
		"s/^(opendkim\._domainkey\.$d .* TXT .*MII.{40})..../\1AbCd/"
	zone_fault "no SPF" 'dns TXT relay-a.example: missing' "/^$d .* TXT /d"
	zone_fault "SPF twice" 'dns TXT relay-a.example: wrong' "s/^($d .* TXT ).*/&\n\1\"v=spf1 -all\"/"
	zone_fault "weak DMARC" 'dns TXT _dmarc.relay-a.example: wrong' "s/^(_dmarc\.$d.*)p=reject/\1p=none/"
	zone_fault "SRV with another port" 'dns SRV _imaps._tcp.relay-a.example: wrong' \
		"s/^(_imaps\._tcp\.$d.*) 993 /\1 143 /"
	zone_fault "an IPv6 address of nobody" 'dns AAAA relay-a.example: doubtful' \
		"s/^($d .* )A +10.*/&\n\1AAAA 2001:db8::9/"
}

faults_of_tls() {
	local t=$work/tls
	make_issuers
	on a 'cat /etc/ssl/lab/privkey.pem' >"$work/key.good"
	on a 'cat /etc/ssl/lab/fullchain.pem' >"$work/chain.good"
	certificate relay-a.example -30 -2
	tls_fault "certificate expired" 'tls expiry: the certificate expired 2 days ago'
	certificate relay-a.example -30 5
	tls_fault "certificate expires" 'tls expiry: the certificate expires in [45] days'
	certificate other.example -1 90
	tls_fault "certificate of another name" 'tls name: '
	certificate relay-a.example -1 60 "$t/middle"
	tls_fault "chain incomplete" 'tls chain: the chain is incomplete'
	certificate relay-a.example -1 60 "$t/nobody"
	cat "$t/nobody.crt" >>"$t/cert.pem"
	tls_fault "unknown authority" 'tls chain: this machine trusts no authority'
	certificate relay-a.example -1 60
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$t/key.pem" 2>/dev/null
	tls_fault "key of another certificate" 'tls key: '
	certificate relay-a.example -1 60
	fault "certificate not read" 'unit tls-cert-reload\.path|tls served ' \
		'on a "systemctl stop tls-cert-reload.path"; on a "cat >/etc/ssl/lab/privkey.pem" <"$work/tls/key.pem"
		on a "cat >/etc/ssl/lab/fullchain.pem" <"$work/tls/cert.pem"' \
		'put_certificate "$work/key.good" "$work/chain.good"; on a "systemctl start tls-cert-reload.path"'
	fault "certificate gone" 'tls file: ' 'on a "mv /etc/ssl/lab/fullchain.pem /etc/ssl/lab/aside; sleep 1"' \
		'on a "mv /etc/ssl/lab/aside /etc/ssl/lab/fullchain.pem; sleep 1; systemctl reset-failed"'
}

filtered() { # NAME CAUSES RULE HOOK
	fault "$1" "$2" "on a 'nft add table inet fault
		nft add chain inet fault c \"{ type filter hook ${4:-input} priority 0; }\"
		nft add rule inet fault c $3'" "on a 'nft delete table inet fault'"
}

need_nft() {
	on a 'command -v nft >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -q -y install nftables >/dev/null'
}

faults_of_network() {
	need_nft
	filtered "port 25 dropped" 'port 25 10\.77\.0\.2: the server listens, but a packet filter' 'tcp dport 25 drop'
	filtered "port 993 dropped" 'port 993 10\.77\.0\.2: the server listens, but a packet filter' 'tcp dport 993 drop'
	filtered "port 587 refused" 'port 587 10\.77\.0\.2: the server listens, but a packet filter' \
		'tcp dport 587 reject with tcp reset'
	filtered "UDP dropped" 'turn: nothing answers' 'udp dport 3478 drop'
	filtered "no way out" 'out 25: no mail server is reached' 'tcp dport 25 ip daddr != 10.77.0.2 drop' output
	fault "resolver without a way" 'resolver: ' "on a 'mv /etc/unbound/unbound.conf.d/lab*.conf /root/ 2>/dev/null
		printf \"forward-zone:\n    name: .\n    forward-addr: 10.77.0.99\n\" >/etc/unbound/unbound.conf.d/zz.conf
		systemctl restart unbound'" \
		"on a 'rm /etc/unbound/unbound.conf.d/zz.conf; mv /root/lab*.conf /etc/unbound/unbound.conf.d/ 2>/dev/null
		systemctl restart unbound'"
	fault "no push service" 'push: ' "on a 'systemctl stop lab-push'" start_push_service
	fault "clock" 'clock: ' 'doctor_time=+10m' 'doctor_time='
}

faults_of_services() {
	fault "TURN hangs" 'turn: nothing answers' "on a 'systemctl kill -s STOP coturn'" \
		"on a 'systemctl kill -s CONT coturn'"
	fault "iroh hangs" 'iroh: ' "on a 'systemctl kill -s STOP iroh-relay'" \
		"on a 'systemctl kill -s CONT iroh-relay; systemctl restart iroh-relay'"
	fault "another TURN secret" 'file /etc/turnserver.conf: was changed' \
		"on a 'sed -i s/not-so-secret/other/ /etc/turnserver.conf; systemctl restart coturn; sleep 1'" \
		"on a 'sed -i s/=other/=not-so-secret/ /etc/turnserver.conf; systemctl restart coturn'"
	fault "registration closed" 'registration: nobody can make an account' "on a 'touch /etc/chatmail-nocreate'" \
		"on a 'rm /etc/chatmail-nocreate'"
	fault "broken ini" 'file /etc/chatmaild/chatmail.ini: was changed' \
		"on a 'cp -a /etc/chatmaild/chatmail.ini /root/; echo max_message_size = much >>/etc/chatmaild/chatmail.ini
		systemctl restart chatmaild || :'" \
		"on a 'cp -a /root/chatmail.ini /etc/chatmaild/; systemctl stop chatmaild; systemctl reset-failed; systemctl start chatmaild.socket chatmaild-filter.socket chatmaild-http.socket chatmaild'"
	fault "changed file" 'file /etc/postfix/main.cf: was changed' \
		"on a 'cp -a /etc/postfix/main.cf /root/; echo \"# mine\" >>/etc/postfix/main.cf'" \
		"on a 'cp -a /root/main.cf /etc/postfix/'"
	fault "mode of a file" 'file /etc/postfix/main.cf: has the mode' "on a 'chmod 600 /etc/postfix/main.cf'" \
		"on a 'chmod 644 /etc/postfix/main.cf'"
	fault "port 465 closed" 'file /etc/postfix/master.cf: was changed' \
		"on a 'cp -a /etc/postfix/master.cf /root/; sed -i -E \"s/^(465|smtps|submissions) /4650 /\" /etc/postfix/master.cf; postfix reload 2>/dev/null; sleep 1'" \
		"on a 'cp -a /root/master.cf /etc/postfix/; postfix reload 2>/dev/null; sleep 1'"
	fault "another site" 'file /etc/nginx/nginx.conf: was changed' \
		"on a 'cp -a /etc/nginx/nginx.conf /root/; printf \"events {}\nhttp { server { listen 80; } }\n\" >/etc/nginx/nginx.conf; systemctl reload nginx; sleep 1'" \
		"on a 'cp -a /root/nginx.conf /etc/nginx/; systemctl reload nginx || systemctl restart nginx; sleep 1'"
	fault "package removed" 'package bind9-dnsutils: was removed' "on a 'dpkg -r bind9-dnsutils >/dev/null 2>&1'" \
		"on a 'apt-get -q -y --no-install-recommends install bind9-dnsutils >/dev/null 2>&1'"
	fault "owner of the DKIM key" '(state|file|directory) .*(DKIM|dkim)' \
		"on a 'chown root:root /etc/dkimkeys/opendkim.private; systemctl restart chatmail-opendkim@sign || :'" \
		"on a 'chown opendkim:opendkim /etc/dkimkeys/opendkim.private; systemctl reset-failed; systemctl restart chatmail-opendkim@sign'"
	fault "another DKIM key" 'dns TXT opendkim._domainkey.relay-a.example: wrong' \
		"on a 'cp -a /etc/dkimkeys/opendkim.private /root/; openssl genrsa 2048 2>/dev/null >/etc/dkimkeys/opendkim.private
		systemctl restart chatmail-opendkim@sign'" \
		"on a 'cp -a /root/opendkim.private /etc/dkimkeys/; systemctl restart chatmail-opendkim@sign'"
	fault "a run that was cut" 'owed ' "on a 'echo restart >/var/lib/cmdeploy/pending/nginx.service'" \
		"on a 'rm /var/lib/cmdeploy/pending/nginx.service'"
	fault "never deployed" 'deployment: ' "on a 'mv /var/lib/cmdeploy/generations /root/'" \
		"on a 'mv /root/generations /var/lib/cmdeploy/'"
}

# A file system of its own for the mailboxes, like the directory that it hides.
mount_mail() { # OPTIONS
	on a "set -- \$(stat -c '%a %U:%G' $mailboxes)
		mount -t tmpfs -o $1,mode=\$1 tmpfs $mailboxes && chown \$2 $mailboxes"
}

faults_of_room() {
	local mailboxes=/home/vmail/mail/relay-a.example
	fault "disk full" "disk $mailboxes: only" "mount_mail size=90m && on a 'dd if=/dev/zero of=$mailboxes/ballast bs=1M count=80 2>/dev/null'" \
		"on a 'umount -l $mailboxes'"
	fault "no inodes" "inodes $mailboxes: only" "mount_mail size=8g,nr_inodes=400 &&
		on a 'for i in \$(seq 395); do : >$mailboxes/ballast\$i; done'" "on a 'umount -l $mailboxes'"
	# As if it had waited for hours: the times in the queue file, in their place.
	fault "queue" 'queue .10\.77\.0\.99.: ' \
		"on a 'printf \"Subject: x\n\nx\n\" | sendmail -f nobody@relay-a.example \"someone@[10.77.0.99]\"; sleep 5
		for file in \$(find /var/spool/postfix/deferred -type f); do
			old=\$(postcat -e \$file | sed -n \"s/^message_arrival_time: //p\")
			old=\$(date -d \"\$old\" +%s)
			perl -0777 -pe \"s/\$old/@{[\$old-18000]}/g\" \$file >/root/aged && cat /root/aged >\$file
		done'" "on a 'postsuper -d ALL 2>/dev/null'"
}

scene_doctor_faults() {
	local faults=0 missed='' part doctor_time='' zone_script
	doctor_needs
	for part in ${DOCTOR_FAULTS:-units dns tls network services room}; do
		"faults_of_$part"
	done
	[ -z "$missed" ] || fail "named wrongly:$missed"
	doctor
	[ -z "$(causes)" ] || fail "in the end: $(causes)"
	left_nothing
	figure "$faults faults, each named by its cause"
}

drop_from() { # ADDRESS PORT
	on a "nft add table inet fault
		nft add chain inet fault c '{ type filter hook input priority 0; }'
		nft add rule inet fault c ip saddr $1 tcp dport $2 drop"
}

# B looks, too: what is closed to this machine alone is nothing of the relay's, what is closed to B
# alone is.
scene_doctor_elsewhere() {
	local faults=0 missed='' here=10.77.0.1 there=10.77.0.3
	doctor_needs
	need_nft
	doctor --from "root@$there"
	[ -z "$(causes)" ] || fail "found on a sound relay: $(causes)"
	drop_from "$here" 25
	doctor --from "root@$there"
	on a 'nft delete table inet fault'
	[ -z "$(causes)" ] || fail "closed to this machine alone: $(causes)"
	jq -e '.findings[] | select(.probe == "port 25 10.77.0.2" and .severity == "untried")' \
		"$work/said.json" >/dev/null || fail "closed to this machine alone: not said"
	fault "closed to others" 'port 993 10\.77\.0\.2: open to this machine, but not to root@10\.77\.0\.3' \
		'drop_from "$there" 993' "on a 'nft delete table inet fault'" --from "root@$there"
	[ -z "$missed" ] || fail "named wrongly:$missed"
	doctor --from root@10.77.0.98
	jq -e '.findings[] | select(.probe == "from" and .severity == "untried")' "$work/said.json" \
		>/dev/null || fail "nobody there to look: not said"
	[ -z "$(causes)" ] || fail "nobody there to look: $(causes)"
}

ipv6() { # add|delete
	"$lab" net ip -6 address "$1" 2001:db8:77::1/64 dev br0 nodad
	on a "ip -6 address $1 2001:db8:77::2/64 dev eth0 nodad"
}

# The relay by IPv6 too, which the lab has for this only.
scene_doctor_ipv6() {
	local faults=0 missed='' zone_script
	doctor_needs
	need_nft
	"$lab" dns show >"$work/zone.ipv4"
	ipv6 add
	trap 'ipv6 delete; "$lab" dns set "$work/zone.ipv4"' EXIT
	sed -i 's/^disable_ipv6.*/disable_ipv6 = false/' "$work/a.ini"
	deploy a
	load_zone a
	doctor
	causes
	[ -z "$(causes)" ] || fail "found on a sound relay: $(causes)"
	[ "$(jq '[.findings[] | select(.severity == "sound" and (.probe | test("^port [0-9]+ 2001:db8:77::2$")))]
		| length' "$work/said.json")" -ge 7 ] || fail "not all ports were tried by IPv6"
	"$lab" dns show >"$work/zone.good"
	fault "port 993 dropped by IPv6" 'port 993 2001:db8:77::2: the server listens, but a packet filter' \
		"on a 'nft add table ip6 fault
			nft add chain ip6 fault c \"{ type filter hook input priority 0; }\"
			nft add rule ip6 fault c tcp dport 993 drop'" "on a 'nft delete table ip6 fault'"
	zone_fault "no IPv6 address" 'dns AAAA relay-a.example: missing' '/ AAAA /d'
	[ -z "$missed" ] || fail "named wrongly:$missed"
}

# Where nothing answers it says so, in time.
scene_doctor_dead() {
	write_ini a </dev/null
	sed -i 's/^mail_domain.*/mail_domain = nowhere.example/' "$work/a.ini"
	doctor --ssh-host 10.77.0.99
	[ "$status" = 1 ] || fail "exit code $status"
	in_time "nobody there"
	causes
	figure "$(jq .seconds "$work/said.json") s"
}
