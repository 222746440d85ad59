/* Which lines of the journal are asked for, and what is hidden in them. */
#include "deploy/logs.h"

#include <stdlib.h>

#include "deploy/control.h"
#include "deploy/lines.h"
#include "test/support.h"

static const struct mask_case {
	const char *name, *line, *masked;
} mask_cases[] = {
	{ "nothing", "", "" },
	{ "plain text", "Starting up at 12:34:56, 1.2.3",
	    "Starting up at 12:34:56, 1.2.3" },
	{ "address", "to=<someone@chat.example>, relay=x",
	    "to=<*@chat.example>, relay=x" },
	{ "two addresses", "a.b+c@d.example,e@f.example", "*@d.example,*@f.example" },
	{ "quoted", "<\"a b\"@c.example>", "<*@c.example>" },
	{ "UTF-8", "<m\xc3\xbcller@c.example>", "<*@c.example>" },
	{ "VERP", "from=<bounce+x=y.example@z.example>", "from=<*@z.example>" },
	{ "path", "/home/vmail/mail/x/y@x/cur", "*@x/cur" },
	{ "literal", "<a@[192.0.2.1]>", "<*@[IP]>" },
	{ "only the sign", "@ and @", "@ and @" },
	{ "unit", "postfix@-.service: x@y.service.example",
	    "postfix@-.service: *@y.service.example" },
	{ "IPv4", "rip=192.0.2.1, lip=198.51.100.2.", "rip=IP, lip=IP." },
	{ "IPv4 with port", "[192.0.2.1]:25 192.0.2.1:25", "[IP]:25 IP:25" },
	{ "no IPv4", "1.2.3.4.5.6 300.1.1.1 v1.2.3.4",
	    "1.2.3.4.5.6 300.1.1.1 v1.2.3.4" },
	{ "IPv6", "rip=2001:db8::1, [2001:DB8::2]:443", "rip=IP, [IP]:443" },
	{ "IPv6 of IPv4", "::ffff:192.0.2.1", "IP" },
	{ "own", "127.0.0.1 ::1 [127.0.0.1]:25", "127.0.0.1 ::1 [127.0.0.1]:25" },
	{ "client", "connect from dyn-1.isp.example[192.0.2.1]", "connect from *[IP]" },
	{ "client of a mail", "4ABC: client=unknown[2001:db8::1], x",
	    "4ABC: client=*[IP], x" },
	{ "destination stays",
	    "relay=mx.example[192.0.2.1]:25, connect to mx.example[192.0.2.1]:25",
	    "relay=mx.example[IP]:25, connect to mx.example[IP]:25" },
};

/* And what was masked needs it no more. */
static void mask(void **state)
{
	const struct mask_case *c = *state;
	struct text once = { 0 }, twice = { 0 };

	text_add(&once, "kept@kept ");
	logs_mask(&once, span_of(c->line));
	assert_memory_equal(once.data, "kept@kept ", 10);
	assert_string_equal(once.data + 10, c->masked);
	logs_mask(&twice, span_of(c->masked));
	assert_string_equal(twice.data, c->masked);
	text_free(&once);
	text_free(&twice);
}

static const struct script_case {
	const char *name;
	struct logs_question question;
	const char *has, *lacks;
} script_cases[] = {
	{ "all", { NULL, NULL, NULL, false }, " -u 'dovecot.service' ", "--since" },
	{ "one", { "postfix", NULL, NULL, false },
	    " -u 'postfix@-.service' -u 'postfix.service' -n '1000'\nexec ",
	    "dovecot" },
	{ "pattern of units", { "echobot", NULL, NULL, false },
	    " -u 'chatmail-echobot@*.service' ", "mtail" },
	{ "since", { "web", "1 hour ago", NULL, false }, " --since '1 hour ago'",
	    " -n " },
	{ "grep is one word", { "web", NULL, "a'; rm x", false },
	    " --grep 'a'\\''; rm x'", " -f" },
	{ "follow", { "web", NULL, NULL, true }, " -n '20' -f\n", "exec" },
};

static void script(void **state)
{
	const struct script_case *c = *state;
	char *text = logs_script(&c->question);

	assert_non_null(text);
	if (!strstr(text, c->has) || strstr(text, c->lacks))
		fail_msg("%s", text);
	free(text);
}

static void no_component(void **state)
{
	assert_null(logs_script(&(struct logs_question){ .component = "nothing" }));
}

/* Lines, however the bytes are cut. */

static void add_line(void *arg, struct span line)
{
	struct text *t = arg;

	text_add(t, "<");
	text_add_span(t, line);
	text_add(t, ">");
}

static void lines_in_any_cut(void **state)
{
	struct span all = span_of("one\n\ntwo three\n\nlast");

	for (size_t step = 1; step <= all.len; step++) {
		struct text t = { 0 };
		struct lines l = { .line = add_line, .arg = &t };

		for (size_t at = 0; at < all.len; at += step) {
			size_t left = all.len - at;

			lines_take(
			    &l, span_make(all.data + at, left < step ? left : step));
		}
		lines_end(&l);
		assert_string_equal(t.data, "<one><><two three><><last>");
		text_free(&t);
	}
}

static void long_lines(void **state)
{
	struct text t = { 0 };
	struct lines l = { .line = add_line, .arg = &t };
	char *bytes = malloc(3 * LINES_MAX);

	assert_non_null(bytes);
	memset(bytes, 'x', 3 * LINES_MAX);
	lines_take(&l, span_make(bytes, 3 * LINES_MAX));
	lines_take(&l, span_of("\n"));
	lines_end(&l);
	assert_int_equal(t.len, 3 * (LINES_MAX + 2));
	text_free(&t);
	free(bytes);
}

/* What chatmailctl is called with: words stay words. */
static void control_words(void **state)
{
	char show[] = "show", name[] = "--x'$(id)";
	char *words[] = { show, name };
	char *text = control_script(&(struct control){
	    .verb = "users", .words = words, .nwords = 2, .json = true });

	assert_non_null(strstr(
	    text, "\nexec chatmailctl --json -- 'users' 'show' '--x'\\''$(id)'\n"));
	free(text);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(mask, mask_cases) },
		{ SUPPORT_TABLE(script, script_cases) },
		{ SUPPORT_TEST(no_component) },
		{ SUPPORT_TEST(lines_in_any_cut) },
		{ SUPPORT_TEST(long_lines) },
		{ SUPPORT_TEST(control_words) },
	};

	return support_run("logs", tests, ARRAY_LEN(tests));
}
