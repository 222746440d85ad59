/*
 * What the header block of a MIME part says about its body, and the short text some
 * parts must hold. RFC 2045.
 */
#ifndef MILTER_PART_H
#define MILTER_PART_H

#include "milter/header.h"
#include "milter/transfer.h"

struct part {
	struct content_type type;
	enum transfer_encoding encoding;
};

/*
 * Read a part's header block, blank line included; it may hold no field at all, which
 * means 7bit text/plain. Returns NULL, or why it is refused: a literal. Two fields of
 * one kind are, an unknown encoding, and whatever header_parse() or
 * content_type_parse() refuses.
 */
const char *part_parse(struct part *p, struct span block);

/* The same of fields already split: a mail's own header block is asked too. */
const char *part_read(struct part *p, const struct header *h);

#define PART_TEXT_MAX 1024 /* bytes, blanks around it included */

/* A part's decoded body, kept because it must be short. */
struct part_text {
	size_t len;
	char text[PART_TEXT_MAX];
};

/* False if it gets too long. */
bool part_text_add(struct part_text *t, struct span piece);

#endif
