#include "milter/header.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

#define TEXT(s)                                                                        \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}

/* Fields as "name=value|". */
static const struct block_case {
	const char *name;
	struct span block;
	const char *fields; /* NULL: refused */
	const char *why;
} block_cases[] = {
	{ "one field", TEXT("A: 1\r\n\r\n"), "A= 1|", NULL },
	{ "no blank line", TEXT("A: 1\r\nB:2\r\n"), "A= 1|B=2|", NULL },
	{ "folded", TEXT("A: 1\r\n 2\r\n\t3\r\nB:\r\n\r\n"), "A= 1\r\n 2\r\n\t3|B=|",
	    NULL },
	{ "colons in the value", TEXT("A:b:c\r\n"), "A=b:c|", NULL },
	{ "8 bit in the value", TEXT("A: \xc3\xa4\xff\r\n"), "A= \xc3\xa4\xff|", NULL },
	{ "odd name", TEXT("!\"#$%&'~: 1\r\n"), "!\"#$%&'~= 1|", NULL },
	{ "nothing", TEXT(""), NULL, "header: no field" },
	{ "only a blank line", TEXT("\r\n"), NULL, "header: no field" },
	{ "text behind the blank line", TEXT("A: 1\r\n\r\nB: 2\r\n"), NULL,
	    "header: text behind the blank line" },
	{ "neither field nor continuation", TEXT("A: 1\r\nhello\r\n"), NULL,
	    "header: neither field nor continuation" },
	{ "mbox line", TEXT("From a@x Mon Aug  3\r\nA: 1\r\n"), NULL,
	    "header: neither field nor continuation" },
	{ "no name", TEXT(": 1\r\n"), NULL, "header: neither field nor continuation" },
	{ "blank before the colon", TEXT("From : a@x\r\n"), NULL,
	    "header: neither field nor continuation" },
	{ "tab before the colon", TEXT("From\t: a@x\r\n"), NULL,
	    "header: neither field nor continuation" },
	{ "8 bit in the name", TEXT("\xc3\xa4: 1\r\n"), NULL,
	    "header: neither field nor continuation" },
	{ "control byte in the name", TEXT("A\x7f: 1\r\n"), NULL,
	    "header: neither field nor continuation" },
	{ "begins with a continuation", TEXT(" A: 1\r\n"), NULL,
	    "header: begins with a continuation" },
	{ "blank continuation", TEXT("A: 1\r\n \r\nB: 2\r\n"), NULL,
	    "header: blank continuation" },
	{ "bare LF", TEXT("A: 1\nB: 2\r\n"), NULL, "header: bare LF" },
	{ "LF LF", TEXT("A: 1\n\nhello"), NULL, "header: bare LF" },
	{ "bare CR", TEXT("A: 1\rB: 2\r\n"), NULL, "header: bare CR" },
	{ "CR CR LF", TEXT("A: 1\r\r\n"), NULL, "header: bare CR" },
	{ "NUL", TEXT("A: 1\0\r\n"), NULL, "header: NUL" },
	{ "NUL in the name", TEXT("A\0: 1\r\n"), NULL, "header: NUL" },
	{ "no line end", TEXT("A: 1\r\nB: 2"), NULL, "header: last line has no end" },
};

static void block(void **state)
{
	const struct block_case *c = *state;
	struct header h;
	const char *why = header_parse(&h, c->block);
	char got[128];
	size_t len = 0;

	if (!c->fields) {
		assert_string_equal(why ? why : "accepted", c->why);
		return;
	}
	assert_null(why);
	for (size_t i = 0; i < h.nfields; i++) {
		memcpy(got + len, h.field[i].name.data, h.field[i].name.len);
		len += h.field[i].name.len;
		got[len++] = '=';
		memcpy(got + len, h.field[i].value.data, h.field[i].value.len);
		len += h.field[i].value.len;
		got[len++] = '|';
	}
	header_deinit(&h);
	support_assert_span(span_make(got, len), span_of(c->fields));
}

static void many_fields(void **state)
{
	char *text = malloc(5 * (HEADER_FIELDS_MAX + 1));
	struct header h;

	for (size_t i = 0; i <= HEADER_FIELDS_MAX; i++)
		memcpy(text + 5 * i, "A:1\r\n", 5);
	assert_null(header_parse(&h, span_make(text, (size_t)5 * HEADER_FIELDS_MAX)));
	assert_int_equal(header_count(&h, "a"), HEADER_FIELDS_MAX);
	header_deinit(&h);
	assert_string_equal(
	    header_parse(&h, span_make(text, (size_t)5 * (HEADER_FIELDS_MAX + 1))),
	    "header: too many fields");
	free(text);
}

static void lookup(void **state)
{
	struct header h;

	assert_null(header_parse(&h, span_of("To: a\r\nTOO: b\r\nto: c\r\n")));
	assert_int_equal(header_count(&h, "to"), 2);
	support_assert_span(header_get(&h, "TO", 0), span_of(" a"));
	support_assert_span(header_get(&h, "To", 1), span_of(" c"));
	assert_null(header_get(&h, "To", 2).data);
	assert_null(header_get(&h, "From", 0).data);
	header_deinit(&h);
}

/* Whole header blocks, so that "two fields" is a case like the others. */
static const struct from_case {
	const char *name;
	const char *block;
	const char *address; /* NULL: refused */
	const char *why;     /* then: exactly this, or any if NULL */
} from_cases[] = {
	{ "bare", "From: a@x.example\r\n", "a@x.example", NULL },
	{ "name", "from: \"N\" <a@x.example>\r\n", "a@x.example", NULL },
	{ "upper case stays", "From: <A@X>\r\n", "A@X", NULL },
	{ "comment", "From: a@x.example (comment)\r\n", "a@x.example", NULL },
	{ "folded", "From: Some Long Name\r\n\t<a@x.example>\r\n", "a@x.example",
	    NULL },
	{ "encoded name that is an address",
	    "From: =?utf-8?q?b=40y?= <a@x.example>\r\n", "a@x.example", NULL },
	{ "encoded name that is a mailbox",
	    "From: =?utf-8?q?=3Cb=40y=3E=2C?= <a@x.example>\r\n", "a@x.example", NULL },
	{ "encoded name in base64", "From: =?UTF-8?B?YkB5?= <a@x.example>\r\n",
	    "a@x.example", NULL },
	{ "quoted name that is an address", "From: \"a@x\" <c@y>\r\n", "c@y", NULL },
	{ "address literal", "From: <a@[192.0.2.1]>\r\n", "a@[192.0.2.1]", NULL },
	{ "IPv6 literal", "From: a@[IPv6:2001:db8::1]\r\n", "a@[IPv6:2001:db8::1]",
	    NULL },
	{ "punycode domain", "From: a@xn--bcher-kva.example\r\n",
	    "a@xn--bcher-kva.example", NULL },
	{ "UTF-8 domain",
	    "From: a@b\xc3\xbc"
	    "cher.example\r\n",
	    "a@b\xc3\xbc"
	    "cher.example",
	    NULL },
	{ "broken punycode", "From: a@xn--.example\r\n", "a@xn--.example", NULL },
	{ "SRS", "From: SRS0=abcd=EF=x=a+b@y.example\r\n",
	    "SRS0=abcd=EF=x=a+b@y.example", NULL },
	{ "missing", "To: a@x\r\n", NULL, "" },
	{ "empty", "From:\r\n", NULL, "" },
	{ "blank", "From: \t\r\nTo: b\r\n", NULL, "" },
	{ "two fields", "From: a@x\r\nFrom: c@y\r\n", NULL,
	    "more than one From field" },
	{ "two equal fields", "From: a@x\r\nFROM: a@x\r\n", NULL,
	    "more than one From field" },
	{ "an empty one first", "From:\r\nFrom: c@y\r\n", NULL,
	    "more than one From field" },
	{ "two mailboxes", "From: a@x, c@y\r\n", NULL, NULL },
	{ "two angles", "From: <a@x> <c@y>\r\n", NULL, NULL },
	{ "junk address before the angle", "From: c@y <a@x>\r\n", NULL, NULL },
	{ "group", "From: g: a@x;\r\n", NULL, NULL },
	{ "group of two", "From: g: a@x, c@y;\r\n", NULL, NULL },
	{ "encoded address", "From: =?utf-8?q?a=40x?=\r\n", NULL, NULL },
	{ "encoded word in the local part", "From: <=?utf-8?q?b?=@x>\r\n", NULL, NULL },
	{ "no address", "From: Alice\r\n", NULL, NULL },
	{ "null sender", "From: <>\r\n", NULL, NULL },
};

static void from(void **state)
{
	const struct from_case *c = *state;
	struct header h;
	char address[HEADER_ADDRESS_MAX];
	const char *why;

	assert_null(header_parse(&h, span_of(c->block)));
	why = header_from(&h, address, sizeof(address));
	header_deinit(&h);
	if (c->address) {
		assert_null(why);
		assert_string_equal(address, c->address);
	} else {
		assert_non_null(why);
		if (c->why)
			assert_string_equal(why, c->why);
	}
}

/* What overflows GMime's stack when it is longer never reaches it. */
static void from_of_any_length(void **state)
{
	static const struct {
		const char *unit, *tail;
	} shapes[] = {
		{ "a:", "b@x;" },
		{ "(", "" },
		{ "\"", "" },
		{ "<", "" },
		{ "a ", "<b@x>" },
		{ "@", "x" },
	};
	char *block = malloc(HEADER_MAX + 16), address[HEADER_ADDRESS_MAX];

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		for (size_t len = 500; len <= HEADER_MAX / 2; len *= 2) {
			struct header h;
			size_t n = 5;
			const char *why;

			memcpy(block, "From:", 5);
			for (size_t unit = strlen(shapes[i].unit); n < len; n += unit)
				memcpy(block + n, shapes[i].unit, unit);
			memcpy(block + n, shapes[i].tail, strlen(shapes[i].tail));
			n += strlen(shapes[i].tail);
			memcpy(block + n, "\r\n", 2);
			assert_null(header_parse(&h, span_make(block, n + 2)));
			why = header_from(&h, address, sizeof(address));
			header_deinit(&h);
			if (len > HEADER_ADDRESS_MAX)
				assert_string_equal(why, "too long");
			else
				assert_int_equal(
				    why == NULL, strcmp(shapes[i].unit, "a ") == 0);
		}
	}
	free(block);
}

static void from_into_a_small_buffer(void **state)
{
	struct header h;
	char address[4];

	assert_null(header_parse(&h, span_of("From: a@xy\r\n")));
	assert_string_equal(header_from(&h, address, sizeof(address)), "too long");
	header_deinit(&h);
	assert_null(header_parse(&h, span_of("From: a@x\r\n")));
	assert_null(header_from(&h, address, sizeof(address)));
	assert_string_equal(address, "a@x");
	header_deinit(&h);
}

static const struct type_case {
	const char *name;
	const char *value;
	const char *want; /* type/subtype/boundary; NULL: two readings */
} type_cases[] = {
	{ "absent", NULL, "text/plain/" },
	{ "empty", "", "text/plain/" },
	{ "blank", " \r\n ", "text/plain/" },
	{ "folded",
	    " multipart/encrypted;\r\n protocol=\"application/pgp-encrypted\";\r\n"
	    "\tboundary=\"18a5c2d0b2a3f4c1\"",
	    "multipart/encrypted/18a5c2d0b2a3f4c1" },
	{ "folded inside a quoted boundary", "multipart/mixed; boundary=\"a\r\n b\"",
	    "multipart/mixed/a b" },
	{ "all of RFC 2046's characters", "multipart/mixed; boundary=\"'()+_,-./:=?\"",
	    "multipart/mixed/'()+_,-./:=?" },
	{ "boundary like an encoded word",
	    "multipart/mixed; boundary=\"=?us-ascii?q?a?=\"", NULL },
	{ "name like an encoded word",
	    "application/octet-stream; name=\"=?utf-8?q?=C3=A4?=\"",
	    "application/octet-stream/" },
	{ "name of RFC 2231", "application/octet-stream; name*=utf-8''%C3%A4",
	    "application/octet-stream/" },
	{ "two boundaries", "multipart/mixed; boundary=a; boundary=b", NULL },
	{ "broken", "multipart", NULL },
};

static void type(void **state)
{
	const struct type_case *c = *state;
	struct content_type ct;
	struct span value = c->value ? span_of(c->value) : span_make(NULL, 0);
	char got[sizeof(ct) + 3];

	assert_int_equal(content_type_parse(&ct, value), c->want != NULL);
	snprintf(got, sizeof(got), "%s/%s/%s", ct.type, ct.subtype, ct.boundary);
	assert_string_equal(got, c->want ? c->want : "text/plain/");
}

static void type_too_long(void **state)
{
	char value[HEADER_TYPE_MAX + 64];
	struct content_type ct;
	int len = snprintf(value, sizeof(value), "text/plain; a=");

	memset(value + len, 'x', sizeof(value) - (size_t)len);
	assert_true(content_type_parse(&ct, span_make(value, HEADER_TYPE_MAX - 1)));
	assert_false(content_type_parse(&ct, span_make(value, HEADER_TYPE_MAX)));
}

static const struct decode_case {
	const char *name;
	const char *value;
	const char *want;
} decode_cases[] = {
	{ "plain", " Autocrypt Setup Message", "Autocrypt Setup Message" },
	{ "folded", " Autocrypt\r\n Setup Message", "Autocrypt Setup Message" },
	{ "encoded", " =?utf-8?q?Autocrypt_Setup?= Message",
	    "Autocrypt Setup Message" },
	{ "cut", " 0123456789012345678901234567890123",
	    "0123456789012345678901234567890" },
	{ "empty", "", "" },
};

static void decode(void **state)
{
	const struct decode_case *c = *state;
	char buf[32];

	header_decode(span_of(c->value), buf, sizeof(buf));
	assert_string_equal(buf, c->want);
}

static void decode_nothing(void **state)
{
	char buf[4] = "x";

	header_decode(span_make(NULL, 0), buf, sizeof(buf));
	assert_string_equal(buf, "");
}

/* What is cut off could be anything: a long value is not taken for a short one. */
static void decode_too_long(void **state)
{
	char value[HEADER_TEXT_MAX + 1], buf[4];

	memset(value, ' ', sizeof(value));
	value[0] = 'a';
	header_decode(span_make(value, HEADER_TEXT_MAX), buf, sizeof(buf));
	assert_string_equal(buf, "a");
	value[HEADER_TEXT_MAX] = 'b';
	header_decode(span_make(value, sizeof(value)), buf, sizeof(buf));
	assert_string_equal(buf, "");
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(block, block_cases) },
		{ SUPPORT_TEST(many_fields) },
		{ SUPPORT_TEST(lookup) },
		{ SUPPORT_TABLE(from, from_cases) },
		{ SUPPORT_TEST(from_of_any_length) },
		{ SUPPORT_TEST(from_into_a_small_buffer) },
		{ SUPPORT_TABLE(type, type_cases) },
		{ SUPPORT_TEST(type_too_long) },
		{ SUPPORT_TABLE(decode, decode_cases) },
		{ SUPPORT_TEST(decode_nothing) },
		{ SUPPORT_TEST(decode_too_long) },
	};

	return support_run("header", tests, ARRAY_LEN(tests));
}
