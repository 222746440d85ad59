/*
 * The parts of a multipart, one after the other: their header blocks read, their bodies
 * decoded, handed to whoever judges them.
 */
#ifndef MILTER_PARTS_H
#define MILTER_PARTS_H

#include "milter/mime.h"
#include "milter/part.h"

/* Each returns NULL, or why the mail is refused: a literal. Parts are counted from 1. */
struct parts_judge {
	const char *(*begin)(void *arg, unsigned n, const struct part *part);
	const char *(*text)(void *arg, unsigned n, struct span text);
	const char *(*end)(void *arg, unsigned n);
	const char *(*all)(void *arg, unsigned count); /* there are no more */
};

struct parts {
	struct mime mime;
	struct transfer transfer; /* of the part being read */
};

/*
 * boundary is that of the enclosing header block. Returns NULL, or why it is refused;
 * then too there is nothing wrong with calling parts_deinit(). All reasons are literals.
 */
const char *parts_init(struct parts *p, struct span boundary);
void parts_deinit(struct parts *p);

/* Bytes behind that header block. Returns why they are refused; feed no more then. */
const char *parts_feed(
    struct parts *p, const struct parts_judge *judge, void *arg, struct span text);

/* After the last byte: NULL if nothing was wrong. */
const char *parts_end(struct parts *p, const struct parts_judge *judge, void *arg);

#endif
