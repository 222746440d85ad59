/* What templates may name, and how host variables are set. */
#include "deploy/context.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

#define MINIMAL "[params]\nmail_domain = chat.example.org\n"

/* The context of a file's text with these variables set; NULL with error filled. */
static json_t *make_with(
    const char *ini, const char *const *set, size_t nset, char error[CONTEXT_ERROR_MAX])
{
	char *text = strdup(ini);
	struct config *config;
	json_t *context;

	assert_non_null(text);
	config = config_parse("x.ini", text, strlen(text), stderr);
	assert_non_null(config);
	context = context_create(config, set, nset, error);
	config_free(config);
	free(text);
	return context;
}

static json_t *make(const char *ini)
{
	char error[CONTEXT_ERROR_MAX];
	json_t *context = make_with(ini, NULL, 0, error);

	assert_string_equal(error, "");
	assert_non_null(context);
	return context;
}

static const struct value_case {
	const char *name, *lines, *variable;
	const char *json; /* the value */
} value_cases[] = {
	{ "text", "", "mail_domain", "\"chat.example.org\"" },
	{ "integer", "", "max_user_send_per_minute", "60" },
	{ "bytes", "", "max_message_size", "31457280" },
	{ "size", "max_mailbox_size = 2G", "max_mailbox_size", "2048" },
	{ "decimal", "max_load_1m = 2.5", "max_load_1m", "2.5" },
	{ "contact", "privacy_mail = me@relay.example", "contact",
	    "\"me@relay.example\"" },
	{ "no contact", "", "contact", "\"\"" },
	{ "contact without a mail address", "privacy_mail = @ a@ @b me @", "contact",
	    "\"\"" },
	{ "contact in a sentence",
	    "privacy_mail = Jane Doe,\n  <jane.doe+x@a.example>. Or b@c.example",
	    "contact", "\"jane.doe+x@a.example\"" },
	{ "contact at the end", "privacy_mail = ask a.b-c@d-e.example.", "contact",
	    "\"a.b-c@d-e.example\"" },
	{ "contact that would be more", "privacy_mail = x@y%u # } plugin {", "contact",
	    "\"x@y\"" },
	{ "plain path", "mailboxes_dir = /srv/m\xc3\xa4il_1/[a]+b@c-d.e",
	    "mailboxes_dir", "\"/srv/m\xc3\xa4il_1/[a]+b@c-d.e\"" },
	{ "boolean", "imap_compress = true", "imap_compress", "true" },
	{ "list", "passthrough_senders = a@b c@d", "passthrough_senders",
	    "[\"a@b\", \"c@d\"]" },
	{ "empty list", "", "passthrough_senders", "[]" },
	{ "several lines", "privacy_postal = a\n  b", "privacy_postal", "\"a\\nb\"" },
	{ "socket", "", "auth_socket", "\"unix:/run/chatmaild/auth.sock\"" },
	{ "unset socket", "", "metrics_address", "\"\"" },
	{ "mailboxes", "", "mailboxes_dir", "\"/home/vmail/mail/chat.example.org\"" },
	{ "per client", "", "max_smtp_connections_per_client", "200" },
	{ "per client, at least one", "max_smtp_connections = 3",
	    "max_smtp_connections_per_client", "1" },
	{ "certificate", "", "tls_cert_path",
	    "\"/var/lib/acme/live/chat.example.org/fullchain\"" },
	{ "key", "tls_external_cert_and_key = /c /k", "tls_key_path", "\"/k\"" },
	{ "acme", "", "tls_acme", "true" },
	{ "not self", "", "tls_self", "false" },
	{ "external", "tls_external_cert_and_key = /c /k", "tls_external", "true" },
	{ "own iroh relay", "", "iroh_local", "true" },
	{ "no iroh relay", "iroh_relay =", "iroh_local", "false" },
	{ "no address relay", "", "ipv4_relay", "false" },
	{ "Postfix's name", "", "postfix_hostname", "\"chat.example.org\"" },
	{ "outgoing filter", "", "filter_outgoing_postfix",
	    "\"unix:chatmaild/outgoing.sock\"" },
	{ "outgoing filter on TCP", "filtermail_smtp_port = 10080",
	    "filter_outgoing_postfix", "\"127.0.0.1:10080\"" },
	{ "incoming filter on IPv6", "filter_incoming_socket = inet:[::1]:81",
	    "filter_incoming_postfix", "\"[::1]:81\"" },
	{ "filter elsewhere", "filter_incoming_socket = unix:/run/in.sock",
	    "filter_incoming_postfix", "\"unix:/run/in.sock\"" },
	{ "filter beside the queue",
	    "filter_incoming_socket = unix:/var/spool/postfix2/in.sock",
	    "filter_incoming_postfix", "\"unix:/var/spool/postfix2/in.sock\"" },
	{ "re-injection", "", "reinject_outgoing_service", "\"reinject-out unix\"" },
	{ "re-injection on TCP", "postfix_reinject_port_incoming = 10026",
	    "reinject_incoming_service", "\"127.0.0.1:10026 inet\"" },
	{ "dict socket", "auth_socket = unix:/run/a", "auth_socket_path",
	    "\"/run/a\"" },
	{ "web server", "", "http_upstream", "\"unix:/run/chatmaild/http.sock\"" },
	{ "web server on TCP", "http_socket = inet:[::1]:81", "http_upstream",
	    "\"[::1]:81\"" },
	{ "the sandbox as it is", "", "daemon_paths", "[]" },
	{ "state elsewhere", "state_dir = /srv/a \"b%", "daemon_paths",
	    "[\"\\\"-/srv/a \\\\\\\"b%%\\\"\"]" },
	{ "not below, though it begins so", "state_dir = /var/lib/chatmaild2",
	    "daemon_paths", "[\"\\\"-/var/lib/chatmaild2\\\"\"]" },
	{ "two sockets in one place",
	    "auth_socket = unix:/run/x/a\nhttp_socket = unix:/run/x/b", "daemon_paths",
	    "[\"\\\"-/run/x\\\"\"]" },
	{ "below another home", "mailboxes_dir = /home/mail", "daemon_home_paths",
	    "[\"\\\"-/home/mail\\\"\"]" },
	{ "homes are no paths like others", "mailboxes_dir = /home/mail",
	    "daemon_paths", "[]" },
	{ "Dovecot listens", "", "listen_dovecot", "\"*, ::\"" },
	{ "Dovecot listens on IPv4", "disable_ipv6 = true", "listen_dovecot",
	    "\"0.0.0.0\"" },
};

static void assert_json(const json_t *context, const char *variable, const char *json)
{
	json_t *want = json_loads(json, JSON_DECODE_ANY, NULL);
	const json_t *got = json_object_get(context, variable);

	assert_non_null(want);
	assert_non_null(got);
	if (!json_equal(got, want)) {
		char *text = json_dumps(got, JSON_ENCODE_ANY);

		fail_msg("%s is %s, not %s", variable, text, json);
	}
	json_decref(want);
}

static void value(void **state)
{
	const struct value_case *c = *state;
	char text[512];
	json_t *context;

	snprintf(text, sizeof(text), MINIMAL "%s\n", c->lines);
	context = make(text);
	assert_json(context, c->variable, c->json);
	json_decref(context);
}

static void ipv4_relay(void **state)
{
	json_t *context = make("[params]\nmail_domain = 192.0.2.13\n");

	assert_json(context, "mail_domain", "\"[192.0.2.13]\"");
	assert_json(context, "mail_domain_bare", "\"192.0.2.13\"");
	assert_json(context, "ipv4_relay", "true");
	assert_json(context, "postfix_hostname", "\"13.2.0.192.in-addr.arpa\"");
	json_decref(context);
}

/* Every key is there under its name, but for those that stand for others. */
static void every_key(void **state)
{
	size_t n;
	const struct config_option *options = config_options(&n);
	json_t *context = make(MINIMAL);

	for (size_t i = 0; i < n; i++) {
		bool old =
		    options[i].type == CONFIG_PORT || options[i].type == CONFIG_UNUSED;

		assert_int_equal(json_object_get(context, options[i].key) == NULL, old);
	}
	json_decref(context);
}

/* A host variable hides no key and no derived value: the rows would be one too few. */
static void names_are_unique(void **state)
{
	size_t nvariables, noptions, old = 0;
	const struct host_variable *v = host_variables(&nvariables);
	const struct config_option *o = config_options(&noptions);
	const size_t derived = 21; /* put_config() and put_sockets() */
	json_t *context = make(MINIMAL);

	for (size_t i = 0; i < noptions; i++)
		old += o[i].type == CONFIG_PORT || o[i].type == CONFIG_UNUSED;
	assert_int_equal(
	    json_object_size(context), noptions - old + nvariables + derived);
	for (size_t i = 0; i < nvariables; i++)
		assert_non_null(json_object_get(context, v[i].name));
	json_decref(context);
}

static void set_host_variables(void **state)
{
	static const char *const set[] = {
		"queue_directory=/srv/q/",
		"smtp_port=127.0.0.1:2525",
		"smtp_port=127.0.0.1:2526", /* the last one counts */
		"maillog_file=",
		"dns_server=a=b",
	};
	char error[CONTEXT_ERROR_MAX];
	json_t *context =
	    make_with(MINIMAL "filter_outgoing_socket = unix:/srv/q/c/out.sock\n"
			      "reinject_outgoing = unix:/srv/q/public/ro\n"
			      "reinject_incoming = inet:127.0.0.1:26\n",
		set, ARRAY_LEN(set), error);

	assert_non_null(context);
	assert_json(context, "queue_directory", "\"/srv/q/\"");
	assert_json(context, "smtp_port", "\"127.0.0.1:2526\"");
	assert_json(context, "maillog_file", "\"\"");
	assert_json(context, "dns_server", "\"a=b\"");
	assert_json(context, "filter_outgoing_postfix", "\"unix:c/out.sock\"");
	assert_json(context, "filter_incoming_postfix",
	    "\"unix:/var/spool/postfix/chatmaild/incoming.sock\"");
	assert_json(context, "reinject_outgoing_service", "\"ro unix\"");
	json_decref(context);
}

#define NOT_PLAIN(path)                                                                \
	": not every program that reads the path " path                                \
	" understands it; write one of letters, digits and . _ - + @ [ ]"

static const struct mistake_case {
	const char *name, *lines, *set, *error;
} mistake_cases[] = {
	{ "unknown variable", "", "bogus=1",
	    "--set bogus=1: no variable has this name; see cmdeploy render --help" },
	{ "part of a name", "", "smtp=1",
	    "--set smtp=1: no variable has this name; see cmdeploy render --help" },
	{ "key of the file", "", "mail_domain=x",
	    "--set mail_domain=x: no variable has this name; see cmdeploy render "
	    "--help" },
	{ "no value", "", "smtp_port", "--set smtp_port: write NAME=VALUE" },
	{ "no UTF-8", "", "smtp_port=\xff", "--set smtp_port: the value is not UTF-8" },
	{ "re-injection elsewhere", "reinject_outgoing = unix:/run/r", NULL,
	    "reinject_outgoing: Postfix can only listen in its own directory; write "
	    "reinject_outgoing = unix:/var/spool/postfix/public/NAME" },
	{ "re-injection below",
	    "reinject_incoming = unix:/var/spool/postfix/public/a/b", NULL,
	    "reinject_incoming: Postfix can only listen in its own directory; write "
	    "reinject_incoming = unix:/var/spool/postfix/public/NAME" },
	{ "dict on TCP", "auth_socket = inet:127.0.0.1:1", NULL,
	    "auth_socket: Dovecot asks on UNIX sockets only; write auth_socket = "
	    "unix:/path" },
	{ "colon", "lastlogin_socket = unix:/run/a:b", NULL,
	    "lastlogin_socket" NOT_PLAIN("/run/a:b") },
	{ "semicolon", "http_socket = unix:/run/a;b", NULL,
	    "http_socket" NOT_PLAIN("/run/a;b") },
	{ "variable of Postfix", "filter_outgoing_socket = unix:/run/$a", NULL,
	    "filter_outgoing_socket" NOT_PLAIN("/run/$a") },
	{ "variable of Dovecot", "mailboxes_dir = /home/%d", NULL,
	    "mailboxes_dir" NOT_PLAIN("/home/%d") },
	{ "blank", "mailboxes_dir = /home/a b", NULL,
	    "mailboxes_dir" NOT_PLAIN("/home/a b") },
	{ "certificate and more", "tls_external_cert_and_key = /c;x /k", NULL,
	    "tls_external_cert_and_key" NOT_PLAIN("/c;x") },
	{ "certificate that systemd would not watch",
	    "tls_external_cert_and_key = /c%c /k", NULL,
	    "tls_external_cert_and_key" NOT_PLAIN("/c%c") },
	{ "key in braces", "tls_external_cert_and_key = /c /k{}", NULL,
	    "tls_external_cert_and_key" NOT_PLAIN("/k{}") },
};

static void mistake(void **state)
{
	const struct mistake_case *c = *state;
	char error[CONTEXT_ERROR_MAX], text[512];

	snprintf(text, sizeof(text), MINIMAL "%s\n", c->lines);
	assert_null(make_with(text, &c->set, c->set != NULL, error));
	assert_string_equal(error, c->error);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(value, value_cases) },
		{ SUPPORT_TEST(ipv4_relay) },
		{ SUPPORT_TEST(every_key) },
		{ SUPPORT_TEST(names_are_unique) },
		{ SUPPORT_TEST(set_host_variables) },
		{ SUPPORT_TABLE(mistake, mistake_cases) },
	};

	return support_run("context", tests, ARRAY_LEN(tests));
}
