/* chatmaild/takeover.c: the users table rebuilt from mailbox directories. */
#include "chatmaild/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/store.h"
#include "chatmaild/users.h"
#include "test/chatmaild/accounts.h"

#define HASH "{SHA512-CRYPT}$6$salt$hash"

static void forget_database(struct accounts *a)
{
	char *file = support_path(a->config.state_dir, STORE_FILE);

	assert_return_code(unlink(file), errno);
	free(file);
}

static void set_mtime(const struct accounts *a, const char *address, time_t seconds)
{
	const struct timespec times[2] = { { .tv_sec = seconds },
		{ .tv_sec = seconds } };
	char *path = accounts_path(a, address, "password");

	assert_return_code(utimensat(-1, path, times, 0), errno);
	free(path);
}

/* As the Python services leave it: more than accounts lies there. */
static void python_tree(struct accounts *a)
{
	char *path, *target;

	accounts_write(a, "usable001@" DOMAIN, HASH);
	set_mtime(a, "usable001@" DOMAIN, 172800);
	accounts_write(a, "usable002@" DOMAIN, "{SHA512-CRYPT}$6$other$hash\n");
	accounts_write(a, "[strange name]@" DOMAIN, HASH);
	accounts_write(a, "empty0001@" DOMAIN, "");
	accounts_write(a, "cleartext@" DOMAIN, "secret");
	accounts_write(a, "pending_notifications", HASH);
	path = accounts_path(a, "usable001@" DOMAIN, "metadata.json");
	support_write_file(path, span_of("{}"));
	free(path);
	path = support_path(a->mailboxes, "nobox0001@" DOMAIN);
	assert_return_code(mkdir(path, 0700), errno);
	free(path);
	path = support_path(a->mailboxes, "file00001@" DOMAIN);
	support_write_file(path, span_of(HASH));
	free(path);
	path = support_path(a->mailboxes, "linked001@" DOMAIN);
	target = support_path(a->mailboxes, "usable001@" DOMAIN);
	assert_return_code(symlink(target, path), errno);
	free(target);
	free(path);
}

static void expect_rows(struct accounts *a, const char *sql, const char *want)
{
	char *got = accounts_sql(a, sql);

	assert_string_equal(got, want);
	free(got);
}

static void python_relay(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	accounts_stop(&a);
	forget_database(&a);
	python_tree(&a);
	accounts_start(&a);
	assert_true(a.fresh);
	/* Answered from the directories before the rebuild has got anywhere. */
	assert_int_equal(accounts_find(&a, "usable002@" DOMAIN, hash), USERS_FOUND);
	support_loop(a.d.base, accounts_settled, &a);

	assert_int_equal(users_counters(a.d.users)->rebuilt, 3);
	expect_rows(&a, "SELECT count(*) FROM users", "3");
	expect_rows(&a,
	    "SELECT last_login_day || hash FROM users WHERE address = "
	    "'usable001@" DOMAIN "'",
	    "2" HASH);
	expect_rows(
	    &a, "SELECT count(*) FROM users WHERE created_day IS NOT NULL", "0");
	accounts_stop(&a);
	accounts_start(&a);
	assert_false(a.fresh);
	accounts_deinit(&a);
}

/* More than one batch, and what is no account in between. */
static void many(void **state)
{
	char address[64];
	struct accounts a;

	accounts_init(&a);
	accounts_stop(&a);
	forget_database(&a);
	for (unsigned i = 0; i < 1234; i++) {
		snprintf(address, sizeof(address), "user%05u@" DOMAIN, i);
		accounts_write(&a, address, i % 10 ? HASH : "");
	}
	accounts_start(&a);
	support_loop(a.d.base, accounts_settled, &a);
	assert_int_equal(users_counters(a.d.users)->rebuilt, 1110);
	expect_rows(&a, "SELECT count(*) FROM users", "1110");
	accounts_deinit(&a);
}

/* Cut short by a stop: the next start does it again, to the end. */
static void cut_short(void **state)
{
	char address[64];
	struct accounts a;

	accounts_init(&a);
	accounts_stop(&a);
	forget_database(&a);
	for (unsigned i = 0; i < 1200; i++) {
		snprintf(address, sizeof(address), "user%05u@" DOMAIN, i);
		accounts_write(&a, address, HASH);
	}
	accounts_start(&a);
	accounts_stop(&a);
	accounts_start(&a);
	assert_true(a.fresh);
	support_loop(a.d.base, accounts_settled, &a);
	assert_int_equal(users_counters(a.d.users)->rebuilt, 1200);
	accounts_stop(&a);
	accounts_start(&a);
	assert_false(a.fresh);
	accounts_deinit(&a);
}

/* No mailbox directory yet is a new relay; a file in its place is trouble. */
static void unreadable(void **state)
{
	struct accounts a;

	accounts_init(&a);
	accounts_stop(&a);
	forget_database(&a);
	support_write_file(a.mailboxes, span_of(""));
	accounts_start(&a);
	support_loop(a.d.base, accounts_settled, &a);
	accounts_stop(&a);
	accounts_start(&a);
	assert_true(a.fresh);
	accounts_deinit(&a);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(python_relay) },
		{ SUPPORT_TEST(many) },
		{ SUPPORT_TEST(cut_short) },
		{ SUPPORT_TEST(unreadable) },
	};

	return support_run("takeover", tests, ARRAY_LEN(tests));
}
