/* Differences of texts, as diff -u writes them. */
#include "deploy/diff.h"

#include <stdlib.h>

#include "test/support.h"

#define HEAD "--- f\n+++ f\n"

static const struct diff_case {
	const char *name, *old, *new, *result;
} diff_cases[] = {
	{ "equal", "a\nb\n", "a\nb\n", "" },
	{ "both empty", "", "", "" },
	{ "from nothing", "", "a\nb\n", HEAD "@@ -0,0 +1,2 @@\n+a\n+b\n" },
	{ "to nothing", "a\n", "", HEAD "@@ -1 +0,0 @@\n-a\n" },
	{ "one line", "a\n", "b\n", HEAD "@@ -1 +1 @@\n-a\n+b\n" },
	{ "three lines of context", "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
	    "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
	    HEAD "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n" },
	{ "added in the middle", "1\n2\n", "1\nx\n2\n",
	    HEAD "@@ -1,2 +1,3 @@\n 1\n+x\n 2\n" },
	{ "removed at the end", "1\n2\n3\n4\n5\n", "1\n2\n3\n4\n",
	    HEAD "@@ -2,4 +2,3 @@\n 2\n 3\n 4\n-5\n" },
	{ "six lines between share a hunk", "a\n1\n2\n3\n4\n5\n6\nb\n",
	    "A\n1\n2\n3\n4\n5\n6\nB\n",
	    HEAD "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n" },
	{ "seven lines between do not", "a\n1\n2\n3\n4\n5\n6\n7\nb\n",
	    "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
	    HEAD "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n"
		 "@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n" },
	{ "shortest way", "a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n",
	    HEAD "@@ -1,7 +1,6 @@\n-a\n-b\n c\n+b\n a\n b\n-b\n a\n+c\n" },
	{ "line feed lost", "a\n", "a",
	    HEAD "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n" },
	{ "line feed gained", "a", "a\n",
	    HEAD "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n" },
	{ "no line feed in the context", "a\nb", "A\nb",
	    HEAD "@@ -1,2 +1,2 @@\n-a\n+A\n b\n\\ No newline at end of file\n" },
	{ "control characters", "", "\033[31m\ta\r\177\n",
	    HEAD "@@ -0,0 +1 @@\n+\\x1b[31m\ta\\x0d\\x7f\n" },
	{ "UTF-8", "", "\303\244 \342\202\254 \360\237\230\200\n",
	    HEAD "@@ -0,0 +1 @@\n+\303\244 \342\202\254 \360\237\230\200\n" },
	{ "C1 controls and stray bytes", "", "\302\233m \344 \200 \342\202\n",
	    HEAD "@@ -0,0 +1 @@\n+\\xc2\\x9bm \\xe4 \\x80 \\xe2\\x82\n" },
};

static char *diff(struct span old, struct span new, bool colour)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	diff_write(out, "f", old, new, colour);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void written(void **state)
{
	const struct diff_case *c = *state;
	char *got = diff(span_of(c->old), span_of(c->new), false);

	assert_string_equal(got, c->result);
	free(got);
}

static void coloured(void **state)
{
	char *got = diff(span_of("a\nb\n"), span_of("a\nc\n"), true);

	assert_string_equal(got,
	    HEAD "\033[36m@@ -1,2 +1,2 @@\033[0m\n a\n\033[31m-b\033[0m\n"
		 "\033[32m+c\033[0m\n");
	free(got);
}

static void binary(void **state)
{
	char *got = diff(span_make("a\0b", 3), span_of("secret"), false);

	assert_string_equal(got, "f: binary texts differ\n");
	free(got);
}

/* Lines that are all unlike: too many changes to look for the shortest way. */
static void one_replacement(void **state)
{
	char *old = NULL, *new = NULL, *got;
	size_t old_len, new_len, minus = 0, plus = 0;
	FILE *a = open_memstream(&old, &old_len), *b = open_memstream(&new, &new_len);

	fputs("same\n", a);
	fputs("same\n", b);
	for (int i = 0; i < 5000; i++) {
		fprintf(a, "a%d\nboth\n", i);
		fprintf(b, "b%d\nboth\n", i);
	}
	fclose(a);
	fclose(b);
	got = diff(span_make(old, old_len), span_make(new, new_len), false);
	assert_non_null(strstr(got, "@@ -1,10001 +1,10001 @@\n same\n-a0\n-both\n"));
	for (const char *s = got; (s = strchr(s, '\n')); s++) {
		minus += s[1] == '-';
		plus += s[1] == '+';
	}
	assert_int_equal(minus, 9999);    /* the last "both" is the same */
	assert_int_equal(plus, 9999 + 1); /* and "+++ f" */
	free(got);
	free(old);
	free(new);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(written, diff_cases) },
		{ SUPPORT_TEST(coloured) },
		{ SUPPORT_TEST(binary) },
		{ SUPPORT_TEST(one_replacement) },
	};

	return support_run("diff", tests, ARRAY_LEN(tests));
}
