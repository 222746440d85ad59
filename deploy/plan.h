/*
 * The plan: what is wanted, less what is so. It is shown, and then it is what is executed,
 * nothing else.
 *
 * On the server below /var/lib/cmdeploy: blobs/SHA256, the texts of files; packages/ and
 * binaries/, what was installed; generations/N, the manifest of each run that was applied
 * whole; pending/UNIT, restarts that are owed; backup/TIME/PATH, files of others that gave
 * way.
 */
#ifndef DEPLOY_PLAN_H
#define DEPLOY_PLAN_H

#include <stdio.h>

#include "deploy/facts.h"
#include "deploy/host.h"
#include "deploy/progress.h"
#include "deploy/wanted.h"

#define PLAN_ERROR_MAX 2048

struct plan;

struct plan_options {
	unsigned stages; /* of enum stage; ACTIVATE alone starts and restarts all */
	const char *binaries; /* directory of the operator's binaries, or NULL */
	bool upgrade;         /* Debian's packages, too */
};

/*
 * wanted and facts are borrowed until plan_free().
 */
struct plan *plan_create(
    const struct wanted *w, const struct facts *f, const struct plan_options *options);
void plan_free(struct plan *p); /* accepts NULL */

/* Is the server as it is wanted? */
bool plan_is_empty(const struct plan *p);

/* Fetch the texts that are to be replaced, in one round trip, for the diffs; none if there
 * are none. */
bool plan_fetch_old(struct plan *p, struct host *h, char error[PLAN_ERROR_MAX]);

/* For the operator: packages, users, files with their diffs, units and why. */
void plan_print(const struct plan *p, FILE *out, bool colour);

/*
 * Do it. What the operator should know of it is said on stderr when it happens. False at the
 * first step that fails, with what, where, why and what to do in error; what was done stays,
 * and the next run goes on from there.
 */
bool plan_apply(struct plan *p, struct host *h, struct progress *progress,
    char error[PLAN_ERROR_MAX]);

/*
 * The wanted state of a former generation, out of the server's memory: 0 for the one before
 * the last. One round trip. NULL with the cause in error.
 */
struct wanted *plan_former(
    struct host *h, unsigned generation, char error[PLAN_ERROR_MAX]);

/*
 * Take the hashes that DIR/manifest, lines "SHA256  NAME", gives for the files that binaries
 * of these names install, instead of the expected ones; each is said on out. False with the
 * cause in error.
 */
bool plan_trust_binaries(
    struct wanted *w, const char *dir, FILE *out, char error[PLAN_ERROR_MAX]);

#endif
