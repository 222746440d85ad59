#include "milter/part.h"

#include "test/support.h"

static const struct part_case {
	const char *name;
	const char *block;
	const char *why; /* NULL: read as follows */
	const char *subtype;
	enum transfer_encoding encoding;
} part_cases[] = {
	{ "no field", "\r\n", NULL, "plain", TRANSFER_IDENTITY },
	{ "other fields", "X: y\r\n\r\n", NULL, "plain", TRANSFER_IDENTITY },
	{ "both",
	    "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n",
	    NULL, "html", TRANSFER_BASE64 },
	{ "any letter case", "CONTENT-TYPE: TEXT/HTML\r\n\r\n", NULL, "html",
	    TRANSFER_IDENTITY },
	{ "two types", "Content-Type: text/html\r\ncontent-type: text/html\r\n\r\n",
	    "mime: two Content-Type fields", NULL, 0 },
	{ "two encodings",
	    "Content-Transfer-Encoding: 7bit\r\ncontent-transfer-encoding: "
	    "7bit\r\n\r\n",
	    "mime: two Content-Transfer-Encoding fields", NULL, 0 },
	{ "broken type", "Content-Type: text\r\n\r\n",
	    "mime: Content-Type has no one reading", NULL, 0 },
	{ "unknown encoding", "Content-Transfer-Encoding: x\r\n\r\n",
	    "mime: unknown transfer encoding", NULL, 0 },
	{ "no header block", "hello\r\n\r\n", "header: neither field nor continuation",
	    NULL, 0 },
};

static void part(void **state)
{
	const struct part_case *c = *state;
	struct part p;
	const char *why = part_parse(&p, span_of(c->block));

	if (c->why) {
		assert_string_equal(why ? why : "accepted", c->why);
		return;
	}
	assert_null(why);
	assert_string_equal(p.type.subtype, c->subtype);
	assert_int_equal(p.encoding, c->encoding);
}

static void text(void **state)
{
	struct part_text t = { .len = 0 };
	char piece[PART_TEXT_MAX] = "abc";

	assert_true(part_text_add(&t, span_make(piece, 3)));
	assert_true(part_text_add(&t, span_make(piece, PART_TEXT_MAX - 3)));
	assert_true(part_text_add(&t, span_make(piece, 0)));
	assert_false(part_text_add(&t, span_make(piece, 1)));
	assert_memory_equal(t.text, "abcabc", 6);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(part, part_cases) },
		{ SUPPORT_TEST(text) },
	};

	return support_run("part", tests, ARRAY_LEN(tests));
}
