/*
 * What the components around the web want of a server, for several inis; and the scripts
 * for certificates, run for real.
 */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deploy/component.h"
#include "deploy/context.h"
#include "deploy/text.h"
#include "test/acme/issuer.h"
#include "test/support.h"

static const struct component *const web_components[] = {
	&unbound_component,
	&turn_component,
	&iroh_component,
	&echobot_component,
	&tls_component,
	&nginx_component,
	&mtail_component,
};

struct fixture {
	struct relay relay;
	struct config *config;
	struct wanted *wanted;
	char *templates;
};

static void set_up(struct fixture *f, const char *domain, const char *lines)
{
	char error[CONTEXT_ERROR_MAX], *data = getenv("CHATMAIL_TEST_DATA");
	struct text text = { 0 };

	assert_non_null(data);
	f->templates = support_path(data, "../../templates");
	text_printf(&text, "[params]\nmail_domain = %s\n%s\n", domain, lines);
	f->config = config_parse("chatmail.ini", text.data, text.len, stderr);
	text_free(&text);
	assert_non_null(f->config);
	f->relay = (struct relay){
		.config = f->config,
		.context = context_create(f->config, NULL, 0, error),
		.templates = f->templates,
	};
	assert_non_null(f->relay.context);
	f->wanted = wanted_create();
}

static void tear_down(struct fixture *f)
{
	wanted_free(f->wanted);
	json_decref(f->relay.context);
	config_free(f->config);
	free(f->templates);
}

static bool want_all(struct fixture *f)
{
	for (size_t i = 0; i < ARRAY_LEN(web_components); i++) {
		wanted_component(f->wanted, web_components[i]->name);
		if (!web_components[i]->want(&f->relay, f->wanted))
			return false;
	}
	return true;
}

/* A thing in a line. */
static void describe(struct text *to, const struct wanted_thing *t)
{
	static const char *const states[] = { "running", "stopped", "masked",
		"present" };

	text_printf(to, "%s %s", wanted_shapes[t->kind].name, wanted_text(t, 0));
	if (t->kind == WANTED_UNIT)
		text_printf(to, " %s", states[t->unit.state]);
	if (t->kind == WANTED_FILE)
		text_printf(to, " %o %s", t->file.mode,
		    t->file.flags & FILE_SECRET ? "secret" : "plain");
	text_add(to, "\n");
}

static const struct relay_case {
	const char *name, *domain, *lines;
	const char *has[10], *lacks[6];
} relay_cases[] = {
	{ "resolver", "relay.example", "",
	    { "package unbound", "package dns-root-data", "no-package resolvconf",
		"unit unbound.service running", "check unbound-checkconf",
		"state /etc/resolv.conf names this host's resolver",
		"unit unbound-resolvconf.service stopped",
		"unit systemd-resolved.service masked" },
	    { NULL } },
	{ "chatmail's TURN server", "relay.example", "",
	    { "binary /usr/local/bin/chatmail-turn", "unit turnserver.service running",
		"file /etc/systemd/system/turnserver.service 644 plain",
		"unit coturn.service stopped" },
	    { "package coturn", "file /etc/turnserver.conf" } },
	{ "Debian's TURN server", "relay.example", "turn_secret = s",
	    { "package coturn", "unit coturn.service running",
		"unit turnserver.service stopped",
		"file /etc/turnserver.conf 640 secret" },
	    { "binary /usr/local/bin/chatmail-turn" } },
	{ "somebody's TURN server", "relay.example",
	    "turn_socket_path = /run/mine/turn", { "unit turnserver.service stopped" },
	    { "binary /usr/local/bin/chatmail-turn", "package coturn",
		"unit coturn.service" } },
	{ "echo bot", "relay.example", "",
	    { "group echobot", "user echobot",
		"binary /usr/local/bin/deltachat-rpc-server",
		"file /etc/systemd/system/chatmail-echobot.socket 644 plain",
		"file /etc/systemd/system/chatmail-echobot@.service 644 plain",
		"unit chatmail-echobot.socket running" },
	    { NULL } },
	{ "no echo bot", "relay.example", "echobot = false",
	    { "unit chatmail-echobot.socket stopped" },
	    { "binary /usr/local/bin/deltachat-rpc-server", "user echobot" } },
	{ "somebody's client of the echo bot", "relay.example",
	    "echobot_socket = unix:/run/mine/rpc.sock",
	    { "unit chatmail-echobot.socket stopped" },
	    { "binary /usr/local/bin/deltachat-rpc-server", "user echobot" } },
	{ "iroh relay", "relay.example", "",
	    { "user iroh", "binary /usr/local/bin/iroh-relay",
		"unit iroh-relay.service running",
		"file /etc/iroh-relay.toml 644 plain" },
	    { NULL } },
	{ "iroh relay elsewhere", "relay.example", "iroh_relay = https://i.example",
	    { "unit iroh-relay.service stopped" },
	    { "binary /usr/local/bin/iroh-relay", "file /etc/iroh-relay.toml" } },
	{ "no iroh relay", "relay.example",
	    "iroh_relay =", { "unit iroh-relay.service stopped" },
	    { "binary /usr/local/bin/iroh-relay" } },
	{ "certificate by ACME", "relay.example", "",
	    { "package acmetool", "file /var/lib/acme/desired/relay.example 644 plain",
		"file /etc/acme/hooks/chatmail 755 plain",
		"file /usr/local/lib/chatmail/acme-reconcile 755 plain",
		"unit acmetool-redirector.service running",
		"unit acmetool-reconcile.timer running", "unit acmetool.timer stopped",
		"state certificate for relay.example mta-sts.relay.example "
		"www.relay.example",
		"unit tls-cert-reload.path stopped",
		"file /var/www/html/.well-known/mta-sts.txt 644 plain" },
	    { "state self-signed" } },
	{ "self-signed certificate", "_relay.example", "",
	    { "state self-signed certificate for _relay.example",
		"unit acmetool-redirector.service stopped",
		"unit acmetool-reconcile.timer stopped",
		"unit tls-cert-reload.path stopped",
		"absent /var/www/html/.well-known/mta-sts.txt" },
	    { "package acmetool", "file /var/www/html/.well-known/mta-sts.txt" } },
	{ "certificate of somebody", "_relay.example",
	    "tls_external_cert_and_key = /a/cert /a/key",
	    { "state certificate /a/cert, sound and with its chain",
		"unit tls-cert-reload.path running",
		"unit acmetool-redirector.service stopped",
		"file /etc/systemd/system/tls-cert-reload.path 644 plain",
		"file /var/www/html/.well-known/mta-sts.txt 644 plain" },
	    { "package acmetool", "state self-signed" } },
	{ "nginx", "relay.example", "",
	    { "package nginx", "package libnginx-mod-stream",
		"file /etc/nginx/nginx.conf 644 plain", "check nginx -t",
		"unit nginx.service running" },
	    { NULL } },
	{ "mtail", "relay.example", "mtail_address = 192.0.2.1",
	    { "package mtail", "file /etc/mtail/chatmail.mtail 644 plain",
		"unit mtail.service running" },
	    { NULL } },
	{ "no mtail", "relay.example", "", { "unit mtail.service stopped" },
	    { "package mtail", "file /etc/mtail" } },
};

/* Does a line of text begin so? */
static bool has_line(const char *text, const char *start)
{
	size_t len = strlen(start);

	for (; *text; text = strchr(text, '\n') + 1) {
		if (strncmp(text, start, len) == 0)
			return true;
	}
	return false;
}

static void wants(void **state)
{
	const struct relay_case *c = *state;
	const struct wanted_thing *list;
	struct text all = { 0 };
	struct fixture f;
	size_t n;

	set_up(&f, c->domain, c->lines);
	if (!want_all(&f))
		fail_msg("%s", f.relay.error);
	list = wanted_list(f.wanted, &n);
	for (size_t i = 0; i < n; i++)
		describe(&all, &list[i]);
	for (size_t i = 0; i < ARRAY_LEN(c->has) && c->has[i]; i++) {
		if (!has_line(all.data, c->has[i]))
			fail_msg("no '%s' in\n%s", c->has[i], all.data);
	}
	for (size_t i = 0; i < ARRAY_LEN(c->lacks) && c->lacks[i]; i++) {
		if (has_line(all.data, c->lacks[i]))
			fail_msg("'%s' in\n%s", c->lacks[i], all.data);
	}
	text_free(&all);
	tear_down(&f);
}

static const struct refused_case {
	const char *name, *lines, *says;
} refused_cases[] = {
	{ "mtail_address in a command", "mtail_address = 1.2.3.4; reboot",
	    "mtail_address = 1.2.3.4; reboot: " },
	{ "acme_email in a file", "acme_email = a\"b@c.example", "acme_email = a\"b" },
};

static void refused(void **state)
{
	const struct refused_case *c = *state;
	struct fixture f;

	set_up(&f, "relay.example", c->lines);
	assert_false(want_all(&f));
	if (strncmp(f.relay.error, c->says, strlen(c->says)) != 0)
		fail_msg("it says: %s", f.relay.error);
	tear_down(&f);
}

/* --- scripts ---------------------------------------------------------------------- */

/* Where certificates are, and who signed them. */
struct files {
	char *dir, *cert, *key, *ca, *said;
	struct issuer *issuer;
};

static void files_make(struct files *f)
{
	f->dir = support_tmpdir();
	f->cert = support_path(f->dir, "cert file");
	f->key = support_path(f->dir, "key'file");
	f->ca = support_path(f->dir, "ca.crt");
	f->said = support_path(f->dir, "said");
	f->issuer = issuer_create(f->ca);
	assert_non_null(f->issuer);
	setenv("SSL_CERT_FILE", f->ca, 1);
}

static void files_remove(struct files *f)
{
	issuer_destroy(f->issuer);
	free(f->cert);
	free(f->key);
	free(f->ca);
	free(f->said);
	support_tmpdir_remove(f->dir);
}

static void replace(char **text, const char *with)
{
	free(*text);
	*text = strdup(with);
	assert_non_null(*text);
}

/* The tls component, with its certificate among the files. */
static void set_up_tls(
    struct fixture *f, const struct files *files, const char *domain, const char *lines)
{
	set_up(f, domain, lines);
	replace(&f->config->tls_cert_path, files->cert);
	replace(&f->config->tls_key_path, files->key);
	wanted_component(f->wanted, "tls");
	if (!tls_component.want(&f->relay, f->wanted))
		fail_msg("%s", f->relay.error);
}

/* The last one: the certificate's. */
static const struct wanted_state *find_state(const struct fixture *f)
{
	const struct wanted_thing *list;
	size_t n;

	list = wanted_list(f->wanted, &n);
	while (n > 0 && list[n - 1].kind != WANTED_STATE)
		n--;
	assert_true(n > 0);
	return &list[n - 1].state;
}

/* As on a server; what it says goes into a file. */
static int run(const struct files *files, const char *script)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (!freopen(files->said, "w", stderr) ||
		    !freopen("/dev/null", "w", stdout))
			_exit(99);
		execl("/bin/sh", "sh", "-eu", "-c", script, (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static char *said(const struct files *files)
{
	return support_read_file(files->said).data;
}

static char *request_pem(EVP_PKEY *key, const char *name, size_t *len)
{
	X509_REQ *req = X509_REQ_new();
	STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
	unsigned char *der = NULL;
	char alt[300];
	int n;

	snprintf(alt, sizeof(alt), "DNS:%s", name);
	sk_X509_EXTENSION_push(
	    extensions, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt));
	X509_REQ_add_extensions(req, extensions);
	X509_REQ_set_pubkey(req, key);
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	n = i2d_X509_REQ(req, &der);
	assert_true(n > 0);
	*len = (size_t)n;
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	X509_REQ_free(req);
	return (char *)der;
}

static void write_key(const char *path, EVP_PKEY *key, const char *password)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(
	    PEM_write_PrivateKey(f, key, password ? EVP_aes_128_cbc() : NULL,
		(const unsigned char *)password, password ? (int)strlen(password) : 0,
		NULL, NULL),
	    1);
	assert_int_equal(fclose(f), 0);
}

enum flaw {
	SOUND,
	NO_CERT,
	NO_KEY,
	NO_PEM,
	OTHER_KEY,
	LOCKED_KEY,
	NO_CHAIN,
	REVERSED,
	STRANGER,
	WITH_ROOT,
};

/* The chain, with the flaw. */
static void write_chain(const struct files *files, char *chain, enum flaw flaw)
{
	static const char end[] = "-----END CERTIFICATE-----\n";
	char *second = strstr(chain, end) + strlen(end);
	struct text text = { 0 };

	if (flaw == REVERSED) {
		text_add(&text, second);
		text_add_span(&text, span_make(chain, (size_t)(second - chain)));
	} else if (flaw == NO_CHAIN) {
		text_add_span(&text, span_make(chain, (size_t)(second - chain)));
	} else if (flaw == NO_PEM) {
		text_add(&text, "this is no certificate\n");
	} else {
		text_add(&text, chain);
	}
	if (flaw == WITH_ROOT) {
		struct support_text root = support_read_file(files->ca);

		text_add(&text, root.data);
		free(root.data);
	}
	support_write_file(files->cert, text_span(&text));
	text_free(&text);
}

static void make_flawed(const struct files *files, const char *name, enum flaw flaw)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	size_t len;
	char *der = request_pem(key, name, &len);
	char *chain = issuer_sign(files->issuer, (unsigned char *)der, len, &name, 1);

	assert_non_null(chain);
	if (flaw != NO_CERT)
		write_chain(files, chain, flaw);
	if (flaw != NO_KEY)
		write_key(files->key, flaw == OTHER_KEY ? other : key,
		    flaw == LOCKED_KEY ? "password" : NULL);
	free(chain);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

#define EXTERNAL "tls_external_cert_and_key = /cert /key"

static const struct external_case {
	const char *name;
	enum flaw flaw;
	const char *domain, *cert_name;
	const char *says; /* NULL: it is sound */
} external_cases[] = {
	{ "sound", SOUND, "relay.example", "relay.example", NULL },
	{ "with its root", WITH_ROOT, "relay.example", "relay.example", NULL },
	{ "no certificate", NO_CERT, "relay.example", "relay.example",
	    "cert file: there is no such file" },
	{ "no key", NO_KEY, "relay.example", "relay.example",
	    "key'file: there is no such file" },
	{ "no PEM", NO_PEM, "relay.example", "relay.example",
	    "cert file: this is no certificate" },
	{ "another's key", OTHER_KEY, "relay.example", "relay.example",
	    "key'file: this is not the key" },
	{ "key with a password", LOCKED_KEY, "relay.example", "relay.example",
	    "protected by a password" },
	{ "no chain", NO_CHAIN, "relay.example", "relay.example",
	    "the chain is not full" },
	{ "in the wrong order", REVERSED, "relay.example", "relay.example",
	    "key'file: this is not the key" },
	{ "another name", SOUND, "relay.example", "other.example",
	    "is not for relay.example" },
	{ "unknown authority", STRANGER, "relay.example", "relay.example",
	    "the chain is not full" },
	{ "nobody expects a chain", NO_CHAIN, "_relay.example", "_relay.example",
	    NULL },
};

static void external(void **state)
{
	const struct external_case *c = *state;
	const struct wanted_state *s;
	struct files files;
	struct fixture f;
	char *text;

	files_make(&files);
	set_up_tls(&f, &files, c->domain, EXTERNAL);
	make_flawed(&files, c->cert_name, c->flaw);
	if (c->flaw == STRANGER)
		setenv("SSL_CERT_FILE", files.cert, 1);
	s = find_state(&f);
	assert_int_equal(s->stage, STAGE_INSTALL);
	assert_int_equal(run(&files, s->check), c->says ? 1 : 0);
	assert_int_equal(run(&files, s->mend), c->says ? 1 : 0);
	text = said(&files);
	if (c->says ? !strstr(text, c->says) : *text != '\0')
		fail_msg("it says: %s", text);
	free(text);
	tear_down(&f);
	files_remove(&files);
}

static const struct self_case {
	const char *name, *domain, *other; /* that it is not good for */
} self_cases[] = {
	{ "a name", "_relay.example", "_elsewhere.example" },
	{ "an address", "192.0.2.1", "192.0.2.10" },
	{ "a very long name",
	    "_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbb.example",
	    "_relay.example" },
};

static void assert_check(const struct files *files, const char *domain, int status)
{
	struct fixture f;

	set_up_tls(&f, files, domain, "");
	assert_int_equal(run(files, find_state(&f)->check), status);
	tear_down(&f);
}

static void self_signed(void **state)
{
	const struct self_case *c = *state;
	struct support_text before, after;
	struct files files;
	struct fixture f;
	char *text;

	files_make(&files);
	set_up_tls(&f, &files, c->domain, "");
	assert_check(&files, c->domain, 1);
	assert_int_equal(run(&files, find_state(&f)->mend), 0);
	text = said(&files);
	assert_string_equal(text, "");
	free(text);
	assert_check(&files, c->domain, 0);
	assert_check(&files, c->other, 1);
	before = support_read_file(files.cert);
	assert_int_equal(run(&files, find_state(&f)->mend), 0);
	after = support_read_file(files.cert);
	assert_string_not_equal(before.data, after.data);
	assert_check(&files, c->domain, 0);
	free(before.data);
	free(after.data);
	tear_down(&f);
	files_remove(&files);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(wants, relay_cases) },
		{ SUPPORT_TABLE(refused, refused_cases) },
		{ SUPPORT_TABLE(external, external_cases) },
		{ SUPPORT_TABLE(self_signed, self_cases) },
	};

	return support_run("comp_web", tests, ARRAY_LEN(tests));
}
