/*
 * A few threads for what would block the loop: password hashing, fsync, directory walks,
 * SQLite writes. The only module with locks.
 *
 * A job owns copies of its inputs and never sees shared state: run() happens on a worker,
 * done() afterwards on the loop, where everything else lives.
 */
#ifndef CHATMAILD_WORKER_H
#define CHATMAILD_WORKER_H

#include <event2/event.h>

struct job {
	void (*run)(struct job *job);
	void (*done)(struct job *job); /* frees the job */
	struct job *next;	       /* the queue's */
};

struct workers;

/*
 * nice is added to the threads' priority value, so that hashing yields to the loop. With
 * before and after (or NULL), all jobs that gathered meanwhile are run between one call
 * of each: a group commit. They get arg and are called on the thread (only sensible with
 * one thread).
 */
struct workers_options {
	unsigned threads;
	int nice;
	void (*before)(void *arg);
	void (*after)(void *arg);
	void *arg;
};
struct workers *workers_create(struct event_base *base, const struct workers_options *o);

/* Lets running and queued jobs finish, calls their done(), then joins the threads. */
void workers_destroy(struct workers *w);

void workers_submit(struct workers *w, struct job *job);
size_t workers_queued(const struct workers *w); /* submitted, done() not yet called */

#endif
