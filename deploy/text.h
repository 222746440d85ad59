/*
 * Text that grows: scripts, plans, manifests.
 */
#ifndef DEPLOY_TEXT_H
#define DEPLOY_TEXT_H

#include <stddef.h>
#include <stdio.h>

#include "proto/span.h"

/* All zero is an empty one. data is NUL-terminated once anything was added. */
struct text {
	char *data;
	size_t len; /* without the NUL */
	size_t size;
};

void text_add(struct text *t, const char *s);
void text_add_span(struct text *t, struct span s);
__attribute__((format(printf, 2, 3))) void text_printf(
    struct text *t, const char *fmt, ...);
struct span text_span(const struct text *t);
char *text_take(
    struct text *t);            /* the string, free()d by the caller; t is empty then */
void text_free(struct text *t); /* t is empty then */

/*
 * Write what others said so that it can be read and does nothing to a terminal: control
 * characters (ASCII's, and U+0080 to U+009F) but those in keep, and bytes that are no UTF-8,
 * as \xHH.
 */
void text_write_visible(FILE *out, struct span s, const char *keep);

#endif
