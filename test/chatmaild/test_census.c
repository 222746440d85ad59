/* chatmaild/census.c: counted by the rows that are written, the same after a restart. */
#include "chatmaild/census.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "test/chatmaild/accounts.h"

#define DAY 86400

static const struct kind_case {
	const char *name, *address;
	enum account_kind kind;
} kind_cases[] = {
	{ "plain", "abcdefghi@chat.example", ACCOUNT_PLAIN },
	{ "ci", "ci-asllkj@chat.example", ACCOUNT_CI },
	{ "old ci", "ac_12l3kj@chat.example", ACCOUNT_AC },
	{ "ci without its hyphen", "ciasllkj1@chat.example", ACCOUNT_PLAIN },
	{ "ci in the middle", "xci-sllkj@chat.example", ACCOUNT_PLAIN },
	{ "shorter than a prefix", "ci", ACCOUNT_PLAIN },
};

static void kind(void **state)
{
	const struct kind_case *c = *state;

	assert_int_equal(account_kind(span_of(c->address)), c->kind);
}

static struct census_gauges read_gauges(struct accounts *a, int64_t now)
{
	struct census_gauges g;

	census_read(users_census(a->d.users), now, &g);
	return g;
}

static bool counted_three(void *arg)
{
	return read_gauges(arg, time(NULL)).all == 3;
}

static void made_found_and_forgotten(void **state)
{
	const int64_t now = time(NULL);
	char hash[PASSWORD_HASH_MAX];
	struct census_gauges g;
	struct accounts a;

	accounts_init(&a);
	assert_int_equal(
	    accounts_make(&a, "abcdefghi@" DOMAIN, "secret-password", hash),
	    USERS_FOUND);
	assert_int_equal(
	    accounts_make(&a, "ci-defghi@" DOMAIN, "secret-password", hash),
	    USERS_FOUND);
	assert_int_equal(
	    accounts_make(&a, "ac_defghi@" DOMAIN, "secret-password", hash),
	    USERS_FOUND);
	g = read_gauges(&a, now);
	assert_int_equal(g.all, 3);
	assert_int_equal(g.ci, 1);
	assert_int_equal(g.user, 2);
	assert_int_equal(g.active[0], 2);
	assert_int_equal(census_count(users_census(a.d.users), ACCOUNT_AC), 1);

	/* A login long ago, as one who sets the clock back would have it. */
	assert_int_equal(
	    users_login(a.d.users, span_of("abcdefghi@" DOMAIN), now - 20 * DAY),
	    USERS_FOUND);
	accounts_stop(&a);
	accounts_start(&a);
	support_loop(a.d.base, counted_three, &a);
	g = read_gauges(&a, now);
	assert_int_equal(g.user, 2);
	assert_int_equal(g.active[0], 1);
	assert_int_equal(g.active[1], 1);
	assert_int_equal(g.active[2], 2);
	assert_int_equal(g.active[6], 2);
	accounts_deinit(&a);
}

struct probe {
	struct store_op op;
	bool done;
};

static int probe_run(struct store_op *op, sqlite3 *db)
{
	return SQLITE_OK;
}

static void probe_done(struct store_op *op, int result)
{
	((struct probe *)op)->done = true;
}

static bool probed(void *arg)
{
	return ((struct probe *)arg)->done;
}

/* Until all is done that was submitted before. */
static void wait_for_store(struct accounts *a)
{
	struct probe p = { .op = { .run = probe_run, .done = probe_done } };

	store_submit(a->d.store, &p.op);
	support_loop(a->d.base, probed, &p);
}

/* The store could not be read at first: nothing is counted from nothing. */
static void counts_again_when_it_failed(void **state)
{
	const struct census_change gone = { ACCOUNT_PLAIN, 20000, CENSUS_NONE };
	char hash[PASSWORD_HASH_MAX];
	struct census *census;
	struct accounts a;
	sqlite3 *other;
	char *file;

	accounts_init(&a);
	assert_int_equal(
	    accounts_make(&a, "abcdefghi@" DOMAIN, "secret-password", hash),
	    USERS_FOUND);
	file = support_path(a.config.state_dir, STORE_FILE);
	assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	census = census_create(a.d.store);
	wait_for_store(&a);
	assert_int_equal(census_count(census, ACCOUNT_PLAIN), 0);
	sqlite3_close(other);

	census_apply(census, &gone, 1);
	census_apply(census, &gone, 1);
	wait_for_store(&a);
	assert_int_equal(census_count(census, ACCOUNT_PLAIN), 1);
	free(file);
	accounts_stop(&a);
	census_destroy(census);
	accounts_start(&a);
	accounts_deinit(&a);
}

static void set_login_day(const char *file, int day)
{
	char sql[64];
	sqlite3 *db;

	snprintf(sql, sizeof(sql), "UPDATE users SET last_login_day = %d", day);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* A password file whose times were set before 1970. */
static void days_before_all(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;
	char *file;

	accounts_init(&a);
	assert_int_equal(
	    accounts_make(&a, "abcdefghi@" DOMAIN, "secret-password", hash),
	    USERS_FOUND);
	accounts_stop(&a);
	file = support_path(a.config.state_dir, STORE_FILE);
	set_login_day(file, -1);
	free(file);
	accounts_start(&a);
	assert_int_equal(
	    users_login(a.d.users, span_of("abcdefghi@" DOMAIN), time(NULL)),
	    USERS_FOUND);
	wait_for_store(&a);
	assert_int_equal(read_gauges(&a, time(NULL)).all, 1);
	accounts_deinit(&a);
}

static const struct window_case {
	const char *name;
	int64_t day; /* of the only login; today is 20000 */
	uint64_t active[7];
} window_cases[] = {
	{ "today", 20000, { 1, 1, 1, 1, 1, 1, 1 } },
	{ "tomorrow, for a clock that was ahead", 20001, { 1, 1, 1, 1, 1, 1, 1 } },
	{ "a day ago", 19999, { 1, 1, 1, 1, 1, 1, 1 } },
	{ "two days ago", 19998, { 0, 1, 1, 1, 1, 1, 1 } },
	{ "ten", 19990, { 0, 1, 1, 1, 1, 1, 1 } },
	{ "eleven", 19989, { 0, 0, 1, 1, 1, 1, 1 } },
	{ "150", 19850, { 0, 0, 0, 0, 0, 0, 1 } },
	{ "151", 19849, { 0, 0, 0, 0, 0, 0, 0 } },
	{ "before 1970", -5, { 0, 0, 0, 0, 0, 0, 0 } },
	{ "beyond all days", INT64_C(1) << 40, { 1, 1, 1, 1, 1, 1, 1 } },
};

static void window(void **state)
{
	const struct window_case *c = *state;
	const struct census_change come = { ACCOUNT_PLAIN, CENSUS_NONE, c->day };
	const struct census_change go = { ACCOUNT_PLAIN, c->day, CENSUS_NONE };
	struct census *census;
	struct census_gauges g;
	struct accounts a;

	accounts_init(&a);
	census = users_census(a.d.users);
	census_apply(census, &come, 1);
	census_read(census, 20000 * (int64_t)DAY + 7, &g);
	for (size_t i = 0; i < ARRAY_LEN(c->active); i++)
		assert_int_equal(g.active[i], c->active[i]);
	census_apply(census, &go, 1);
	census_read(census, 20000 * (int64_t)DAY, &g);
	assert_int_equal(g.all, 0);
	assert_int_equal(g.active[6], 0);
	accounts_deinit(&a);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(kind, kind_cases) },
		{ SUPPORT_TEST(made_found_and_forgotten) },
		{ SUPPORT_TEST(counts_again_when_it_failed) },
		{ SUPPORT_TEST(days_before_all) },
		{ SUPPORT_TABLE(window, window_cases) },
	};

	return support_run("census", tests, ARRAY_LEN(tests));
}
