/*
 * Entries in a hash table and two lists; reading due rows slice by slice.
 */
#include "chatmaild/push_due.h"

#include <stdlib.h>

#define BUCKETS    4096 /* of the table of entries; a power of two */
#define READY_MAX  8192 /* entries that new messages may add; more wait on disk */
#define SLICE_ROWS 256  /* read at once */

LIST_HEAD(bucket, push_entry);

struct lane {
	struct push_entries ready;
	bool more; /* there may be due rows without an entry */
	sqlite3_stmt *due_rows, *next_due;
};

/* Rows from before the start, in order of arrival. */
struct backlog {
	bool open;
	int64_t after, last; /* row numbers: read so far, the end */
	int64_t begun;
	uint64_t total, released;
};

struct push_due {
	struct store *store;
	struct bucket bucket[BUCKETS];
	struct lane lane[PUSH_LANES];
	size_t nready;
	struct backlog backlog;
	sqlite3_stmt *all_rows;
	int64_t next; /* of rows without an entry: the first due time known */
};

static struct bucket *bucket_of(struct push_due *d, int64_t row)
{
	return &d->bucket[(uint64_t)row & (BUCKETS - 1)];
}

struct push_entry *push_due_find(struct push_due *d, int64_t row)
{
	struct push_entry *e;

	LIST_FOREACH (e, bucket_of(d, row), same_bucket) {
		if (e->push.row == row)
			return e;
	}
	return NULL;
}

static void free_texts(struct push_entry *e)
{
	free(e->push.address);
	free(e->push.token);
	e->push.address = e->push.token = NULL;
}

void push_due_return(struct push_due *d, struct push_entry *e, enum push_lane lane)
{
	free_texts(e);
	e->state = PUSH_ENTRY_READY;
	e->lane = lane;
	e->push.again = false;
	e->push.stream = NULL;
	TAILQ_INSERT_TAIL(&d->lane[lane].ready, e, link);
	d->nready++;
}

void push_due_forget(struct push_entry *e)
{
	LIST_REMOVE(e, same_bucket);
	free_texts(e);
	free(e);
}

static void add_ready(struct push_due *d, int64_t row, enum push_lane lane)
{
	struct push_entry *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	e->push.row = row;
	LIST_INSERT_HEAD(bucket_of(d, row), e, same_bucket);
	push_due_return(d, e, lane);
}

static void unready(struct push_due *d, struct push_entry *e)
{
	TAILQ_REMOVE(&d->lane[e->lane].ready, e, link);
	d->nready--;
}

/* Behind those on disk, if there are some: in order of arrival. */
void push_due_add(struct push_due *d, int64_t row)
{
	if (d->lane[PUSH_FIRST].more || d->nready >= READY_MAX)
		d->lane[PUSH_FIRST].more = true;
	else
		add_ready(d, row, PUSH_FIRST);
}

void push_due_promote(struct push_due *d, struct push_entry *e)
{
	if (e->lane == PUSH_FIRST)
		return;
	unready(d, e);
	push_due_return(d, e, PUSH_FIRST);
}

void push_due_note(struct push_due *d, int64_t due)
{
	if (due < d->next)
		d->next = due;
}

void push_due_look(struct push_due *d)
{
	for (unsigned lane = 0; lane < PUSH_LANES; lane++)
		d->lane[lane].more = true;
}

bool push_due_any(const struct push_due *d)
{
	return d->backlog.open || d->nready > 0 || d->lane[PUSH_FIRST].more ||
	       d->lane[PUSH_RETRY].more;
}

int64_t push_due_next(const struct push_due *d, int64_t now)
{
	return d->backlog.open ? now + 1 : d->next;
}

/* Some more of the rows that are due by now; those with an entry are passed over. */
static void read_due(struct push_due *d, enum push_lane lane, int64_t now)
{
	sqlite3_stmt *stmt = d->lane[lane].due_rows;
	size_t fresh = 0;
	int rc = SQLITE_ROW;

	sqlite3_bind_int64(stmt, 1, now);
	while (fresh < SLICE_ROWS && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int64_t row = sqlite3_column_int64(stmt, 0);

		if (!push_due_find(d, row)) {
			add_ready(d, row, lane);
			fresh++;
		}
	}
	sqlite3_reset(stmt);
	store_check(d->store, rc);
	d->lane[lane].more = rc == SQLITE_ROW;
}

/* All that is due by now has an entry: when does it go on? */
static void read_next(struct push_due *d, enum push_lane lane, int64_t now)
{
	sqlite3_stmt *stmt = d->lane[lane].next_due;
	int rc;

	sqlite3_bind_int64(stmt, 1, now);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		push_due_note(d, sqlite3_column_int64(stmt, 0));
	sqlite3_reset(stmt);
	store_check(d->store, rc);
}

/* How many rows from before the start may be released by now, in all. */
static uint64_t backlog_limit(struct backlog *b, int64_t now)
{
	uint64_t elapsed;

	if (b->begun == PUSH_NEVER)
		b->begun = now;
	elapsed = (uint64_t)(now - b->begun) + 1;
	if (elapsed >= PUSH_SPREAD_SECONDS)
		return UINT64_MAX;
	return (b->total * elapsed + PUSH_SPREAD_SECONDS - 1) / PUSH_SPREAD_SECONDS;
}

static void read_backlog(struct push_due *d, int64_t now)
{
	struct backlog *b = &d->backlog;
	uint64_t room = backlog_limit(b, now) - b->released, rows = 0;
	int rc = SQLITE_ROW;

	if (room > SLICE_ROWS)
		room = SLICE_ROWS;
	sqlite3_bind_int64(d->all_rows, 1, b->after);
	sqlite3_bind_int64(d->all_rows, 2, b->last);
	while (rows < room && (rc = sqlite3_step(d->all_rows)) == SQLITE_ROW) {
		b->after = sqlite3_column_int64(d->all_rows, 0);
		if (!push_due_find(d, b->after))
			add_ready(d, b->after,
			    sqlite3_column_int64(d->all_rows, 1) ? PUSH_RETRY
								 : PUSH_FIRST);
		rows++;
	}
	sqlite3_reset(d->all_rows);
	store_check(d->store, rc);
	b->released += rows;
	if (rc == SQLITE_ROW)
		return;
	b->open = false;
	push_due_look(d); /* for what came meanwhile and found no room in memory */
}

/* The lane is empty: get more entries for it if there are some. */
static void refill(struct push_due *d, enum push_lane lane, int64_t now)
{
	if (d->backlog.open && d->nready < SLICE_ROWS)
		read_backlog(d, now);
	if (!d->backlog.open && d->lane[lane].more) {
		read_due(d, lane, now);
		if (!d->lane[lane].more)
			read_next(d, lane, now);
	}
}

struct push_entry *push_due_take(struct push_due *d, int64_t now)
{
	if (now >= d->next) {
		d->next = PUSH_NEVER;
		push_due_look(d);
	}
	for (unsigned lane = 0; lane < PUSH_LANES; lane++) {
		struct push_entry *e;

		if (TAILQ_EMPTY(&d->lane[lane].ready))
			refill(d, lane, now);
		e = TAILQ_FIRST(&d->lane[lane].ready);
		if (e) {
			unready(d, e);
			return e;
		}
	}
	return NULL;
}

static bool prepare(struct push_due *d)
{
	struct lane *first = &d->lane[PUSH_FIRST], *retry = &d->lane[PUSH_RETRY];

	d->all_rows = store_prepare(d->store, PUSH_ROWS_ALL);
	first->due_rows = store_prepare(d->store, PUSH_ROWS_FIRST);
	first->next_due = store_prepare(d->store, PUSH_NEXT_FIRST);
	retry->due_rows = store_prepare(d->store, PUSH_ROWS_RETRY);
	retry->next_due = store_prepare(d->store, PUSH_NEXT_RETRY);
	return d->all_rows && first->due_rows && first->next_due && retry->due_rows &&
	       retry->next_due;
}

static bool find_backlog(struct push_due *d)
{
	sqlite3_stmt *stmt = store_prepare(d->store, PUSH_ROWS_EXTENT);
	int rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;

	if (rc == SQLITE_ROW) {
		d->backlog.total = (uint64_t)sqlite3_column_int64(stmt, 0);
		d->backlog.last = sqlite3_column_int64(stmt, 1);
		d->backlog.begun = PUSH_NEVER;
		d->backlog.open = d->backlog.total > 0;
	}
	sqlite3_finalize(stmt);
	store_check(d->store, rc);
	return rc == SQLITE_ROW;
}

struct push_due *push_due_create(struct store *s, uint64_t *rows)
{
	struct push_due *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	d->store = s;
	d->next = PUSH_NEVER;
	for (unsigned i = 0; i < BUCKETS; i++)
		LIST_INIT(&d->bucket[i]);
	for (unsigned lane = 0; lane < PUSH_LANES; lane++)
		TAILQ_INIT(&d->lane[lane].ready);
	if (!prepare(d) || !find_backlog(d)) {
		push_due_destroy(d);
		return NULL;
	}
	*rows = d->backlog.total;
	return d;
}

void push_due_destroy(struct push_due *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct push_entry *e;

		while ((e = LIST_FIRST(&d->bucket[i])))
			push_due_forget(e);
	}
	free(d);
}
