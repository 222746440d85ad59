/* SMTP lines: commands, paths, replies. */
#include "proto/smtp.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

#define SPAN(literal)                                                                  \
	{                                                                              \
		literal, sizeof(literal) - 1                                           \
	}

static const struct command_case {
	const char *name;
	struct span line;
	enum smtp_verb verb;
	struct span arg;
} command_cases[] = {
	{ "EHLO", SPAN("EHLO relay.example.org"), SMTP_EHLO,
	    SPAN("relay.example.org") },
	{ "HELO", SPAN("HELO a"), SMTP_HELO, SPAN("a") },
	{ "LHLO", SPAN("LHLO a"), SMTP_LHLO, SPAN("a") },
	{ "MAIL", SPAN("MAIL FROM:<a@b> SIZE=5"), SMTP_MAIL,
	    SPAN("FROM:<a@b> SIZE=5") },
	{ "RCPT", SPAN("RCPT TO:<a@b>"), SMTP_RCPT, SPAN("TO:<a@b>") },
	{ "DATA", SPAN("DATA"), SMTP_DATA, SPAN("") },
	{ "RSET", SPAN("RSET"), SMTP_RSET, SPAN("") },
	{ "NOOP", SPAN("NOOP x y"), SMTP_NOOP, SPAN("x y") },
	{ "VRFY", SPAN("VRFY a"), SMTP_VRFY, SPAN("a") },
	{ "QUIT", SPAN("QUIT"), SMTP_QUIT, SPAN("") },
	{ "any case", SPAN("mAiL from:<a@b>"), SMTP_MAIL, SPAN("from:<a@b>") },
	{ "blanks around", SPAN("DATA \t "), SMTP_DATA, SPAN("") },
	{ "many blanks", SPAN("RCPT \t TO:<a> "), SMTP_RCPT, SPAN("TO:<a>") },
	{ "TAB", SPAN("NOOP\tx"), SMTP_NOOP, SPAN("x") },
	{ "blank first", SPAN(" DATA"), SMTP_UNKNOWN, SPAN("DATA") },
	{ "longer word", SPAN("DATAX"), SMTP_UNKNOWN, SPAN("") },
	{ "shorter word", SPAN("DAT"), SMTP_UNKNOWN, SPAN("") },
	{ "NUL", SPAN("DATA\0"), SMTP_UNKNOWN, SPAN("") },
	{ "empty", SPAN(""), SMTP_UNKNOWN, SPAN("") },
	{ "other", SPAN("STARTTLS"), SMTP_UNKNOWN, SPAN("") },
	{ "header line", SPAN("Subject: x"), SMTP_UNKNOWN, SPAN("x") },
};

static void command(void **state)
{
	const struct command_case *c = *state;
	struct span arg;

	assert_int_equal(smtp_parse_command(c->line, &arg), c->verb);
	support_assert_span(arg, c->arg);
}

static const struct path_case {
	const char *name;
	const char *keyword;
	struct span arg;
	struct span address; /* data NULL: refused */
} path_cases[] = {
#define FROM(name, arg, address)                                                       \
	{                                                                              \
		name, "FROM", SPAN("FROM:" arg), SPAN(address)                         \
	}
#define NOT(name, arg)                                                                 \
	{                                                                              \
		name, "FROM", SPAN("FROM:" arg),                                       \
		{                                                                      \
			NULL, 0                                                        \
		}                                                                      \
	}
	FROM("plain", "<a@b>", "a@b"),
	FROM("null sender", "<>", ""),
	FROM("null sender, parameters", "<> BODY=8BITMIME SMTPUTF8", ""),
	FROM("parameter", "<t@x> A=B", "t@x"),
	FROM("parameters of Postfix", "<a@b> SIZE=500 BODY=8BITMIME RET=HDRS ENVID=abc",
	    "a@b"),
	FROM("SRS", "<SRS1=HHH=x.org==HH=TT=y.org=alice@x>",
	    "SRS1=HHH=x.org==HH=TT=y.org=alice@x"),
	FROM("IPv4 literal", "<t@[192.0.2.0]>", "t@[192.0.2.0]"),
	FROM("IPv6 literal", "<t@[IPv6:2001:db8::1]>", "t@[IPv6:2001:db8::1]"),
	FROM("case kept", "<User@X.Org>", "User@X.Org"),
	FROM("blanks behind colon", " \t<a@b>", "a@b"),
	FROM("TAB behind path", "<a@b>\tX=Y", "a@b"),
	FROM("no @", "<postmaster>", "postmaster"),
	FROM("two @ are for others", "<a@b@c>", "a@b@c"),
	FROM("UTF-8", "<\xc3\xa4@b>", "\xc3\xa4@b"),
	FROM("> in parameters", "<a@b> X=<c@d>", "a@b"),
	FROM("quoted", "<\"a b\"@c>", "\"a b\"@c"),
	FROM("quoted >", "<\"a>b\"@c>", "\"a>b\"@c"),
	FROM("quoted quote", "<\"a\\\"b\"@c>", "\"a\\\"b\"@c"),
	FROM("quoted backslash", "<\"a\\\\\"@c>", "\"a\\\\\"@c"),
	FROM("quoted, no domain", "<\"a\">", "\"a\""),
	FROM("source route", "<@a:b@c>", "b@c"),
	FROM("longer route", "<@a,@b.org:c@d>", "c@d"),
	FROM("route to quoted", "<@a:\"b c\"@d>", "\"b c\"@d"),
	FROM("route and IPv6", "<@a:t@[IPv6:::1]>", "t@[IPv6:::1]"),
	{ "small letters", "FROM", SPAN("from:<a@b>"), SPAN("a@b") },
	{ "recipient", "TO", SPAN("TO:<a@b> ORCPT=rfc822;a@b"), SPAN("a@b") },
	{ "recipient, small letters", "TO", SPAN("to: <a@b>"), SPAN("a@b") },
	{ "empty recipient", "TO", SPAN("TO:<>"), { NULL, 0 } },
	{ "wrong keyword", "TO", SPAN("FROM:<a@b>"), { NULL, 0 } },
	{ "nothing", "FROM", SPAN(""), { NULL, 0 } },
	{ "keyword alone", "FROM", SPAN("FROM"), { NULL, 0 } },
	{ "blank before colon", "FROM", SPAN("FROM :<a@b>"), { NULL, 0 } },
	NOT("no path", ""),
	NOT("no brackets", "a@b"),
	NOT("no <", "a@b>"),
	NOT("no >", "<a@b"),
	NOT("< alone", "<"),
	NOT("two <", "<<a@b>"),
	NOT("text behind >", "<a@b>X=Y"),
	NOT("two >", "<a@b>>"),
	NOT("name before", "A <a@b>"),
	NOT("blank inside", "<a b@c>"),
	NOT("blank first", "< a@b>"),
	NOT("blank alone", "< >"),
	NOT("NUL", "<a\0@b>"),
	NOT("CR", "<a\r@b>"),
	NOT("LF", "<a\n@b>"),
	NOT("TAB", "<a\t@b>"),
	NOT("DEL", "<a\x7f@b>"),
	NOT("backslash", "<a\\>@b>"),
	NOT("quote in mid-word", "<a\"b\"@c>"),
	NOT("quote in domain", "<a@\"b\">"),
	NOT("text behind quote", "<\"a\"b@c>"),
	NOT("quote does not end", "<\"a@b>"),
	NOT("backslash at the end", "<\"a\\"),
	NOT("pair hides the quote", "<\"a\\\"@b>"),
	NOT("NUL in quotes", "<\"a\0\"@b>"),
	NOT("LF in quotes", "<\"a\n\"@b>"),
	NOT("LF as quoted pair", "<\"a\\\n\"@b>"),
	NOT("route to nothing", "<@a:>"),
	NOT("route to nothing, no >", "<@a:"),
	NOT("route to a domain", "<@a:@b>"),
	NOT("route does not end", "<@a>"),
	NOT("blank in route", "<@a ,@b:c@d>"),
	NOT("NUL in route", "<@a\0:c@d>"),
	NOT("> in route", "<@a>:c@d>"),
};

static void path(void **state)
{
	const struct path_case *c = *state;
	struct span address = { NULL, 0 };
	const char *why = smtp_parse_path(c->arg, c->keyword, &address);

	if (c->address.data) {
		if (why)
			fail_msg("refused: %s", why);
		support_assert_span(address, c->address);
	} else {
		assert_non_null(why);
		assert_null(address.data);
	}
}

static void path_length(void **state)
{
	char arg[SMTP_PATH_MAX + 16] = "TO:<";
	struct span address;

	memset(arg + 4, 'a', SMTP_PATH_MAX + 1);
	arg[4 + SMTP_PATH_MAX] = '>';
	assert_null(smtp_parse_path(span_make(arg, SMTP_PATH_MAX + 5), "TO", &address));
	assert_int_equal(address.len, SMTP_PATH_MAX);
	arg[4 + SMTP_PATH_MAX] = 'a';
	arg[5 + SMTP_PATH_MAX] = '>';
	assert_string_equal(
	    smtp_parse_path(span_make(arg, SMTP_PATH_MAX + 6), "TO", &address),
	    "address too long");
}

static const struct reply_case {
	const char *name;
	const char *lines; /* LF-ended here, as read */
	enum smtp_reply_state state;
	unsigned code;
	const char *text;
} reply_cases[] = {
	{ "one line", "250 OK\n", SMTP_REPLY_COMPLETE, 250, "OK" },
	{ "no text", "250 \n", SMTP_REPLY_COMPLETE, 250, "" },
	{ "code alone", "354\n", SMTP_REPLY_COMPLETE, 354, "" },
	{ "two lines", "250-a\n250 b\n", SMTP_REPLY_COMPLETE, 250, "a\nb" },
	{ "empty line", "550-\n550-b\n550 \n", SMTP_REPLY_COMPLETE, 550, "\nb\n" },
	{ "enhanced", "554 5.7.1 No valid DKIM signature found\n", SMTP_REPLY_COMPLETE,
	    554, "5.7.1 No valid DKIM signature found" },
	{ "blank kept", "250  x \n", SMTP_REPLY_COMPLETE, 250, " x " },
	{ "unfinished", "250-a\n", SMTP_REPLY_MORE, 250, "a" },
	{ "two codes", "250-a\n550 b\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "no code", "hello\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "empty", "\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "short", "25\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "long code", "2500 x\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "other separator", "250+x\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "100", "100 x\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "199", "199 x\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "200", "200 x\n", SMTP_REPLY_COMPLETE, 200, "x" },
	{ "599", "599 x\n", SMTP_REPLY_COMPLETE, 599, "x" },
	{ "600", "600 x\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "sign", "+50 x\n", SMTP_REPLY_BROKEN, 0, NULL },
	{ "letter", "25O x\n", SMTP_REPLY_BROKEN, 0, NULL },
};

static void reply(void **state)
{
	const struct reply_case *c = *state;
	enum smtp_reply_state got = SMTP_REPLY_MORE;
	struct span rest = span_of(c->lines), line;
	struct smtp_reply r;

	smtp_reply_init(&r);
	while (got == SMTP_REPLY_MORE && rest.len && span_cut(&rest, '\n', &line))
		got = smtp_reply_feed(&r, line);
	assert_int_equal(rest.len, 0);
	assert_int_equal(got, c->state);
	if (c->text) {
		assert_int_equal(r.code, c->code);
		support_assert_span(span_make(r.text, r.len), span_of(c->text));
	}
}

static void reply_text_is_bounded(void **state)
{
	char line[1000] = "250-";
	struct smtp_reply r;

	memset(line + 4, 'x', sizeof(line) - 4);
	smtp_reply_init(&r);
	for (int i = 0; i < 100; i++)
		assert_int_equal(smtp_reply_feed(&r, span_make(line, sizeof(line))),
		    SMTP_REPLY_MORE);
	assert_int_equal(smtp_reply_feed(&r, span_of("250 y")), SMTP_REPLY_COMPLETE);
	assert_int_equal(r.len, SMTP_REPLY_MAX);
	assert_int_equal(r.text[996], '\n');
	assert_int_equal(r.text[SMTP_REPLY_MAX - 1], 'x');
}

static const struct format_case {
	const char *name;
	unsigned code;
	struct span text;
	const char *lines;
} format_cases[] = {
	{ "one line", 250, SPAN("OK"), "250 OK\r\n" },
	{ "the refusal", 523, SPAN("Encryption Needed: Invalid Unencrypted Mail"),
	    "523 Encryption Needed: Invalid Unencrypted Mail\r\n" },
	{ "no text", 250, SPAN(""), "250\r\n" },
	{ "NULL", 250, { NULL, 0 }, "250\r\n" },
	{ "two lines", 250, SPAN("a\nb"), "250-a\r\n250 b\r\n" },
	{ "empty lines", 550, SPAN("\nb\n"), "550-\r\n550-b\r\n550\r\n" },
	{ "CR and NUL begin nothing", 500, SPAN("<a\rb\0c\t.\x7f>"),
	    "500 <a?b?c?.?>\r\n" },
	{ "UTF-8", 500, SPAN("\xc3\xa4"), "500 \xc3\xa4\r\n" },
};

static void format(void **state)
{
	const struct format_case *c = *state;
	size_t want = strlen(c->lines);
	char *buf = malloc(want);

	assert_non_null(buf);
	for (size_t size = 0; size <= want; size++) {
		assert_int_equal(smtp_format_reply(buf, size, c->code, c->text), want);
		support_assert_span(span_make(buf, size), span_make(c->lines, size));
	}
	free(buf);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(command, command_cases) },
		{ SUPPORT_TABLE(path, path_cases) },
		{ SUPPORT_TEST(path_length) },
		{ SUPPORT_TABLE(reply, reply_cases) },
		{ SUPPORT_TEST(reply_text_is_bounded) },
		{ SUPPORT_TABLE(format, format_cases) },
	};

	return support_run("smtp", tests, ARRAY_LEN(tests));
}
