/* STUN's packets, both ways. */
#include "deploy/stun.h"

#include "test/support.h"

static const uint8_t id[STUN_ID_SIZE] = "abcdefghijkl";

#define HEAD(type, len)                                                                \
	type "\x00" len "\x21\x12\xa4\x42"                                             \
	     "abcdefghijkl"

static const struct parse_case {
	const char *name;
	struct span packet;
	const char *why; /* NULL: it is taken */
	bool success, relayed;
	unsigned error;
	const char *realm, *nonce;
} parse_cases[] = {
#define PACKET(s)                                                                      \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}
	{ "success with an address",
	    PACKET(HEAD(
		"\x01\x03", "\x0c") "\x00\x16\x00\x08\x00\x01\x21\x12\x01\x02\x03\x04"),
	    NULL, true, true, 0, "", "" },
	{ "success without", PACKET(HEAD("\x01\x03", "\x00")), NULL, true, false, 0, "",
	    "" },
	{ "unauthorized",
	    PACKET(HEAD("\x01\x13", "\x18") "\x00\x09\x00\x04\x00\x00\x04\x01"
					    "\x00\x14\x00\x02re\x00\x00"
					    "\x00\x15\x00\x03non\x00"),
	    NULL, false, false, 401, "re", "non" },
	{ "an error without its code", PACKET(HEAD("\x01\x13", "\x00")),
	    "an error without its code", false, false, 0, "", "" },
	{ "a broken code",
	    PACKET(HEAD("\x01\x13", "\x08") "\x00\x09\x00\x04\x00\x00\x07\x01"),
	    "a broken error code", false, false, 0, "", "" },
	{ "cut attribute", PACKET(HEAD("\x01\x03", "\x04") "\x00\x16\x00\x08"),
	    "an attribute that is cut off", true, false, 0, "", "" },
	{ "wrong length", PACKET(HEAD("\x01\x03", "\x04")), "a wrong length", false,
	    false, 0, "", "" },
	{ "another's answer",
	    PACKET("\x01\x03\x00\x00\x21\x12\xa4\x42"
		   "ABCDEFGHIJKL"),
	    "the answer to something else", false, false, 0, "", "" },
	{ "a request", PACKET(HEAD("\x00\x03", "\x00")), "no answer", false, false, 0,
	    "", "" },
	{ "DNS",
	    PACKET("\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00"
		   "aaaaaaaaaaaa"),
	    "no STUN", false, false, 0, "", "" },
	{ "nothing", PACKET(""), "no STUN", false, false, 0, "", "" },
};

static void parse(void **state)
{
	const struct parse_case *c = *state;
	struct stun_reply reply;
	const char *why = stun_parse(&reply, c->packet, STUN_ALLOCATE, id);

	if (c->why) {
		assert_non_null(why);
		assert_string_equal(why, c->why);
		return;
	}
	assert_null(why);
	assert_int_equal(reply.success, c->success);
	assert_int_equal(reply.relayed, c->relayed);
	assert_int_equal(reply.error, c->error);
	assert_true(span_is(reply.realm, c->realm));
	assert_true(span_is(reply.nonce, c->nonce));
}

static void asks_without_credentials(void **state)
{
	static const char expected[] =
	    HEAD("\x00\x03", "\x08") "\x00\x19\x00\x04\x11\x00\x00\x00";
	uint8_t packet[STUN_MAX];

	assert_int_equal(
	    stun_write(packet, STUN_ALLOCATE, id, NULL), sizeof(expected) - 1);
	assert_memory_equal(packet, expected, sizeof(expected) - 1);
}

/* The integrity is HMAC-SHA1 by Python's hmac of the same bytes. */
static void asks_with_credentials(void **state)
{
	static const uint8_t mac[] = { 0x49, 0x85, 0x59, 0xf8, 0x08, 0xc4, 0xfb, 0x5b,
		0x28, 0xc1, 0x6f, 0x1f, 0x16, 0xa0, 0x7b, 0xde, 0xee, 0x0f, 0x98,
		0x37 };
	const struct stun_credentials c = { span_of("user"), span_of("pass"),
		span_of("realm"), span_of("nonce") };
	uint8_t packet[STUN_MAX];
	size_t n = stun_write(packet, STUN_ALLOCATE, id, &c);

	assert_int_equal(n, 20 + 8 + 8 + 12 + 12 + 24);
	assert_int_equal(packet[3], n - 20);
	assert_memory_equal(packet + n - 24, "\x00\x08\x00\x14", 4);
	assert_memory_equal(packet + n - 20, mac, sizeof(mac));
}

static void too_long_is_none(void **state)
{
	char nonce[STUN_MAX];
	uint8_t packet[STUN_MAX];
	struct stun_credentials c = { span_of("user"), span_of("pass"),
		span_of("realm"), span_make(nonce, sizeof(nonce)) };

	memset(nonce, 'n', sizeof(nonce));
	assert_int_equal(stun_write(packet, STUN_ALLOCATE, id, &c), 0);
	c.nonce.len = STUN_MAX - 20 - 8 - 8 - 12 - 4; /* the integrity has no room */
	assert_int_equal(stun_write(packet, STUN_ALLOCATE, id, &c), 0);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(parse, parse_cases) },
		{ SUPPORT_TEST(asks_without_credentials) },
		{ SUPPORT_TEST(asks_with_credentials) },
		{ SUPPORT_TEST(too_long_is_none) },
	};

	return support_run("stun", tests, ARRAY_LEN(tests));
}
