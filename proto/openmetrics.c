/* OpenMetrics text; see openmetrics.h. */
#include "proto/openmetrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/out.h"

/* Longest number: "-1.7976931348623157e+308". */
#define NUMBER_MAX 32

static const char *const type_names[] = {
	[OPENMETRICS_COUNTER] = "counter",
	[OPENMETRICS_GAUGE] = "gauge",
	[OPENMETRICS_HISTOGRAM] = "histogram",
};

static void put_escaped(struct out *o, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		switch (value.data[i]) {
		case '\\':
			out_text(o, "\\\\");
			break;
		case '"':
			out_text(o, "\\\"");
			break;
		case '\n':
			out_text(o, "\\n");
			break;
		default:
			out_char(o, value.data[i]);
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

	out_text(&o, "# TYPE ");
	out_span(&o, family);
	out_text(&o, " ");
	out_text(&o, type_names[type]);
	out_text(&o, "\n# HELP ");
	out_span(&o, family);
	out_text(&o, " ");
	put_escaped(&o, span_of(help));
	out_text(&o, "\n");
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
	out_text(&o, name);
	if (labels) {
		out_text(&o, "{");
		out_text(&o, labels);
		out_text(&o, "}");
	}
	out_text(&o, " ");
	out_text(&o, number);
	out_text(&o, "\n");
	return o.len;
}

size_t openmetrics_escape(char *buf, size_t size, struct span value)
{
	struct out o = { buf, size, 0 };

	put_escaped(&o, value);
	return o.len;
}
