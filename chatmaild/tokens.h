/*
 * Device tokens of an account: opaque strings with which the notification service finds
 * a phone. Rows of the store, in the order of their registration; valid for 90 days
 * after the client last sent them, invisible from then on. Never parsed, never logged
 * above debug level.
 */
#ifndef CHATMAILD_TOKENS_H
#define CHATMAILD_TOKENS_H

#include <stdint.h>

#include "chatmaild/store.h"
#include "proto/span.h"

#define TOKEN_MAX           4096 /* bytes */
#define TOKENS_PER_ACCOUNT  32   /* the one that was not sent for longest gives way */
#define TOKEN_VALID_SECONDS (90 * 24 * 3600) /* after it was last sent */
#define TOKEN_FUTURE_MAX    60 /* seconds a token may come from the future */

/*
 * 1 to TOKEN_MAX bytes of printable ASCII without blanks: fit for the list, parted by
 * blanks, that a client reads back.
 */
bool token_is_valid(struct span token);

/* A token last sent at refreshed (seconds): is it still good? */
bool token_is_current(int64_t refreshed, int64_t now);

/*
 * Called on the loop with the fate of an act: 0 when it is durable, -1 when the store
 * failed, which it logged.
 */
typedef void tokens_done(void *arg, int result);

/*
 * Add n valid tokens of one account in one transaction, or refresh those that are there:
 * their time becomes now (seconds), their place in the order stays. The account's stale
 * ones go.
 */
void tokens_add(struct store *s, struct span address, const struct span *token,
    size_t n, int64_t now, tokens_done *done, void *arg);

/*
 * The valid tokens joined by single blanks, oldest first; owned by the caller, "" if
 * there are none. NULL if the store failed. Reads on the loop.
 */
char *tokens_list(struct store *s, struct span address, int64_t now);

/* Delete what is stale, of all accounts. Nobody waits for it. */
void tokens_purge(struct store *s, int64_t now);

/*
 * For an operation's run(), on the writer: SQLITE_OK or why not.
 *
 * Insert a token that was sent at refreshed, unless it is there. Forget one; an unknown
 * one is no error. Forget all of an account.
 */
int tokens_row_import(
    sqlite3 *db, struct span address, struct span token, int64_t refreshed);
int tokens_row_delete(sqlite3 *db, struct span address, struct span token);
int tokens_rows_forget(sqlite3 *db, struct span address);

/* The valid tokens of one account, oldest first, with both connections. */
#define TOKENS_VALID                                                                   \
	"SELECT token FROM tokens WHERE address = ?1 AND refreshed > ?2"               \
	" AND refreshed < ?3 ORDER BY id"
void tokens_bind_valid(sqlite3_stmt *stmt, struct span address, int64_t now);

#endif
