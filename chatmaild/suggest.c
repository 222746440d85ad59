/*
 * Letters by rejection, so that each is equally likely.
 */
#include "chatmaild/suggest.h"

#include <jansson.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789"
#define SPARE         3 /* characters of a password beyond the shortest that is allowed */
#define RANDOM_BATCH  64

/* Needs no escape in a URL (RFC 3986, section 2.3). */
#define UNRESERVED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

/* n letters out of the first nletters beginning at letters, NUL-terminated. */
static bool random_text(char *out, size_t n, const char *letters, unsigned nletters)
{
	const unsigned fair = 256 / nletters * nletters;
	unsigned char bytes[RANDOM_BATCH];
	size_t left = 0;

	for (size_t i = 0; i < n;) {
		if (left == 0) {
			if (RAND_bytes(bytes, sizeof(bytes)) != 1)
				return false;
			left = sizeof(bytes);
		}
		left--;
		if (bytes[left] < fair)
			out[i++] = letters[bytes[left] % nletters];
	}
	out[n] = '\0';
	return true;
}

/* Append text to a URL, escaped but for UNRESERVED and what also stays as it is. */
static char *put_escaped(char *to, const char *text, const char *also)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr(UNRESERVED, c) || strchr(also, c)) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	*to = '\0';
	return to;
}

/* "dclogin:EMAIL?p=PASSWORD&v=1[&ih=IP&sh=IP][&ic=3]" */
static json_t *dclogin_url(
    const struct config *config, const char *email, const char *password)
{
	const char *host = config->mail_domain_bare;
	char *url =
	    malloc(64 + 3 * (strlen(email) + strlen(password)) + 2 * strlen(host));
	json_t *value;
	char *end;

	if (!url)
		abort();
	end = put_escaped(stpcpy(url, "dclogin:"), email, "@[]");
	end = put_escaped(stpcpy(end, "?p="), password, "");
	end = stpcpy(end, "&v=1");
	if (config->ipv4_relay) {
		end = stpcpy(stpcpy(end, "&ih="), host);
		end = stpcpy(stpcpy(end, "&sh="), host);
	}
	if (config->tls_mode == TLS_SELF)
		stpcpy(end, "&ic=3");
	value = json_string(url);
	free(url);
	return value;
}

/* NULL if there is no randomness. */
static json_t *suggest(const struct config *config, struct span invite, bool with_url)
{
	const size_t local_len = (size_t)config->username_max_length;
	const size_t password_len = (size_t)config->password_min_length + SPARE;
	char *email = malloc(local_len + strlen(config->mail_domain) + 2);
	char *password = malloc(invite.len + password_len + 1);
	char printable['~' - '!' + 1];
	json_t *object = NULL;

	if (!email || !password)
		abort();
	for (size_t i = 0; i < sizeof(printable); i++)
		printable[i] = (char)('!' + i);
	if (invite.len)
		memcpy(password, invite.data, invite.len);
	if (!random_text(email, local_len, LOCAL_LETTERS, sizeof(LOCAL_LETTERS) - 1) ||
	    !random_text(
		password + invite.len, password_len, printable, sizeof(printable)))
		goto out;
	stpcpy(stpcpy(email + local_len, "@"), config->mail_domain);
	object = json_pack("{s:s, s:s}", "email", email, "password", password);
	if (with_url)
		json_object_set_new(
		    object, "dclogin_url", dclogin_url(config, email, password));
out:
	free(password);
	free(email);
	return object;
}

json_t *suggest_login(const struct config *config, struct span invite)
{
	return suggest(config, invite, true);
}

char *suggest_account(const struct config *config, struct span invite)
{
	json_t *object = suggest(config, invite, config->tls_mode == TLS_SELF);
	char *text = NULL, *line;

	if (!object)
		return NULL;
	line = json_dumps(object, 0);
	if (line && asprintf(&text, "%s\n", line) < 0)
		text = NULL;
	free(line);
	json_decref(object);
	return text;
}
