#include "deploy/dns_server.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>

#include "deploy/context.h"
#include "deploy/quote.h"

#define URL_MAX 512  /* bytes */
#define KEY_MAX 4096 /* letters of base64: RSA keys of 16384 bits have 2800 */

/* A key of less than 1024 bits is not to be used: RFC 8301 section 3.2. */
#define KEY_DER_MIN 160

char *dns_server_script(void)
{
	const struct host_variable *v;
	const char *key_file = NULL;
	struct text t = { 0 };
	size_t n;

	v = host_variables(&n);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].name, "dkim_key_file") == 0)
			key_file = v[i].fallback;
	}
	/* What acmetool says has no end of line. */
	text_add(&t, "{ ip -4 -o address show scope global\n"
		     "  ip -6 -o address show scope global -deprecated -temporary\n"
		     "} | awk '{ print \"address\", $4 }'\n"
		     "if command -v acmetool >/dev/null; then\n"
		     "	! url=$(acmetool account-url 2>/dev/null) ||\n"
		     "		printf 'acme %s\\n' \"$url\"\n"
		     "fi\n");
	quote_command(&t,
	    "if [ -s %s ]; then\n"
	    "	printf 'dkim '\n"
	    "	openssl pkey -in %s -pubout -outform DER 2>/dev/null | base64 -w 0\n"
	    "	echo\n"
	    "fi\n",
	    key_file, key_file);
	return text_take(&t);
}

static bool is_public_v4(uint32_t a)
{
	return a >> 24 != 10 && a >> 24 != 127 && a >> 20 != 0xac1 &&
	       a >> 16 != 0xc0a8 && a >> 16 != 0xa9fe && a >> 22 != 0x64400000 >> 22;
}

static void forget(char **list, size_t *n)
{
	while (*n > 0)
		free(list[--*n]);
}

/* Private addresses give way to the first public one, and are passed over after it. */
static void add_address(
    char **list, size_t *n, bool *private, const char *text, bool public)
{
	if (*n > 0 && *private && public)
		forget(list, n);
	if (*n > 0 && !*private && !public)
		return;
	*private = !public;
	for (size_t i = 0; i < *n; i++) {
		if (strcmp(list[i], text) == 0)
			return;
	}
	if (*n < DNS_ADDRESSES_MAX)
		list[(*n)++] = strdup(text);
}

/* value: "192.0.2.1/24", or without the prefix length. */
static void read_address(struct dns_server *s, struct span value, bool ipv6)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;
	struct span address;

	if (!span_cut(&value, '/', &address) || address.len >= sizeof(text))
		return;
	memcpy(text, address.data, address.len);
	text[address.len] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		add_address(s->v4, &s->nv4, &s->v4_private, text,
		    is_public_v4(ntohl(v4.s_addr)));
	} else if (ipv6 && inet_pton(AF_INET6, text, &v6) == 1) {
		/* In its one form: RFC 5952. */
		inet_ntop(AF_INET6, &v6, text, sizeof(text));
		add_address(s->v6, &s->nv6, &s->v6_private, text,
		    v6.s6_addr[0] >> 5 == 1); /* 2000::/3 */
	}
}

/* It becomes part of a quoted string in a zone file, and of a CAA record's parameters. */
static bool is_account(struct span url)
{
	if (url.len > URL_MAX || !span_starts(url, "https://"))
		return false;
	for (size_t i = 0; i < url.len; i++) {
		if ((unsigned char)url.data[i] <= ' ' ||
		    (unsigned char)url.data[i] >= 0x7f ||
		    memchr("\"\\;,()", url.data[i], 6))
			return false;
	}
	return true;
}

static int base64_value(char c)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(letters, c) : NULL;

	return at ? (int)(at - letters) : -1;
}

/*
 * A whole DER sequence of a plausible length (X.690 section 8.1.3), in base64: half a key, or an
 * error message in its place, must not become a record. All SubjectPublicKeyInfo of RSA keys
 * that count have two bytes of length, or one if they have 1024 bits.
 */
static bool is_key(struct span key)
{
	unsigned char head[6] = { 0 };
	size_t pad = 0, der, inner;

	if (key.len < 8 || key.len % 4 != 0 || key.len > KEY_MAX)
		return false;
	while (pad < 2 && key.data[key.len - 1 - pad] == '=')
		pad++;
	der = key.len / 4 * 3 - pad;
	for (size_t i = 0; i < key.len - pad; i++) {
		int value = base64_value(key.data[i]);

		if (value < 0)
			return false;
		for (size_t bit = i * 6; bit < i * 6 + 6 && bit < 48; bit++)
			head[bit / 8] |=
			    (unsigned char)((value >> (5 - (bit - i * 6)) & 1)
					    << (7 - bit % 8));
	}
	if (head[0] != 0x30 || der < KEY_DER_MIN)
		return false;
	if (head[1] == 0x81)
		inner = head[2] + 3u;
	else if (head[1] == 0x82)
		inner = (head[2] << 8 | head[3]) + 4u;
	else
		return false;
	return inner == der;
}

static void read_line(struct dns_server *s, struct span line, bool ipv6)
{
	struct span key, value;

	if (!span_cut(&line, ' ', &key))
		return;
	value = span_trim(line.data ? line : span_of(""));
	if (span_is(key, "address"))
		read_address(s, value, ipv6);
	else if (span_is(key, "acme") && !s->acme_account && is_account(value))
		s->acme_account = span_dup(value);
	else if (span_is(key, "dkim") && !s->dkim_key && is_key(value))
		s->dkim_key = span_dup(value);
}

void dns_server_parse(struct dns_server *s, struct span output, bool ipv6)
{
	struct span line;

	*s = (struct dns_server){ 0 };
	while (span_cut(&output, '\n', &line))
		read_line(s, line, ipv6);
}

void dns_server_deinit(struct dns_server *s)
{
	forget(s->v4, &s->nv4);
	forget(s->v6, &s->nv6);
	free(s->acme_account);
	free(s->dkim_key);
	*s = (struct dns_server){ 0 };
}
