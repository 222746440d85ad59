/* Expressions in the sources of web pages: both steps of expansion. */
#include "deploy/page_expression.h"

#include <stdlib.h>

#include "test/support.h"

static struct config *make_config(const char *more)
{
	char *text;
	struct config *config;
	int len = asprintf(&text, "[params]\nmail_domain = chat.example.org\n%s", more);

	assert_true(len > 0);
	config = config_parse("chatmail.ini", text, (size_t)len, stderr);
	assert_non_null(config);
	free(text);
	return config;
}

static struct page_scope make_scope(const struct config *config)
{
	return (struct page_scope){
		.config = config,
		.pagename = "info",
		.language = "de",
		.language_suffix = ".de",
		.language_links = "<a href=\"/info.en.html\">English</a>",
		.alternate_links = "",
		.markdown_html = "<p>body &amp; soul</p>",
	};
}

/* Both steps with nothing between; NULL with the message in error. */
static char *expand(
    const struct page_scope *scope, const char *source, char error[PAGE_ERROR_MAX])
{
	struct text marked = { 0 }, out = { 0 };
	struct page_slots slots = { 0 };
	bool good =
	    page_expand("info.md", span_of(source), scope, &slots, &marked, error);

	good = good && page_fill("info.md", text_span(&marked), &slots, &out, error);
	assert_true(good == (error[0] == '\0'));
	page_slots_deinit(&slots);
	text_free(&marked);
	if (good)
		return text_take(&out);
	text_free(&out);
	return NULL;
}

/* The values that hostile hands would choose. */
#define HOSTILE                                                                        \
	"privacy_postal = One <b>\n  {{ config.mail_domain }}\n  *x* & \"y\" 'z'\n"

static const struct value_case {
	const char *name, *ini, *source, *want;
} value_cases[] = {
	{ "no expression", "", "a { b } % c {x}\n", "a { b } % c {x}\n" },
	{ "nothing", "", "", "" },
	{ "a key", "", "at {{ config.mail_domain }}!", "at chat.example.org!" },
	{ "no blanks", "", "{{config.mail_domain}}", "chat.example.org" },
	{ "line breaks inside", "", "{{\n\tconfig.mail_domain\n}}",
	    "chat.example.org" },
	{ "side by side", "", "{{pagename}}{{language}}", "infode" },
	{ "a number", "max_user_send_per_minute = 37\n",
	    "{{ config.max_user_send_per_minute }}", "37" },
	{ "a size in M", "max_mailbox_size = 300M\n", "{{ config.max_mailbox_size }}",
	    "300M" },
	{ "a size in G", "max_mailbox_size = 2G\n", "{{ config.max_mailbox_size }}",
	    "2G" },
	{ "a size for people", "max_mailbox_size = 2G\n", "{{ mailbox_size }}",
	    "2 GB" },
	{ "bytes for people", "max_message_size = 31457280\n", "{{ message_size }}",
	    "30 MB" },
	{ "bytes are rounded down", "max_message_size = 10000\n", "{{ message_size }}",
	    "9 kB" },
	{ "a switch", "disable_ipv6 = true\n",
	    "{{ config.disable_ipv6 }} {{ config.imap_rawlog }}", "True False" },
	{ "a list", "passthrough_senders = a@b.example\n  c@d.example\n",
	    "{{ config.passthrough_senders }}", "a@b.example c@d.example" },
	{ "how certificates come", "", "{{ config.tls_cert_mode }}", "acme" },
	{ "the domain of an address as a relay", "", "{{ config.mail_domain_bare }}",
	    "chat.example.org" },
	{ "lengths in words",
	    "username_min_length = 3\nusername_max_length = 30\n"
	    "password_min_length = 60\n",
	    "{{ username_min_length }} {{ username_max_length }} "
	    "{{ password_min_length }}",
	    "three 30 more" },
	{ "a quoted text", "", "{{ \"{{\" }} and {{ '\"}}' }}", "{{ and &quot;}}" },
	{ "our own markup", "", "{{ markdown_html }}", "<p>body &amp; soul</p>" },
	{ "a comment", "", "a{# {{ nobody }} #}b", "ab" },
	{ "markup in a value", HOSTILE, "<p>{{ config.privacy_postal }}</p>",
	    "<p>One &lt;b&gt;<br>{{ config.mail_domain }}<br>"
	    "*x* &amp; &quot;y&quot; &#39;z&#39;</p>" },
	{ "markup in an attribute", HOSTILE,
	    "<a title=\"{{ config.privacy_postal }}\">",
	    "<a title=\"One &lt;b&gt; {{ config.mail_domain }} *x* &amp; &quot;y&quot; "
	    "&#39;z&#39;\">" },
	{ "in single quotes", HOSTILE, "<a title = '{{ config.privacy_postal }}'>",
	    "<a title = 'One &lt;b&gt; {{ config.mail_domain }} *x* &amp; "
	    "&quot;y&quot; "
	    "&#39;z&#39;'>" },
	{ "in a comment of HTML", HOSTILE, "<!-- {{ config.privacy_postal }} -->",
	    "<!-- One &lt;b&gt; {{ config.mail_domain }} *x* &amp; &quot;y&quot; "
	    "&#39;z&#39; -->" },
	{ "in a title", HOSTILE, "<title>{{ config.privacy_postal }}</title>",
	    "<title>One &lt;b&gt; {{ config.mail_domain }} *x* &amp; &quot;y&quot; "
	    "&#39;z&#39;</title>" },
	{ "behind a script", HOSTILE,
	    "<script>if (1 < 2 && \"</p>\") ;</script><p>{{ config.mail_domain }}",
	    "<script>if (1 < 2 && \"</p>\") ;</script><p>chat.example.org" },
	{ "a < that opens no tag", "", "1 < 2 {{ pagename }}", "1 < 2 info" },
	{ "what looks like a mark", "", "Qx0x0Q {{ pagename }} Qx1x0Q",
	    "Qx0x0Q info Qx1x0Q" },
};

static void value(void **state)
{
	const struct value_case *c = *state;
	struct config *config = make_config(c->ini);
	struct page_scope scope = make_scope(config);
	char error[PAGE_ERROR_MAX] = "";
	char *got = expand(&scope, c->source, error);

	assert_string_equal(error, "");
	assert_string_equal(got, c->want);
	free(got);
	config_free(config);
}

static const struct branch_case {
	const char *name, *source, *want;
} branch_cases[] = {
	{ "equal", "{% if pagename == \"info\" %}yes{% endif %}", "yes" },
	{ "equal, the other way", "{% if \"info\" == pagename %}yes{% endif %}",
	    "yes" },
	{ "not equal", "{% if pagename != 'info' %}yes{% endif %}", "" },
	{ "else", "{% if pagename == \"x\" %}a{% else %}b{% endif %}", "b" },
	{ "no else", "{% if pagename == \"info\" %}a{% else %}b{% endif %}", "a" },
	{ "no blanks", "{%if pagename==\"info\"%}a{%else%}b{%endif%}", "a" },
	{ "a text is true", "{% if config.mail_domain %}a{% endif %}", "a" },
	{ "an empty one is not", "{% if config.privacy_mail %}a{% else %}b{% endif %}",
	    "b" },
	{ "a switch that is off", "{% if config.disable_ipv6 %}a{% else %}b{% endif %}",
	    "b" },
	{ "an empty list", "{% if config.passthrough_senders %}a{% endif %}", "" },
	{ "not for webdev", "{% if config.webdev %}a{% endif %}", "" },
	{ "inside each other",
	    "{% if language == \"de\" %}1{% if pagename == \"x\" %}2{% else %}3{% "
	    "endif "
	    "%}4{% else %}5{% if language %}6{% endif %}{% endif %}",
	    "134" },
	{ "values of branches not taken are not shown",
	    "{% if language == \"en\" %}{{ pagename }}{% else %}{{ language }}{% endif "
	    "%}",
	    "de" },
	{ "lines of tags vanish",
	    "a\n  {% if language %}  \nb\n{% else %}\nc\n\t{% endif %}\nd\n",
	    "a\nb\nd\n" },
	{ "so do those of comments", "a\n{# x\n y #}\nb\n", "a\nb\n" },
	{ "also at the end", "a\n{% if language %}\nb\n{% endif %}", "a\nb\n" },
	{ "others stay", "a {% if language %}\nb{% endif %}\n", "a \nb\n" },
	{ "a value is no tag", "a\n{{ language }}\nb\n", "a\nde\nb\n" },
};

static void branch(void **state)
{
	const struct branch_case *c = *state;
	struct config *config = make_config("");
	struct page_scope scope = make_scope(config);
	char error[PAGE_ERROR_MAX] = "";
	char *got = expand(&scope, c->source, error);

	assert_string_equal(error, "");
	assert_string_equal(got, c->want);
	free(got);
	config_free(config);
}

static const struct mistake_case {
	const char *name, *source, *want; /* begin of the message */
} mistake_cases[] = {
	{ "an unknown name", "a\n\n{{ foo }}",
	    "info.md:3: there is no variable 'foo'" },
	{ "an unknown key", "{{ config.foo }}",
	    "info.md:1: there is no variable 'config.foo'" },
	{ "a key for nothing else", "{{ config. }}",
	    "info.md:1: there is no variable" },
	{ "in a branch not taken", "{% if config.webdev %}\n{{ foo }}\n{% endif %}",
	    "info.md:2: there is no variable 'foo'" },
	{ "in a condition", "{% if foo == \"x\" %}{% endif %}",
	    "info.md:1: there is no variable 'foo'" },
	{ "a filter", "{{ pagename | upper }}",
	    "info.md:1: '{{ pagename | upper }}' is not understood" },
	{ "a call", "{{ pagename.upper() }}", "info.md:1: there is no variable" },
	{ "a sum", "{{ config.max_message_size / 1024 }}", "info.md:1: '{{" },
	{ "empty", "{{ }}", "info.md:1: '{{ }}' is not understood" },
	{ "a loop", "x\n{% for a in b %}{% endfor %}",
	    "info.md:2: '{% for a in b %}' is not understood" },
	{ "and", "{% if language and pagename %}{% endif %}", "info.md:1: '{% if" },
	{ "a number", "{% if config.delete_mails_after == 20 %}{% endif %}",
	    "info.md:1: there is no variable '20'" },
	{ "whitespace control", "{%- if language %}{% endif %}", "info.md:1: '{%- if" },
	{ "without end", "a {{ pagename", "info.md:1: '{{ pagename'" },
	{ "a comment without end", "a\nb {# c", "info.md:2: {# without #}" },
	{ "a text without end", "{{ \"pagename }}", "info.md:1: '{{ \"pagename }}'" },
	{ "not closed", "\n{% if language %}\n\n",
	    "info.md:2: {% if %} without {% endif %}" },
	{ "closed too often", "{% endif %}",
	    "info.md:1: {% endif %} without {% if %}" },
	{ "else alone", "{% else %}", "info.md:1: {% else %} without {% if %}" },
	{ "else twice", "{% if language %}{% else %}{% else %}{% endif %}",
	    "info.md:1: {% else %} without {% if %}" },
	{ "control characters in the message", "{{ a\tb\x01 }}", "info.md:1: " },
	{ "in a tag", "<p>\n<a {{ pagename }}>",
	    "info.md:2: an expression within a tag must stand in quotes" },
	{ "a value without quotes", "<a href={{ pagename }}>",
	    "info.md:1: an expression within a tag" },
	{ "a tag's name", "</{{ pagename }}>",
	    "info.md:1: an expression within a tag" },
	{ "quotes that open nothing", "<a b\"={{ pagename }}>",
	    "info.md:1: an expression within a tag" },
	{ "in a script", "<script>\nvar a = \"{{ pagename }}\";</script>",
	    "info.md:2: no expression can stand in a script" },
	{ "in a style sheet", "<style>{{ pagename }}</style>",
	    "info.md:1: no expression can stand in a script" },
	{ "a script that is not ended by another tag",
	    "<script></style>{{ pagename }}</script>",
	    "info.md:1: no expression can stand in a script" },
	{ "markup in an attribute", "<a title=\"{{ markdown_html }}\">",
	    "info.md:1: this variable is markup" },
};

static void mistake(void **state)
{
	const struct mistake_case *c = *state;
	struct config *config = make_config("");
	struct page_scope scope = make_scope(config);
	char error[PAGE_ERROR_MAX] = "";

	assert_null(expand(&scope, c->source, error));
	if (strncmp(error, c->want, strlen(c->want)) != 0)
		assert_string_equal(error, c->want);
	for (const char *p = error; *p; p++)
		assert_false(span_control(*p));
	config_free(config);
}

/* A page itself has no layout's variables. */
static void no_body_in_a_body(void **state)
{
	struct config *config = make_config("");
	struct page_scope scope = make_scope(config);
	char error[PAGE_ERROR_MAX] = "";

	scope.markdown_html = NULL;
	assert_null(expand(&scope, "{{ markdown_html }}", error));
	assert_string_equal(error, "info.md:1: there is no variable 'markdown_html'");
	config_free(config);
}

static void deep(void **state)
{
	struct config *config = make_config("");
	struct page_scope scope = make_scope(config);
	char error[PAGE_ERROR_MAX] = "";

	for (unsigned n = PAGE_DEPTH_MAX; n <= PAGE_DEPTH_MAX + 1; n++) {
		struct text source = { 0 };
		char *got;

		for (unsigned i = 0; i < n; i++)
			text_add(&source, "{% if language %}");
		text_add(&source, "x");
		for (unsigned i = 0; i < n; i++)
			text_add(&source, "{% endif %}");
		got = expand(&scope, source.data, error);
		if (n == PAGE_DEPTH_MAX)
			assert_string_equal(got, "x");
		else
			assert_null(got);
		free(got);
		text_free(&source);
	}
	config_free(config);
}

static void many(void **state)
{
	struct config *config = make_config("");
	struct page_scope scope = make_scope(config);
	char error[PAGE_ERROR_MAX] = "";
	struct text source = { 0 };

	for (unsigned i = 0; i <= PAGE_SLOTS_MAX; i++)
		text_add(&source, "{{ language }}");
	assert_null(expand(&scope, source.data, error));
	assert_non_null(strstr(error, "expressions"));
	text_free(&source);
	config_free(config);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(value, value_cases) },
		{ SUPPORT_TABLE(branch, branch_cases) },
		{ SUPPORT_TABLE(mistake, mistake_cases) },
		{ SUPPORT_TEST(no_body_in_a_body) },
		{ SUPPORT_TEST(deep) },
		{ SUPPORT_TEST(many) },
	};

	return support_run("page_expression", tests, ARRAY_LEN(tests));
}
