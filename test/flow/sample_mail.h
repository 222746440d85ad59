/* Mails for tests of the filter, made to measure: as on the wire, without the final
 * dot. */
#ifndef TEST_FLOW_SAMPLE_MAIL_H
#define TEST_FLOW_SAMPLE_MAIL_H

#include <event2/buffer.h>

#include "proto/span.h"

/*
 * PGP/MIME as RFC 3156 has it, from this address; its armor holds one SEIPD packet of
 * zeros. The mail is size bytes long, or as long as it must be if that is more.
 */
struct evbuffer *sample_encrypted(const char *from, size_t size);

/* text/plain, of size bytes, each line starting with a stuffed dot. */
struct evbuffer *sample_cleartext(const char *from, size_t size);

/* The whole of b, contiguous; valid until b changes. */
struct span sample_span(struct evbuffer *b);

#endif
