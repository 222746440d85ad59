/*
 * The certificate: obtained by acmetool, made here and signed by itself, or kept by somebody
 * else. It is there and sound before the services that use it are configured.
 */
#include "deploy/component.h"
#include "deploy/quote.h"

#define REDIRECTOR "acmetool-redirector.service"
#define TIMER      "acmetool-reconcile.timer"
#define RECONCILE  "/usr/local/lib/chatmail/acme-reconcile"
#define WATCH      "tls-cert-reload.path"

#define USERS "dovecot.service nginx.service postfix.service"

#define COMMON_NAME_MAX 64 /* characters, RFC 5280 appendix A.1 */

/* Functions for the checks below. key_fits: the key is that of the first certificate. */
static const char functions[] =
    "x509() {\n"
    "	openssl x509 -in \"$cert\" -noout \"$@\"\n"
    "}\n"
    "key_fits() {\n"
    "	public=$(openssl pkey -in \"$key\" -passin pass: -pubout) &&\n"
    "		[ \"$(x509 -pubkey)\" = \"$public\" ]\n"
    "}\n"
    "is_for() {\n"
    "	x509 \"$check\" \"$1\" | grep -q 'does match certificate'\n"
    "}\n";

/* A week before its end something is wrong, for it is renewed long before. */
static const char certificate_check[] = "exec 2>/dev/null </dev/null\n"
					"[ -s \"$cert\" ]\n"
					"[ -s \"$key\" ]\n"
					"key_fits\n"
					"x509 -checkend 604800 >/dev/null\n"
					"for name in $names; do\n"
					"	is_for \"$name\"\n"
					"done\n";

/* Port 80 is nginx's in the other modes; it comes back as it is configured then. */
static const char acme_mend[] =
    "systemctl daemon-reload\n"
    "if ss -Hltnp 'sport = :80' | grep -q '\"nginx\"'; then\n"
    "	systemctl stop nginx.service\n"
    "fi\n"
    "systemctl restart " REDIRECTOR " || {\n"
    "	echo 'Port 80 cannot be used: see journalctl -u " REDIRECTOR "' >&2\n"
    "	exit 1\n"
    "}\n" RECONCILE "\n";

/* A nginx of another mode still has port 80; its new configuration, written by now, lets
 * go of it. */
static const struct wanted_state port_80 = {
	.what = "port 80 is not the web server's",
	.check = "! ss -Hltnp 'sport = :80' | grep -q '\"nginx\"'\n",
	.mend = "systemctl reload nginx.service\n"
		"left=50\n"
		"while ss -Hltnp 'sport = :80' | grep -q '\"nginx\"'; do\n"
		"	left=$((left - 1))\n"
		"	[ \"$left\" -gt 0 ] || {\n"
		"		echo 'nginx keeps port 80: a site of your own?' >&2\n"
		"		exit 1\n"
		"	}\n"
		"	sleep 0.1\n"
		"done\n",
	.stage = STAGE_ACTIVATE,
};

/* From an earlier version of the file's name, which had a hash in it. */
static const char former_check[] =
    "for file in /var/lib/acme/desired/\"$domain\"-*; do\n"
    "	[ ! -e \"$file\" ]\n"
    "done\n";
static const char former_mend[] = "rm -f /var/lib/acme/desired/\"$domain\"-*\n";

static const char self_signed_mend[] =
    "umask 077\n"
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \\\n"
    "	-days 36500 -subj \"$subject\" -keyout \"$key.new\" -out \"$cert.new\" \\\n"
    "	-addext \"subjectAltName=$alt\" \\\n"
    "	-addext basicConstraints=critical,CA:FALSE \\\n"
    "	-addext extendedKeyUsage=serverAuth,clientAuth 2>\"$key.log\" || {\n"
    "	cat \"$key.log\" >&2\n"
    "	exit 1\n"
    "}\n"
    "rm -f \"$key.log\"\n"
    "chmod 644 \"$cert.new\"\n"
    "mv -f \"$key.new\" \"$key\"\n"
    "mv -f \"$cert.new\" \"$cert\"\n";

/*
 * trusted: others must be able to verify it, as no authority certifies a name that begins
 * with "_" or, for most, an address.
 */
static const char external_check[] =
    "exec </dev/null\n"
    "command -v openssl >/dev/null && [ -e /etc/ssl/certs/ca-certificates.crt ] || "
    "exit 1\n"
    "refuse() {\n"
    "	printf '%s\\n' \"$@\" >&2\n"
    "	exit 1\n"
    "}\n"
    "[ -s \"$cert\" ] || refuse \"$cert: there is no such file, or it is empty.\" \\\n"
    "	'It is the first path of tls_external_cert_and_key.'\n"
    "[ -s \"$key\" ] || refuse \"$key: there is no such file, or it is empty.\" \\\n"
    "	'It is the second path of tls_external_cert_and_key.'\n"
    "x509 || refuse \"$cert: this is no certificate in PEM form.\"\n"
    "key_fits || refuse \"$key: this is not the key of the first certificate in "
    "$cert,\" \\\n"
    "	'or it is protected by a password.'\n"
    "is_for \"$domain\" || refuse \"$cert: the first certificate is not for $domain.\" "
    "\\\n"
    "	'The certificate of the relay comes first, those of its issuers follow.'\n"
    "x509 -checkend 0 >/dev/null || refuse \"$cert: the certificate has expired.\"\n"
    "[ -z \"$trusted\" ] && exit 0\n"
    "why=$(openssl verify -purpose sslserver -CApath /etc/ssl/certs \\\n"
    "	-untrusted \"$cert\" \"$cert\" 2>&1) || refuse \\\n"
    "	\"$cert: others cannot verify it; most often the chain is not full:\" \"$why\" "
    "\\\n"
    "	'Append the certificates of its issuers, as in fullchain.pem.'\n";

static bool want_files(
    struct relay *r, struct wanted *w, const struct component_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!component_file(r, w, "tls", &files[i]))
			return false;
	}
	return true;
}

static void want_script_state(struct wanted *w, const char *what, enum stage stage,
    const struct text *head, const char *check, const char *mend, const char *reload)
{
	struct text check_script = { 0 }, mend_script = { 0 };

	quote_command(&check_script, "%r%r", head->data, check);
	quote_command(&mend_script, "%r%r", head->data, mend);
	want_state(w, &(struct wanted_state){ .what = what,
			  .check = check_script.data,
			  .mend = mend_script.data,
			  .stage = stage,
			  .effects = { .reload = reload } });
	text_free(&check_script);
	text_free(&mend_script);
}

/* The variables of the scripts, quoted. names: those that the certificate must be for. */
static struct text script_head(const struct config *config, const char *names)
{
	struct text head = { 0 };

	quote_command(&head, "domain=%s cert=%s key=%s names=%s check=%s\n%r",
	    config->mail_domain_bare, config->tls_cert_path, config->tls_key_path,
	    names, config->ipv4_relay ? "-checkip" : "-checkhost", functions);
	return head;
}

/* It stands between quotes in a file of acmetool. */
static bool check_email(struct relay *r)
{
	const char *email = r->config->acme_email;

	if (email[strcspn(email, "\"\\")] == '\0')
		return true;
	return component_fail(r, "acme_email = %s: this is no mail address", email);
}

static bool want_desired(struct relay *r, struct wanted *w)
{
	struct wanted_file file = { .mode = 0644 };
	struct text path = { 0 };
	char *content =
	    component_text(r, "tls", "/var/lib/acme/desired/certificate", &file.len);

	if (!content)
		return false;
	text_printf(&path, "/var/lib/acme/desired/%s", r->config->mail_domain_bare);
	file.path = path.data;
	file.content = content;
	want_file(w, &file);
	text_free(&path);
	free(content);
	return true;
}

static void want_obtained(const struct config *config, struct wanted *w)
{
	const char *domain = config->mail_domain_bare;
	struct text what = { 0 }, names = { 0 }, head;

	text_printf(&names, "%s mta-sts.%s www.%s", domain, domain, domain);
	text_printf(&what, "certificate for %s", names.data);
	head = script_head(config, names.data);
	want_script_state(w, "no former files of acmetool's targets", STAGE_CONFIGURE,
	    &head, former_check, former_mend, NULL);
	want_script_state(
	    w, what.data, STAGE_CONFIGURE, &head, certificate_check, acme_mend, USERS);
	text_free(&head);
	text_free(&names);
	text_free(&what);
}

static bool want_acme(struct relay *r, struct wanted *w)
{
	static const struct component_file files[] = {
		{ .path = RECONCILE, .mode = 0755 },
		{ .path = "/etc/acme/hooks/chatmail", .mode = 0755 },
		{ .path = "/etc/systemd/system/" REDIRECTOR,
		    .effects = { .restart = REDIRECTOR } },
		{ .path = "/etc/systemd/system/acmetool-reconcile.service" },
		{ .path = "/etc/systemd/system/" TIMER,
		    .effects = { .restart = TIMER } },
		{ .path = "/var/lib/acme/conf/contact" },
		{ .path = "/var/lib/acme/conf/target" },
	};

	if (!check_email(r))
		return false;
	want_package(w, "acmetool");
	want_package(w, "curl");
	want_absent(w, "/etc/acme/hooks/nginx");
	want_absent(w, "/etc/cron.d/acmetool");
	want_absent(w, "/usr/lib/acme/hooks/nginx");
	if (!want_files(r, w, files, sizeof(files) / sizeof(files[0])) ||
	    !want_desired(r, w))
		return false;
	want_obtained(r->config, w);
	want_state(w, &port_80);
	want_unit(w, REDIRECTOR, UNIT_RUNNING);
	want_unit(w, TIMER, UNIT_RUNNING);
	return true;
}

static void want_self_signed(struct relay *r, struct wanted *w)
{
	const struct config *config = r->config;
	const char *domain = config->mail_domain_bare;
	struct text what = { 0 }, names = { 0 }, alt = { 0 }, mend = { 0 }, head;

	text_printf(&what, "self-signed certificate for %s", domain);
	if (config->ipv4_relay) {
		text_add(&names, domain);
		text_printf(&alt, "IP:%s", domain);
	} else {
		text_printf(&names, "%s mta-sts.%s www.%s", domain, domain, domain);
		text_printf(
		    &alt, "DNS:%s,DNS:mta-sts.%s,DNS:www.%s", domain, domain, domain);
	}
	head = script_head(config, names.data);
	quote_command(&mend, "subject=/CN=%s alt=%s\n%r",
	    strlen(domain) <= COMMON_NAME_MAX ? domain : "chatmail relay", alt.data,
	    self_signed_mend);
	want_script_state(
	    w, what.data, STAGE_CONFIGURE, &head, certificate_check, mend.data, USERS);
	text_free(&head);
	text_free(&mend);
	text_free(&alt);
	text_free(&names);
	text_free(&what);
}

/*
 * Nothing is mended here, only refused, and that before any file is replaced: by what is
 * found out first, if the server has openssl and certificates of authorities by then.
 */
static bool want_external(struct relay *r, struct wanted *w)
{
	static const struct component_file files[] = {
		{ .path = "/etc/systemd/system/" WATCH,
		    .effects = { .restart = WATCH } },
		{ .path = "/etc/systemd/system/tls-cert-reload.service" },
	};
	const struct config *config = r->config;
	bool trusted = !config->ipv4_relay && config->mail_domain_bare[0] != '_';
	struct text what = { 0 }, check = { 0 }, head;

	text_printf(
	    &what, "certificate %s, sound and with its chain", config->tls_cert_path);
	head = script_head(config, config->mail_domain_bare);
	quote_command(&check, "trusted=%s\n%r", trusted ? "yes" : "", external_check);
	want_script_state(
	    w, what.data, STAGE_INSTALL, &head, check.data, check.data, NULL);
	text_free(&head);
	text_free(&check);
	text_free(&what);
	if (!want_files(r, w, files, sizeof(files) / sizeof(files[0])))
		return false;
	want_unit(w, WATCH, UNIT_RUNNING);
	return true;
}

static void want_no_acme(struct wanted *w)
{
	want_unit(w, REDIRECTOR, UNIT_STOPPED);
	want_unit(w, TIMER, UNIT_STOPPED);
}

static bool want(struct relay *r, struct wanted *w)
{
	enum tls_mode mode = r->config->tls_mode;
	bool good = true;

	want_package(w, "ca-certificates");
	want_package(w, "openssl");
	/* Debian's own timer renews in a sandbox that leaves no way to the services. */
	want_unit(w, "acmetool.timer", UNIT_STOPPED);
	if (mode != TLS_ACME)
		want_no_acme(w);
	if (mode != TLS_EXTERNAL)
		want_unit(w, WATCH, UNIT_STOPPED);
	switch (mode) {
	case TLS_ACME:
		good = want_acme(r, w);
		break;
	case TLS_SELF:
		want_self_signed(r, w);
		break;
	case TLS_EXTERNAL:
		good = want_external(r, w);
		break;
	}
	return good;
}

const struct component tls_component = { "tls", want };
