/* chatmaild/store.c on real files: what is damaged, foreign, locked, too new. */
#include "chatmaild/store.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/support.h"

struct fixture {
	struct event_base *base;
	char *dir, *file;
	bool fresh;
};

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){ .base = event_base_new(), .dir = support_tmpdir() };
	f->file = support_path(f->dir, STORE_FILE);
}

static void fixture_deinit(struct fixture *f)
{
	event_base_free(f->base);
	free(f->file);
	support_tmpdir_remove(f->dir);
}

static struct store *open_store(struct fixture *f)
{
	return store_open(f->base, f->dir, &f->fresh);
}

static void sql(const char *file, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static unsigned files_with(const char *dir, const char *part)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += strstr(e->d_name, part) != NULL;
	closedir(d);
	return n;
}

struct insert {
	struct store_op op;
	const char *sql;
	int result;
	unsigned *left;
};

static int insert_run(struct store_op *op, sqlite3 *db)
{
	const struct insert *i = (const struct insert *)op;

	return sqlite3_exec(db, i->sql, NULL, NULL, NULL);
}

static void insert_done(struct store_op *op, int result)
{
	struct insert *i = (struct insert *)op;

	i->result = result;
	--*i->left;
}

static void submit(struct store *s, struct insert *i, const char *text, unsigned *left)
{
	*i = (struct insert){ .op = { .run = insert_run, .done = insert_done },
		.sql = text,
		.left = left };
	++*left;
	store_submit(s, &i->op);
}

static bool none_left(void *arg)
{
	const unsigned *left = arg;

	return *left == 0;
}

#define ADD(key) "INSERT INTO meta VALUES ('" key "', 1)"

static int count_meta(struct store *s, const char *key)
{
	sqlite3_stmt *stmt =
	    store_prepare(s, "SELECT count(*) FROM meta WHERE key = ?1");
	int n;

	sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

static void new_file(void **state)
{
	struct fixture f;
	struct store *s;
	struct stat st;

	fixture_init(&f);
	s = open_store(&f);
	assert_non_null(s);
	assert_true(f.fresh);
	assert_int_equal(stat(f.file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	store_close(s);

	sql(f.file, ADD("users_rebuilt"));
	s = open_store(&f);
	assert_non_null(s);
	assert_false(f.fresh);
	store_close(s);
	fixture_deinit(&f);
}

static void makes_its_directory(void **state)
{
	struct fixture f;
	struct store *s;
	char *deeper;

	fixture_init(&f);
	deeper = support_path(f.dir, "state");
	s = store_open(f.base, deeper, &f.fresh);
	assert_non_null(s);
	store_close(s);
	free(deeper);
	fixture_deinit(&f);
}

static void failing_op_spoils_no_other(void **state)
{
	struct insert good, twice, nonsense, last;
	unsigned left = 0;
	struct fixture f;
	struct store *s;

	fixture_init(&f);
	s = open_store(&f);
	submit(s, &good, ADD("a"), &left);
	submit(s, &twice, ADD("b") ";" ADD("a"), &left);
	submit(s, &nonsense, "INSERT INTO nowhere VALUES (1)", &left);
	submit(s, &last, ADD("c"), &left);
	support_loop(f.base, none_left, &left);

	assert_int_equal(good.result, SQLITE_OK);
	assert_int_equal(twice.result & 0xff, SQLITE_CONSTRAINT);
	assert_int_equal(nonsense.result, SQLITE_ERROR);
	assert_int_equal(last.result, SQLITE_OK);
	assert_int_equal(count_meta(s, "a"), 1);
	assert_int_equal(count_meta(s, "b"), 0);
	assert_int_equal(count_meta(s, "c"), 1);
	store_close(s);
	fixture_deinit(&f);
}

static void close_commits(void **state)
{
	struct insert queued[20];
	unsigned left = 0;
	struct fixture f;
	struct store *s;

	fixture_init(&f);
	s = open_store(&f);
	for (size_t i = 0; i < ARRAY_LEN(queued); i++)
		submit(s, &queued[i], "INSERT OR REPLACE INTO meta VALUES ('x', 1)",
		    &left);
	store_close(s);
	assert_int_equal(left, 0);
	for (size_t i = 0; i < ARRAY_LEN(queued); i++)
		assert_int_equal(queued[i].result, SQLITE_OK);
	s = open_store(&f);
	assert_int_equal(count_meta(s, "x"), 1);
	store_close(s);
	fixture_deinit(&f);
}

/* Another process holds the write lock: operations fail, none is half done. */
static void locked_while_running(void **state)
{
	struct insert blocked, after;
	unsigned left = 0;
	struct fixture f;
	struct store *s;
	sqlite3 *other;

	fixture_init(&f);
	s = open_store(&f);
	assert_int_equal(sqlite3_open(f.file, &other), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	submit(s, &blocked, ADD("blocked"), &left);
	support_loop(f.base, none_left, &left);
	assert_int_equal(blocked.result & 0xff, SQLITE_BUSY);

	sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
	submit(s, &after, ADD("after"), &left);
	support_loop(f.base, none_left, &left);
	assert_int_equal(after.result, SQLITE_OK);
	assert_int_equal(count_meta(s, "blocked"), 0);
	sqlite3_close(other);
	store_close(s);
	fixture_deinit(&f);
}

static void locked_at_start(void **state)
{
	struct fixture f;
	sqlite3 *other;

	fixture_init(&f);
	store_close(open_store(&f));
	assert_int_equal(sqlite3_open(f.file, &other), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(other,
		"PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; INSERT INTO "
		"meta VALUES ('x', 1)",
		NULL, NULL, NULL),
	    SQLITE_OK);
	assert_null(open_store(&f));
	assert_int_equal(files_with(f.dir, "corrupt"), 0);
	sqlite3_close(other);
	fixture_deinit(&f);
}

static void make_text(const char *file)
{
	support_write_file(
	    file, span_of("this is no database, but long enough for one; "
			  "it goes on and on and on and on and on"));
}

static void make_empty(const char *file)
{
	support_write_file(file, span_of(""));
}

static void make_foreign(const char *file)
{
	sql(file, "CREATE TABLE users (addr TEXT, password TEXT)");
}

static void make_overwritten(const char *file)
{
	struct support_text text;

	sql(file, "PRAGMA journal_mode=DELETE");
	text = support_read_file(file);
	memset(text.data + 100, 0xa5, text.len - 100);
	support_write_file(file, span_make(text.data, text.len));
	free(text.data);
}

static void make_cut(const char *file)
{
	struct support_text text;

	sql(file, "PRAGMA journal_mode=DELETE");
	text = support_read_file(file);
	support_write_file(file, span_make(text.data, 4096));
	free(text.data);
}

/* What the daemon itself leaves when it meets damage while running. */
static void make_marked(const char *file)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s.damaged", file);
	support_write_file(path, span_of(""));
}

static const struct bad_case {
	const char *name;
	bool ours_first;
	void (*make)(const char *file);
	unsigned moved; /* files */
} bad_cases[] = {
	{ "no database", false, make_text, 1 },
	{ "empty file is a new one", false, make_empty, 0 },
	{ "database of somebody else", false, make_foreign, 1 },
	{ "pages overwritten", true, make_overwritten, 1 },
	{ "pages missing", true, make_cut, 1 },
	{ "marked as damaged", true, make_marked, 1 },
};

static void bad_file(void **state)
{
	const struct bad_case *c = *state;
	struct insert insert;
	unsigned left = 0;
	struct fixture f;
	struct store *s;

	fixture_init(&f);
	if (c->ours_first) {
		store_close(open_store(&f));
		sql(f.file, ADD("users_rebuilt"));
	}
	c->make(f.file);
	s = open_store(&f);
	assert_non_null(s);
	assert_true(f.fresh);
	assert_true(files_with(f.dir, ".corrupt-") >= c->moved);
	assert_int_equal(files_with(f.dir, ".corrupt-") > 0, c->moved > 0);
	assert_int_equal(files_with(f.dir, ".damaged"), 0);
	submit(s, &insert, ADD("a"), &left);
	support_loop(f.base, none_left, &left);
	assert_int_equal(insert.result, SQLITE_OK);
	store_close(s);
	fixture_deinit(&f);
}

static void newer_version(void **state)
{
	struct fixture f;

	fixture_init(&f);
	store_close(open_store(&f));
	sql(f.file, "PRAGMA user_version=1000");
	assert_null(open_store(&f));
	assert_int_equal(files_with(f.dir, "corrupt"), 0);
	fixture_deinit(&f);
}

static void no_place(void **state)
{
	struct fixture f;
	char *path;

	fixture_init(&f);
	path = support_path(f.dir, "file");
	support_write_file(path, span_of(""));
	assert_null(store_open(f.base, path, &f.fresh));
	free(path);
	fixture_deinit(&f);
}

/* Damage met by a read is noted for the next start. */
static void damage_found_later(void **state)
{
	struct fixture f;
	struct store *s;

	fixture_init(&f);
	s = open_store(&f);
	store_check(s, SQLITE_OK);
	store_check(s, SQLITE_BUSY);
	assert_int_equal(files_with(f.dir, ".damaged"), 0);
	store_check(s, SQLITE_CORRUPT);
	store_check(s, SQLITE_CORRUPT);
	assert_int_equal(files_with(f.dir, ".damaged"), 1);
	store_close(s);
	s = open_store(&f);
	assert_non_null(s);
	assert_true(files_with(f.dir, ".corrupt-") > 0);
	store_close(s);
	fixture_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(new_file) },
		{ SUPPORT_TEST(makes_its_directory) },
		{ SUPPORT_TEST(failing_op_spoils_no_other) },
		{ SUPPORT_TEST(close_commits) },
		{ SUPPORT_TEST(locked_while_running) },
		{ SUPPORT_TEST(locked_at_start) },
		{ SUPPORT_TABLE(bad_file, bad_cases) },
		{ SUPPORT_TEST(newer_version) },
		{ SUPPORT_TEST(no_place) },
		{ SUPPORT_TEST(damage_found_later) },
	};

	return support_run("store", tests, ARRAY_LEN(tests));
}
