#include "milter/packet.h"

#include "test/support.h"

#define HEX(s)                                                                         \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}

/* Octets one by one, then skip octets more of the body that is being read. */
static const struct packet_case {
	const char *name;
	struct span octets;
	uint64_t skip;
	const char *why; /* NULL: an encrypted message */
} packet_cases[] = {
	{ "nothing", HEX(""), 0, "packet: none" },
	{ "seipd alone", HEX("\xd2\x03\x01\xaa\xbb"), 0, NULL },
	{ "empty seipd", HEX("\xd2\x00"), 0, NULL },
	{ "pkesk, seipd", HEX("\xc1\x02\x03\x00\xd2\x01\x01"), 0, NULL },
	{ "pkesk, skesk, pkesk, seipd",
	    HEX("\xc1\x01\x03\xc3\x01\x04\xc1\x01\x06\xd2\x01\x02"), 0, NULL },
	{ "legacy pkesk, one octet", HEX("\x84\x02\x03\x00\xd2\x01\x01"), 0, NULL },
	{ "legacy pkesk, two octets", HEX("\x85\x00\x02\x03\x00\xd2\x01\x01"), 0,
	    NULL },
	{ "legacy skesk, four octets", HEX("\x8e\x00\x00\x00\x01\x04\xd2\x01\x01"), 0,
	    NULL },
	{ "legacy, indeterminate", HEX("\x87\x02"), 0, "packet: indeterminate length" },
	{ "two-octet length, least", HEX("\xd2\xc0\x00"), 192, NULL },
	{ "two-octet length, most", HEX("\xd2\xdf\xff"), 8383, NULL },
	{ "two-octet length, one less there", HEX("\xd2\xdf\xff"), 8382,
	    "packet: cut short" },
	{ "five-octet length", HEX("\xd2\xff\x00\x01\x00\x00"), 65536, NULL },
	{ "five-octet length, most", HEX("\xd2\xff\xff\xff\xff\xff"), UINT32_MAX,
	    NULL },
	{ "five-octet length, 32 bits do not wrap", HEX("\xd2\xff\xff\xff\xff\xff"), 4,
	    "packet: cut short" },
	{ "five-octet length that would wrap to the end",
	    HEX("\xc1\xff\xff\xff\xff\xfc\xd2\x01\x01"), 0, "packet: cut short" },
	{ "partial", HEX("\xd2\xe1\xaa\xbb\x01\xcc"), 0, NULL },
	{ "partial, many", HEX("\xd2\xe0\xaa\xe0\xbb\xe0\xcc\x00"), 0, NULL },
	{ "partial, then two-octet", HEX("\xd2\xe0\xaa\xc0\x00"), 192, NULL },
	{ "partial, then five-octet", HEX("\xd2\xe0\xaa\xff\x00\x00\x01\x00"), 256,
	    NULL },
	{ "partial without last", HEX("\xd2\xe1\xaa\xbb"), 0, "packet: cut short" },
	{ "largest partial, 2^30, cut short", HEX("\xd2\xfe"), 1 << 29,
	    "packet: cut short" },
	{ "partial pkesk", HEX("\xc1\xe1\xaa\xbb\x00\xd2\x00"), 0,
	    "packet: partial length of a session key" },
	{ "partial skesk", HEX("\xc3\xe1\xaa\xbb\x00\xd2\x00"), 0,
	    "packet: partial length of a session key" },
	{ "tag without bit 7", HEX("\x52\x01\x01"), 0, "packet: no tag" },
	{ "session key only", HEX("\xc1\x01\x03"), 0, "packet: no encrypted data" },
	{ "tag only", HEX("\xd2"), 0, "packet: cut short" },
	{ "length half there", HEX("\xd2\xff\x00"), 0, "packet: cut short" },
	{ "body half there", HEX("\xd2\x02\xaa"), 0, "packet: cut short" },
	{ "octet behind seipd", HEX("\xd2\x00\x00"), 0, "packet: no tag" },
	{ "two seipds", HEX("\xd2\x00\xd2\x00"), 0,
	    "packet: octets behind the encrypted data" },
	{ "padding behind seipd", HEX("\xd2\x00\xd5\x00"), 0,
	    "packet: octets behind the encrypted data" },
	{ "signature", HEX("\xc2\x00"), 0,
	    "packet: neither session key nor encrypted data" },
	{ "compressed", HEX("\xc8\x00"), 0,
	    "packet: neither session key nor encrypted data" },
	{ "legacy compressed", HEX("\xa3\x00"), 0,
	    "packet: neither session key nor encrypted data" },
	{ "symmetric without integrity", HEX("\xc9\x00"), 0,
	    "packet: neither session key nor encrypted data" },
	{ "marker", HEX("\xca\x00"), 0,
	    "packet: neither session key nor encrypted data" },
	{ "literal", HEX("\xcb\x00"), 0,
	    "packet: neither session key nor encrypted data" },
	{ "aead, type 20", HEX("\xd4\x00"), 0,
	    "packet: neither session key nor encrypted data" },
	{ "padding first", HEX("\xd5\x00\xd2\x00"), 0,
	    "packet: neither session key nor encrypted data" },
	{ "type 0", HEX("\xc0\x00"), 0,
	    "packet: neither session key nor encrypted data" },
	{ "literal behind a session key", HEX("\xc1\x00\xcb\x00"), 0,
	    "packet: neither session key nor encrypted data" },
};

static void packet(void **state)
{
	const struct packet_case *c = *state;
	struct packet_walk w;
	const char *why = NULL;

	packet_init(&w);
	for (size_t i = 0; !why && i < c->octets.len; i++) {
		if (w.body)
			w.body--;
		else
			why = packet_octet(&w, (uint8_t)c->octets.data[i]);
	}
	if (!why && c->skip) {
		assert_true(w.body >= c->skip);
		w.body -= c->skip;
	}
	if (!why)
		why = packet_end(&w);
	if (c->why)
		assert_string_equal(why ? why : "accepted", c->why);
	else
		assert_null(why);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(packet, packet_cases) },
	};

	return support_run("packet", tests, ARRAY_LEN(tests));
}
