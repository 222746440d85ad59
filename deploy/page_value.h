/*
 * What web pages may name in their expressions: config.KEY, with the keys of chatmail.ini
 * and what is derived from them, and a few variables of the page.
 */
#ifndef DEPLOY_PAGE_VALUE_H
#define DEPLOY_PAGE_VALUE_H

#include <stdbool.h>

#include "chatmaild/config.h"
#include "deploy/text.h"

/* What one page is made from; all borrowed. */
struct page_scope {
	const struct config *config;
	bool webdev; /* the page reloads itself */

	const char *pagename;        /* "home" for index, else the stem */
	const char *language;        /* "de"; "en" if the file's name does not tell */
	const char *language_suffix; /* ".de"; "" if the file's name does not tell */
	const char *language_links;  /* HTML: links to the page's other languages */
	const char *alternate_links; /* HTML: the same for <head> */
	const char *markdown_html;   /* HTML; NULL: not for this text */
};

struct page_value {
	bool truth; /* what "if" makes of it: false for "", 0 and false */
	bool html;  /* is markup of ours; anything else is text */
};

/*
 * Add the value of name to text and describe it in value; false if nothing has this name.
 * Sizes read as they are written in chatmail.ini ("500M"), lists with blanks between,
 * switches as True and False.
 */
bool page_value_find(const struct page_scope *scope, struct span name,
    struct text *text, struct page_value *value);

#endif
