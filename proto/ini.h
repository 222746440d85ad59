/*
 * The text of chatmail.ini -> items. Accepts exactly what the Python package iniconfig
 * does, because operators bring files written for it:
 *
 *   # comment     First non-blank is # or ; on a line of its own, indented or not. Behind
 *                 a value it is part of the value.
 *   [section]     Verbatim. # or ; behind it cuts.
 *   key = value   Parted at the first '=', or at the first ':' if that comes before it or
 *   key: value    there is no '='.
 *     more        Indented: goes on the value before it, with LF between. So does a line
 *                 that starts with '[' and ends in no ']'.
 *
 * UTF-8. No quotes, no escapes, no interpolation; keys keep their case. Lines end and
 * blanks are trimmed as Python does it, Unicode white space included. Two rules are our
 * own: no NUL, and at most INI_ITEMS_MAX lines with a key or a section.
 */
#ifndef PROTO_INI_H
#define PROTO_INI_H

#include "proto/span.h"

#define INI_ITEMS_MAX 4096 /* a real file has some 50; each is compared with each */

struct ini_item {
	struct span section;
	struct span key;
	struct span value; /* continuation lines joined by LF */
	unsigned line;     /* of the key, 1-based */
};

struct ini {
	struct ini_item *item; /* in the order of the file, owned */
	size_t nitems;
	/* An error, if ini_parse() failed: */
	unsigned line;
	const char *error; /* a literal: "duplicate section", "unexpected line", ... */
};

/*
 * Parse text, which is changed in place and must outlive ini: the spans point into it.
 * 0, or -1 with ini->line and ini->error set (nothing to free then).
 */
int ini_parse(struct ini *ini, char *text, size_t len);
void ini_deinit(struct ini *ini);

/* The item with this section and key, or NULL. */
const struct ini_item *ini_find(
    const struct ini *ini, const char *section, const char *key);

#endif
