/* Mail addresses: split, domain, path, local part, mailbox. */
#include "proto/address.h"

#include <stdlib.h>

#include "test/support.h"

#define SPAN(literal)                                                                  \
	{                                                                              \
		literal, sizeof(literal) - 1                                           \
	}

static const struct split_case {
	const char *name;
	const char *address;
	const char *local; /* NULL: not to be split */
	const char *domain;
} split_cases[] = {
	{ "plain", "a@b", "a", "b" },
	{ "literal", "a@[192.0.2.1]", "a", "[192.0.2.1]" },
	{ "no local part", "@b", "", "b" },
	{ "no domain", "a@", "a", "" },
	{ "only @", "@", "", "" },
	{ "no @", "ab", NULL, NULL },
	{ "empty", "", NULL, NULL },
	{ "two @", "a@b@c", NULL, NULL },
	{ "null sender as written", "<>", NULL, NULL },
};

static void split(void **state)
{
	const struct split_case *c = *state;
	struct span local, domain;

	assert_int_equal(
	    address_split(span_of(c->address), &local, &domain), !!c->local);
	if (c->local) {
		support_assert_span(local, span_of(c->local));
		support_assert_span(domain, span_of(c->domain));
	}
}

static const struct in_domain_case {
	const char *name;
	const char *address, *domain;
	bool in;
} in_domain_cases[] = {
	{ "plain", "a@x.org", "x.org", true },
	{ "literal", "a@[192.0.2.1]", "[192.0.2.1]", true },
	{ "literal without brackets", "a@[192.0.2.1]", "192.0.2.1", false },
	{ "no local part", "@x.org", "x.org", true },
	{ "subdomain", "a@b.x.org", "x.org", false },
	{ "other domain", "a@xx.org", "x.org", false },
	{ "upper case", "a@X.org", "x.org", false },
	{ "domain alone", "x.org", "x.org", false },
	{ "shorter", "org", "x.org", false },
	{ "empty", "", "x.org", false },
	{ "trailing dot", "a@x.org.", "x.org", false },
};

static void in_domain(void **state)
{
	const struct in_domain_case *c = *state;

	assert_int_equal(address_in_domain(span_of(c->address), c->domain), c->in);
}

static const struct path_case {
	const char *name;
	struct span address;
	bool is;
} path_cases[] = {
	{ "plain", SPAN("a@x.org"), true },
	{ "literal", SPAN("a@[192.0.2.1]"), true },
	{ "blank is odd but one name", SPAN("a b@x"), true },
	{ "empty", SPAN(""), false },
	{ "no @", SPAN("abc"), false },
	{ "dot", SPAN("."), false },
	{ "dots", SPAN(".."), false },
	{ "dot first", SPAN(".a@x"), false },
	{ "parent", SPAN("../some@dom"), false },
	{ "slash", SPAN("a/b@x"), false },
	{ "slash behind", SPAN("a@x/.."), false },
	{ "NUL", SPAN("a\0b@x"), false },
	{ "LF", SPAN("a\n@x"), false },
	{ "DEL", SPAN("a\x7f@x"), false },
};

static void path(void **state)
{
	const struct path_case *c = *state;

	assert_int_equal(address_is_path(c->address), c->is);
}

static void path_length(void **state)
{
	char name[ADDRESS_PATH_MAX + 1];

	memset(name, 'a', sizeof(name));
	name[3] = '@';
	assert_true(address_is_path(span_make(name, ADDRESS_PATH_MAX)));
	assert_false(address_is_path(span_make(name, ADDRESS_PATH_MAX + 1)));
}

static const struct local_case {
	const char *name;
	const char *local;
	bool creatable;
} local_cases[] = {
	{ "letters", "abc", true },
	{ "digits", "123", true },
	{ "all kinds", "a.b-c_9", true },
	{ "one letter", "a", true },
	{ "letter behind dots", "..a", true },
	{ "empty", "", false },
	{ "dot", ".", false },
	{ "dots", "..", false },
	{ "dashes", "-_-", false },
	{ "upper case", "Abc", false },
	{ "plus", "a+b", false },
	{ "blank", "a b", false },
	{ "bang", "a!b", false },
	{ "backslash", "a\\b", false },
	{ "slash", "a/b", false },
	{ "at", "a@b", false },
	{ "UTF-8", "\xc3\xa4", false },
};

static void local(void **state)
{
	const struct local_case *c = *state;

	assert_int_equal(address_local_creatable(span_of(c->local)), c->creatable);
}

static const struct mailbox_case {
	const char *name;
	const char *address;
	const char *mailbox; /* NULL: none */
} mailbox_cases[] = {
	{ "as it is", "user@x.org", "user@x.org" },
	{ "upper case", "USER@X.Org", "user@x.org" },
	{ "detail", "user+x@x.org", "user@x.org" },
	{ "two details", "user+x+y@x.org", "user@x.org" },
	{ "empty detail", "user+@x.org", "user@x.org" },
	{ "plus first", "+x+y@x.org", "+x+y@x.org" },
	{ "plus in domain", "user@x+y.org", "user@x+y.org" },
	{ "both", "User+X@x.ORG", "user@x.org" },
	{ "literal", "User+x@[192.0.2.1]", "user@[192.0.2.1]" },
	{ "quoted", "\"User\"@x.org", "user@x.org" },
	{ "quoted detail", "\"user+x\"@x.org", "user@x.org" },
	{ "quoted pair", "\"us\\er\"@x.org", "user@x.org" },
	{ "quoted @", "\"user@x.org\"@y.org", "user@x.org@y.org" },
	{ "quoted quote", "\"a\\\"b\"@x.org", "a\"b@x.org" },
	{ "quote does not end", "\"user@x.org", NULL },
	{ "quote ended by a pair", "\"user\\\"@x.org", NULL },
	{ "quote ends early", "\"us\"er@x.org", NULL },
	{ "dot behind domain", "user@x.org.", "user@x.org" },
	{ "two dots behind", "user@x.org..", "user@x.org." },
	{ "dot alone", "user@.", "user@." },
	{ "no @", "User+x", "user" },
	{ "no domain", "User@", "user@" },
	{ "empty", "", "" },
	{ "UTF-8", "\xc3\x84@x.org", "\xc3\x84@x.org" },
};

static void mailbox(void **state)
{
	const struct mailbox_case *c = *state;
	size_t size = strlen(c->address) + 1;
	char *buf = malloc(size);
	int n;

	assert_non_null(buf);
	n = address_mailbox(span_of(c->address), buf, size);
	if (c->mailbox) {
		assert_string_equal(buf, c->mailbox);
		assert_int_equal(n, strlen(c->mailbox));
	} else {
		assert_int_equal(n, -1);
	}
	free(buf);
}

static void mailbox_does_not_fit(void **state)
{
	char buf[8];

	assert_int_equal(address_mailbox(span_of("abc@def"), buf, 8), 7);
	assert_int_equal(address_mailbox(span_of("abc@defg"), buf, 8), -1);
	assert_int_equal(address_mailbox(span_of(""), buf, 0), -1);
}

static void mailbox_with_nul(void **state)
{
	char buf[32];

	assert_int_equal(address_mailbox(span_make("a\0b@x", 5), buf, sizeof(buf)), -1);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(split, split_cases) },
		{ SUPPORT_TABLE(in_domain, in_domain_cases) },
		{ SUPPORT_TABLE(path, path_cases) },
		{ SUPPORT_TEST(path_length) },
		{ SUPPORT_TABLE(local, local_cases) },
		{ SUPPORT_TABLE(mailbox, mailbox_cases) },
		{ SUPPORT_TEST(mailbox_does_not_fit) },
		{ SUPPORT_TEST(mailbox_with_nul) },
	};

	return support_run("address", tests, ARRAY_LEN(tests));
}
