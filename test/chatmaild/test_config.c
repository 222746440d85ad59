/*
 * chatmail.ini: values, defaults, what follows from them, and the words for what is
 * wrong.
 */
#include "chatmaild/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chatmaild/config_value.h"
#include "test/support.h"

#define MINIMAL "[params]\nmail_domain = chat.example.org\n"

/* A parsed text, and what was said about it. */
struct parsed {
	struct config *config;
	char *said;
};

static struct parsed parse_bytes(const char *bytes, size_t len)
{
	struct parsed p = { NULL, NULL };
	size_t size;
	FILE *err = open_memstream(&p.said, &size);
	char *text = malloc(len + 1);

	assert_non_null(err);
	assert_non_null(text);
	memcpy(text, bytes, len);
	text[len] = '\0';
	p.config = config_parse("x.ini", text, len, err);
	free(text); /* the config keeps nothing of it */
	fclose(err);
	return p;
}

static struct parsed parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void forget(struct parsed *p)
{
	config_free(p->config);
	free(p->said);
}

/* A config that must be good and raise no eyebrow. */
static struct parsed parse_good(const char *text)
{
	struct parsed p = parse(text);

	assert_string_equal(p.said, "");
	assert_non_null(p.config);
	return p;
}

static void defaults(void **state)
{
	struct parsed p = parse_good(MINIMAL);
	const struct config *c = p.config;

	assert_string_equal(c->path, "x.ini");
	assert_string_equal(c->mail_domain, "chat.example.org");
	assert_string_equal(c->mail_domain_bare, "chat.example.org");
	assert_false(c->ipv4_relay);
	assert_int_equal(c->max_user_send_per_minute, 60);
	assert_int_equal(c->max_user_send_burst_size, 10);
	assert_int_equal(c->max_message_size, 31457280);
	assert_null(c->passthrough_senders[0]);
	assert_null(c->passthrough_recipients[0]);
	assert_int_equal(c->max_mailbox_size, 500);
	assert_int_equal(c->delete_mails_after, 20);
	assert_int_equal(c->delete_large_after, 7);
	assert_int_equal(c->delete_inactive_users_after, 90);
	assert_int_equal(c->username_min_length, 9);
	assert_int_equal(c->username_max_length, 9);
	assert_int_equal(c->password_min_length, 9);
	assert_true(c->max_load_1m == 5.0);
	assert_int_equal(c->min_available_memory, 200);
	assert_int_equal(c->min_free_disk_space, 1024);
	assert_string_equal(c->mailboxes_dir, "/home/vmail/mail/chat.example.org");
	assert_string_equal(c->passdb_path, "/home/vmail/passdb.sqlite");
	assert_string_equal(c->state_dir, "/var/lib/chatmaild");
	assert_string_equal(c->mail_user, "vmail");
	assert_string_equal(c->www_folder, "");
	assert_string_equal(c->turn_socket_path, "/run/chatmail-turn/turn.socket");
	assert_string_equal(c->push_url, "https://notifications.delta.chat/notify");
	assert_string_equal(c->push_ca_file, "");
	assert_string_equal(c->turn_secret, "");
	assert_true(c->echobot);
	assert_false(c->disable_ipv6 || c->imap_rawlog || c->imap_compress);
	assert_string_equal(c->acme_email, "");
	assert_string_equal(c->mtail_address, "");
	assert_string_equal(c->privacy_postal, "");
	assert_string_equal(c->privacy_mail, "");
	assert_string_equal(c->privacy_pdo, "");
	assert_string_equal(c->privacy_supervisor, "");
	assert_int_equal(c->max_imap_connections, 10000);
	assert_int_equal(c->max_smtp_connections, 1000);
	assert_int_equal(c->user_cache_size, 256);
	assert_string_equal(c->unknown_keys, "");
	forget(&p);
}

static void default_sockets(void **state)
{
	struct parsed p = parse_good(MINIMAL);
	const struct config *c = p.config;
	const struct {
		const struct endpoint *ep;
		const char *path;
	} sockets[] = {
		{ &c->auth_socket, "/run/chatmaild/auth.sock" },
		{ &c->metadata_socket, "/run/chatmaild/metadata.sock" },
		{ &c->lastlogin_socket, "/run/chatmaild/lastlogin.sock" },
		{ &c->http_socket, "/run/chatmaild/http.sock" },
		{ &c->admin_socket, "/run/chatmaild/admin.sock" },
		{ &c->filter_outgoing_socket,
		    "/var/spool/postfix/chatmaild/outgoing.sock" },
		{ &c->filter_incoming_socket,
		    "/var/spool/postfix/chatmaild/incoming.sock" },
		{ &c->reinject_outgoing, "/var/spool/postfix/public/reinject-out" },
		{ &c->reinject_incoming, "/var/spool/postfix/public/reinject-in" },
	};

	for (size_t i = 0; i < ARRAY_LEN(sockets); i++)
		assert_string_equal(endpoint_path(sockets[i].ep), sockets[i].path);
	assert_int_equal(c->metrics_address.len, 0);
	forget(&p);
}

/* What a line means; as the field of its key would be printed. */
static const struct value_case {
	const char *name, *lines;
	const char *field; /* key whose value is looked at */
	const char *value;
} value_cases[] = {
	{ "integer", "max_user_send_per_minute = 37", "max_user_send_per_minute",
	    "37" },
	{ "bytes", "max_message_size=10000", "max_message_size", "10000" },
	{ "no octal", "delete_mails_after = 010", "delete_mails_after", "10" },
	{ "underscores", "max_message_size = 31_457_280", "max_message_size",
	    "31457280" },
	{ "plus sign", "delete_mails_after = +5", "delete_mails_after", "5" },
	{ "colon", "delete_mails_after: 5", "delete_mails_after", "5" },
	{ "size M", "max_mailbox_size = 500M", "max_mailbox_size", "500" },
	{ "size G", "max_mailbox_size = 2G", "max_mailbox_size", "2048" },
	{ "size small g", "max_mailbox_size =   1g  ", "max_mailbox_size", "1024" },
	{ "size MB", "max_mailbox_size = 100MB", "max_mailbox_size", "100" },
	{ "size plain", "max_mailbox_size = 256", "max_mailbox_size", "256" },
	{ "size no octal", "max_mailbox_size = 010M", "max_mailbox_size", "10" },
	{ "negative load", "max_load_1m = -1", "max_load_1m", "-1" },
	{ "decimal load", "max_load_1m = 2.5", "max_load_1m", "2.5" },
	{ "true", "imap_compress = true", "imap_compress", "true" },
	{ "TRUE", "imap_compress = TRUE", "imap_compress", "true" },
	{ "False", "echobot = False", "echobot", "false" },
	{ "list", "passthrough_senders = a@b  @c.d", "passthrough_senders",
	    "a@b|@c.d" },
	{ "list of several lines", "passthrough_senders =\n  a@b\n\tc@d e@f",
	    "passthrough_senders", "a@b|c@d|e@f" },
	{ "list of one letters", "passthrough_recipients = @ @ @",
	    "passthrough_recipients", "@|@|@" },
	{ "several lines", "privacy_postal =\n  one\n  # not me\n  two",
	    "privacy_postal", "one\ntwo" },
	{ "single quote", "privacy_pdo = it's 'me'", "privacy_pdo", "it's 'me'" },
	{ "double quote", "privacy_pdo = \"me\"", "privacy_pdo", "\"me\"" },
	{ "backslash", "privacy_pdo = a\\n\\\\\\'", "privacy_pdo", "a\\n\\\\\\'" },
	{ "no variables", "privacy_pdo = ${HOME} $HOME", "privacy_pdo",
	    "${HOME} $HOME" },
	{ "no comment in a value", "privacy_pdo = a # b ; c // d /* e */",
	    "privacy_pdo", "a # b ; c // d /* e */" },
	{ "libconfuse's syntax", "privacy_pdo = {1, 2} += include(x)", "privacy_pdo",
	    "{1, 2} += include(x)" },
	{ "UTF-8", "privacy_pdo = J\xc3\xbcrgen \xf0\x9f\x90\x9d", "privacy_pdo",
	    "J\xc3\xbcrgen \xf0\x9f\x90\x9d" },
	{ "crlf", "acme_email = a@b\r", "acme_email", "a@b" },
	{ "socket", "auth_socket = unix:/x/y.sock", "auth_socket", "unix:/x/y.sock" },
	{ "metrics", "metrics_address = inet:127.0.0.1:9100", "metrics_address",
	    "inet:127.0.0.1:9100" },
	{ "metrics, short", "metrics_address = 127.0.0.1:3905", "metrics_address",
	    "inet:127.0.0.1:3905" },
	{ "metrics empty", "metrics_address =", "metrics_address", "" },
	{ "old outgoing port", "filtermail_smtp_port = 10080", "filter_outgoing_socket",
	    "inet:127.0.0.1:10080" },
	{ "old incoming port", "filtermail_smtp_port_incoming = 010_081",
	    "filter_incoming_socket", "inet:127.0.0.1:10081" },
	{ "old reinject port", "postfix_reinject_port = 10025", "reinject_outgoing",
	    "inet:127.0.0.1:10025" },
	{ "old incoming reinject port", "postfix_reinject_port_incoming = 10026",
	    "reinject_incoming", "inet:127.0.0.1:10026" },
	{ "ports of no use",
	    "filtermail_http_port = x\nfiltermail_http_port_incoming = 1",
	    "filter_outgoing_socket",
	    "unix:/var/spool/postfix/chatmaild/outgoing.sock" },
	{ "mailboxes", "mailboxes_dir = /srv/mail", "mailboxes_dir", "/srv/mail" },
	{ "mailboxes empty", "mailboxes_dir =", "mailboxes_dir",
	    "/home/vmail/mail/chat.example.org" },
	{ "passdb with other mailboxes", "mailboxes_dir = /srv/mail", "passdb_path",
	    "/home/vmail/passdb.sqlite" },
	{ "www switched off", "www_folder = disabled", "www_folder", "disabled" },
	{ "other sections", "[other]\nmax_load_1m = x\nbogus = 1", "max_load_1m", "5" },
};

static void print_field(
    FILE *out, const struct config *c, const struct config_option *o)
{
	const void *field = (const char *)c + o->field;

	switch (o->type) {
	case CONFIG_TEXT:
	case CONFIG_TEXTS:
	case CONFIG_FILE:
		fputs(*(char *const *)field, out);
		break;
	case CONFIG_LIST:
		for (char *const *item = *(char **const *)field; *item; item++)
			fprintf(out, "%s%s", *item, item[1] ? "|" : "");
		break;
	case CONFIG_INTEGER:
		fprintf(out, "%d", *(const int *)field);
		break;
	case CONFIG_BYTES:
	case CONFIG_SIZE:
		fprintf(out, "%lld", (long long)*(const int64_t *)field);
		break;
	case CONFIG_DECIMAL:
		fprintf(out, "%g", *(const double *)field);
		break;
	case CONFIG_BOOLEAN:
		fputs(*(const bool *)field ? "true" : "false", out);
		break;
	default:
		fputs(((const struct endpoint *)field)->text, out);
	}
}

static const struct config_option *find_option(const char *key)
{
	size_t n;
	const struct config_option *options = config_options(&n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(options[i].key, key) == 0)
			return &options[i];
	}
	fail_msg("no option %s", key);
	return NULL;
}

static void value(void **state)
{
	const struct value_case *c = *state;
	char text[512], *got = NULL;
	size_t size;
	struct parsed p;
	FILE *out;

	snprintf(text, sizeof(text), MINIMAL "%s\n", c->lines);
	p = parse_good(text);
	out = open_memstream(&got, &size);
	assert_non_null(out);
	print_field(out, p.config, find_option(c->field));
	fclose(out);
	assert_string_equal(got, c->value);
	free(got);
	forget(&p);
}

/* Lines below "[params]" (line 1) and what is said about them, in full. */
#define DOMAIN_LINE "mail_domain = a.example\n"

static const struct mistake_case {
	const char *name, *lines, *said;
} mistake_cases[] = {
	{ "no domain", "max_load_1m = 1",
	    "x.ini: mail_domain: missing; write below [params]: mail_domain = "
	    "chat.example.org\n" },
	{ "empty domain", "\nmail_domain =",
	    "x.ini:3: mail_domain: missing; write below [params]: mail_domain = "
	    "chat.example.org\n" },
	{ "domain with slash", "mail_domain = ../etc",
	    "x.ini:2: mail_domain: it is no domain name: parts of letters, digits, - "
	    "and "
	    "_, joined by single dots; write e.g. mail_domain = chat.example.org\n" },
	{ "integer with comment", DOMAIN_LINE "delete_mails_after = 5 # x",
	    "x.ini:3: delete_mails_after: '5 # x' is not a whole number; write e.g. "
	    "delete_mails_after = 20 (and a comment on a line of its own)\n" },
	{ "hexadecimal", DOMAIN_LINE "delete_mails_after = 0x10",
	    "x.ini:3: delete_mails_after: '0x10' is not a whole number; write e.g. "
	    "delete_mails_after = 20\n" },
	{ "empty integer", DOMAIN_LINE "delete_mails_after =",
	    "x.ini:3: delete_mails_after: '' is not a whole number; write e.g. "
	    "delete_mails_after = 20\n" },
	{ "zero", DOMAIN_LINE "\n\nmax_user_send_per_minute = 0",
	    "x.ini:5: max_user_send_per_minute: out of range, it goes from 1 to "
	    "2147483647; write e.g. max_user_send_per_minute = 60\n" },
	{ "negative", DOMAIN_LINE "max_message_size = -5",
	    "x.ini:3: max_message_size: out of range, it goes from 1 to 2147483647; "
	    "write "
	    "e.g. max_message_size = 31457280\n" },
	{ "huge", DOMAIN_LINE "username_max_length = 99999999999999999999999",
	    "x.ini:3: username_max_length: out of range, it goes from 1 to 64; write "
	    "e.g. "
	    "username_max_length = 9\n" },
	{ "size in K", DOMAIN_LINE "max_mailbox_size = 5K",
	    "x.ini:3: max_mailbox_size: '5K' is not a size in megabytes (M) or "
	    "gigabytes "
	    "(G); write e.g. max_mailbox_size = 500M\n" },
	{ "huge size", DOMAIN_LINE "max_mailbox_size = 9999999999999999G",
	    "x.ini:3: max_mailbox_size: out of range, it goes from 1 to 2147483647; "
	    "write "
	    "e.g. max_mailbox_size = 500M\n" },
	{ "port too high", DOMAIN_LINE "postfix_reinject_port = 65536",
	    "x.ini:3: postfix_reinject_port: out of range, it goes from 1 to 65535; "
	    "write "
	    "e.g. postfix_reinject_port = 10080\n" },
	{ "decimal", DOMAIN_LINE "max_load_1m = nan",
	    "x.ini:3: max_load_1m: 'nan' is not a decimal number; write e.g. "
	    "max_load_1m "
	    "= 5\n" },
	{ "lengths crossed", DOMAIN_LINE "username_min_length = 10",
	    "x.ini:3: username_max_length: 9 is below username_min_length; write "
	    "username_max_length = 10\n" },
	{ "relative path", DOMAIN_LINE "state_dir = var/lib",
	    "x.ini:3: state_dir: it is no absolute path; start it with /\n" },
	{ "empty path", DOMAIN_LINE "state_dir =",
	    "x.ini:3: state_dir: it is no absolute path; start it with /\n" },
	{ "user", DOMAIN_LINE "mail_user = 0 wheel",
	    "x.ini:3: mail_user: it is no name of a user; write e.g. mail_user = "
	    "vmail\n" },
	{ "push URL", DOMAIN_LINE "push_url = http://x/",
	    "x.ini:3: push_url: it is no https URL; start it with https://\n" },
	{ "socket", DOMAIN_LINE "auth_socket = /run/x",
	    "x.ini:3: auth_socket: it starts neither with unix: nor with inet:; write "
	    "unix:/path or inet:HOST:PORT\n" },
	{ "secret over lines", DOMAIN_LINE "turn_secret = a\n  b",
	    "x.ini:3: turn_secret: it goes on over several lines; write it on one, and "
	    "begin other lines without a blank\n" },
	{ "one TLS path", DOMAIN_LINE "tls_external_cert_and_key = /x",
	    "x.ini:3: tls_external_cert_and_key: must have two space-separated paths: "
	    "CERT_PATH KEY_PATH\n" },
	{ "three TLS paths", DOMAIN_LINE "tls_external_cert_and_key = /x /y /z",
	    "x.ini:3: tls_external_cert_and_key: must have two space-separated paths: "
	    "CERT_PATH KEY_PATH\n" },
	{ "relative TLS path", DOMAIN_LINE "tls_external_cert_and_key = /x\n  y",
	    "x.ini:3: tls_external_cert_and_key: must have two space-separated paths: "
	    "CERT_PATH KEY_PATH\n" },
	{ "TLS paths and another",
	    DOMAIN_LINE "tls_external_cert_and_key = x /y\npush_url =",
	    "x.ini:3: tls_external_cert_and_key: must have two space-separated paths: "
	    "CERT_PATH KEY_PATH\n"
	    "x.ini:4: push_url: it is no https URL; start it with https://\n" },
	{ "a refused length is no measure", DOMAIN_LINE "username_min_length = 65",
	    "x.ini:3: username_min_length: out of range, it goes from 1 to 64; write "
	    "e.g. "
	    "username_min_length = 9\n" },
	{ "long value, in UTF-8",
	    DOMAIN_LINE "delete_mails_after = "
			"123456789012345678901234567890123456789012345678901234567"
			"89\xc3\xbc tail",
	    "x.ini:3: delete_mails_after: "
	    "'12345678901234567890123456789012345678901234567890123456789...' is not a "
	    "whole number; write e.g. delete_mails_after = 20\n" },
	{ "all at once, each on its line",
	    DOMAIN_LINE "privacy_pdo = one\n  two\n\n# a comment\n  three\n"
			"delete_mails_after = x\nprivacy_mail =\n  a\n  b\n"
			"delete_large_after = y",
	    "x.ini:8: delete_mails_after: 'x' is not a whole number; write e.g. "
	    "delete_mails_after = 20\n"
	    "x.ini:12: delete_large_after: 'y' is not a whole number; write e.g. "
	    "delete_large_after = 7\n" },
	{ "no UTF-8", DOMAIN_LINE "privacy_pdo = J\xfcrgen",
	    "x.ini:3: a byte that is no UTF-8; save the file as UTF-8\n" },
	{ "control character", DOMAIN_LINE "\nprivacy_pdo = a\x1b[1mb",
	    "x.ini:4: a control character; take it out\n" },
	{ "what stands for line breaks inside",
	    DOMAIN_LINE "privacy_pdo = a\x1f"
			"b",
	    "x.ini:3: a control character; take it out\n" },
};

static struct parsed parse_mistake(const struct mistake_case *c)
{
	char text[1024];
	struct parsed p;

	snprintf(text, sizeof(text), "[params]\n%s\n", c->lines);
	p = parse(text);
	assert_string_equal(p.said, c->said);
	return p;
}

static void a_mistake(void **state)
{
	const struct mistake_case *c = *state;
	struct parsed p = parse_mistake(c);

	assert_null(p.config);
	forget(&p);
}

static const struct mistake_case warning_cases[] = {
	{ "yes is false", "mail_domain = a.example\necho = 1\nechobot = yes",
	    "x.ini:4: warning: echobot: 'yes' means false; write echobot = true or "
	    "echobot "
	    "= false\n"
	    "x.ini:3: warning: there is no key 'echo', it has no effect; correct or "
	    "remove "
	    "it\n" },
	{ "capital letters", "mail_domain = Chat.example",
	    "x.ini:2: warning: mail_domain: it has capital letters; clients write "
	    "their "
	    "addresses in small ones\n" },
	{ "passthrough of no address",
	    "mail_domain = a.example\npassthrough_senders = a@b c",
	    "x.ini:3: warning: passthrough_senders: 'c' is neither an address nor an "
	    "@domain and has no effect\n" },
	{ "old and new key",
	    "mail_domain = a.example\nreinject_outgoing = inet:[::1]:26\n"
	    "postfix_reinject_port = 10025",
	    "x.ini:3: warning: reinject_outgoing: it counts, the old port key for the "
	    "same "
	    "socket does not; take that one out\n" },
};

static void a_warning(void **state)
{
	const struct mistake_case *c = *state;
	struct parsed p = parse_mistake(c);

	assert_non_null(p.config);
	assert_false(p.config->echobot && strstr(c->lines, "echobot"));
	if (strstr(c->lines, "reinject_outgoing"))
		assert_string_equal(p.config->reinject_outgoing.text, "inet:[::1]:26");
	forget(&p);
}

static void unknown_keys_in_file_order(void **state)
{
	struct parsed p =
	    parse(MINIMAL "zeta = 1\nalpha = 2\nstate_dir = /x\nAlpha = 3\n"
			  "[other]\nbeta = 1\n");

	assert_non_null(p.config);
	assert_string_equal(p.config->unknown_keys, "zeta alpha Alpha");
	forget(&p);
}

static void syntax_errors_name_the_line(void **state)
{
	struct parsed p = parse("[params]\nmail_domain = a.example\n\nno separator\n");

	assert_null(p.config);
	assert_int_equal(strncmp(p.said, "x.ini:4: ", 9), 0);
	forget(&p);
	p = parse(DOMAIN_LINE);
	assert_null(p.config);
	assert_int_equal(strncmp(p.said, "x.ini:1: ", 9), 0);
	forget(&p);
	p = parse(MINIMAL "mail_domain = b.example\n");
	assert_null(p.config);
	assert_int_equal(strncmp(p.said, "x.ini:3: ", 9), 0);
	forget(&p);
}

static void nul_is_refused(void **state)
{
	static const char text[] = MINIMAL "privacy_pdo = a\0b\n";
	struct parsed p = parse_bytes(text, sizeof(text) - 1);

	assert_null(p.config);
	assert_string_equal(p.said, "x.ini:3: a NUL byte; take it out\n");
	forget(&p);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

static void floods_are_cut(void **state)
{
	size_t size, n;
	const struct config_option *options = config_options(&n);
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);
	struct parsed p;

	assert_non_null(out);
	fputs(MINIMAL, out);
	for (size_t i = 0; i < 4000; i++)
		fprintf(out, "unknown%zu = 1\n", i);
	fputs("passthrough_senders =", out);
	for (size_t i = 0; i < 4000; i++)
		fputs(" x", out);
	fclose(out);
	p = parse(text);
	assert_non_null(p.config);
	assert_int_equal(count_lines(p.said), 50);
	assert_non_null(strstr(p.config->unknown_keys, " unknown3999"));
	free(text);
	forget(&p);

	/* Nearly every option takes offence at this, as a mistake or with a warning. */
	out = open_memstream(&text, &size);
	assert_non_null(out);
	fputs("[params]\n", out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s = ~\n  ~\n", options[i].key);
	fclose(out);
	p = parse(text);
	assert_null(p.config);
	assert_in_range(count_lines(p.said), 30, 50 + 50);
	free(text);
	forget(&p);
}

static const struct iroh_case {
	const char *name, *lines;
	enum iroh_relay mode;
	const char *url;
} iroh_cases[] = {
	{ "absent", "", IROH_LOCAL, "https://chat.example.org" },
	{ "empty", "iroh_relay =", IROH_NONE, "" },
	{ "set", "iroh_relay =  https://iroh.example ", IROH_REMOTE,
	    "https://iroh.example" },
};

static void iroh(void **state)
{
	const struct iroh_case *c = *state;
	char text[256];
	struct parsed p;

	snprintf(text, sizeof(text), MINIMAL "%s\n", c->lines);
	p = parse_good(text);
	assert_int_equal(p.config->iroh, c->mode);
	assert_string_equal(p.config->iroh_relay, c->url);
	forget(&p);
}

static const struct tls_case {
	const char *name, *text;
	enum tls_mode mode;
	const char *cert, *key;
} tls_cases[] = {
	{ "acme", MINIMAL, TLS_ACME, "/var/lib/acme/live/chat.example.org/fullchain",
	    "/var/lib/acme/live/chat.example.org/privkey" },
	{ "underscore", "[params]\nmail_domain = _test.example.org\n", TLS_SELF,
	    "/etc/ssl/certs/mailserver.pem", "/etc/ssl/private/mailserver.key" },
	{ "address", "[params]\nmail_domain = 192.0.2.1\n", TLS_SELF,
	    "/etc/ssl/certs/mailserver.pem", "/etc/ssl/private/mailserver.key" },
	{ "external", MINIMAL "tls_external_cert_and_key = /c  /k\n", TLS_EXTERNAL,
	    "/c", "/k" },
	{ "external wins",
	    "[params]\nmail_domain = _test.example.org\n"
	    "tls_external_cert_and_key = /c\n  /k\n",
	    TLS_EXTERNAL, "/c", "/k" },
	{ "external empty", MINIMAL "tls_external_cert_and_key =\n", TLS_ACME,
	    "/var/lib/acme/live/chat.example.org/fullchain",
	    "/var/lib/acme/live/chat.example.org/privkey" },
};

static void tls(void **state)
{
	const struct tls_case *c = *state;
	struct parsed p = parse_good(c->text);

	assert_int_equal(p.config->tls_mode, c->mode);
	assert_string_equal(p.config->tls_cert_path, c->cert);
	assert_string_equal(p.config->tls_key_path, c->key);
	forget(&p);
}

static void ipv4_relay(void **state)
{
	struct parsed p = parse_good("[params]\nmail_domain = 192.0.2.1\n");

	assert_true(p.config->ipv4_relay);
	assert_string_equal(p.config->mail_domain, "[192.0.2.1]");
	assert_string_equal(p.config->mail_domain_bare, "192.0.2.1");
	assert_string_equal(p.config->mailboxes_dir, "/home/vmail/mail/192.0.2.1");
	assert_string_equal(p.config->iroh_relay, "https://192.0.2.1");
	forget(&p);
}

#define LABEL63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"

static const struct domain_case {
	const char *name, *domain;
	bool good, ipv4;
} domain_cases[] = {
	{ "name", "nine.testrun.org", true, false },
	{ "one label", "localhost", true, false },
	{ "underscore", "_x.example", true, false },
	{ "digits", "12394142", true, false },
	{ "address", "1.3.3.7", true, true },
	{ "IPv6", "fe::1", false, false },
	{ "nearly an address", "ad.1e.dag.adf", true, false },
	{ "no address", "1.3.3.256", false, false },
	{ "short address", "1.3.3", false, false },
	{ "brackets", "[1.3.3.7]", false, false },
	{ "empty", "", false, false },
	{ "blank", "a b", false, false },
	{ "slash", "a/b", false, false },
	{ "parent", "..", false, false },
	{ "dot", ".", false, false },
	{ "empty label", "a..b", false, false },
	{ "final dot", "a.example.", false, false },
	{ "option", "-rf", false, false },
	{ "dash at an end", "a-.example", false, false },
	{ "at", "a@b", false, false },
	{ "quote", "a'b", false, false },
	{ "shell", "a$(b)", false, false },
	{ "UTF-8", "b\xc3\xbc.example", false, false },
	{ "long label", LABEL63 ".example", true, false },
	{ "longer label", LABEL63 "4.example", false, false },
	{ "long name", LABEL63 "." LABEL63 "." LABEL63 "." LABEL63, false, false },
};

static void domain(void **state)
{
	const struct domain_case *c = *state;

	assert_int_equal(config_check_domain(c->domain) == NULL, c->good);
	assert_int_equal(config_is_ipv4(c->domain), c->ipv4);
}

static const struct integer_case {
	const char *name, *text;
	bool good;
	int64_t value;
} integer_cases[] = {
	{ "plain", "42", true, 42 },
	{ "blanks", " \t42\n", true, 42 },
	{ "minus", "-42", true, -42 },
	{ "underscores", "1_0_0", true, 100 },
	{ "leading zeros", "0010", true, 10 },
	{ "largest", "9223372036854775807", true, INT64_MAX },
	{ "larger", "9223372036854775808", true, INT64_MAX },
	{ "very large", "-99999999999999999999", true, -INT64_MAX },
	{ "empty", "", false, 0 },
	{ "sign alone", "-", false, 0 },
	{ "two signs", "--1", false, 0 },
	{ "blank after sign", "- 1", false, 0 },
	{ "underscore first", "_1", false, 0 },
	{ "underscore last", "1_", false, 0 },
	{ "two underscores", "1__0", false, 0 },
	{ "letter", "1a", false, 0 },
	{ "decimal", "1.0", false, 0 },
	{ "blank inside", "1 0", false, 0 },
};

static void check_integer(
    const struct integer_case *c, bool (*read)(struct span, int64_t *))
{
	int64_t got = 0;

	assert_int_equal(read(span_of(c->text), &got), c->good);
	assert_true(got == c->value);
}

static void integer(void **state)
{
	check_integer(*state, config_parse_integer);
}

static const struct integer_case size_cases[] = {
	{ "M", "500M", true, 500 },
	{ "G", "2G", true, 2048 },
	{ "blanks", "  1g  ", true, 1024 },
	{ "blank before the unit", "1 G", true, 1024 },
	{ "MB", "100MB", true, 100 },
	{ "B", "100B", true, 100 },
	{ "plain", "256", true, 256 },
	{ "K", "1K", false, 0 },
	{ "T", "1T", false, 0 },
	{ "decimal", "1.5G", false, 0 },
	{ "unit alone", "G", false, 0 },
	{ "empty", "", false, 0 },
	{ "MM", "1MM", false, 0 },
	{ "BB", "1BB", false, 0 },
	{ "overflow", "9007199254740993G", true, 9007199254740993 },
};

static void size(void **state)
{
	check_integer(*state, config_parse_size);
}

static const struct decimal_case {
	const char *name, *text;
	bool good;
	double value;
} decimal_cases[] = {
	{ "plain", "5", true, 5 },
	{ "fraction", "0.25", true, 0.25 },
	{ "negative", "-1.5", true, -1.5 },
	{ "exponent", "1e2", true, 100 },
	{ "underscore", "1_000.5", true, 1000.5 },
	{ "empty", "", false, 0 },
	{ "infinite", "inf", false, 0 },
	{ "too large", "1e999", false, 0 },
	{ "hexadecimal", "0x1p3", false, 0 },
	{ "comma", "1,5", false, 0 },
	{ "two dots", "1.2.3", false, 0 },
	{ "long",
	    "0.00000000000000000000000000000000000000000000000000000000000000000001",
	    false, 0 },
};

static void decimal(void **state)
{
	const struct decimal_case *c = *state;
	double got = 0;

	assert_int_equal(config_parse_decimal(span_of(c->text), &got), c->good);
	assert_true(got == c->value);
}

static const struct bytes_case {
	const char *name, *bytes;
	size_t len, at;
	bool good;
} bytes_cases[] = {
	{ "text", "a\tb\r\n\xe2\x82\xac\xf4\x8f\xbf\xbf", 12, 0, true },
	{ "nothing", "", 0, 0, true },
	{ "lone continuation", "a\x80", 2, 1, false },
	{ "overlong", "\xc0\xaf", 2, 0, false },
	{ "overlong of three", "\xe0\x9f\xbf", 3, 0, false },
	{ "surrogate", "\xed\xa0\x80", 3, 0, false },
	{ "beyond Unicode", "\xf4\x90\x80\x80", 4, 0, false },
	{ "cut short", "ab\xe2\x82", 4, 2, false },
	{ "bad third byte", "\xe2\x82x", 3, 0, false },
	{ "carriage return alone", "a\rb", 3, 1, false },
	{ "carriage return at the end", "a\r", 2, 1, false },
	{ "delete", "a\x7f", 2, 1, false },
	{ "NUL", "a\0b", 3, 1, false },
};

static void bytes(void **state)
{
	const struct bytes_case *c = *state;
	char *copy = malloc(c->len ? c->len : 1);
	size_t at = 0;
	const char *why;

	assert_non_null(copy);
	memcpy(copy, c->bytes, c->len);
	why = config_check_bytes(span_make(copy, c->len), &at);
	assert_int_equal(why == NULL, c->good);
	if (why)
		assert_int_equal(at, c->at);
	free(copy);
}

/* Every default that is written is also a value that can be written. */
static void defaults_written_out(void **state)
{
	size_t n, size;
	const struct config_option *options = config_options(&n);
	struct parsed plain = parse_good(MINIMAL), full;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	fputs(MINIMAL, out);
	for (size_t i = 0; i < n; i++) {
		if (options[i].fallback)
			fprintf(out, "%s = %s\n", options[i].key, options[i].fallback);
	}
	fclose(out);
	full = parse_good(text);
	for (size_t i = 0; i < n; i++) {
		char *a = NULL, *b = NULL;
		FILE *file;

		if (options[i].type == CONFIG_UNUSED)
			continue;
		file = open_memstream(&a, &size);
		print_field(file, plain.config, &options[i]);
		fclose(file);
		file = open_memstream(&b, &size);
		print_field(file, full.config, &options[i]);
		fclose(file);
		assert_string_equal(a, b);
		free(a);
		free(b);
	}
	free(text);
	forget(&plain);
	forget(&full);
}

/* Files. */

static struct parsed load(const char *path)
{
	struct parsed p = { NULL, NULL };
	size_t len;
	FILE *err = open_memstream(&p.said, &len);

	assert_non_null(err);
	p.config = config_load(path, err);
	fclose(err);
	return p;
}

static void load_a_file(void **state)
{
	char *dir = support_tmpdir(), *path = support_path(dir, "chatmail.ini");
	struct parsed p;

	support_write_file(path, span_of(MINIMAL));
	p = load(path);
	assert_string_equal(p.said, "");
	assert_non_null(p.config);
	assert_string_equal(p.config->path, path);
	forget(&p);
	free(path);
	support_tmpdir_remove(dir);
}

static void load_no_file(void **state)
{
	struct parsed p = load("/nonexistent/chatmail.ini");

	assert_null(p.config);
	assert_string_equal(
	    p.said, "/nonexistent/chatmail.ini: No such file or directory\n");
	forget(&p);
	p = load("/");
	assert_null(p.config);
	assert_string_equal(p.said, "/: Is a directory\n");
	forget(&p);
}

/* Only where neither exists: a machine that runs a relay has one of them. */
static void load_default_file(void **state)
{
	const char *path = config_default_path();
	struct parsed p = load(path);

	assert_true(
	    strcmp(path, CONFIG_PATH) == 0 || strcmp(path, CONFIG_PATH_PYTHON) == 0);
	if (!p.config && strstr(p.said, "No such file")) {
		assert_string_equal(p.said, CONFIG_PATH
		    ": No such file or directory; there is no " CONFIG_PATH_PYTHON
		    " either\n");
	}
	forget(&p);
}

static void load_too_large_a_file(void **state)
{
	char *dir = support_tmpdir(), *path = support_path(dir, "chatmail.ini");
	char *text = malloc(CONFIG_FILE_MAX + 1);
	struct parsed p;

	assert_non_null(text);
	memset(text, '#', CONFIG_FILE_MAX + 1);
	memcpy(text, MINIMAL, strlen(MINIMAL));
	support_write_file(path, span_make(text, CONFIG_FILE_MAX + 1));
	p = load(path);
	assert_null(p.config);
	assert_non_null(strstr(p.said, "File too large"));
	forget(&p);
	support_write_file(path, span_make(text, CONFIG_FILE_MAX));
	p = load(path);
	assert_non_null(p.config);
	forget(&p);
	free(text);
	free(path);
	support_tmpdir_remove(dir);
}

/*
 * docs/config.md has one table row a key, "| `key` | type | default | meaning |", in
 * any order: every key of the option table with its type and default, and no other.
 */
static void documented(void **state)
{
	struct support_text doc = support_read_data("../../docs/config.md");
	struct span rest = span_make(doc.data, doc.len), line;
	size_t n, rows = 0;
	const struct config_option *options = config_options(&n);

	while (span_cut(&rest, '\n', &line)) {
		if (span_starts(line, "| `"))
			rows++;
	}
	for (size_t i = 0; i < n; i++) {
		const struct config_option *o = &options[i];
		char want[256];

		if (o->fallback && *o->fallback)
			snprintf(want, sizeof(want), "\n| `%s` | %s | `%s` | ", o->key,
			    config_type_name(o->type), o->fallback);
		else
			snprintf(want, sizeof(want), "\n| `%s` | %s | ", o->key,
			    config_type_name(o->type));
		if (!strstr(doc.data, want))
			fail_msg("docs/config.md lacks the row '%s'", want + 1);
	}
	assert_int_equal(rows, n);
	free(doc.data);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(defaults) },
		{ SUPPORT_TEST(default_sockets) },
		{ SUPPORT_TABLE(value, value_cases) },
		{ SUPPORT_TABLE(a_mistake, mistake_cases) },
		{ SUPPORT_TABLE(a_warning, warning_cases) },
		{ SUPPORT_TEST(unknown_keys_in_file_order) },
		{ SUPPORT_TEST(syntax_errors_name_the_line) },
		{ SUPPORT_TEST(nul_is_refused) },
		{ SUPPORT_TEST(floods_are_cut) },
		{ SUPPORT_TABLE(iroh, iroh_cases) },
		{ SUPPORT_TABLE(tls, tls_cases) },
		{ SUPPORT_TEST(ipv4_relay) },
		{ SUPPORT_TABLE(domain, domain_cases) },
		{ SUPPORT_TABLE(integer, integer_cases) },
		{ SUPPORT_TABLE(size, size_cases) },
		{ SUPPORT_TABLE(decimal, decimal_cases) },
		{ SUPPORT_TABLE(bytes, bytes_cases) },
		{ SUPPORT_TEST(defaults_written_out) },
		{ SUPPORT_TEST(load_a_file) },
		{ SUPPORT_TEST(load_no_file) },
		{ SUPPORT_TEST(load_default_file) },
		{ SUPPORT_TEST(load_too_large_a_file) },
		{ SUPPORT_TEST(documented) },
	};

	return support_run("config", tests, ARRAY_LEN(tests));
}
