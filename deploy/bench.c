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

/* Whose login is measured; guest: NULL for somebody new each time. */
struct login {
	enum trial_door door;
	const struct trial_guest *guest;
};

static double log_in(struct bench *b, void *arg)
{
	const struct login *l = arg;
	const struct trial_guest *guest = l->guest;
	struct trial_guest new;
	double begin;

	if (!guest) {
		trial_invent(b->trial, 0, &new);
		guest = &new;
	}
	begin = bench_now();
	return trial_login(b->trial, 0, l->door, guest, b->error) ? bench_now() - begin
								  : -1;
}

bool bench_connections(struct bench *b)
{
	struct trial_guest old;
	struct {
		const char *name, *title;
		struct login login;
	} rows[] = {
		{ "imap_new", "IMAP: connection, login of a new address",
		    { TRIAL_IMAP, NULL } },
		{ "imap_login", "IMAP: connection, login", { TRIAL_IMAP, &old } },
		{ "smtp_new", "SMTP: connection, login of a new address",
		    { TRIAL_SMTP, NULL } },
		{ "smtp_login", "SMTP: connection, login", { TRIAL_SMTP, &old } },
	};
	bool good = bench_repeat(
	    b, "imap_tls", "IMAP: TLS connection", b->rounds, tls_imap, NULL);

	trial_invent(b->trial, 0, &old);
	good = good && log_in(b, &rows[1].login) >= 0; /* makes the address */
	for (size_t i = 0; good && i < sizeof(rows) / sizeof(rows[0]); i++)
		good = bench_repeat(
		    b, rows[i].name, rows[i].title, b->rounds, log_in, &rows[i].login);
	return good;
}
