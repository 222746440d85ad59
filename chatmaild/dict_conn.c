/*
 * Plain events and system calls instead of a bufferevent: a lookup on a new connection
 * is one read, one write, and no allocation but the connection.
 */
#include "chatmaild/dict_conn.h"

#include <assert.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chatmaild/log.h"

#define INPUT_SMALL 1024 /* bytes; a login's request is below 300 */
#define OUTPUT_MIN  1024
#define LINES_TURN  128 /* requests of one connection in one loop turn */

/* What the handler owes. */
enum owed {
	OWES_NOTHING,
	OWES_LOOKUP,
	OWES_ROWS,
	OWES_COMMIT,
	OWES_SILENCE, /* an asynchronous commit: it is carried out, not answered */
};

struct dict_conn {
	LIST_ENTRY(dict_conn) link;
	LIST_ENTRY(dict_conn) busy_link;
	struct dict_server *server;
	struct listener *from;
	struct event readable, writable;
	int fd;

	enum owed owes;
	int64_t asked; /* histogram_clock() of the lookup; 0: it is not timed */
	bool eof;      /* the peer sends no more; it may still read */
	bool broken;   /* nothing can be sent any more */
	bool running;  /* in conn_run(), which looks at what changed when it is done */
	bool busy;     /* in the server's list */
	bool unknown_logged;

	struct dict_rows *rows;
	uint64_t rows_left; /* of the iteration, as the peer limited them */
	struct dict_transactions transactions;
	struct dict_transaction *committing;
	struct dict_ticket *ticket;

	/* Replies not sent yet: out[out_sent..out_len). NULL if none. */
	char *out;
	size_t out_sent, out_len, out_size;

	/* Requests: in[in_used..in_len). Points to small, or to more for a long line.
	 */
	char *in;
	size_t in_used, in_len, in_size;
	size_t in_seen; /* from in_used on: no LF so far */
	char small[INPUT_SMALL];
};

struct dict_ticket {
	struct dict_conn *conn; /* NULL once it is gone */
};

static void conn_run(struct dict_conn *c);

static size_t unsent(const struct dict_conn *c)
{
	return c->out_len - c->out_sent;
}

static void conn_close(struct dict_conn *c)
{
	struct dict_server *s = c->server;

	if (c->ticket)
		c->ticket->conn = NULL;
	if (c->rows)
		c->rows->destroy(c->rows);
	dict_transaction_free(c->committing);
	dict_transactions_clear(&c->transactions);
	event_del(&c->readable);
	event_del(&c->writable);
	close(c->fd);
	if (c->busy)
		LIST_REMOVE(c, busy_link);
	LIST_REMOVE(c, link);
	s->counters.connections--;
	listener_release(c->from);
	if (c->in != c->small)
		free(c->in);
	free(c->out);
	free(c);
}

/* Come back in the next loop turn, after everybody else had theirs. */
static void conn_run_later(struct dict_conn *c)
{
	static const struct timeval soon = { 0, 0 };
	struct dict_server *s = c->server;

	if (c->busy)
		return;
	c->busy = true;
	LIST_INSERT_HEAD(&s->busy, c, busy_link);
	if (!evtimer_pending(s->turn, NULL))
		event_add(s->turn, &soon);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct dict_server *s = arg;
	struct dict_conn_list now = s->busy;
	struct dict_conn *c;

	/* The list moves to now: whoever is busy again waits for the next turn. */
	LIST_INIT(&s->busy);
	if (now.lh_first)
		now.lh_first->busy_link.le_prev = &now.lh_first;
	while ((c = LIST_FIRST(&now))) {
		LIST_REMOVE(c, busy_link);
		c->busy = false;
		conn_run(c);
	}
}

/* Room for len more bytes of replies. */
static char *out_reserve(struct dict_conn *c, size_t len)
{
	size_t need = c->out_len + len;

	if (need > c->out_size) {
		size_t size = c->out_size ? c->out_size : OUTPUT_MIN;

		while (size < need)
			size *= 2;
		c->out = realloc(c->out, size);
		if (!c->out)
			abort();
		c->out_size = size;
	}
	return c->out + c->out_len;
}

static void put_reply(struct dict_conn *c, char status, struct span value)
{
	size_t guess = value.len + 2;
	size_t len = dict_format_reply(out_reserve(c, guess), guess, status, value);

	if (len > guess) /* something was escaped */
		dict_format_reply(out_reserve(c, len), len, status, value);
	c->out_len += len;
}

static void put_bytes(struct dict_conn *c, struct span bytes)
{
	memcpy(out_reserve(c, bytes.len), bytes.data, bytes.len);
	c->out_len += bytes.len;
}

static void count_status(struct dict_counters *n, char status)
{
	if (status == 'O')
		n->found++;
	else if (status == 'N')
		n->not_found++;
	else
		n->failed++;
}

struct dict_server *dict_conn_server(struct dict_conn *c)
{
	return c->server;
}

void dict_conn_reply(struct dict_conn *c, char status, struct span value)
{
	bool commit = c->owes == OWES_COMMIT || c->owes == OWES_SILENCE;

	assert(c->owes == OWES_LOOKUP || commit);
	count_status(&c->server->counters, status);
	if (c->asked)
		histogram_since(&c->server->counters.at_once, c->asked);
	c->asked = 0;
	if (c->owes != OWES_SILENCE)
		put_reply(c, status, commit ? span_make("", 0) : value);
	dict_transaction_free(c->committing);
	c->committing = NULL;
	c->owes = OWES_NOTHING;
	if (!c->running)
		conn_run(c);
}

void dict_conn_row(struct dict_conn *c, struct span key, struct span value)
{
	size_t guess = key.len + value.len + 3, len;

	assert(c->owes == OWES_ROWS);
	if (c->rows_left == 0)
		return;
	c->rows_left--;
	len = dict_format_row(out_reserve(c, guess), guess, key, value);
	if (len > guess)
		dict_format_row(out_reserve(c, len), len, key, value);
	c->out_len += len;
}

void dict_conn_end(struct dict_conn *c)
{
	assert(c->owes == OWES_ROWS);
	put_bytes(c, span_of(DICT_ITERATE_END));
	c->owes = OWES_NOTHING;
	if (!c->running)
		conn_run(c);
}

void dict_conn_stream(struct dict_conn *c, struct dict_rows *rows)
{
	assert(c->owes == OWES_ROWS && !c->rows);
	c->rows = rows;
	conn_run_later(c);
}

struct dict_ticket *dict_conn_defer(struct dict_conn *c)
{
	struct dict_ticket *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	assert(!c->ticket);
	t->conn = c;
	c->ticket = t;
	c->asked = 0; /* it waits from here on */
	return t;
}

struct dict_conn *dict_ticket_redeem(struct dict_ticket *t)
{
	struct dict_conn *c = t->conn;

	if (c)
		c->ticket = NULL;
	free(t);
	return c;
}

/* One slice of an iteration. */
static void run_rows(struct dict_conn *c)
{
	if (c->rows->more(c->rows, c) && c->rows_left > 0) {
		conn_run_later(c);
		return;
	}
	c->rows->destroy(c->rows);
	c->rows = NULL;
	dict_conn_end(c);
}

static uint64_t parse_max_rows(struct span text)
{
	uint64_t n = 0;

	for (size_t i = 0; i < text.len && n < UINT32_MAX; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return UINT64_MAX;
		n = n * 10 + (uint64_t)(text.data[i] - '0');
	}
	return n ? n : UINT64_MAX;
}

static void do_commit(struct dict_conn *c, struct span id)
{
	c->server->counters.commits++;
	c->committing = dict_transaction_take(&c->transactions, id);
	if (c->committing && !c->committing->failed) {
		c->server->handler->commit(c, c->committing);
		return;
	}
	log_info("%s: commit of %s", c->server->name,
	    c->committing ? "a transaction that grew too large"
			  : "an unknown transaction");
	dict_conn_reply(c, 'F', span_make("", 0));
}

static void note_bad(struct dict_conn *c, const char *why)
{
	c->server->counters.bad_requests++;
	if (!c->unknown_logged)
		log_info("%s: bad request: %s", c->server->name, why);
	c->unknown_logged = true;
}

/* A request that is no good: what the peer waits for must come all the same. */
static void refuse(struct dict_conn *c, enum dict_command command, const char *why)
{
	note_bad(c, why);
	switch (command) {
	case DICT_LOOKUP:
		c->owes = OWES_LOOKUP;
		dict_conn_reply(c, 'F', span_of(why));
		break;
	case DICT_ITERATE:
		c->owes = OWES_ROWS;
		dict_conn_end(c);
		break;
	case DICT_COMMIT:
		c->owes = OWES_COMMIT;
		dict_conn_reply(c, 'F', span_make("", 0));
		break;
	default:
		break;
	}
}

static void serve(struct dict_conn *c, const struct dict_request *req)
{
	const struct dict_handler *handler = c->server->handler;
	const struct span *field = req->field;

	switch (req->command) {
	case DICT_LOOKUP:
		c->server->counters.lookups++;
		c->owes = OWES_LOOKUP;
		c->asked = histogram_clock();
		handler->lookup(c, field[0], field[1]);
		break;
	case DICT_ITERATE:
		c->server->counters.iterations++;
		c->owes = OWES_ROWS;
		c->rows_left = parse_max_rows(field[1]);
		handler->iterate(c, field[2], field[3]);
		break;
	case DICT_BEGIN:
		if (dict_transaction_begin(&c->transactions, field[0], field[1]) < 0)
			note_bad(c, "too many open transactions");
		break;
	case DICT_SET:
		if (dict_transaction_set(
			&c->transactions, field[0], field[1], field[2]) < 0)
			note_bad(c, "set in no transaction, or too much");
		break;
	case DICT_ROLLBACK:
		dict_transaction_free(
		    dict_transaction_take(&c->transactions, field[0]));
		break;
	case DICT_COMMIT:
		c->owes = OWES_COMMIT;
		do_commit(c, field[0]);
		break;
	case DICT_COMMIT_ASYNC:
		c->owes = OWES_SILENCE;
		do_commit(c, field[0]);
		break;
	case DICT_UNKNOWN:
		note_bad(c, "unknown command");
		break;
	case DICT_NONE:
	case DICT_HELLO:
	case DICT_UNSET:
	case DICT_ADD:
	case DICT_TIMESTAMP:
	case DICT_HIDE_VALUES:
		break; /* nothing of ours can be unset, counted or dated; no reply is
			  due */
	}
}

static void serve_line(struct dict_conn *c, char *line, size_t len)
{
	struct dict_request req;
	const char *why = dict_parse(&req, line, len);

	if (why && req.command != DICT_HELLO)
		refuse(c, req.command, why);
	else
		serve(c, &req);
}

/* The next line of the input, LF cut; at the end of the stream the LF may be missing.
 */
static char *next_line(struct dict_conn *c, size_t *len)
{
	char *line = c->in + c->in_used;
	size_t left = c->in_len - c->in_used;
	const char *lf = NULL;

	/* A long line that drips in is not searched from its start each time. */
	if (left > c->in_seen)
		lf = memchr(line + c->in_seen, '\n', left - c->in_seen);
	c->in_seen = lf ? 0 : left;
	if (lf) {
		*len = (size_t)(lf - line);
		c->in_used += *len + 1;
		return line;
	}
	if (!c->eof || left == 0)
		return NULL;
	*len = left;
	c->in_seen = 0;
	c->in_used = c->in_len;
	return line;
}

static bool may_serve(const struct dict_conn *c)
{
	return c->owes == OWES_NOTHING && unsent(c) < DICT_OUTPUT_HIGH && !c->broken;
}

/*
 * Requests until one is owed, the peer does not read, or there are no more. True when
 * all complete lines are served.
 */
static bool serve_lines(struct dict_conn *c)
{
	unsigned lines = 0;
	char *line;
	size_t len;

	while (may_serve(c)) {
		if (lines++ == LINES_TURN) {
			conn_run_later(c);
			return false;
		}
		line = next_line(c, &len);
		if (!line)
			return true;
		serve_line(c, line, len);
	}
	return false;
}

/* Nobody points into the input now: move what is left to the front, or home. */
static void tidy_input(struct dict_conn *c)
{
	size_t left = c->in_len - c->in_used;

	if (c->in != c->small && left <= INPUT_SMALL / 2) {
		memcpy(c->small, c->in + c->in_used, left);
		free(c->in);
		c->in = c->small;
		c->in_size = INPUT_SMALL;
	} else if (c->in_used && left) {
		memmove(c->in, c->in + c->in_used, left);
	}
	c->in_used = 0;
	c->in_len = left;
}

/* A line longer than the buffer: false if it is too long for us at all. */
static bool grow_input(struct dict_conn *c)
{
	size_t size = c->in_size * 4;
	char *bigger;

	if (c->in_len >= DICT_LINE_MAX)
		return false;
	if (size > DICT_LINE_MAX)
		size = DICT_LINE_MAX;
	bigger = realloc(c->in == c->small ? NULL : c->in, size);
	if (!bigger)
		abort();
	if (c->in == c->small)
		memcpy(bigger, c->small, c->in_len);
	c->in = bigger;
	c->in_size = size;
	return true;
}

/* Send what is there; what the socket does not take stays. */
static void flush(struct dict_conn *c)
{
	while (unsent(c) && !c->broken) {
		ssize_t n = send(c->fd, c->out + c->out_sent, unsent(c), MSG_NOSIGNAL);

		if (n >= 0)
			c->out_sent += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		else if (errno != EINTR)
			c->broken = true;
	}
	free(c->out);
	c->out = NULL;
	c->out_sent = c->out_len = c->out_size = 0;
}

static void want(struct event *ev, bool wanted)
{
	bool pending = event_pending(ev, EV_READ | EV_WRITE, NULL);

	if (wanted && !pending && event_add(ev, NULL) < 0)
		abort();
	else if (!wanted && pending)
		event_del(ev);
}

/*
 * Go on as far as possible. Everything that may end the connection ends it here, on the
 * last lines: nothing may touch c afterwards.
 */
static void conn_run(struct dict_conn *c)
{
	bool served;

	c->running = true;
	if (c->rows && unsent(c) < DICT_OUTPUT_HIGH)
		run_rows(c);
	served = serve_lines(c);
	flush(c);
	c->running = false;

	if (c->owes == OWES_NOTHING) {
		tidy_input(c);
		if (served && c->in_len == c->in_size && !grow_input(c)) {
			log_info("%s: request longer than %d bytes", c->server->name,
			    DICT_LINE_MAX);
			c->server->counters.bad_requests++;
			c->broken = true;
		}
	}
	/* Something waited for room, and now no event will tell that there is some. */
	if (!served && !unsent(c) && !c->broken && (c->owes == OWES_NOTHING || c->rows))
		conn_run_later(c);
	if (c->broken || (served && !unsent(c) && (c->eof || c->server->draining))) {
		conn_close(c);
		return;
	}
	want(&c->readable,
	    !c->eof && c->in_len < c->in_size && unsent(c) < DICT_OUTPUT_HIGH);
	want(&c->writable, unsent(c) > 0);
}

static void fill(struct dict_conn *c)
{
	ssize_t n;

	if (c->eof || c->in_len == c->in_size)
		return;
	do
		n = recv(c->fd, c->in + c->in_len, c->in_size - c->in_len, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		c->in_len += (size_t)n;
	else if (n == 0)
		c->eof = true;
	else if (errno != EAGAIN && errno != EWOULDBLOCK)
		c->broken = true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct dict_conn *c = arg;

	fill(c);
	conn_run(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct dict_conn *c = arg;

	flush(c);
	conn_run(c);
}

void dict_server_init(struct dict_server *s, struct daemon *d, const char *name,
    const struct dict_handler *handler, void *service)
{
	*s = (struct dict_server){
		.daemon = d, .name = name, .handler = handler, .service = service
	};
	LIST_INIT(&s->conns);
	LIST_INIT(&s->busy);
	s->turn = evtimer_new(d->base, on_turn, s);
	if (!s->turn)
		abort();
}

void dict_server_accept(
    struct dict_server *s, struct listener *from, evutil_socket_t fd)
{
	struct dict_conn *c = malloc(sizeof(*c));

	if (!c)
		abort();
	/* The input buffer, most of it, need not be zero. */
	memset(c, 0, offsetof(struct dict_conn, small));
	c->server = s;
	c->from = from;
	c->fd = fd;
	c->in = c->small;
	c->in_size = INPUT_SMALL;
	event_assign(
	    &c->readable, s->daemon->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	event_assign(
	    &c->writable, s->daemon->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	LIST_INSERT_HEAD(&s->conns, c, link);
	s->counters.connections++;
	want(&c->readable, true);
}

void dict_server_drain(struct dict_server *s)
{
	struct dict_conn *c, *next;

	s->draining = true;
	for (c = LIST_FIRST(&s->conns); c; c = next) {
		next = LIST_NEXT(c, link);
		fill(c); /* what was sent before we stopped is still answered */
		conn_run(c);
	}
}

unsigned dict_server_pending(const struct dict_server *s)
{
	return (unsigned)s->counters.connections;
}

void dict_server_stop(struct dict_server *s)
{
	struct dict_conn *c;

	while ((c = LIST_FIRST(&s->conns)))
		conn_close(c);
	event_free(s->turn);
}

void dict_service_accept(void *state, struct listener *from, evutil_socket_t fd)
{
	dict_server_accept(state, from, fd);
}

void dict_service_drain(void *state)
{
	dict_server_drain(state);
}

unsigned dict_service_pending(const void *state)
{
	return dict_server_pending(state);
}
