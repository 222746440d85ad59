/* A copy of the database by SQLite itself: its log is part of what is copied. */
#include "chatmaild/store_copy.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 20000

static int vacuum_into(sqlite3 *db, const char *to)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, "VACUUM INTO ?1", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_text(stmt, 1, to, -1, SQLITE_STATIC);
	sqlite3_step(stmt);
	return sqlite3_finalize(stmt);
}

bool store_copy(const char *state_dir, const char *to, char *error, size_t size)
{
	sqlite3 *db = NULL;
	char *from;
	int rc;

	if (access(to, F_OK) == 0) {
		snprintf(error, size, "%s: is there already", to);
		return false;
	}
	if (asprintf(&from, "%s/chatmaild.sqlite", state_dir) < 0)
		abort();
	rc = sqlite3_open_v2(from, &db, SQLITE_OPEN_READWRITE, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
		rc = vacuum_into(db, to);
	}
	if (rc != SQLITE_OK)
		snprintf(error, size, "%s: %s", from, sqlite3_errmsg(db));
	sqlite3_close(db);
	free(from);
	return rc == SQLITE_OK;
}
