/*
 * The password database of an old relay: one SQLite file, from the time before each
 * mailbox held its own password. Read once, at the start and before any login, for an
 * address that is not taken over could be taken by anybody. Then it is moved aside, whole.
 *
 * Its table "users" has an address, a stored hash and perhaps a last login in seconds, in
 * this order. It is never the database that store.h keeps, which is known by its mark.
 */
#ifndef CHATMAILD_PASSDB_H
#define CHATMAILD_PASSDB_H

#include <stdbool.h>
#include <stdint.h>

#define PASSDB_WAIT_S 60 /* for another process that holds a lock on it */

struct passdb_totals {
	uint64_t passwords; /* transferred */
	uint64_t tests;     /* passed over: accounts of automatic tests, "ci-", "ac_" */
	uint64_t invalid; /* passed over: no address, or none that can be a directory */
	uint64_t blocked; /* transferred, without a hash to log in with */
	uint64_t failed;  /* not written, logged */
};

/*
 * Take over the file at path, if there is one. True if that was done and it is moved to
 * path.old; false also for trouble, which is logged: the file is where it was then, and
 * what was read of it is taken over. now: seconds since 1970. Blocks.
 */
bool passdb_import(const char *path, const char *mailboxes_dir, int64_t now,
    struct passdb_totals *totals);

#endif
