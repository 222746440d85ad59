/*
 * What a benchmark found: named measures, each some times in seconds. They are told as a
 * table, as JSON and as a picture, beside those of a former run if there was one.
 */
#ifndef DEPLOY_MEASURE_H
#define DEPLOY_MEASURE_H

#include <stdio.h>

#include "deploy/text.h"

#define MEASURES_MAX        64
#define MEASURE_SAMPLES_MAX 1000
#define MEASURE_SECONDS_MAX 1e6 /* more is none of ours */
#define MEASURE_ERROR_MAX   256
#define MEASURE_TIME_SIZE   32 /* of a time as it is shown */

struct measure {
	char *name;  /* to find it again in another run: "round_trip_small" */
	char *title; /* as people read it */
	double *seconds;
	size_t n; /* in the order in which they were measured */
};

/* All zero is none. */
struct measures {
	char *relay, *second; /* domains; second may be NULL */
	char *version;        /* of cmdeploy */
	char *when;           /* "2026-11-23T22:00:00Z" */
	struct measure list[MEASURES_MAX];
	size_t n;
};

/* By nearest rank: the median is the sample in the middle, the upper one of two. */
struct measure_figures {
	double min, median, p95, max;
};

/* The measure of that name, made at the end if there is none. */
struct measure *measures_add(struct measures *m, const char *name, const char *title);
const struct measure *measures_find(const struct measures *m, const char *name);

/* One more; seconds beyond [0, MEASURE_SECONDS_MAX], or more than MEASURE_SAMPLES_MAX of
 * them, are our own mistake. */
void measure_sample(struct measure *m, double seconds);

/* Of at least one sample. */
struct measure_figures measure_figures(const struct measure *m);

/* "0.4 ms", "12 ms", "1.23 s". */
void measure_time(char text[MEASURE_TIME_SIZE], double seconds);

void measures_free(struct measures *m); /* all that m holds; m is empty then */

/*
 * A table, a line for each measure that has samples; with former, a line of that run below it
 * and how much longer it takes now: the ratio of the medians, over 1 is slower.
 */
void measures_print(const struct measures *m, const struct measures *former, FILE *out);

/* JSON text, free()d by the caller; and back: false with what is wrong with it. */
char *measures_write(const struct measures *m);
bool measures_read(struct measures *m, struct span json, char error[MEASURE_ERROR_MAX]);

#endif
