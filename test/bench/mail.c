#include "test/bench/mail.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PKESK_BODY    94
#define LINE_BYTES    48 /* 64 characters of base64 */
#define PARTIAL_BYTES (512 * 1024)
#define PARTIAL_OCTET (224 + 19) /* 2^19 bytes, RFC 9580 section 4.2.1.4 */
#define HEADER_ROOM   2048

/* Noise, the same in every run. */
static void fill(unsigned char *p, size_t len)
{
	uint64_t x = 88172645463325252;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (unsigned char)x;
	}
}

/* One PKESK, then one SEIPD of about size bytes: large ones in partial lengths, as real
 * clients frame them. */
static unsigned char *make_packets(size_t size, size_t *len)
{
	unsigned char *buf = malloc(size + size / PARTIAL_BYTES + PKESK_BODY + 32),
		      *p = buf;
	size_t left = size;

	if (!buf)
		abort();
	*p++ = 0xc1;
	*p++ = PKESK_BODY;
	fill(p, PKESK_BODY);
	p += PKESK_BODY;
	*p++ = 0xd2;
	for (; left > PARTIAL_BYTES; left -= PARTIAL_BYTES) {
		*p++ = PARTIAL_OCTET;
		fill(p, PARTIAL_BYTES);
		p += PARTIAL_BYTES;
	}
	*p++ = 255;
	for (int shift = 24; shift >= 0; shift -= 8)
		*p++ = (unsigned char)(left >> shift);
	fill(p, left);
	*len = (size_t)(p - buf) + left;
	return buf;
}

char *mail_make(const char *from, size_t size, size_t *len)
{
	size_t n;
	unsigned char *packets = make_packets(size / 66 * LINE_BYTES, &n);
	char *text = malloc(n / LINE_BYTES * 66 + 66 + HEADER_ROOM), *p = text;

	if (!text)
		abort();
	p += sprintf(p,
	    "From: <%s>\r\nTo: \"hidden-recipients\": ;\r\nSubject: [...]\r\n"
	    "Date: Mon, 03 Aug 2026 10:00:00 +0000\r\nMessage-ID: <1234@localhost>\r\n"
	    "Chat-Version: 1.0\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: multipart/encrypted; "
	    "protocol=\"application/pgp-encrypted\";\r\n"
	    "\tboundary=\"18a5c2d0b2a3f4c1\"\r\n\r\n\r\n"
	    "--18a5c2d0b2a3f4c1\r\n"
	    "Content-Type: application/pgp-encrypted; charset=\"utf-8\"\r\n"
	    "Content-Description: PGP/MIME version identification\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n\r\nVersion: 1\r\n\r\n"
	    "--18a5c2d0b2a3f4c1\r\n"
	    "Content-Type: application/octet-stream; name=\"encrypted.asc\"; "
	    "charset=\"utf-8\"\r\n"
	    "Content-Disposition: inline; filename=\"encrypted.asc\"\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n\r\n"
	    "-----BEGIN PGP MESSAGE-----\r\n\r\n",
	    from);
	for (size_t at = 0; at < n; at += LINE_BYTES) {
		int chunk = n - at < LINE_BYTES ? (int)(n - at) : LINE_BYTES;

		p += EVP_EncodeBlock((unsigned char *)p, packets + at, chunk);
		*p++ = '\r';
		*p++ = '\n';
	}
	p += sprintf(p, "=njUN\r\n-----END PGP MESSAGE-----\r\n\r\n"
			"--18a5c2d0b2a3f4c1--\r\n.\r\n");
	free(packets);
	*len = (size_t)(p - text);
	return text;
}
