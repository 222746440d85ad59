/*
 * A stack of open directories instead of recursion: its height is the bound.
 */
#include "chatmaild/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct level {
	DIR *dir;
	size_t path_len; /* of the walk's path up to this directory */
};

struct tree_walk {
	struct level levels[TREE_DEPTH_MAX];
	unsigned n;
	char path[TREE_PATH_MAX];
	struct stat st; /* of the entry, if looked */
	bool looked;
	tree_trouble *trouble;
	void *arg;
};

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static DIR *open_directory(int dirfd, const char *name)
{
	int fd = openat(
	    dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

/* The path of an entry of the top level; false if it is too long. */
static bool name_entry(struct tree_walk *w, const char *name)
{
	size_t at = w->levels[w->n - 1].path_len, len = strlen(name);

	if (at + 1 + len >= sizeof(w->path))
		return false;
	if (at > 0)
		w->path[at++] = '/';
	memcpy(w->path + at, name, len + 1);
	return true;
}

static void tell(struct tree_walk *w, const char *path, int error)
{
	if (w->trouble)
		w->trouble(w->arg, path, error);
}

static void descend(struct tree_walk *w, const char *name)
{
	DIR *dir;

	if (w->n == TREE_DEPTH_MAX) {
		tell(w, w->path, ELOOP);
		return;
	}
	dir = open_directory(dirfd(w->levels[w->n - 1].dir), name);
	if (!dir) {
		tell(w, w->path, errno);
		return;
	}
	w->levels[w->n++] = (struct level){ dir, strlen(w->path) };
}

/* The name of the directory that is walked, out of its path. */
static const char *parent_of(const struct tree_walk *w, char buf[NAME_MAX + 1])
{
	size_t end = w->levels[w->n - 1].path_len, begin = end;

	while (begin > 0 && w->path[begin - 1] != '/')
		begin--;
	memcpy(buf, w->path + begin, end - begin);
	buf[end - begin] = '\0';
	return buf;
}

const struct stat *tree_stat(const struct tree_entry *e)
{
	struct tree_walk *w = e->walk;

	if (w->looked)
		return &w->st;
	if (fstatat(e->dirfd, e->name, &w->st, AT_SYMLINK_NOFOLLOW) < 0) {
		tell(w, w->path, errno);
		return NULL;
	}
	w->looked = true;
	return &w->st;
}

/* What the directory says of it does; few file systems leave that open. False if it is gone
 * or cannot be looked at. */
static bool find_kind(struct tree_entry *e, const struct dirent *d)
{
	const struct stat *st;

	e->walk->looked = false;
	if (d->d_type != DT_UNKNOWN) {
		e->directory = d->d_type == DT_DIR;
		e->link = d->d_type == DT_LNK;
		return true;
	}
	st = tree_stat(e);
	e->directory = st && S_ISDIR(st->st_mode);
	e->link = st && S_ISLNK(st->st_mode);
	return st != NULL;
}

int tree_walk(int dirfd_top, const char *name, tree_visit *visit, tree_trouble *trouble,
    void *arg)
{
	struct tree_walk w = { .trouble = trouble, .arg = arg };
	enum tree_answer answer = TREE_ENTER;
	DIR *top = open_directory(dirfd_top, name);

	if (!top)
		return -1;
	w.levels[w.n++] = (struct level){ top, 0 };
	while (w.n > 0 && answer != TREE_STOP) {
		struct level *l = &w.levels[w.n - 1];
		char parent[NAME_MAX + 1];
		struct tree_entry e;
		struct dirent *d;

		errno = 0;
		d = readdir(l->dir);
		w.path[l->path_len] = '\0';
		if (!d) {
			if (errno)
				tell(&w, w.path, errno);
			closedir(l->dir);
			w.n--;
			continue;
		}
		if (is_dots(d->d_name))
			continue;
		parent_of(&w, parent);
		if (!name_entry(&w, d->d_name)) {
			tell(&w, d->d_name, ENAMETOOLONG);
			continue;
		}
		e = (struct tree_entry){ .dirfd = dirfd(l->dir),
			.name = d->d_name,
			.path = w.path,
			.parent = parent,
			.depth = w.n - 1,
			.walk = &w };
		if (!find_kind(&e, d))
			continue;
		answer = visit(arg, &e);
		if (e.directory && answer == TREE_ENTER)
			descend(&w, d->d_name);
	}
	while (w.n > 0)
		closedir(w.levels[--w.n].dir);
	return 0;
}

/* Leave the top level, whose directory is empty now: it goes too. */
static void remove_left(struct tree_walk *w)
{
	const char *slash = strrchr(w->path, '/');

	closedir(w->levels[--w->n].dir);
	if (w->n > 0 && unlinkat(dirfd(w->levels[w->n - 1].dir),
			    slash ? slash + 1 : w->path, AT_REMOVEDIR) < 0)
		tell(w, w->path, errno);
}

static void remove_contents(struct tree_walk *w)
{
	while (w->n > 0) {
		struct level *l = &w->levels[w->n - 1];
		struct dirent *d = readdir(l->dir);

		w->path[l->path_len] = '\0';
		if (!d)
			remove_left(w);
		else if (is_dots(d->d_name))
			continue;
		else if (!name_entry(w, d->d_name))
			tell(w, d->d_name, ENAMETOOLONG);
		else if (unlinkat(dirfd(l->dir), d->d_name, 0) == 0)
			continue;
		else if (errno == EISDIR)
			descend(w, d->d_name);
		else
			tell(w, w->path, errno);
	}
}

int tree_remove(int dirfd_top, const char *name, tree_trouble *trouble, void *arg)
{
	struct tree_walk w = { .trouble = trouble, .arg = arg };
	DIR *top = open_directory(dirfd_top, name);

	if (top) {
		w.levels[w.n++] = (struct level){ top, 0 };
		remove_contents(&w);
	}
	if (unlinkat(dirfd_top, name, top ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT)
		return 0;
	tell(&w, name, errno);
	return -1;
}
