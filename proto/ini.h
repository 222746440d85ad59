/*
 * The text of chatmail.ini -> items. Accepts exactly what the Python package iniconfig
 * does (spec: comments, continuation lines, first '=' or ':', no quoting, no inline
 * comments in values), because operators bring files written for it.
 */
#ifndef PROTO_INI_H
#define PROTO_INI_H

#include "proto/span.h"

struct ini_item {
	struct span section;
	struct span key;
	struct span value; /* continuation lines joined by LF */
	unsigned line;	   /* of the key, 1-based */
};

struct ini {
	struct ini_item *item;
	size_t nitems;
	/* An error, if ini_parse() failed: */
	unsigned line;
	const char *error; /* a literal: "duplicate section", "unexpected line", ... */
};

/*
 * Parse text, which is changed in place and must outlive ini. 0, or -1 with ini->line and
 * ini->error set (nothing to free then).
 */
int ini_parse(struct ini *ini, char *text, size_t len);
void ini_deinit(struct ini *ini);

/* The item with this section and key, or NULL. */
const struct ini_item *ini_find(
    const struct ini *ini, const char *section, const char *key);

#endif
