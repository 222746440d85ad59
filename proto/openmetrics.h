/*
 * OpenMetrics 1.0 text, the exposition format Prometheus scrapes: lines out.
 * Source: https://github.com/OpenObservability/OpenMetrics, "Text Format".
 */
#ifndef PROTO_OPENMETRICS_H
#define PROTO_OPENMETRICS_H

#include <stdint.h>

#include "proto/span.h"

#define OPENMETRICS_CONTENT_TYPE                                                       \
	"application/openmetrics-text; version=1.0.0; charset=utf-8"
#define OPENMETRICS_EOF "# EOF\n"

enum openmetrics_type {
	OPENMETRICS_COUNTER,
	OPENMETRICS_GAUGE,
	OPENMETRICS_HISTOGRAM,
};

/*
 * "# TYPE" and "# HELP" of a metric family. name is the sample's name; a counter's
 * "_total" is cut off for its family, as the format asks. Writers return the length
 * needed and write at most size bytes, as snprintf does.
 */
size_t openmetrics_family(char *buf, size_t size, const char *name, const char *help,
    enum openmetrics_type type);

/* One sample; labels is NULL or the inside of {}: already escaped, 'kind="x"'. */
size_t openmetrics_sample(
    char *buf, size_t size, const char *name, const char *labels, double value);

/* A label value with '\', '"' and LF escaped. */
size_t openmetrics_escape(char *buf, size_t size, struct span value);

#endif
