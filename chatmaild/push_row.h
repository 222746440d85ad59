/*
 * The table "pushes" of the store: SQL of the notifications that wait. What is done with
 * a row, when, is push_queue.c's.
 */
#ifndef CHATMAILD_PUSH_ROW_H
#define CHATMAILD_PUSH_ROW_H

#include "chatmaild/store.h"
#include "chatmaild/tokens.h"

/* A row and which message it stands for: each new one raises the version. */
struct push_version {
	int64_t row, version;
};

/* What became of a message. */
struct push_added {
	size_t n;
	struct push_version of[TOKENS_PER_ACCOUNT]; /* by registration of the tokens */
	uint64_t inserted, coalesced, shed;
	uint64_t expired; /* old rows that made room */
};

/* When a message came. */
struct push_times {
	int64_t now;     /* for the tokens */
	int64_t start;   /* of the rows, and when they are due */
	int64_t expired; /* rows of this start or before may go */
};

/*
 * A row for each valid token of address, or its row due at once. full: no new rows but
 * for expired ones. For an operation's run(): SQLITE_OK or why not.
 */
int push_rows_add(sqlite3 *db, struct span address, const struct push_times *when,
    bool full, struct push_added *added);

/* How a row ends, or goes on. */
enum push_act {
	PUSH_DELETE,
	PUSH_DELETE_TOKEN, /* and its token, whatever came meanwhile */
	PUSH_RESCHEDULE,
};

struct push_outcome {
	enum push_act act;
	struct push_version of;
	struct span address, token; /* for PUSH_DELETE_TOKEN */
	int64_t start, due;         /* for PUSH_RESCHEDULE; also tries */
	unsigned tries;
	bool applied; /* set: false if another message came, or the row is gone */
};

/* n outcomes at once. For an operation's run(). */
int push_rows_finish(sqlite3 *db, struct push_outcome *outcome, size_t n);

/* For a relay taken over: rows made outside of push_rows_add(), due at once; *inserted
 * is counted up. One that is there for this token stays. For an operation's run(). */
int push_row_import(sqlite3 *db, struct span address, struct span token, int64_t start,
    int64_t due, uint64_t *inserted);

/* For reading, as far as one likes: the rows come one by one. */
#define PUSH_ROW_OF                                                                    \
	"SELECT address, token, start, tries, version FROM pushes WHERE id = ?1"
#define PUSH_ROWS_ALL                                                                  \
	"SELECT id, tries FROM pushes WHERE id > ?1 AND id <= ?2 ORDER BY id"
#define PUSH_ROWS_FIRST                                                                \
	"SELECT id FROM pushes WHERE tries = 0 AND due <= ?1 ORDER BY due"
#define PUSH_ROWS_RETRY                                                                \
	"SELECT id FROM pushes WHERE tries > 0 AND due <= ?1 ORDER BY due"
#define PUSH_NEXT_FIRST                                                                \
	"SELECT due FROM pushes WHERE tries = 0 AND due > ?1 ORDER BY due LIMIT 1"
#define PUSH_NEXT_RETRY                                                                \
	"SELECT due FROM pushes WHERE tries > 0 AND due > ?1 ORDER BY due LIMIT 1"
#define PUSH_ROWS_EXTENT "SELECT count(*), max(id) FROM pushes"

#endif
