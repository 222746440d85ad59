#include "milter/parts.h"

#include <stdio.h>

#include "test/support.h"

#define TEXT(s)                                                                        \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}

/* What a judge hears: {type/subtype}text| for each part, then how many there were. */
static const struct parts_case {
	const char *name;
	struct span in; /* boundary b */
	const char *heard;
	const char *why;
} parts_cases[] = {
	{ "two parts",
	    TEXT("--b\r\n\r\none\r\n--b\r\nContent-Type: a/b\r\n\r\ntwo\r\n--b--\r\n"),
	    "{text/plain}one|{a/b}two|2", NULL },
	{ "each decoded",
	    TEXT("--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGFs\r\nbG8=\r\n"
		 "--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3Db\r\n"
		 "--b\r\n\r\na=3Db\r\n--b--"),
	    "{text/plain}hallo|{text/plain}a=b|{text/plain}a=3Db|3", NULL },
	{ "no last boundary", TEXT("--b\r\n\r\none"), "{text/plain}one|1", NULL },
	{ "no part", TEXT("--b--\r\n"), "0", NULL },
	{ "judged up to what cannot be decoded",
	    TEXT("--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGFs!\r\n--b--"),
	    "{text/plain}hal", "base64: not in the alphabet" },
	{ "encoding cut short",
	    TEXT("--b\r\nContent-Transfer-Encoding: base64\r\n\r\naGFsbG\r\n--b--"),
	    "{text/plain}hall", "base64: cut short" },
	{ "bad part header", TEXT("--b\r\nhello\r\n\r\n--b--"), "",
	    "header: neither field nor continuation" },
	{ "text before", TEXT("x\r\n--b--"), "",
	    "mime: text before the first boundary" },
	{ "the judge says no to a part",
	    TEXT("--b\r\nContent-Type: no/no\r\n\r\none\r\n--b--"), "", "judge: part" },
	{ "the judge says no to a text", TEXT("--b\r\n\r\na#\r\n--b--"), "{text/plain}",
	    "judge: text" },
	{ "the judge says no at the end of a part",
	    TEXT("--b\r\nContent-Type: x/end\r\n\r\n\r\n--b--"), "{x/end}",
	    "judge: end" },
	{ "the judge says no to their number",
	    TEXT("--b\r\n\r\n--b\r\n\r\n--b\r\n\r\n--b\r\n\r\n--b--"),
	    "{text/plain}|{text/plain}|{text/plain}|{text/plain}|", "judge: all" },
};

struct hearing {
	const struct parts_case *row;
	struct parts parts;
	struct part part;
	const char *why;
	size_t len;
	char heard[256];
};

static void hear(struct hearing *h, const char *text, size_t len)
{
	assert_true(h->len + len < sizeof(h->heard));
	memcpy(h->heard + h->len, text, len);
	h->len += len;
	h->heard[h->len] = '\0';
}

static const char *begin_part(void *arg, unsigned n, const struct part *part)
{
	struct hearing *h = arg;
	char text[256];

	if (content_type_is(&part->type, "no", "no"))
		return "judge: part";
	h->part = *part;
	snprintf(text, sizeof(text), "{%s/%s}", part->type.type, part->type.subtype);
	hear(h, text, strlen(text));
	return NULL;
}

/* Says no before it hears anything of the piece, else the cut would matter. */
static const char *feed_part(void *arg, unsigned n, struct span text)
{
	struct hearing *h = arg;

	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '#')
			return "judge: text";
	if (strncmp(h->row->name, "the judge", 9) != 0 && text.len)
		hear(h, text.data, text.len);
	return NULL;
}

static const char *end_part(void *arg, unsigned n)
{
	struct hearing *h = arg;

	if (content_type_is(&h->part.type, "x", "end"))
		return "judge: end";
	hear(h, "|", 1);
	return NULL;
}

static const char *all_parts(void *arg, unsigned count)
{
	char text[16];

	if (count > 3)
		return "judge: all";
	snprintf(text, sizeof(text), "%u", count);
	hear(arg, text, strlen(text));
	return NULL;
}

static const struct parts_judge judge = { begin_part, feed_part, end_part, all_parts };

static void parts_begin(void *arg)
{
	struct hearing *h = arg;

	h->len = 0;
	h->heard[0] = '\0';
	h->why = parts_init(&h->parts, span_of("b"));
	assert_null(h->why);
}

static void feed(void *arg, const char *bytes, size_t len)
{
	struct hearing *h = arg;

	if (!h->why)
		h->why = parts_feed(&h->parts, &judge, h, span_make(bytes, len));
}

static void compare(void *arg, const char *cut)
{
	struct hearing *h = arg;

	if (!h->why)
		h->why = parts_end(&h->parts, &judge, h);
	parts_deinit(&h->parts);
	assert_string_equal(h->why ? h->why : cut, h->row->why ? h->row->why : cut);
	assert_string_equal(h->heard, h->row->heard);
}

static void parts(void **state)
{
	static const struct support_feeder feeder = { parts_begin, feed, compare };
	struct hearing h = { .row = *state };

	support_every_cut(&feeder, &h, h.row->in.data, h.row->in.len);
}

static void hostile_boundary(void **state)
{
	struct parts p;

	assert_non_null(parts_init(&p, span_of("")));
	parts_deinit(&p);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(parts, parts_cases) },
		{ SUPPORT_TEST(hostile_boundary) },
	};

	return support_run("parts", tests, ARRAY_LEN(tests));
}
