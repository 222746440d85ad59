/*
 * The push queue's memory: which rows it knows, which of them are due. Not for others.
 *
 * A row is known by an entry: ready (due, nobody has it) or with the queue (in flight, or
 * its outcome not on disk yet). Rows without an entry are found by their due time, in
 * slices, when those in memory are used up. The loop reads what is committed, and done
 * functions come in the order of commits, so an entry may be behind its row, never ahead.
 *
 * now and due are seconds of a clock that does not go back.
 */
#ifndef CHATMAILD_PUSH_DUE_H
#define CHATMAILD_PUSH_DUE_H

#include <sys/queue.h>

#include "chatmaild/push_queue.h"
#include "chatmaild/push_row.h"

#define PUSH_NEVER INT64_MAX

/* First tries and retries, taken in this order. */
enum push_lane {
	PUSH_FIRST,
	PUSH_RETRY,
	PUSH_LANES,
};

enum push_entry_state {
	PUSH_ENTRY_READY,
	PUSH_ENTRY_FLIGHT,
	PUSH_ENTRY_FINISHED,
};

struct push_entry {
	struct push push; /* first: the sender's view. No texts while it is ready */
	LIST_ENTRY(push_entry) same_bucket;
	TAILQ_ENTRY(push_entry) link; /* of the list of its state */
	enum push_entry_state state;
	enum push_lane lane; /* when ready */
	unsigned unsent;     /* times in a row that it came back so */
	int64_t version;     /* as it was taken */
	enum push_act act;   /* when finished */
	int64_t due;         /* for PUSH_RESCHEDULE */
};
TAILQ_HEAD(push_entries, push_entry);

struct push_due;

/*
 * *rows is how many there are already: they come due bit by bit, over
 * PUSH_SPREAD_SECONDS from the first look on. NULL if the store cannot be read.
 */
struct push_due *push_due_create(struct store *s, uint64_t *rows);
void push_due_destroy(struct push_due *d); /* with every entry. Accepts NULL */

struct push_entry *push_due_find(struct push_due *d, int64_t row); /* or NULL */

/* A row that has no entry is due, as a first try. Its entry may be made later. */
void push_due_add(struct push_due *d, int64_t row);

/* A ready entry of a row that a new message made a first try again. */
void push_due_promote(struct push_due *d, struct push_entry *e);

/* The queue's entry is due again. */
void push_due_return(struct push_due *d, struct push_entry *e, enum push_lane lane);

/* The queue's entry is not needed any more; its row stays as it is. */
void push_due_forget(struct push_entry *e);

/* Rows without an entry may be due: at some time, or by now. */
void push_due_note(struct push_due *d, int64_t due);
void push_due_look(struct push_due *d);

/* The next due entry, now the queue's, or NULL. Reads the store if need be. */
struct push_entry *push_due_take(struct push_due *d, int64_t now);

/* Might take() have one? Else it need not be asked before push_due_next(). */
bool push_due_any(const struct push_due *d);
int64_t push_due_next(const struct push_due *d, int64_t now); /* or PUSH_NEVER */

#endif
