/* chatmaild/expiry.c: runs by the clock and on demand, over a store and a cache. */
#include "chatmaild/expiry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/store.h"
#include "test/chatmaild/accounts.h"

#define USED   "inuseinus@" DOMAIN
#define UNUSED "notusedno@" DOMAIN
#define DAY    86400

struct house {
	struct accounts a;
	struct expire_totals totals;
	char error[64];
	char notes[4096];
	unsigned done;
	uint64_t n;
	int errnum;
};

static void start(struct house *h)
{
	h->a.d.expiry = expiry_create(&h->a.d);
	assert_non_null(h->a.d.expiry);
}

static void house_init(struct house *h)
{
	*h = (struct house){ 0 };
	accounts_init(&h->a);
	h->a.config.delete_inactive_users_after = 90;
	h->a.config.delete_mails_after = 20;
	h->a.config.delete_large_after = 7;
	h->a.config.max_mailbox_size = 1;
	h->a.config.expiry_time = (char *)"00:02";
	start(h);
}

static void stop(struct house *h)
{
	struct expiry *x = h->a.d.expiry;

	expiry_stop(x);
	accounts_stop(&h->a);
	expiry_destroy(x);
}

static void house_deinit(struct house *h)
{
	struct expiry *x = h->a.d.expiry;

	expiry_stop(x);
	accounts_deinit(&h->a);
	expiry_destroy(x);
}

static void on_note(void *arg, const struct expire_note *n)
{
	struct house *h = arg;
	size_t at = strlen(h->notes);

	snprintf(h->notes + at, sizeof(h->notes) - at, "%s %s\n", n->path,
	    n->why ? n->why : "");
}

static void on_done(void *arg, const struct expire_totals *t, const char *error)
{
	struct house *h = arg;

	h->totals = *t;
	snprintf(h->error, sizeof(h->error), "%s", error ? error : "");
	h->done++;
}

static bool is_done(void *arg)
{
	return ((struct house *)arg)->done > 0;
}

static void run(struct house *h, bool dry_run)
{
	const struct expiry_watcher watcher = { on_note, on_done, NULL, h };

	h->done = 0;
	h->notes[0] = '\0';
	assert_true(expiry_run(h->a.d.expiry, dry_run, &watcher));
	assert_false(expiry_run(h->a.d.expiry, false, NULL)); /* one at a time */
	support_loop(h->a.d.base, is_done, h);
}

static void make(struct house *h, const char *address, int64_t days)
{
	char hash[PASSWORD_HASH_MAX];

	assert_int_equal(
	    accounts_make(&h->a, address, "secret-password", hash), USERS_FOUND);
	assert_int_equal(
	    users_login(h->a.d.users, span_of(address), time(NULL) - days * DAY),
	    USERS_FOUND);
}

static bool nothing_on_its_way(void *arg)
{
	struct house *h = arg;

	return users_remembering(h->a.d.users) == 0;
}

static bool is_there(struct house *h, const char *address)
{
	char *path = accounts_path(&h->a, address, "password");
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static void expect_rows(struct house *h, const char *want)
{
	char *got;

	support_loop(h->a.d.base, nothing_on_its_way, h);
	got = accounts_sql(&h->a, "SELECT group_concat(address) FROM users");
	assert_string_equal(got, want);
	free(got);
}

static void unused_accounts_are_forgotten(void **state)
{
	struct census_gauges g;
	struct house h;

	house_init(&h);
	make(&h, USED, 10);
	make(&h, UNUSED, 100);
	run(&h, true);
	assert_int_equal(h.totals.mailboxes, 2);
	assert_int_equal(h.totals.mailboxes_removed, 1);
	assert_non_null(strstr(h.notes, UNUSED " no login\n"));
	assert_true(is_there(&h, UNUSED));
	assert_int_equal(expiry_counters(h.a.d.expiry)->accounts, 0);

	run(&h, false);
	assert_string_equal(h.error, "");
	assert_int_equal(h.totals.mailboxes_removed, 1);
	assert_false(is_there(&h, UNUSED));
	assert_true(is_there(&h, USED));
	assert_int_equal(expiry_counters(h.a.d.expiry)->accounts, 1);
	assert_int_equal(expiry_counters(h.a.d.expiry)->runs, 1);
	expect_rows(&h, USED);
	census_read(users_census(h.a.d.users), time(NULL), &g);
	assert_int_equal(g.all, 1);
	house_deinit(&h);
}

/* As the worker does before the loop hears of it. */
static void take_away(struct house *h, const char *address)
{
	char *box = support_path(h->a.mailboxes, address);
	char *away = support_path(h->a.mailboxes, ".expired-1");

	assert_int_equal(rename(box, away), 0);
	free(away);
	free(box);
}

/* Who logs in before the loop hears of the removal has a new account, which stays. */
static void made_anew_before_it_is_forgotten(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct census_gauges g;
	struct house h;

	house_init(&h);
	make(&h, UNUSED, 100);
	support_loop(h.a.d.base, nothing_on_its_way, &h);
	take_away(&h, UNUSED);
	assert_int_equal(
	    accounts_make(&h.a, UNUSED, "another-password", hash), USERS_FOUND);
	users_removed(h.a.d.users, span_of(UNUSED));
	expect_rows(&h, UNUSED);
	census_read(users_census(h.a.d.users), time(NULL), &g);
	assert_int_equal(g.all, 1);
	house_deinit(&h);
}

/* More than one slice holds, and more than the store takes at once. */
static void many_accounts(void **state)
{
	struct house h;
	char address[64];

	house_init(&h);
	for (unsigned i = 0; i < 600; i++) {
		struct timespec times[2] = { { .tv_sec = 1000000 },
			{ .tv_sec = 1000000 } };
		char *path;

		snprintf(address, sizeof(address), "user%05u@" DOMAIN, i);
		accounts_write(&h.a, address, "{SHA512-CRYPT}$6$salt$hash");
		path = accounts_path(&h.a, address, "password");
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		free(path);
	}
	run(&h, false);
	assert_int_equal(h.totals.mailboxes_removed, 600);
	assert_false(is_there(&h, "user00000@" DOMAIN));
	expect_rows(&h, "");
	house_deinit(&h);
}

/* However many rows wait already. */
static void nobody_is_left_over(void **state)
{
	struct house h;
	unsigned days = 1;

	house_init(&h);
	make(&h, USED, 0);
	while (users_remembering(h.a.d.users) < USERS_REMEMBER_MAX)
		assert_int_equal(users_login(h.a.d.users, span_of(USED),
				     time(NULL) + days++ * INT64_C(86400)),
		    USERS_FOUND);
	take_away(&h, USED);
	users_removed(h.a.d.users, span_of(USED));
	expect_rows(&h, "");
	house_deinit(&h);
}

static bool ran(void *arg)
{
	struct house *h = arg;

	return expiry_counters(h->a.d.expiry)->runs > 0;
}

/* While the daemon is down. */
static void set_last(struct house *h, int64_t when)
{
	char *file = support_path(h->a.config.state_dir, STORE_FILE);
	char sql[128];
	sqlite3 *db;

	snprintf(sql, sizeof(sql), "UPDATE meta SET value = %lld WHERE key = 'expired'",
	    (long long)when);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_changes(db), 1);
	sqlite3_close(db);
	free(file);
}

static void a_missed_day_is_made_up_for(void **state)
{
	struct house h;

	house_init(&h);
	make(&h, UNUSED, 100);
	/* The first start counts as a run, so nothing goes before it is due. */
	for (unsigned i = 0; i < 50; i++)
		event_base_loop(h.a.d.base, EVLOOP_NONBLOCK);
	assert_int_equal(expiry_counters(h.a.d.expiry)->runs, 0);
	assert_true(is_there(&h, UNUSED));

	stop(&h);
	set_last(&h, time(NULL) - 2 * DAY);
	accounts_start(&h.a);
	start(&h);
	support_loop(h.a.d.base, ran, &h);
	assert_false(is_there(&h, UNUSED));
	assert_true(expiry_counters(h.a.d.expiry)->last_end > 0);

	/* And done once. */
	stop(&h);
	accounts_start(&h.a);
	start(&h);
	for (unsigned i = 0; i < 50; i++)
		event_base_loop(h.a.d.base, EVLOOP_NONBLOCK);
	assert_int_equal(expiry_counters(h.a.d.expiry)->running, 0);
	assert_int_equal(expiry_counters(h.a.d.expiry)->runs, 0);
	house_deinit(&h);
}

static void a_clock_that_was_ahead(void **state)
{
	struct house h;

	house_init(&h);
	make(&h, UNUSED, 100);
	stop(&h);
	set_last(&h, time(NULL) + 400 * INT64_C(86400));
	accounts_start(&h.a);
	start(&h);
	for (unsigned i = 0; i < 50; i++)
		event_base_loop(h.a.d.base, EVLOOP_NONBLOCK);
	assert_int_equal(expiry_counters(h.a.d.expiry)->runs, 0);
	run(&h, false);
	assert_false(is_there(&h, UNUSED));
	house_deinit(&h);
}

/* The clock may have jumped: who sets it right within a day loses nothing. */
static void a_month_without_a_run(void **state)
{
	struct house h;
	char *last;

	house_init(&h);
	make(&h, UNUSED, 100);
	stop(&h);
	set_last(&h, time(NULL) - 30 * DAY);
	accounts_start(&h.a);
	start(&h);
	for (unsigned i = 0; i < 50; i++)
		event_base_loop(h.a.d.base, EVLOOP_NONBLOCK);
	assert_int_equal(expiry_counters(h.a.d.expiry)->running, 0);
	assert_int_equal(expiry_counters(h.a.d.expiry)->runs, 0);
	assert_true(is_there(&h, UNUSED));
	/* The next start does not take it for a missed day. */
	stop(&h);
	accounts_start(&h.a);
	last = accounts_sql(&h.a, "SELECT value FROM meta WHERE key = 'expired'");
	assert_in_range(atoll(last), time(NULL) - 60, time(NULL));
	free(last);
	start(&h);
	house_deinit(&h);
}

static void on_mailbox(void *arg, uint64_t n, int error)
{
	struct house *h = arg;

	h->n = n;
	h->errnum = error;
	h->done++;
}

static void one_mailbox(
    struct house *h, enum expiry_task task, const char *address, uint64_t n, int error)
{
	h->done = 0;
	assert_true(
	    expiry_mailbox(h->a.d.expiry, task, span_of(address), on_mailbox, h));
	support_loop(h->a.d.base, is_done, h);
	assert_int_equal(h->n, n);
	assert_int_equal(h->errnum, error);
}

static void a_mailbox_on_demand(void **state)
{
	struct house h;
	char *path, *slash;

	house_init(&h);
	make(&h, USED, 0);
	for (unsigned i = 0; i < 9; i++) {
		char name[64];

		snprintf(name, sizeof(name), "cur/%lld.M%uP1.host,S=100000:2,S",
		    (long long)time(NULL) - DAY - 60 - i, i);
		path = accounts_path(&h.a, USED, name);
		slash = strrchr(path, '/');
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
		support_write_file(path, span_of("x"));
		free(path);
	}
	/* 70 % of 1 MiB holds seven. */
	one_mailbox(&h, EXPIRY_TRIM, USED, 2, 0);
	one_mailbox(&h, EXPIRY_TRIM, USED, 0, 0);
	assert_int_equal(expiry_counters(h.a.d.expiry)->trims, 2);
	assert_int_equal(expiry_counters(h.a.d.expiry)->quota, 2);

	one_mailbox(&h, EXPIRY_REMOVE, USED, 1, 0);
	assert_false(is_there(&h, USED));
	expect_rows(&h, "");
	one_mailbox(&h, EXPIRY_REMOVE, USED, 0, ENOENT);
	house_deinit(&h);
}

static void stops_in_the_middle(void **state)
{
	const struct expiry_watcher watcher = { on_note, on_done, NULL, state };
	struct house h;

	house_init(&h);
	make(&h, USED, 0);
	for (unsigned turns = 0; turns < 3; turns++) {
		struct expiry_watcher w = watcher;

		w.arg = &h;
		h.done = 0;
		assert_true(expiry_run(h.a.d.expiry, false, &w));
		for (unsigned i = 0; i < turns; i++)
			event_base_loop(h.a.d.base, EVLOOP_NONBLOCK);
		stop(&h);
		assert_int_equal(h.done, 1);
		accounts_start(&h.a);
		start(&h);
	}
	house_deinit(&h);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(unused_accounts_are_forgotten) },
		{ SUPPORT_TEST(made_anew_before_it_is_forgotten) },
		{ SUPPORT_TEST(nobody_is_left_over) },
		{ SUPPORT_TEST(many_accounts) },
		{ SUPPORT_TEST(a_missed_day_is_made_up_for) },
		{ SUPPORT_TEST(a_clock_that_was_ahead) },
		{ SUPPORT_TEST(a_month_without_a_run) },
		{ SUPPORT_TEST(a_mailbox_on_demand) },
		{ SUPPORT_TEST(stops_in_the_middle) },
	};

	return support_run("expiry", tests, ARRAY_LEN(tests));
}
