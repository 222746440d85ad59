/*
 * The header block of a mail: split into fields by us. The only module that sees GMime,
 * which gets single bounded values and never the block: nested groups in an address
 * field overflow its stack at about 128 kB. RFC 5322 section 2.2.
 *
 * Strict on purpose: whatever two parsers read differently - a bare CR or LF, NUL, a
 * line that is neither field nor continuation, a blank before the colon (RFC 5322
 * section 4.5 calls it obsolete), a continuation of blanks only - is no header block at
 * all.
 */
#ifndef MILTER_HEADER_H
#define MILTER_HEADER_H

#include "proto/span.h"

#define HEADER_MAX         (64 * 1024) /* bytes of a header block, the blank line included */
#define HEADER_FIELDS_MAX  1000
#define HEADER_ADDRESS_MAX 2048 /* bytes of a From value; longer is refused */
#define HEADER_TYPE_MAX    2048 /* bytes of a Content-Type value; longer is refused */
#define HEADER_TEXT_MAX    2048 /* bytes of a value to decode */

struct header_field {
	struct span name;
	struct span value; /* as it came, folding included, without the last line end */
};

/* A split header block. Borrows the block's bytes. */
struct header {
	struct header_field *field; /* owned */
	size_t nfields;
};

/*
 * Split a complete block (the blank line may be there or not).
 * Returns NULL, or why it is no header block: a literal. Then there is nothing to free.
 */
const char *header_parse(struct header *h, struct span block);
void header_deinit(struct header *h);

/* Value of the n-th (0-based) field of this name, any case; data NULL if none. */
struct span header_get(const struct header *h, const char *name, size_t n);
size_t header_count(const struct header *h, const char *name);

/* A content type, decoded; type and subtype lower-cased. */
struct content_type {
	char type[64];      /* "text" */
	char subtype[128];  /* "plain" */
	char boundary[128]; /* empty if there is none */
};

/*
 * Parse a Content-Type value; an absent (data NULL) or empty one is text/plain, as RFC
 * 2045 section 5.2 says. Our reading is strict, and of a multipart, whose boundary
 * makes the structure, GMime's must agree; else false (ct is then text/plain): a parser
 * behind us must not see another one.
 */
bool content_type_parse(struct content_type *ct, struct span value);

bool content_type_is(
    const struct content_type *ct, const char *type, const char *subtype);

/*
 * The one mailbox of a From field: exactly one From field with exactly one mailbox, no
 * group, and no second thing that looks like an address (RFC 5322 section 3.6.2,
 * without its lists). Writes the address as it came, NUL-terminated. Returns NULL, or
 * why not: a literal, "" if there is no From or it is empty.
 */
const char *header_from(const struct header *h, char *address, size_t size);

/*
 * A value unfolded and RFC 2047-decoded, e.g. Subject. NUL-terminated, cut at size. An
 * absent value (data NULL) gives an empty string, and so does one too long.
 */
void header_decode(struct span value, char *buf, size_t size);

#endif
