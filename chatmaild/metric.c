/* Metric tables into text: families gathered over all sources. No service is known
 * here. */
#include "chatmaild/metric.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Bytes; names, help and labels are literals of ours, and far shorter. */
#define TEXT_MAX     1024
#define LABELS_MAX   256
#define NAME_LEN_MAX 128

static const char *type_name(enum openmetrics_type type)
{
	switch (type) {
	case OPENMETRICS_COUNTER:
		return "counter";
	case OPENMETRICS_GAUGE:
		return "gauge";
	case OPENMETRICS_HISTOGRAM:
		return "histogram";
	}
	return "unknown";
}

static void write_family(struct evbuffer *out, enum metric_format format,
    const char *name, const char *help, enum openmetrics_type type)
{
	char text[TEXT_MAX];
	size_t len;

	if (format == METRIC_TEXT) {
		/* The older format keeps "_total" in the family's name. */
		evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help,
		    name, type_name(type));
		return;
	}
	len = openmetrics_family(text, sizeof(text), name, help, type);
	assert(len < sizeof(text));
	evbuffer_add(out, text, len);
}

static void write_sample(
    struct evbuffer *out, const char *name, const char *labels, double value)
{
	char text[TEXT_MAX];
	size_t len = openmetrics_sample(text, sizeof(text), name, labels, value);

	assert(len < sizeof(text));
	evbuffer_add(out, text, len);
}

/* The source's labels, then the row's. */
static const char *join_labels(
    char buf[static LABELS_MAX], const char *first, const char *second)
{
	int len;

	if (!first || !second)
		return first ? first : second;
	len = snprintf(buf, LABELS_MAX, "%s,%s", first, second);
	assert(len > 0 && len < LABELS_MAX);
	(void)len;
	return buf;
}

/* Buckets are cumulative, the last one is all there are. */
static void write_histogram(struct evbuffer *out, const char *name, const char *labels,
    const struct histogram *h)
{
	char full[NAME_LEN_MAX], le[LABELS_MAX], all[LABELS_MAX];
	uint64_t count = 0;

	snprintf(full, sizeof(full), "%s_bucket", name);
	for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		snprintf(le, sizeof(le), "le=\"%s\"",
		    i < HISTOGRAM_BOUNDS ? histogram_bounds[i].text : "+Inf");
		count += h->count[i];
		write_sample(out, full, join_labels(all, labels, le), (double)count);
	}
	snprintf(full, sizeof(full), "%s_sum", name);
	write_sample(out, full, labels, (double)h->sum_ns / 1e9);
	snprintf(full, sizeof(full), "%s_count", name);
	write_sample(out, full, labels, (double)count);
}

static void write_row(struct evbuffer *out, const struct metric_source *source,
    const struct metric_def *def)
{
	const char *field = (const char *)source->counters + def->offset;
	char buf[LABELS_MAX];
	const char *labels = join_labels(buf, source->labels, def->labels);
	struct histogram h;
	uint64_t value;

	if (def->type == OPENMETRICS_HISTOGRAM) {
		memcpy(&h, field, sizeof(h));
		write_histogram(out, def->name, labels, &h);
		return;
	}
	memcpy(&value, field, sizeof(value));
	write_sample(out, def->name, labels, (double)value);
}

/* Is there a row of this name before row number row of source? */
static bool seen_before(
    const struct metric_source *sources, const struct metric_source *source, size_t row)
{
	const char *name = source->defs[row].name;

	for (const struct metric_source *s = sources; s <= source; s++) {
		size_t n = s == source ? row : s->n;

		for (size_t i = 0; i < n; i++)
			if (strcmp(s->defs[i].name, name) == 0)
				return true;
	}
	return false;
}

static void write_gathered(struct evbuffer *out, const struct metric_source *sources,
    size_t nsources, const char *name)
{
	for (const struct metric_source *s = sources; s < sources + nsources; s++)
		for (size_t i = 0; i < s->n; i++)
			if (strcmp(s->defs[i].name, name) == 0)
				write_row(out, s, &s->defs[i]);
}

void metric_write(struct evbuffer *out, enum metric_format format,
    const struct metric_source *sources, size_t nsources)
{
	for (const struct metric_source *s = sources; s < sources + nsources; s++) {
		for (size_t i = 0; i < s->n; i++) {
			const struct metric_def *def = &s->defs[i];

			if (seen_before(sources, s, i))
				continue;
			write_family(out, format, def->name, def->help, def->type);
			write_gathered(out, sources, nsources, def->name);
		}
	}
}

void metric_write_number(struct evbuffer *out, enum metric_format format,
    enum openmetrics_type type, const char *name, const char *help, const char *labels,
    double value)
{
	write_family(out, format, name, help, type);
	write_sample(out, name, labels, value);
}
