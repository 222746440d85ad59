/*
 * How a deployed relay does: asked in one round trip, shown on a page.
 */
#ifndef DEPLOY_STATUS_H
#define DEPLOY_STATUS_H

#include <stdio.h>
#include <time.h>

#include "chatmaild/config.h"
#include "deploy/text.h"

#define STATUS_UNITS_MAX 64

/* What this machine knows of the server that it asks about. */
struct status_question {
	const struct config *config;
	const char *unit[STATUS_UNITS_MAX]; /* that a relay needs */
	size_t nunits;
	const char *version_sha256; /* of /etc/chatmail-version as it would be deployed
				     * from here; NULL: not known */
};

/* The script for "sh -eu". The caller's to free(). */
char *status_script(const struct status_question *q);

/*
 * Write the page to out, from the script's output, of whatever bytes that is: what is missing
 * there is said to be unknown, and control characters do not pass.
 * Returns the number of things that need a look: failed units, needed ones that do not run, a
 * certificate that ends within two weeks, a disk that is nearly full.
 */
unsigned status_print(
    const struct status_question *q, struct span output, time_t now, FILE *out);

#endif
