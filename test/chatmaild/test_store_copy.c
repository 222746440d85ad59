/* A copy of the database, whole although its log was never written back. */
#include "chatmaild/store_copy.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test/support.h"

struct place {
	char *dir, *from, *to;
};

static struct place begin(void)
{
	struct place p = { .dir = support_tmpdir() };

	p.from = support_path(p.dir, "chatmaild.sqlite");
	p.to = support_path(p.dir, "copy");
	return p;
}

static void end(struct place *p)
{
	free(p->from);
	free(p->to);
	support_tmpdir_remove(p->dir);
}

static void run_sql(sqlite3 *db, const char *sql)
{
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int number(const char *path, const char *sql)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int n;

	assert_int_equal(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

static void copies_what_is_in_use(void **state)
{
	struct place p = begin();
	char error[256];
	sqlite3 *db;

	assert_int_equal(sqlite3_open(p.from, &db), SQLITE_OK);
	run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;"
		    "PRAGMA application_id = 77; PRAGMA user_version = 5;"
		    "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (3)");
	/* A change that is under way is no part of it, and does not wait. */
	run_sql(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (4)");
	if (!store_copy(p.dir, p.to, error, sizeof(error)))
		fail_msg("%s", error);
	run_sql(db, "COMMIT");
	assert_int_equal(number(p.to, "SELECT count(*) FROM t"), 3);
	assert_int_equal(number(p.to, "PRAGMA application_id"), 77);
	assert_int_equal(number(p.to, "PRAGMA user_version"), 5);
	sqlite3_close(db);
	end(&p);
}

static void replaces_nothing(void **state)
{
	struct place p = begin();
	char error[256];

	support_write_file(p.to, span_of("precious"));
	assert_false(store_copy(p.dir, p.to, error, sizeof(error)));
	assert_non_null(strstr(error, "is there already"));
	end(&p);
}

static void no_database(void **state)
{
	struct place p = begin();
	char error[256];

	assert_false(store_copy(p.dir, p.to, error, sizeof(error)));
	assert_non_null(strstr(error, "chatmaild.sqlite"));
	assert_int_equal(access(p.from, F_OK), -1);
	support_write_file(p.from, span_of("this is no database at all, not at all"));
	assert_false(store_copy(p.dir, p.to, error, sizeof(error)));
	end(&p);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(copies_what_is_in_use) },
		{ SUPPORT_TEST(replaces_nothing) },
		{ SUPPORT_TEST(no_database) },
	};

	return support_run("store_copy", tests, ARRAY_LEN(tests));
}
