/* Measuring: the samples one after the other, and what takes but a connection. */
#include "deploy/bench.h"

#include <stdio.h>
#include <time.h>

double bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

bool bench_repeat(struct bench *b, const char *name, const char *title, unsigned n,
    double (*once)(struct bench *b, void *arg), void *arg)
{
	struct measure *m = measures_add(b->measures, name, title);
	char median[MEASURE_TIME_SIZE];

	progress_begin(b->progress, title);
	for (unsigned i = 0; i < n; i++) {
		double seconds = once(b, arg);

		if (seconds < 0 || trial_interrupted(b->trial)) {
			progress_end(b->progress, false, NULL);
			return false;
		}
		measure_sample(m, seconds);
		progress_tick(b->progress);
	}
	measure_time(median, measure_figures(m).median);
	progress_end(b->progress, true, median);
	return true;
}

static double tls_imap(struct bench *b, void *arg)
{
	double begin = bench_now(), took;
	struct dial *d = trial_dial(b->trial, 0, 993, DIAL_FROM_START);

	took = bench_now() - begin;
	if (dial_error(d)) {
		snprintf(b->error, sizeof(b->error), "IMAP: %s", dial_error(d));
		took = -1;
	}
	dial_close(d);
	return took;
}

/* arg: who logs in, or NULL for somebody new. */
static double log_in_imap(struct bench *b, void *arg)
{
	struct trial_guest new;
	const struct trial_guest *guest = arg;
	struct imap_talk talk;
	double begin, took;

	if (!guest) {
		trial_invent(b->trial, 0, &new);
		guest = &new;
	}
	begin = bench_now();
	took =
	    trial_imap(b->trial, 0, guest, &talk, b->error) ? bench_now() - begin : -1;
	dial_close(talk.dial);
	return took;
}

static double log_in_smtp(struct bench *b, void *arg)
{
	struct trial_guest new;
	const struct trial_guest *guest = arg;
	struct smtp_talk talk;
	double begin, took;

	if (!guest) {
		trial_invent(b->trial, 0, &new);
		guest = &new;
	}
	begin = bench_now();
	took =
	    trial_smtp(b->trial, 0, guest, &talk, b->error) ? bench_now() - begin : -1;
	dial_close(talk.dial);
	return took;
}

bool bench_connections(struct bench *b)
{
	struct trial_guest old;

	trial_invent(b->trial, 0, &old);
	return bench_repeat(
		   b, "imap_tls", "IMAP: TLS connection", b->rounds, tls_imap, NULL) &&
	       bench_repeat(b, "imap_new", "IMAP: connection, login of a new address",
		   b->rounds, log_in_imap, NULL) &&
	       log_in_imap(b, &old) >= 0 &&
	       bench_repeat(b, "imap_login", "IMAP: connection, login", b->rounds,
		   log_in_imap, &old) &&
	       bench_repeat(b, "smtp_new", "SMTP: connection, login of a new address",
		   b->rounds, log_in_smtp, NULL) &&
	       bench_repeat(b, "smtp_login", "SMTP: connection, login", b->rounds,
		   log_in_smtp, &old);
}
