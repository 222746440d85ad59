/*
 * The worker threads: two queues under one lock. Jobs wait in todo for a thread,
 * finished ones in finished for the loop, which an eventfd wakes.
 */
#include "chatmaild/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
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

struct queue {
	struct job *head;
	struct job **tail;
};

struct workers {
	struct workers_options options;
	struct event *wake_event;
	int wake; /* eventfd, readable while finished or ready hold jobs */

	/* The loop's alone. */
	struct queue ready; /* taken out of finished, done() not yet called */
	size_t queued;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t submitted;
	pthread_cond_t progress; /* finished is no longer empty */
	struct queue todo, finished;
	bool stopping;

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

/* All of from goes behind what to holds. */
static void queue_move(struct queue *to, struct queue *from)
{
	if (!from->head)
		return;
	*to->tail = from->head;
	to->tail = from->tail;
	queue_init(from);
}

/* An eventfd counts far beyond our needs: a write to it cannot fail. */
static void wake_loop(struct workers *w)
{
	const uint64_t one = 1;
	ssize_t n = write(w->wake, &one, sizeof(one));

	assert(n == sizeof(one));
	(void)n;
}

/* With the lock held: what this thread runs next. */
static void take_jobs(struct workers *w, struct queue *mine)
{
	if (w->options.before)
		queue_move(mine, &w->todo);
	else
		queue_push(mine, queue_pop(&w->todo));
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
	bool wake;

	/* Of this thread: Linux gives each its own. More nice is never refused. */
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + w->options.nice);

	queue_init(&mine);
	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->todo.head && !w->stopping)
			pthread_cond_wait(&w->submitted, &w->lock);
		if (!w->todo.head)
			break;
		take_jobs(w, &mine);
		pthread_mutex_unlock(&w->lock);

		run_jobs(&w->options, &mine);

		pthread_mutex_lock(&w->lock);
		wake = !w->finished.head; /* else the loop is awake already */
		queue_move(&w->finished, &mine);
		if (wake) {
			wake_loop(w);
			pthread_cond_signal(&w->progress);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
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
	uint64_t count;

	/* Emptied before the queue is looked at: what comes later wakes us again. */
	if (read(w->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_warning("workers: eventfd: %s", strerror(errno));
	pthread_mutex_lock(&w->lock);
	queue_move(&w->ready, &w->finished);
	pthread_mutex_unlock(&w->lock);

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
	queue_init(&w->finished);
	queue_init(&w->ready);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->submitted, NULL);
	pthread_cond_init(&w->progress, NULL);

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
	while (w->queued > 0) {
		pthread_mutex_lock(&w->lock);
		while (!w->finished.head && !w->ready.head)
			pthread_cond_wait(&w->progress, &w->lock);
		queue_move(&w->ready, &w->finished);
		pthread_mutex_unlock(&w->lock);
		while (finish_one(w))
			;
	}
}

void workers_destroy(struct workers *w)
{
	if (!w)
		return;
	finish_all(w);
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->submitted);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->nthreads; i++)
		pthread_join(w->threads[i], NULL);

	if (w->wake_event)
		event_free(w->wake_event);
	if (w->wake >= 0)
		close(w->wake);
	pthread_cond_destroy(&w->progress);
	pthread_cond_destroy(&w->submitted);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void workers_submit(struct workers *w, struct job *job)
{
	w->queued++;
	pthread_mutex_lock(&w->lock);
	queue_push(&w->todo, job);
	pthread_cond_signal(&w->submitted);
	pthread_mutex_unlock(&w->lock);
}

size_t workers_queued(const struct workers *w)
{
	return w->queued;
}
