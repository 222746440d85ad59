/* chatmaild/takeover.c: the users table rebuilt from mailbox directories. */
#include "chatmaild/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/push_queue.h"
#include "chatmaild/store.h"
#include "chatmaild/tokens.h"
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

static void write_file(
    const struct accounts *a, const char *dir, const char *name, const char *text)
{
	char *path = accounts_path(a, dir, name);

	support_write_file(path, span_of(text));
	free(path);
}

__attribute__((format(printf, 4, 5))) static void write_text(const struct accounts *a,
    const char *dir, const char *name, const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	assert_true(vasprintf(&text, format, ap) >= 0);
	va_end(ap);
	write_file(a, dir, name, text);
	free(text);
}

#define DAY 86400LL

/* As two ages of the Python services left it, and some of it damaged. */
static void python_tokens(struct accounts *a, long long now)
{
	accounts_write(a, "current01@" DOMAIN, HASH);
	write_text(a, "current01@" DOMAIN, "metadata.json",
	    "{\"other\": 1, \"devicetoken\": {\"z\": %lld, \"a\": %lld, \"stale\": "
	    "%lld,"
	    " \"not carried\": %lld, \"future\": %lld, \"text\": \"%lld\"}}",
	    now - 80 * DAY, now, now - 91 * DAY, now, now + 100 * DAY, now);
	accounts_write(a, "legacy001@" DOMAIN, HASH);
	write_file(a, "legacy001@" DOMAIN, "metadata.json",
	    "{\"devicetoken\": [\"two\", \"one\", 3, \"\", \"two\"]}");
	accounts_write(a, "corrupt01@" DOMAIN, HASH);
	write_file(a, "corrupt01@" DOMAIN, "metadata.json", "{\"devicetoken\": {\"a\"");
	accounts_write(a, "wrong0001@" DOMAIN, HASH);
	write_file(a, "wrong0001@" DOMAIN, "metadata.json", "{\"devicetoken\": \"a\"}");
	accounts_write(a, "without01@" DOMAIN, HASH);
	write_file(a, "without01@" DOMAIN, "metadata.json", "{\"other\": {}}");
	accounts_write(a, "large0001@" DOMAIN, "");
	write_file(
	    a, "large0001@" DOMAIN, "metadata.json", "{\"devicetoken\": [\"a\"]}");
}

static void python_pushes(struct accounts *a, long long now)
{
	const char *dir = "pending_notifications";
	char *path = support_path(a->mailboxes, dir);

	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	free(path);
	write_text(a, dir, "00000000000000000000000000000001",
	    "current01@" DOMAIN "\n%lld\nz", now - 3600);
	write_text(a, dir, "00000000000000000000000000000002",
	    "legacy001@" DOMAIN "\n%lld\none", now - 5 * 3600 - 60);
	write_text(a, dir, "00000000000000000000000000000003",
	    "legacy001@" DOMAIN "\n432\none");
	write_file(a, dir, "1203981203", "");
	write_file(a, dir, "1203981203.tmp", "legacy001@" DOMAIN "\n");
	write_file(a, dir, "text", "legacy001@" DOMAIN "\nnow\none");
	write_text(a, dir, "two lines", "legacy001@" DOMAIN "\n%lld\na\nb", now);
	write_text(a, dir, "no address", "legacy001\n%lld\na", now);
}

static bool pushes_found(void *arg)
{
	const struct accounts *a = arg;

	return push_queue_counters(a->d.pushes)->queued > 0;
}

/* Device tokens with their times, and what waits to be sent; the files stay. */
static void python_state(void **state)
{
	long long now = time(NULL);
	struct accounts a;
	struct push *push;
	char *file;

	accounts_init(&a);
	accounts_stop(&a);
	forget_database(&a);
	python_tree(&a);
	python_tokens(&a, now);
	python_pushes(&a, now);
	accounts_start(&a);
	a.d.pushes = push_queue_create(a.d.base, a.d.store, a.mailboxes);
	support_loop(a.d.base, accounts_settled, &a);
	expect_rows(&a,
	    "SELECT group_concat(substr(address, 1, 3) || token, ' ') FROM (SELECT * "
	    "FROM tokens ORDER BY address, id)",
	    "curz cura legtwo legone");
	support_loop(a.d.base, pushes_found, &a);
	push = push_queue_take(a.d.pushes, time(NULL)); /* due since it was found */
	assert_non_null(push);
	assert_string_equal(push->address, "current01@" DOMAIN);
	assert_string_equal(push->token, "z");
	assert_int_equal(push->start, now - 3600);
	assert_null(push_queue_take(a.d.pushes, time(NULL)));
	file = accounts_path(&a, "pending_notifications", "1203981203.tmp");
	assert_int_equal(access(file, F_OK), 0);
	free(file);
	accounts_stop(&a);

	/* Once only. */
	python_pushes(&a, now + 1);
	accounts_start(&a);
	assert_false(a.fresh);
	expect_rows(&a, "SELECT count(*) FROM pushes", "1");
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
		{ SUPPORT_TEST(python_state) },
		{ SUPPORT_TEST(many) },
		{ SUPPORT_TEST(cut_short) },
		{ SUPPORT_TEST(unreadable) },
	};

	return support_run("takeover", tests, ARRAY_LEN(tests));
}
