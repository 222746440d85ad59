/*
 * What a script on the server says: lines of a keyword, a blank, and words.
 */
#ifndef DEPLOY_ANSWER_H
#define DEPLOY_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/span.h"

struct answer_reader {
	struct span rest; /* of what was said */
	const char *key;  /* the keyword looked for */
};

/* The next line with this keyword, without it; false at the end. */
bool answer_next(struct answer_reader *r, struct span *value);

/* The first line with this keyword. */
bool answer_find(struct span output, const char *key, struct span *value);

/* Take the next word off a line; empty at its end. */
struct span answer_word(struct span *line);

/* Of digits; -1 if it is none. */
int64_t answer_number(struct span word);

#endif
