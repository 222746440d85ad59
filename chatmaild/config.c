/*
 * The option table, and the way from a file to a struct config: proto/ini splits the
 * lines; they are written again in libconfuse's syntax, line for line, so that
 * libconfuse types, defaults and validates them and its line numbers are the file's.
 */
#include "chatmaild/config.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/config_value.h"
#include "proto/ini.h"

#define SECTION    "params"
#define ERRORS_MAX 50 /* reported; who has more will run it again */

#define FIELD(name) offsetof(struct config, name)
#define NO_FIELD    SIZE_MAX

/*
 * Libconfuse takes a line break in quotes for the next line of the file, while a value
 * of several lines belongs to the line of its key. So line breaks travel as this byte,
 * which config_check_bytes() refuses in a file.
 */
#define LINE_BREAK '\x1f'

/* Old port keys stand before the keys they set: those then see that they are set. */
static const struct config_option options[] = {
	{ "mail_domain", CONFIG_TEXT, NULL, 0, 0, FIELD(mail_domain),
	    "The domain of all addresses, or the IPv4 address of a relay without a "
	    "name.",
	    config_check_domain },

	{ "max_user_send_per_minute", CONFIG_INTEGER, "60", 1, INT_MAX,
	    FIELD(max_user_send_per_minute), "Mails one sender may send in a minute.",
	    NULL },
	{ "max_user_send_burst_size", CONFIG_INTEGER, "10", 1, INT_MAX,
	    FIELD(max_user_send_burst_size),
	    "Mails one sender may send at once before the rate counts.", NULL },
	{ "max_message_size", CONFIG_BYTES, "31457280", 1, INT_MAX,
	    FIELD(max_message_size), "Bytes of the largest message.", NULL },
	{ "passthrough_senders", CONFIG_LIST, NULL, 0, 0, FIELD(passthrough_senders),
	    "Addresses that may send cleartext.", NULL },
	{ "passthrough_recipients", CONFIG_LIST, NULL, 0, 0,
	    FIELD(passthrough_recipients),
	    "Addresses, or @domain for all of a domain, that cleartext may be sent to.",
	    NULL },

	{ "max_mailbox_size", CONFIG_SIZE, "500M", 1, INT_MAX, FIELD(max_mailbox_size),
	    "Quota of a mailbox.", NULL },
	{ "delete_mails_after", CONFIG_INTEGER, "20", 1, INT_MAX,
	    FIELD(delete_mails_after), "Days until a mail is deleted.", NULL },
	{ "delete_large_after", CONFIG_INTEGER, "7", 1, INT_MAX,
	    FIELD(delete_large_after),
	    "Days until a mail of more than 200000 bytes is deleted.", NULL },
	{ "delete_inactive_users_after", CONFIG_INTEGER, "90", 1, INT_MAX,
	    FIELD(delete_inactive_users_after),
	    "Days after the last login until an account is deleted.", NULL },

	{ "username_min_length", CONFIG_INTEGER, "9", 1, 64, FIELD(username_min_length),
	    "Shortest part before the @ of a new address.", NULL },
	{ "username_max_length", CONFIG_INTEGER, "9", 1, 64, FIELD(username_max_length),
	    "Longest part before the @ of a new address.", NULL },
	{ "password_min_length", CONFIG_INTEGER, "9", 1, 512,
	    FIELD(password_min_length),
	    "Characters of the shortest password of a new account.", NULL },
	{ "max_load_1m", CONFIG_DECIMAL, "5", 0, 0, FIELD(max_load_1m),
	    "Load average of the last minute above which no account is created.",
	    NULL },
	{ "min_available_memory", CONFIG_SIZE, "200M", 1, INT_MAX,
	    FIELD(min_available_memory),
	    "Available memory below which no account is created.", NULL },
	{ "min_free_disk_space", CONFIG_SIZE, "1G", 1, INT_MAX,
	    FIELD(min_free_disk_space),
	    "Free space for mailboxes below which no account is created.", NULL },

	{ "mailboxes_dir", CONFIG_FILE, NULL, 0, 0, FIELD(mailboxes_dir),
	    "Where the mailboxes are.", config_check_path },
	{ "passdb_path", CONFIG_FILE, "/home/vmail/passdb.sqlite", 0, 0,
	    FIELD(passdb_path), "Password database of an old relay, read once.",
	    config_check_path },
	{ "state_dir", CONFIG_FILE, "/var/lib/chatmaild", 0, 0, FIELD(state_dir),
	    "Where the daemon keeps what it must remember.", config_check_path },
	{ "mail_user", CONFIG_TEXT, "vmail", 0, 0, FIELD(mail_user),
	    "User and group that own the mailboxes, as told to Dovecot.",
	    config_check_user },
	{ "www_folder", CONFIG_TEXT, "", 0, 0, FIELD(www_folder),
	    "Folder with web pages of your own; empty for the pages that come along, a "
	    "name that is no folder for none.",
	    NULL },
	{ "turn_socket_path", CONFIG_FILE, "/run/chatmail-turn/turn.socket", 0, 0,
	    FIELD(turn_socket_path), "Socket of the TURN helper.", config_check_path },

	{ "auth_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/auth.sock", 0, 0,
	    FIELD(auth_socket), "Where Dovecot asks for accounts.", NULL },
	{ "metadata_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/metadata.sock", 0, 0,
	    FIELD(metadata_socket), "Where Dovecot asks for IMAP METADATA.", NULL },
	{ "lastlogin_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/lastlogin.sock", 0,
	    0, FIELD(lastlogin_socket), "Where Dovecot tells of logins.", NULL },
	{ "http_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/http.sock", 0, 0,
	    FIELD(http_socket), "Where the web server finds metrics and new accounts.",
	    NULL },
	{ "admin_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/admin.sock", 0, 0,
	    FIELD(admin_socket), "Where the operator's tool reaches the daemon.",
	    NULL },
	{ "filtermail_smtp_port", CONFIG_PORT, NULL, 1, 65535,
	    FIELD(filter_outgoing_socket),
	    "Old form of filter_outgoing_socket: a port of 127.0.0.1.", NULL },
	{ "filter_outgoing_socket", CONFIG_ENDPOINT,
	    "unix:/var/spool/postfix/chatmaild/outgoing.sock", 0, 0,
	    FIELD(filter_outgoing_socket),
	    "Where Postfix hands over mail of our users.", NULL },
	{ "filtermail_smtp_port_incoming", CONFIG_PORT, NULL, 1, 65535,
	    FIELD(filter_incoming_socket),
	    "Old form of filter_incoming_socket: a port of 127.0.0.1.", NULL },
	{ "filter_incoming_socket", CONFIG_ENDPOINT,
	    "unix:/var/spool/postfix/chatmaild/incoming.sock", 0, 0,
	    FIELD(filter_incoming_socket),
	    "Where Postfix hands over mail from other servers.", NULL },
	{ "postfix_reinject_port", CONFIG_PORT, NULL, 1, 65535,
	    FIELD(reinject_outgoing),
	    "Old form of reinject_outgoing: a port of 127.0.0.1.", NULL },
	{ "reinject_outgoing", CONFIG_ENDPOINT,
	    "unix:/var/spool/postfix/public/reinject-out", 0, 0,
	    FIELD(reinject_outgoing), "Where Postfix takes back mail of our users.",
	    NULL },
	{ "postfix_reinject_port_incoming", CONFIG_PORT, NULL, 1, 65535,
	    FIELD(reinject_incoming),
	    "Old form of reinject_incoming: a port of 127.0.0.1.", NULL },
	{ "reinject_incoming", CONFIG_ENDPOINT,
	    "unix:/var/spool/postfix/public/reinject-in", 0, 0,
	    FIELD(reinject_incoming),
	    "Where Postfix takes back mail from other servers.", NULL },
	{ "metrics_address", CONFIG_ENDPOINT, NULL, 0, 0, FIELD(metrics_address),
	    "A second place that serves the metrics, for a monitoring server.", NULL },

	{ "push_url", CONFIG_TEXT, "https://notifications.delta.chat/notify", 0, 0,
	    FIELD(push_url), "The push service.", config_check_https },
	{ "push_ca_file", CONFIG_FILE, NULL, 0, 0, FIELD(push_ca_file),
	    "Certificates to trust for the push service instead of the system's.",
	    config_check_path },
	{ "iroh_relay", CONFIG_TEXT, NULL, 0, 0, FIELD(iroh_relay),
	    "URL of the iroh relay; absent: our own, empty: none of ours.", NULL },
	{ "turn_secret", CONFIG_TEXT, "", 0, 0, FIELD(turn_secret),
	    "Secret shared with the TURN server.", NULL },
	{ "echobot", CONFIG_BOOLEAN, "true", 0, 0, FIELD(echobot),
	    "Run an account that answers what it is told.", NULL },

	{ "disable_ipv6", CONFIG_BOOLEAN, "false", 0, 0, FIELD(disable_ipv6),
	    "Listen and send with IPv4 only.", NULL },
	{ "imap_rawlog", CONFIG_BOOLEAN, "false", 0, 0, FIELD(imap_rawlog),
	    "Record IMAP sessions in the mailboxes; for debugging only.", NULL },
	{ "imap_compress", CONFIG_BOOLEAN, "false", 0, 0, FIELD(imap_compress),
	    "Offer IMAP COMPRESS; turns hibernation off.", NULL },
	{ "acme_email", CONFIG_TEXT, "", 0, 0, FIELD(acme_email),
	    "Contact address for the certificate authority.", NULL },
	{ "mtail_address", CONFIG_TEXT, "", 0, 0, FIELD(mtail_address),
	    "Address mtail serves its metrics on; empty: no mtail.", NULL },
	{ "privacy_postal", CONFIG_TEXTS, "", 0, 0, FIELD(privacy_postal),
	    "Postal address of who is responsible, for the privacy page.", NULL },
	{ "privacy_mail", CONFIG_TEXTS, "", 0, 0, FIELD(privacy_mail),
	    "Mail address of who is responsible.", NULL },
	{ "privacy_pdo", CONFIG_TEXTS, "", 0, 0, FIELD(privacy_pdo),
	    "Contact of the data protection officer.", NULL },
	{ "privacy_supervisor", CONFIG_TEXTS, "", 0, 0, FIELD(privacy_supervisor),
	    "Contact of the supervising authority.", NULL },
	{ "max_imap_connections", CONFIG_INTEGER, "10000", 1, INT_MAX,
	    FIELD(max_imap_connections), "IMAP sessions at once.", NULL },
	{ "max_smtp_connections", CONFIG_INTEGER, "1000", 1, INT_MAX,
	    FIELD(max_smtp_connections),
	    "Sessions of each submission port at once; a fifth of them for one "
	    "address.",
	    NULL },
	{ "tls_external_cert_and_key", CONFIG_LIST, NULL, 0, 0,
	    FIELD(tls_external_cert_and_key),
	    "Certificate chain and key that somebody else renews: two paths.", NULL },

	{ "user_cache_size", CONFIG_SIZE, "256M", 1, INT_MAX, FIELD(user_cache_size),
	    "Memory for known accounts.", NULL },

	{ "filtermail_http_port", CONFIG_UNUSED, NULL, 0, 0, NO_FIELD,
	    "Of an older relay.", NULL },
	{ "filtermail_http_port_incoming", CONFIG_UNUSED, NULL, 0, 0, NO_FIELD,
	    "Of an older relay.", NULL },
	{ "filtermail_lmtp_port_transport", CONFIG_UNUSED, NULL, 0, 0, NO_FIELD,
	    "Of an older relay.", NULL },
};

#define NOPTIONS (sizeof(options) / sizeof(options[0]))

struct loader {
	const char *path;
	FILE *err;
	unsigned errors;
	struct ini ini;
	cfg_t *cfg;
	struct config *config;
};

static void vreport(struct loader *l, unsigned line, const char *kind, const char *key,
    const char *fmt, va_list ap)
{
	fprintf(l->err, "%s:", l->path);
	if (line > 0)
		fprintf(l->err, "%u:", line);
	fprintf(l->err, " %s", kind);
	if (key)
		fprintf(l->err, "%s: ", key);
	vfprintf(l->err, fmt, ap);
	fputc('\n', l->err);
}

/* line 0: it stands in no line; key NULL: it is about none. */
__attribute__((format(printf, 4, 5))) static void mistake(
    struct loader *l, unsigned line, const char *key, const char *fmt, ...)
{
	va_list ap;

	if (++l->errors > ERRORS_MAX)
		return;
	va_start(ap, fmt);
	vreport(l, line, "", key, fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 4, 5))) static void warn(
    struct loader *l, unsigned line, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vreport(l, line, "warning: ", key, fmt, ap);
	va_end(ap);
}

/* Some of a value for a message: bounded, on one line. */
struct excerpt {
	char text[64];
};

static struct excerpt excerpt(const char *value)
{
	struct excerpt e;
	size_t len = strnlen(value, sizeof(e.text) - 4);
	bool cut = value[len] != '\0';

	while (cut && len > 0 && ((unsigned char)value[len] & 0xc0) == 0x80)
		len--;
	for (size_t i = 0; i < len; i++) {
		bool control = (unsigned char)value[i] < 0x20;

		e.text[i] = control ? ' ' : value[i];
	}
	strcpy(e.text + len, cut ? "..." : "");
	return e;
}

static const struct ini_item *find_item(const struct loader *l, const char *key)
{
	return ini_find(&l->ini, SECTION, key);
}

/* Line of the key; 0 if it is not in the file. */
static unsigned line_of(const struct loader *l, const char *key)
{
	const struct ini_item *item = find_item(l, key);

	return item ? item->line : 0;
}

static const struct config_option *find_option(struct span key)
{
	for (size_t i = 0; i < NOPTIONS; i++) {
		if (span_is(key, options[i].key))
			return &options[i];
	}
	return NULL;
}

/*
 * libconfuse's callbacks. They report a mistake and go on with another value, so that
 * one run finds all of them: a callback that fails would end the parsing.
 */
static const char loader_name[] = "loader"; /* an option that no file can set */

static struct loader *loader_of(cfg_t *cfg)
{
	return cfg_getptr(cfg, loader_name);
}

static const struct config_option *option_of(const cfg_opt_t *opt)
{
	return find_option(span_of(opt->name));
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct loader *l = loader_of(cfg);

	l->errors++;
	vreport(l, (unsigned)cfg->line, "", NULL, fmt, ap);
}

static bool has_comment(const char *value)
{
	return strpbrk(value, "#;") != NULL;
}

/* A good number for the option; those without default are ports. */
static const char *example(const struct config_option *o)
{
	return o->fallback ? o->fallback : "10080";
}

/* The value is of the wrong kind. what: "a whole number"; like: a good value. */
static void wrong_kind(cfg_t *cfg, const cfg_opt_t *opt, const char *value,
    const char *what, const char *like)
{
	mistake(loader_of(cfg), (unsigned)cfg->line, opt->name,
	    "'%s' is not %s; write e.g. %s = %s%s", excerpt(value).text, what,
	    opt->name, like,
	    has_comment(value) ? " (and a comment on a line of its own)" : "");
}

static int parse_number(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const struct config_option *o = option_of(opt);
	bool is_size = o->type == CONFIG_SIZE;
	struct span text = span_of(value);
	int64_t n;

	if (is_size ? config_parse_size(text, &n) : config_parse_integer(text, &n)) {
		/* What a long cannot hold is out of every option's range. */
		*(long *)result = n > INT_MAX ? LONG_MAX : n < 0 ? -1 : (long)n;
		return 0;
	}
	wrong_kind(cfg, opt, value,
	    is_size ? "a size in megabytes (M) or gigabytes (G)" : "a whole number",
	    example(o));
	*(long *)result = (long)o->min;
	return 0;
}

static int validate_number(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct config_option *o = option_of(opt);
	long n = cfg_opt_getnint(opt, 0);

	if (n < o->min || n > o->max)
		mistake(loader_of(cfg), (unsigned)cfg->line, o->key,
		    "out of range, it goes from %lld to %lld; write e.g. %s = %s",
		    (long long)o->min, (long long)o->max, o->key, example(o));
	return 0;
}

static int parse_decimal(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	double *d = result;

	if (!config_parse_decimal(span_of(value), d)) {
		wrong_kind(
		    cfg, opt, value, "a decimal number", option_of(opt)->fallback);
		*d = 0;
	}
	return 0;
}

/* Only "true" is true, as it always was: yes, on and 1 have meant false. */
static int parse_boolean(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	bool yes = strcasecmp(value, "true") == 0;

	if (!yes && strcasecmp(value, "false") != 0)
		warn(loader_of(cfg), (unsigned)cfg->line, opt->name,
		    "'%s' means false; write %s = true or %s = false",
		    excerpt(value).text, opt->name, opt->name);
	*(cfg_bool_t *)result = yes ? cfg_true : cfg_false;
	return 0;
}

/* An empty text is fine where there is no default to take its place. */
static const char *check_text(const struct config_option *o, const char *value)
{
	struct endpoint ep;

	if (o->type == CONFIG_TEXTS || o->type == CONFIG_LIST)
		return NULL;
	if (strchr(value, LINE_BREAK))
		return "it goes on over several lines; write it on one, and begin "
		       "other "
		       "lines without a blank";
	if (*value == '\0' && !o->fallback)
		return NULL;
	if (o->type == CONFIG_ENDPOINT)
		return endpoint_parse(&ep, span_of(value));
	return o->check ? o->check(value) : NULL;
}

static int validate_text(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct config_option *o = option_of(opt);
	const char *why = check_text(o, cfg_opt_getnstr(opt, 0));

	if (why)
		mistake(loader_of(cfg), (unsigned)cfg->line, o->key, "%s", why);
	return 0;
}

/* The table in libconfuse's words. */
static cfg_opt_t make_opt(const struct config_option *o)
{
	cfg_opt_t opt = { .name = o->key, .type = CFGT_STR, .validcb = validate_text };
	struct span fallback = span_of(o->fallback ? o->fallback : "");
	int64_t number = 0;

	switch (o->type) {
	case CONFIG_SIZE:
		config_parse_size(fallback, &number);
		break;
	case CONFIG_INTEGER:
	case CONFIG_BYTES:
	case CONFIG_PORT:
		config_parse_integer(fallback, &number);
		break;
	case CONFIG_DECIMAL:
		opt.type = CFGT_FLOAT;
		opt.parsecb = parse_decimal;
		opt.validcb = NULL;
		config_parse_decimal(fallback, &opt.def.fpnumber);
		return opt;
	case CONFIG_BOOLEAN:
		opt.type = CFGT_BOOL;
		opt.parsecb = parse_boolean;
		opt.validcb = NULL;
		opt.def.boolean = span_is(fallback, "true") ? cfg_true : cfg_false;
		return opt;
	default:
		opt.def.string = fallback.data;
		return opt;
	}
	opt.type = CFGT_INT;
	opt.parsecb = parse_number;
	opt.validcb = validate_number;
	opt.def.number = (long)number;
	return opt;
}

/* Single quotes: in double ones libconfuse puts environment variables in place of
 * ${...}. */
static void write_quoted(FILE *out, struct span value)
{
	fputc('\'', out);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (c == '\'' || c == '\\')
			fputc('\\', out);
		fputc(c == '\n' ? LINE_BREAK : c, out);
	}
	fputc('\'', out);
}

/* The known items of the section in libconfuse's syntax, each on its line. */
static char *write_syntax(const struct ini *ini)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	unsigned line = 1;

	if (!out)
		abort();
	for (size_t i = 0; i < ini->nitems; i++) {
		const struct ini_item *item = &ini->item[i];
		const struct config_option *o = find_option(item->key);

		if (!span_is(item->section, SECTION) || !o || o->type == CONFIG_UNUSED)
			continue;
		for (; line < item->line; line++)
			fputc('\n', out);
		fprintf(out, "%s = ", o->key);
		write_quoted(out, item->value);
	}
	if (fclose(out) != 0)
		abort();
	return text;
}

/* l->cfg gets all options, from the file or by default. */
static void parse_options(struct loader *l)
{
	struct loader *self = l;
	cfg_opt_t opts[NOPTIONS + 2] = { 0 };
	char *text = write_syntax(&l->ini);

	for (size_t i = 0; i < NOPTIONS; i++)
		opts[i] = make_opt(&options[i]);
	opts[NOPTIONS] = (cfg_opt_t){
		.name = loader_name,
		.type = CFGT_PTR,
		.simple_value = { .ptr = (void **)&self },
	};
	opts[NOPTIONS + 1] = (cfg_opt_t)CFG_END();
	l->cfg = cfg_init(opts, CFGF_NONE);
	if (!l->cfg)
		abort();
	cfg_set_error_function(l->cfg, on_error);
	if (cfg_parse_buf(l->cfg, text) != CFG_SUCCESS && l->errors == 0)
		mistake(l, 0, NULL, "cannot be parsed");
	free(text);
}

/* What no option can tell alone. */
static void check_together(struct loader *l)
{
	long shortest = cfg_getint(l->cfg, "username_min_length");
	long longest = cfg_getint(l->cfg, "username_max_length");

	if (*cfg_getstr(l->cfg, "mail_domain") == '\0')
		mistake(l, line_of(l, "mail_domain"), "mail_domain",
		    "missing; write below [params]: mail_domain = chat.example.org");
	if (shortest > longest) {
		unsigned line = line_of(l, "username_max_length");

		mistake(l, line ? line : line_of(l, "username_min_length"),
		    "username_max_length",
		    "%ld is below username_min_length; write username_max_length = %ld",
		    longest, shortest);
	}
}

/* From l->cfg into the fields of struct config. */

static char *copy_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	for (char *c = copy; *c; c++) {
		if (*c == LINE_BREAK)
			*c = '\n';
	}
	return copy;
}

/* The words of text, parted by blanks or line breaks. */
static char **copy_list(const char *text)
{
	static const char parting[] = { ' ', '\t', LINE_BREAK, '\0' };
	size_t n = 0, max = strlen(text) / 2 + 2; /* a word, a blank; the NULL */
	char **list = calloc(max, sizeof(*list));

	if (!list)
		abort();
	for (;;) {
		size_t len;

		text += strspn(text, parting);
		len = strcspn(text, parting);
		if (len == 0)
			return list;
		list[n] = strndup(text, len);
		if (!list[n++])
			abort();
		text += len;
	}
}

static void set_port(
    struct loader *l, const struct config_option *o, struct endpoint *ep)
{
	char text[32];

	if (!find_item(l, o->key))
		return;
	snprintf(text, sizeof(text), "inet:127.0.0.1:%ld", cfg_getint(l->cfg, o->key));
	endpoint_parse(ep, span_of(text));
}

/* An old port key came first in the table: it counts if this key is not in the file. */
static void set_endpoint(
    struct loader *l, const struct config_option *o, struct endpoint *ep)
{
	const char *text = cfg_getstr(l->cfg, o->key);

	if (ep->len > 0 && !find_item(l, o->key))
		return;
	if (ep->len > 0)
		warn(l, line_of(l, o->key), o->key,
		    "it counts, the old port key for the same socket does not; take "
		    "that "
		    "one out");
	if (*text)
		endpoint_parse(ep, span_of(text));
}

static void set_field(struct loader *l, const struct config_option *o)
{
	void *field = (char *)l->config + o->field;

	switch (o->type) {
	case CONFIG_TEXT:
	case CONFIG_TEXTS:
	case CONFIG_FILE:
		*(char **)field = copy_text(cfg_getstr(l->cfg, o->key));
		break;
	case CONFIG_LIST:
		*(char ***)field = copy_list(cfg_getstr(l->cfg, o->key));
		break;
	case CONFIG_INTEGER:
		*(int *)field = (int)cfg_getint(l->cfg, o->key);
		break;
	case CONFIG_BYTES:
	case CONFIG_SIZE:
		*(int64_t *)field = cfg_getint(l->cfg, o->key);
		break;
	case CONFIG_DECIMAL:
		*(double *)field = cfg_getfloat(l->cfg, o->key);
		break;
	case CONFIG_BOOLEAN:
		*(bool *)field = cfg_getbool(l->cfg, o->key);
		break;
	case CONFIG_ENDPOINT:
		set_endpoint(l, o, field);
		break;
	case CONFIG_PORT:
		set_port(l, o, field);
		break;
	case CONFIG_UNUSED:
		break;
	}
}

/* Values that follow from others. */

__attribute__((format(printf, 2, 3))) static void set_text(
    char **field, const char *fmt, ...)
{
	va_list ap;

	free(*field);
	va_start(ap, fmt);
	if (vasprintf(field, fmt, ap) < 0)
		abort();
	va_end(ap);
}

static void derive_domain(struct loader *l)
{
	struct config *c = l->config;

	c->ipv4_relay = config_is_ipv4(c->mail_domain);
	set_text(&c->mail_domain_bare, "%s", c->mail_domain);
	if (c->ipv4_relay)
		set_text(&c->mail_domain, "[%s]", c->mail_domain_bare);
	if (*c->mailboxes_dir == '\0')
		set_text(&c->mailboxes_dir, "/home/vmail/mail/%s", c->mail_domain_bare);
	for (const char *p = c->mail_domain_bare; *p; p++) {
		if (*p >= 'A' && *p <= 'Z') {
			warn(l, line_of(l, "mail_domain"), "mail_domain",
			    "it has capital letters; clients write their addresses in "
			    "small "
			    "ones");
			break;
		}
	}
}

static void derive_iroh(struct loader *l)
{
	struct config *c = l->config;

	if (*c->iroh_relay) {
		c->iroh = IROH_REMOTE;
	} else if (find_item(l, "iroh_relay")) {
		c->iroh = IROH_NONE;
	} else {
		c->iroh = IROH_LOCAL;
		set_text(&c->iroh_relay, "https://%s", c->mail_domain_bare);
	}
}

static void derive_tls(struct loader *l)
{
	struct config *c = l->config;
	char **pair = c->tls_external_cert_and_key;

	if (pair[0]) {
		c->tls_mode = TLS_EXTERNAL;
		if (!pair[1] || pair[2] || config_check_path(pair[0]) ||
		    config_check_path(pair[1])) {
			mistake(l, line_of(l, "tls_external_cert_and_key"),
			    "tls_external_cert_and_key",
			    "must have two space-separated paths: CERT_PATH KEY_PATH");
			return;
		}
		set_text(&c->tls_cert_path, "%s", pair[0]);
		set_text(&c->tls_key_path, "%s", pair[1]);
	} else if (c->ipv4_relay || c->mail_domain[0] == '_') {
		c->tls_mode = TLS_SELF;
		set_text(&c->tls_cert_path, "/etc/ssl/certs/mailserver.pem");
		set_text(&c->tls_key_path, "/etc/ssl/private/mailserver.key");
	} else {
		const char *live = "/var/lib/acme/live";

		c->tls_mode = TLS_ACME;
		set_text(&c->tls_cert_path, "%s/%s/fullchain", live, c->mail_domain);
		set_text(&c->tls_key_path, "%s/%s/privkey", live, c->mail_domain);
	}
}

static void warn_passthrough(struct loader *l, const char *key, char *const *list)
{
	for (; *list; list++) {
		if (!strchr(*list, '@'))
			warn(l, line_of(l, key), key,
			    "'%s' is neither an address nor an @domain and has no "
			    "effect",
			    excerpt(*list).text);
	}
}

static void derive_unknown(struct loader *l)
{
	struct config *c = l->config;

	set_text(&c->unknown_keys, "%s", "");
	for (size_t i = 0; i < l->ini.nitems; i++) {
		const struct ini_item *item = &l->ini.item[i];
		char *before = c->unknown_keys;

		if (!span_is(item->section, SECTION) || find_option(item->key))
			continue;
		warn(l, item->line, NULL,
		    "there is no key '%.*s', it has no effect; correct or remove it",
		    (int)(item->key.len < 60 ? item->key.len : 60), item->key.data);
		c->unknown_keys = NULL;
		set_text(&c->unknown_keys, "%s%s%.*s", before, *before ? " " : "",
		    SPAN_ARG(item->key));
		free(before);
	}
}

static struct config *make_config(struct loader *l)
{
	struct config *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	l->config = c;
	set_text(&c->path, "%s", l->path);
	for (size_t i = 0; i < NOPTIONS; i++)
		set_field(l, &options[i]);
	derive_domain(l);
	derive_iroh(l);
	derive_tls(l);
	derive_unknown(l);
	warn_passthrough(l, "passthrough_senders", c->passthrough_senders);
	warn_passthrough(l, "passthrough_recipients", c->passthrough_recipients);
	if (l->errors == 0)
		return c;
	config_free(c);
	return NULL;
}

static bool check_bytes(struct loader *l, struct span text)
{
	size_t at;
	const char *why = config_check_bytes(text, &at);
	unsigned line = 1;

	if (!why)
		return true;
	for (size_t i = 0; i < at; i++)
		line += text.data[i] == '\n';
	mistake(l, line, NULL, "%s", why);
	return false;
}

struct config *config_parse(const char *path, char *text, size_t len, FILE *err)
{
	struct loader l = { .path = path, .err = err };
	struct config *config = NULL;

	if (!check_bytes(&l, span_make(text, len)))
		return NULL;
	if (ini_parse(&l.ini, text, len) < 0) {
		mistake(&l, l.ini.line, NULL, "%s", l.ini.error);
		return NULL;
	}
	parse_options(&l);
	check_together(&l);
	if (l.errors == 0)
		config = make_config(&l);
	cfg_free(l.cfg);
	ini_deinit(&l.ini);
	return config;
}

/* 0, or -1 with errno. */
static int read_file(int fd, char *text, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t n = read(fd, text + *len, size - *len);

		if (n == 0)
			return 0;
		if (n > 0)
			*len += (size_t)n;
		else if (errno != EINTR)
			return -1;
	}
	errno = EFBIG;
	return -1;
}

static void report_file(const char *path, FILE *err)
{
	int error = errno;

	fprintf(err, "%s: %s", path, strerror(error));
	if (error == ENOENT && strcmp(path, CONFIG_PATH) == 0)
		fprintf(err, "; there is no %s either", CONFIG_PATH_PYTHON);
	fputc('\n', err);
}

struct config *config_load(const char *path, FILE *err)
{
	/* Not to hang on a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct config *config = NULL;
	size_t len;
	char *text;

	if (fd < 0) {
		report_file(path, err);
		return NULL;
	}
	text = malloc(CONFIG_FILE_MAX + 1);
	if (!text)
		abort();
	if (read_file(fd, text, CONFIG_FILE_MAX + 1, &len) < 0) {
		report_file(path, err);
	} else {
		text[len] = '\0';
		config = config_parse(path, text, len, err);
	}
	close(fd);
	free(text);
	return config;
}

static void free_list(char **list)
{
	for (char **item = list; item && *item; item++)
		free(*item);
	free(list);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < NOPTIONS; i++) {
		const struct config_option *o = &options[i];

		if (o->type == CONFIG_TEXT || o->type == CONFIG_TEXTS ||
		    o->type == CONFIG_FILE)
			free(*(char **)((char *)c + o->field));
		else if (o->type == CONFIG_LIST)
			free_list(*(char ***)((char *)c + o->field));
	}
	free(c->path);
	free(c->mail_domain_bare);
	free(c->tls_cert_path);
	free(c->tls_key_path);
	free(c->unknown_keys);
	free(c);
}

const char *config_default_path(void)
{
	if (access(CONFIG_PATH, F_OK) != 0 && access(CONFIG_PATH_PYTHON, F_OK) == 0)
		return CONFIG_PATH_PYTHON;
	return CONFIG_PATH;
}

const struct config_option *config_options(size_t *n)
{
	*n = NOPTIONS;
	return options;
}

const char *config_type_name(enum config_type type)
{
	switch (type) {
	case CONFIG_TEXT:
		return "text";
	case CONFIG_TEXTS:
		return "text, several lines";
	case CONFIG_FILE:
		return "path";
	case CONFIG_LIST:
		return "list";
	case CONFIG_INTEGER:
		return "integer";
	case CONFIG_BYTES:
		return "bytes";
	case CONFIG_SIZE:
		return "size";
	case CONFIG_DECIMAL:
		return "decimal";
	case CONFIG_BOOLEAN:
		return "boolean";
	case CONFIG_ENDPOINT:
		return "socket";
	case CONFIG_PORT:
		return "port";
	case CONFIG_UNUSED:
		break;
	}
	return "not used";
}
