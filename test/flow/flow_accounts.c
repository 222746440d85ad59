/*
 * The built daemon is killed (SIGKILL) again and again while logins make accounts: every
 * account that a login was told of is there after the next start, with the same hash, and
 * so it is after the database was damaged or lost. An old relay's password database is taken
 * over before anybody logs in.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "test/flow/built.h"

#define LOGINS    40 /* at once, in each life of the daemon */
#define LIVES     5
#define ACCOUNTS  (LOGINS * LIVES)
#define REPLY_MAX 1024

struct flow {
	struct built built;
	char told[ACCOUNTS][REPLY_MAX]; /* the O lines that logins got; "" if none */
};

static struct flow *flow_create(void)
{
	struct flow *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	built_init(&f->built);
	return f;
}

static void flow_destroy(struct flow *f)
{
	built_deinit(&f->built);
	free(f);
}

/* A connection with the request of a login on it. */
static int login(const struct flow *f, unsigned account)
{
	char request[256];

	snprintf(request, sizeof(request),
	    "H3\t2\t0\t\tauth\nLshared/passdb/a long password\"number%03u@" BUILT_DOMAIN
	    "\tnumber%03u@" BUILT_DOMAIN "\n",
	    account, account);
	return built_send(&f->built, "auth.sock", request);
}

/* The line that came, or "" if the connection ended before it was whole. */
static void read_reply(int fd, char reply[REPLY_MAX])
{
	built_read(fd, "\n", reply, REPLY_MAX);
	close(fd);
	if (!strchr(reply, '\n'))
		reply[0] = '\0';
}

static void expect_all_told(struct flow *f)
{
	char reply[REPLY_MAX];

	for (unsigned i = 0; i < ACCOUNTS; i++) {
		if (f->told[i][0] == '\0')
			continue;
		read_reply(login(f, i), reply);
		assert_string_equal(reply, f->told[i]);
	}
}

/* One life: logins all at once, the kill when some are answered. */
static unsigned live_and_die(struct flow *f, unsigned life)
{
	unsigned first = life * LOGINS, told = 0;
	int fd[LOGINS];

	for (unsigned i = 0; i < LOGINS; i++)
		fd[i] = login(f, first + i);
	for (unsigned i = 0; i < LOGINS; i++) {
		if (i == 3 + 5 * life)
			built_kill(&f->built);
		read_reply(fd[i], f->told[first + i]);
		told += f->told[first + i][0] == 'O';
	}
	return told;
}

/* Nothing half: a directory has a whole password file or none. */
static void expect_nothing_half(const struct flow *f)
{
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		char name[64];
		struct stat st;
		char *path;

		snprintf(
		    name, sizeof(name), "mail/number%03u@" BUILT_DOMAIN "/password", i);
		path = built_path(&f->built, name);
		if (stat(path, &st) == 0)
			assert_int_equal(st.st_size, 120);
		free(path);
	}
}

static void killed_while_making(void **state)
{
	struct flow *f = flow_create();

	for (unsigned life = 0; life < LIVES; life++) {
		built_start(&f->built);
		expect_all_told(f);
		assert_true(live_and_die(f, life) >= 3);
		expect_nothing_half(f);
	}
	built_start(&f->built);
	expect_all_told(f);
	built_stop(&f->built);
	flow_destroy(f);
}

static void lose_file(const char *path)
{
	assert_return_code(unlink(path), errno);
}

static void spoil_file(const char *path)
{
	support_write_file(
	    path, span_of("not a database at all, and longer than a header "
			  "of one: 16 bytes and 84 more of them follow"));
}

static const struct damage_case {
	const char *name;
	void (*damage)(const char *path);
} damage_cases[] = {
	{ "lost", lose_file },
	{ "spoilt", spoil_file },
};

/* The mailbox directories are enough. */
static void database_damaged(void **state)
{
	const struct damage_case *c = *state;
	struct flow *f = flow_create();
	char *path;

	built_start(&f->built);
	for (unsigned i = 0; i < LOGINS; i++) {
		read_reply(login(f, i), f->told[i]);
		assert_int_equal(f->told[i][0], 'O');
	}
	built_stop(&f->built);
	path = built_path(&f->built, "state/chatmaild.sqlite");
	c->damage(path);
	free(path);
	built_start(&f->built);
	expect_all_told(f);
	built_stop(&f->built);
	flow_destroy(f);
}

#define OLD_HASH   "{SHA512-CRYPT}$6$old$relay"
#define LARGE_ROWS 5000

/* One that a login with any password would make, were it not in there. */
static void write_old_database(const struct flow *f)
{
	char *path = built_path(&f->built, "passdb.sqlite"), sql[512];
	sqlite3 *db;

	snprintf(sql, sizeof(sql),
	    "CREATE TABLE users (addr TEXT PRIMARY KEY, password TEXT NOT NULL,"
	    " last_login INTEGER); INSERT INTO users VALUES"
	    " ('number007@" BUILT_DOMAIN "', '" OLD_HASH "', %lld)",
	    (long long)time(NULL));
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(path);
}

static void wait_for_accounts(const struct flow *f, unsigned long n)
{
	const struct timespec pause = { .tv_nsec = 20000000 };

	for (int left = BUILT_DEADLINE_MS / 20; left > 0; left--) {
		if (built_metric(&f->built, "chatmail_accounts{kind=\"all\"}") == n)
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("not %lu accounts", n);
}

static void old_relay_is_taken_over(void **state)
{
	struct flow *f = flow_create();
	char reply[REPLY_MAX];

	/* There is a database of ours already, with another account. */
	built_start(&f->built);
	read_reply(login(f, 1), reply);
	assert_int_equal(reply[0], 'O');
	built_stop(&f->built);

	write_old_database(f);
	built_start(&f->built);
	read_reply(login(f, 7), reply);
	assert_non_null(strstr(reply, OLD_HASH));
	wait_for_accounts(f, 2);
	assert_false(built_has(&f->built, "passdb.sqlite"));
	assert_true(built_has(&f->built, "passdb.sqlite.old"));
	built_stop(&f->built);
	built_start(&f->built);
	wait_for_accounts(f, 2);
	built_stop(&f->built);
	flow_destroy(f);
}

/* Many accounts: number00000 and on, with a hash of their own each. */
static void write_large_database(const struct flow *f)
{
	char *path = built_path(&f->built, "passdb.sqlite"), sql[512];
	sqlite3 *db;

	snprintf(sql, sizeof(sql),
	    "CREATE TABLE users (addr TEXT PRIMARY KEY, password TEXT NOT NULL);"
	    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < "
	    "%d)"
	    " INSERT INTO users SELECT printf('number%%05d@" BUILT_DOMAIN "', i),"
	    " printf('" OLD_HASH "%%05d', i) FROM n",
	    LARGE_ROWS - 1);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(path);
}

static bool has_account(const struct flow *f, unsigned i)
{
	char name[64];

	snprintf(name, sizeof(name), "mail/number%05u@" BUILT_DOMAIN "/password", i);
	return built_has(&f->built, name);
}

/* A power cut in the middle: the database stays until all of it is taken over. */
static void killed_while_taking_over(void **state)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct flow *f = flow_create();
	char want[64];
	unsigned left = BUILT_DEADLINE_MS;

	write_large_database(f);
	built_launch(&f->built, &(struct built_start){ .option = NULL });
	while (!has_account(f, LARGE_ROWS / 20) && --left > 0)
		nanosleep(&pause, NULL);
	built_kill(&f->built);
	assert_true(built_has(&f->built, "passdb.sqlite"));
	assert_true(has_account(f, 0));
	assert_false(has_account(f, LARGE_ROWS - 1));

	built_start(&f->built);
	wait_for_accounts(f, LARGE_ROWS);
	assert_false(built_has(&f->built, "passdb.sqlite"));
	assert_true(built_has(&f->built, "passdb.sqlite.old"));
	for (unsigned i = 0; i < LARGE_ROWS; i += 97) {
		char name[64];
		struct support_text text;
		char *path;

		snprintf(
		    name, sizeof(name), "mail/number%05u@" BUILT_DOMAIN "/password", i);
		path = built_path(&f->built, name);
		text = support_read_file(path);
		snprintf(want, sizeof(want), OLD_HASH "%05u", i);
		assert_string_equal(text.data, want);
		free(text.data);
		free(path);
	}
	built_stop(&f->built);
	flow_destroy(f);
}

/* Another name of its own file does not mislead it. */
static void own_database_is_not_an_old_one(void **state)
{
	struct flow *f = flow_create();
	char *path = built_path(&f->built, "passdb.sqlite");
	char *own = built_path(&f->built, "state/chatmaild.sqlite");
	char reply[REPLY_MAX];

	built_start(&f->built);
	read_reply(login(f, 1), reply);
	assert_int_equal(reply[0], 'O');
	built_stop(&f->built);

	assert_return_code(link(own, path), errno);
	built_start(&f->built);
	wait_for_accounts(f, 1);
	assert_true(built_has(&f->built, "state/chatmaild.sqlite"));
	assert_true(built_has(&f->built, "passdb.sqlite"));
	assert_false(built_has(&f->built, "passdb.sqlite.old"));
	built_stop(&f->built);
	free(path);
	free(own);
	flow_destroy(f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(killed_while_making) },
		{ SUPPORT_TABLE(database_damaged, damage_cases) },
		{ SUPPORT_TEST(old_relay_is_taken_over) },
		{ SUPPORT_TEST(killed_while_taking_over) },
		{ SUPPORT_TEST(own_database_is_not_an_old_one) },
	};

	return support_run("flow_accounts", tests, ARRAY_LEN(tests));
}
