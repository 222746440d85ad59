/*
 * SQLite, the daemon's memory across restarts: WAL, synchronous=FULL. One worker thread
 * owns the writing connection and commits what has gathered in one transaction; done() of
 * an operation comes after its commit. The loop has a read-only connection of its own.
 *
 * The mailbox directories can rebuild the users table: a corrupt or foreign file is named
 * in the log, moved aside and made anew (takeover.h fills it).
 */
#ifndef CHATMAILD_STORE_H
#define CHATMAILD_STORE_H

#include <event2/event.h>
#include <sqlite3.h>

struct store;

/* An operation: a copy of its inputs follows in the struct that embeds this. */
struct store_op {
	int (*run)(struct store_op *op, sqlite3 *db); /* writer thread; SQLITE_OK or why not */
	void (*done)(struct store_op *op, int result); /* loop, after COMMIT; frees op */
	struct store_op *next;
	int result;
};

/*
 * Open STATE_DIR/chatmaild.sqlite, make or migrate its tables. *fresh is set if the users
 * table must be rebuilt. NULL on failure, logged: the directory cannot be written, the
 * file is locked by another process.
 */
struct store *store_open(struct event_base *base, const char *state_dir, bool *fresh);
void store_close(struct store *s); /* commits what is queued, calls done() */

void store_submit(struct store *s, struct store_op *op);

/* A prepared statement of the reading connection, kept for the store's life. */
sqlite3_stmt *store_prepare(struct store *s, const char *sql);

#endif
