/*
 * What is due, what is in flight, what its outcome is on the way to the disk. SQL is
 * push_row.c's.
 *
 * Memory knows a row by an entry: ready (due, not taken), in flight, or finished (its
 * outcome is not on the disk yet). Rows without one are found by their due time, in
 * slices, when those in memory are used up: "more" says that there may be such. The
 * loop reads what is committed, and done functions come in the order of commits, so an
 * entry may be behind its row, never ahead of it.
 */
#include "chatmaild/push_queue.h"

#include <assert.h>
#include <errno.h>
#include <event2/util.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "chatmaild/log.h"
#include "chatmaild/mailbox.h"
#include "chatmaild/push_row.h"
#include "proto/address.h"

#define BUCKETS       4096 /* of the table of entries; a power of two */
#define READY_MAX     8192 /* entries that new messages may add; more wait on disk */
#define SLICE_ROWS    256  /* read at once */
#define FINISHED_MAX  8192 /* outcomes not on disk; beyond it nothing is taken */
#define WRITE_ROWS    1024 /* outcomes of one operation */
#define LOOKS_TURN    64   /* rows looked at in vain in one take */
#define REWRITE_S     5    /* until outcomes are tried again after trouble */
#define RELOOK_S      60   /* the same for a row that cannot be read */
#define CLOCK_SLACK_S 2    /* two readings of the clock may differ by that */
#define EXPIRED_LINES 10   /* logged in a minute */
#define NEVER         INT64_MAX

enum entry_state {
	ENTRY_READY,
	ENTRY_FLIGHT,
	ENTRY_FINISHED,
};

struct entry {
	struct push push; /* first: the sender's view. Texts only in flight and after */
	LIST_ENTRY(entry) same_bucket;
	TAILQ_ENTRY(entry) link; /* of the list of its state */
	enum entry_state state;
	unsigned lane;     /* when ready */
	int64_t version;   /* as it was taken */
	enum push_act act; /* when finished */
	int64_t due;       /* for PUSH_RESCHEDULE */
};

LIST_HEAD(bucket, entry);
TAILQ_HEAD(entries, entry);

/* First tries and retries, taken in this order. */
enum { FIRST, RETRY, LANES };

struct lane {
	struct entries ready;
	bool more; /* there may be due rows without an entry */
	sqlite3_stmt *due_rows, *next_due;
};

/* Rows from before the start, in order of arrival: they come due bit by bit. */
struct backlog {
	bool open;
	int64_t after, last; /* row numbers: read so far, the end */
	int64_t begun;       /* seconds */
	uint64_t total, released;
};

struct push_queue {
	struct store *store;
	char *mailboxes_dir;
	void (*on_due)(void *arg);
	void *arg;
	struct event *kick;  /* calls on_due() in the next turn */
	struct event *timer; /* the next due time */
	struct event *rewrite;
	bool paused;

	struct bucket bucket[BUCKETS];
	struct lane lane[LANES];
	struct entries flight, finished;
	size_t nready, nfinished;
	uint64_t adding; /* messages on their way to the disk */
	struct backlog backlog;
	sqlite3_stmt *row_of, *all_rows;
	int64_t next_due; /* of rows without an entry: the first known, or NEVER */

	struct writing *writing; /* under way, or NULL */
	bool shedding;           /* logged already */
	int64_t expired_minute;
	unsigned expired_lines;

	int64_t skew, last; /* of steady() */
	struct push_counters counters;
};

/*
 * A clock that does not go back: wall time, plus what it was set back since the start.
 * All due times are in it; a restart makes it wall time again, and every row due.
 */
static int64_t steady(struct push_queue *q, int64_t now)
{
	int64_t t = now + q->skew;

	if (t < q->last) {
		if (q->last - t > CLOCK_SLACK_S)
			q->skew += q->last - t;
		t = q->last;
	}
	q->last = t;
	return t;
}

static void kick(struct push_queue *q)
{
	static const struct timeval soon = { 0, 0 };

	if (!q->paused && q->on_due && !evtimer_pending(q->kick, NULL))
		event_add(q->kick, &soon);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct push_queue *q = arg;

	if (!q->paused && q->on_due)
		q->on_due(q->arg);
}

/* For when nothing is ready: come back at the next due time. */
static void arm_timer(struct push_queue *q)
{
	int64_t due = q->backlog.open ? q->last + 1 : q->next_due;
	struct timeval delay = { 0, 0 };

	if (q->paused || !q->on_due || due == NEVER)
		return;
	if (due > q->last)
		delay.tv_sec = (time_t)(due - q->last);
	event_add(q->timer, &delay);
}

static void note_due(struct push_queue *q, int64_t due)
{
	if (due < q->next_due)
		q->next_due = due;
}

/* Rows without an entry may be due: the next take looks. */
static void look_again(struct push_queue *q)
{
	q->lane[FIRST].more = q->lane[RETRY].more = true;
	kick(q);
}

/* --- entries --------------------------------------------------------------------- */

static struct bucket *bucket_of(struct push_queue *q, int64_t row)
{
	return &q->bucket[(uint64_t)row & (BUCKETS - 1)];
}

static struct entry *find_entry(struct push_queue *q, int64_t row)
{
	struct entry *e;

	LIST_FOREACH (e, bucket_of(q, row), same_bucket) {
		if (e->push.row == row)
			return e;
	}
	return NULL;
}

static void make_ready(struct push_queue *q, struct entry *e, unsigned lane)
{
	e->state = ENTRY_READY;
	e->lane = lane;
	e->push.again = false;
	e->push.stream = NULL;
	TAILQ_INSERT_TAIL(&q->lane[lane].ready, e, link);
	q->nready++;
}

static void add_ready(struct push_queue *q, int64_t row, unsigned lane)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	e->push.row = row;
	LIST_INSERT_HEAD(bucket_of(q, row), e, same_bucket);
	make_ready(q, e, lane);
}

static void unready(struct push_queue *q, struct entry *e)
{
	TAILQ_REMOVE(&q->lane[e->lane].ready, e, link);
	q->nready--;
}

static void free_texts(struct entry *e)
{
	free(e->push.address);
	free(e->push.token);
	e->push.address = e->push.token = NULL;
}

/* It is in no list of its state any more. The row stays as it is. */
static void forget(struct entry *e)
{
	LIST_REMOVE(e, same_bucket);
	free_texts(e);
	free(e);
}

/* Not with the sender any more, but due: at once, as the first or another try. */
static void ready_again(struct push_queue *q, struct entry *e)
{
	unsigned lane = e->push.again || e->push.tries == 0 ? FIRST : RETRY;

	free_texts(e);
	make_ready(q, e, lane);
	kick(q);
}

/* --- outcomes, on their way to the disk ------------------------------------------ */

/*
 * Outcomes that are written together, one batch at a time. The writer reads the texts of
 * their entries, which stay as they are until done.
 */
struct writing {
	struct store_op op;
	struct push_queue *queue;
	size_t n;
	struct entry *entry[WRITE_ROWS];
	struct push_outcome outcome[WRITE_ROWS];
};

static void write_finished(struct push_queue *q);

static int writing_run(struct store_op *op, sqlite3 *db)
{
	struct writing *w = (struct writing *)op;

	return push_rows_finish(db, w->outcome, w->n);
}

static void end_entry(
    struct push_queue *q, struct entry *e, const struct push_outcome *o)
{
	q->nfinished--;
	if (o->act != PUSH_RESCHEDULE && o->applied)
		q->counters.queued--;
	if (e->push.again && !(o->act != PUSH_RESCHEDULE && o->applied)) {
		ready_again(q, e);
		return;
	}
	if (o->act == PUSH_RESCHEDULE && o->applied)
		note_due(q, o->due);
	forget(e);
}

static void writing_done(struct store_op *op, int result)
{
	static const struct timeval rewrite = { .tv_sec = REWRITE_S };
	struct writing *w = (struct writing *)op;
	struct push_queue *q = w->queue;

	q->writing = NULL;
	for (size_t i = w->n; i-- > 0;) {
		if (result == SQLITE_OK)
			end_entry(q, w->entry[i], &w->outcome[i]);
		else
			TAILQ_INSERT_HEAD(&q->finished, w->entry[i], link);
	}
	free(w);
	if (result != SQLITE_OK) {
		event_add(q->rewrite, &rewrite);
		return;
	}
	if (q->nready > 0 || q->lane[FIRST].more || q->lane[RETRY].more)
		kick(q); /* the sender may have been held up by FINISHED_MAX */
	arm_timer(q);
	write_finished(q);
}

/* While one batch is being written the next one gathers. */
static void write_finished(struct push_queue *q)
{
	struct writing *w;
	struct entry *e;

	if (q->writing || TAILQ_EMPTY(&q->finished))
		return;
	w = malloc(sizeof(*w));
	if (!w)
		abort();
	w->op = (struct store_op){ .run = writing_run, .done = writing_done };
	w->queue = q;
	for (w->n = 0; w->n < WRITE_ROWS && (e = TAILQ_FIRST(&q->finished)); w->n++) {
		TAILQ_REMOVE(&q->finished, e, link);
		w->entry[w->n] = e;
		w->outcome[w->n] = (struct push_outcome){
			.act = e->act,
			.of = { e->push.row, e->version },
			.address = span_of(e->push.address),
			.token = span_of(e->push.token),
			.start = e->push.start,
			.due = e->due,
			.tries = e->push.tries,
		};
	}
	q->writing = w;
	store_submit(q->store, &w->op);
}

static void on_rewrite(evutil_socket_t fd, short what, void *arg)
{
	write_finished(arg);
}

/* It is in no list now. */
static void finish_entry(struct push_queue *q, struct entry *e, enum push_act act)
{
	e->state = ENTRY_FINISHED;
	e->act = act;
	TAILQ_INSERT_TAIL(&q->finished, e, link);
	q->nfinished++;
	if (!evtimer_pending(q->rewrite, NULL))
		write_finished(q);
}

/* The token itself stays out of the log. */
static void log_expired(struct push_queue *q, const char *token)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];

	if (q->last / 60 != q->expired_minute) {
		q->expired_minute = q->last / 60;
		q->expired_lines = 0;
	}
	if (q->expired_lines++ >= EXPIRED_LINES)
		return;
	SHA256((const unsigned char *)token, strlen(token), hash);
	log_error("push: notification exceeded deadline, token hash %02x%02x%02x%02x%s",
	    hash[0], hash[1], hash[2], hash[3],
	    q->expired_lines == EXPIRED_LINES ? "; more of this minute are only counted"
					      : "");
}

static void expire(struct push_queue *q, struct entry *e)
{
	q->counters.expired++;
	log_expired(q, e->push.token);
	finish_entry(q, e, PUSH_DELETE);
}

/* 8, 64, 512, then ever 4096 seconds, and up to an eighth more. */
static int64_t backoff(unsigned tries)
{
	int64_t delay = PUSH_BACKOFF_BASE;
	uint32_t random;

	for (unsigned i = 1; i < tries && delay < PUSH_BACKOFF_MAX; i++)
		delay *= 8;
	if (delay > PUSH_BACKOFF_MAX)
		delay = PUSH_BACKOFF_MAX;
	evutil_secure_rng_get_bytes(&random, sizeof(random));
	return delay + random % (delay / 8 + 1);
}

static void reschedule(struct push_queue *q, struct entry *e, int64_t now)
{
	e->push.tries++;
	e->due = now + backoff(e->push.tries);
	if (e->due > e->push.start + PUSH_DEADLINE_SECONDS)
		expire(q, e);
	else
		finish_entry(q, e, PUSH_RESCHEDULE);
}

void push_queue_finish(
    struct push_queue *q, struct push *push, enum push_result result, int64_t now)
{
	struct entry *e = (struct entry *)push;
	struct push_counters *n = &q->counters;

	assert(e->state == ENTRY_FLIGHT);
	TAILQ_REMOVE(&q->flight, e, link);
	n->in_flight--;
	now = steady(q, now);
	switch (result) {
	case PUSH_SENT:
		n->sent++;
		break;
	case PUSH_TOKEN_DEAD:
		n->dead_tokens++;
		finish_entry(q, e, PUSH_DELETE_TOKEN);
		return;
	case PUSH_FAILED:
		n->failed++;
		break;
	case PUSH_UNSENT:
		n->unsent++;
		ready_again(q, e);
		return;
	}
	/* Its row is a newer message's already: due, with no try counted. */
	if (push->again)
		ready_again(q, e);
	else if (result == PUSH_SENT)
		finish_entry(q, e, PUSH_DELETE);
	else
		reschedule(q, e, now);
}

/* --- what is due ----------------------------------------------------------------- */

/* Some more of the rows that are due by now; those with an entry are passed over. */
static void read_due(struct push_queue *q, unsigned lane, int64_t now)
{
	sqlite3_stmt *stmt = q->lane[lane].due_rows;
	size_t fresh = 0;
	int rc = SQLITE_ROW;

	sqlite3_bind_int64(stmt, 1, now);
	while (fresh < SLICE_ROWS && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int64_t row = sqlite3_column_int64(stmt, 0);

		if (!find_entry(q, row)) {
			add_ready(q, row, lane);
			fresh++;
		}
	}
	sqlite3_reset(stmt);
	store_check(q->store, rc);
	q->lane[lane].more = rc == SQLITE_ROW;
}

/* All that is due by now has an entry: when does it go on? */
static void read_next_due(struct push_queue *q, unsigned lane, int64_t now)
{
	sqlite3_stmt *stmt = q->lane[lane].next_due;
	int rc;

	sqlite3_bind_int64(stmt, 1, now);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		note_due(q, sqlite3_column_int64(stmt, 0));
	sqlite3_reset(stmt);
	store_check(q->store, rc);
}

/* How many rows from before the start may be released by now, in all. */
static uint64_t backlog_limit(struct backlog *b, int64_t now)
{
	uint64_t elapsed;

	if (b->begun == NEVER)
		b->begun = now;
	elapsed = (uint64_t)(now - b->begun) + 1;
	if (elapsed >= PUSH_SPREAD_SECONDS)
		return UINT64_MAX;
	return (b->total * elapsed + PUSH_SPREAD_SECONDS - 1) / PUSH_SPREAD_SECONDS;
}

static void read_backlog(struct push_queue *q, int64_t now)
{
	struct backlog *b = &q->backlog;
	uint64_t room = backlog_limit(b, now) - b->released, rows = 0;
	int rc = SQLITE_ROW;

	if (room > SLICE_ROWS)
		room = SLICE_ROWS;
	sqlite3_bind_int64(q->all_rows, 1, b->after);
	sqlite3_bind_int64(q->all_rows, 2, b->last);
	while (rows < room && (rc = sqlite3_step(q->all_rows)) == SQLITE_ROW) {
		b->after = sqlite3_column_int64(q->all_rows, 0);
		if (!find_entry(q, b->after))
			add_ready(q, b->after,
			    sqlite3_column_int64(q->all_rows, 1) ? RETRY : FIRST);
		rows++;
	}
	sqlite3_reset(q->all_rows);
	store_check(q->store, rc);
	b->released += rows;
	if (rc == SQLITE_ROW)
		return;
	b->open = false;
	look_again(q); /* for what came meanwhile and found no room in memory */
}

/* The lane is empty: get more entries for it if there are some. */
static void refill(struct push_queue *q, unsigned lane, int64_t now)
{
	if (q->backlog.open && q->nready < SLICE_ROWS)
		read_backlog(q, now);
	if (!q->backlog.open && q->lane[lane].more) {
		read_due(q, lane, now);
		if (!q->lane[lane].more)
			read_next_due(q, lane, now);
	}
}

static struct entry *next_ready(struct push_queue *q, int64_t now)
{
	for (unsigned lane = 0; lane < LANES; lane++) {
		struct entries *ready = &q->lane[lane].ready;

		if (TAILQ_EMPTY(ready))
			refill(q, lane, now);
		if (!TAILQ_EMPTY(ready))
			return TAILQ_FIRST(ready);
	}
	return NULL;
}

static char *column_copy(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	char *copy = strdup(text ? text : "");

	if (!copy)
		abort();
	return copy;
}

/* False if the row is gone, or cannot be read for now. */
static bool read_row(struct push_queue *q, struct entry *e, int64_t now)
{
	int rc;

	sqlite3_bind_int64(q->row_of, 1, e->push.row);
	rc = sqlite3_step(q->row_of);
	if (rc == SQLITE_ROW) {
		e->push.address = column_copy(q->row_of, 0);
		e->push.token = column_copy(q->row_of, 1);
		e->push.start = sqlite3_column_int64(q->row_of, 2);
		e->push.tries = (unsigned)sqlite3_column_int(q->row_of, 3);
		e->version = sqlite3_column_int64(q->row_of, 4);
	} else if (rc != SQLITE_DONE) {
		note_due(q, now + RELOOK_S);
	}
	sqlite3_reset(q->row_of);
	store_check(q->store, rc);
	if (e->push.start > now)
		e->push.start = now; /* the clock was ahead when it came */
	return rc == SQLITE_ROW;
}

/* Only what is surely absent counts as gone. */
static bool account_is_gone(const struct push_queue *q, const char *address)
{
	char path[MAILBOX_PATH_MAX];
	struct stat st;
	int n;

	if (!address_is_path(span_of(address)))
		return true;
	n = snprintf(path, sizeof(path), "%s/%s", q->mailboxes_dir, address);
	return n < (int)sizeof(path) && stat(path, &st) < 0 &&
	       (errno == ENOENT || errno == ENOTDIR);
}

/* Give it to the sender, or end it. */
static bool enter_flight(struct push_queue *q, struct entry *e, int64_t now)
{
	unready(q, e);
	if (!read_row(q, e, now)) {
		forget(e);
		return false;
	}
	if (now > e->push.start + PUSH_DEADLINE_SECONDS) {
		expire(q, e);
		return false;
	}
	if (account_is_gone(q, e->push.address)) {
		q->counters.ownerless++;
		finish_entry(q, e, PUSH_DELETE);
		return false;
	}
	e->state = ENTRY_FLIGHT;
	TAILQ_INSERT_TAIL(&q->flight, e, link);
	q->counters.in_flight++;
	return true;
}

struct push *push_queue_take(struct push_queue *q, int64_t now)
{
	now = steady(q, now);
	if (q->paused || q->nfinished >= FINISHED_MAX)
		return NULL;
	if (now >= q->next_due) {
		q->next_due = NEVER;
		q->lane[FIRST].more = q->lane[RETRY].more = true;
	}
	for (unsigned looks = 0; looks < LOOKS_TURN; looks++) {
		struct entry *e = next_ready(q, now);

		if (!e) {
			arm_timer(q);
			return NULL;
		}
		if (enter_flight(q, e, now))
			return &e->push;
	}
	kick(q); /* others get their turn first */
	return NULL;
}

/* --- new messages ---------------------------------------------------------------- */

/* A message on its way to the disk; its address follows. */
struct message {
	struct store_op op;
	struct push_queue *queue;
	struct push_times when;
	bool full;
	tokens_done *done;
	void *arg;
	struct push_added added;
	size_t address_len;
	char address[];
};

static int message_run(struct store_op *op, sqlite3 *db)
{
	struct message *m = (struct message *)op;

	return push_rows_add(
	    db, span_make(m->address, m->address_len), &m->when, m->full, &m->added);
}

static void row_added(struct push_queue *q, const struct push_version *of)
{
	struct entry *e = find_entry(q, of->row);

	if (!e && !q->lane[FIRST].more && q->nready < READY_MAX) {
		add_ready(q, of->row, FIRST);
	} else if (!e) {
		q->lane[FIRST].more = true;
	} else if (e->state != ENTRY_READY) {
		if (e->version < of->version)
			e->push.again = true;
	} else if (e->lane == RETRY) {
		unready(q, e);
		make_ready(q, e, FIRST);
	}
}

static void note_shedding(struct push_queue *q, bool shedding)
{
	if (shedding && !q->shedding)
		log_warning("push: %d notifications wait, more are shed; is the "
			    "notification service reachable?",
		    PUSH_ROWS_MAX);
	else if (!shedding && q->shedding)
		log_info("push: notifications are queued again");
	q->shedding = shedding;
}

static void message_done(struct store_op *op, int result)
{
	struct message *m = (struct message *)op;
	struct push_queue *q = m->queue;
	struct push_counters *n = &q->counters;

	q->adding--;
	if (result == SQLITE_OK) {
		for (size_t i = 0; i < m->added.n; i++)
			row_added(q, &m->added.of[i]);
		n->added += m->added.inserted;
		n->coalesced += m->added.coalesced;
		n->shed += m->added.shed;
		n->expired += m->added.expired;
		n->queued += m->added.inserted;
		n->queued -= m->added.expired;
		if (m->added.n > 0 || m->added.shed > 0)
			note_shedding(q, m->added.shed > 0);
		if (m->added.n > 0)
			kick(q);
	}
	m->done(m->arg, result == SQLITE_OK ? 0 : -1);
	free(m);
}

void push_queue_add(struct push_queue *q, struct span address, int64_t now,
    tokens_done *done, void *arg)
{
	struct message *m = calloc(1, sizeof(*m) + address.len);
	int64_t start = steady(q, now);

	if (!m)
		abort();
	m->op.run = message_run;
	m->op.done = message_done;
	m->queue = q;
	m->when = (struct push_times){ now, start, start - PUSH_DEADLINE_SECONDS - 1 };
	m->full = q->counters.queued + q->adding >= PUSH_ROWS_MAX;
	m->done = done;
	m->arg = arg;
	m->address_len = address.len;
	memcpy(m->address, address.data, address.len);
	q->adding++;
	store_submit(q->store, &m->op);
}

void push_queue_found(struct push_queue *q, uint64_t rows)
{
	q->counters.queued += rows;
	look_again(q);
}

/* --- the sender comes and goes --------------------------------------------------- */

void push_queue_serve(struct push_queue *q, void (*on_due)(void *arg), void *arg)
{
	struct entry *e;

	q->on_due = on_due;
	q->arg = arg;
	while (!on_due && (e = TAILQ_FIRST(&q->flight))) {
		TAILQ_REMOVE(&q->flight, e, link);
		q->counters.in_flight--;
		ready_again(q, e);
	}
	if (q->backlog.open || q->nready > 0)
		kick(q);
}

void push_queue_pause(struct push_queue *q)
{
	q->paused = true;
	event_del(q->kick);
	event_del(q->timer);
}

void push_queue_resume(struct push_queue *q)
{
	q->paused = false;
	look_again(q);
}

static bool prepare(struct push_queue *q)
{
	q->row_of = store_prepare(q->store, PUSH_ROW_OF);
	q->all_rows = store_prepare(q->store, PUSH_ROWS_ALL);
	q->lane[FIRST].due_rows = store_prepare(q->store, PUSH_ROWS_FIRST);
	q->lane[FIRST].next_due = store_prepare(q->store, PUSH_NEXT_FIRST);
	q->lane[RETRY].due_rows = store_prepare(q->store, PUSH_ROWS_RETRY);
	q->lane[RETRY].next_due = store_prepare(q->store, PUSH_NEXT_RETRY);
	return q->row_of && q->all_rows && q->lane[FIRST].due_rows &&
	       q->lane[FIRST].next_due && q->lane[RETRY].due_rows &&
	       q->lane[RETRY].next_due;
}

/* What is there from before. */
static bool find_backlog(struct push_queue *q)
{
	sqlite3_stmt *stmt = store_prepare(q->store, PUSH_ROWS_EXTENT);
	int rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;

	if (rc == SQLITE_ROW) {
		q->counters.queued = (uint64_t)sqlite3_column_int64(stmt, 0);
		q->backlog = (struct backlog){
			.open = q->counters.queued > 0,
			.last = sqlite3_column_int64(stmt, 1),
			.begun = NEVER,
			.total = q->counters.queued,
		};
	}
	sqlite3_finalize(stmt);
	store_check(q->store, rc);
	if (q->backlog.open)
		log_info("push: %llu notifications wait from before",
		    (unsigned long long)q->counters.queued);
	return rc == SQLITE_ROW;
}

static struct event *new_timer(
    struct event_base *base, event_callback_fn call, struct push_queue *q)
{
	struct event *timer = evtimer_new(base, call, q);

	if (!timer)
		abort();
	return timer;
}

struct push_queue *push_queue_create(
    struct event_base *base, struct store *s, const char *mailboxes_dir)
{
	struct push_queue *q = calloc(1, sizeof(*q));

	if (!q)
		abort();
	q->store = s;
	q->last = INT64_MIN;
	q->next_due = NEVER;
	q->expired_minute = INT64_MIN;
	TAILQ_INIT(&q->flight);
	TAILQ_INIT(&q->finished);
	for (unsigned lane = 0; lane < LANES; lane++)
		TAILQ_INIT(&q->lane[lane].ready);
	for (unsigned i = 0; i < BUCKETS; i++)
		LIST_INIT(&q->bucket[i]);
	q->kick = new_timer(base, on_kick, q);
	q->timer = new_timer(base, on_kick, q);
	q->rewrite = new_timer(base, on_rewrite, q);
	q->mailboxes_dir = strdup(mailboxes_dir);
	if (!q->mailboxes_dir)
		abort();
	if (prepare(q) && find_backlog(q))
		return q;
	log_error("push: the waiting notifications cannot be read");
	push_queue_destroy(q);
	return NULL;
}

void push_queue_destroy(struct push_queue *q)
{
	if (!q)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct entry *e;

		while ((e = LIST_FIRST(&q->bucket[i])))
			forget(e);
	}
	event_free(q->kick);
	event_free(q->timer);
	event_free(q->rewrite);
	free(q->mailboxes_dir);
	free(q);
}

const struct push_counters *push_queue_counters(struct push_queue *q)
{
	return &q->counters;
}
