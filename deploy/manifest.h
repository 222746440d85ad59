/*
 * The manifest of a generation: what was wanted of a server, as text, a line a thing. The
 * server keeps it, so that the next run knows which files are ours, and the one after it
 * can go back.
 *
 *	cmdeploy-manifest 1
 *	KIND<TAB>COMPONENT<TAB>TEXT...<TAB>NUMBER...
 *
 * with texts and numbers as in wanted_shapes. Control characters and "%" in texts are %XX,
 * numbers are octal. The contents of files are not in it, but their sha256.
 */
#ifndef DEPLOY_MANIFEST_H
#define DEPLOY_MANIFEST_H

#include "deploy/text.h"
#include "deploy/wanted.h"

#define MANIFEST_ERROR_MAX  128
#define MANIFEST_THINGS_MAX 4000

/* Append it. The same wanted list gives the same text, on whatever machine. */
void manifest_write(struct text *to, const struct wanted *w);

/* Append the line it begins with, or one thing's line. */
void manifest_begin(struct text *to);
void manifest_write_thing(struct text *to, const struct wanted_thing *t);

/*
 * The wanted list of a manifest: files without content, packages without path. NULL with
 * "line N: what is wrong" in error, also if things contradict each other.
 */
struct wanted *manifest_parse(struct span text, char error[MANIFEST_ERROR_MAX]);

#endif
