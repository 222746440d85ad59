/*
 * Messages to try a relay with, as text with CRLF line ends; free() them. They also carry what
 * a careless client tells of itself, and a relay takes off. Nobody can decrypt them, there
 * being nothing in them.
 */
#ifndef DEPLOY_MAIL_H
#define DEPLOY_MAIL_H

#include <stddef.h>

/* What no recipient shall see. */
#define MAIL_CLIENT  "telltale"
#define MAIL_ADDRESS "198.51.100.7" /* RFC 5737 */

struct mail {
	const char *from, *to; /* header fields */
	const char *subject;
	const char *marker; /* in Message-ID, so that one finds it again */
};

/* One PGP/MIME message with about bytes bytes of what looks like cipher text. */
char *mail_encrypted(const struct mail *m, size_t bytes, size_t *len);

/* The same, but with clear text behind the last packet, where encryption ends. */
char *mail_half_encrypted(const struct mail *m, size_t bytes, size_t *len);

/* Plain text. */
char *mail_clear(const struct mail *m, size_t *len);

#endif
