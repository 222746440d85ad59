#include "deploy/mail.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARMOR_LINE 48 /* bytes, 64 characters */

/* Now, as header fields have it, RFC 5322 section 3.3; without a locale's names. */
static void format_date(char date[64])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	snprintf(date, 64, "%.3s, %d %.3s %d %02d:%02d:%02d +0000",
	    days + (ptrdiff_t)3 * tm.tm_wday, tm.tm_mday,
	    months + (ptrdiff_t)3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
	    tm.tm_sec);
}

/* What a client adds and nobody else shall see is in here too. */
static void write_header(FILE *out, const struct mail *m)
{
	char date[64];

	format_date(date);
	fprintf(out,
	    "Received: from phone.example ([" MAIL_ADDRESS
	    "]) by nowhere.example; %s\r\n"
	    "From: %s\r\n"
	    "To: %s\r\n"
	    "Subject: %s\r\n"
	    "Date: %s\r\n"
	    "Message-ID: <%s@client.example>\r\n"
	    "User-Agent: " MAIL_CLIENT "/1.0\r\n"
	    "X-Mailer: " MAIL_CLIENT "\r\n"
	    "X-Originating-IP: " MAIL_ADDRESS "\r\n"
	    "MIME-Version: 1.0\r\n",
	    date, m->from, m->to, m->subject, date, m->marker);
}

/*
 * RFC 9580: a version 3 public-key encrypted session key (tag 1) for nobody, then
 * version 1 encrypted data (tag 18) up to the end. Returns the whole length.
 */
static size_t make_packets(unsigned char **packets, size_t bytes)
{
	static const unsigned char pkesk[] = { 0xc1, 12, 3, 0, 0, 0, 0, 0, 0, 0, 0, 18,
		0, 0 };
	size_t body = bytes + 1, len = sizeof(pkesk) + 6 + body;
	unsigned char *p = malloc(len);
	const unsigned char seipd[] = { 0xd2, 0xff, (unsigned char)(body >> 24),
		(unsigned char)(body >> 16), (unsigned char)(body >> 8),
		(unsigned char)body, 1 };

	if (!p)
		abort();
	memcpy(p, pkesk, sizeof(pkesk));
	memcpy(p + sizeof(pkesk), seipd, sizeof(seipd));
	for (size_t i = sizeof(pkesk) + sizeof(seipd); i < len; i++)
		p[i] = (unsigned char)(i * 2654435761u >> 16);
	*packets = p;
	return len;
}

static void write_armor(FILE *out, size_t bytes)
{
	unsigned char *packets, line[ARMOR_LINE / 3 * 4 + 1];
	size_t len = make_packets(&packets, bytes);

	fputs("-----BEGIN PGP MESSAGE-----\r\n\r\n", out);
	for (size_t at = 0; at < len; at += ARMOR_LINE) {
		size_t n = len - at < ARMOR_LINE ? len - at : ARMOR_LINE;

		EVP_EncodeBlock(line, packets + at, (int)n);
		fprintf(out, "%s\r\n", (char *)line);
	}
	fputs("-----END PGP MESSAGE-----\r\n", out);
	free(packets);
}

static char *write_mail(const struct mail *m, size_t bytes, bool whole, size_t *len)
{
	char *text;
	FILE *out = open_memstream(&text, len);

	write_header(out, m);
	fputs(
	    "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";"
	    " boundary=\"b\"\r\n"
	    "\r\n"
	    "--b\r\n"
	    "Content-Type: application/pgp-encrypted\r\n"
	    "\r\n"
	    "Version: 1\r\n"
	    "\r\n"
	    "--b\r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "\r\n",
	    out);
	write_armor(out, bytes);
	if (!whole)
		fputs("and in clear text\r\n", out);
	fputs("\r\n--b--\r\n", out);
	fclose(out);
	return text;
}

char *mail_encrypted(const struct mail *m, size_t bytes, size_t *len)
{
	return write_mail(m, bytes, true, len);
}

char *mail_half_encrypted(const struct mail *m, size_t bytes, size_t *len)
{
	return write_mail(m, bytes, false, len);
}

char *mail_clear(const struct mail *m, size_t *len)
{
	char *text;
	FILE *out = open_memstream(&text, len);

	write_header(out, m);
	fputs("Content-Type: text/plain\r\n\r\nhello\r\n", out);
	fclose(out);
	return text;
}
