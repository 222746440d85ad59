/*
 * How long things take: counted in fixed buckets, from 10 microseconds to half a minute.
 * Nothing is allocated; to observe is one increment. All histograms have the same bounds,
 * so that they can be compared, and a metric row's type says all there is to say
 * (metric.h).
 */
#ifndef CHATMAILD_HISTOGRAM_H
#define CHATMAILD_HISTOGRAM_H

#include <stdint.h>
#include <time.h>

#define HISTOGRAM_BOUNDS 20

/* All zero: nothing observed. */
struct histogram {
	uint64_t sum_ns;
	/* Those above the bound before and not above this one; the last: above all. */
	uint64_t count[HISTOGRAM_BOUNDS + 1];
};

/* The upper bounds, rising. text is the label le of both formats, in seconds: canonical
 * as OpenMetrics asks, with ".0" behind a whole number. */
struct histogram_bound {
	int64_t ns;
	const char *text;
};
extern const struct histogram_bound histogram_bounds[HISTOGRAM_BOUNDS];

/* Monotonic, nanoseconds: a few dozen of them, no system call. */
static inline int64_t histogram_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Something took ns; less than none counts as none. */
void histogram_observe(struct histogram *h, int64_t ns);

/* It began when histogram_clock() said began, and is over now. */
void histogram_since(struct histogram *h, int64_t began);

#endif
