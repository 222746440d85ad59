/*
 * What templates may name: the keys of chatmail.ini, values derived from them, and host
 * variables, which say where things are on the server. Host variables have defaults for
 * a server of its own; who lays a relay elsewhere sets others.
 */
#ifndef DEPLOY_CONTEXT_H
#define DEPLOY_CONTEXT_H

#include <jansson.h>

#include "chatmaild/config.h"

#define CONTEXT_ERROR_MAX 512

/* One row of the table of host variables, in context.c. */
struct host_variable {
	const char *name;
	const char *fallback; /* a template: may name config values and rows above */
	const char *help;
};
const struct host_variable *host_variables(size_t *n);

/*
 * A new JSON object with all of them, the caller's. Keys of the file appear under their
 * own names: texts, paths and sockets as text, sizes as numbers of MiB, lists as lists,
 * switches as true or false; old keys that only stand for newer ones do not appear. set
 * holds "NAME=VALUE" for host variables. NULL if a name is unknown or a value does not
 * fit, with one line for the operator in error.
 */
json_t *context_create(const struct config *config, const char *const *set, size_t nset,
    char error[CONTEXT_ERROR_MAX]);

#endif
