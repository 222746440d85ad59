/* Our reading alone; where GMime must agree, test_header.c asks both. */
#include "milter/strict.h"

#include <stdio.h>

#include "test/support.h"

static const struct mailbox_case {
	const char *name;
	const char *value;
	const char *address; /* NULL: refused */
} mailbox_cases[] = {
	{ "bare", "a@x", "a@x" },
	{ "angle", "<a@x>", "a@x" },
	{ "name", "N <a@x>", "a@x" },
	{ "quoted name", "\"N, M: <b@y>; \\\"\" <a@x>", "a@x" },
	{ "name of atoms with dots", "John Q. Public <a@x>", "a@x" },
	{ "name in UTF-8", "J\xc3\xb6rg <a@x>", "a@x" },
	{ "encoded name", "=?utf-8?q?b=40y?= <a@x>", "a@x" },
	{ "name without a blank", "N<a@x>", "a@x" },
	{ "comment behind", "a@x (comment)", "a@x" },
	{ "comment before", "(com (nested\\)) ment) <a@x> (more)", "a@x" },
	{ "blanks inside the angles", "< a@x >", "a@x" },
	{ "letter case is kept", "<A@X.Example>", "A@X.Example" },
	{ "address literal", "<a@[192.0.2.1]>", "a@[192.0.2.1]" },
	{ "bare IPv6 literal", "a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]" },
	{ "empty", "", NULL },
	{ "blank", " \t", NULL },
	{ "null sender", "<>", NULL },
	{ "no @", "<a>", NULL },
	{ "two @", "<a@b@x>", NULL },
	{ "nothing before the @", "<@x>", NULL },
	{ "nothing behind the @", "<a@>", NULL },
	{ "two mailboxes", "a@x, c@y", NULL },
	{ "two angles", "<a@x> <c@y>", NULL },
	{ "two angles with a comma", "<a@x>, <c@y>", NULL },
	{ "address as name", "c@y <a@x>", NULL },
	{ "address behind the angle", "<a@x> c@y", NULL },
	{ "comma at the end", "a@x,", NULL },
	{ "comma first", ",a@x", NULL },
	{ "group", "g: a@x;", NULL },
	{ "empty group", "g:;", NULL },
	{ "nested groups", "a:a:a:a:a:b@x;", NULL },
	{ "source route", "<@c,@d:a@x>", NULL },
	{ "quoted local part", "\"a b\"@x", NULL },
	{ "quoted local part in angles", "<\"a\"@x>", NULL },
	{ "comment inside", "a(c)@x", NULL },
	{ "comment behind the @", "a@(c)x", NULL },
	{ "comment inside the angles", "<a@x(c)>", NULL },
	{ "blank inside", "a @x", NULL },
	{ "open comment", "a@x (comment", NULL },
	{ "open quote", "\"N <a@x>", NULL },
	{ "open angle", "N <a@x", NULL },
	{ "angle in angle", "<<a@x>>", NULL },
	{ "closing angle only", "a@x>", NULL },
	{ "open literal", "a@[192.0.2.1", NULL },
	{ "text behind a literal", "a@[192.0.2.1]b", NULL },
	{ "colon in a domain", "a@x:25", NULL },
	{ "control byte", "a\x01@x", NULL },
	{ "control byte in a name", "\"N\x1b\" <a@x>", NULL },
	{ "brackets in a name", "[N] <a@x>", NULL },
	{ "backslash", "a\\@x", NULL },
};

static void mailbox(void **state)
{
	const struct mailbox_case *c = *state;
	struct span address;
	const char *why = strict_mailbox(&address, span_of(c->value));

	assert_int_equal(why == NULL, c->address != NULL);
	if (c->address)
		support_assert_span(address, span_of(c->address));
}

static const struct type_case {
	const char *name;
	const char *value;
	const char *type, *subtype, *boundary; /* type NULL: refused */
} type_cases[] = {
	{ "plain", "text/plain", "text", "plain", "" },
	{ "letter case", "Multipart/ENCRYPTED; Boundary=aB", "multipart", "encrypted",
	    "aB" },
	{ "quoted boundary", "multipart/mixed; boundary=\"a b\"", "multipart", "mixed",
	    "a b" },
	{ "blanks", " multipart/mixed ;\tboundary=x ; charset=utf-8 ", "multipart",
	    "mixed", "x" },
	{ "no blanks", "multipart/mixed;charset=utf-8;boundary=x", "multipart", "mixed",
	    "x" },
	{ "last semicolon", "multipart/mixed; boundary=x;", "multipart", "mixed", "x" },
	{ "boundary in another value", "text/plain; name=\"; boundary=x\"", "text",
	    "plain", "" },
	{ "escape in another value", "text/plain; name=\"a\\\"b\"", "text", "plain",
	    "" },
	{ "name in pieces", "application/octet-stream; name*0=a; name*1=b",
	    "application", "octet-stream", "" },
	{ "empty", "", NULL, NULL, NULL },
	{ "no slash", "text", NULL, NULL, NULL },
	{ "no subtype", "text/", NULL, NULL, NULL },
	{ "no type", "/plain", NULL, NULL, NULL },
	{ "blank at the slash", "text /plain", NULL, NULL, NULL },
	{ "two slashes", "text/plain/x", NULL, NULL, NULL },
	{ "text behind", "text/plain x", NULL, NULL, NULL },
	{ "comment", "multipart/mixed (c); boundary=x", NULL, NULL, NULL },
	{ "comment in a parameter", "multipart/mixed; boundary=x(c)", NULL, NULL,
	    NULL },
	{ "two boundaries", "multipart/mixed; boundary=x; boundary=y", NULL, NULL,
	    NULL },
	{ "two boundaries, letter case", "multipart/mixed; boundary=x; BOUNDARY=x",
	    NULL, NULL, NULL },
	{ "other parameter twice", "text/plain; a=1; a=1", NULL, NULL, NULL },
	{ "encoded boundary", "multipart/mixed; boundary*=utf-8''x", NULL, NULL, NULL },
	{ "boundary in pieces", "multipart/mixed; boundary*0=x; boundary*1=y", NULL,
	    NULL, NULL },
	{ "both boundaries", "multipart/mixed; boundary=x; boundary*=''y", NULL, NULL,
	    NULL },
	{ "escape in the boundary", "multipart/mixed; boundary=\"a\\b\"", NULL, NULL,
	    NULL },
	{ "odd character in an unquoted value", "multipart/mixed; boundary=a=b", NULL,
	    NULL, NULL },
	{ "blank at the equal sign", "multipart/mixed; boundary =x", NULL, NULL, NULL },
	{ "no value", "multipart/mixed; boundary=", NULL, NULL, NULL },
	{ "no equal sign", "multipart/mixed; boundary", NULL, NULL, NULL },
	{ "empty parameter", "multipart/mixed;; boundary=x", NULL, NULL, NULL },
	{ "open quote", "multipart/mixed; boundary=\"x", NULL, NULL, NULL },
	{ "text behind a quote", "multipart/mixed; boundary=\"x\"y", NULL, NULL, NULL },
	{ "8 bit", "text/pl\xc3\xa4in", NULL, NULL, NULL },
	{ "control byte", "text/plain; a=\"\x01\"", NULL, NULL, NULL },
	{ "type of 64 bytes",
	    "0123456789012345678901234567890123456789012345678901234567890123/x", NULL,
	    NULL, NULL },
};

static void type(void **state)
{
	const struct type_case *c = *state;
	struct content_type ct;

	assert_int_equal(strict_content_type(&ct, span_of(c->value)), c->type != NULL);
	if (!c->type)
		return;
	assert_string_equal(ct.type, c->type);
	assert_string_equal(ct.subtype, c->subtype);
	assert_string_equal(ct.boundary, c->boundary);
}

static void many_parameters(void **state)
{
	struct content_type ct;
	char value[1024];

	for (int n = 31; n <= 33; n++) {
		int len = snprintf(value, sizeof(value), "text/plain");

		for (int i = 0; i < n; i++)
			len += snprintf(
			    value + len, sizeof(value) - (size_t)len, "; p%d=x", i);
		assert_int_equal(strict_content_type(&ct, span_of(value)), n <= 32);
	}
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(mailbox, mailbox_cases) },
		{ SUPPORT_TABLE(type, type_cases) },
		{ SUPPORT_TEST(many_parameters) },
	};

	return support_run("strict", tests, ARRAY_LEN(tests));
}
