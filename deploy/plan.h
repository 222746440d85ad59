/*
 * The plan: what is wanted, less what is so. It is shown, and then it is what is executed,
 * nothing else.
 *
 * On the server below /var/lib/cmdeploy: blobs/SHA256, the texts of files; generations/N,
 * the manifest of each run that was applied whole; pending/, restarts that are owed; backup/,
 * files of others that gave way.
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

/* stages: which of them. binaries: directory of the operator's binaries, or NULL. */
struct plan *plan_create(const struct wanted *w, const struct facts *f, unsigned stages,
    const char *binaries);
void plan_free(struct plan *p);

bool plan_is_empty(const struct plan *p);

/* Fetch the texts that are to be replaced, in one round trip, for the diffs. */
bool plan_fetch_old(struct plan *p, struct host *h, char error[PLAN_ERROR_MAX]);

/* For the operator: packages, users, files with their diffs, units and why. */
void plan_print(const struct plan *p, FILE *out, bool colour);

/*
 * Do it. false at the first step that fails, with what, where, why and what to do in error;
 * what was done stays, and the next run goes on from there.
 */
bool plan_apply(struct plan *p, struct host *h, struct progress *progress,
    char error[PLAN_ERROR_MAX]);

/*
 * The wanted state of a former generation, for plan_create(): files as its manifest names
 * them, out of blobs/ on the server. NULL with the cause in error.
 */
struct wanted *plan_former(struct host *h, unsigned generation,
    const struct wanted *now, char error[PLAN_ERROR_MAX]);

#endif
