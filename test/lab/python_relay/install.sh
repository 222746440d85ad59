#!/bin/sh
# Makes a server of the lab one as the Python relay's deployment leaves it: on the server, as
# root. /root/python-relay has services.py and, as programs, stand_in.
# usage: install.sh DOMAIN
set -eu
domain=$1
here=/root/python-relay
lib=/usr/local/lib/chatmaild
units=/etc/systemd/system
export DEBIAN_FRONTEND=noninteractive

apt_get() {
	apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@" </dev/null >/dev/null
}

file() { # PATH [MODE]: its text from stdin
	mkdir -p "$(dirname "$1")"
	sed "s/DOMAIN/$domain/g" >"$1"
	chmod "${2-644}" "$1"
}

# ---- packages: Debian's Dovecot under the version that such a relay has pinned ----

pinned=1:2.3.21+dfsg1-3

repack() { # PACKAGE
	apt-get -q -y download "$1" >/dev/null
	dpkg-deb -R "$1"_*.deb "$1"
	rm "$1"_*.deb
	sed -i -e "s/^Version: .*/Version: $pinned/" -e "s/abiv19/abiv21/g" \
		-e "s/dovecot-core (= [^)]*)/dovecot-core (= $pinned)/g" "$1/DEBIAN/control"
	dpkg-deb -Znone -b "$1" "$1.deb" >/dev/null
	rm -r "$1"
}

printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get -q update >/dev/null
# The libraries are for the notification service that a scenario puts there.
apt_get install fcgiwrap python3 unbound libevent-openssl-2.1-7 libnghttp2-14
mkdir -p $here/debs
cd $here/debs
for package in dovecot-core dovecot-imapd dovecot-lmtpd; do
	[ -e $package.deb ] || repack $package
done
dpkg --force-confdef --force-confold -i ./*.deb >/dev/null
cd /
rm /usr/sbin/policy-rc.d
file /etc/apt/preferences.d/pin-dovecot <<-END
	Package: dovecot-*
	Pin: version *
	Pin-Priority: -1
END

# ---- users, programs ----

getent passwd vmail >/dev/null ||
	useradd --system --home-dir /home/vmail --create-home --shell /usr/sbin/nologin vmail
getent passwd iroh >/dev/null || useradd --system --no-create-home --shell /usr/sbin/nologin iroh
install -d -o vmail -g vmail -m 700 /home/vmail /home/vmail/mail "/home/vmail/mail/$domain"

mkdir -p $lib/venv/bin $lib/dist /usr/lib/cgi-bin
ln -sf /usr/bin/python3 $lib/venv/bin/python3
for name in doveauth lastlogin chatmail-metadata filtermail chatmail-expire chatmail-fsreport; do
	install -m 755 $here/services.py $lib/venv/bin/$name
done
install -m 755 $here/services.py /usr/lib/cgi-bin/newemail.py
echo 'what was installed' >$lib/dist/chatmaild-0.3.tar.gz
install -m 755 $here/stand_in /usr/local/bin/chatmail-turn
install -m 755 $here/stand_in /usr/local/bin/iroh-relay

file $lib/chatmail.ini <<-END
	[params]
	mail_domain = DOMAIN
	max_user_send_per_minute = 60
	max_mailbox_size = 100M
	max_message_size = 31457280
	delete_mails_after = 20
	delete_large_after = 7
	delete_inactive_users_after = 90
	username_min_length = 9
	username_max_length = 9
	password_min_length = 9
	passthrough_senders =
	passthrough_recipients = echo@DOMAIN
	filtermail_smtp_port = 10080
	filtermail_smtp_port_incoming = 10081
	postfix_reinject_port = 10025
	postfix_reinject_port_incoming = 10026
	disable_ipv6 = True
	privacy_postal =
	privacy_mail =
	privacy_pdo =
	privacy_supervisor =
END

# ---- units ----

service() { # NAME COMMAND [LINE]...
	name=$1 command=$2
	shift 2
	{
		printf '[Unit]\nDescription=%s\n\n[Service]\nExecStart=%s\n' "$name" "$command"
		printf 'Restart=always\nRestartSec=30\nUser=vmail\nUMask=0077\n'
		printf '%s\n' "$@"
		printf '\n[Install]\nWantedBy=multi-user.target\n'
	} | file $units/"$name".service
}

job() { # NAME TIME
	printf '[Unit]\nDescription=%s\n\n[Service]\nType=oneshot\nUser=vmail\nExecStart=%s\n' \
		"$1" "$lib/venv/bin/$1 $lib/chatmail.ini -v --remove" | file $units/"$1".service
	printf '[Timer]\nOnCalendar=%s\n\n[Install]\nWantedBy=timers.target\n' "$2" |
		file $units/"$1".timer
}

service doveauth "$lib/venv/bin/doveauth /run/doveauth/doveauth.socket $lib/chatmail.ini" \
	RuntimeDirectory=doveauth
service lastlogin "$lib/venv/bin/lastlogin /run/chatmail-lastlogin/lastlogin.socket $lib/chatmail.ini" \
	RuntimeDirectory=chatmail-lastlogin
service chatmail-metadata \
	"$lib/venv/bin/chatmail-metadata /run/chatmail-metadata/metadata.socket $lib/chatmail.ini" \
	RuntimeDirectory=chatmail-metadata
service filtermail "$lib/venv/bin/filtermail $lib/chatmail.ini outgoing"
service filtermail-incoming "$lib/venv/bin/filtermail $lib/chatmail.ini incoming"
service turnserver '/usr/local/bin/chatmail-turn --realm DOMAIN --socket /run/chatmail-turn/turn.socket' \
	RuntimeDirectory=chatmail-turn
service iroh-relay '/usr/local/bin/iroh-relay --config-path /etc/iroh-relay.toml'
sed -i 's/^User=vmail/User=iroh/' $units/iroh-relay.service
file /etc/iroh-relay.toml <<-END
	enable_relay = true
	http_bind_addr = "[::]:3340"
	enable_stun = false
	enable_metrics = false
END
job chatmail-expire '*-*-* 00:02:00'
job chatmail-fsreport '*-*-* 08:02:00'
file $units/tls-cert-reload.path <<-END
	[Path]
	PathChanged=/etc/ssl/lab/fullchain.pem
	[Install]
	WantedBy=multi-user.target
END
file $units/tls-cert-reload.service <<-END
	[Service]
	Type=oneshot
	ExecStart=/bin/systemctl try-reload-or-restart dovecot nginx postfix
END
file /etc/cron.d/chatmail-metrics <<-END
	*/5 * * * * root true
END
file $units/opendkim.service.d/10-prevent-memory-leak.conf <<-END
	[Service]
	Restart=always
	RuntimeMaxSec=1d
END
for unit in dovecot postfix@; do
	file $units/$unit.service.d/10_restart.conf <<-END
		[Service]
		Restart=always
		RestartSec=30
	END
done

# ---- OpenDKIM: one for both ways ----

install -d -o opendkim -g opendkim -m 750 /etc/dkimkeys
install -d -o opendkim -g opendkim -m 755 /etc/opendkim
[ -e /etc/dkimkeys/opendkim.private ] ||
	opendkim-genkey -D /etc/dkimkeys -d "$domain" -s opendkim
chown opendkim:opendkim /etc/dkimkeys/opendkim.*
file /etc/dkimkeys/KeyTable <<-END
	opendkim._domainkey.DOMAIN DOMAIN:opendkim:/etc/dkimkeys/opendkim.private
END
file /etc/dkimkeys/SigningTable <<-END
	*@DOMAIN opendkim._domainkey.DOMAIN
END
file /etc/opendkim/screen.lua <<-'END'
	from = odkim.get_fromdomain(ctx)
	n = odkim.get_sigcount(ctx)
	if from == nil or n == nil then
	  return nil
	end
	for i = 1, n do
	  sig = odkim.get_sighandle(ctx, i - 1)
	  if odkim.sig_getdomain(sig) ~= from then
	    odkim.sig_ignore(sig)
	  end
	end
	return nil
END
file /etc/opendkim/final.lua <<-'END'
	if odkim.internal_ip(ctx) == 1 then
	  return nil
	end
	n = odkim.get_sigcount(ctx)
	if n == nil then
	  n = 0
	end
	for i = 1, n do
	  sig = odkim.get_sighandle(ctx, i - 1)
	  if odkim.sig_result(sig) == 0 then
	    return nil
	  end
	end
	odkim.set_reply(ctx, "554", "5.7.1", "No valid DKIM signature found")
	odkim.set_result(ctx, SMFIS_REJECT)
	return nil
END
file /etc/opendkim.conf <<-END
	Syslog yes
	SyslogSuccess yes
	Canonicalization relaxed/simple
	On-BadSignature reject
	On-KeyNotFound reject
	On-NoSignature reject
	DNSTimeout 60
	Nameservers 10.77.0.1
	Domain DOMAIN
	Selector opendkim
	KeyFile /etc/dkimkeys/opendkim.private
	KeyTable /etc/dkimkeys/KeyTable
	SigningTable refile:/etc/dkimkeys/SigningTable
	SignHeaders *,+autocrypt,+content-type
	OversignHeaders from,reply-to,subject,date,to,cc
	ScreenPolicyScript /etc/opendkim/screen.lua
	FinalPolicyScript /etc/opendkim/final.lua
	UserID opendkim
	UMask 007
	Socket local:/var/spool/postfix/opendkim/opendkim.sock
	PidFile /run/opendkim/opendkim.pid
END
install -d -o opendkim -g opendkim -m 750 /var/spool/postfix/opendkim
adduser -q postfix opendkim >/dev/null 2>&1 || usermod -a -G opendkim postfix

# ---- Dovecot ----

file /etc/dovecot/auth.conf <<-'END'
	uri = proxy:/run/doveauth/doveauth.socket:auth
	iterate_disable = no
	iterate_prefix = userdb/
	default_pass_scheme = plain
	password_key = passdb/%Ew"%Eu
	user_key = userdb/%Eu
END
file /etc/dovecot/push_notification.lua <<-'END'
	function dovecot_lua_notify_begin_txn(user)
	  return user
	end
	function dovecot_lua_notify_event_message_new(user, event)
	  local mbox = user:mailbox(event.mailbox)
	  mbox:sync()
	  if user.username ~= event.from_address then
	    mbox:metadata_set("/private/messagenew", "")
	  end
	  mbox:free()
	end
	function dovecot_lua_notify_end_txn(ctx, success)
	end
END
file /etc/dovecot/dovecot.conf <<-'END'
	protocols = imap lmtp
	listen = *
	auth_mechanisms = plain
	default_client_limit = 20000
	mail_plugins = zlib quota
	imap_capability = +XDELTAPUSH XCHATMAIL
	passdb {
	  driver = dict
	  args = /etc/dovecot/auth.conf
	}
	userdb {
	  driver = dict
	  args = /etc/dovecot/auth.conf
	}
	mail_location = maildir:/home/vmail/mail/DOMAIN/%u
	mail_cache_max_size = 500K
	mail_uid = vmail
	mail_gid = vmail
	mail_privileged_group = vmail
	first_valid_uid = 1
	namespace inbox {
	  inbox = yes
	}
	mail_attribute_dict = proxy:/run/chatmail-metadata/metadata.socket:metadata
	protocol imap {
	  mail_plugins = $mail_plugins imap_quota imap_zlib last_login
	  imap_metadata = yes
	}
	protocol lmtp {
	  mail_plugins = $mail_plugins mail_lua notify push_notification push_notification_lua
	}
	plugin {
	  last_login_dict = proxy:/run/chatmail-lastlogin/lastlogin.socket:lastlogin
	  last_login_precision = s
	  zlib_save = gz
	  quota = maildir:User quota
	  quota_rule = *:storage=100M
	  push_notification_driver = lua:file=/etc/dovecot/push_notification.lua
	}
	service lmtp {
	  user = vmail
	  unix_listener /var/spool/postfix/private/dovecot-lmtp {
	    group = postfix
	    mode = 0600
	    user = postfix
	  }
	}
	service auth {
	  unix_listener /var/spool/postfix/private/auth {
	    mode = 0660
	    user = postfix
	    group = postfix
	  }
	}
	service auth-worker {
	  user = vmail
	}
	service imap-login {
	  service_count = 0
	  process_min_avail = 2
	}
	ssl = required
	ssl_cert = </etc/ssl/lab/fullchain.pem
	ssl_key = </etc/ssl/lab/privkey.pem
	ssl_dh = </usr/share/dovecot/dh.pem
	ssl_min_protocol = TLSv1.3
	ssl_prefer_server_ciphers = yes
END

# ---- Postfix ----

echo "$domain" >/etc/mailname
file /etc/postfix/login_map <<-'END'
	/^(.*)$/ ${1}
END
file /etc/postfix/submission_header_cleanup <<-'END'
	/^Received:/ IGNORE
	/^X-Originating-IP:/ IGNORE
	/^X-Mailer:/ IGNORE
	/^User-Agent:/ IGNORE
	/^Subject:/ REPLACE Subject: [...]
END
file /etc/postfix/smtp_tls_policy_map <<-'END'
	/^\[[^]]+\]$/ encrypt
	/^_/ encrypt
END
file /etc/postfix/main.cf <<-'END'
	myorigin = DOMAIN
	myhostname = DOMAIN
	biff = no
	append_dot_mydomain = no
	readme_directory = no
	compatibility_level = 3.6
	smtpd_tls_cert_file = /etc/ssl/lab/fullchain.pem
	smtpd_tls_key_file = /etc/ssl/lab/privkey.pem
	smtpd_tls_security_level = may
	smtp_tls_CApath = /etc/ssl/certs
	smtp_tls_security_level = verify
	smtp_tls_servername = hostname
	smtp_tls_policy_maps = regexp:/etc/postfix/smtp_tls_policy_map
	smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
	alias_maps =
	mydestination =
	virtual_transport = lmtp:unix:private/dovecot-lmtp
	virtual_mailbox_domains = DOMAIN
	relayhost =
	mynetworks = 127.0.0.0/8
	mailbox_size_limit = 0
	message_size_limit = 31457280
	recipient_delimiter = +
	inet_interfaces = all
	inet_protocols = ipv4
	mua_client_restrictions = permit_sasl_authenticated, reject
	mua_sender_restrictions = reject_sender_login_mismatch, permit_sasl_authenticated, reject
	mua_helo_restrictions = permit_mynetworks, reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, permit
	smtpd_sender_login_maps = regexp:/etc/postfix/login_map
	smtpd_peername_lookup = no
END
submission="-o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
  -o smtpd_sasl_type=dovecot -o smtpd_sasl_path=private/auth
  -o smtpd_reject_unlisted_recipient=no -o smtpd_client_restrictions=\$mua_client_restrictions
  -o smtpd_helo_restrictions=\$mua_helo_restrictions
  -o smtpd_sender_restrictions=\$mua_sender_restrictions -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_client_connection_count_limit=1000 -o smtpd_proxy_filter=127.0.0.1:10080"
file /etc/postfix/master.cf <<-END
	smtp inet n - y - - smtpd
	  -o smtpd_tls_security_level=encrypt -o smtpd_proxy_filter=127.0.0.1:10081
	submission inet n - y - 5000 smtpd
	  -o syslog_name=postfix/submission -o smtpd_tls_auth_only=yes
	  $submission
	smtps inet n - y - 5000 smtpd
	  -o syslog_name=postfix/smtps -o smtpd_tls_wrappermode=yes
	  $submission
	127.0.0.1:10025 inet n - n - 100 smtpd
	  -o syslog_name=postfix/reinject -o smtpd_milters=unix:opendkim/opendkim.sock
	  -o cleanup_service_name=authclean
	127.0.0.1:10026 inet n - n - 100 smtpd
	  -o syslog_name=postfix/reinject_incoming -o smtpd_milters=unix:opendkim/opendkim.sock
	authclean unix n - - - 0 cleanup
	  -o header_checks=regexp:/etc/postfix/submission_header_cleanup
	pickup unix n - y 60 1 pickup
	cleanup unix n - y - 0 cleanup
	qmgr unix n - n 300 1 qmgr
	tlsmgr unix - - y 1000? 1 tlsmgr
	rewrite unix - - y - - trivial-rewrite
	bounce unix - - y - 0 bounce
	defer unix - - y - 0 bounce
	trace unix - - y - 0 bounce
	verify unix - - y - 1 verify
	flush unix n - y 1000? 0 flush
	proxymap unix - - n - - proxymap
	proxywrite unix - - n - 1 proxymap
	smtp unix - - y - - smtp
	relay unix - - y - - smtp
	showq unix n - y - - showq
	error unix - - y - - error
	retry unix - - y - - error
	discard unix - - y - - discard
	lmtp unix - - y - - lmtp
	anvil unix - - y - 1 anvil
	scache unix - - y - 1 scache
	postlog unix-dgram n - n - 1 postlogd
END

# ---- nginx ----

file /var/www/html/index.html <<-END
	The page of the Python relay.
END
file /etc/nginx/nginx.conf <<-'END'
	load_module modules/ngx_stream_module.so;
	user www-data;
	events {
	  worker_connections 2048;
	}
	stream {
	  map $ssl_preread_alpn_protocols $proxy {
	    default 127.0.0.1:8443;
	    ~\bsmtp\b 127.0.0.1:465;
	    ~\bimap\b 127.0.0.1:993;
	  }
	  server {
	    listen 443;
	    proxy_pass $proxy;
	    ssl_preread on;
	  }
	}
	http {
	  ssl_certificate /etc/ssl/lab/fullchain.pem;
	  ssl_certificate_key /etc/ssl/lab/privkey.pem;
	  server {
	    listen 127.0.0.1:8443 ssl default_server;
	    root /var/www/html;
	    server_name DOMAIN mta-sts.DOMAIN www.DOMAIN;
	    location /new {
	      fastcgi_pass unix:/run/fcgiwrap.socket;
	      include /etc/nginx/fastcgi_params;
	      fastcgi_param SCRIPT_FILENAME /usr/lib/cgi-bin/newemail.py;
	    }
	  }
	  server {
	    listen 80;
	    return 301 https://$host$request_uri;
	  }
	}
END

systemctl daemon-reload
systemctl enable -q doveauth lastlogin chatmail-metadata filtermail filtermail-incoming turnserver \
	iroh-relay chatmail-expire.timer chatmail-fsreport.timer tls-cert-reload.path fcgiwrap.socket \
	fcgiwrap.service dovecot opendkim postfix nginx unbound
systemctl restart unbound doveauth lastlogin chatmail-metadata filtermail filtermail-incoming turnserver \
	iroh-relay chatmail-expire.timer chatmail-fsreport.timer tls-cert-reload.path fcgiwrap.socket
systemctl restart opendkim dovecot nginx
systemctl restart postfix
