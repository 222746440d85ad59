/*
 * The built daemon is killed (SIGKILL) between Dovecot's hook and the sending: every
 * message whose hook was answered still has its notification after the next start, every
 * token that was acknowledged is there. Nobody listens at its notification service.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test/flow/built.h"

#define LIVES    5
#define HOOKS    20 /* at once, in each life of the daemon */
#define ACCOUNTS (LIVES * HOOKS)
#define MANY     100000

struct flow {
	struct built built;
	bool told[ACCOUNTS]; /* the hook was answered */
};

static struct flow *flow_create(unsigned accounts)
{
	struct flow *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	built_init(&f->built);
	built_configure(&f->built, "push_url = https://127.0.0.1:1/notify\n");
	for (unsigned i = 0; i < accounts; i++) {
		char address[64];

		snprintf(address, sizeof(address), "number%03u@" BUILT_DOMAIN, i);
		built_add_account(&f->built, address);
	}
	return f;
}

static void flow_destroy(struct flow *f)
{
	built_deinit(&f->built);
	free(f);
}

/* A commit of one set for an account, on a connection of its own. */
static int ask(const struct flow *f, unsigned account, const char *set)
{
	char request[256];

	snprintf(request, sizeof(request),
	    "H3\t2\t0\t\tmetadata\nB1\tnumber%03u@" BUILT_DOMAIN
	    "\nS1\tpriv/x/%s\nC1\n",
	    account, set);
	return built_send(&f->built, "metadata.sock", request);
}

/* Was it answered, by O? A reply that did not come is none. */
static bool is_told(int fd)
{
	char reply[8];

	built_read(fd, "\n", reply, sizeof(reply));
	close(fd);
	if (reply[0] == '\0')
		return false;
	assert_string_equal(reply, "O\n");
	return true;
}

static sqlite3 *open_store(const struct flow *f)
{
	char *path = built_path(&f->built, "state/chatmaild.sqlite");
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, BUILT_DEADLINE_MS);
	free(path);
	return db;
}

static bool waits(sqlite3 *db, unsigned account)
{
	sqlite3_stmt *stmt;
	char sql[128];
	bool found;

	snprintf(sql, sizeof(sql),
	    "SELECT 1 FROM pushes WHERE address = 'number%03u@" BUILT_DOMAIN "'",
	    account);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	found = sqlite3_step(stmt) == SQLITE_ROW;
	sqlite3_finalize(stmt);
	return found;
}

static void expect_all_told(const struct flow *f)
{
	sqlite3 *db = open_store(f);

	for (unsigned i = 0; i < ACCOUNTS; i++)
		if (f->told[i] && !waits(db, i))
			fail_msg("the hook of account %u was answered in vain", i);
	sqlite3_close(db);
}

/* One life: tokens, then hooks all at once, the kill when some are answered. */
static unsigned live_and_die(struct flow *f, unsigned life)
{
	unsigned first = life * HOOKS, told = 0;
	int fd[HOOKS];

	for (unsigned i = 0; i < HOOKS; i++)
		assert_true(is_told(ask(f, first + i, "devicetoken\tsome-token")));
	for (unsigned i = 0; i < HOOKS; i++)
		fd[i] = ask(f, first + i, "messagenew\t");
	for (unsigned i = 0; i < HOOKS; i++) {
		if (i == 2 + 3 * life)
			built_kill(&f->built);
		f->told[first + i] = is_told(fd[i]);
		told += f->told[first + i];
	}
	return told;
}

static void killed_before_sending(void **state)
{
	struct flow *f = flow_create(ACCOUNTS);

	for (unsigned life = 0; life < LIVES; life++) {
		built_start(&f->built);
		assert_true(live_and_die(f, life) >= 2);
		expect_all_told(f);
	}
	built_start(&f->built);
	built_stop(&f->built);
	expect_all_told(f);
	flow_destroy(f);
}

static unsigned long pushes_waiting(const struct flow *f)
{
	return built_metric(&f->built, "chatmail_push_waiting{service=\"metadata\"}");
}

#define INSERT_MANY                                                                    \
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"               \
	" WHERE i < 100000) INSERT INTO pushes (address, token, start, due, tries,"    \
	" version) SELECT 'number000@" BUILT_DOMAIN                                    \
	"', i, unixepoch(), unixepoch() + 64, 1, 1"                                    \
	" FROM n"

/* All wait through a start and a stop, while others are served. */
static void many_wait(void **state)
{
	struct flow *f = flow_create(1);
	sqlite3 *db;

	built_start(&f->built);
	built_stop(&f->built);
	db = open_store(f);
	assert_int_equal(sqlite3_exec(db, INSERT_MANY, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	built_start(&f->built);
	assert_true(is_told(ask(f, 0, "devicetoken\tnew-token")));
	assert_true(is_told(ask(f, 0, "messagenew\t")));
	assert_int_equal(pushes_waiting(f), MANY + 1);
	built_kill(&f->built);
	built_start(&f->built);
	assert_int_equal(pushes_waiting(f), MANY + 1);
	built_stop(&f->built);
	flow_destroy(f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(killed_before_sending) },
		{ SUPPORT_TEST(many_wait) },
	};

	return support_run("flow_metadata", tests, ARRAY_LEN(tests));
}
