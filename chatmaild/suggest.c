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

/* "dclogin:EMAIL?p=PASSWORD&v=1[&ih=IP&sh=IP]&ic=3" */
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
	stpcpy(end, "&ic=3");
	value = json_string(url);
	free(url);
	return value;
}

char *suggest_account(const struct config *config)
{
	const size_t local_len = (size_t)config->username_max_length;
	const size_t password_len = (size_t)config->password_min_length + SPARE;
	char *email = malloc(local_len + strlen(config->mail_domain) + 2);
	char *password = malloc(password_len + 1);
	char printable['~' - '!' + 1];
	char *text = NULL, *line;
	json_t *object = json_object();

	if (!email || !password || !object)
		abort();
	for (size_t i = 0; i < sizeof(printable); i++)
		printable[i] = (char)('!' + i);
	if (!random_text(email, local_len, LOCAL_LETTERS, sizeof(LOCAL_LETTERS) - 1) ||
	    !random_text(password, password_len, printable, sizeof(printable)))
		goto out;
	stpcpy(stpcpy(email + local_len, "@"), config->mail_domain);
	json_object_set_new(object, "email", json_string(email));
	json_object_set_new(object, "password", json_string(password));
	if (config->tls_mode == TLS_SELF)
		json_object_set_new(
		    object, "dclogin_url", dclogin_url(config, email, password));
	line = json_dumps(object, 0);
	if (line && asprintf(&text, "%s\n", line) < 0)
		text = NULL;
	free(line);
out:
	json_decref(object);
	free(password);
	free(email);
	return text;
}
