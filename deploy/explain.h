/*
 * The keys of chatmail.ini in words, out of the option table: what "cmdeploy config explain"
 * tells and what "cmdeploy init" writes as comments.
 */
#ifndef DEPLOY_EXPLAIN_H
#define DEPLOY_EXPLAIN_H

#include <stdio.h>

#include "chatmaild/config.h"

#define EXPLAIN_RANGE_MAX 64

/* "1 to 64", "1 or more"; "" if the type has no range. */
void explain_range(const struct config_option *o, char range[EXPLAIN_RANGE_MAX]);

/* Is it worth a line for who writes a new file? Old keys are not. */
bool explain_is_current(const struct config_option *o);

/* All of one key: what it means, its type, default and range. */
void explain_key(const struct config_option *o, FILE *out);

/* A whole new file for the relay domain, in which all but a few keys are comments. */
void explain_file(const char *domain, FILE *out);

#endif
