/*
 * Notifications that wait for the notification service: one row of the store for each
 * address and token, which is the truth; in memory only those that are due soon or in
 * flight, by their number. A row is on disk before Dovecot's hook is answered and goes
 * only when the service took it, the token or the account is gone, or its deadline
 * passed: a crash may send twice, but loses nothing.
 *
 *	         add                   take               200, 410
 *	(none) ------> due/waiting ---------> in flight ------------> (gone)
 *	                  ^  ^                   |
 *	                  |  +--- failed: back-off
 *	                  +------ added again meanwhile: due at once
 *
 * One queue (struct daemon's pushes) is between who adds and the one sender, who takes.
 * All on the loop. now is the wall clock in seconds; should it go back, nothing waits
 * longer for that.
 */
#ifndef CHATMAILD_PUSH_QUEUE_H
#define CHATMAILD_PUSH_QUEUE_H

#include <stdint.h>

#include "chatmaild/store.h"
#include "chatmaild/tokens.h"

#define PUSH_DEADLINE_SECONDS (5 * 3600) /* after the message came */
#define PUSH_BACKOFF_BASE     8 /* seconds before the second try; eightfold each time */
#define PUSH_BACKOFF_MAX      4096 /* seconds; up to an eighth is added to each wait */
#define PUSH_SPREAD_SECONDS   10   /* over which rows found at start come due */
#define PUSH_ROWS_MAX         1000000 /* beyond it the message's push is shed, and counted */

struct push_queue;

/* One notification in flight: a copy of its row. Owned by the queue. */
struct push {
	int64_t row;
	int64_t start;  /* seconds, wall clock: when the newest message came */
	unsigned tries; /* failed so far */
	char *address;
	char *token;
	bool again;   /* a message came while it was in flight */
	void *stream; /* the sender's own, NULL at first */
	int64_t sent; /* the same, 0 at first */
};

struct push_counters {
	uint64_t queued;    /* gauge: rows */
	uint64_t in_flight; /* gauge */
	uint64_t added;     /* rows made */
	uint64_t coalesced; /* messages for a row that was there */
	uint64_t sent, dead_tokens, failed, unsent; /* as the sender said */
	uint64_t expired;                           /* given up after the deadline */
	uint64_t ownerless;                         /* dropped, the account is gone */
	uint64_t shed;                              /* not queued, the queue was full */
};

/*
 * Rows that are there come due over PUSH_SPREAD_SECONDS from the first take on. NULL if
 * the store cannot be read, logged. mailboxes_dir tells which accounts exist.
 */
struct push_queue *push_queue_create(
    struct event_base *base, struct store *s, const char *mailboxes_dir);

/* After store_close(), whose last callbacks come here. Rows stay. Accepts NULL. */
void push_queue_destroy(struct push_queue *q);

/*
 * Who sends: on_due is called, never from within a function of the queue, when
 * push_queue_take() may have something: after an add, when a retry's time comes, and for
 * the rows that were there. NULL: nobody any more; what he had in flight is due again.
 */
void push_queue_serve(struct push_queue *q, void (*on_due)(void *arg), void *arg);

/*
 * A message came for address: each of its valid tokens gets a row, or makes its row due
 * at once with no try counted. done is called when that is on disk, with 0 also when
 * there was no token or the queue was full; -1 when the store failed.
 */
void push_queue_add(struct push_queue *q, struct span address, int64_t now,
    tokens_done *done, void *arg);

/* The next one due, now in flight, or NULL. First tries go before retries. */
struct push *push_queue_take(struct push_queue *q, int64_t now);

/* What became of it; the push is the queue's again and not to be touched. */
enum push_result {
	PUSH_SENT,       /* 200 */
	PUSH_TOKEN_DEAD, /* 410: the token goes too */
	PUSH_FAILED,     /* any other answer: a try is counted, back-off */
	PUSH_UNSENT,     /* the connection went before the request was out: due again at
			  * once, no try counted; too often in a row, it is PUSH_FAILED */
};
void push_queue_finish(
    struct push_queue *q, struct push *push, enum push_result result, int64_t now);

/*
 * While the service cannot be reached nothing is taken and no timer runs: on_due is not
 * called until push_queue_resume().
 */
void push_queue_pause(struct push_queue *q);
void push_queue_resume(struct push_queue *q);

/* Somebody else put this many rows into the store, due now: a relay taken over. */
void push_queue_found(struct push_queue *q, uint64_t rows);

const struct push_counters *push_queue_counters(struct push_queue *q);

#endif
