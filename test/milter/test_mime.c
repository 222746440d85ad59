#include "milter/mime.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

#define TEXT(s)                                                                        \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}

static const struct boundary_case {
	const char *name;
	struct span boundary;
	bool good;
} boundary_cases[] = {
	{ "one letter", TEXT("b"), true },
	{ "all kinds", TEXT("Az09'()+_,-./:=?"), true },
	{ "70 bytes",
	    TEXT("012345678901234567890123456789012345678901234567890123456789012345678"
		 "9"),
	    true },
	{ "71 bytes",
	    TEXT("012345678901234567890123456789012345678901234567890123456789012345678"
		 "90"),
	    false },
	{ "empty", TEXT(""), false },
	{ "blank at the end", TEXT("b "), false },
	{ "blank inside", TEXT("a b"), false },
	{ "NUL", TEXT("a\0"), false },
	{ "line end", TEXT("a\r\nb"), false },
	{ "quote", TEXT("a\"b"), false },
	{ "8 bit", TEXT("\xc3\xa9"), false },
};

static void boundary(void **state)
{
	const struct boundary_case *c = *state;
	struct mime m;

	assert_int_equal(mime_init(&m, c->boundary) == NULL, c->good);
}

/* Events as text: {header}, body bytes as they are, | at a part's end, !why. */
static const struct walk_case {
	const char *name;
	const char *boundary;
	struct span in;
	const char *events;
} walk_cases[] = {
	{ "two parts", "b",
	    TEXT("--b\r\nA: 1\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"),
	    "{A: 1\r\n\r\n}one|{\r\n}two|" },
	{ "blank preamble and epilogue", "b",
	    TEXT(" \r\n\t\r\n--b\r\n\r\nx\r\n--b--\r\n \r\n"), "{\r\n}x|" },
	{ "body keeps its own line end", "b", TEXT("--b\r\n\r\nx\r\n\r\n--b--"),
	    "{\r\n}x\r\n|" },
	{ "empty body", "b", TEXT("--b\r\n\r\n\r\n--b--\r\n"), "{\r\n}|" },
	{ "no body at all", "b", TEXT("--b\r\nA: 1\r\n\r\n--b--\r\n"),
	    "{A: 1\r\n\r\n}|" },
	{ "transport padding", "b", TEXT("--b \t\r\n\r\nx\r\n--b-- \t \r\n"),
	    "{\r\n}x|" },
	{ "closing line without its end", "b", TEXT("--b\r\n\r\nx\r\n--b--"),
	    "{\r\n}x|" },
	{ "closing line, padded, without its end", "b", TEXT("--b\r\n\r\nx\r\n--b-- "),
	    "{\r\n}x|" },
	{ "no closing boundary", "b", TEXT("--b\r\n\r\nx\r\ny\r\n"),
	    "{\r\n}x\r\ny\r\n|" },
	{ "no closing boundary, cut in a would-be one", "bound",
	    TEXT("--bound\r\n\r\nx\r\n--bou"), "{\r\n}x\r\n--bou|" },
	{ "dashes that are no boundary", "b",
	    TEXT("--b\r\n\r\n-\r\n--\r\n---b\r\n-a--b\r\r\n--a\r\r\n\r\n--b--\r\n"),
	    "{\r\n}-\r\n--\r\n---b\r\n-a--b\r\r\n--a\r\r\n|" },
	{ "boundary not at a line's start", "b", TEXT("--b\r\n\r\nx --b\r\n--b--"),
	    "{\r\n}x --b|" },
	{ "boundary behind bare LF or CR", "b",
	    TEXT("--b\r\n\r\nx\n--b\ny\r--b\rz\r\n--b--"), "{\r\n}x\n--b\ny\r--b\rz|" },
	{ "CR before the boundary's CRLF", "b", TEXT("--b\r\n\r\nx\r\r\n--b--"),
	    "{\r\n}x\r|" },
	{ "boundary of dashes", "--", TEXT("----\r\n\r\nx\r\n------\r\n"), "{\r\n}x|" },
	{ "NUL and 8 bit in the body", "b", TEXT("--b\r\n\r\n\0\xff\r\n--b--"),
	    "{\r\n}\\0\xff|" },
	{ "no boundary", "b", TEXT("\r\n\r\n"), "" },
	{ "only a closing boundary", "b", TEXT("--b--\r\n"), "" },
	{ "preamble", "b", TEXT("This is a message.\r\n--b\r\n"),
	    "!mime: text before the first boundary" },
	{ "preamble of one dash", "b", TEXT("-\r\n--b\r\n\r\n"),
	    "!mime: text before the first boundary" },
	{ "preamble of NUL", "b", TEXT("\0\r\n--b\r\n\r\n"),
	    "!mime: text before the first boundary" },
	{ "epilogue", "b", TEXT("--b\r\n\r\nx\r\n--b--\r\nhello"),
	    "{\r\n}x|!mime: text behind the last boundary" },
	{ "a part behind the end", "b", TEXT("--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\n"),
	    "{\r\n}x|!mime: text behind the last boundary" },
	{ "longer boundary", "b", TEXT("--b\r\n\r\nx\r\n--bb\r\n"),
	    "{\r\n}x|!mime: line begins like a boundary" },
	{ "boundary, one dash", "b", TEXT("--b\r\n\r\nx\r\n--b-\r\n"),
	    "{\r\n}x|!mime: line begins like a boundary" },
	{ "boundary, three dashes", "b", TEXT("--b\r\n\r\nx\r\n--b---\r\n"),
	    "{\r\n}x|!mime: line begins like a boundary" },
	{ "boundary, text behind the padding", "b", TEXT("--b x\r\n"),
	    "!mime: line begins like a boundary" },
	{ "boundary line with bare LF", "b", TEXT("--b\n\r\n"),
	    "!mime: line begins like a boundary" },
	{ "boundary line with bare CR", "b", TEXT("--b\r\r\n"),
	    "!mime: line begins like a boundary" },
	{ "boundary begins the armor", "---", TEXT("-----\r\n\r\n-----BEGIN PGP"),
	    "{\r\n}|!mime: line begins like a boundary" },
	{ "boundary inside a part header", "b", TEXT("--b\r\nA: 1\r\n--b\r\n\r\n"),
	    "!mime: boundary inside a part header" },
	{ "boundary that could be a field",
	    "a:", TEXT("--a:\r\nX: y\r\n--a: z\r\n\r\ntext\r\n"),
	    "!mime: boundary inside a part header" },
	{ "cut in a part header", "b", TEXT("--b\r\nA: 1\r\n"), "!mime: cut short" },
	{ "cut in a boundary line", "b", TEXT("--b"), "!mime: cut short" },
	{ "cut between the dashes", "b", TEXT("--b\r\n\r\nx\r\n--b-"),
	    "{\r\n}x|!mime: cut short" },
	{ "cut behind the last CR", "b", TEXT("--b\r\n\r\nx\r\n--b--\r"),
	    "{\r\n}x|!mime: cut short" },
};

struct walker {
	const struct walk_case *c;
	struct mime mime;
	bool bad;
	size_t len;
	char events[512];
};

static void add(struct walker *w, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		assert_true(w->len + 3 < sizeof(w->events));
		if (text.data[i]) {
			w->events[w->len++] = text.data[i];
		} else {
			w->events[w->len++] = '\\';
			w->events[w->len++] = '0';
		}
	}
}

static void on_event(struct walker *w, const struct mime_event *ev)
{
	switch (ev->type) {
	case MIME_HEADER:
		add(w, span_of("{"));
		add(w, ev->text);
		add(w, span_of("}"));
		break;
	case MIME_BODY:
		assert_true(ev->text.len > 0);
		add(w, ev->text);
		break;
	case MIME_PART_END:
		add(w, span_of("|"));
		break;
	case MIME_BAD:
		add(w, span_of("!"));
		add(w, span_of(ev->why));
		w->bad = true;
		break;
	case MIME_NOTHING:
	case MIME_DONE:
		break;
	}
}

static void walk_begin(void *arg)
{
	struct walker *w = arg;

	w->bad = false;
	w->len = 0;
	assert_null(mime_init(&w->mime, span_of(w->c->boundary)));
}

static void walk_feed(void *arg, const char *bytes, size_t len)
{
	struct walker *w = arg;
	struct span text = span_make(bytes, len);
	struct mime_event ev;

	while (!w->bad && text.len) {
		text = span_skip(text, mime_feed(&w->mime, text, &ev));
		on_event(w, &ev);
	}
}

static void walk_end(void *arg, const char *cut)
{
	struct walker *w = arg;
	struct mime_event ev = { .type = MIME_NOTHING };

	while (!w->bad && ev.type != MIME_DONE) {
		mime_end(&w->mime, &ev);
		on_event(w, &ev);
	}
	mime_deinit(&w->mime);
	support_assert_span(span_make(w->events, w->len), span_of(w->c->events));
}

static const struct support_feeder walk_feeder = { walk_begin, walk_feed, walk_end };

static void walk(void **state)
{
	struct walker w = { .c = *state };

	support_every_cut(&walk_feeder, &w, w.c->in.data, w.c->in.len);
}

/* A part's header block of exactly the bound is taken, one byte more is not. */
static void header_bound(void **state)
{
	for (size_t extra = 0; extra < 2; extra++) {
		struct mime m;
		struct mime_event ev = { .type = MIME_NOTHING };
		size_t len = 5 + MIME_HEADER_MAX + extra;
		char *in = malloc(len);
		struct span text = span_make(in, len);

		memset(in, 'x', len);
		memcpy(in, "--b\r\n", 5);
		memcpy(in + len - 4, "\r\n\r\n", 4);
		assert_null(mime_init(&m, span_of("b")));
		while (text.len && ev.type == MIME_NOTHING)
			text = span_skip(text, mime_feed(&m, text, &ev));
		assert_int_equal(ev.type, extra ? MIME_BAD : MIME_HEADER);
		mime_deinit(&m);
		free(in);
	}
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(boundary, boundary_cases) },
		{ SUPPORT_TABLE(walk, walk_cases) },
		{ SUPPORT_TEST(header_bound) },
	};

	return support_run("mime", tests, ARRAY_LEN(tests));
}
