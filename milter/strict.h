/*
 * Our own reading of the two header values that decide over a mail, kept so strict that
 * no other parser can read them differently. header.c compares it with GMime's where the
 * structure of a mail or its sender hangs on it.
 */
#ifndef MILTER_STRICT_H
#define MILTER_STRICT_H

#include "milter/header.h"

/*
 * type "/" subtype *(";" attribute "=" value), RFC 2045 section 5.1, on an unfolded
 * value. No comments, no parameter twice, no boundary in pieces or encoded (RFC 2231),
 * no backslash in a boundary. A last ";" with nothing behind it is common and harmless.
 * False, with ct undefined, for anything else.
 */
bool strict_content_type(struct content_type *ct, struct span value);

/*
 * "a@x", "<a@x>", "any name <a@x>", each with comments around it, on an unfolded value.
 * address borrows from value. Returns NULL, or why not: a literal.
 */
const char *strict_mailbox(struct span *address, struct span value);

#endif
