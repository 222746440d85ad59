/*
 * The worker threads. Jobs wait in submitted for a thread, finished ones in finished
 * for the loop, which an eventfd wakes.
 *
 * The loop takes no lock: a thread of low priority may lose its CPU while it holds one,
 * and the loop, and all services with it, would wait until it gets a CPU again. Both
 * ways therefore lead over a stack that is pushed to and emptied by one atomic
 * operation. The lock is the threads' own.
 */
#include "chatmaild/worker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "chatmaild/log.h"

/* Calls of done() in one turn of the loop, so that a burst does not hold up the rest.
 */
#define DONE_BATCH 64

/* Bytes; SQLite and the password hashes need a few ten thousand. */
#define STACK_SIZE (512 * 1024)

/* Of the threads: the least of a busy CPU, some 1/70 of the loop's share. */
#define NICE 19

struct queue {
	struct job *head;
	struct job **tail;
};

/* The latest job comes first. */
typedef _Atomic(struct job *) stack;

struct workers {
	struct workers_options options;
	struct event *wake_event;
	int wake; /* eventfd, readable while finished or ready hold jobs */

	/* The loop's alone. */
	struct queue ready; /* taken out of finished, done() not yet called */
	size_t queued;

	stack submitted; /* the loop pushes, threads empty it */
	stack finished;  /* threads push, the loop empties it */
	sem_t work;      /* at least one for each job that no thread has taken */
	atomic_bool stopping;

	pthread_mutex_t lock; /* between threads */
	struct queue todo;    /* taken out of submitted, in order */

	unsigned nthreads;
	pthread_t threads[];
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_push(struct queue *q, struct job *job)
{
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
}

static struct job *queue_pop(struct queue *q)
{
	struct job *job = q->head;

	if (!job)
		return NULL;
	q->head = job->next;
	if (!q->head)
		q->tail = &q->head;
	return job;
}

/* True if it was empty. The job is no longer ours once it is in. */
static bool stack_push(stack *s, struct job *job)
{
	struct job *before = atomic_load(s);

	do
		job->next = before;
	while (!atomic_compare_exchange_weak(s, &before, job));
	return !before;
}

/* All of s goes behind what q holds, the first that was pushed first. */
static void stack_empty(stack *s, struct queue *q)
{
	struct job *job = atomic_exchange(s, NULL), *next, *first = NULL;

	for (; job; job = next) {
		next = job->next;
		job->next = first;
		first = job;
	}
	for (; first; first = next) {
		next = first->next;
		queue_push(q, first);
	}
}

/* An eventfd counts far beyond our needs: a write to it cannot fail. */
static void wake_loop(struct workers *w)
{
	const uint64_t one = 1;
	ssize_t n = write(w->wake, &one, sizeof(one));

	assert(n == sizeof(one));
	(void)n;
}

/* What this thread runs next: one job, or for a group all there are. */
static void take_jobs(struct workers *w, struct queue *mine)
{
	struct job *job;

	pthread_mutex_lock(&w->lock);
	stack_empty(&w->submitted, &w->todo);
	do {
		job = queue_pop(&w->todo);
		if (job)
			queue_push(mine, job);
	} while (job && w->options.before);
	pthread_mutex_unlock(&w->lock);
}

static void run_jobs(const struct workers_options *o, const struct queue *mine)
{
	if (o->before)
		o->before(o->arg);
	for (struct job *job = mine->head; job; job = job->next)
		job->run(job);
	if (o->after)
		o->after(o->arg);
}

static void *thread_main(void *arg)
{
	struct workers *w = arg;
	struct queue mine;
	struct job *job;

	/* Of this thread: Linux gives each its own. Less than one has is never refused. */
	setpriority(PRIO_PROCESS, 0, NICE);

	queue_init(&mine);
	for (;;) {
		while (sem_wait(&w->work) < 0)
			; /* interrupted */
		take_jobs(w, &mine);
		if (!mine.head) {
			if (w->stopping)
				return NULL;
			continue; /* a group took it along */
		}
		run_jobs(&w->options, &mine);
		while ((job = queue_pop(&mine)))
			if (stack_push(&w->finished, job))
				wake_loop(w); /* else it is awake already */
	}
}

/* Emptied before the stack is: what is pushed later wakes us again. */
static void take_finished(struct workers *w)
{
	uint64_t count;

	if (read(w->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_warning("workers: eventfd: %s", strerror(errno));
	stack_empty(&w->finished, &w->ready);
}

/* Returns false when there was nothing left to finish. */
static bool finish_one(struct workers *w)
{
	struct job *job = queue_pop(&w->ready);

	if (!job)
		return false;
	w->queued--;
	job->done(job);
	return true;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct workers *w = arg;

	take_finished(w);
	for (unsigned i = 0; i < DONE_BATCH; i++)
		if (!finish_one(w))
			return;
	if (w->ready.head)
		wake_loop(w); /* the rest in the loop's next turn */
}

static int start_threads(struct workers *w)
{
	const char *name = w->options.name ? w->options.name : "worker";
	sigset_t all, before;
	pthread_attr_t attr;
	int error = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the threads */
	while (w->nthreads < w->options.threads && !error) {
		error = pthread_create(&w->threads[w->nthreads], &attr, thread_main, w);
		if (!error)
			pthread_setname_np(w->threads[w->nthreads++], name);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (error)
		log_error("workers: cannot start thread %u of %u: %s", w->nthreads + 1,
		    w->options.threads, strerror(error));
	return error ? -1 : 0;
}

struct workers *workers_create(struct event_base *base, const struct workers_options *o)
{
	struct workers *w;

	assert(o->threads > 0);
	w = calloc(1, sizeof(*w) + o->threads * sizeof(w->threads[0]));
	if (!w)
		abort();
	w->options = *o;
	queue_init(&w->todo);
	queue_init(&w->ready);
	pthread_mutex_init(&w->lock, NULL);
	sem_init(&w->work, 0, 0);

	w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->wake < 0) {
		log_error("workers: eventfd: %s", strerror(errno));
		goto fail;
	}
	w->wake_event = event_new(base, w->wake, EV_READ | EV_PERSIST, on_wake, w);
	if (!w->wake_event || event_add(w->wake_event, NULL) < 0)
		abort();
	if (start_threads(w) < 0)
		goto fail;
	return w;

fail:
	workers_destroy(w);
	return NULL;
}

/* Until nothing is queued any more, with the threads still there for what done()
 * submits. */
static void finish_all(struct workers *w)
{
	struct pollfd wake = { .fd = w->wake, .events = POLLIN };

	for (;;) {
		while (finish_one(w))
			;
		if (w->queued == 0)
			return;
		poll(&wake, 1, -1);
		take_finished(w);
	}
}

void workers_destroy(struct workers *w)
{
	if (!w)
		return;
	finish_all(w);
	w->stopping = true;
	for (unsigned i = 0; i < w->nthreads; i++)
		sem_post(&w->work);
	for (unsigned i = 0; i < w->nthreads; i++)
		pthread_join(w->threads[i], NULL);

	if (w->wake_event)
		event_free(w->wake_event);
	if (w->wake >= 0)
		close(w->wake);
	sem_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void workers_submit(struct workers *w, struct job *job)
{
	w->queued++;
	stack_push(&w->submitted, job);
	sem_post(&w->work);
}

size_t workers_queued(const struct workers *w)
{
	return w ? w->queued : 0;
}
