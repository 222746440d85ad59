/*
 * The relay's web site: from the folder with its sources to the files that the web server
 * shows. The same sources and values always make the same bytes.
 *
 * A folder that holds src/index.md is built from src/: each NAME.md becomes NAME.html
 * within page-layout.html, everything else is copied, and a QR code is added. Any other
 * folder is the site as it is.
 */
#ifndef DEPLOY_PAGE_H
#define DEPLOY_PAGE_H

#include "chatmaild/config.h"
#include "deploy/page_files.h"

#define PAGE_URL_MAX 512

enum page_result {
	PAGE_MADE,
	PAGE_NONE,   /* www_folder is no folder: no pages are wanted */
	PAGE_FAILED, /* something is wrong with the sources */
};

/* www_folder, or where the pages are that come along. */
const char *page_folder(const struct config *config);

/*
 * The folder whose files are read: page_folder(), or src/ in it if that is to be built.
 * NULL if there is no such folder; else the caller's to free().
 */
char *page_sources(const struct config *config, bool *built);

/*
 * Make the site, sorted. webdev: pages are told to reload themselves. On PAGE_NONE and
 * PAGE_FAILED error holds a line for the operator, "FILE:LINE: what is wrong" if it is
 * about a line, and site is empty.
 */
enum page_result page_make(const struct config *config, bool webdev,
    struct page_files *site, char error[PAGE_ERROR_MAX]);

/* What the QR code and the button say: "DCACCOUNT:https://DOMAIN/new". */
void page_invite(const struct config *config, char url[PAGE_URL_MAX]);

#endif
