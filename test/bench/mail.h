/* Mail to measure with: PGP/MIME (RFC 3156) as a chat client sends it, its packets
 * framed right and filled with noise. */
#ifndef TEST_BENCH_MAIL_H
#define TEST_BENCH_MAIL_H

#include <stddef.h>

/*
 * A message from from of about size bytes (at least 2,000), ready for DATA: CRLF lines,
 * nothing to stuff, the final dot included. Owned by the caller; *len gets its length.
 */
char *mail_make(const char *from, size_t size, size_t *len);

#endif
