/*
 * Metrics are fields of a service's own counters struct, described by a table right below
 * it; /metrics walks the tables. Every field is a uint64_t. Rows of one name that differ
 * in labels stand together.
 */
#ifndef CHATMAILD_METRIC_H
#define CHATMAILD_METRIC_H

#include <event2/buffer.h>

#include "proto/openmetrics.h"

struct metric_def {
	const char *name; /* chatmail_..., ends in _total for a counter */
	const char *help; /* a sentence */
	enum openmetrics_type type;
	const char *labels; /* NULL, or 'reason="load"' */
	size_t offset;	    /* of a uint64_t in the counters struct */
};

/* Append the samples of one table to out. */
void metric_write(struct evbuffer *out, const struct metric_def *def, size_t n,
    const void *counters);

#endif
