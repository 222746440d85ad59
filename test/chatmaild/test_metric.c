/* Tables to text: each family once, in both formats. */
#include "chatmaild/metric.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

struct pair {
	uint64_t passed, refused, open;
};
static const struct metric_def pair_metrics[] = {
	{ "chatmail_mails_total", "Mails.", OPENMETRICS_COUNTER, "verdict=\"pass\"",
	    offsetof(struct pair, passed) },
	{ "chatmail_mails_total", "", OPENMETRICS_COUNTER, "verdict=\"refuse\"",
	    offsetof(struct pair, refused) },
	{ "chatmail_open", "Open now.", OPENMETRICS_GAUGE, NULL,
	    offsetof(struct pair, open) },
};
static const struct metric_def other_metrics[] = {
	{ "chatmail_open", "Not shown.", OPENMETRICS_GAUGE, NULL,
	    offsetof(struct pair, open) },
	{ "chatmail_own_total", "Own.", OPENMETRICS_COUNTER, NULL,
	    offsetof(struct pair, passed) },
};

static const struct pair out_counters = { 1, 2, 3 };
static const struct pair in_counters = { 1000000, 0, 7 };
static const struct pair other_counters = { 5, 0, 4 };

static const struct page_case {
	const char *name;
	enum metric_format format;
	struct metric_source sources[3];
	size_t n;
	const char *page;
} page_cases[] = {
	{ "no source", METRIC_TEXT, { { 0 } }, 0, "" },
	{ "one table, old format", METRIC_TEXT,
	    { { pair_metrics, 3, &out_counters, NULL } }, 1,
	    "# HELP chatmail_mails_total Mails.\n"
	    "# TYPE chatmail_mails_total counter\n"
	    "chatmail_mails_total{verdict=\"pass\"} 1\n"
	    "chatmail_mails_total{verdict=\"refuse\"} 2\n"
	    "# HELP chatmail_open Open now.\n"
	    "# TYPE chatmail_open gauge\n"
	    "chatmail_open 3\n" },
	{ "one table, OpenMetrics", METRIC_OPENMETRICS,
	    { { pair_metrics, 3, &out_counters, NULL } }, 1,
	    "# TYPE chatmail_mails counter\n"
	    "# HELP chatmail_mails Mails.\n"
	    "chatmail_mails_total{verdict=\"pass\"} 1\n"
	    "chatmail_mails_total{verdict=\"refuse\"} 2\n"
	    "# TYPE chatmail_open gauge\n"
	    "# HELP chatmail_open Open now.\n"
	    "chatmail_open 3\n" },
	{ "shared table and a shared name", METRIC_TEXT,
	    { { pair_metrics, 3, &out_counters, "direction=\"out\"" },
		{ pair_metrics, 3, &in_counters, "direction=\"in\"" },
		{ other_metrics, 2, &other_counters, NULL } },
	    3,
	    "# HELP chatmail_mails_total Mails.\n"
	    "# TYPE chatmail_mails_total counter\n"
	    "chatmail_mails_total{direction=\"out\",verdict=\"pass\"} 1\n"
	    "chatmail_mails_total{direction=\"out\",verdict=\"refuse\"} 2\n"
	    "chatmail_mails_total{direction=\"in\",verdict=\"pass\"} 1000000\n"
	    "chatmail_mails_total{direction=\"in\",verdict=\"refuse\"} 0\n"
	    "# HELP chatmail_open Open now.\n"
	    "# TYPE chatmail_open gauge\n"
	    "chatmail_open{direction=\"out\"} 3\n"
	    "chatmail_open{direction=\"in\"} 7\n"
	    "chatmail_open 4\n"
	    "# HELP chatmail_own_total Own.\n"
	    "# TYPE chatmail_own_total counter\n"
	    "chatmail_own_total 5\n" },
};

static struct span page_of(struct evbuffer *buf)
{
	size_t len = evbuffer_get_length(buf);

	return span_make(len ? (const char *)evbuffer_pullup(buf, -1) : "", len);
}

static void page(void **state)
{
	const struct page_case *c = *state;
	struct evbuffer *out = evbuffer_new();

	metric_write(out, c->format, c->sources, c->n);
	support_assert_span(page_of(out), span_of(c->page));
	evbuffer_free(out);
}

struct times {
	struct histogram took;
};
static const struct metric_def times_metrics[] = {
	{ "chatmail_took_seconds", "How long.", OPENMETRICS_HISTOGRAM, "size=\"small\"",
	    offsetof(struct times, took) },
};

/* A line of the page that says this. */
static void assert_line(struct span page, const char *line)
{
	char text[256];

	/* The page's first line has none before it. */
	snprintf(text, sizeof(text), "\n%s\n", line);
	if (!memmem(page.data, page.len, text, strlen(text)) &&
	    !span_starts(page, text + 1))
		fail_msg("not there: %s in\n%.*s", line, (int)page.len, page.data);
}

static void histogram(void **state)
{
	static const enum metric_format formats[] = { METRIC_TEXT, METRIC_OPENMETRICS };
	struct times times = { 0 };
	const struct metric_source source = { times_metrics, 1, &times,
		"service=\"a\"" };

	histogram_observe(&times.took, 10000);         /* on a bound: within it */
	histogram_observe(&times.took, 10001);         /* the next one */
	histogram_observe(&times.took, 1500000000);    /* a second and a half */
	histogram_observe(&times.took, 3600000000000); /* above all */
	histogram_observe(&times.took, -1);            /* no less than nothing */
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct evbuffer *out = evbuffer_new();
		struct span text;

		metric_write(out, formats[i], &source, 1);
		text = page_of(out);
#define LINE "service=\"a\",size=\"small\""
		assert_line(text, "# TYPE chatmail_took_seconds histogram");
		assert_line(
		    text, "chatmail_took_seconds_bucket{" LINE ",le=\"1e-05\"} 2");
		assert_line(
		    text, "chatmail_took_seconds_bucket{" LINE ",le=\"2.5e-05\"} 3");
		assert_line(
		    text, "chatmail_took_seconds_bucket{" LINE ",le=\"1.0\"} 3");
		assert_line(
		    text, "chatmail_took_seconds_bucket{" LINE ",le=\"2.5\"} 4");
		assert_line(
		    text, "chatmail_took_seconds_bucket{" LINE ",le=\"30.0\"} 4");
		assert_line(
		    text, "chatmail_took_seconds_bucket{" LINE ",le=\"+Inf\"} 5");
		assert_line(text, "chatmail_took_seconds_sum{" LINE "} 3601.500020001");
		assert_line(text, "chatmail_took_seconds_count{" LINE "} 5");
		evbuffer_free(out);
	}
}

/* What the label says is what is compared with; and they rise. */
static void bounds(void **state)
{
	for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
		assert_true(strtod(histogram_bounds[i].text, NULL) * 1e9 - 0.5 <
				(double)histogram_bounds[i].ns &&
			    (double)histogram_bounds[i].ns <
				strtod(histogram_bounds[i].text, NULL) * 1e9 + 0.5);
		assert_true(
		    i == 0 || histogram_bounds[i - 1].ns < histogram_bounds[i].ns);
	}
}

static void gauge(void **state)
{
	struct evbuffer *out = evbuffer_new();

	metric_write_number(out, METRIC_OPENMETRICS, OPENMETRICS_GAUGE, "chatmail_s",
	    "Late.", "a=\"b\"", 0.25);
	support_assert_span(
	    page_of(out), span_of("# TYPE chatmail_s gauge\n# HELP chatmail_s Late.\n"
				  "chatmail_s{a=\"b\"} 0.25\n"));
	evbuffer_free(out);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(page, page_cases) },
		{ SUPPORT_TEST(histogram) },
		{ SUPPORT_TEST(bounds) },
		{ SUPPORT_TEST(gauge) },
	};

	return support_run("metric", tests, ARRAY_LEN(tests));
}
