/*
 * SQLite, the daemon's memory across restarts: WAL, synchronous=FULL. One worker thread
 * owns the writing connection and commits what has gathered in one transaction; done()
 * of an operation comes after its commit. The loop has a connection of its own for
 * reading.
 *
 * The mailbox directories can rebuild the users table: a corrupt or foreign file is
 * named in the log, moved aside and made anew (takeover.h fills it).
 */
#ifndef CHATMAILD_STORE_H
#define CHATMAILD_STORE_H

#include <event2/event.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "chatmaild/metric.h"
#include "chatmaild/worker.h"
#include "proto/span.h"

#define STORE_FILE           "chatmaild.sqlite"
#define STORE_APPLICATION_ID 0x43686d64 /* "Chmd", the mark of a database of ours */

struct store;

/*
 * An operation: a copy of its inputs follows in the struct that embeds this. run() is
 * called on the writer thread inside a savepoint, so a failing operation leaves nothing
 * and spoils no other. done() is called on the loop once the fate of the transaction is
 * known: result is SQLITE_OK when it is durable. The rest is the store's.
 */
struct store_op {
	int (*run)(struct store_op *op, sqlite3 *db);  /* SQLITE_OK or why not */
	void (*done)(struct store_op *op, int result); /* frees op */
	struct job job;
	struct store *store;
	struct store_op *next; /* in the same transaction */
	int result;
	int64_t commit_ns; /* of the transaction, in one operation of it; else 0 */
};

/* Monitoring reads these. */
struct store_counters {
	struct histogram commits;       /* transactions, fsync included */
	uint64_t operations, failed;    /* failed: result is not SQLITE_OK */
	uint64_t file_bytes, wal_bytes; /* gauges */
};
extern const struct metric_def store_metrics[];
extern const size_t nstore_metrics;

/*
 * Open STATE_DIR/chatmaild.sqlite, make or migrate its tables. *fresh is set if the
 * users table must be rebuilt. NULL on failure, logged: the directory cannot be
 * written, the file is locked by another process or made by a newer version.
 */
struct store *store_open(struct event_base *base, const char *state_dir, bool *fresh);

/* Commits what is queued and calls done() of it, then closes. Accepts NULL. */
void store_close(struct store *s);

void store_submit(struct store *s, struct store_op *op);

/* On the loop: how many wait or run, and what was counted so far. */
size_t store_queued(const struct store *s);
void store_read_counters(const struct store *s, struct store_counters *counters);

/*
 * A prepared statement of the reading connection, kept for the store's life. Reset it
 * right after use: an open read holds back WAL checkpoints. NULL if sql fails, logged.
 */
sqlite3_stmt *store_prepare(struct store *s, const char *sql);

/*
 * Tell the store what a read returned, on the loop: damage is logged once and the file
 * is made anew at the next start.
 */
void store_check(struct store *s, int result);

/* Bind a text that stays where it is until the statement is reset and bound anew. */
void store_bind_span(sqlite3_stmt *stmt, int column, struct span text);

/* Step a statement that returns no rows to its end and finalize it; for run(). */
int store_finish(sqlite3_stmt *stmt);

#endif
