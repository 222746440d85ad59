/* Jobs on threads, their ends on the loop. */
#include "chatmaild/worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test/support.h"

#define NICE_MAX 19 /* setpriority(2) */

struct bench {
	struct event_base *base;
	struct workers *workers;
	unsigned done;
	unsigned order[2048]; /* of done() */
	unsigned total;       /* jobs to wait for */
	int nice;             /* the loop's own */

	/* The threads'. */
	atomic_uint befores, afters, in_batch, worst_batch, run_outside;
	bool hooks;
};

struct count_job {
	struct job job;
	struct bench *bench;
	unsigned number;
	pthread_t ran_on;
	char thread_name[16];
	int nice;
	bool signals_blocked;
	unsigned resubmit; /* this many more from done() */
};

static struct job *new_job(struct bench *b, unsigned number, unsigned resubmit);

static void count_run(struct job *job)
{
	struct count_job *j = (struct count_job *)job;
	sigset_t mask;

	j->ran_on = pthread_self();
	pthread_getname_np(j->ran_on, j->thread_name, sizeof(j->thread_name));
	j->nice = getpriority(PRIO_PROCESS, 0);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	j->signals_blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGHUP);
	if (j->bench->hooks &&
	    atomic_load(&j->bench->befores) == atomic_load(&j->bench->afters))
		atomic_fetch_add(&j->bench->run_outside, 1);
	atomic_fetch_add(&j->bench->in_batch, 1);
}

static void count_done(struct job *job)
{
	struct count_job *j = (struct count_job *)job;
	struct bench *b = j->bench;

	assert_false(pthread_equal(j->ran_on, pthread_self()));
	assert_string_equal(j->thread_name, "tester");
	assert_true(j->signals_blocked);
	assert_int_equal(j->nice, b->nice);
	b->order[b->done++] = j->number;
	if (j->resubmit)
		workers_submit(b->workers, new_job(b, j->number + 1, j->resubmit - 1));
	free(j);
}

static struct job *new_job(struct bench *b, unsigned number, unsigned resubmit)
{
	struct count_job *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	j->job.run = count_run;
	j->job.done = count_done;
	j->bench = b;
	j->number = number;
	j->resubmit = resubmit;
	return &j->job;
}

static void on_before(void *arg)
{
	struct bench *b = arg;

	atomic_store(&b->in_batch, 0);
	atomic_fetch_add(&b->befores, 1);
}

static void on_after(void *arg)
{
	struct bench *b = arg;
	unsigned n = atomic_load(&b->in_batch);

	if (n > atomic_load(&b->worst_batch))
		atomic_store(&b->worst_batch, n);
	atomic_fetch_add(&b->afters, 1);
}

static void bench_init(struct bench *b, unsigned threads, bool hooks)
{
	struct workers_options o = { .threads = threads, .name = "tester" };

	*b = (struct bench){ .hooks = hooks, .nice = NICE_MAX };
	if (hooks) {
		o.before = on_before;
		o.after = on_after;
		o.arg = b;
	}
	b->base = event_base_new();
	b->workers = workers_create(b->base, &o);
	assert_non_null(b->workers);
}

static void bench_deinit(struct bench *b)
{
	workers_destroy(b->workers);
	event_base_free(b->base);
}

static bool all_done(void *arg)
{
	struct bench *b = arg;

	return b->done == b->total;
}

static const struct count_case {
	const char *name;
	unsigned threads, jobs;
} count_cases[] = {
	{ "one thread, one job", 1, 1 },
	{ "one thread, more than a batch of ends", 1, 1000 },
	{ "four threads", 4, 1000 },
};

static void every_job_ends_once(void **state)
{
	const struct count_case *c = *state;
	bool seen[1000] = { false };
	struct bench b;

	bench_init(&b, c->threads, false);
	b.total = c->jobs;
	for (unsigned i = 0; i < c->jobs; i++)
		workers_submit(b.workers, new_job(&b, i, 0));
	assert_int_equal(workers_queued(b.workers), c->jobs);
	support_loop(b.base, all_done, &b);
	assert_int_equal(workers_queued(b.workers), 0);
	for (unsigned i = 0; i < c->jobs; i++) {
		assert_false(seen[b.order[i]]);
		seen[b.order[i]] = true;
		if (c->threads == 1)
			assert_int_equal(b.order[i], i);
	}
	bench_deinit(&b);
}

struct turn {
	struct bench *bench;
	unsigned done_before, worst;
};

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct turn *t = arg;
	unsigned n = t->bench->done - t->done_before;

	if (n > t->worst)
		t->worst = n;
	t->done_before = t->bench->done;
}

/* Other events get their turn between batches of done(). */
static void ends_come_in_batches(void **state)
{
	struct bench b;
	struct turn turn = { .bench = &b };
	struct event *always;
	int fd[2];

	bench_init(&b, 1, false);
	b.total = 1000;
	support_socketpair(fd); /* one that can always be written to */
	always = event_new(b.base, fd[0], EV_WRITE | EV_PERSIST, on_turn, &turn);
	event_add(always, NULL);
	for (unsigned i = 0; i < b.total; i++)
		workers_submit(b.workers, new_job(&b, i, 0));
	support_loop(b.base, all_done, &b);
	assert_in_range(turn.worst, 1, 64);
	event_free(always);
	close(fd[0]);
	close(fd[1]);
	bench_deinit(&b);
}

struct gate_job {
	struct job job;
	struct bench *bench;
	sem_t open;
};

static void gate_run(struct job *job)
{
	struct gate_job *g = (struct gate_job *)job;

	atomic_fetch_add(&g->bench->in_batch, 1);
	while (sem_wait(&g->open) < 0)
		;
}

static void gate_done(struct job *job)
{
	struct gate_job *g = (struct gate_job *)job;

	g->bench->done++;
}

/* What gathers while one batch runs is the next batch, all of it. */
static void one_commit_for_many(void **state)
{
	struct gate_job gate = { .job = { .run = gate_run, .done = gate_done } };
	struct bench b;

	bench_init(&b, 1, true);
	b.total = 500;
	gate.bench = &b;
	sem_init(&gate.open, 0, 0);
	workers_submit(b.workers, &gate.job);
	for (unsigned i = 1; i < b.total; i++)
		workers_submit(b.workers, new_job(&b, i, 0));
	sem_post(&gate.open);
	support_loop(b.base, all_done, &b);
	assert_in_range(atomic_load(&b.befores), 1, 2);
	assert_int_equal(atomic_load(&b.befores), atomic_load(&b.afters));
	assert_int_equal(atomic_load(&b.run_outside), 0);
	assert_in_range(atomic_load(&b.worst_batch), 250, 500);
	bench_deinit(&b);
	sem_destroy(&gate.open);
}

static void destroy_finishes_all(void **state)
{
	struct bench b;

	bench_init(&b, 2, false);
	for (unsigned i = 0; i < 100; i++)
		workers_submit(b.workers, new_job(&b, i, 0));
	workers_submit(b.workers, new_job(&b, 100, 5)); /* its ends submit more */
	bench_deinit(&b);
	assert_int_equal(b.done, 106);
}

static void destroy_accepts_null(void **state)
{
	workers_destroy(NULL);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(every_job_ends_once, count_cases) },
		{ SUPPORT_TEST(ends_come_in_batches) },
		{ SUPPORT_TEST(one_commit_for_many) },
		{ SUPPORT_TEST(destroy_finishes_all) },
		{ SUPPORT_TEST(destroy_accepts_null) },
	};

	return support_run("worker", tests, ARRAY_LEN(tests));
}
