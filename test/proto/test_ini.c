/* The syntax of chatmail.ini: every row is what Python's iniconfig makes of the text.
 */
#include "proto/ini.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

#define ITEMS_MAX 4

static const struct good_case {
	const char *name;
	const char *text;
	size_t nitems;
	struct {
		const char *section, *key, *value;
		unsigned line;
	} item[ITEMS_MAX];
} good_cases[] = {
	{ "empty", "", 0, { { 0 } } },
	{ "minimal", "[params]\nmail_domain = x.org\n", 1,
	    { { "params", "mail_domain", "x.org", 2 } } },
	{ "no line end", "[a]\nk=v", 1, { { "a", "k", "v", 2 } } },
	{ "CRLF", "[a]\r\nk = v\r\n", 1, { { "a", "k", "v", 2 } } },
	{ "byte order mark", "\xef\xbb\xbf[a]\nk=v\n", 1, { { "a", "k", "v", 2 } } },
	{ "empty section", "[a]\n[b]\nk=v\n", 1, { { "b", "k", "v", 3 } } },
	{ "same key, two sections", "[a]\nk=1\n[b]\nk=2\n", 2,
	    { { "a", "k", "1", 2 }, { "b", "k", "2", 4 } } },
	{ "keys keep case", "[a]\nK=1\nk=2\n", 2,
	    { { "a", "K", "1", 2 }, { "a", "k", "2", 3 } } },

	{ "comments", "# c\n; c\n[a]\n  # c\nk=v\n#k2=v\n", 1,
	    { { "a", "k", "v", 5 } } },
	{ "no comment in a value", "[a]\nk = 5 # x\n", 1,
	    { { "a", "k", "5 # x", 2 } } },
	{ "comment behind section", "[a] # c\n[b]; c\nk=v\n", 1,
	    { { "b", "k", "v", 3 } } },
	{ "] in that comment", "[a] # c]\nk=v\n", 1, { { "a", "k", "v", 2 } } },

	{ "first =", "[a]\nk=b=c\n", 1, { { "a", "k", "b=c", 2 } } },
	{ "colon", "[a]\nk: v\n", 1, { { "a", "k", "v", 2 } } },
	{ "colon before =", "[a]\nk: b=c\n", 1, { { "a", "k", "b=c", 2 } } },
	{ "colon behind =", "[a]\nurl = https://x/\n", 1,
	    { { "a", "url", "https://x/", 2 } } },
	{ "empty value", "[a]\nk =\nl = \n", 2,
	    { { "a", "k", "", 2 }, { "a", "l", "", 3 } } },
	{ "empty key", "[a]\n= v\n", 1, { { "a", "", "v", 2 } } },
	{ "quotes stay", "[a]\nk = \"v\"\n", 1, { { "a", "k", "\"v\"", 2 } } },
	{ "no interpolation", "[a]\nk = echo@{mail_domain} %(x)s ${y}\n", 1,
	    { { "a", "k", "echo@{mail_domain} %(x)s ${y}", 2 } } },

	{ "continuation", "[a]\nk = 1\n  2\n\t3\n", 1, { { "a", "k", "1\n2\n3", 2 } } },
	{ "continuation of nothing", "[a]\nk =\n  1\n  2\n", 1,
	    { { "a", "k", "1\n2", 2 } } },
	{ "blank lines do not end it", "[a]\nk = 1\n\n   \n  2\n", 1,
	    { { "a", "k", "1\n2", 2 } } },
	{ "comments do not either", "[a]\nk = 1\n  # c\n# c\n  2\n", 1,
	    { { "a", "k", "1\n2", 2 } } },
	{ "continuation with =", "[a]\nk = 1\n  l = 2\n", 1,
	    { { "a", "k", "1\nl = 2", 2 } } },
	{ "then another key", "[a]\nk =\n  1\nl = 2\n", 2,
	    { { "a", "k", "1", 2 }, { "a", "l", "2", 4 } } },
	{ "[ without ]", "[a]\nk = 1\n[2\n[3] x\n", 1,
	    { { "a", "k", "1\n[2\n[3] x", 2 } } },
	{ "indented [", "[a]\nk = 1\n [b]\n", 1, { { "a", "k", "1\n[b]", 2 } } },

	{ "section verbatim", "[ a b ]\nk=v\n", 1, { { " a b ", "k", "v", 2 } } },
	{ "] in section", "[a]b]\nk=v\n", 1, { { "a]b", "k", "v", 2 } } },
	{ "no-break space", "[a]\nk\xc2\xa0=\xc2\xa0v\xc2\xa0\n", 1,
	    { { "a", "k", "v", 2 } } },
	{ "line separator", "[a]\xe2\x80\xa8k=v\n", 1, { { "a", "k", "v", 2 } } },
	{ "UTF-8",
	    "[a]\nk = Stra\xc3\x9f"
	    "e\n",
	    1,
	    { { "a", "k",
		"Stra\xc3\x9f"
		"e",
		2 } } },
};

static void good(void **state)
{
	const struct good_case *c = *state;
	char *text = strdup(c->text);
	struct ini ini;

	assert_non_null(text);
	if (ini_parse(&ini, text, strlen(text)) != 0)
		fail_msg("line %u: %s", ini.line, ini.error);
	assert_int_equal(ini.nitems, c->nitems);
	for (size_t i = 0; i < c->nitems; i++) {
		support_assert_span(ini.item[i].section, span_of(c->item[i].section));
		support_assert_span(ini.item[i].key, span_of(c->item[i].key));
		support_assert_span(ini.item[i].value, span_of(c->item[i].value));
		assert_int_equal(ini.item[i].line, c->item[i].line);
	}
	ini_deinit(&ini);
	free(text);
}

static const struct bad_case {
	const char *name;
	struct span text;
	unsigned line;
	const char *error;
} bad_cases[] = {
#define TEXT(literal)                                                                  \
	{                                                                              \
		literal, sizeof(literal) - 1                                           \
	}
	{ "key before section", TEXT("k=v\n[a]\n"), 1, "no section header defined" },
	{ "duplicate section", TEXT("[a]\nk=v\n[b]\n[a]\n"), 4, "duplicate section" },
	{ "duplicate empty section", TEXT("[a]\n[a]\n"), 2, "duplicate section" },
	{ "duplicate name", TEXT("[a]\nk=1\nl=2\nk : 3\n"), 4, "duplicate name" },
	{ "empty section name", TEXT("[]\n"), 1, "empty section name" },
	{ "neither = nor :", TEXT("[a]\nk=v\n\nfoo bar\n"), 4, "unexpected line" },
	{ "continuation of nothing", TEXT("  x\n"), 1,
	    "unexpected value continuation" },
	{ "continuation of a section", TEXT("[a]\n x\n"), 2,
	    "unexpected value continuation" },
	{ "[ without ] at once", TEXT("[a\n"), 1, "unexpected value continuation" },
	{ "syntax is told first", TEXT("k=v\nfoo\n"), 2, "unexpected line" },
	{ "the key's line", TEXT("[a]\nk=1\nk=2\n  3\n"), 3, "duplicate name" },
	{ "CR counts lines", TEXT("[a]\rk=1\r\nfoo"), 3, "unexpected line" },
	{ "Latin-1",
	    TEXT("[a]\n\nk=Stra\xdf"
		 "e\n"),
	    3, "not UTF-8" },
	{ "UTF-8 cut", TEXT("[a]\nk=\xe2\x82\n"), 2, "not UTF-8" },
	{ "UTF-8 too long", TEXT("[a]\nk=\xc0\xaf\n"), 2, "not UTF-8" },
	{ "UTF-8 surrogate", TEXT("# \xed\xa0\x80\n"), 1, "not UTF-8" },
	{ "UTF-8 beyond", TEXT("# \xf4\x90\x80\x80\n"), 1, "not UTF-8" },
	{ "NUL", TEXT("[a]\nk=\0v\n"), 2, "NUL byte" },
};

static void bad(void **state)
{
	const struct bad_case *c = *state;
	char *text = malloc(c->text.len);
	struct ini ini;

	assert_non_null(text);
	memcpy(text, c->text.data, c->text.len);
	assert_int_equal(ini_parse(&ini, text, c->text.len), -1);
	assert_string_equal(ini.error, c->error);
	assert_int_equal(ini.line, c->line);
	free(text);
}

static void too_many_keys(void **state)
{
	size_t size = 16 * (INI_ITEMS_MAX + 1), len = 0;
	char *text = malloc(size);
	struct ini ini;

	assert_non_null(text);
	len += (size_t)snprintf(text, size, "[a]\n");
	for (int i = 0; i < INI_ITEMS_MAX; i++)
		len += (size_t)snprintf(text + len, size - len, "k%d=\n", i);
	assert_int_equal(ini_parse(&ini, text, len), -1);
	assert_string_equal(ini.error, "too many keys");
	assert_int_equal(ini.line, INI_ITEMS_MAX + 1);
	free(text);
}

static void find(void **state)
{
	char text[] = "[params]\nmail_domain = x.org\n[other]\nmail_domain = y.org\n";
	struct ini ini;

	assert_int_equal(ini_parse(&ini, text, sizeof(text) - 1), 0);
	support_assert_span(
	    ini_find(&ini, "params", "mail_domain")->value, span_of("x.org"));
	support_assert_span(
	    ini_find(&ini, "other", "mail_domain")->value, span_of("y.org"));
	assert_null(ini_find(&ini, "params", "mail"));
	assert_null(ini_find(&ini, "none", "mail_domain"));
	ini_deinit(&ini);
	assert_null(ini_find(&ini, "params", "mail_domain"));
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(good, good_cases) },
		{ SUPPORT_TABLE(bad, bad_cases) },
		{ SUPPORT_TEST(too_many_keys) },
		{ SUPPORT_TEST(find) },
	};

	return support_run("ini", tests, ARRAY_LEN(tests));
}
