/*
 * Values that stand bare in files of other programs, where a blank, a ";" or a "$" would
 * begin something else.
 */
#include "deploy/context_check.h"

#include <stdio.h>
#include <stdlib.h>

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define PLAIN ALNUM "._-+@/[]"

/* Letters of other languages too: the config is UTF-8. */
static bool is_plain(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x80 && !strchr(PLAIN, *text))
			return false;
	}
	return true;
}

static bool check_path(const char *key, const char *path, char *error, size_t size)
{
	if (is_plain(path))
		return true;
	snprintf(error, size,
	    "%s: not every program that reads the path %.200s understands it; write "
	    "one of "
	    "letters, digits and . _ - + @ [ ]",
	    key, path);
	return false;
}

bool context_check(const struct config *c, char *error, size_t size)
{
	const struct {
		const char *key, *path;
	} paths[] = {
		{ "tls_external_cert_and_key", c->tls_cert_path },
		{ "tls_external_cert_and_key", c->tls_key_path },
		{ "mailboxes_dir", c->mailboxes_dir },
		{ "auth_socket", endpoint_path(&c->auth_socket) },
		{ "metadata_socket", endpoint_path(&c->metadata_socket) },
		{ "lastlogin_socket", endpoint_path(&c->lastlogin_socket) },
		{ "http_socket", endpoint_path(&c->http_socket) },
		{ "filter_outgoing_socket", endpoint_path(&c->filter_outgoing_socket) },
		{ "filter_incoming_socket", endpoint_path(&c->filter_incoming_socket) },
		{ "reinject_outgoing", endpoint_path(&c->reinject_outgoing) },
		{ "reinject_incoming", endpoint_path(&c->reinject_incoming) },
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (paths[i].path &&
		    !check_path(paths[i].key, paths[i].path, error, size))
			return false;
	}
	return true;
}

/* How long the mail address is that text begins with; 0: it begins with none. */
static size_t address_length(const char *text)
{
	size_t name = strspn(text, ALNUM "._+-"), len;

	if (text[name] != '@')
		return 0;
	len = name + 1 + strspn(text + name + 1, ALNUM ".-");
	/* The full stop of a sentence is no part of it. */
	while (strchr(".-", text[len - 1]))
		len--;
	return len > name + 1 ? len : 0;
}

char *context_contact(const char *text)
{
	size_t len = 0;
	char *address;

	for (text += strcspn(text, ALNUM); *text; text += strcspn(text, ALNUM)) {
		len = address_length(text);
		if (len > 0)
			break;
		text += strspn(text, ALNUM "._+-");
	}
	address = span_dup(span_make(text, len));
	if (!address)
		abort();
	return address;
}
