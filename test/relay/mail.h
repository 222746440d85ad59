/* Messages for tests, as open_memstream text with CRLF line ends; free() them. */
#ifndef TEST_RELAY_MAIL_H
#define TEST_RELAY_MAIL_H

#include <stddef.h>

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
