/*
 * The table "users" of the store: what warms the cache after a start. The mailbox
 * directories stay the truth; a row that is wrong or missing costs a file read.
 */
#ifndef CHATMAILD_USER_ROW_H
#define CHATMAILD_USER_ROW_H

#include "chatmaild/census.h"
#include "chatmaild/mailbox.h"
#include "proto/address.h"

#define USER_DAY_UNKNOWN INT64_MIN

struct user_row {
	char address[ADDRESS_MAX + 1];
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	int64_t
	    created_day; /* days since 1970, or USER_DAY_UNKNOWN: keep what is stored */
	int64_t last_login_day; /* the same */
};

/*
 * Insert or replace n rows; changes gets one for each, for census_apply() once it is
 * durable. For an operation's run(): SQLITE_OK or why not.
 */
int user_rows_write(
    sqlite3 *db, const struct user_row *rows, size_t n, struct census_change *changes);

/* Forget an account; none of that name is fine. */
int user_row_delete(sqlite3 *db, const char *address, struct census_change *change);

/* Note that every mailbox directory has been read: the table is complete from now on.
 */
int user_rows_complete(sqlite3 *db);

/*
 * Reading, with a statement of store_prepare(). USER_ROWS_AFTER gives up to ?2 rows
 * with an address above ?1, in order; USER_ROW_OF the one of ?1.
 */
#define USER_ROW_COLUMNS "SELECT address, hash, inode, size, ctime_ns FROM users "
#define USER_ROWS_AFTER  USER_ROW_COLUMNS "WHERE address > ?1 ORDER BY address LIMIT ?2"
#define USER_ROW_OF      USER_ROW_COLUMNS "WHERE address = ?1"

/* The row that stmt stands at, days unset; false if it does not hold what we wrote. */
bool user_row_get(sqlite3_stmt *stmt, struct user_row *row);

#endif
