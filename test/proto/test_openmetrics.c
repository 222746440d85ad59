/* OpenMetrics text lines. */
#include "proto/openmetrics.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "test/support.h"

static const struct family_case {
	const char *name;
	const char *metric, *help;
	enum openmetrics_type type;
	const char *text;
} family_cases[] = {
	{ "counter", "chatmail_filter_passed_total", "Mails handed back to Postfix.",
	    OPENMETRICS_COUNTER,
	    "# TYPE chatmail_filter_passed counter\n"
	    "# HELP chatmail_filter_passed Mails handed back to Postfix.\n" },
	{ "gauge", "chatmail_users", "Accounts.", OPENMETRICS_GAUGE,
	    "# TYPE chatmail_users gauge\n# HELP chatmail_users Accounts.\n" },
	{ "gauge keeps _total", "disk_total", "Bytes.", OPENMETRICS_GAUGE,
	    "# TYPE disk_total gauge\n# HELP disk_total Bytes.\n" },
	{ "histogram", "wait_seconds", "Wait.", OPENMETRICS_HISTOGRAM,
	    "# TYPE wait_seconds histogram\n# HELP wait_seconds Wait.\n" },
	{ "escapes", "a", "back\\slash \"quote\" line\nend", OPENMETRICS_GAUGE,
	    "# TYPE a gauge\n"
	    "# HELP a back\\\\slash \\\"quote\\\" line\\nend\n" },
};

static void family(void **state)
{
	const struct family_case *c = *state;
	size_t want = strlen(c->text);
	char *buf = malloc(want);

	assert_non_null(buf);
	for (size_t size = 0; size <= want; size++) {
		assert_int_equal(
		    openmetrics_family(buf, size, c->metric, c->help, c->type), want);
		support_assert_span(span_make(buf, size), span_make(c->text, size));
	}
	free(buf);
}

static const struct sample_case {
	const char *name;
	const char *labels;
	double value;
	const char *text;
} sample_cases[] = {
	{ "zero", NULL, 0, "m 0\n" },
	{ "count", NULL, 1234567, "m 1234567\n" },
	{ "labels", "kind=\"x\",code=\"250\"", 1, "m{kind=\"x\",code=\"250\"} 1\n" },
	{ "bytes", NULL, 1099511627776, "m 1099511627776\n" },
	{ "all bits of a count", NULL, 9007199254740991, "m 9007199254740991\n" },
	{ "fraction", NULL, 0.1, "m 0.1\n" },
	{ "seconds", NULL, 1763911498.125, "m 1763911498.125\n" },
	{ "negative", NULL, -2.5, "m -2.5\n" },
	{ "all digits", NULL, 1.0 / 3, "m 0.33333333333333331\n" },
	{ "largest", NULL, -DBL_MAX, "m -1.7976931348623157e+308\n" },
	{ "infinity", NULL, INFINITY, "m +Inf\n" },
	{ "minus infinity", NULL, -INFINITY, "m -Inf\n" },
	{ "not a number", NULL, NAN, "m NaN\n" },
};

static void sample(void **state)
{
	const struct sample_case *c = *state;
	size_t want = strlen(c->text);
	char *buf = malloc(want);

	assert_non_null(buf);
	for (size_t size = 0; size <= want; size++) {
		assert_int_equal(
		    openmetrics_sample(buf, size, "m", c->labels, c->value), want);
		support_assert_span(span_make(buf, size), span_make(c->text, size));
	}
	free(buf);
}

static void escape(void **state)
{
	char buf[32];
	size_t n =
	    openmetrics_escape(buf, sizeof(buf), span_of("a\\b\"c\nd\t\xc3\xa4"));

	support_assert_span(span_make(buf, n), span_of("a\\\\b\\\"c\\nd\t\xc3\xa4"));
	assert_int_equal(openmetrics_escape(NULL, 0, span_of("\n\n")), 4);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(family, family_cases) },
		{ SUPPORT_TABLE(sample, sample_cases) },
		{ SUPPORT_TEST(escape) },
	};

	return support_run("openmetrics", tests, ARRAY_LEN(tests));
}
