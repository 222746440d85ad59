/* Templates: every tag, every mistake. */
#include "deploy/template.h"

#include <stdlib.h>

#include "test/support.h"

static const char context_text[] =
    "{ \"domain\": \"chat.example\", \"text\": \"one\\ntwo\", \"tab\": \"a\\tb\","
    "  \"html\": \"<a & b>\", \"empty\": \"\", \"number\": 42, \"zero\": 0, \"real\": "
    "2.5,"
    "  \"yes\": true, \"no\": false, \"null\": null, \"words\": [\"a\", \"b\", \"c\"],"
    "  \"none\": [], \"object\": { \"name\": \"inner\", \"deep\": { \"er\": \"x\" } },"
    "  \"users\": [ { \"name\": \"ann\", \"admin\": true },"
    "               { \"name\": \"bob\", \"admin\": false, \"domain\": \"bob.example\" "
    "} ],"
    "  \"matrix\": [[1, 2], [3]] }";

static const struct template_case {
	const char *name, *text, *result;
} template_cases[] = {
	{ "nothing", "", "" },
	{ "plain", "a\n{ } } { $x ${y}\n", "a\n{ } } { $x ${y}\n" },
	{ "variable", "x{{domain}}y", "xchat.exampley" },
	{ "blanks in the tag", "{{ domain }}", "chat.example" },
	{ "braces around", "{{{{domain}}}}", NULL },
	{ "brace before", "{ {{domain}} }", "{ chat.example }" },
	{ "integer", "{{number}}", "42" },
	{ "zero", "{{zero}}", "0" },
	{ "real", "{{real}}", "2.5" },
	{ "empty", "[{{empty}}]", "[]" },
	{ "tab", "{{tab}}", "a\tb" },
	{ "no HTML", "{{html}}", "<a & b>" },
	{ "verbatim", "{{{text}}}", "one\ntwo" },
	{ "verbatim with blanks", "{{{ text }}}!", "one\ntwo!" },
	{ "dotted", "{{object.name}} {{object.deep.er}}", "inner x" },

	{ "section of true", "{{#yes}}a{{/yes}}", "a" },
	{ "section of false", "{{#no}}a{{/no}}b", "b" },
	{ "section of null", "{{#null}}a{{/null}}", "" },
	{ "section of zero", "{{#zero}}a{{/zero}}", "" },
	{ "section of number", "{{#number}}{{.}}{{/number}}", "42" },
	{ "section of text", "{{#domain}}<{{.}}>{{/domain}}", "<chat.example>" },
	{ "section of empty text", "{{#empty}}a{{.}}{{/empty}}", "" },
	{ "section of empty list", "{{#none}}a{{what.ever}}{{/none}}", "" },
	{ "section of object", "{{#object}}{{name}} {{deep.er}}{{/object}}",
	    "inner x" },
	{ "list of texts", "{{#words}}{{.}},{{/words}}", "a,b,c," },
	{ "list of objects",
	    "{{#users}}{{name}}@{{domain}}{{#admin}}!{{/admin}} {{/users}}",
	    "ann@chat.example! bob@bob.example " },
	{ "list of lists", "{{#matrix}}[{{#.}}{{.}}{{/.}}]{{/matrix}}", "[12][3]" },
	{ "sections inside each other",
	    "{{#yes}}{{#no}}a{{/no}}{{^no}}b{{/no}}{{/yes}}", "b" },
	{ "same name inside", "{{#yes}}{{#yes}}a{{/yes}}{{/yes}}", "a" },
	{ "scope goes back out", "{{#users}}{{#admin}}{{domain}}{{/admin}}{{/users}}",
	    "chat.example" },
	{ "boolean hides nothing", "{{#words}}{{#yes}}{{.}}{{/yes}}{{/words}}", "abc" },

	{ "inverted true", "{{^yes}}a{{/yes}}", "" },
	{ "inverted false", "{{^no}}a{{/no}}", "a" },
	{ "inverted null", "{{^null}}a{{/null}}", "a" },
	{ "inverted empty list", "{{^none}}a{{/none}}", "a" },
	{ "inverted list", "{{^words}}a{{domain}}{{/words}}", "" },
	{ "inverted empty text", "{{^empty}}a{{/empty}}", "a" },

	{ "comment", "a{{! not me }}b", "ab" },
	{ "comment of lines", "a\n{{! not\nme }}\nb", "a\nb" },
	{ "comment with braces", "a{{! { } }}b", "ab" },
	{ "empty comment", "a{{!}}b", "ab" },

	{ "alone on its line", "a\n{{#yes}}\nb\n{{/yes}}\nc\n", "a\nb\nc\n" },
	{ "alone, indented", "a\n  {{#yes}}\t\n b\n\t{{/yes}} \nc\n", "a\n b\nc\n" },
	{ "alone, CRLF", "a\r\n{{#yes}}\r\nb\r\n{{/yes}}\r\n", "a\r\nb\r\n" },
	{ "alone, carriage return", "{{#yes}}\rb{{/yes}}", "\rb" },
	{ "alone, first and last", "{{#yes}}\nb\n{{/yes}}", "b\n" },
	{ "alone, in a list", "{{#words}}\n- {{.}}\n{{/words}}\n", "- a\n- b\n- c\n" },
	{ "alone, not kept", "a\n{{#no}}\nb\n{{/no}}\nc\n", "a\nc\n" },
	{ "not alone", "{{#yes}} {{/yes}}\n", " \n" },
	{ "text behind", "{{#yes}} a\n{{/yes}}\n", " a\n" },
	{ "text before", "a {{#no}}\nb\n{{/no}}\nc\n", "a c\n" },
	{ "variable is never alone", "  {{domain}}  \n", "  chat.example  \n" },
	{ "comment alone", "a\n  {{! x }}\nb\n", "a\nb\n" },

	{ "unknown in what cannot be known", "{{#none}}{{nobody}}{{/none}}", "" },
};

static void check(const char *text, template_escape *escape, const char *want)
{
	char error[TEMPLATE_ERROR_MAX], *got;
	json_t *context = json_loads(context_text, 0, NULL);
	size_t len = 0;

	assert_non_null(context);
	got = template_render("t", span_of(text), context, escape, &len, error);
	json_decref(context);
	if (!want) {
		assert_null(got);
		assert_int_equal(strncmp(error, "t:", 2), 0);
		return;
	}
	assert_string_equal(error, "");
	assert_non_null(got);
	assert_int_equal(len, strlen(want));
	assert_string_equal(got, want);
	free(got);
}

static void rendered(void **state)
{
	const struct template_case *c = *state;

	check(c->text, NULL, c->result);
}

static const struct template_case error_cases[] = {
	{ "unknown variable", "a\nb {{nobody}}\n", "t:2: unknown variable 'nobody'" },
	{ "unknown section", "\n\n{{#nobody}}{{/nobody}}",
	    "t:3: unknown section 'nobody'" },
	{ "unknown inverted", "{{^nobody}}{{/nobody}}",
	    "t:1: unknown section 'nobody'" },
	{ "unknown member", "{{object.nobody}}",
	    "t:1: unknown variable 'object.nobody'" },
	{ "member of a text", "{{domain.x}}", "t:1: unknown variable 'domain.x'" },
	{ "member does not fall outwards", "{{#object}}{{deep.domain}}{{/object}}",
	    "t:1: unknown variable 'deep.domain'" },
	{ "unknown where not kept", "{{#no}}\n{{nobody}}\n{{/no}}",
	    "t:2: unknown variable 'nobody'" },
	{ "unknown where inverted is not kept", "{{^words}}\n{{nobody}}{{/words}}",
	    "t:2: unknown variable 'nobody'" },
	{ "unknown in an item", "{{#users}}\n{{nobody}}\n{{/users}}",
	    "t:2: unknown variable 'nobody'" },
	{ "only in one item",
	    "{{#users}}{{#admin}}\n{{/admin}}{{^admin}}\n\n{{admins}}"
	    "{{/admin}}{{/users}}",
	    "t:4: unknown variable 'admins'" },
	{ "unknown in the second round",
	    "{{#matrix}}\n{{#.}}\n{{^.}}{{/.}}\n{{/.}}\n{{/matrix}}\n{{x}}",
	    "t:6: unknown variable 'x'" },
	{ "two lines", "\n{{text}}",
	    "t:2: the value of 'text' is more than one line of text; write {{{text}}} "
	    "if "
	    "that is meant" },
	{ "boolean", "{{yes}}", "t:1: 'yes' is no text; use it as a section" },
	{ "null", "{{null}}", "t:1: 'null' is no text; use it as a section" },
	{ "list", "{{words}}", "t:1: 'words' is no text; use it as a section" },
	{ "object", "{{{object}}}", "t:1: 'object' is no text; use it as a section" },
	{ "whole context", "{{.}}", "t:1: '.' is no text; use it as a section" },
	{ "not closed", "a\n{{#yes}}\nb\n", "t:2: section 'yes' is not closed" },
	{ "not closed, inner", "{{#yes}}\n{{#no}}\n",
	    "t:2: section 'no' is not closed" },
	{ "not opened", "a\n{{/yes}}", "t:2: {{/yes}} closes no section" },
	{ "crossed", "{{#yes}}\n{{#no}}\n{{/yes}}\n{{/no}}",
	    "t:3: {{/yes}} does not close 'no' of line 2" },
	{ "no end", "a\nb {{domain\n", "t:2: tag without }}" },
	{ "no end of three", "{{{domain}}", "t:1: tag without }}}" },
	{ "nothing at all behind", "{{", "t:1: tag without }}" },
	{ "empty tag", "{{}}", "t:1: malformed tag {{}}" },
	{ "empty section", "{{#}}", "t:1: malformed tag {{}}" },
	{ "blank in the name", "{{a b}}", "t:1: malformed tag {{a b}}" },
	{ "over two lines", "{{a\nb}}", "t:1: malformed tag {{a?b}}" },
	{ "partial", "{{>file}}", "t:1: malformed tag {{>file}}" },
	{ "ampersand", "{{&domain}}", "t:1: malformed tag {{&domain}}" },
	{ "delimiters", "{{=<% %>=}}", "t:1: malformed tag {{=<% %>=}}" },
	{ "dots", "{{a..b}}", "t:1: malformed tag {{a..b}}" },
	{ "dot first", "{{.a}}", "t:1: malformed tag {{.a}}" },
	{ "dot last", "{{a.}}", "t:1: malformed tag {{a.}}" },
};

static void mistaken(void **state)
{
	const struct template_case *c = *state;
	char error[TEMPLATE_ERROR_MAX];
	json_t *context = json_loads(context_text, 0, NULL);
	size_t len;

	assert_non_null(context);
	assert_null(template_render("t", span_of(c->text), context, NULL, &len, error));
	assert_string_equal(error, c->result);
	json_decref(context);
}

static void escape_html(FILE *out, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] == '<')
			fputs("&lt;", out);
		else
			fputc(value.data[i], out);
	}
}

static void escaped(void **state)
{
	check("{{html}}", escape_html, "&lt;a & b>");
	check("{{{html}}}", escape_html, "<a & b>");
	check("{{text}}", escape_html, "one\ntwo"); /* the escape's affair */
	check("{{number}}", escape_html, "42");
}

static void deep(void **state)
{
	char text[1024];

	for (int depth = 1; depth <= TEMPLATE_DEPTH_MAX + 1; depth++) {
		text[0] = '\0';
		for (int i = 0; i < depth; i++)
			strcat(text, "{{#yes}}");
		strcat(text, "x");
		for (int i = 0; i < depth; i++)
			strcat(text, "{{/yes}}");
		check(text, NULL, depth <= TEMPLATE_DEPTH_MAX ? "x" : NULL);
	}
}

/* Lists inside lists multiply: the bound counts tags met, not bytes of the template. */
static void endless(void **state)
{
	char error[TEMPLATE_ERROR_MAX];
	json_t *list = json_array(), *context = json_object();
	size_t len;

	for (int i = 0; i < 200; i++)
		json_array_append_new(list, json_integer(i));
	json_object_set_new(context, "l", list);
	assert_null(template_render("t",
	    span_of("{{#l}}{{#l}}{{#l}}{{#l}}{{/l}}{{/l}}{{/l}}{{/l}}"), context, NULL,
	    &len, error));
	assert_string_equal(error, "t:1: the text becomes too long");
	json_decref(context);
}

static void bytes_pass_unchanged(void **state)
{
	static const char text[] = "\0\xff{{bin}}\0{{{bin}}}";
	char error[TEMPLATE_ERROR_MAX], *got;
	json_t *context = json_object();
	size_t len;

	json_object_set_new(context, "bin", json_stringn("a\0b", 3));
	assert_null(template_render(
	    "t", span_make(text, sizeof(text) - 1), context, NULL, &len, error));
	got = template_render(
	    "t", span_make(text + 9, sizeof(text) - 1 - 9), context, NULL, &len, error);
	assert_non_null(got);
	support_assert_span(span_make(got, len), span_make("\0a\0b", 4));
	free(got);
	json_decref(context);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(rendered, template_cases) },
		{ SUPPORT_TABLE(mistaken, error_cases) },
		{ SUPPORT_TEST(escaped) },
		{ SUPPORT_TEST(deep) },
		{ SUPPORT_TEST(endless) },
		{ SUPPORT_TEST(bytes_pass_unchanged) },
	};

	return support_run("template", tests, ARRAY_LEN(tests));
}
