/* See sample_mail.h. */
#include "test/flow/sample_mail.h"

#include <stdint.h>

#define PACKET_HEAD     6  /* bytes: tag, five-octet length */
#define GROUPS_PER_LINE 16 /* of four base64 characters */

static void add(struct evbuffer *b, const char *text)
{
	evbuffer_add(b, text, strlen(text));
}

static void add_base64_group(struct evbuffer *b, const uint8_t in[3])
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
	char out[4];

	for (int i = 0; i < 4; i++)
		out[i] = alphabet[bits >> (18 - 6 * i) & 63];
	evbuffer_add(b, out, sizeof(out));
}

/* One SEIPD packet, new format, 3 * groups bytes in all (RFC 9580 section 4.2.1). */
static void add_packet(struct evbuffer *b, size_t groups)
{
	uint32_t len = (uint32_t)(3 * groups - PACKET_HEAD);
	const uint8_t head[PACKET_HEAD] = { 0xd2, 0xff, (uint8_t)(len >> 24),
		(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };
	static const uint8_t zeros[3];

	for (size_t i = 0; i < groups; i++) {
		add_base64_group(b, i < PACKET_HEAD / 3 ? head + 3 * i : zeros);
		if (i % GROUPS_PER_LINE == GROUPS_PER_LINE - 1 || i == groups - 1)
			add(b, "\r\n");
	}
}

static void add_encrypted(struct evbuffer *b, const char *from, size_t groups)
{
	evbuffer_add_printf(b,
	    "From: <%s>\r\nSubject: [...]\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: multipart/encrypted;\r\n"
	    " protocol=\"application/pgp-encrypted\"; boundary=\"b0undary\"\r\n\r\n",
	    from);
	add(b, "--b0undary\r\nContent-Type: application/pgp-encrypted\r\n\r\n"
	       "Version: 1\r\n--b0undary\r\n"
	       "Content-Type: application/octet-stream\r\n\r\n"
	       "-----BEGIN PGP MESSAGE-----\r\n\r\n");
	add_packet(b, groups);
	add(b, "-----END PGP MESSAGE-----\r\n\r\n--b0undary--\r\n");
}

/* Blank lines behind the last boundary may be as many as it takes. */
static void pad(struct evbuffer *b, size_t size)
{
	size_t len = evbuffer_get_length(b);

	for (; len + 4 <= size; len += 2)
		add(b, "\r\n");
	if (len < size)
		add(b, size - len == 3 ? " \r\n" : "\r\n");
}

struct evbuffer *sample_encrypted(const char *from, size_t size)
{
	struct evbuffer *b = evbuffer_new();
	size_t least, lines = 0;

	add_encrypted(b, from, GROUPS_PER_LINE);
	least = evbuffer_get_length(b);
	if (size > least)
		lines = (size - least - 1) / (4 * GROUPS_PER_LINE + 2);
	if (lines > 0) {
		evbuffer_drain(b, least);
		add_encrypted(b, from, (lines + 1) * GROUPS_PER_LINE);
	}
	pad(b, size);
	return b;
}

struct evbuffer *sample_cleartext(const char *from, size_t size)
{
	struct evbuffer *b = evbuffer_new();

	evbuffer_add_printf(b, "From: <%s>\r\nSubject: caf\xc3\xa9\r\n\r\n", from);
	while (evbuffer_get_length(b) + 80 < size)
		add(b, "..line of text that was stuffed, then some more of it\r\n");
	pad(b, size);
	return b;
}

struct span sample_span(struct evbuffer *b)
{
	size_t len = evbuffer_get_length(b);

	return span_make((const char *)evbuffer_pullup(b, -1), len);
}
