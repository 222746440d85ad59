/*
 * Inside of context.c: what a template cannot be trusted with.
 */
#ifndef DEPLOY_CONTEXT_CHECK_H
#define DEPLOY_CONTEXT_CHECK_H

#include "chatmaild/config.h"

/* Are all paths of the ini understood where they are rendered? Else one line in error. */
bool context_check(const struct config *config, char *error, size_t size);

/*
 * The first mail address in a text of the operator's, of letters that mean nothing to any
 * program; empty if there is none. To be free()d.
 */
char *context_contact(const char *text);

#endif
