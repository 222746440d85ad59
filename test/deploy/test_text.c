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

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(nothing) },
		{ SUPPORT_TEST(add) },
		{ SUPPORT_TEST(grow) },
	};

	return support_run("text", tests, ARRAY_LEN(tests));
}
