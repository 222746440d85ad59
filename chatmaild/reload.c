/* The config, read at start and by SIGHUP. */
#include "chatmaild/reload.h"

#include <stdlib.h>
#include <string.h>

#include "chatmaild/log.h"

/* What is bound to sockets, directories or the database from the start on. */
enum kind {
	TEXT,
	ENDPOINT,
};
static const struct fixed_key {
	const char *key;
	enum kind kind;
	size_t offset;
} fixed_keys[] = {
	{ "mail_domain", TEXT, offsetof(struct config, mail_domain) },
	{ "mailboxes_dir", TEXT, offsetof(struct config, mailboxes_dir) },
	{ "state_dir", TEXT, offsetof(struct config, state_dir) },
	{ "mail_user", TEXT, offsetof(struct config, mail_user) },
	{ "auth_socket", ENDPOINT, offsetof(struct config, auth_socket) },
	{ "metadata_socket", ENDPOINT, offsetof(struct config, metadata_socket) },
	{ "lastlogin_socket", ENDPOINT, offsetof(struct config, lastlogin_socket) },
	{ "http_socket", ENDPOINT, offsetof(struct config, http_socket) },
	{ "admin_socket", ENDPOINT, offsetof(struct config, admin_socket) },
	{ "filter_outgoing_socket", ENDPOINT,
	    offsetof(struct config, filter_outgoing_socket) },
	{ "filter_incoming_socket", ENDPOINT,
	    offsetof(struct config, filter_incoming_socket) },
	{ "metrics_address", ENDPOINT, offsetof(struct config, metrics_address) },
};

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void swap_text(char **a, char **b)
{
	char *t = *a;

	*a = *b;
	*b = t;
}

/* True if the two differed; fresh has old's value then. */
static bool keep(const struct fixed_key *key, struct config *fresh, struct config *old)
{
	void *new_field = (char *)fresh + key->offset;
	void *old_field = (char *)old + key->offset;

	if (key->kind == TEXT) {
		char **a = new_field, **b = old_field;

		if (same_text(*a, *b))
			return false;
		swap_text(a, b);
	} else {
		struct endpoint *a = new_field;
		const struct endpoint *b = old_field;

		if (a->len == b->len && strcmp(a->text, b->text) == 0)
			return false;
		*a = *b;
	}
	return true;
}

size_t reload_keep_fixed(
    struct config *fresh, struct config *old, char *changed, size_t size)
{
	size_t used = 0, n = 0;

	changed[0] = '\0';
	for (size_t i = 0; i < sizeof(fixed_keys) / sizeof(fixed_keys[0]); i++) {
		if (!keep(&fixed_keys[i], fresh, old))
			continue;
		if (used < size)
			used += (size_t)snprintf(changed + used, size - used, "%s%s",
			    n ? " " : "", fixed_keys[i].key);
		n++;
	}
	/* These two are mail_domain in other words. */
	if (!same_text(fresh->mail_domain_bare, old->mail_domain_bare))
		swap_text(&fresh->mail_domain_bare, &old->mail_domain_bare);
	fresh->ipv4_relay = old->ipv4_relay;
	return n;
}

/* "PATH:LINE: warning: ..." or "PATH:LINE: ...", an error: the log's level says which. */
static void log_line(struct span line)
{
	static const char mark[] = ": warning: ";
	const char *at = memmem(line.data, line.len, mark, strlen(mark));
	struct span place;

	if (!at) {
		log_error("%.*s", SPAN_ARG(line));
		return;
	}
	place = span_make(line.data, (size_t)(at - line.data) + 2);
	line = span_skip(line, place.len + strlen(mark) - 2);
	log_warning("%.*s%.*s", SPAN_ARG(place), SPAN_ARG(line));
}

static void log_lines(const char *text)
{
	struct span rest = span_of(text), line;

	while (span_cut(&rest, '\n', &line))
		if (line.len > 0)
			log_line(line);
}

struct config *reload_read(const char *path)
{
	char *text = NULL;
	size_t len;
	FILE *lines = open_memstream(&text, &len);
	struct config *config;

	if (!lines)
		abort();
	config = config_load(path, lines);
	if (fclose(lines) != 0)
		abort();
	log_lines(text);
	free(text);
	return config;
}
