/*
 * Directory trees below an open directory: walked and removed without ever following a
 * symbolic link, in bounded memory, whatever the tree's shape. Blocks: for workers.
 */
#ifndef CHATMAILD_TREE_H
#define CHATMAILD_TREE_H

#include <stdbool.h>
#include <sys/stat.h>

#define TREE_DEPTH_MAX                                                                 \
	16 /* directories inside each other; deeper ones are left alone */
#define TREE_PATH_MAX 4096

enum tree_answer {
	TREE_ENTER, /* of a directory: look into it. Of anything else: go on */
	TREE_SKIP,  /* of a directory: do not */
	TREE_STOP,  /* end the walk */
};

struct tree_walk;

/* What was found. dirfd and name reach it; it may be unlinked. */
struct tree_entry {
	int dirfd;
	const char *name;
	const char *path;   /* from the top of the walk: "cur/1700000000.M1" */
	const char *parent; /* name of the directory it lies in; "" at the top */
	unsigned depth;     /* 0 at the top */
	bool directory;
	bool link; /* a symbolic one */
	struct tree_walk *walk;
};

/*
 * lstat() of what is no directory, good until the next call; NULL if it is gone, or cannot
 * be looked at, which the walk's trouble was told.
 */
const struct stat *tree_stat(const struct tree_entry *e);

/*
 * See every entry below dirfd/name but "." and ".."; first those of a directory, in no
 * order, its directories where they come. trouble is called with what could not be read, is
 * too deep (ELOOP) or vanished meanwhile (ENOENT), and the walk goes on.
 * 0, or -1 with errno if dirfd/name cannot be opened as a directory.
 */
typedef enum tree_answer tree_visit(void *arg, const struct tree_entry *e);
typedef void tree_trouble(void *arg, const char *path, int error);
int tree_walk(
    int dirfd, const char *name, tree_visit *visit, tree_trouble *trouble, void *arg);

/*
 * Remove dirfd/name with all that is in it. Goes on after trouble, which is told; 0 if
 * nothing is left, else -1.
 */
int tree_remove(int dirfd, const char *name, tree_trouble *trouble, void *arg);

#endif
