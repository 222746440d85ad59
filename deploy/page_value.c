#include "deploy/page_value.h"

#include <inttypes.h>

#define MIB ((int64_t)1 << 20)

/* "500M", "2G", as in chatmail.ini. */
static void add_size(struct text *to, int64_t mib)
{
	bool whole = mib > 0 && mib % 1024 == 0;

	text_printf(to, "%" PRId64 "%s", whole ? mib / 1024 : mib, whole ? "G" : "M");
}

/*
 * "30 MB", for people. Rounded down, and a MB is taken as a MiB: nobody gets less than
 * what the page promises.
 */
static void add_bytes(struct text *to, int64_t bytes)
{
	if (bytes >= 1024 * MIB && bytes % (1024 * MIB) == 0)
		text_printf(to, "%" PRId64 " GB", bytes / (1024 * MIB));
	else if (bytes >= MIB)
		text_printf(to, "%" PRId64 " MB", bytes / MIB);
	else if (bytes >= 1024)
		text_printf(to, "%" PRId64 " kB", bytes / 1024);
	else
		text_printf(to, "%" PRId64 " bytes", bytes);
}

static void add_boolean(struct text *to, struct page_value *value, bool on)
{
	text_add(to, on ? "True" : "False");
	value->truth = on;
}

static void add_text(struct text *to, struct page_value *value, const char *s)
{
	text_add(to, s);
	value->truth = *s != '\0';
}

static void add_list(struct text *to, struct page_value *value, char *const *list)
{
	value->truth = *list != NULL;
	for (; *list; list++) {
		text_add(to, *list);
		if (list[1])
			text_add(to, " ");
	}
}

static void add_number(struct text *to, struct page_value *value, int64_t n)
{
	text_printf(to, "%" PRId64, n);
	value->truth = n != 0;
}

static void add_word(struct text *to, int n)
{
	static const char *const words[] = { "zero", "one", "two", "three", "four",
		"five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve" };

	if (n >= 0 && (size_t)n < sizeof(words) / sizeof(words[0]))
		text_add(to, words[n]);
	else if (n <= 50)
		text_printf(to, "%d", n);
	else
		text_add(to, "more");
}

static const char *tls_mode_name(enum tls_mode mode)
{
	switch (mode) {
	case TLS_SELF:
		return "self";
	case TLS_EXTERNAL:
		return "external";
	default:
		return "acme";
	}
}

/* A key of chatmail.ini. */
static bool find_option(const struct config *config, struct span key, struct text *text,
    struct page_value *value)
{
	const struct config_option *o;
	const char *field;
	size_t n;

	o = config_options(&n);
	while (n > 0 && !span_is(key, o->key)) {
		o++;
		n--;
	}
	if (n == 0)
		return false;
	field = (const char *)config + o->field;
	switch (o->type) {
	case CONFIG_TEXT:
	case CONFIG_TEXTS:
	case CONFIG_FILE:
		add_text(text, value, *(char *const *)field);
		return true;
	case CONFIG_LIST:
		add_list(text, value, *(char *const *const *)field);
		return true;
	case CONFIG_INTEGER:
		add_number(text, value, *(const int *)field);
		return true;
	case CONFIG_BYTES:
		add_number(text, value, *(const int64_t *)field);
		return true;
	case CONFIG_SIZE:
		add_size(text, *(const int64_t *)field);
		value->truth = true;
		return true;
	case CONFIG_DECIMAL:
		text_printf(text, "%.15g", *(const double *)field);
		value->truth = true;
		return true;
	case CONFIG_BOOLEAN:
		add_boolean(text, value, *(const bool *)field);
		return true;
	case CONFIG_ENDPOINT:
		add_text(text, value, ((const struct endpoint *)field)->text);
		return true;
	default:
		return false; /* stands for a newer key, or for nothing */
	}
}

/* What stands behind "config.". */
static bool find_config(const struct page_scope *scope, struct span key,
    struct text *text, struct page_value *value)
{
	const struct config *c = scope->config;

	if (span_is(key, "mail_domain_bare"))
		add_text(text, value, c->mail_domain_bare);
	else if (span_is(key, "ipv4_relay"))
		add_boolean(text, value, c->ipv4_relay);
	else if (span_is(key, "tls_cert_mode"))
		add_text(text, value, tls_mode_name(c->tls_mode));
	else if (span_is(key, "tls_cert_path"))
		add_text(text, value, c->tls_cert_path);
	else if (span_is(key, "tls_key_path"))
		add_text(text, value, c->tls_key_path);
	else if (span_is(key, "webdev"))
		add_boolean(text, value, scope->webdev);
	else
		return find_option(c, key, text, value);
	return true;
}

static bool add_html(struct text *to, struct page_value *value, const char *html)
{
	if (!html)
		return false;
	add_text(to, value, html);
	value->html = true;
	return true;
}

bool page_value_find(const struct page_scope *scope, struct span name,
    struct text *text, struct page_value *value)
{
	const struct config *c = scope->config;

	*value = (struct page_value){ .truth = true };
	if (span_starts(name, "config."))
		return find_config(
		    scope, span_skip(name, strlen("config.")), text, value);
	if (span_is(name, "pagename"))
		add_text(text, value, scope->pagename);
	else if (span_is(name, "language"))
		add_text(text, value, scope->language);
	else if (span_is(name, "language_suffix"))
		add_text(text, value, scope->language_suffix);
	else if (span_is(name, "language_links"))
		return add_html(text, value, scope->language_links);
	else if (span_is(name, "alternate_links"))
		return add_html(text, value, scope->alternate_links);
	else if (span_is(name, "markdown_html"))
		return add_html(text, value, scope->markdown_html);
	else if (span_is(name, "mailbox_size"))
		add_bytes(text, c->max_mailbox_size * MIB);
	else if (span_is(name, "message_size"))
		add_bytes(text, c->max_message_size);
	else if (span_is(name, "username_min_length"))
		add_word(text, c->username_min_length);
	else if (span_is(name, "username_max_length"))
		add_word(text, c->username_max_length);
	else if (span_is(name, "password_min_length"))
		add_word(text, c->password_min_length);
	else
		return false;
	return true;
}
