/* chatmaild/hand_back.c: the way back to the Python services, and over again. */
#include "chatmaild/hand_back.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/push_queue.h"
#include "chatmaild/store.h"
#include "test/chatmaild/accounts.h"

#define HASH   "{SHA512-CRYPT}$6$salt$hash"
#define PUSHES "pending_notifications"

static void sql(struct accounts *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void sql(struct accounts *a, const char *format, ...)
{
	char *text, *path = support_path(a->config.state_dir, STORE_FILE);
	sqlite3 *db;
	va_list ap;

	va_start(ap, format);
	assert_true(vasprintf(&text, format, ap) >= 0);
	va_end(ap);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	sqlite3_close(db);
	free(text);
	free(path);
}

static json_t *metadata(const struct accounts *a, const char *address)
{
	char *path = accounts_path(a, address, "metadata.json");
	json_t *json = json_load_file(path, 0, NULL);

	free(path);
	return json;
}

static int run(struct accounts *a, long long now, struct hand_back_totals *totals,
    char error[HAND_BACK_ERROR_MAX])
{
	return hand_back(a->config.state_dir, a->mailboxes, now, totals, error);
}

/* An account's file as it should be, white space aside. */
static void expect_metadata(
    const struct accounts *a, const char *address, const char *want)
{
	json_t *got = metadata(a, address);
	char *text = got ? json_dumps(got, JSON_COMPACT) : NULL;

	if (want)
		assert_string_equal(text, want);
	else
		assert_null(text);
	free(text);
	json_decref(got);
}

static void put(
    const struct accounts *a, const char *dir, const char *name, const char *text)
{
	char *path = accounts_path(a, dir, name);

	support_write_file(path, span_of(text));
	free(path);
}

static void three_accounts(struct accounts *a)
{
	accounts_init(a);
	accounts_write(a, "tokens001@" DOMAIN, HASH);
	accounts_write(a, "former001@" DOMAIN, HASH);
	accounts_write(a, "without01@" DOMAIN, HASH);
	put(a, "tokens001@" DOMAIN, "metadata.json",
	    "{\"other\": 1, \"devicetoken\": {\"gone\": 1}}");
	put(a, "former001@" DOMAIN, "metadata.json", "{\"devicetoken\": [\"gone\"]}");
	support_loop(a->d.base, accounts_settled, a);
	accounts_stop(a);
}

static void files(void **state)
{
	long long now = time(NULL);
	char error[HAND_BACK_ERROR_MAX], want[256], *text, *path;
	struct support_text said;
	struct hand_back_totals totals;
	const struct dirent *e;
	struct accounts a;
	struct stat st;
	unsigned n = 0;
	DIR *dir;

	three_accounts(&a);
	path = support_path(a.mailboxes, PUSHES);
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	put(&a, PUSHES, "00000000000000000000000000000001", "sent long ago");
	sql(&a, "INSERT OR REPLACE INTO meta VALUES ('users_rebuilt', 1);"
		"DELETE FROM tokens;");
	sql(&a,
	    "INSERT INTO tokens (address, token, refreshed) VALUES"
	    " ('tokens001@" DOMAIN "', 'z', %lld), ('tokens001@" DOMAIN "', 'a', %lld),"
	    " ('tokens001@" DOMAIN "', 'stale', 5), ('nobody001@" DOMAIN
	    "', 'x', %lld);"
	    "INSERT INTO pushes (address, token, start, due, tries, version) VALUES"
	    " ('tokens001@" DOMAIN "', 'z', %lld, 1, 2, 3)",
	    now - 100, now, now, now - 7);
	assert_int_equal(run(&a, now, &totals, error), 0);
	assert_int_equal(totals.tokens, 2);
	assert_int_equal(totals.accounts, 1);
	assert_int_equal(totals.pushes, 1);
	snprintf(want, sizeof(want),
	    "{\"other\":1,\"devicetoken\":{\"z\":%lld,\"a\":%lld}}", now - 100, now);
	expect_metadata(&a, "tokens001@" DOMAIN, want);
	expect_metadata(&a, "former001@" DOMAIN, "{\"devicetoken\":{}}");
	expect_metadata(&a, "without01@" DOMAIN, NULL);
	free(path);
	path = accounts_path(&a, "tokens001@" DOMAIN, "metadata.json");
	assert_return_code(stat(path, &st), errno);
	assert_int_equal(st.st_mode & 0777, 0600);
	free(path);

	/* One notification, under the name of a random number. */
	path = support_path(a.mailboxes, PUSHES);
	dir = opendir(path);
	assert_non_null(dir);
	snprintf(want, sizeof(want), "tokens001@" DOMAIN "\n%lld\nz", now - 7);
	while ((e = readdir(dir))) {
		char *file;

		if (e->d_name[0] == '.')
			continue;
		n++;
		assert_int_equal(strlen(e->d_name), 32);
		assert_int_equal(strspn(e->d_name, "0123456789abcdef"), 32);
		file = support_path(path, e->d_name);
		said = support_read_file(file);
		assert_string_equal(said.data, want);
		free(said.data);
		free(file);
	}
	closedir(dir);
	free(path);
	assert_int_equal(n, 1);

	/* Over again: the daemon reads them anew. */
	accounts_start(&a);
	assert_true(a.fresh);
	a.d.pushes = push_queue_create(a.d.base, a.d.store, a.mailboxes);
	support_loop(a.d.base, accounts_settled, &a);
	text = accounts_sql(&a, "SELECT group_concat(token, ' ') FROM (SELECT * FROM "
				"tokens ORDER BY address, id)");
	assert_string_equal(text, "z a");
	free(text);
	text = accounts_sql(&a, "SELECT count(*) FROM pushes");
	assert_string_equal(text, "1");
	free(text);
	accounts_deinit(&a);
}

/* Files that the daemon had not read when it was stopped still count. */
static void not_all_read(void **state)
{
	long long now = time(NULL);
	char error[HAND_BACK_ERROR_MAX], want[256];
	struct hand_back_totals totals;
	struct accounts a;

	three_accounts(&a);
	sql(&a,
	    "DELETE FROM meta; DELETE FROM tokens;"
	    "INSERT INTO tokens (address, token, refreshed) VALUES"
	    " ('tokens001@" DOMAIN "', 'new', %lld)",
	    now);
	assert_int_equal(run(&a, now, &totals, error), 0);
	snprintf(want, sizeof(want),
	    "{\"other\":1,\"devicetoken\":{\"gone\":1,\"new\":%lld}}", now);
	expect_metadata(&a, "tokens001@" DOMAIN, want);
	accounts_start(&a);
	accounts_deinit(&a);
}

/* Nothing is changed while the daemon is at work, nor where there is none. */
static void not_now(void **state)
{
	char error[HAND_BACK_ERROR_MAX];
	struct hand_back_totals totals;
	struct accounts a;

	three_accounts(&a);
	accounts_start(&a);
	assert_int_equal(run(&a, time(NULL), &totals, error), -1);
	assert_non_null(strstr(error, "does the daemon run?"));
	expect_metadata(
	    &a, "tokens001@" DOMAIN, "{\"other\":1,\"devicetoken\":{\"gone\":1}}");
	accounts_stop(&a);
	assert_int_equal(run(&a, time(NULL), &totals, error), 0);
	assert_int_equal(run(&a, time(NULL), &totals, error), 0);
	assert_int_equal(totals.accounts, 0);
	accounts_start(&a);
	accounts_deinit(&a);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(files) },
		{ SUPPORT_TEST(not_all_read) },
		{ SUPPORT_TEST(not_now) },
	};

	return support_run("hand_back", tests, ARRAY_LEN(tests));
}
