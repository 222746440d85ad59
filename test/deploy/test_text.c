/* Text that grows. */
#include "deploy/text.h"

#include <stdlib.h>

#include "test/support.h"

static void nothing(void **state)
{
	struct text t = { 0 };
	char *taken;

	assert_int_equal(text_span(&t).len, 0);
	assert_non_null(text_span(&t).data);
	taken = text_take(&t);
	assert_string_equal(taken, "");
	assert_null(t.data);
	free(taken);
	text_free(&t);
	text_free(&t);
}

static void add(void **state)
{
	struct text t = { 0 };

	text_add(&t, "");
	assert_string_equal(t.data, "");
	text_add(&t, "one ");
	text_add_span(&t, span_make("two three", 4));
	text_printf(&t, "%d%%", 3);
	assert_string_equal(t.data, "one two 3%");
	assert_int_equal(t.len, 10);
	text_add_span(&t, span_make("\0x", 2));
	assert_int_equal(t.len, 12);
	assert_memory_equal(t.data, "one two 3%\0x", 13);
	text_free(&t);
}

static void grow(void **state)
{
	struct text t = { 0 };
	static char big[5000];
	char *taken;

	memset(big, 'b', sizeof(big) - 1);
	for (size_t n = 0; n < 3000; n++) {
		text_add(&t, "a");
		assert_int_equal(t.len, n + 1);
		assert_true(t.len < t.size);
	}
	text_printf(&t, "%s", big);
	assert_int_equal(t.len, 3000 + sizeof(big) - 1);
	taken = text_take(&t);
	assert_int_equal(strspn(taken, "a"), 3000);
	assert_string_equal(taken + 3000, big);
	free(taken);
}

static const struct visible_case {
	const char *name;
	struct span text;
	const char *keep, *seen;
} visible_cases[] = {
	{ "nothing", { "", 0 }, "", "" },
	{ "letters", { "a \xc3\xa4 \xf0\x9f\x90\x9d", 9 }, "",
	    "a \xc3\xa4 \xf0\x9f\x90\x9d" },
	{ "colour", { "\033[31m", 5 }, "", "\\x1b[31m" },
	{ "kept", { "a\n\tb\r\177", 6 }, "\n\t", "a\n\tb\\x0d\\x7f" },
	{ "NUL is never kept", { "a\0b", 3 }, "\n", "a\\x00b" },
	{ "C1 as UTF-8",
	    { "\xc2\x9b"
	      "1m",
		4 },
	    "", "\\xc2\\x9b1m" },
	{ "C1 as a byte",
	    { "\x9b"
	      "1m",
		3 },
	    "", "\\x9b1m" },
	{ "cut short", { "a\xe2\x82", 3 }, "", "a\\xe2\\x82" },
	{ "too long a form", { "\xc0\x8a", 2 }, "", "\\xc0\\x8a" },
};

static void visible(void **state)
{
	const struct visible_case *c = *state;
	char *seen = NULL;
	size_t len;
	FILE *out = open_memstream(&seen, &len);

	text_write_visible(out, c->text, c->keep);
	fclose(out);
	assert_string_equal(seen, c->seen);
	free(seen);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(nothing) },
		{ SUPPORT_TEST(add) },
		{ SUPPORT_TEST(grow) },
		{ SUPPORT_TABLE(visible, visible_cases) },
	};

	return support_run("text", tests, ARRAY_LEN(tests));
}
