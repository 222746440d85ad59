/*
 * Metrics are fields of a service's own counters struct, described by a table right
 * below it; /metrics walks the tables. A field is a uint64_t, or a struct histogram of
 * durations.
 *
 * Both text formats want the samples of one family together, its description once. So a
 * page is made of sources (a table and the counters it is read from): rows of one name
 * are gathered over all of them, in the order in which the name first appears. Two
 * services may share one table if their labels differ, as the two directions of the
 * filter do.
 */
#ifndef CHATMAILD_METRIC_H
#define CHATMAILD_METRIC_H

#include <event2/buffer.h>

#include "chatmaild/histogram.h"
#include "proto/openmetrics.h"

struct metric_def {
	/* chatmail_..., ends in _total for a counter, in _seconds for a histogram */
	const char *name;
	const char *help; /* a sentence; the first one of a name is shown */
	enum openmetrics_type type;
	const char *labels; /* NULL, or 'reason="load"' */
	size_t offset;      /* of the field in the counters struct */
};

struct metric_source {
	const struct metric_def *defs;
	size_t n;
	const void *counters;
	const char *labels; /* put before each row's own; NULL: none */
};

enum metric_format {
	METRIC_TEXT,        /* Prometheus text format, version 0.0.4 */
	METRIC_OPENMETRICS, /* OpenMetrics 1.0; the page ends with OPENMETRICS_EOF */
};

/* Append all sources' samples to out, family by family. The page's end is the caller's.
 */
void metric_write(struct evbuffer *out, enum metric_format format,
    const struct metric_source *sources, size_t nsources);

/* A family of one sample that is no whole number. */
void metric_write_number(struct evbuffer *out, enum metric_format format,
    enum openmetrics_type type, const char *name, const char *help, const char *labels,
    double value);

#endif
