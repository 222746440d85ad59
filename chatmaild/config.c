/*
 * From a file to a struct config: read and split here, typed in config_confuse.c, and
 * what follows from the values added at the end.
 */
#include "chatmaild/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chatmaild/config_loader.h"
#include "chatmaild/config_value.h"

void config_vreport(struct config_loader *l, unsigned line, const char *kind,
    const char *key, const char *fmt, va_list ap)
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

void config_mistake(
    struct config_loader *l, unsigned line, const char *key, const char *fmt, ...)
{
	va_list ap;

	if (++l->errors > CONFIG_REPORTS_MAX)
		return;
	va_start(ap, fmt);
	config_vreport(l, line, "", key, fmt, ap);
	va_end(ap);
}

void config_warn(
    struct config_loader *l, unsigned line, const char *key, const char *fmt, ...)
{
	va_list ap;

	if (++l->warnings > CONFIG_REPORTS_MAX)
		return;
	va_start(ap, fmt);
	config_vreport(l, line, "warning: ", key, fmt, ap);
	va_end(ap);
}

struct config_excerpt config_excerpt(const char *value)
{
	struct config_excerpt e;
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

const struct ini_item *config_item(const struct config_loader *l, const char *key)
{
	return ini_find(&l->ini, CONFIG_SECTION, key);
}

unsigned config_line(const struct config_loader *l, const char *key)
{
	const struct ini_item *item = config_item(l, key);

	return item ? item->line : 0;
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

static void derive_domain(struct config_loader *l, struct config *c)
{
	c->ipv4_relay = config_is_ipv4(c->mail_domain);
	set_text(&c->mail_domain_bare, "%s", c->mail_domain);
	if (c->ipv4_relay)
		set_text(&c->mail_domain, "[%s]", c->mail_domain_bare);
	if (*c->mailboxes_dir == '\0')
		set_text(&c->mailboxes_dir, "/home/vmail/mail/%s", c->mail_domain_bare);
	for (const char *p = c->mail_domain_bare; *p; p++) {
		if (*p >= 'A' && *p <= 'Z') {
			config_warn(l, config_line(l, "mail_domain"), "mail_domain",
			    "it has capital letters; clients write their addresses in "
			    "small "
			    "ones");
			break;
		}
	}
}

static void derive_iroh(struct config_loader *l, struct config *c)
{
	if (*c->iroh_relay) {
		c->iroh = IROH_REMOTE;
	} else if (config_item(l, "iroh_relay")) {
		c->iroh = IROH_NONE;
	} else {
		c->iroh = IROH_LOCAL;
		set_text(&c->iroh_relay, "https://%s", c->mail_domain_bare);
	}
}

static void derive_tls(struct config *c)
{
	char **pair = c->tls_external_cert_and_key;

	if (pair[0]) {
		c->tls_mode = TLS_EXTERNAL;
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

static void warn_passthrough(
    struct config_loader *l, const char *key, char *const *list)
{
	unsigned line = config_line(l, key);

	for (; *list; list++) {
		if (!strchr(*list, '@'))
			config_warn(l, line, key,
			    "'%s' is neither an address nor an @domain and has no "
			    "effect",
			    config_excerpt(*list).text);
	}
}

static void derive_unknown(struct config_loader *l, struct config *c)
{
	size_t size;
	FILE *out = open_memstream(&c->unknown_keys, &size);
	const char *blank = "";

	if (!out)
		abort();
	for (size_t i = 0; i < l->ini.nitems; i++) {
		const struct ini_item *item = &l->ini.item[i];
		size_t len = item->key.len < 60 ? item->key.len : 60;

		if (!span_is(item->section, CONFIG_SECTION) ||
		    config_find_option(item->key))
			continue;
		config_warn(l, item->line, NULL,
		    "there is no key '%.*s', it has no effect; correct or remove it",
		    (int)len, item->key.data);
		fprintf(out, "%s%.*s", blank, SPAN_ARG(item->key));
		blank = " ";
	}
	if (fclose(out) != 0)
		abort();
}

static struct config *make_config(struct config_loader *l)
{
	struct config *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	set_text(&c->path, "%s", l->path);
	config_read_options(l, c);
	if (l->errors == 0) {
		derive_domain(l, c);
		c->invites = strcmp(c->registration, "invite") == 0;
		derive_iroh(l, c);
		derive_tls(c);
		derive_unknown(l, c);
		warn_passthrough(l, "passthrough_senders", c->passthrough_senders);
		warn_passthrough(
		    l, "passthrough_recipients", c->passthrough_recipients);
		return c;
	}
	config_free(c);
	return NULL;
}

static bool check_bytes(struct config_loader *l, struct span text)
{
	size_t at;
	const char *why = config_check_bytes(text, &at);
	unsigned line = 1;

	if (!why)
		return true;
	for (size_t i = 0; i < at; i++)
		line += text.data[i] == '\n';
	config_mistake(l, line, NULL, "%s", why);
	return false;
}

struct config *config_parse(const char *path, char *text, size_t len, FILE *err)
{
	struct config_loader l = { .path = path, .err = err };
	struct config *config;

	if (!check_bytes(&l, span_make(text, len)))
		return NULL;
	if (ini_parse(&l.ini, text, len) < 0) {
		config_mistake(&l, l.ini.line, NULL, "%s", l.ini.error);
		return NULL;
	}
	config = make_config(&l);
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
	const struct config_option *options;
	size_t n;

	if (!c)
		return;
	options = config_options(&n);
	for (size_t i = 0; i < n; i++) {
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
