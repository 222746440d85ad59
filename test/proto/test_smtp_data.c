/* The DATA stream: one end only, whatever the cut. */
#include "proto/smtp_data.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

/* All that a stream gave, joined over its runs. */
struct seen {
	struct smtp_data data;
	char *text; /* unstuffed */
	size_t len;
	char *wire; /* text with its dots put back */
	size_t wire_len;
	size_t used;
	bool end;
};

static void seen_init(struct seen *s, size_t len)
{
	*s = (struct seen){ .text = malloc(len + 1), .wire = malloc(len + 1) };
	assert_non_null(s->text);
	assert_non_null(s->wire);
	smtp_data_init(&s->data);
}

static void seen_restart(struct seen *s)
{
	s->len = s->wire_len = s->used = 0;
	s->end = false;
	smtp_data_init(&s->data);
}

static void seen_deinit(struct seen *s)
{
	free(s->text);
	free(s->wire);
}

static void seen_feed(struct seen *s, const char *bytes, size_t len)
{
	while (len > 0 && !s->end) {
		struct smtp_data_run run;
		size_t used = smtp_data_feed(&s->data, bytes, len, &run);

		if (used == 0 || used > len)
			fail_msg("used %zu of %zu", used, len);
		if (run.dot)
			s->wire[s->wire_len++] = '.';
		memcpy(s->text + s->len, run.text.data, run.text.len);
		memcpy(s->wire + s->wire_len, run.text.data, run.text.len);
		s->len += run.text.len;
		s->wire_len += run.text.len;
		s->used += used;
		s->end = run.end;
		bytes += used;
		len -= used;
	}
}

static const struct data_case {
	const char *name;
	struct span wire;
	struct span text;
	const char *bad; /* NULL: well-formed */
	size_t left;     /* bytes behind the end of data; ignored if !end */
	bool end;
} data_cases[] = {
#define WIRE(literal)                                                                  \
	{                                                                              \
		literal, sizeof(literal) - 1                                           \
	}
#define GOOD(name, wire, text)                                                         \
	{                                                                              \
		name, WIRE(wire), WIRE(text), NULL, 0, true                            \
	}
#define GOES_ON(name, wire, text)                                                      \
	{                                                                              \
		name, WIRE(wire), WIRE(text), NULL, 0, false                           \
	}
#define BAD(name, wire, text, why)                                                     \
	{                                                                              \
		name, WIRE(wire), WIRE(text), why, 0, false                            \
	}
#define BAD_END(name, wire, text, why)                                                 \
	{                                                                              \
		name, WIRE(wire), WIRE(text), why, 0, true                             \
	}
#define NO_LF "CR without LF"
#define NO_CR "LF without CR"
	GOOD("no mail", ".\r\n", ""),
	GOOD("one line", "Hi\r\n.\r\n", "Hi\r\n"),
	GOOD("one empty line", "\r\n.\r\n", "\r\n"),
	GOOD("stuffed dot", "..\r\n.\r\n", ".\r\n"),
	GOOD("stuffed line", "a\r\n..b\r\n.\r\n", "a\r\n.b\r\n"),
	GOOD("unstuffed line", ".world\r\n.\r\n", "world\r\n"),
	GOOD("three dots", "...\r\n.\r\n", "..\r\n"),
	GOOD("dot behind a blank", " .\r\n.\r\n", " .\r\n"),
	GOOD("dot at the end of a line", "a.\r\n.\r\n", "a.\r\n"),
	GOOD("8-bit", "\xff\x80\r\n.\r\n", "\xff\x80\r\n"),
	{ "commands behind", WIRE("a\r\n.\r\nQUIT\r\n"), WIRE("a\r\n"), NULL, 6, true },
	{ "an end behind", WIRE(".\r\n.\r\n"), WIRE(""), NULL, 3, true },
	GOES_ON("nothing", "", ""),
	GOES_ON("no line end", "abc", "abc"),
	GOES_ON("cut before the dot", "a\r\n", "a\r\n"),
	GOES_ON("cut behind the dot", "a\r\n.", "a\r\n"),
	GOES_ON("cut before the last LF", "a\r\n.\r", "a\r\n"),
	GOES_ON("dot in mid-line", "a.\r\n", "a.\r\n"),

	BAD("LF.LF", "a\n.\nQUIT\r\n", "a", NO_CR),
	BAD("LF.CRLF", "a\n.\r\nQUIT\r\n", "a", NO_CR),
	BAD("LF.CR", "a\n.\rQUIT\r\n", "a", NO_CR),
	BAD("CRLF.LF", "a\r\n.\nQUIT\r\n", "a\r\n", NO_CR),
	BAD("CR.CR", "a\r.\rQUIT\r\n", "a\r", NO_LF),
	BAD("CR.CRLF", "a\r.\r\nQUIT\r\n", "a\r", NO_LF),
	BAD("CR.LF", "a\r.\nQUIT\r\n", "a\r", NO_LF),
	BAD("CRLF.CR", "a\r\n.\rQUIT\r\n", "a\r\n", NO_LF),
	BAD("CRLF.CRCRLF", "a\r\n.\r\r\nQUIT\r\n", "a\r\n", NO_LF),
	BAD("LFCR.LFCR", "a\n\r.\n\rQUIT\r\n", "a", NO_CR),
	BAD("CRLF NUL.CRLF", "a\r\n\0.\r\nQUIT\r\n", "a\r\n", "NUL byte"),
	BAD("CRLF.NUL CRLF", "a\r\n.\0\r\nQUIT\r\n", "a\r\n", "NUL byte"),
	BAD("CR NUL LF.CRLF", "a\r\0\n.\r\nQUIT\r\n", "a\r", NO_LF),
	BAD("CRLF.CR NUL LF", "a\r\n.\r\0\nQUIT\r\n", "a\r\n", NO_LF),
	BAD("CRLFLF.CRLF", "a\r\n\n.\r\nQUIT\r\n", "a\r\n", NO_CR),
	BAD("LF at once", "\n.\r\n", "", NO_CR),
	BAD("CR at once", "\r.\r\n", "\r", NO_LF),
	BAD("dot LF at once", ".\n", "", NO_CR),
	BAD("dot CR at once", ".\rQUIT\r\n", "", NO_LF),
	BAD("NUL at once", "\0.\r\n", "", "NUL byte"),
	BAD("other line ends", "a\v.\v\x85.\x85\n", "a\v.\v\x85.\x85", NO_CR),

	/* The five bytes end a bad stream too. */
	BAD_END("CRCRLF.CRLF", "a\r\r\n.\r\n", "a\r", NO_LF),
	BAD_END("LF, then the end", "a\nb\r\n.\r\n", "a", NO_CR),
	BAD_END("LF.LF, then the end", "a\n.\nb\r\n.\r\n", "a", NO_CR),
	BAD_END("LF.CRLF.CRLF", "a\n.\r\n.\r\n", "a", NO_CR),
	BAD_END("CRLF.CRCRLF.CRLF", "a\r\n.\r\r\n.\r\n", "a\r\n", NO_LF),
	BAD_END("CRLF.LFCRLF.CRLF", "a\r\n.\n\r\n.\r\n", "a\r\n", NO_CR),
	BAD_END("NUL, then the end", "a\0b\r\n.\r\n", "a", "NUL byte"),
	BAD_END("stuffed in a bad stream", "\n\r\n..\r\n.\r\n", "", NO_CR),
	{ "bad, commands behind", WIRE("\n\r\n.\r\nRSET\r\n"), WIRE(""), NO_CR, 6,
	    true },
};

struct data_run {
	const struct data_case *c;
	struct seen seen;
};

static void data_begin(void *arg)
{
	struct data_run *r = arg;

	seen_restart(&r->seen);
}

static void data_feed(void *arg, const char *bytes, size_t len)
{
	struct data_run *r = arg;

	seen_feed(&r->seen, bytes, len);
}

static void data_end(void *arg, const char *cut)
{
	struct data_run *r = arg;
	const struct data_case *c = r->c;
	const struct seen *s = &r->seen;

	if (s->end != c->end || !!s->data.bad != !!c->bad ||
	    (c->bad && strcmp(s->data.bad, c->bad) != 0))
		fail_msg("%s: end %d, bad %s", cut, s->end,
		    s->data.bad ? s->data.bad : "no");
	support_assert_span(span_make(s->text, s->len), c->text);
	if (c->end) {
		assert_int_equal(s->used, c->wire.len - c->left);
		assert_int_equal(s->data.bytes, s->used - 3);
	}
}

static const struct support_feeder data_feeder = { data_begin, data_feed, data_end };

static void data(void **state)
{
	struct data_run r = { .c = *state };

	seen_init(&r.seen, r.c->wire.len);
	support_every_cut(&data_feeder, &r, r.c->wire.data, r.c->wire.len);
	seen_deinit(&r.seen);
}

/* The same grammar, told without states: what smtp_data.c must agree with. */
struct truth {
	size_t end; /* bytes used when the end was found, or SIZE_MAX */
	size_t bad; /* where the stream turns bad, or SIZE_MAX */
};

static struct truth truth_of(const char *wire, size_t len)
{
	struct truth t = { SIZE_MAX, SIZE_MAX };

	for (size_t i = 0; i < len && t.end == SIZE_MAX; i++) {
		char before = i ? wire[i - 1] : '\n';

		if (i == 2 && memcmp(wire, ".\r\n", 3) == 0)
			t.end = 3;
		if (i >= 4 && memcmp(wire + i - 4, "\r\n.\r\n", 5) == 0)
			t.end = i + 1;
		if (t.bad == SIZE_MAX &&
		    (wire[i] == '\0' || (wire[i] == '\n') != (before == '\r' && i > 0)))
			t.bad = i;
	}
	return t;
}

static void check_truth(struct seen *s, const char *wire, size_t len, const char *cut)
{
	struct truth t = truth_of(wire, len);
	size_t used = t.end == SIZE_MAX ? len : t.end;

	if (s->end != (t.end != SIZE_MAX) || s->used != used ||
	    !!s->data.bad != (t.bad != SIZE_MAX)) {
		print_error("%s: end %d, bad %s, used %zu of\n", cut, s->end,
		    s->data.bad ? s->data.bad : "no", s->used);
		support_assert_span(
		    span_make(wire, len), span_of("(as the truth says)"));
	}
	if (t.bad == SIZE_MAX && s->end)
		support_assert_span(
		    span_make(s->wire, s->wire_len), span_make(wire, used - 3));
}

/* Every string of these five bytes up to a length, whole, byte by byte and in two. */
static void every_short_stream(void **state)
{
	static const char alphabet[] = { '\r', '\n', '.', '\0', 'x' };
	enum { LEN = 7, N = 78125 /* 5^7 */ };
	struct seen s;
	char wire[LEN];

	seen_init(&s, LEN);
	for (unsigned n = 0; n < N; n++) {
		for (unsigned i = 0, rest = n; i < LEN; i++, rest /= 5)
			wire[i] = alphabet[rest % 5];
		for (size_t cut = 0; cut < LEN; cut++) {
			seen_restart(&s);
			seen_feed(&s, wire, cut);
			if (!s.end)
				seen_feed(&s, wire + cut, LEN - cut);
			check_truth(&s, wire, LEN, cut ? "in two" : "whole");
		}
		seen_restart(&s);
		for (size_t i = 0; i < LEN; i++)
			seen_feed(&s, wire + i, 1);
		check_truth(&s, wire, LEN, "byte by byte");
	}
	seen_deinit(&s);
}

/* A surprise at every place of a long text: the fast path has edges. */
static const struct surprise_case {
	const char *name;
	struct span bytes;
} surprise_cases[] = {
	{ "LF", WIRE("\n") },
	{ "CR", WIRE("\r") },
	{ "NUL", WIRE("\0") },
	{ "line end", WIRE("\r\n") },
	{ "stuffed dot", WIRE("\r\n..x") },
	{ "unstuffed dot", WIRE("\r\n.x") },
	{ "CRCRLF", WIRE("\r\r\n") },
	{ "LFCR", WIRE("\n\r") },
	{ "LF.CRLF", WIRE("\n.\r\n") },
	{ "CRLF.LF", WIRE("\r\n.\n") },
	{ "CRLF.CR", WIRE("\r\n.\r") },
	{ "the end", WIRE("\r\n.\r\n") },
	{ "the end behind CR", WIRE("\r\r\n.\r\n") },
};

static void surprise(void **state)
{
	const struct surprise_case *c = *state;
	enum { LEN = 300 };
	char wire[LEN];
	struct seen s;

	seen_init(&s, LEN);
	for (size_t at = 0; at + c->bytes.len <= LEN - 5; at++) {
		memset(wire, 'x', LEN);
		memcpy(wire + LEN - 5, "\r\n.\r\n", 5);
		memcpy(wire + at, c->bytes.data, c->bytes.len);
		for (size_t piece = 1; piece <= LEN; piece += 23) {
			seen_restart(&s);
			for (size_t i = 0; i < LEN && !s.end; i += piece)
				seen_feed(
				    &s, wire + i, piece < LEN - i ? piece : LEN - i);
			check_truth(&s, wire, LEN, c->name);
		}
	}
	seen_deinit(&s);
}

/* A run spans many lines: as long as the bytes fed if no dot starts a line. */
static void runs_are_long(void **state)
{
	enum { LINES = 1000 };
	static const char line[] = "a line that ends as it should.\r\n";
	char *text = malloc(LINES * sizeof(line));
	size_t len = 0;
	struct smtp_data d;
	struct smtp_data_run run;

	assert_non_null(text);
	for (int i = 0; i < LINES; i++) {
		memcpy(text + len, line, sizeof(line) - 1);
		len += sizeof(line) - 1;
	}
	smtp_data_init(&d);
	assert_int_equal(smtp_data_feed(&d, text, len, &run), len);
	assert_int_equal(run.text.len, len);
	assert_false(run.dot);
	assert_false(run.end);
	assert_int_equal(d.bytes, len);
	free(text);
}

/* What may be the end is not counted before it is known: a limit is not passed early.
 */
static void bytes_leave_out_the_end(void **state)
{
	static const struct {
		char byte;
		uint64_t bytes;
	} steps[] = {
		{ 'a', 1 },
		{ '\r', 2 },
		{ '\n', 3 },
		{ '.', 3 },
		{ '.', 5 },
		{ '\r', 6 },
		{ '\n', 7 },
		{ '.', 7 },
		{ '\r', 7 },
		{ '\n', 7 },
	};
	struct smtp_data d;
	struct smtp_data_run run;

	smtp_data_init(&d);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		assert_int_equal(smtp_data_feed(&d, &steps[i].byte, 1, &run), 1);
		assert_int_equal(d.bytes, steps[i].bytes);
		assert_int_equal(run.end, i + 1 == ARRAY_LEN(steps));
	}
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(data, data_cases) },
		{ SUPPORT_TEST(every_short_stream) },
		{ SUPPORT_TABLE(surprise, surprise_cases) },
		{ SUPPORT_TEST(runs_are_long) },
		{ SUPPORT_TEST(bytes_leave_out_the_end) },
	};

	return support_run("smtp_data", tests, ARRAY_LEN(tests));
}
