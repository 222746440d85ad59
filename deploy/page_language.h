/*
 * Pages in several languages. Beside info.md there may be info.de.md, info.pt-br.md: they
 * become info.de.html, info.pt-br.html, and the web server shows a visitor the one his
 * browser asks for. info.md is for all others; it counts as English and is also written as
 * info.en.html, unless there is an info.en.md.
 */
#ifndef DEPLOY_PAGE_LANGUAGE_H
#define DEPLOY_PAGE_LANGUAGE_H

#include "deploy/page_files.h"
#include "deploy/text.h"

#define PAGE_LANGUAGE_DEFAULT "en"
#define PAGE_LANGUAGE_MAX     6 /* "pt-br" and NUL */

/* The name of a page's source, taken apart. */
struct page_name {
	struct span stem;                 /* "info", "news/today" */
	char language[PAGE_LANGUAGE_MAX]; /* "de"; "" if the name does not tell */
};

/* Take path apart if it is a page's source among files: false if it does not end in ".md". */
bool page_name_parse(
    const struct page_files *files, const char *path, struct page_name *name);

/*
 * Add links to the languages of a page but its own, "/news/today.de.html", as HTML for the
 * menu and for <head>. Nothing if it has one language only.
 */
void page_language_links(const struct page_files *files, const struct page_name *name,
    struct text *links, struct text *alternates);

/* Whether the page is in several languages. */
bool page_has_languages(const struct page_files *files, struct span stem);

/* Whether there is a source for stem in this language; "": without one. */
bool page_has_language(
    const struct page_files *files, struct span stem, const char *language);

/*
 * Which file of a built site answers a request for path ("/", "/info.html"), as the
 * relay's nginx chooses: the first three languages of the Accept-Language header (RFC 9110
 * section 12.5.4; NULL: none) by their first two letters, else the file itself. NULL: none.
 */
const struct page_file *page_negotiate(
    const struct page_files *site, const char *path, const char *accept_language);

#endif
