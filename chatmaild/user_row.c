/*
 * SQL of the users table.
 */
#include "chatmaild/user_row.h"

/* A later hash and stamp win; a day that is not known keeps the one that is. */
#define WRITE                                                                          \
	"INSERT INTO users (address, hash, inode, size, ctime_ns, created_day,"        \
	" last_login_day) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"                         \
	" ON CONFLICT (address) DO UPDATE SET hash = excluded.hash,"                   \
	" inode = excluded.inode, size = excluded.size, ctime_ns = excluded.ctime_ns," \
	" created_day = coalesce(excluded.created_day, created_day),"                  \
	" last_login_day = coalesce(excluded.last_login_day, last_login_day)"

static void bind_day(sqlite3_stmt *stmt, int column, int64_t day)
{
	if (day == USER_DAY_UNKNOWN)
		sqlite3_bind_null(stmt, column);
	else
		sqlite3_bind_int64(stmt, column, day);
}

int user_rows_write(sqlite3 *db, const struct user_row *rows, size_t n)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, WRITE, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	for (size_t i = 0; i < n; i++) {
		const struct user_row *row = &rows[i];

		sqlite3_bind_text(stmt, 1, row->address, -1, SQLITE_STATIC);
		sqlite3_bind_text(stmt, 2, row->hash, -1, SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 3, (int64_t)row->stamp.inode);
		sqlite3_bind_int64(stmt, 4, row->stamp.size);
		sqlite3_bind_int64(stmt, 5, row->stamp.ctime_ns);
		bind_day(stmt, 6, row->created_day);
		bind_day(stmt, 7, row->last_login_day);
		if (sqlite3_step(stmt) != SQLITE_DONE)
			break;
		sqlite3_reset(stmt);
	}
	return sqlite3_finalize(stmt);
}

int user_row_delete(sqlite3 *db, const char *address)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(
	    db, "DELETE FROM users WHERE address = ?1", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_text(stmt, 1, address, -1, SQLITE_STATIC);
	return store_finish(stmt);
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
