/*
 * chatmaild/push_queue.c over a real store, with a scripted sender in place of HTTP. The
 * time is the test's.
 */
#include "chatmaild/push_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/support.h"

#define T0    1800000000 /* seconds */
#define USER  "somebody1@chat.example"
#define OTHER "somebody2@chat.example"
#define MANY  100000

struct fixture {
	struct event_base *base;
	char *dir, *mail, *file;
	struct store *store;
	struct push_queue *q;
	int64_t now;
	unsigned calls; /* of on_due */
};

static void on_due(void *arg)
{
	struct fixture *f = arg;

	f->calls++;
}

static void start(struct fixture *f)
{
	bool fresh;

	f->store = store_open(f->base, f->dir, &fresh);
	assert_non_null(f->store);
	f->q = push_queue_create(f->base, f->store, f->mail);
	assert_non_null(f->q);
	push_queue_serve(f->q, on_due, f);
}

static void stop(struct fixture *f)
{
	push_queue_serve(f->q, NULL, NULL);
	store_close(f->store);
	push_queue_destroy(f->q);
}

static void restart(struct fixture *f)
{
	stop(f);
	start(f);
}

static void make_account(struct fixture *f, const char *address)
{
	char *path = support_path(f->mail, address);

	assert_return_code(mkdir(path, 0700), errno);
	free(path);
}

static void init(struct fixture *f)
{
	*f = (struct fixture){ .base = event_base_new(), .now = T0 };
	f->dir = support_tmpdir();
	f->mail = support_path(f->dir, "mail");
	f->file = support_path(f->dir, STORE_FILE);
	assert_return_code(mkdir(f->mail, 0700), errno);
	make_account(f, USER);
	make_account(f, OTHER);
	start(f);
}

static void deinit(struct fixture *f)
{
	stop(f);
	free(f->file);
	free(f->mail);
	support_tmpdir_remove(f->dir);
	event_base_free(f->base);
}

struct fate {
	bool done;
	int result;
};

static void on_fate(void *arg, int result)
{
	struct fate *fate = arg;

	assert_false(fate->done);
	*fate = (struct fate){ true, result };
}

static bool fate_done(void *arg)
{
	return ((const struct fate *)arg)->done;
}

static void add_tokens(struct fixture *f, const char *address, const char *list)
{
	struct span token[TOKENS_PER_ACCOUNT], rest = span_of(list);
	struct fate fate = { false, 0 };
	size_t n = 0;

	while (span_cut(&rest, ' ', &token[n]))
		n++;
	tokens_add(f->store, span_of(address), token, n, f->now, on_fate, &fate);
	support_loop(f->base, fate_done, &fate);
	assert_int_equal(fate.result, 0);
}

/* A message came, and Dovecot was told that it is on disk. */
static void message(struct fixture *f, const char *address)
{
	struct fate fate = { false, 0 };

	push_queue_add(f->q, span_of(address), f->now, on_fate, &fate);
	support_loop(f->base, fate_done, &fate);
	assert_int_equal(fate.result, 0);
}

static int barrier_run(struct store_op *op, sqlite3 *db)
{
	return SQLITE_OK;
}

struct barrier {
	struct store_op op;
	struct fate fate;
};

static void barrier_done(struct store_op *op, int result)
{
	on_fate(&((struct barrier *)op)->fate, result);
}

/* All outcomes are on disk: those being written, and those that waited for them. */
static void settle(struct fixture *f)
{
	for (unsigned i = 0; i < 3; i++) {
		struct barrier b = { .op = {
					 .run = barrier_run, .done = barrier_done } };

		store_submit(f->store, &b.op);
		support_loop(f->base, fate_done, &b.fate);
	}
}

static struct push *take(struct fixture *f)
{
	return push_queue_take(f->q, f->now);
}

static struct push *take_token(struct fixture *f, const char *token)
{
	struct push *p = take(f);

	assert_non_null(p);
	assert_string_equal(p->token, token);
	return p;
}

static void finish(struct fixture *f, struct push *p, enum push_result result)
{
	push_queue_finish(f->q, p, result, f->now);
}

/* What a statement says on a connection of its own, its rows parted by blanks. */
static void expect_sql(struct fixture *f, const char *sql, const char *want)
{
	char got[512] = "";
	sqlite3_stmt *stmt;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		if (*got)
			strcat(got, " ");
		strcat(got, (const char *)sqlite3_column_text(stmt, 0));
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	assert_string_equal(got, want);
}

static void change(struct fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* Token and tries of each row. */
static void expect_rows(struct fixture *f, const char *want)
{
	settle(f);
	expect_sql(f, "SELECT token || ':' || tries FROM pushes ORDER BY id", want);
}

static void expect_tokens(struct fixture *f, const char *address, const char *want)
{
	char *list = tokens_list(f->store, span_of(address), f->now);

	assert_non_null(list);
	assert_string_equal(list, want);
	free(list);
}

static bool was_called(void *arg)
{
	return ((const struct fixture *)arg)->calls > 0;
}

static void expect_call(struct fixture *f)
{
	support_loop(f->base, was_called, f);
	f->calls = 0;
}

/* USER has these devices, and a message for them came. */
static void init_due(struct fixture *f, const char *tokens)
{
	init(f);
	add_tokens(f, USER, tokens);
	message(f, USER);
}

/* --- one message ----------------------------------------------------------------- */

static void sent(void **state)
{
	struct fixture f;
	struct push *p;

	init_due(&f, "one");
	expect_sql(&f, "SELECT address || (start - 1800000000) FROM pushes", USER "0");
	expect_call(&f);
	p = take_token(&f, "one");
	assert_string_equal(p->address, USER);
	assert_int_equal(p->start, T0);
	assert_int_equal(p->tries, 0);
	assert_null(take(&f));
	assert_int_equal(push_queue_counters(f.q)->in_flight, 1);
	finish(&f, p, PUSH_SENT);
	expect_rows(&f, "");
	expect_tokens(&f, USER, "one");
	assert_int_equal(push_queue_counters(f.q)->queued, 0);
	assert_int_equal(push_queue_counters(f.q)->in_flight, 0);
	assert_int_equal(push_queue_counters(f.q)->sent, 1);
	restart(&f);
	assert_null(take(&f));
	deinit(&f);
}

static void nobody_to_tell(void **state)
{
	struct fixture f;

	init(&f);
	message(&f, USER);
	message(&f, "nobody");
	expect_rows(&f, "");
	assert_null(take(&f));
	assert_int_equal(f.calls, 0);
	deinit(&f);
}

static void stale_tokens_are_left_out(void **state)
{
	struct fixture f;

	init(&f);
	add_tokens(&f, USER, "old");
	f.now += TOKEN_VALID_SECONDS - 1;
	message(&f, USER);
	finish(&f, take_token(&f, "old"), PUSH_SENT);
	settle(&f);
	f.now += 1;
	message(&f, USER);
	expect_rows(&f, "");
	deinit(&f);
}

static void several_devices(void **state)
{
	struct fixture f;
	struct push *first, *second, *third;

	init(&f);
	add_tokens(&f, USER, "one two three");
	add_tokens(&f, OTHER, "other");
	message(&f, USER);
	first = take_token(&f, "one");
	second = take_token(&f, "two");
	third = take_token(&f, "three");
	assert_null(take(&f));
	finish(&f, third, PUSH_SENT);
	finish(&f, first, PUSH_TOKEN_DEAD);
	finish(&f, second, PUSH_FAILED);
	expect_rows(&f, "two:1");
	expect_tokens(&f, USER, "two three");
	expect_tokens(&f, OTHER, "other");
	deinit(&f);
}

static void unsent(void **state)
{
	struct fixture f;

	init_due(&f, "one");
	finish(&f, take_token(&f, "one"), PUSH_UNSENT);
	f.calls = 0;
	expect_call(&f);
	finish(&f, take_token(&f, "one"), PUSH_FAILED);
	expect_rows(&f, "one:1");
	f.now += 9;
	finish(&f, take_token(&f, "one"), PUSH_UNSENT);
	assert_int_equal(take_token(&f, "one")->tries, 1);
	deinit(&f);
}

/* Refused at once again and again: not a busy loop. */
static void unsent_for_ever(void **state)
{
	unsigned times = 0;
	struct push *p;
	struct fixture f;

	init_due(&f, "one");
	while ((p = take(&f))) {
		finish(&f, p, PUSH_UNSENT);
		assert_true(++times < 100);
	}
	expect_rows(&f, "one:1");
	f.now += 9;
	take_token(&f, "one");
	deinit(&f);
}

/* --- retries --------------------------------------------------------------------- */

/* Its log, for the length of a test. */
struct capture {
	char *path;
	int saved;
};

static void capture_begin(struct capture *c, struct fixture *f)
{
	FILE *file;

	c->path = support_path(f->dir, "log");
	c->saved = dup(STDERR_FILENO);
	file = fopen(c->path, "we");
	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	fclose(file);
}

static struct support_text capture_end(struct capture *c)
{
	struct support_text text;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	text = support_read_file(c->path);
	free(c->path);
	return text;
}

static const int delays[] = { 8, 64, 512, 4096, 4096, 4096, 4096 };

/* Each wait has its length, and up to an eighth more; after five hours it is over. */
static void until_the_deadline(void **state)
{
	struct support_text log;
	struct capture capture;
	struct fixture f;

	init(&f);
	capture_begin(&capture, &f);
	add_tokens(&f, USER, "secret-token");
	message(&f, USER);
	for (unsigned i = 0; i < ARRAY_LEN(delays); i++) {
		struct push *p = take_token(&f, "secret-token");

		assert_int_equal(p->tries, i);
		finish(&f, p, PUSH_FAILED);
		settle(&f);
		if (push_queue_counters(f.q)->expired)
			break;
		f.now += delays[i] - 1;
		assert_null(take(&f));
		f.now += 1 + delays[i] / 8;
	}
	log = capture_end(&capture);
	assert_in_range(
	    f.now - T0, PUSH_DEADLINE_SECONDS - 4608, PUSH_DEADLINE_SECONDS);
	assert_int_equal(push_queue_counters(f.q)->expired, 1);
	expect_rows(&f, "");
	assert_non_null(strstr(log.data, "notification exceeded deadline"));
	assert_null(strstr(log.data, "secret-token"));
	assert_null(strstr(log.data, "somebody"));
	free(log.data);
	deinit(&f);
}

static void found_too_late(void **state)
{
	struct fixture f;

	init_due(&f, "one");
	restart(&f);
	f.now += PUSH_DEADLINE_SECONDS + 1;
	assert_null(take(&f));
	assert_int_equal(push_queue_counters(f.q)->expired, 1);
	expect_rows(&f, "");
	assert_int_equal(push_queue_counters(f.q)->queued, 0);
	deinit(&f);
}

static void tries_survive_a_restart(void **state)
{
	struct fixture f;

	init_due(&f, "one");
	finish(&f, take_token(&f, "one"), PUSH_FAILED);
	restart(&f);
	finish(&f, take_token(&f, "one"), PUSH_FAILED);
	expect_rows(&f, "one:2");
	deinit(&f);
}

static void first_tries_go_first(void **state)
{
	struct fixture f;

	init(&f);
	add_tokens(&f, USER, "late");
	add_tokens(&f, OTHER, "fresh");
	message(&f, USER);
	finish(&f, take_token(&f, "late"), PUSH_FAILED);
	settle(&f);
	f.now += 9;
	message(&f, OTHER);
	take_token(&f, "fresh");
	take_token(&f, "late");
	deinit(&f);
}

/* The wall clock is set back an hour: a wait is not longer for that. */
static void clock_set_back(void **state)
{
	struct fixture f;

	init_due(&f, "one");
	finish(&f, take_token(&f, "one"), PUSH_FAILED);
	settle(&f);
	f.now -= 3600;
	assert_null(take(&f));
	f.now += 9;
	take_token(&f, "one");
	deinit(&f);
}

/* Started with a clock that is years behind, when rows are from the future. */
static void clock_behind(void **state)
{
	struct fixture f;
	struct push *p;

	init_due(&f, "one");
	restart(&f);
	f.now -= 1000000000;
	p = take_token(&f, "one");
	assert_int_equal(p->start, f.now);
	finish(&f, p, PUSH_FAILED);
	settle(&f);
	f.now += 9;
	take_token(&f, "one");
	deinit(&f);
}

static void timer_tells(void **state)
{
	struct fixture f;

	init_due(&f, "one");
	finish(&f, take_token(&f, "one"), PUSH_FAILED);
	settle(&f);
	change(&f, "UPDATE pushes SET due = 1800000001");
	push_queue_resume(f.q);
	expect_call(&f);
	assert_null(take(&f));
	expect_call(&f);
	f.now += 1;
	take_token(&f, "one");
	deinit(&f);
}

/* --- coalescing ------------------------------------------------------------------ */

/* Where the first message's notification is when the second message comes. */
enum moment {
	READY,
	WAITING,
	IN_FLIGHT,
	BEFORE_THE_ANSWER, /* the second is on its way to the disk when the answer comes */
	AFTER_THE_ANSWER, /* the answer is on its way when the second comes */
	LONG_AFTER,
};

static const struct again_case {
	const char *name;
	enum moment moment;
	enum push_result result; /* of the first */
	bool dead;               /* nothing is sent a second time */
	int coalesced;
} again_cases[] = {
	{ "not taken yet", READY, PUSH_SENT, true, 1 },
	{ "waits for its retry", WAITING, PUSH_FAILED, false, 1 },
	{ "in flight, sent", IN_FLIGHT, PUSH_SENT, false, 1 },
	{ "in flight, failed", IN_FLIGHT, PUSH_FAILED, false, 1 },
	{ "in flight, unsent", IN_FLIGHT, PUSH_UNSENT, false, 1 },
	{ "in flight, dead", IN_FLIGHT, PUSH_TOKEN_DEAD, true, 1 },
	{ "just before, sent", BEFORE_THE_ANSWER, PUSH_SENT, false, 1 },
	{ "just before, failed", BEFORE_THE_ANSWER, PUSH_FAILED, false, 1 },
	{ "just before, unsent", BEFORE_THE_ANSWER, PUSH_UNSENT, false, 1 },
	{ "just before, dead", BEFORE_THE_ANSWER, PUSH_TOKEN_DEAD, true, 1 },
	{ "just after, sent", AFTER_THE_ANSWER, PUSH_SENT, false, 0 },
	{ "just after, failed", AFTER_THE_ANSWER, PUSH_FAILED, false, 1 },
	{ "just after, unsent", AFTER_THE_ANSWER, PUSH_UNSENT, false, 1 },
	{ "just after, dead", AFTER_THE_ANSWER, PUSH_TOKEN_DEAD, true, 0 },
	{ "long after, sent", LONG_AFTER, PUSH_SENT, false, 0 },
};

static void second_message(
    struct fixture *f, struct push *p, const struct again_case *c)
{
	struct fate fate = { false, 0 };

	if (c->moment == AFTER_THE_ANSWER || c->moment == LONG_AFTER ||
	    c->moment == WAITING)
		finish(f, p, c->result);
	if (c->moment == LONG_AFTER || c->moment == WAITING)
		settle(f);
	f->now += 2;
	push_queue_add(f->q, span_of(USER), f->now, on_fate, &fate);
	if (c->moment == BEFORE_THE_ANSWER)
		finish(f, p, c->result);
	support_loop(f->base, fate_done, &fate);
	assert_int_equal(fate.result, 0);
	if (c->moment == IN_FLIGHT) {
		assert_true(p->again);
		finish(f, p, c->result);
	}
	settle(f);
}

/* One row at any time; nothing that came after the first was taken is lost. */
static void again(void **state)
{
	const struct again_case *c = *state;
	struct fixture f;
	struct push *p;

	init_due(&f, "one");
	if (c->moment == READY) {
		message(&f, USER);
		p = take_token(&f, "one");
		finish(&f, p, c->result);
		settle(&f);
	} else {
		second_message(&f, take_token(&f, "one"), c);
	}
	assert_int_equal(push_queue_counters(f.q)->coalesced, c->coalesced);
	if (c->dead) {
		expect_rows(&f, "");
		assert_null(take(&f));
	} else {
		expect_rows(&f, "one:0");
		p = take_token(&f, "one");
		assert_int_equal(p->tries, 0);
		assert_int_equal(p->start, T0 + 2);
		assert_null(take(&f));
		finish(&f, p, PUSH_SENT);
		expect_rows(&f, "");
	}
	assert_int_equal(push_queue_counters(f.q)->queued, 0);
	deinit(&f);
}

/* --- the sender stops ------------------------------------------------------------ */

static void paused(void **state)
{
	struct fixture f;

	init(&f);
	add_tokens(&f, USER, "one");
	add_tokens(&f, OTHER, "two");
	message(&f, USER);
	finish(&f, take_token(&f, "one"), PUSH_FAILED);
	push_queue_pause(f.q);
	f.calls = 0;
	message(&f, OTHER);
	message(&f, USER);
	settle(&f);
	f.now += 100;
	assert_null(take(&f));
	assert_int_equal(f.calls, 0);
	push_queue_resume(f.q);
	expect_call(&f);
	take_token(&f, "two");
	assert_int_equal(take_token(&f, "one")->tries, 0);
	deinit(&f);
}

/* What was in flight when the sender left is due again. */
static void sender_leaves(void **state)
{
	struct fixture f;

	init_due(&f, "one");
	take_token(&f, "one");
	push_queue_serve(f.q, NULL, NULL);
	push_queue_serve(f.q, on_due, &f);
	expect_call(&f);
	take_token(&f, "one");
	deinit(&f);
}

static void account_is_gone(void **state)
{
	struct fixture f;
	char *path;

	init_due(&f, "one two");
	path = support_path(f.mail, USER);
	assert_return_code(rmdir(path), errno);
	assert_null(take(&f));
	assert_int_equal(push_queue_counters(f.q)->ownerless, 2);
	expect_rows(&f, "");
	assert_int_equal(access(path, F_OK), -1);
	free(path);
	deinit(&f);
}

/* --- what is found at the start -------------------------------------------------- */

static void spread(void **state)
{
	unsigned got = 0;
	struct fixture f;

	init(&f);
	for (unsigned i = 0; i < 20; i++) {
		char token[16];

		snprintf(token, sizeof(token), "token%u", i);
		add_tokens(&f, USER, token);
	}
	message(&f, USER);
	restart(&f);
	assert_int_equal(push_queue_counters(f.q)->queued, 20);
	for (unsigned second = 0; second < PUSH_SPREAD_SECONDS; second++) {
		f.calls = 0;
		expect_call(&f);
		while (take(&f))
			got++;
		if (second + 1 < PUSH_SPREAD_SECONDS)
			assert_int_equal(got, 2 * (second + 1));
		f.now++;
		push_queue_resume(f.q);
	}
	assert_int_equal(got, 20);
	deinit(&f);
}

/* The second half of them announces itself without anybody asking. */
static void spread_by_itself(void **state)
{
	struct fixture f;

	init_due(&f, "one two");
	restart(&f);
	expect_call(&f);
	take_token(&f, "one");
	assert_null(take(&f));
	expect_call(&f);
	f.now += PUSH_SPREAD_SECONDS;
	take_token(&f, "two");
	deinit(&f);
}

#define INSERT_MANY                                                                    \
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)" \
	" INSERT INTO pushes (address, token, start, due, tries, version)"             \
	" SELECT '" USER "', i, %lld, %lld, i %% 3 = 0, 1 FROM n"

static void insert_many(struct fixture *f, int rows, int64_t start)
{
	char sql[512];

	snprintf(sql, sizeof(sql), INSERT_MANY, rows, (long long)start,
	    (long long)start + 4096);
	change(f, sql);
}

struct drain {
	struct fixture *f;
	unsigned char *seen; /* by token */
	unsigned taken;
};

/* Some in flight at once, all sent. */
static bool drain_some(void *arg)
{
	struct drain *d = arg;
	struct push *flight[100];
	unsigned n = 0;

	while (n < 100 && (flight[n] = take(d->f))) {
		int token = atoi(flight[n]->token);

		assert_in_range(token, 1, MANY);
		assert_int_equal(d->seen[token]++, 0);
		n++;
	}
	d->taken += n;
	while (n > 0)
		finish(d->f, flight[--n], PUSH_SENT);
	return push_queue_counters(d->f->q)->queued == 0;
}

static void many_survive_a_restart(void **state)
{
	struct drain d = { NULL, calloc(MANY + 1, 1), 0 };
	struct fixture f;

	assert_non_null(d.seen);
	init(&f);
	insert_many(&f, MANY, T0);
	restart(&f);
	assert_int_equal(push_queue_counters(f.q)->queued, MANY);
	d.f = &f;
	drain_some(&d); /* the spread begins */
	f.now += PUSH_SPREAD_SECONDS;
	support_loop(f.base, drain_some, &d);
	assert_int_equal(d.taken, MANY);
	expect_rows(&f, "");
	free(d.seen);
	deinit(&f);
}

/* More messages at once than memory takes: the rest is read from the disk. */
static void more_than_memory_holds(void **state)
{
	struct drain d = { NULL, calloc(MANY + 1, 1), 0 };
	struct fixture f;

	assert_non_null(d.seen);
	init(&f);
	insert_many(&f, 9000, T0 - 5000);
	push_queue_found(f.q, 9000);
	d.f = &f;
	support_loop(f.base, drain_some, &d);
	assert_int_equal(d.taken, 9000);
	free(d.seen);
	deinit(&f);
}

/* --- limits and trouble ---------------------------------------------------------- */

static void full(void **state)
{
	struct fixture f;

	init(&f);
	add_tokens(&f, USER, "one");
	add_tokens(&f, OTHER, "two");
	message(&f, USER);
	push_queue_found(f.q, PUSH_ROWS_MAX - 1);
	f.now += 1;
	message(&f, OTHER);
	message(&f, USER);
	assert_int_equal(push_queue_counters(f.q)->shed, 1);
	assert_int_equal(push_queue_counters(f.q)->coalesced, 1);
	expect_rows(&f, "one:0");
	/* The first one's deadline passes unnoticed: it makes room. */
	f.now += PUSH_DEADLINE_SECONDS + 1;
	message(&f, OTHER);
	assert_int_equal(push_queue_counters(f.q)->expired, 1);
	expect_rows(&f, "two:0");
	take_token(&f, "two");
	deinit(&f);
}

/* Nobody can write: what was answered meanwhile is written later, and not sent twice. */
static void store_in_trouble(void **state)
{
	struct fate fate = { false, 0 };
	struct fixture f;
	sqlite3 *db;

	init_due(&f, "one");
	assert_int_equal(sqlite3_open(f.file, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	assert_int_equal(
	    sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	finish(&f, take_token(&f, "one"), PUSH_SENT);
	push_queue_add(f.q, span_of(OTHER), f.now, on_fate, &fate);
	support_loop(f.base, fate_done, &fate);
	assert_int_equal(fate.result, -1);
	assert_null(take(&f));
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	f.calls = 0;
	push_queue_resume(f.q);
	assert_null(take(&f));
	while (push_queue_counters(f.q)->queued > 0)
		event_base_loop(f.base, EVLOOP_ONCE);
	expect_rows(&f, "");
	deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(sent) },
		{ SUPPORT_TEST(nobody_to_tell) },
		{ SUPPORT_TEST(stale_tokens_are_left_out) },
		{ SUPPORT_TEST(several_devices) },
		{ SUPPORT_TEST(unsent) },
		{ SUPPORT_TEST(unsent_for_ever) },
		{ SUPPORT_TEST(until_the_deadline) },
		{ SUPPORT_TEST(found_too_late) },
		{ SUPPORT_TEST(tries_survive_a_restart) },
		{ SUPPORT_TEST(first_tries_go_first) },
		{ SUPPORT_TEST(clock_set_back) },
		{ SUPPORT_TEST(clock_behind) },
		{ SUPPORT_TEST(timer_tells) },
		{ SUPPORT_TABLE(again, again_cases) },
		{ SUPPORT_TEST(paused) },
		{ SUPPORT_TEST(sender_leaves) },
		{ SUPPORT_TEST(account_is_gone) },
		{ SUPPORT_TEST(spread) },
		{ SUPPORT_TEST(spread_by_itself) },
		{ SUPPORT_TEST(many_survive_a_restart) },
		{ SUPPORT_TEST(more_than_memory_holds) },
		{ SUPPORT_TEST(full) },
		{ SUPPORT_TEST(store_in_trouble) },
	};

	return support_run("push_queue", tests, ARRAY_LEN(tests));
}
