/*
 * Files in memory, by their paths below one folder: the sources of a web site, and the site
 * that is made of them.
 */
#ifndef DEPLOY_PAGE_FILES_H
#define DEPLOY_PAGE_FILES_H

#include <stdbool.h>

#include "proto/span.h"

#define PAGE_FILE_MAX  (32 << 20)  /* bytes */
#define PAGE_SITE_MAX  (256 << 20) /* bytes of all files */
#define PAGE_FILES_MAX 2000
#define PAGE_ERROR_MAX 512

struct page_file {
	char *path; /* "img/logo.svg" */
	char *data; /* a NUL that len does not count follows */
	size_t len;
};

/* All zero is none. */
struct page_files {
	struct page_file *file;
	size_t n, size;
	size_t bytes;
};

void page_files_deinit(struct page_files *files);

/* Add a file; data is malloc()ed and theirs from now on. The path is copied. */
void page_files_take(
    struct page_files *files, const char *path, char *data, size_t len);

void page_files_sort(struct page_files *files);

/* NULL if there is none. The files must be sorted. */
const struct page_file *page_files_find(
    const struct page_files *files, const char *path);

/*
 * Read all regular files below dir, through symbolic links too. Passed over are names that
 * start with a dot (but for .well-known) and what editors leave beside a file (x~, x.swp).
 * false with a line in error for what cannot be read, is no file, or exceeds the bounds
 * above. The files are sorted.
 */
bool page_files_read(
    struct page_files *files, const char *dir, char error[PAGE_ERROR_MAX]);

#endif
