/*
 * Is the body of a mail exactly one PGP/MIME encrypted message? RFC 3156 section 4: one
 * part application/pgp-encrypted that says "Version: 1", one part
 * application/octet-stream that openpgp.h accepts, nothing else before, between or
 * behind.
 */
#ifndef MILTER_PGPMIME_H
#define MILTER_PGPMIME_H

#include "milter/openpgp.h"
#include "milter/parts.h"

struct pgpmime {
	struct parts parts;
	struct openpgp openpgp;
	struct part_text control; /* the first part's body */
};

/*
 * boundary is the mail's own. Returns NULL, or why it is refused; then too there is
 * nothing wrong with calling pgpmime_deinit(). All reasons are literals.
 */
const char *pgpmime_init(
    struct pgpmime *p, struct span boundary, bool armor_version_accepted);
void pgpmime_deinit(struct pgpmime *p);

/* Body bytes behind the header block. Returns why they are refused; feed no more then. */
const char *pgpmime_feed(struct pgpmime *p, struct span text);

/* After the last byte: NULL if it was an encrypted message. */
const char *pgpmime_end(struct pgpmime *p);

#endif
