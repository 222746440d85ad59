/*
 * Several texts in one stream: each is a line "NAME LENGTH", then LENGTH bytes. NAME has no
 * blanks and no control characters.
 */
#ifndef DEPLOY_FRAME_H
#define DEPLOY_FRAME_H

#include "deploy/text.h"

void frame_add(struct text *to, const char *name, struct span content);

/*
 * Take the next one from the front of rest; name and content are borrowed from it. False at
 * the end, or where it is not whole; then rest is empty only at a proper end.
 */
bool frame_next(struct span *rest, struct span *name, struct span *content);

#endif
