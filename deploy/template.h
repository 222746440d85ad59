/*
 * Logic-less templates: text with tags and a JSON context -> text. A subset of Mustache
 * (mustache(5)): no partials, lambdas or other delimiters, and stricter, because what
 *comes out is the configuration of a server:
 *
 *	{{name}}      the value, on one line: a value that holds a line break or another
 *	              control character is an error
 *	{{{name}}}    the value as it is
 *	{{#name}}     up to {{/name}}: kept if name is true; once for each item of a
 *list, with the item as innermost scope
 *	{{^name}}     up to {{/name}}: kept if name is false
 *	{{! text }}   nothing
 *
 * False are: false, null, 0, the empty text and the empty list. A name is looked up in
 *the innermost scope first, then outwards; a.b is member b of a; "." is the current
 *item. A name found nowhere is an error, also in a section that is not kept. Only text
 *and numbers have a value to print. A line that holds nothing but one section tag or
 *comment vanishes whole.
 */
#ifndef DEPLOY_TEMPLATE_H
#define DEPLOY_TEMPLATE_H

#include <jansson.h>
#include <stdio.h>

#include "proto/span.h"

#define TEMPLATE_DEPTH_MAX  16         /* sections inside each other */
#define TEMPLATE_TAGS_MAX   1000000    /* met while rendering one template */
#define TEMPLATE_OUTPUT_MAX (16 << 20) /* bytes */
#define TEMPLATE_ERROR_MAX  256

/* Write value to out in a form that is safe where {{name}} stands; for instance as
 * HTML. */
typedef void template_escape(FILE *out, struct span value);

/*
 * Render text. name stands in error messages only. escape is applied to {{name}}, not
 * to
 * {{{name}}}, and makes line breaks its own affair; NULL: none.
 * Returns the text, NUL-terminated, *len without the NUL, to be free()d; or NULL, and
 * error holds "NAME:LINE: what is wrong".
 */
char *template_render(const char *name, struct span text, const json_t *context,
    template_escape *escape, size_t *len, char error[TEMPLATE_ERROR_MAX]);

#endif
