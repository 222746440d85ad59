/*
 * Content-Transfer-Encoding taken off a stream, RFC 2045 section 6. Strict: what a
 * lenient decoder would repair or skip is refused, so that every reader gets the same
 * bytes.
 */
#ifndef MILTER_TRANSFER_H
#define MILTER_TRANSFER_H

#include "proto/span.h"

enum transfer_encoding {
	TRANSFER_IDENTITY, /* 7bit, 8bit, binary */
	TRANSFER_BASE64,
	TRANSFER_QUOTED_PRINTABLE,
};

/* By the value of the field; data NULL (no field) means 7bit. False if unknown. */
bool transfer_by_name(enum transfer_encoding *encoding, struct span value);

struct transfer {
	enum transfer_encoding encoding;
	int state;          /* transfer.c's own */
	unsigned bits;      /* decoded, not yet a whole octet */
	unsigned phase;     /* base64: characters of the quad that were read */
	unsigned char last; /* octet fed before this one */
	char out[256];
};

void transfer_init(struct transfer *t, enum transfer_encoding encoding);

/*
 * Decode some of in, which is shortened by what was used; call until it is empty. out
 * gets what came of it (maybe nothing), borrowed from in or from t until the next call.
 * Returns NULL, or why the text is refused, a literal; out then is what came before.
 */
const char *transfer_feed(struct transfer *t, struct span *in, struct span *out);

/* After the last byte: NULL, or why the text must not end here. */
const char *transfer_end(const struct transfer *t);

/* Value of a base64 character, RFC 4648 section 4, or -1. */
int base64_value(unsigned char c);

#endif
