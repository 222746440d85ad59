/* OpenMetrics text; see openmetrics.h. */
#include "proto/openmetrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Longest number: "-1.7976931348623157e+308". */
#define NUMBER_MAX 32

static const char *const type_names[] = {
	[OPENMETRICS_COUNTER] = "counter",
	[OPENMETRICS_GAUGE] = "gauge",
	[OPENMETRICS_HISTOGRAM] = "histogram",
};

/* What is written beyond size is only counted. */
struct out {
	char *buf;
	size_t size, len;
};

static void put(struct out *o, struct span text)
{
	if (o->len < o->size && text.len) {
		size_t room = o->size - o->len;

		memcpy(o->buf + o->len, text.data, text.len < room ? text.len : room);
	}
	o->len += text.len;
}

static void put_escaped(struct out *o, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		switch (value.data[i]) {
		case '\\':
			put(o, span_of("\\\\"));
			break;
		case '"':
			put(o, span_of("\\\""));
			break;
		case '\n':
			put(o, span_of("\\n"));
			break;
		default:
			put(o, span_make(value.data + i, 1));
		}
	}
}

static struct span family_of(const char *name, enum openmetrics_type type)
{
	struct span family = span_of(name), total = span_of("_total");

	if (type == OPENMETRICS_COUNTER && span_ends(family, total))
		family.len -= total.len;
	return family;
}

size_t openmetrics_family(char *buf, size_t size, const char *name, const char *help,
    enum openmetrics_type type)
{
	struct out o = { buf, size, 0 };
	struct span family = family_of(name, type);

	put(&o, span_of("# TYPE "));
	put(&o, family);
	put(&o, span_of(" "));
	put(&o, span_of(type_names[type]));
	put(&o, span_of("\n# HELP "));
	put(&o, family);
	put(&o, span_of(" "));
	put_escaped(&o, span_of(help));
	put(&o, span_of("\n"));
	return o.len;
}

/* The shortest of two spellings that reads back as the same number. */
static void format_number(char text[static NUMBER_MAX], double value)
{
	if (isnan(value)) {
		strcpy(text, "NaN");
	} else if (isinf(value)) {
		strcpy(text, value > 0 ? "+Inf" : "-Inf");
	} else {
		snprintf(text, NUMBER_MAX, "%.15g", value);
		if (strtod(text, NULL) != value)
			snprintf(text, NUMBER_MAX, "%.17g", value);
	}
}

size_t openmetrics_sample(
    char *buf, size_t size, const char *name, const char *labels, double value)
{
	struct out o = { buf, size, 0 };
	char number[NUMBER_MAX];

	format_number(number, value);
	put(&o, span_of(name));
	if (labels) {
		put(&o, span_of("{"));
		put(&o, span_of(labels));
		put(&o, span_of("}"));
	}
	put(&o, span_of(" "));
	put(&o, span_of(number));
	put(&o, span_of("\n"));
	return o.len;
}

size_t openmetrics_escape(char *buf, size_t size, struct span value)
{
	struct out o = { buf, size, 0 };

	put_escaped(&o, value);
	return o.len;
}
