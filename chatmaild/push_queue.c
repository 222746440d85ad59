/*
 * Between who adds and who sends: what is in flight, what its outcome is on the way to
 * the disk, the clock. What is due is push_due.c's, SQL is push_row.c's.
 */
#include "chatmaild/push_queue.h"

#include <assert.h>
#include <errno.h>
#include <event2/util.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "chatmaild/log.h"
#include "chatmaild/mailbox.h"
#include "chatmaild/push_due.h"
#include "proto/address.h"

#define FINISHED_MAX  8192 /* outcomes not on disk; beyond it nothing is taken */
#define WRITE_ROWS    1024 /* outcomes of one operation */
#define LOOKS_TURN    64   /* rows looked at in vain in one take */
#define UNSENT_MAX    8    /* in a row; then it counts as failed */
#define REWRITE_S     5    /* until outcomes are tried again after trouble */
#define RELOOK_S      60   /* the same for a row that cannot be read */
#define CLOCK_SLACK_S 2    /* two readings of the clock may differ by that */
#define EXPIRED_LINES 10   /* logged in a minute */

struct push_queue {
	struct store *store;
	char *mailboxes_dir;
	void (*on_due)(void *arg);
	void *arg;
	struct event *kick;  /* calls on_due() in the next turn */
	struct event *timer; /* the next due time */
	struct event *rewrite;
	bool paused;

	struct push_due *due;
	struct push_entries flight, finished;
	size_t nfinished;
	uint64_t adding; /* messages on their way to the disk */
	sqlite3_stmt *row_of;
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
	int64_t due = push_due_next(q->due, q->last);
	struct timeval delay = { 0, 0 };

	if (q->paused || !q->on_due || due == PUSH_NEVER)
		return;
	if (due > q->last)
		delay.tv_sec = (time_t)(due - q->last);
	event_add(q->timer, &delay);
}

/* Rows without an entry may be due: the next take looks. */
static void look_again(struct push_queue *q)
{
	push_due_look(q->due);
	kick(q);
}

/* Not with the sender any more, but due: at once, as the first or another try. */
static void ready_again(struct push_queue *q, struct push_entry *e)
{
	bool first = e->push.again || e->push.tries == 0;

	push_due_return(q->due, e, first ? PUSH_FIRST : PUSH_RETRY);
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
	struct push_entries entries;
	size_t n;
	struct push_outcome outcome[]; /* of the entries, in their order */
};

static void write_finished(struct push_queue *q);

static int writing_run(struct store_op *op, sqlite3 *db)
{
	struct writing *w = (struct writing *)op;

	return push_rows_finish(db, w->outcome, w->n);
}

static void end_entry(
    struct push_queue *q, struct push_entry *e, const struct push_outcome *o)
{
	bool deleted = o->act != PUSH_RESCHEDULE && o->applied;

	q->nfinished--;
	if (deleted)
		q->counters.queued--;
	if (e->push.again && !deleted) {
		ready_again(q, e);
		return;
	}
	if (o->act == PUSH_RESCHEDULE && o->applied)
		push_due_note(q->due, o->due);
	push_due_forget(e);
}

static void end_entries(struct push_queue *q, struct writing *w)
{
	struct push_entry *e;

	for (size_t i = 0; (e = TAILQ_FIRST(&w->entries)); i++) {
		TAILQ_REMOVE(&w->entries, e, link);
		end_entry(q, e, &w->outcome[i]);
	}
	if (push_due_any(q->due))
		kick(q); /* the sender may have been held up by FINISHED_MAX */
	arm_timer(q);
	write_finished(q);
}

static void writing_done(struct store_op *op, int result)
{
	static const struct timeval rewrite = { .tv_sec = REWRITE_S };
	struct writing *w = (struct writing *)op;
	struct push_queue *q = w->queue;

	q->writing = NULL;
	if (result == SQLITE_OK) {
		end_entries(q, w);
	} else {
		TAILQ_CONCAT(&w->entries, &q->finished, link);
		TAILQ_CONCAT(&q->finished, &w->entries, link);
		event_add(q->rewrite, &rewrite);
	}
	free(w);
}

static struct push_outcome outcome_of(const struct push_entry *e)
{
	return (struct push_outcome){
		.act = e->act,
		.of = { e->push.row, e->version },
		.address = span_of(e->push.address),
		.token = span_of(e->push.token),
		.start = e->push.start,
		.due = e->due,
		.tries = e->push.tries,
	};
}

/* While one batch is being written the next one gathers. */
static void write_finished(struct push_queue *q)
{
	size_t n = q->nfinished < WRITE_ROWS ? q->nfinished : WRITE_ROWS;
	struct writing *w;

	if (q->writing || n == 0)
		return;
	w = malloc(sizeof(*w) + n * sizeof(w->outcome[0]));
	if (!w)
		abort();
	w->op = (struct store_op){ .run = writing_run, .done = writing_done };
	w->queue = q;
	TAILQ_INIT(&w->entries);
	for (w->n = 0; w->n < n; w->n++) {
		struct push_entry *e = TAILQ_FIRST(&q->finished);

		TAILQ_REMOVE(&q->finished, e, link);
		TAILQ_INSERT_TAIL(&w->entries, e, link);
		w->outcome[w->n] = outcome_of(e);
	}
	q->writing = w;
	store_submit(q->store, &w->op);
}

static void on_rewrite(evutil_socket_t fd, short what, void *arg)
{
	write_finished(arg);
}

/* It is in no list now. */
static void finish_entry(struct push_queue *q, struct push_entry *e, enum push_act act)
{
	e->state = PUSH_ENTRY_FINISHED;
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

static void expire(struct push_queue *q, struct push_entry *e)
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

static void reschedule(struct push_queue *q, struct push_entry *e, int64_t now)
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
	struct push_entry *e = (struct push_entry *)push;
	struct push_counters *n = &q->counters;

	assert(e->state == PUSH_ENTRY_FLIGHT);
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
		if (++e->unsent < UNSENT_MAX) {
			ready_again(q, e);
			return;
		}
		break;
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

static char *column_copy(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	char *copy = strdup(text ? text : "");

	if (!copy)
		abort();
	return copy;
}

/* False if the row is gone, or cannot be read for now. */
static bool read_row(struct push_queue *q, struct push_entry *e, int64_t now)
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
		push_due_note(q->due, now + RELOOK_S);
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
static bool enter_flight(struct push_queue *q, struct push_entry *e, int64_t now)
{
	if (!read_row(q, e, now)) {
		push_due_forget(e);
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
	e->state = PUSH_ENTRY_FLIGHT;
	TAILQ_INSERT_TAIL(&q->flight, e, link);
	q->counters.in_flight++;
	return true;
}

struct push *push_queue_take(struct push_queue *q, int64_t now)
{
	now = steady(q, now);
	if (q->paused || q->nfinished >= FINISHED_MAX)
		return NULL;
	for (unsigned looks = 0; looks < LOOKS_TURN; looks++) {
		struct push_entry *e = push_due_take(q->due, now);

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
	struct push_entry *e = push_due_find(q->due, of->row);

	if (!e)
		push_due_add(q->due, of->row);
	else if (e->state == PUSH_ENTRY_READY)
		push_due_promote(q->due, e);
	else if (e->version < of->version)
		e->push.again = true;
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
	struct push_entry *e;

	q->on_due = on_due;
	q->arg = arg;
	while (!on_due && (e = TAILQ_FIRST(&q->flight))) {
		TAILQ_REMOVE(&q->flight, e, link);
		q->counters.in_flight--;
		ready_again(q, e);
	}
	if (push_due_any(q->due))
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
	q->expired_minute = INT64_MIN;
	TAILQ_INIT(&q->flight);
	TAILQ_INIT(&q->finished);
	q->kick = new_timer(base, on_kick, q);
	q->timer = new_timer(base, on_kick, q);
	q->rewrite = new_timer(base, on_rewrite, q);
	q->mailboxes_dir = strdup(mailboxes_dir);
	if (!q->mailboxes_dir)
		abort();
	q->row_of = store_prepare(s, PUSH_ROW_OF);
	q->due = push_due_create(s, &q->counters.queued);
	if (!q->row_of || !q->due) {
		log_error("push: the waiting notifications cannot be read");
		push_queue_destroy(q);
		return NULL;
	}
	if (q->counters.queued > 0)
		log_info("push: %llu notifications wait from before",
		    (unsigned long long)q->counters.queued);
	return q;
}

void push_queue_destroy(struct push_queue *q)
{
	if (!q)
		return;
	push_due_destroy(q->due);
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
