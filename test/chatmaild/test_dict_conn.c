/* chatmaild/dict_conn.c with scripted handlers behind it: cuts, limits, late replies. */
#include "chatmaild/dict_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/support.h"

struct fixture {
	struct daemon d;
	struct dict_server server;
	int fd;                     /* the peer's end */
	struct dict_ticket *ticket; /* of key "later" */
	unsigned rows_destroyed;
	char *got;
	size_t got_len, got_size;
	bool end;
	size_t want;
};

struct rows {
	struct dict_rows rows;
	struct fixture *f;
	unsigned left;
};

static struct fixture *fixture_of(struct dict_conn *c)
{
	return dict_conn_server(c)->service;
}

static bool read_some(void *arg);

/*
 * "later" is answered when the test says so, "gone" not found, else the key itself.
 * "drain" lets the peer of the first connection read meanwhile.
 */
static void on_lookup(struct dict_conn *c, struct span key, struct span user)
{
	if (span_is(key, "drain"))
		read_some(fixture_of(c));
	if (span_is(key, "later"))
		fixture_of(c)->ticket = dict_conn_defer(c);
	else if (span_is(key, "gone"))
		dict_conn_reply(c, 'N', span_make("", 0));
	else
		dict_conn_reply(c, 'O', key);
}

static bool rows_more(struct dict_rows *rows, struct dict_conn *c)
{
	struct rows *r = (struct rows *)rows;

	for (unsigned i = 0; i < 100 && r->left; i++, r->left--)
		dict_conn_row(c, span_of("key"), span_of("some value of some length"));
	return r->left > 0;
}

static void rows_destroy(struct dict_rows *rows)
{
	struct rows *r = (struct rows *)rows;

	r->f->rows_destroyed++;
	free(r);
}

/* The path is the number of rows. */
static void on_iterate(struct dict_conn *c, struct span path, struct span user)
{
	struct rows *r = calloc(1, sizeof(*r));

	r->rows = (struct dict_rows){ rows_more, rows_destroy };
	r->f = fixture_of(c);
	r->left = (unsigned)strtoul(path.data, NULL, 10);
	dict_conn_stream(c, &r->rows);
}

/* Good if every set's key is its value. */
static void on_commit(struct dict_conn *c, const struct dict_transaction *t)
{
	bool good = span_is(t->user, "user");

	for (size_t i = 0; i < t->nsets; i++)
		good = good && span_equal(t->set[i].key, t->set[i].value);
	dict_conn_reply(c, good ? 'O' : 'F', span_of("ignored"));
}

static const struct dict_handler handler = { on_lookup, on_iterate, on_commit };

static void fixture_init(struct fixture *f)
{
	int fd[2];

	*f = (struct fixture){ .d = { .base = event_base_new() } };
	dict_server_init(&f->server, &f->d, "test", &handler, f);
	support_socketpair(fd);
	f->fd = fd[0];
	dict_server_accept(&f->server, NULL, fd[1]);
	f->got_size = 4 << 20;
	f->got = malloc(f->got_size);
}

static void fixture_deinit(struct fixture *f)
{
	if (f->fd >= 0)
		close(f->fd);
	dict_server_stop(&f->server);
	assert_int_equal(f->server.counters.connections, 0);
	event_base_free(f->d.base);
	free(f->got);
}

/* The peer reads what there is; true once it has what it wants, or the end. */
static bool read_some(void *arg)
{
	struct fixture *f = arg;

	while (!f->end && f->got_len < f->want) {
		ssize_t n =
		    recv(f->fd, f->got + f->got_len, f->got_size - f->got_len, 0);

		if (n < 0)
			return false;
		f->end = n == 0;
		f->got_len += (size_t)n;
	}
	return true;
}

static void expect(struct fixture *f, const char *want)
{
	f->want = strlen(want);
	support_loop(f->d.base, read_some, f);
	support_assert_span(span_make(f->got, f->got_len), span_of(want));
	f->got_len = 0;
}

static void expect_end(struct fixture *f)
{
	f->want = f->got_size;
	support_loop(f->d.base, read_some, f);
	assert_int_equal(f->got_len, 0);
	assert_true(f->end);
}

static void send_bytes(struct fixture *f, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(f->fd, bytes, len, MSG_NOSIGNAL);

		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
		event_base_loop(f->d.base, EVLOOP_NONBLOCK);
	}
}

static void send_text(struct fixture *f, const char *text)
{
	send_bytes(f, text, strlen(text));
}

/* A conversation in every cut gives the same replies. */
static const char cut_request[] =
    "H3\t2\t0\t\tname\nLone\tuser\nLgone\n\r\nL\001t\001n\001\060\nI0\t2\t9\tuser\n"
    "B1\tuser\nS1\ta\ta\nS1\tb\t\tb\nB2\tuser\nS2\tx\tx\nC1\nC2\nC2\nX\nLlast";
static const char cut_replies[] =
    "Oone\nN\nO\001t\001n\001\060\nOkey\tsome value of some length\n"
    "Okey\tsome value of some length\n\nF\nO\nF\nOlast\n";

static void cut_begin(void *arg)
{
	fixture_init(arg);
}

static void cut_feed(void *arg, const char *bytes, size_t len)
{
	send_bytes(arg, bytes, len);
}

static void cut_end(void *arg, const char *cut)
{
	struct fixture *f = arg;

	shutdown(f->fd, SHUT_WR);
	expect(f, cut_replies);
	expect_end(f);
	fixture_deinit(f);
}

static void every_cut(void **state)
{
	static const struct support_feeder feeder = { cut_begin, cut_feed, cut_end };
	struct fixture f;

	support_every_cut(&feeder, &f, cut_request, sizeof(cut_request) - 1);
}

/* More requests in one write than a loop turn serves, and than the small buffer holds. */
static void many_at_once(void **state)
{
	struct fixture f;
	size_t n = 5000;
	char *want = malloc(n * 3 + 1);

	fixture_init(&f);
	for (size_t i = 0; i < n; i++) {
		memcpy(want + i * 3, "Ox\n", 4);
		send_text(&f, "Lx\n");
	}
	expect(&f, want);
	assert_int_equal(f.server.counters.lookups, n);
	free(want);
	fixture_deinit(&f);
}

static void late_reply(void **state)
{
	struct dict_conn *c;
	struct fixture f;

	fixture_init(&f);
	send_text(&f, "Lfirst\nLlater\nLafter\nB1\tuser\nC1\n");
	expect(&f, "Ofirst\n");
	event_base_loop(f.d.base, EVLOOP_NONBLOCK);
	assert_int_equal(recv(f.fd, f.got, 1, 0), -1);
	c = dict_ticket_redeem(f.ticket);
	assert_non_null(c);
	dict_conn_reply(c, 'O', span_of("at last"));
	expect(&f, "Oat last\nOafter\nO\n");
	fixture_deinit(&f);
}

/* Half-closed: the late reply still goes out. Gone: it is dropped. */
static void late_reply_after_eof(void **state)
{
	struct dict_conn *c;
	struct fixture f;

	fixture_init(&f);
	send_text(&f, "Llater");
	shutdown(f.fd, SHUT_WR);
	event_base_loop(f.d.base, EVLOOP_NONBLOCK);
	event_base_loop(f.d.base, EVLOOP_NONBLOCK);
	assert_non_null(f.ticket);
	c = dict_ticket_redeem(f.ticket);
	assert_non_null(c);
	dict_conn_reply(c, 'N', span_make("", 0));
	expect(&f, "N\n");
	expect_end(&f);
	fixture_deinit(&f);
}

static void late_reply_to_nobody(void **state)
{
	struct dict_conn *c;
	struct fixture f;

	fixture_init(&f);
	send_text(&f, "Llater\nLmore\n");
	close(f.fd);
	f.fd = -1;
	event_base_loop(f.d.base, EVLOOP_NONBLOCK);
	c = dict_ticket_redeem(f.ticket);
	if (c)
		dict_conn_reply(c, 'O', span_of("x"));
	assert_int_equal(f.server.counters.connections, 0);
	fixture_deinit(&f);
}

static void stopped_with_reply_owed(void **state)
{
	struct fixture f;

	fixture_init(&f);
	send_text(&f, "Llater\n");
	fixture_deinit(&f);
	assert_null(dict_ticket_redeem(f.ticket));
}

static const struct line_case {
	const char *name;
	size_t len; /* LF included */
	bool fits;
} line_cases[] = {
	{ "beyond the small buffer", 3000, true },
	{ "longest", DICT_LINE_MAX, true },
	{ "one byte too many", DICT_LINE_MAX + 1, false },
};

static void long_line(void **state)
{
	const struct line_case *c = *state;
	char *line = malloc(c->len + 1), *want;
	struct fixture f;

	fixture_init(&f);
	memset(line, 'x', c->len);
	line[0] = 'L';
	line[c->len - 1] = '\n';
	line[c->len] = '\0';
	if (c->fits) {
		send_text(&f, line);
		want = strdup(line);
		want[0] = 'O';
		expect(&f, want);
		free(want);
		send_text(&f, "Lnext\n");
		expect(&f, "Onext\n");
	} else {
		send_bytes(&f, line, DICT_LINE_MAX - 1);
		assert_int_equal(f.server.counters.connections, 1);
		send_bytes(&f, line + DICT_LINE_MAX - 1, 1);
		expect_end(&f);
		assert_int_equal(f.server.counters.bad_requests, 1);
	}
	free(line);
	fixture_deinit(&f);
}

/* It never reads: we stop reading its requests, and hold no more than a bound. */
static void peer_does_not_read(void **state)
{
	struct fixture f;
	unsigned sent = 0;
	char line[1001];
	uint64_t served;

	fixture_init(&f);
	memset(line, 'x', 1000);
	line[0] = 'L';
	line[999] = '\n';
	line[1000] = '\0';
	for (unsigned i = 0; i < 20000; i++) {
		if (send(f.fd, line, 1000, MSG_NOSIGNAL) != 1000)
			break;
		sent++;
		event_base_loop(f.d.base, EVLOOP_NONBLOCK);
	}
	assert_true(sent < 20000); /* the socket is full in both directions */
	served = f.server.counters.lookups;
	assert_true(served < sent);
	f.want = 1000UL * sent;
	assert_true(f.want < f.got_size);
	support_loop(f.d.base, read_some, &f);
	assert_int_equal(f.server.counters.lookups, sent);
	fixture_deinit(&f);
}

/* 100,000 rows to a slow reader: in slices, others are served in between. */
static void long_iteration(void **state)
{
	struct fixture f;

	fixture_init(&f);
	send_text(&f, "I0\t0\t100000\tuser\nLafter\n");
	event_base_loop(f.d.base, EVLOOP_NONBLOCK);
	event_base_loop(f.d.base, EVLOOP_NONBLOCK);
	assert_int_equal(f.rows_destroyed, 0);
	f.want = 100000UL * 31 + 1 + 7;
	support_loop(f.d.base, read_some, &f);
	assert_int_equal(f.got_len, f.want);
	assert_memory_equal(f.got + f.want - 9, "\n\nOafter\n", 9);
	assert_int_equal(f.rows_destroyed, 1);
	fixture_deinit(&f);
}

/*
 * The peer reads just when its connection comes to its turn with too much unsent, so
 * that no event tells of it any more. Which turn that is depends on the socket's buffer:
 * each is tried.
 */
static void iteration_drained_in_between(void **state)
{
	for (unsigned turns = 10; turns < 200; turns++) {
		struct fixture f;
		int other[2];

		fixture_init(&f);
		support_socketpair(other);
		dict_server_accept(&f.server, NULL, other[1]);
		f.want = f.got_size;
		assert_int_equal(send(f.fd, "I0\t0\t30000\tuser\n", 16, 0), 16);
		for (unsigned i = 0; i < turns; i++)
			event_base_loop(f.d.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_int_equal(send(other[0], "Ldrain\n", 7, 0), 7);
		event_base_loop(f.d.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);

		f.want = 30000 * strlen("Okey\tsome value of some length\n") + 1;
		support_loop(f.d.base, read_some, &f);
		assert_int_equal(f.rows_destroyed, 1);
		close(other[0]);
		fixture_deinit(&f);
	}
}

static void iteration_to_nobody(void **state)
{
	struct fixture f;

	fixture_init(&f);
	send_text(&f, "I0\t0\t100000\tuser\n");
	close(f.fd);
	f.fd = -1;
	for (unsigned i = 0; i < 50 && !f.rows_destroyed; i++)
		event_base_loop(f.d.base, EVLOOP_NONBLOCK);
	assert_int_equal(f.rows_destroyed, 1);
	assert_int_equal(f.server.counters.connections, 0);
	fixture_deinit(&f);
}

static void too_many_transactions(void **state)
{
	char text[64];
	struct fixture f;

	fixture_init(&f);
	for (unsigned i = 0; i <= DICT_TRANSACTIONS_MAX; i++) {
		snprintf(text, sizeof(text), "B%u\tuser\n", i);
		send_text(&f, text);
	}
	snprintf(text, sizeof(text), "C%u\nC0\n", DICT_TRANSACTIONS_MAX);
	send_text(&f, text);
	expect(&f, "F\nO\n");
	send_text(&f, "B17\tuser\nC17\n"); /* there is room again */
	expect(&f, "O\n");
	fixture_deinit(&f);
}

static void too_many_sets(void **state)
{
	struct fixture f;

	fixture_init(&f);
	send_text(&f, "B1\tuser\nB2\tuser\n");
	for (unsigned i = 0; i < DICT_SETS_MAX; i++)
		send_text(&f, "S1\tx\tx\nS2\tx\tx\n");
	send_text(&f, "S2\tx\tx\nC1\nC2\n");
	expect(&f, "O\nF\n");
	fixture_deinit(&f);
}

static void too_many_bytes(void **state)
{
	char *set = malloc(200000 + 8);
	struct fixture f;

	fixture_init(&f);
	memcpy(set, "S1\tx\t", 5);
	memset(set + 5, 'y', 200000);
	strcpy(set + 200005, "\n");
	send_text(&f, "B1\tuser\n");
	for (unsigned i = 0; i < 3; i++)
		send_text(&f, set);
	/* Room comes back with the rollback. */
	send_text(&f, "R1\nB1\tuser\nS1\tx\tx\nC1\n");
	expect(&f, "O\n");
	send_text(&f, "B1\tuser\nS1\tx\tx\n");
	for (unsigned i = 0; i < 3; i++)
		send_text(&f, set);
	send_text(&f, "C1\n");
	expect(&f, "F\n");
	free(set);
	fixture_deinit(&f);
}

static void drain_idle(void **state)
{
	struct fixture f;

	fixture_init(&f);
	send_text(&f, "Lx\nLhalf a li");
	expect(&f, "Ox\n");
	dict_server_drain(&f.server);
	assert_int_equal(dict_server_pending(&f.server), 0);
	expect_end(&f);
	fixture_deinit(&f);
}

/* What was sent before we stopped is answered, then the connection closes. */
static void drain_owed(void **state)
{
	struct fixture f;

	fixture_init(&f);
	send_text(&f, "Llater\nLmore\n");
	dict_server_drain(&f.server);
	assert_int_equal(dict_server_pending(&f.server), 1);
	dict_conn_reply(dict_ticket_redeem(f.ticket), 'O', span_of("x"));
	assert_int_equal(dict_server_pending(&f.server), 0);
	expect(&f, "Ox\nOmore\n");
	expect_end(&f);
	fixture_deinit(&f);
}

static void drain_unread(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(send(f.fd, "Lx\n", 3, MSG_NOSIGNAL), 3);
	dict_server_drain(&f.server);
	expect(&f, "Ox\n");
	expect_end(&f);
	fixture_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(every_cut) },
		{ SUPPORT_TEST(many_at_once) },
		{ SUPPORT_TEST(late_reply) },
		{ SUPPORT_TEST(late_reply_after_eof) },
		{ SUPPORT_TEST(late_reply_to_nobody) },
		{ SUPPORT_TEST(stopped_with_reply_owed) },
		{ SUPPORT_TABLE(long_line, line_cases) },
		{ SUPPORT_TEST(peer_does_not_read) },
		{ SUPPORT_TEST(long_iteration) },
		{ SUPPORT_TEST(iteration_drained_in_between) },
		{ SUPPORT_TEST(iteration_to_nobody) },
		{ SUPPORT_TEST(too_many_transactions) },
		{ SUPPORT_TEST(too_many_sets) },
		{ SUPPORT_TEST(too_many_bytes) },
		{ SUPPORT_TEST(drain_idle) },
		{ SUPPORT_TEST(drain_owed) },
		{ SUPPORT_TEST(drain_unread) },
	};

	return support_run("dict_conn", tests, ARRAY_LEN(tests));
}
