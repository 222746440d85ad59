/* Dovecot's dict lines, both ways. */
#include "proto/dict.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

#define SPAN(literal)                                                                  \
	{                                                                              \
		literal, sizeof(literal) - 1                                           \
	}

/* A copy of its own size, to be changed; free() it. */
static char *copy(struct span text)
{
	char *line = malloc(text.len ? text.len : 1);

	assert_non_null(line);
	memcpy(line, text.data, text.len);
	return line;
}

static const struct parse_case {
	const char *name;
	struct span line;
	enum dict_command command;
	size_t nfields;
	struct span field[DICT_FIELDS_MAX];
} parse_cases[] = {
	{ "empty line", SPAN(""), DICT_NONE, 0, { { 0 } } },
	{ "CR alone", SPAN("\r"), DICT_NONE, 0, { { 0 } } },
	{ "hello", SPAN("H3\t2\t0\t\tauth"), DICT_HELLO, 5,
	    { SPAN("3"), SPAN("2"), SPAN("0"), SPAN(""), SPAN("auth") } },
	{ "hello, old test", SPAN("HELLO"), DICT_HELLO, 1, { SPAN("ELLO") } },
	{ "hello, bare", SPAN("H"), DICT_HELLO, 0, { { 0 } } },
	{ "lookup",
	    SPAN("Lshared/userdb/foobar@chat.example.org\tfoobar@chat.example.org"),
	    DICT_LOOKUP, 2,
	    { SPAN("shared/userdb/foobar@chat.example.org"),
		SPAN("foobar@chat.example.org") } },
	{ "lookup without user", SPAN("Lpriv/0123/devicetoken"), DICT_LOOKUP, 1,
	    { SPAN("priv/0123/devicetoken") } },
	{ "lookup, empty user", SPAN("Lk\t"), DICT_LOOKUP, 2, { SPAN("k"), SPAN("") } },
	{ "iterate", SPAN("I9\t0\tpriv/00/\tci-1@x.org"), DICT_ITERATE, 4,
	    { SPAN("9"), SPAN("0"), SPAN("priv/00/"), SPAN("ci-1@x.org") } },
	{ "begin, opaque id", SPAN("Btx00\tuser@example.org"), DICT_BEGIN, 2,
	    { SPAN("tx00"), SPAN("user@example.org") } },
	{ "set", SPAN("Stx00\tpriv/guid00/devicetoken\t01234"), DICT_SET, 3,
	    { SPAN("tx00"), SPAN("priv/guid00/devicetoken"), SPAN("01234") } },
	{ "set, empty value", SPAN("S1\tpriv/G/messagenew\t"), DICT_SET, 3,
	    { SPAN("1"), SPAN("priv/G/messagenew"), SPAN("") } },
	{ "set, no value", SPAN("S1\tk"), DICT_SET, 2,
	    { SPAN("1"), SPAN("k"), SPAN("") } },
	{ "set, blanks kept", SPAN("S1\tk\t v "), DICT_SET, 3,
	    { SPAN("1"), SPAN("k"), SPAN(" v ") } },
	{ "unset", SPAN("U1\tk"), DICT_UNSET, 2, { SPAN("1"), SPAN("k") } },
	{ "add", SPAN("A1\tk\t-5"), DICT_ADD, 3, { SPAN("1"), SPAN("k"), SPAN("-5") } },
	{ "timestamp", SPAN("T1\t2\t3"), DICT_TIMESTAMP, 3,
	    { SPAN("1"), SPAN("2"), SPAN("3") } },
	{ "hide values", SPAN("V1\tyes"), DICT_HIDE_VALUES, 2,
	    { SPAN("1"), SPAN("yes") } },
	{ "commit", SPAN("C1"), DICT_COMMIT, 1, { SPAN("1") } },
	{ "commit, async", SPAN("D1"), DICT_COMMIT_ASYNC, 1, { SPAN("1") } },
	{ "rollback", SPAN("R1"), DICT_ROLLBACK, 1, { SPAN("1") } },
	{ "other letter", SPAN("X1\t2"), DICT_UNKNOWN, 2, { SPAN("1"), SPAN("2") } },
	{ "lower case", SPAN("l1"), DICT_UNKNOWN, 1, { SPAN("1") } },
	{ "NUL as letter", SPAN("\0"), DICT_UNKNOWN, 0, { { 0 } } },
	{ "CR cut", SPAN("C1\r"), DICT_COMMIT, 1, { SPAN("1") } },
	{ "one CR cut", SPAN("C1\r\r"), DICT_COMMIT, 1, { SPAN("1\r") } },
	{ "every escape", SPAN("La\0011\001t\001r\001n\0010b"), DICT_LOOKUP, 1,
	    { SPAN("a\001\t\r\n\0b") } },
	{ "escaped TAB parts nothing", SPAN("La\001tb\tc"), DICT_LOOKUP, 2,
	    { SPAN("a\tb"), SPAN("c") } },
	{ "escape before another byte", SPAN("La\001xb"), DICT_LOOKUP, 1,
	    { SPAN("axb") } },
	{ "escape at the end", SPAN("La\001"), DICT_LOOKUP, 1, { SPAN("a") } },
	{ "escape before TAB", SPAN("La\001\tb"), DICT_LOOKUP, 2,
	    { SPAN("a"), SPAN("b") } },
	{ "escaped escape", SPAN("L\0011t"), DICT_LOOKUP, 1, { SPAN("\001t") } },
	{ "UTF-8", SPAN("L\xc3\xa4"), DICT_LOOKUP, 1, { SPAN("\xc3\xa4") } },
	{ "most fields", SPAN("X1\t2\t3\t4\t5\t6\t7\t8"), DICT_UNKNOWN, 8,
	    { SPAN("1"), SPAN("2"), SPAN("3"), SPAN("4"), SPAN("5"), SPAN("6"),
		SPAN("7"), SPAN("8") } },
};

static void parse(void **state)
{
	const struct parse_case *c = *state;
	struct dict_request req;
	char *line = copy(c->line);

	assert_null(dict_parse(&req, line, c->line.len));
	assert_int_equal(req.command, c->command);
	if (c->command != DICT_NONE)
		assert_int_equal(req.letter, c->line.data[0]);
	assert_int_equal(req.nfields, c->nfields);
	for (size_t i = 0; i < DICT_FIELDS_MAX; i++)
		support_assert_span(req.field[i], c->field[i]);
	free(line);
}

/* A refused lookup is still known as one, since Dovecot waits for its reply. */
static void too_many_fields(void **state)
{
	char line[] = "L1\t2\t3\t4\t5\t6\t7\t8\t";
	struct dict_request req;

	assert_string_equal(
	    dict_parse(&req, line, sizeof(line) - 1), "too many fields");
	assert_int_equal(req.command, DICT_LOOKUP);
	assert_int_equal(req.letter, 'L');
	assert_int_equal(req.nfields, DICT_FIELDS_MAX);
	support_assert_span(req.field[0], span_of("1"));
}

static const struct reply_case {
	const char *name;
	char status;
	struct span value;
	struct span line;
} reply_cases[] = {
	{ "found", 'O', SPAN("01234"), SPAN("O01234\n") },
	{ "found, empty", 'O', SPAN(""), SPAN("O\n") },
	{ "not found", 'N', SPAN(""), SPAN("N\n") },
	{ "failed", 'F', SPAN(""), SPAN("F\n") },
	{ "uncertain", 'W', SPAN(""), SPAN("W\n") },
	{ "URL", 'O', SPAN("https://example.org/"), SPAN("Ohttps://example.org/\n") },
	{ "escapes", 'O', SPAN("\001\t\r\n\0"), SPAN("O\0011\001t\001r\001n\0010\n") },
	{ "NUL and a digit", 'O',
	    SPAN("\0"
		 "1"),
	    SPAN("O\0010"
		 "1\n") },
	{ "no control characters", 'O', SPAN("\002\x7f\xc3\xa4"),
	    SPAN("O\002\x7f\xc3\xa4\n") },
};

static void reply(void **state)
{
	const struct reply_case *c = *state;
	char *buf = malloc(c->line.len);

	assert_non_null(buf);
	for (size_t size = 0; size <= c->line.len; size++) {
		memset(buf, '#', c->line.len);
		assert_int_equal(
		    dict_format_reply(buf, size, c->status, c->value), c->line.len);
		support_assert_span(
		    span_make(buf, size), span_make(c->line.data, size));
		if (size < c->line.len)
			assert_int_equal(buf[size], '#');
	}
	free(buf);
}

static const struct row_case {
	const char *name;
	struct span key, value;
	struct span line;
} row_cases[] = {
	{ "empty value", SPAN("shared/userdb/a@x"), SPAN(""),
	    SPAN("Oshared/userdb/a@x\t\n") },
	{ "value", SPAN("k"), SPAN("v"), SPAN("Ok\tv\n") },
	{ "escapes", SPAN("a\tb"), SPAN("c\nd"), SPAN("Oa\001tb\tc\001nd\n") },
};

static void row(void **state)
{
	const struct row_case *c = *state;
	char buf[64];
	size_t n = dict_format_row(buf, sizeof(buf), c->key, c->value);

	support_assert_span(span_make(buf, n), c->line);
	assert_int_equal(dict_format_row(NULL, 0, c->key, c->value), c->line.len);
}

/* Whatever a value holds, it comes back from the line it was written to. */
static void round_trip(void **state)
{
	char value[256], line[3 * 256];
	struct dict_request req;
	size_t n;

	for (int i = 0; i < 256; i++)
		value[i] = (char)i;
	n = dict_format_reply(line, sizeof(line), 'O', span_make(value, sizeof(value)));
	assert_true(n <= sizeof(line));
	assert_ptr_equal(memchr(line, '\n', n), line + n - 1);
	assert_null(dict_parse(&req, line, n - 1));
	assert_int_equal(req.nfields, 1);
	support_assert_span(req.field[0], span_make(value, sizeof(value)));
}

static const struct quoted_case {
	const char *name;
	struct span args;
	int n;
	struct span field[3];
} quoted_cases[] = {
	{ "password and address", SPAN("secret\"some42123@dom"), 2,
	    { SPAN("secret"), SPAN("some42123@dom") } },
	{ "all that Dovecot escapes", SPAN("ab\\\\c\\\"d\\'e1/f2\"some42123@dom"), 2,
	    { SPAN("ab\\c\"d'e1/f2"), SPAN("some42123@dom") } },
	{ "one field", SPAN("user@dom"), 1, { SPAN("user@dom") } },
	{ "nothing", SPAN(""), 1, { SPAN("") } },
	{ "empty password", SPAN("\"a@dom"), 2, { SPAN(""), SPAN("a@dom") } },
	{ "empty address", SPAN("a\""), 2, { SPAN("a"), SPAN("") } },
	{ "three", SPAN("a\"b\"c"), 3, { SPAN("a"), SPAN("b"), SPAN("c") } },
	{ "four are too many", SPAN("a\"b\"c\"d"), -1, { { 0 } } },
	{ "four, the last empty", SPAN("a\"b\"c\""), -1, { { 0 } } },
	{ "backslash at the end", SPAN("a\"b\\"), -1, { { 0 } } },
	{ "backslash alone", SPAN("\\"), -1, { { 0 } } },
	{ "escaped backslash at the end", SPAN("a\"b\\\\"), 2,
	    { SPAN("a"), SPAN("b\\") } },
	{ "NUL and UTF-8", SPAN("\0\xc3\xa4\"b"), 2,
	    { SPAN("\0\xc3\xa4"), SPAN("b") } },
};

static void quoted(void **state)
{
	const struct quoted_case *c = *state;
	char *args = copy(c->args);
	struct span field[3];

	assert_int_equal(dict_split_quoted(args, c->args.len, field, 3), c->n);
	for (int i = 0; i < c->n; i++)
		support_assert_span(field[i], c->field[i]);
	free(args);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(parse, parse_cases) },
		{ SUPPORT_TEST(too_many_fields) },
		{ SUPPORT_TABLE(reply, reply_cases) },
		{ SUPPORT_TABLE(row, row_cases) },
		{ SUPPORT_TEST(round_trip) },
		{ SUPPORT_TABLE(quoted, quoted_cases) },
	};

	return support_run("dict", tests, ARRAY_LEN(tests));
}
