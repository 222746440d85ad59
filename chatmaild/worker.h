/*
 * A few threads for what would block the loop: password hashing, fsync, directory
 * walks, SQLite writes. The only module with locks.
 *
 * A job owns copies of its inputs and never sees shared state: run() happens on a
 * worker, done() afterwards on the loop, where everything else lives.
 */
#ifndef CHATMAILD_WORKER_H
#define CHATMAILD_WORKER_H

#include <event2/event.h>

struct job {
	void (*run)(struct job *job);
	void (*done)(struct job *job); /* frees the job */
	struct job *next;              /* the queue's */
};

struct workers;

/*
 * All threads yield to the loop. With before and after (or NULL), all jobs that gathered
 * meanwhile are run between one call of each: a group commit. They get arg and are
 * called on the thread (only sensible with one thread).
 */
struct workers_options {
	unsigned threads;
	void (*before)(void *arg);
	void (*after)(void *arg);
	void *arg;
	const char *name; /* of the threads, at most 15 bytes; NULL: "worker" */
};

/* Threads take no signals. NULL if they cannot be made, logged. */
struct workers *workers_create(
    struct event_base *base, const struct workers_options *o);

/*
 * Lets running and queued jobs finish, also those that their done() submits, and calls
 * their done(), then joins the threads. Accepts NULL.
 */
void workers_destroy(struct workers *w);

/*
 * The job's run() comes in the order of submits; done() likewise if there is one
 * thread. On the loop's thread only, as are done() and all else here. The queue has no
 * bound of its own: who submits keeps count of what he may have waiting.
 */
void workers_submit(struct workers *w, struct job *job);

/* Submitted, done() not yet called. Of NULL 0. */
size_t workers_queued(const struct workers *w);

#endif
