/*
 * Bytes that come piece by piece, cut into lines.
 */
#ifndef DEPLOY_LINES_H
#define DEPLOY_LINES_H

#include <stdbool.h>

#include "deploy/text.h"

#define LINES_MAX 65536 /* bytes of a line; longer ones are parted */

/* All zero but for line and arg, at first. */
struct lines {
	void (*line)(void *arg, struct span line); /* without its LF */
	void *arg;
	struct text partial;
};

/* Calls line() for each that is whole. Fits host_flow.take; returns true. */
bool lines_take(void *lines, struct span bytes);

/* The last one may have no LF. Frees what is held; l can be used again. */
void lines_end(struct lines *l);

#endif
