/*
 * SQL of the users table.
 */
#include "chatmaild/user_row.h"

/* The day that an account counts for; below 0 is CENSUS_NONE's. */
#define DAY "max(coalesce(last_login_day, created_day, 0), 0)"

/* A later hash and stamp win; a day that is not known keeps the one that is. */
#define WRITE                                                                          \
	"INSERT INTO users (address, hash, inode, size, ctime_ns, created_day,"        \
	" last_login_day) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"                         \
	" ON CONFLICT (address) DO UPDATE SET hash = excluded.hash,"                   \
	" inode = excluded.inode, size = excluded.size, ctime_ns = excluded.ctime_ns," \
	" created_day = coalesce(excluded.created_day, created_day),"                  \
	" last_login_day = coalesce(excluded.last_login_day, last_login_day)"          \
	" RETURNING " DAY
#define DAY_OF "SELECT " DAY " FROM users WHERE address = ?1"
#define DELETE "DELETE FROM users WHERE address = ?1 RETURNING " DAY

static void bind_day(sqlite3_stmt *stmt, int column, int64_t day)
{
	if (day == USER_DAY_UNKNOWN)
		sqlite3_bind_null(stmt, column);
	else
		sqlite3_bind_int64(stmt, column, day);
}

static void bind_row(sqlite3_stmt *stmt, const struct user_row *row)
{
	sqlite3_bind_text(stmt, 1, row->address, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, row->hash, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, (int64_t)row->stamp.inode);
	sqlite3_bind_int64(stmt, 4, row->stamp.size);
	sqlite3_bind_int64(stmt, 5, row->stamp.ctime_ns);
	bind_day(stmt, 6, row->created_day);
	bind_day(stmt, 7, row->last_login_day);
}

/* Step to the end; *day gets what the row has, CENSUS_NONE without one. */
static bool take_day(sqlite3_stmt *stmt, int64_t *day)
{
	int rc;

	*day = CENSUS_NONE;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		*day = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE;
}

int user_rows_write(
    sqlite3 *db, const struct user_row *rows, size_t n, struct census_change *changes)
{
	sqlite3_stmt *write = NULL, *day_of = NULL;
	int rc = sqlite3_prepare_v2(db, WRITE, -1, &write, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, DAY_OF, -1, &day_of, NULL);
	for (size_t i = 0; rc == SQLITE_OK && i < n; i++) {
		struct census_change *change = &changes[i];

		change->kind = account_kind(span_of(rows[i].address));
		sqlite3_bind_text(day_of, 1, rows[i].address, -1, SQLITE_STATIC);
		bind_row(write, &rows[i]);
		if (!take_day(day_of, &change->before) ||
		    !take_day(write, &change->after))
			rc = sqlite3_errcode(db);
	}
	sqlite3_finalize(day_of);
	sqlite3_finalize(write);
	return rc;
}

int user_row_delete(sqlite3 *db, const char *address, struct census_change *change)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, DELETE, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_text(stmt, 1, address, -1, SQLITE_STATIC);
	change->kind = account_kind(span_of(address));
	change->after = CENSUS_NONE;
	if (!take_day(stmt, &change->before))
		rc = sqlite3_errcode(db);
	sqlite3_finalize(stmt);
	return rc;
}

int user_rows_complete(sqlite3 *db)
{
	return sqlite3_exec(db,
	    "INSERT OR REPLACE INTO meta (key, value) VALUES ('users_rebuilt', 1)",
	    NULL, NULL, NULL);
}

static bool column_text(sqlite3_stmt *stmt, int column, char *buf, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	size_t len = (size_t)sqlite3_column_bytes(stmt, column);

	if (!text || len >= size || strlen(text) != len)
		return false;
	memcpy(buf, text, len + 1);
	return true;
}

bool user_row_get(sqlite3_stmt *stmt, struct user_row *row)
{
	if (!column_text(stmt, 0, row->address, sizeof(row->address)) ||
	    !column_text(stmt, 1, row->hash, sizeof(row->hash)))
		return false;
	row->stamp.inode = (uint64_t)sqlite3_column_int64(stmt, 2);
	row->stamp.size = sqlite3_column_int64(stmt, 3);
	row->stamp.ctime_ns = sqlite3_column_int64(stmt, 4);
	row->created_day = row->last_login_day = USER_DAY_UNKNOWN;
	return address_is_path(span_of(row->address)) &&
	       password_is_hash(span_of(row->hash));
}
