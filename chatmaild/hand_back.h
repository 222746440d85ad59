/*
 * The way back to the Python services: what takeover.h read from their files, and what came
 * since, as such files again. For a tool, while the daemon does not run; blocks.
 */
#ifndef CHATMAILD_HAND_BACK_H
#define CHATMAILD_HAND_BACK_H

#include <stdint.h>

#define HAND_BACK_ERROR_MAX 512
#define HAND_BACK_SUFFIX    ".handed-back" /* of the database, once it was read */

struct hand_back_totals {
	uint64_t tokens, accounts, pushes; /* written; accounts that have tokens */
};

/*
 * Write ADDRESS/metadata.json of each account that has valid device tokens at now (seconds)
 * or such a file, whose other members stay, and pending_notifications/ anew. Then the database
 * is moved aside, so that a later takeover begins with the files. No database is nothing to
 * do. -1 with the reason in error: the database is in use or damaged, a file cannot be
 * written; then it can be tried again.
 */
int hand_back(const char *state_dir, const char *mailboxes_dir, int64_t now,
    struct hand_back_totals *totals, char error[HAND_BACK_ERROR_MAX]);

#endif
