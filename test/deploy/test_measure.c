/* Figures of samples; the table, the picture and the JSON of them. */
#include "deploy/measure.h"

#include <stdlib.h>

#include "deploy/plot.h"
#include "test/support.h"

static const struct figures_case {
	const char *name;
	size_t n; /* samples n, n - 1, ... 1 */
	double min, median, p95, max;
} figures_cases[] = {
	{ "one", 1, 1, 1, 1, 1 },
	{ "two", 2, 1, 2, 2, 2 },
	{ "three", 3, 1, 2, 3, 3 },
	{ "ten", 10, 1, 6, 10, 10 },
	{ "nineteen", 19, 1, 10, 19, 19 },
	{ "twenty", 20, 1, 11, 19, 20 },
	{ "a hundred", 100, 1, 51, 95, 100 },
	{ "all that may be", MEASURE_SAMPLES_MAX, 1, 501, 950, 1000 },
};

static void assert_figures(const struct measure *m, const struct figures_case *c)
{
	const struct measure_figures f = measure_figures(m);

	assert_true(f.min == c->min);
	assert_true(f.median == c->median);
	assert_true(f.p95 == c->p95);
	assert_true(f.max == c->max);
}

static void figures(void **state)
{
	const struct figures_case *c = *state;
	struct measures m = { 0 };
	struct measure *a = measures_add(&m, "a", "A");

	for (size_t i = c->n; i > 0; i--)
		measure_sample(a, (double)i);
	assert_figures(a, c);
	assert_true(a->seconds[0] == (double)c->n);
	measures_free(&m);
}

static const struct time_case {
	const char *name; /* what is shown */
	double seconds;
} time_cases[] = {
	{ "0.0 ms", 0 },
	{ "0.4 ms", 0.00042 },
	{ "9.9 ms", 0.00994 },
	{ "10 ms", 0.00995 },
	{ "999 ms", 0.9994 },
	{ "1.00 s", 0.9995 },
	{ "61.20 s", 61.2 },
};

static void times(void **state)
{
	const struct time_case *c = *state;
	char text[MEASURE_TIME_SIZE];

	measure_time(text, c->seconds);
	assert_string_equal(text, c->name);
}

/* Two measures with samples and one without; times are scale times as long. */
static struct measures sample(double scale)
{
	struct measures m = { .relay = strdup("a.example"),
		.second = strdup("b<&>.example"),
		.version = strdup("1.0"),
		.when = strdup("2026-11-23T22:00:00Z") };
	struct measure *a = measures_add(&m, "login", "Login & creation"), *b;

	measure_sample(a, 0.02 * scale);
	measure_sample(a, 0.01 * scale);
	measure_sample(a, 0.03 * scale);
	measures_add(&m, "nothing", "What was not measured");
	b = measures_add(&m, "trip", "Round trip");
	measure_sample(b, 1.5 * scale);
	assert_ptr_equal(measures_find(&m, "trip"), b);
	assert_ptr_equal(measures_add(&m, "trip", "again"), b);
	assert_null(measures_find(&m, "tri"));
	return m;
}

static char *table(const struct measures *m, const struct measures *former)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	measures_print(m, former, out);
	fclose(out);
	return text;
}

#define HEAD                                                                           \
	"                                                      n       min    median"  \
	"       p95       max\n"
#define LOGIN                                                                          \
	"Login & creation                                      3     10 ms     20 ms"  \
	"     30 ms     30 ms\n"
#define TRIP                                                                           \
	"Round trip                                            1    1.50 s    1.50 s"  \
	"    1.50 s    1.50 s\n"
#define LOGIN_BEFORE                                                                   \
	"    formerly                                          3     20 ms     40 ms"  \
	"     60 ms     60 ms  now 0.50 of it\n"
#define TRIP_BEFORE                                                                    \
	"    formerly                                          1    3.00 s    3.00 s"  \
	"    3.00 s    3.00 s  now 0.50 of it\n"

static void tables(void **state)
{
	struct measures m = sample(1), former = sample(2), none = { 0 };
	char *text = table(&m, NULL);

	assert_string_equal(text, HEAD LOGIN TRIP);
	free(text);
	text = table(&m, &former);
	assert_string_equal(text, HEAD LOGIN LOGIN_BEFORE TRIP TRIP_BEFORE);
	free(text);
	text = table(&m, &none);
	assert_string_equal(text, HEAD LOGIN TRIP);
	free(text);
	measures_free(&m);
	measures_free(&former);
}

static void json_and_back(void **state)
{
	struct measures m = sample(1), again;
	char error[MEASURE_ERROR_MAX], *json = measures_write(&m), *second;

	assert_true(measures_read(&again, span_of(json), error));
	assert_string_equal(again.relay, "a.example");
	assert_string_equal(again.second, "b<&>.example");
	assert_int_equal(again.n, 3);
	assert_int_equal(again.list[1].n, 0);
	assert_true(measure_figures(&again.list[0]).median == 0.02);
	second = measures_write(&again);
	assert_string_equal(json, second);
	free(json);
	free(second);
	measures_free(&m);
	measures_free(&again);
}

#define ALL(measures) "{\"chatmail_bench\": 1, \"measures\": " measures "}"
#define ONE(seconds)                                                                   \
	ALL("[{\"name\": \"a\", \"title\": \"A\", \"seconds\": " seconds "}]")

static const struct broken_case {
	const char *name, *json, *error;
} broken_cases[] = {
	{ "nothing", "", "line 1: '[' or '{' expected near end of file" },
	{ "half", "{\"chatmail_bench\": 1,\n", "line 2: string or '}' expected" },
	{ "another file", "{\"steps\": []}", "it was not written by" },
	{ "a later format", "{\"chatmail_bench\": 2, \"measures\": []}",
	    "it was not written by" },
	{ "an array", "[1]", "it was not written by" },
	{ "no measures", ALL("{}"), "it has no measures" },
	{ "a number", ALL("[1]"), "without name" },
	{ "no title", ALL("[{\"name\": \"a\"}]"), "without name and title" },
	{ "no seconds", ONE("null"), "without its seconds" },
	{ "words", ONE("[\"x\"]"), "seconds that are none" },
	{ "negative", ONE("[-0.1]"), "seconds that are none" },
	{ "for ever", ONE("[1e300]"), "seconds that are none" },
	{ "twice",
	    ALL("[{\"name\":\"a\",\"title\":\"A\",\"seconds\":[]},"
		"{\"name\":\"a\",\"title\":\"A\",\"seconds\":[]}]"),
	    "a measure twice" },
};

static void broken(void **state)
{
	const struct broken_case *c = *state;
	char error[MEASURE_ERROR_MAX] = "";
	struct measures m;

	assert_false(measures_read(&m, span_of(c->json), error));
	assert_int_equal(m.n, 0);
	if (!strstr(error, c->error))
		fail_msg("'%s' is not in: %s", c->error, error);
}

/* Too many measures, and too many seconds. */
static void too_many(void **state)
{
	char error[MEASURE_ERROR_MAX];
	struct text list = { 0 }, seconds = { 0 };
	struct measures m;

	for (size_t i = 0; i <= MEASURES_MAX; i++)
		text_printf(&list, "%s{\"name\":\"%zu\",\"title\":\"\",\"seconds\":[]}",
		    i ? "," : "{\"chatmail_bench\":1,\"measures\":[", i);
	text_add(&list, "]}");
	assert_false(measures_read(&m, text_span(&list), error));
	text_add(&seconds, "{\"chatmail_bench\":1,\"measures\":[{\"name\":\"a\","
			   "\"title\":\"\",\"seconds\":[0");
	for (size_t i = 0; i < MEASURE_SAMPLES_MAX; i++)
		text_add(&seconds, ",0");
	text_add(&seconds, "]}]}");
	assert_false(measures_read(&m, text_span(&seconds), error));
	text_free(&list);
	text_free(&seconds);
}

/* Does it parse as XML with elements, attributes and the common entities only? */
static bool well_formed(const char *s)
{
	const char *open[16];
	size_t depth = 0, elements = 0;

	if (strncmp(s, "<?xml ", 6) != 0)
		return false;
	for (s = strchr(s, '>'); s && *++s; s = strchr(s, '>')) {
		const char *text = s, *end;
		size_t len;

		s = strchr(s, '<');
		if (!s)
			return depth == 0 && elements > 0 &&
			       strspn(text, "\n") == strlen(text);
		for (; text < s; text++)
			if (*text == '>' ||
			    (*text == '&' && strncmp(text, "&amp;", 5) != 0 &&
				strncmp(text, "&lt;", 4) != 0 &&
				strncmp(text, "&gt;", 4) != 0))
				return false;
		end = strpbrk(s + 1, "<>");
		if (!end || *end != '>')
			return false;
		len = strcspn(s + 1, " />");
		if (s[1] == '/') {
			len = strcspn(s + 2, ">");
			if (depth == 0 || strncmp(open[--depth], s + 2, len) != 0)
				return false;
		} else if (end[-1] != '/') {
			if (depth == ARRAY_LEN(open))
				return false;
			open[depth++] = s + 1;
		}
		elements++;
	}
	return false;
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

static void pictures(void **state)
{
	struct measures m = sample(1), former = sample(2), none = { 0 }, nil = { 0 };
	char *svg = plot_svg(&m, NULL);

	assert_true(well_formed(svg));
	assert_int_equal(count(svg, "<g "), 2);
	assert_non_null(strstr(svg, ">Login &amp; creation</text>"));
	assert_non_null(strstr(svg, ">a.example and b&lt;&amp;&gt;.example, 2026-"));
	assert_non_null(strstr(svg, ">1.50 s</text>"));
	assert_non_null(strstr(svg, ">10 ms</text>"));
	assert_non_null(strstr(svg, ">10 s</text>"));
	assert_null(strstr(svg, "nan"));
	free(svg);
	svg = plot_svg(&m, &former);
	assert_true(well_formed(svg));
	assert_int_equal(count(svg, "<g "), 4);
	free(svg);
	measure_sample(measures_add(&nil, "nil", "Nil"), 0);
	measure_sample(measures_add(&nil, "much", "Much"), MEASURE_SECONDS_MAX);
	svg = plot_svg(&nil, NULL);
	assert_true(well_formed(svg));
	assert_null(strstr(svg, "inf"));
	assert_non_null(strstr(svg, ">1e+06 s</text>"));
	free(svg);
	svg = plot_svg(&none, &none);
	assert_true(well_formed(svg));
	free(svg);
	measures_free(&m);
	measures_free(&former);
	measures_free(&nil);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(figures, figures_cases) },
		{ SUPPORT_TABLE(times, time_cases) },
		{ SUPPORT_TEST(tables) },
		{ SUPPORT_TEST(json_and_back) },
		{ SUPPORT_TABLE(broken, broken_cases) },
		{ SUPPORT_TEST(too_many) },
		{ SUPPORT_TEST(pictures) },
	};

	return support_run("measure", tests, ARRAY_LEN(tests));
}
