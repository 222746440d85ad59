# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenarios of acceptance: what stands in the way of a deployment, and is refused with its
# remedy or survived. Sourced by it.

# Nothing may have happened on the server.
untouched() { # HOST COMMAND...: a run that is refused
	local host=$1
	shift
	files_of "$host" >"$work/files.before"
	"$@"
	files_of "$host" | diff "$work/files.before" - || fail "$host was touched"
}

# The relay on A as it was, whatever the scenario did.
mended() {
	write_ini a </dev/null
	deploy a
	nothing_to_do a
	healthy a
	tidy a
}

scene_no_ssh() {
	write_ini a </dev/null
	refused a --ssh-host 10.77.0.1
	says 'no SSH server answers there'
	says 'Set it in ~/.ssh/config'
	refused a --ssh-host nowhere.example
	says 'does not resolve'
}

scene_wrong_host_key() {
	known=$LAB_DIR/run/known_hosts
	write_ini a </dev/null
	cp "$known" "$work/known_hosts"
	trap 'cat "$work/known_hosts" >"$known"' EXIT
	sed -i '/^a,/d' "$known"
	refused a
	says 'host key is not known yet'
	# The key of B under the name of A.
	sed -n 's/^b,[^ ]*/a,relay-a.example,10.77.0.2/p' "$work/known_hosts" >"$known"
	refused a
	says 'host key is another one than before'
	says 'ssh-keygen -R'
}

# A login that may not become root; then one that may.
scene_no_sudo() {
	need a
	on a 'id keeper >/dev/null 2>&1 || useradd -m -s /bin/bash keeper
		rm -f /etc/sudoers.d/lab
		install -d -m 700 -o keeper /home/keeper/.ssh
		install -m 600 -o keeper /root/.ssh/authorized_keys /home/keeper/.ssh/'
	untouched a refused a --ssh-host keeper@relay-a.example
	says 'may not become root without a password'
	on a 'apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		--no-install-recommends install sudo >/dev/null 2>&1
		echo "keeper ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/lab'
	write_ini a <<<'max_user_send_per_minute = 21'
	deploy a --ssh-host keeper@relay-a.example
	says '/etc/chatmaild/chatmail.ini'
	mended
}

scene_wrong_release() {
	need a
	on a 'cp -P /etc/os-release /etc/os-release.lab
		sed "s/^VERSION_ID=.*/VERSION_ID=\"13\"/" /usr/lib/os-release >/etc/os-release.new
		mv /etc/os-release.new /etc/os-release'
	refused a
	says 'runs debian 13; a relay needs Debian 12'
	on a 'mv /etc/os-release.lab /etc/os-release'
	mended
}

# A package is missing, and the mirror is away; once it is back a run goes on.
scene_mirror_down() {
	need a
	on a 'dpkg -P bind9-dnsutils >/dev/null && apt-get clean
		rm -rf /var/lib/apt/lists/* /var/lib/cmdeploy/apt-updated
		sed -i "s/:3142/:3143/" /etc/apt/sources.list'
	trap 'on a "sed -i s/:3143/:3142/ /etc/apt/sources.list"' EXIT
	refused a
	says 'whether it is the network,$|whether it is the network, the DNS'
	healthy a
	on a 'sed -i s/:3143/:3142/ /etc/apt/sources.list'
	mended
	on a 'dpkg-query -W bind9-dnsutils' || fail "the package is not there"
}

# Certificates that would not do are refused before the plan, in a dry run too.
scene_bad_certificate() {
	local dry
	need a
	on a 'cp -a /etc/ssl/lab /etc/ssl/lab.good
		openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out /etc/ssl/lab/privkey.pem'
	for dry in --dry-run ''; do
		# shellcheck disable=SC2086 # one word, or none
		untouched a refused a $dry
		says 'this is not the key of the first certificate'
		says 'was not touched'
	done
	on a 'rm -r /etc/ssl/lab && mv /etc/ssl/lab.good /etc/ssl/lab'
	mended
}

refused_for_port() {
	refused a
	says 'Port 3478 of the server is taken by stranger'
	says 'was not touched'
}

scene_port_taken() {
	need a
	put "$build/test/lab/stand_in" a /usr/local/bin/stranger
	on a 'systemctl stop turnserver
		systemctl reset-failed lab-stranger 2>/dev/null || :
		systemd-run -q --unit=lab-stranger /usr/local/bin/stranger --realm x --socket /run/stranger'
	wait_for 10 on a "ss -Hltn 'sport = :3478' | grep -q ."
	untouched a refused_for_port
	on a 'systemctl stop lab-stranger; rm /usr/local/bin/stranger'
	mended
}

# It answers on another address of port 53, and /etc/resolv.conf is its.
scene_resolved() {
	"$lab" reset b
	write_ini b </dev/null
	on b 'apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		--no-install-recommends install systemd-resolved >/dev/null 2>&1
		mkdir -p /etc/systemd/resolved.conf.d
		printf "[Resolve]\nDNS=10.77.0.1\n" >/etc/systemd/resolved.conf.d/lab.conf
		systemctl enable -q --now systemd-resolved && systemctl restart systemd-resolved
		ln -sfn /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf'
	on b 'systemctl is-active -q systemd-resolved' || fail "systemd-resolved does not run"
	deploy b
	says 'systemd-resolved answers on port 53'
	! on b 'systemctl is-active -q systemd-resolved' || fail "systemd-resolved still runs"
	on b 'getent hosts relay-a.example' || fail "names are not found any more"
	nothing_to_do b
	healthy b
}

scene_apt_locked() {
	need a
	# As apt does: by fcntl(2), which perl knows.
	# shellcheck disable=SC2016 # perl's
	on a 'dpkg -P bind9-dnsutils >/dev/null
		systemctl reset-failed lab-lock 2>/dev/null || :
		systemd-run -q --unit=lab-lock perl -e "
			use Fcntl; open(F, q(>), q(/var/lib/dpkg/lock-frontend)) or die;
			my \$lock = pack(q(s s l! l! i), F_WRLCK, 0, 0, 0, 0);
			fcntl(F, F_SETLK, \$lock) or die; sleep 15"'
	local began=$EPOCHREALTIME
	deploy a
	figure "waited, $(elapsed "$began") s"
	on a 'dpkg-query -W bind9-dnsutils' || fail "the package is not there"
	mended
}

# What cmdeploy keeps is on a disk of its own that is full; then /etc is.
scene_disk_full() {
	need a
	on a 'mv /var/lib/cmdeploy /var/lib/cmdeploy.aside && mkdir /var/lib/cmdeploy
		mount -t tmpfs -o size=1200k tmpfs /var/lib/cmdeploy
		cp -a /var/lib/cmdeploy.aside/generations /var/lib/cmdeploy/
		cp -a /var/lib/cmdeploy.aside/blobs /var/lib/cmdeploy/
		dd if=/dev/zero of=/var/lib/cmdeploy/ballast 2>/dev/null || :'
	write_ini a <<<'max_user_send_per_minute = 12'
	refused a
	says -i 'disk|space'
	healthy a
	on a 'umount /var/lib/cmdeploy && rmdir /var/lib/cmdeploy &&
		mv /var/lib/cmdeploy.aside /var/lib/cmdeploy'
	deploy a
	mended
}

# The checker of a program refuses what would be put: what runs goes on.
scene_refused_config() {
	local program
	need a
	before=$(on a 'systemctl show -p MainPID --value postfix@- dovecot nginx chatmaild unbound | tr "\n" " "')
	for program in dovecot nginx postfix unbound; do
		rm -rf "$work/templates"
		cp -a "$top/templates" "$work/templates"
		case $program in
		dovecot) echo 'no_such_setting = yes' >>"$work/templates/dovecot/etc/dovecot/dovecot.conf" ;;
		nginx) echo 'no_such_directive;' >>"$work/templates/nginx/etc/nginx/nginx.conf" ;;
		postfix) echo 'nonsense unix n' >>"$work/templates/postfix/etc/postfix/master.cf" ;;
		unbound) echo 'no-such-option: yes' >>"$work/templates/unbound/etc/unbound/unbound.conf.d/chatmail.conf" ;;
		esac
		refused a --templates "$work/templates"
		says 'The new configuration is refused. The old one stays, and what runs, too.'
		[ "$(on a 'systemctl show -p MainPID --value postfix@- dovecot nginx chatmaild unbound | tr "\n" " "')" = "$before" ] ||
			fail "$program: something was restarted"
		healthy a
	done
	nothing_to_do a
}

# A server with a web site and a mail server of somebody's.
scene_foreign_files() {
	"$lab" reset b
	write_ini b </dev/null
	on b 'mkdir -p /etc/nginx/sites-enabled /var/www/html
		echo "# mine" >>/etc/nginx/nginx.conf
		printf "server { listen 8088; server_name mine.example; }\n" >/etc/nginx/sites-available/mine
		ln -sf ../sites-available/mine /etc/nginx/sites-enabled/mine
		echo "my page" >/var/www/html/index.html
		echo "# mine" >>/etc/postfix/main.cf'
	deploy b
	local path
	for path in /etc/nginx/nginx.conf /var/www/html/index.html /etc/postfix/main.cf; do
		says "Kept as it was: $path, in /var/lib/cmdeploy/backup/"
		on b "grep -q -e '# mine' -e 'my page' /var/lib/cmdeploy/backup/*$path" ||
			fail "$path is not kept"
	done
	on b 'test -L /etc/nginx/sites-enabled/mine -a -f /etc/nginx/sites-available/mine ||
		ls /var/lib/cmdeploy/backup/*/etc/nginx/sites-enabled/mine' || fail "the site is gone"
	nothing_to_do b
	healthy b
}

scene_broken_template() {
	need a
	rm -rf "$work/templates"
	cp -a "$top/templates" "$work/templates"
	echo '{{no_such_variable}}' >>"$work/templates/postfix/etc/postfix/main.cf"
	untouched a refused a --templates "$work/templates"
	says "main.cf:[0-9]+: unknown variable 'no_such_variable'"
}

# shellcheck disable=SC2016 # meant to be taken literally
scene_shell_characters() {
	local domain
	# shellcheck disable=SC2043
	for domain in 'x;touch /tmp/pwned' '$(touch /tmp/pwned).example' '`id`.example' \
		"a'b.example" 'a b.example' '-oProxyCommand=touch.example' 'a|b.example'; do
		! cmdeploy init --config "$work/hostile.ini" -- "$domain" || fail "init took '$domain'"
		printf '[params]\nmail_domain = %s\n' "$domain" >"$work/hostile.ini"
		! cmdeploy run --config "$work/hostile.ini" --packages "$packages" ||
			fail "run took '$domain'"
		says 'mail_domain'
		rm -f "$work/hostile.ini"
	done
	[ ! -e /tmp/pwned ] || fail "a command of the domain was run"
	# Where any text is allowed, it stays text.
	need a
	write_ini a <<-'END'
		privacy_postal = $(touch /tmp/pwned) `id` '"; touch /tmp/pwned #
		acme_email = a'b$(id)@example.org
	END
	deploy a
	! on a 'ls /tmp/pwned' || fail "a command of a text was run"
	grep -qF '$(touch /tmp/pwned)' <<<"$(curl_lab https://relay-a.example/privacy.html)" ||
		fail "the text is not on the page"
	mended
}
