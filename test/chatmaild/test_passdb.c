/* chatmaild/passdb.c: an old relay's password database, taken over and moved aside. */
#include "chatmaild/passdb.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/log.h"
#include "chatmaild/mailbox.h"
#include "chatmaild/store.h"
#include "test/support.h"

#define ONE  "oneoneone@chat.example"
#define TWO  "twotwotwo@chat.example"
#define NOW  1700000000
#define HASH "{SHA512-CRYPT}$6$salt$hash"

#define PYTHON_TABLE                                                                   \
	"CREATE TABLE users (addr TEXT PRIMARY KEY, password TEXT NOT NULL,"           \
	" last_login INTEGER);"

struct old {
	char *dir, *path, *moved, *mailboxes;
	struct passdb_totals totals;
};

static void old_init(struct old *o)
{
	*o = (struct old){ .dir = support_tmpdir() };
	o->path = support_path(o->dir, "passdb.sqlite");
	o->moved = support_path(o->dir, "passdb.sqlite.old");
	o->mailboxes = support_path(o->dir, "home/mail");
}

static void old_deinit(struct old *o)
{
	support_tmpdir_remove(o->dir);
	free(o->path);
	free(o->moved);
	free(o->mailboxes);
}

static sqlite3 *database(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	return db;
}

static bool import(struct old *o)
{
	return passdb_import(o->path, o->mailboxes, NOW, &o->totals);
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Whole contents of a file of an account; "" if it is not there. free() it. */
static char *account_file(const struct old *o, const char *address, const char *name)
{
	struct support_text text;
	char *path;

	assert_true(asprintf(&path, "%s/%s/%s", o->mailboxes, address, name) > 0);
	if (!is_there(path)) {
		free(path);
		return strdup("");
	}
	text = support_read_file(path);
	free(path);
	return text.data;
}

static void assert_password(const struct old *o, const char *address, const char *want)
{
	char *got = account_file(o, address, "password");

	assert_string_equal(got, want);
	free(got);
}

static int64_t last_login(const struct old *o, const char *address)
{
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	int64_t when = -1;

	assert_int_equal(
	    mailbox_read(o->mailboxes, address, hash, &stamp, &when), MAILBOX_USABLE);
	return when;
}

static void nothing_there_is_nothing(void **state)
{
	struct old o;

	old_init(&o);
	assert_false(import(&o));
	assert_false(is_there(o.mailboxes));
	old_deinit(&o);
}

static void accounts_are_made(void **state)
{
	struct mailbox_stamp stamp;
	char *flag;
	struct stat st;
	struct old o;

	old_init(&o);
	sqlite3_close(database(o.path, PYTHON_TABLE
	    "INSERT INTO users VALUES ('" ONE "', '" HASH "1', 1600000123),"
	    "('" TWO "', '" HASH "2', NULL),"
	    "('ci-123456@chat.example', '" HASH "', 1),"
	    "('ac_123456@chat.example', '" HASH "', 1)"));
	assert_true(import(&o));
	assert_int_equal(o.totals.passwords, 2);
	assert_int_equal(o.totals.tests, 2);
	assert_password(&o, ONE, HASH "1");
	assert_password(&o, TWO, HASH "2");
	assert_int_equal(last_login(&o, ONE), 1600000123 - 1600000123 % 86400);
	assert_true(last_login(&o, TWO) > NOW); /* the present */
	assert_true(mailbox_enforces(o.mailboxes, ONE));
	flag = support_path(o.dir, "home/mail/" ONE);
	assert_int_equal(stat(flag, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	free(flag);
	assert_int_equal(mailbox_stat(o.mailboxes, "ci-123456@chat.example", &stamp),
	    MAILBOX_ABSENT);

	/* Once: it is aside, and whole. */
	assert_false(is_there(o.path));
	assert_true(is_there(o.moved));
	assert_false(import(&o));
	old_deinit(&o);
}

/* One bad or odd row each; a good one behind it comes over all the same. */
static const struct row_case {
	const char *name, *row;
	uint64_t invalid, blocked;
	const char *address, *password; /* what there is afterwards, or NULL */
} row_cases[] = {
	{ "a path", "('../../evil@chat.example', '" HASH "', 1)", 1, 0, NULL, NULL },
	{ "a slash", "('a/b@chat.example', '" HASH "', 1)", 1, 0, NULL, NULL },
	{ "no at", "('pending_notifications', '" HASH "', 1)", 1, 0, NULL, NULL },
	{ "empty", "('', '" HASH "', 1)", 1, 0, NULL, NULL },
	{ "null", "(NULL, '" HASH "', 1)", 1, 0, NULL, NULL },
	{ "hidden", "('.a@chat.example', '" HASH "', 1)", 1, 0, NULL, NULL },
	{ "line feed", "('a' || char(10) || 'b@chat.example', '" HASH "', 1)", 1, 0,
	    NULL, NULL },
	{ "a NUL", "(CAST(x'614000' AS TEXT), '" HASH "', 1)", 1, 0, NULL, NULL },
	{ "too long", "(printf('%.*c', 300, 'a') || '@b', '" HASH "', 1)", 1, 0, NULL,
	    NULL },
	{ "no hash", "('" ONE "', 'secret', 1)", 0, 1, ONE,
	    "blocked: the old database has no password hash" },
	{ "empty hash", "('" ONE "', '', 1)", 0, 1, ONE,
	    "blocked: the old database has no password hash" },
	{ "a hash too long", "('" ONE "', '{X}' || printf('%.*c', 4000, 'a'), 1)", 0, 1,
	    ONE, "blocked: the old database has no password hash" },
	{ "a number for a hash", "('" ONE "', 17, 1)", 0, 1, ONE,
	    "blocked: the old database has no password hash" },
	{ "a text for a time", "('" ONE "', '" HASH "', 'never')", 0, 0, ONE, HASH },
	{ "a negative time", "('" ONE "', '" HASH "', -5)", 0, 0, ONE, HASH },
	{ "a time to come", "('" ONE "', '" HASH "', 99999999999)", 0, 0, ONE, HASH },
};

static void rows(void **state)
{
	const struct row_case *c = *state;
	char sql[2048];
	struct old o;

	old_init(&o);
	snprintf(sql, sizeof(sql),
	    "CREATE TABLE users (addr, password, last_login);"
	    "INSERT INTO users VALUES %s, ('" TWO "', '" HASH "', 86400)",
	    c->row);
	sqlite3_close(database(o.path, sql));
	assert_true(import(&o));
	assert_int_equal(o.totals.invalid, c->invalid);
	assert_int_equal(o.totals.blocked, c->blocked);
	assert_int_equal(o.totals.passwords, c->address ? 2 : 1);
	assert_password(&o, TWO, HASH);
	if (c->address)
		assert_password(&o, c->address, c->password);
	if (c->address && c->blocked == 0)
		assert_true(last_login(&o, c->address) <= time(NULL));
	old_deinit(&o);
}

static void two_columns_are_enough(void **state)
{
	struct old o;

	old_init(&o);
	sqlite3_close(
	    database(o.path, "CREATE TABLE users (addr TEXT, password TEXT);"
			     "INSERT INTO users VALUES ('" ONE "', '" HASH "')"));
	assert_true(import(&o));
	assert_password(&o, ONE, HASH);
	old_deinit(&o);
}

static void write_account(const struct old *o, const char *address, const char *text)
{
	struct mailbox_stamp stamp;
	char *path;

	assert_int_equal(mailbox_make(o->mailboxes, address, HASH, &stamp), 0);
	assert_true(asprintf(&path, "%s/%s/password", o->mailboxes, address) > 0);
	support_write_file(path, span_of(text));
	free(path);
}

/* It may reappear out of a backup: it counts, but not against an operator's block. */
static void accounts_that_are_there(void **state)
{
	char *path;
	struct old o;

	old_init(&o);
	write_account(&o, ONE, HASH "before");
	assert_true(asprintf(&path, "%s/" ONE "/enforceE2EEincoming", o.mailboxes) > 0);
	assert_int_equal(unlink(path), 0);
	free(path);
	write_account(&o, TWO, "locked by hand");
	sqlite3_close(database(o.path,
	    PYTHON_TABLE "INSERT INTO users VALUES ('" ONE "', '" HASH "', 86400),"
			 "('" TWO "', '" HASH "', 86400)"));
	support_write_file(o.moved, span_of("an earlier one"));
	assert_true(import(&o));
	assert_password(&o, ONE, HASH);
	assert_false(mailbox_enforces(o.mailboxes, ONE)); /* as it was */
	assert_password(&o, TWO, "locked by hand");

	/* Nothing is written over. */
	path = support_path(o.dir, "passdb.sqlite.old.1700000000");
	assert_true(is_there(path));
	free(path);
	old_deinit(&o);
}

/* The last changes are in the write-ahead log only; nobody closed it. */
static void log_beside_goes_along(void **state)
{
	char *wal, *moved_wal, *shm, *copy;
	struct support_text text;
	sqlite3 *db;
	struct old o;

	old_init(&o);
	copy = support_path(o.dir, "source.sqlite");
	db = database(copy, "PRAGMA journal_mode=WAL;" PYTHON_TABLE);
	sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
	assert_int_equal(
	    sqlite3_exec(db, "INSERT INTO users VALUES ('" ONE "', '" HASH "', 86400)",
		NULL, NULL, NULL),
	    SQLITE_OK);
	/* What a killed process leaves. */
	text = support_read_file(copy);
	support_write_file(o.path, span_make(text.data, text.len));
	free(text.data);
	free(copy);
	copy = support_path(o.dir, "source.sqlite-wal");
	text = support_read_file(copy);
	wal = support_path(o.dir, "passdb.sqlite-wal");
	support_write_file(wal, span_make(text.data, text.len));
	free(text.data);
	free(copy);
	sqlite3_close(db);

	assert_true(import(&o));
	assert_password(&o, ONE, HASH);
	moved_wal = support_path(o.dir, "passdb.sqlite.old-wal");
	shm = support_path(o.dir, "passdb.sqlite-shm");
	assert_false(is_there(wal));
	assert_false(is_there(shm));
	assert_true(is_there(moved_wal));

	/* The row is in what was moved. */
	db = database(o.moved, "CREATE TEMP TABLE t AS SELECT * FROM users");
	assert_int_equal(
	    sqlite3_exec(db, "INSERT INTO users SELECT addr, '', 1 FROM users", NULL,
		NULL, NULL),
	    SQLITE_CONSTRAINT); /* its key is taken */
	sqlite3_close(db);
	free(wal);
	free(moved_wal);
	free(shm);
	old_deinit(&o);
}

static const struct refused_case {
	const char *name, *sql; /* NULL: bytes that are no database */
} refused_cases[] = {
	{ "no database", NULL },
	{ "no table", "CREATE TABLE others (a, b, c)" },
	{ "one column", "CREATE TABLE users (addr TEXT)" },
	{ "our own",
	    PYTHON_TABLE "INSERT INTO users VALUES ('" ONE "', '" HASH "', 86400);"
			 "PRAGMA application_id=0x43686d64" },
};

static void refused(void **state)
{
	const struct refused_case *c = *state;
	struct mailbox_stamp stamp;
	struct old o;

	assert_int_equal(STORE_APPLICATION_ID, 0x43686d64);
	old_init(&o);
	if (c->sql)
		sqlite3_close(database(o.path, c->sql));
	else
		support_write_file(
		    o.path, span_of("this is not a database, it is a text"));
	assert_false(import(&o));
	assert_true(is_there(o.path));
	assert_false(is_there(o.moved));
	assert_int_equal(mailbox_stat(o.mailboxes, ONE, &stamp), MAILBOX_ABSENT);
	old_deinit(&o);
}

#define MANY 3000

static void fill(sqlite3 *db, unsigned n)
{
	char sql[512];

	snprintf(sql, sizeof(sql),
	    "WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i"
	    " WHERE n + 1 < %u) INSERT INTO users"
	    " SELECT printf('user%%06d@chat.example', n), '" HASH "', 86400 * n FROM i",
	    n);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* Pages in its middle are overwritten: what could be read stays, the file too. */
static void damaged(void **state)
{
	char junk[64 * 1024];
	struct old o;
	struct stat st;
	sqlite3 *db;
	int fd;

	old_init(&o);
	db = database(o.path, PYTHON_TABLE);
	fill(db, MANY);
	sqlite3_close(db);
	assert_int_equal(stat(o.path, &st), 0);
	memset(junk, 0x5a, sizeof(junk));
	fd = open(o.path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(
	    pwrite(fd, junk, sizeof(junk), st.st_size / 2), (ssize_t)sizeof(junk));
	close(fd);
	assert_false(import(&o));
	assert_true(is_there(o.path));
	assert_false(is_there(o.moved));
	assert_true(o.totals.passwords < MANY);
	old_deinit(&o);
}

static void many(void **state)
{
	const char *wanted = getenv("PASSDB_ROWS");
	unsigned n = wanted ? (unsigned)atoi(wanted) : MANY;
	sqlite3 *db;
	struct old o;

	old_init(&o);
	db = database(o.path, PYTHON_TABLE);
	fill(db, n);
	sqlite3_close(db);
	assert_true(import(&o));
	assert_int_equal(o.totals.passwords, n);
	assert_password(&o, "user000000@chat.example", HASH);
	assert_password(&o, "user002999@chat.example", HASH);
	assert_int_equal(last_login(&o, "user001900@chat.example"), 86400 * 1900);
	old_deinit(&o);
}

/* A directory that is somebody else's link is not gone through; the rest comes over. */
static void link_for_an_account(void **state)
{
	char *path, *victim;
	struct old o;

	old_init(&o);
	sqlite3_close(database(o.path,
	    PYTHON_TABLE "INSERT INTO users VALUES ('" ONE "', '" HASH "', 86400),"
			 "('" TWO "', '" HASH "', 86400)"));
	close(mailbox_open_all(o.mailboxes));
	victim = support_path(o.dir, "victim");
	assert_int_equal(mkdir(victim, 0700), 0);
	assert_true(asprintf(&path, "%s/" ONE, o.mailboxes) > 0);
	assert_int_equal(symlink(victim, path), 0);
	assert_false(import(&o)); /* tried again at the next start */
	assert_int_equal(o.totals.failed, 1);
	assert_password(&o, TWO, HASH);
	assert_true(is_there(o.path));
	assert_int_equal(rmdir(victim), 0); /* nothing was put into it */
	free(path);
	free(victim);
	old_deinit(&o);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(nothing_there_is_nothing) },
		{ SUPPORT_TEST(accounts_are_made) },
		{ SUPPORT_TABLE(rows, row_cases) },
		{ SUPPORT_TEST(two_columns_are_enough) },
		{ SUPPORT_TEST(accounts_that_are_there) },
		{ SUPPORT_TEST(log_beside_goes_along) },
		{ SUPPORT_TABLE(refused, refused_cases) },
		{ SUPPORT_TEST(damaged) },
		{ SUPPORT_TEST(many) },
		{ SUPPORT_TEST(link_for_an_account) },
	};

	return support_run("passdb", tests, ARRAY_LEN(tests));
}
