#include "deploy/page_files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 16 /* of folders */

void page_files_deinit(struct page_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->file[i].path);
		free(files->file[i].data);
	}
	free(files->file);
	*files = (struct page_files){ 0 };
}

void page_files_take(struct page_files *files, const char *path, char *data, size_t len)
{
	char *copy = strdup(path);

	if (files->n == files->size) {
		files->size = files->size ? files->size * 2 : 32;
		files->file =
		    reallocarray(files->file, files->size, sizeof(*files->file));
	}
	if (!copy || !files->file)
		abort();
	files->file[files->n++] =
	    (struct page_file){ .path = copy, .data = data, .len = len };
	files->bytes += len;
}

static int by_path(const void *a, const void *b)
{
	const struct page_file *const x = a, *const y = b;

	return strcmp(x->path, y->path);
}

void page_files_sort(struct page_files *files)
{
	if (files->n > 0)
		qsort(files->file, files->n, sizeof(*files->file), by_path);
}

const struct page_file *page_files_find(
    const struct page_files *files, const char *path)
{
	const struct page_file key = { .path = (char *)path };

	if (files->n == 0)
		return NULL;
	return bsearch(&key, files->file, files->n, sizeof(key), by_path);
}

static bool fail(char error[PAGE_ERROR_MAX], const char *path, const char *why)
{
	snprintf(error, PAGE_ERROR_MAX, "%s: %s", path, why);
	return false;
}

/* size bytes, or -1 with errno: EFBIG if there are more. */
static int read_all(int fd, char *data, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, data + len, size - len);

		if (n == 0) {
			errno = EAGAIN; /* it shrank under our hands */
			return -1;
		}
		if (n > 0)
			len += (size_t)n;
		else if (errno != EINTR)
			return -1;
	}
	return 0;
}

static bool read_file(struct page_files *files, const char *path, const char *below,
    char error[PAGE_ERROR_MAX])
{
	/* Not to hang on what has become a FIFO meanwhile. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *data;
	size_t len;

	if (fd < 0 || fstat(fd, &st) < 0) {
		fail(error, path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	len = (size_t)st.st_size;
	if (!S_ISREG(st.st_mode) || st.st_size > PAGE_FILE_MAX ||
	    files->bytes + len > PAGE_SITE_MAX || files->n == PAGE_FILES_MAX) {
		close(fd);
		return fail(error, path, "no file, or too large or too many of them");
	}
	data = malloc(len + 1);
	if (!data)
		abort();
	if (read_all(fd, data, len) < 0) {
		fail(error, path, strerror(errno));
		free(data);
		close(fd);
		return false;
	}
	close(fd);
	data[len] = '\0';
	page_files_take(files, below, data, len);
	return true;
}

static bool passed_over(const FTSENT *e)
{
	struct span name = span_make(e->fts_name, e->fts_namelen);

	if (e->fts_level == 0)
		return false;
	return (name.data[0] == '.' && !span_is(name, ".well-known")) ||
	       span_ends(name, span_of("~")) || span_ends(name, span_of(".swp"));
}

static bool has_control(const char *name)
{
	for (; *name; name++) {
		if (span_control(*name))
			return true;
	}
	return false;
}

/* One entry of the walk. */
static bool read_entry(struct page_files *files, FTS *walk, FTSENT *e, size_t base,
    char error[PAGE_ERROR_MAX])
{
	if (passed_over(e)) {
		fts_set(walk, e, FTS_SKIP);
		return true;
	}
	switch (e->fts_info) {
	case FTS_D:
		if (e->fts_level > DEPTH_MAX)
			return fail(error, e->fts_path, "too many folders deep");
		return true;
	case FTS_DP:
		return true;
	case FTS_F:
		if (has_control(e->fts_name))
			return fail(error, e->fts_parent->fts_path,
			    "a file's name holds a control character");
		return read_file(files, e->fts_path, e->fts_path + base, error);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return fail(error, e->fts_path, strerror(e->fts_errno));
	default:
		return fail(error, e->fts_path, "neither a file nor a folder");
	}
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

bool page_files_read(
    struct page_files *files, const char *dir, char error[PAGE_ERROR_MAX])
{
	size_t base = strlen(dir) + 1;
	char *root = strdup(dir), *paths[] = { root, NULL };
	bool good = true;
	FTSENT *e;
	FTS *walk;

	if (!root)
		abort();
	/* fts(3) joins with one "/" whatever stands at the end. */
	while (base > 2 && root[base - 2] == '/')
		root[--base - 1] = '\0';
	walk = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	good = walk || fail(error, dir, strerror(errno));
	while (good && (e = fts_read(walk)))
		good = read_entry(files, walk, e, base, error);
	if (walk)
		fts_close(walk);
	free(root);
	page_files_sort(files);
	return good;
}
