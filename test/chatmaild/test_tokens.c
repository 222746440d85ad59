/* chatmaild/tokens.c over a real store. The time is the test's. */
#include "chatmaild/tokens.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

#define T0    1800000000 /* seconds */
#define DAY   86400
#define USER  "somebody1@chat.example"
#define OTHER "somebody2@chat.example"

struct fixture {
	struct event_base *base;
	char *dir;
	struct store *store;
};

static void start(struct fixture *f)
{
	bool fresh;

	f->store = store_open(f->base, f->dir, &fresh);
	assert_non_null(f->store);
}

static void init(struct fixture *f)
{
	*f = (struct fixture){ .base = event_base_new(), .dir = support_tmpdir() };
	start(f);
}

static void deinit(struct fixture *f)
{
	store_close(f->store);
	support_tmpdir_remove(f->dir);
	event_base_free(f->base);
}

static void on_done(void *arg, int result)
{
	int *fate = arg;

	assert_int_equal(*fate, 1);
	*fate = result;
}

static bool is_done(void *arg)
{
	return *(const int *)arg != 1;
}

/* Tokens of a list parted by blanks, in one transaction. */
static void add(struct fixture *f, const char *address, const char *list, int64_t now)
{
	struct span token[64], rest = span_of(list);
	size_t n = 0;
	int fate = 1;

	while (span_cut(&rest, ' ', &token[n]))
		n++;
	tokens_add(f->store, span_of(address), token, n, now, on_done, &fate);
	support_loop(f->base, is_done, &fate);
	assert_int_equal(fate, 0);
}

static void expect(
    struct fixture *f, const char *address, int64_t now, const char *want)
{
	char *list = tokens_list(f->store, span_of(address), now);

	assert_non_null(list);
	assert_string_equal(list, want);
	free(list);
}

/* Run by the store's writer. */
struct act {
	struct store_op op;
	int (*run)(sqlite3 *db);
	int result;
};

static int act_run(struct store_op *op, sqlite3 *db)
{
	return ((struct act *)op)->run(db);
}

static void act_done(struct store_op *op, int result)
{
	((struct act *)op)->result = result;
}

static bool act_is_done(void *arg)
{
	return ((const struct act *)arg)->result != -1;
}

static void act(struct fixture *f, int (*run)(sqlite3 *db))
{
	struct act a = { { .run = act_run, .done = act_done }, run, -1 };

	store_submit(f->store, &a.op);
	support_loop(f->base, act_is_done, &a);
	assert_int_equal(a.result, SQLITE_OK);
}

static const struct valid_case {
	const char *name, *token;
	size_t len; /* 0: to its NUL */
	bool valid;
} valid_cases[] = {
	{ "encrypted", "openpgp:wV4D5tq63hTeebASAQdA/+8=", 0, true },
	{ "web push", "webpush:https://push.example/x?y=1|BA_k-|c2Vj", 0, true },
	{ "one byte", "!", 0, true },
	{ "last printable", "a~", 0, true },
	{ "empty", "", 0, false },
	{ "blank", "a b", 0, false },
	{ "blank at the end", "a ", 0, false },
	{ "line feed", "a\nb", 0, false },
	{ "tab", "a\tb", 0, false },
	{ "NUL", "a\0b", 3, false },
	{ "delete", "a\x7f", 0, false },
	{ "UTF-8", "t\xc3\xb6ken", 0, false },
	{ "no-break space", "a\xa0", 0, false },
};

static void valid(void **state)
{
	const struct valid_case *c = *state;
	size_t len = c->len ? c->len : strlen(c->token);

	assert_int_equal(token_is_valid(span_make(c->token, len)), c->valid);
}

static void valid_lengths(void **state)
{
	char token[TOKEN_MAX + 1];

	memset(token, 'x', sizeof(token));
	assert_true(token_is_valid(span_make(token, TOKEN_MAX)));
	assert_false(token_is_valid(span_make(token, TOKEN_MAX + 1)));
}

static void kept_in_order(void **state)
{
	struct fixture f;

	init(&f);
	expect(&f, USER, T0, "");
	add(&f, USER, "b a", T0);
	add(&f, OTHER, "a", T0);
	add(&f, USER, "c", T0 + 1);
	expect(&f, USER, T0 + 1, "b a c");
	/* Sent again: not moved. */
	add(&f, USER, "b", T0 + DAY);
	expect(&f, USER, T0 + DAY, "b a c");
	expect(&f, OTHER, T0 + DAY, "a");
	expect(&f, "SOMEBODY1@chat.example", T0 + DAY, "");
	store_close(f.store);
	start(&f);
	expect(&f, USER, T0 + DAY, "b a c");
	deinit(&f);
}

static void valid_for_90_days(void **state)
{
	struct fixture f;

	init(&f);
	add(&f, USER, "a b", T0);
	expect(&f, USER, T0 + 90 * DAY - 1, "a b");
	expect(&f, USER, T0 + 90 * DAY, "");
	add(&f, USER, "b", T0 + 30 * DAY);
	expect(&f, USER, T0 + 90 * DAY, "b");
	expect(&f, USER, T0 + 120 * DAY - 1, "b");
	expect(&f, USER, T0 + 120 * DAY, "");
	deinit(&f);
}

static void from_the_future(void **state)
{
	struct fixture f;

	init(&f);
	add(&f, USER, "a", T0 + 60);
	expect(&f, USER, T0, "");
	expect(&f, USER, T0 + 1, "a");
	deinit(&f);
}

static unsigned rows(struct fixture *f)
{
	sqlite3_stmt *stmt = store_prepare(f->store, "SELECT count(*) FROM tokens");
	unsigned n;

	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = (unsigned)sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

static int nothing(sqlite3 *db)
{
	return SQLITE_OK;
}

static void stale_ones_go(void **state)
{
	struct fixture f;

	init(&f);
	add(&f, USER, "a b", T0);
	add(&f, OTHER, "o", T0);
	add(&f, USER, "c", T0 + 90 * DAY);
	assert_int_equal(rows(&f), 2);
	/* Of a stale one that comes back: a new place. */
	add(&f, USER, "a", T0 + 90 * DAY);
	expect(&f, USER, T0 + 90 * DAY, "c a");
	tokens_purge(f.store, T0 + 90 * DAY);
	act(&f, nothing);
	assert_int_equal(rows(&f), 2);
	expect(&f, USER, T0 + 90 * DAY, "c a");
	deinit(&f);
}

/* Room for 32: the one that was not sent for longest goes, whatever its place. */
static void too_many(void **state)
{
	struct fixture f;
	char token[16], *list;

	init(&f);
	for (int i = 0; i < TOKENS_PER_ACCOUNT; i++) {
		snprintf(token, sizeof(token), "t%d", i);
		add(&f, USER, token, T0 + i);
	}
	add(&f, OTHER, "o", T0);
	add(&f, USER, "t0", T0 + 100);
	add(&f, USER, "new", T0 + 100);
	assert_int_equal(rows(&f), TOKENS_PER_ACCOUNT + 1);
	list = tokens_list(f.store, span_of(USER), T0 + 100);
	assert_memory_equal(list, "t0 t2 ", 6);
	assert_non_null(strstr(list, " t31 new"));
	free(list);
	deinit(&f);
}

static int forget_some(sqlite3 *db)
{
	int rc = tokens_row_delete(db, span_of(USER), span_of("b"));

	if (rc == SQLITE_OK)
		rc = tokens_row_delete(db, span_of(USER), span_of("unknown"));
	return rc == SQLITE_OK
		   ? tokens_row_delete(db, span_of("nobody@x"), span_of("a"))
		   : rc;
}

static int forget_user(sqlite3 *db)
{
	return tokens_rows_forget(db, span_of(USER));
}

static int import_some(sqlite3 *db)
{
	int rc = tokens_row_import(db, span_of(USER), span_of("a"), T0 - DAY);

	return rc == SQLITE_OK
		   ? tokens_row_import(db, span_of(USER), span_of("old"), T0 - DAY)
		   : rc;
}

static void forgotten(void **state)
{
	struct fixture f;

	init(&f);
	add(&f, USER, "a b c", T0);
	add(&f, OTHER, "b", T0);
	act(&f, forget_some);
	expect(&f, USER, T0, "a c");
	act(&f, forget_user);
	expect(&f, USER, T0, "");
	expect(&f, OTHER, T0, "b");
	deinit(&f);
}

/* What is there is newer than what another relay's files say. */
static void imported(void **state)
{
	struct fixture f;

	init(&f);
	add(&f, USER, "a", T0);
	act(&f, import_some);
	expect(&f, USER, T0 + 89 * DAY - 1, "a old");
	expect(&f, USER, T0 + 89 * DAY, "a");
	deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(valid, valid_cases) },
		{ SUPPORT_TEST(valid_lengths) },
		{ SUPPORT_TEST(kept_in_order) },
		{ SUPPORT_TEST(valid_for_90_days) },
		{ SUPPORT_TEST(from_the_future) },
		{ SUPPORT_TEST(stale_ones_go) },
		{ SUPPORT_TEST(too_many) },
		{ SUPPORT_TEST(forgotten) },
		{ SUPPORT_TEST(imported) },
	};

	return support_run("tokens", tests, ARRAY_LEN(tests));
}
