/* chatmaild/ctl_samples.c: numbers out of a page of metrics. */
#include "chatmaild/ctl_samples.h"

#include <math.h>

#include "test/support.h"

static const char page[] = "# HELP a_total Things.\n"
			   "# TYPE a_total counter\n"
			   "a_total{reason=\"x\",kind=\"1\"} 3\n"
			   "a_total{reason=\"y\",kind=\"1\"} 4.5\n"
			   "ab_total 100\n"
			   "b 7\n"
			   "\n"
			   "broken\n"
			   "worse one\n"
			   "h_seconds_bucket{le=\"0.1\"} 10\n"
			   "h_seconds_bucket{le=\"0.2\"} 20\n"
			   "h_seconds_bucket{le=\"+Inf\"} 22\n"
			   "h_seconds_sum 9\n"
			   "h_seconds_count 22";
static const char before[] = "h_seconds_bucket{le=\"0.1\"} 10\n"
			     "h_seconds_bucket{le=\"0.2\"} 12\n"
			     "h_seconds_bucket{le=\"+Inf\"} 12\n";

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

static void sums(void **state)
{
	assert_true(near(samples_sum(page, "a_total", NULL), 7.5));
	assert_true(near(samples_sum(page, "a_total", "reason=\"y\""), 4.5));
	assert_true(near(samples_sum(page, "a_total", "reason=\"z\""), 0));
	assert_true(near(samples_sum(page, "b", NULL), 7));
	assert_true(near(samples_sum(page, "broken", NULL), 0));
	assert_true(near(samples_sum(page, "worse", NULL), 0));
	assert_true(near(samples_sum("", "b", NULL), 0));
}

static void labels(void **state)
{
	const char *at = page;
	struct sample s;

	assert_true(sample_next(&at, &s));
	support_assert_span(sample_label(&s, "reason"), span_of("x"));
	support_assert_span(sample_label(&s, "kind"), span_of("1"));
	assert_int_equal(sample_label(&s, "rea").len, 0);
	assert_int_equal(sample_label(&s, "x").len, 0);
}

static const struct part_case {
	const char *name, *before;
	double q, want;
} part_cases[] = {
	{ "all: a quarter", NULL, 0.25, 0.055 },
	{ "all: half", NULL, 0.5, 0.11 },
	{ "all: beyond the last limit", NULL, 0.99, 0.2 },
	{ "since: half", before, 0.5, 0.1625 },
	{ "since: beyond", before, 0.9, 0.2 },
	{ "nothing since", page, 0.5, -1 },
};

static void parts(void **state)
{
	const struct part_case *c = *state;
	double got = samples_quantile(page, c->before, "h_seconds", NULL, c->q);

	if (!near(got, c->want))
		fail_msg("%f instead of %f", got, c->want);
	assert_true(samples_quantile(page, c->before, "none", NULL, c->q) < 0);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(sums) },
		{ SUPPORT_TEST(labels) },
		{ SUPPORT_TABLE(parts, part_cases) },
	};

	return support_run("samples", tests, ARRAY_LEN(tests));
}
