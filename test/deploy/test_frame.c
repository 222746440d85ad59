/* Several texts in one stream. */
#include "deploy/frame.h"

#include "test/support.h"

static void there_and_back(void **state)
{
	struct text t = { 0 };
	struct span rest, name, content;

	frame_add(&t, "a", span_of("one\n"));
	frame_add(&t, "b", span_of(""));
	frame_add(&t, "c", span_make("x\0y 3\n", 6));
	rest = text_span(&t);
	assert_true(frame_next(&rest, &name, &content));
	support_assert_span(name, span_of("a"));
	support_assert_span(content, span_of("one\n"));
	assert_true(frame_next(&rest, &name, &content));
	support_assert_span(name, span_of("b"));
	support_assert_span(content, span_of(""));
	assert_true(frame_next(&rest, &name, &content));
	support_assert_span(content, span_make("x\0y 3\n", 6));
	assert_false(frame_next(&rest, &name, &content));
	assert_int_equal(rest.len, 0);
	text_free(&t);
}

static const struct broken_case {
	const char *name, *text;
} broken_cases[] = {
	{ "no line", "a 3" },
	{ "no length", "a\nbcd" },
	{ "empty length", "a \nbcd" },
	{ "no number", "a x\nbcd" },
	{ "negative", "a -1\nbcd" },
	{ "no name", " 3\nbcd" },
	{ "cut off", "a 4\nbcd" },
	{ "beyond all", "a 99999999999999999999\nbcd" },
};

static void broken(void **state)
{
	const struct broken_case *c = *state;
	struct span rest = span_of(c->text), name, content;

	assert_false(frame_next(&rest, &name, &content));
	support_assert_span(rest, span_of(c->text));
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(there_and_back) },
		{ SUPPORT_TABLE(broken, broken_cases) },
	};

	return support_run("frame", tests, ARRAY_LEN(tests));
}
