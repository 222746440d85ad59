#include "milter/openpgp.h"

#include <stdlib.h>

#include "test/support.h"

#define TEXT(s)                                                                        \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}
#define BEGIN "-----BEGIN PGP MESSAGE-----\r\n"
#define END   "-----END PGP MESSAGE-----"

/* One SEIPD packet of 5, 6 and 4 octets. */
#define FIVE "0gMBqrs="
#define SIX  "0gQBqrvM"
#define FOUR "0gIBqg=="

static const struct armor_case {
	const char *name;
	struct span in;
	bool version_accepted;
	const char *why; /* NULL: an encrypted message */
} armor_cases[] = {
	{ "as Delta Chat writes it", TEXT(BEGIN "\r\n" SIX "\r\n=njUN\r\n" END "\r\n"),
	    false, NULL },
	{ "three line ends behind",
	    TEXT(BEGIN "\r\n" SIX "\r\n=njUN\r\n" END "\r\n\r\n\r\n"), false, NULL },
	{ "two line ends behind", TEXT(BEGIN "\r\n" SIX "\r\n=njUN\r\n" END "\r\n\r\n"),
	    false, NULL },
	{ "no line end behind", TEXT(BEGIN "\r\n" SIX "\r\n=njUN\r\n" END), false,
	    NULL },
	{ "no checksum", TEXT(BEGIN "\r\n" SIX "\r\n" END), false, NULL },
	{ "one padding", TEXT(BEGIN "\r\n" FIVE "\r\n=njUN\r\n" END), false, NULL },
	{ "two paddings", TEXT(BEGIN "\r\n" FOUR "\r\n=njUN\r\n" END), false, NULL },
	{ "padding, no checksum", TEXT(BEGIN "\r\n" FOUR "\r\n" END), false, NULL },
	{ "no blank line", TEXT(BEGIN SIX "\r\n" END), false, NULL },
	{ "many blank lines", TEXT(BEGIN "\r\n\r\n\r\n\r\n" SIX "\r\n" END), false,
	    NULL },
	{ "short lines", TEXT(BEGIN "\r\n0\r\ngQ\r\nBqrvM\r\n" END), false, NULL },
	{ "session key first", TEXT(BEGIN "\r\nwQED0gQBqrvM\r\n" END), false, NULL },
	{ "legacy session key first", TEXT(BEGIN "\r\nhAED0gQBqrvM\r\n" END), false,
	    NULL },
	{ "version, incoming", TEXT(BEGIN "Version: ProtonMail\r\n\r\n" SIX "\r\n" END),
	    true, NULL },
	{ "version without blank line", TEXT(BEGIN "Version: X\r\n" SIX "\r\n" END),
	    true, NULL },
	{ "empty version", TEXT(BEGIN "Version: \r\n\r\n" SIX "\r\n" END), true, NULL },
	{ "no version, incoming", TEXT(BEGIN "\r\n" SIX "\r\n" END), true, NULL },
	{ "no version and no blank line, incoming", TEXT(BEGIN SIX "\r\n" END), true,
	    NULL },
	{ "version, outgoing", TEXT(BEGIN "Version: X\r\n\r\n" SIX "\r\n" END), false,
	    "packet: no tag" },
	{ "two versions", TEXT(BEGIN "Version: X\r\nVersion: X\r\n\r\n" SIX "\r\n" END),
	    true, "packet: no tag" },
	{ "version behind a blank line",
	    TEXT(BEGIN "\r\nVersion: X\r\n\r\n" SIX "\r\n" END), true,
	    "packet: no tag" },
	{ "version without blank", TEXT(BEGIN "Version:X\r\n\r\n" SIX "\r\n" END), true,
	    "packet: no tag" },
	{ "half a version", TEXT(BEGIN "Vers\r\n" SIX "\r\n" END), true,
	    "packet: no tag" },
	{ "version of 129 bytes",
	    TEXT(
		BEGIN "Version: "
		      "0123456789012345678901234567890123456789012345678901234567890123"
		      "0123456789012345678901234567890123456789012345678901234567890123"
		      "4\r\n\r\n" SIX "\r\n" END),
	    true, "armor: odd version" },
	{ "version with a control byte",
	    TEXT(BEGIN "Version: \x1b[2J\r\n\r\n" SIX "\r\n" END), true,
	    "armor: odd version" },
	{ "comment", TEXT(BEGIN "Comment: hi\r\n\r\n" SIX "\r\n" END), true,
	    "packet: no tag" },
	{ "hash", TEXT(BEGIN "Hash: SHA256\r\n\r\n" SIX "\r\n" END), true,
	    "packet: no tag" },
	{ "blank line of a blank", TEXT(BEGIN " \r\n" SIX "\r\n" END), false,
	    "armor: not in the base64 alphabet" },
	{ "nothing", TEXT(""), false, "armor: cut short" },
	{ "only begin", TEXT(BEGIN), false, "armor: cut short" },
	{ "only end", TEXT(END "\r\n"), false, "armor: no begin line" },
	{ "begin and end", TEXT(BEGIN END), false, "packet: none" },
	{ "begin, blank line and end", TEXT(BEGIN "\r\n" END), false, "packet: none" },
	{ "only a checksum", TEXT(BEGIN "\r\n=njUN\r\n" END), false, "packet: none" },
	{ "text", TEXT(BEGIN "\r\nHi!\r\n" END), false, "packet: no tag" },
	{ "HELLOWORLD", TEXT(BEGIN "\r\nHELLOWORLD\r\n" END), false, "packet: no tag" },
	{ "text in base64", TEXT(BEGIN "\r\nSGVsbG8sIHdvcmxkIQ==\r\n=njUN\r\n" END),
	    false, "packet: no tag" },
	{ "literal packet", TEXT(BEGIN "\r\nywEA\r\n=njUN\r\n" END), false,
	    "packet: neither session key nor encrypted data" },
	{ "blank line first", TEXT("\r\n" BEGIN "\r\n" SIX "\r\n" END), false,
	    "armor: no begin line" },
	{ "byte order mark", TEXT("\xef\xbb\xbf" BEGIN "\r\n" SIX "\r\n" END), false,
	    "armor: no begin line" },
	{ "blank behind begin",
	    TEXT("-----BEGIN PGP MESSAGE----- \r\n\r\n" SIX "\r\n" END), false,
	    "armor: no begin line" },
	{ "other armor", TEXT("-----BEGIN PGP SIGNATURE-----\r\n\r\n" SIX "\r\n" END),
	    false, "armor: no begin line" },
	{ "LF behind begin", TEXT("-----BEGIN PGP MESSAGE-----\n\n" SIX "\n" END),
	    false, "armor: no begin line" },
	{ "LF in the data", TEXT(BEGIN "\r\n0gQB\nqrvM\r\n" END), false,
	    "armor: bare CR or LF" },
	{ "CR in the data", TEXT(BEGIN "\r\n0gQB\rqrvM\r\n" END), false,
	    "armor: bare CR or LF" },
	{ "CR CR LF", TEXT(BEGIN "\r\n0gQB\r\r\nqrvM\r\n" END), false,
	    "armor: bare CR or LF" },
	{ "LF for the blank line", TEXT(BEGIN "\n" SIX "\r\n" END), false,
	    "armor: bare CR or LF" },
	{ "CR at the end", TEXT(BEGIN "\r\n" SIX "\r\n" END "\r"), false,
	    "armor: bare CR or LF" },
	{ "LF at the end", TEXT(BEGIN "\r\n" SIX "\r\n" END "\n"), false,
	    "armor: bare CR or LF" },
	{ "blank line in the data", TEXT(BEGIN "\r\n0gQB\r\n\r\nqrvM\r\n" END), false,
	    "armor: blank line in the data" },
	{ "blank in the data", TEXT(BEGIN "\r\n0gQB qrvM\r\n" END), false,
	    "armor: not in the base64 alphabet" },
	{ "NUL in the data", TEXT(BEGIN "\r\n0gQB\0qrvM\r\n" END), false,
	    "armor: not in the base64 alphabet" },
	{ "dash in the data", TEXT(BEGIN "\r\n0gQB-qrvM\r\n" END), false,
	    "armor: not in the base64 alphabet" },
	{ "padding inside the data", TEXT(BEGIN "\r\n" FIVE "\r\nqrvM\r\n" END), false,
	    "armor: text behind the data" },
	{ "padding inside a line", TEXT(BEGIN "\r\n" FIVE "qrvM\r\n" END), false,
	    "armor: padding out of place" },
	{ "too much padding", TEXT(BEGIN "\r\n" FIVE "=\r\n" END), false,
	    "armor: padding out of place" },
	{ "half the padding", TEXT(BEGIN "\r\n0gIBqg=\r\n" END), false,
	    "armor: padding out of place" },
	{ "padding behind whole quads", TEXT(BEGIN "\r\n" SIX "=\r\n" END), false,
	    "armor: padding out of place" },
	{ "padding on a line of its own", TEXT(BEGIN "\r\n0gMBqrs\r\n=\r\n" END), false,
	    "armor: data without padding" },
	{ "no padding", TEXT(BEGIN "\r\n0gMBqrs\r\n" END), false,
	    "armor: data without padding" },
	{ "bits behind the end", TEXT(BEGIN "\r\n0gMBqrt=\r\n" END), false,
	    "armor: bits behind the end" },
	{ "checksum too short", TEXT(BEGIN "\r\n" SIX "\r\n=njU\r\n" END), false,
	    "armor: bad checksum line" },
	{ "checksum too long", TEXT(BEGIN "\r\n" SIX "\r\n=njUNN\r\n" END), false,
	    "armor: bad checksum line" },
	{ "checksum with a blank", TEXT(BEGIN "\r\n" SIX "\r\n=nj N\r\n" END), false,
	    "armor: bad checksum line" },
	{ "checksum in the data's line", TEXT(BEGIN "\r\n" SIX "=njUN\r\n" END), false,
	    "armor: padding out of place" },
	{ "text behind the checksum",
	    TEXT(BEGIN "\r\n" SIX "\r\n=AAAA\r\nany text\r\n" END), false,
	    "armor: text behind the data" },
	{ "two checksums", TEXT(BEGIN "\r\n" SIX "\r\n=njUN\r\n=njUN\r\n" END), false,
	    "armor: text behind the data" },
	{ "blank line behind the checksum",
	    TEXT(BEGIN "\r\n" SIX "\r\n=njUN\r\n\r\n" END), false,
	    "armor: text behind the data" },
	{ "end in the data's line", TEXT(BEGIN "\r\n" SIX END), false,
	    "armor: not in the base64 alphabet" },
	{ "end with text", TEXT(BEGIN "\r\n" SIX "\r\n" END " x"), false,
	    "armor: text behind the end" },
	{ "text behind the end", TEXT(BEGIN "\r\n" SIX "\r\n" END "\r\nx"), false,
	    "armor: text behind the end" },
	{ "two messages",
	    TEXT(BEGIN "\r\n" SIX "\r\n" END "\r\n" BEGIN "\r\n" SIX "\r\n" END), false,
	    "armor: text behind the end" },
	{ "end of another armor",
	    TEXT(BEGIN "\r\n" SIX "\r\n-----END PGP SIGNATURE-----\r\n"), false,
	    "armor: bad end line" },
	{ "end cut short", TEXT(BEGIN "\r\n" SIX "\r\n-----END PGP"), false,
	    "armor: cut short" },
	{ "packet cut short", TEXT(BEGIN "\r\n0gUBqrvM\r\n" END), false,
	    "packet: cut short" },
	{ "octets behind the packet", TEXT(BEGIN "\r\n0gMBqrvM\r\n" END), false,
	    "packet: octets behind the encrypted data" },
};

struct reader {
	bool version_accepted;
	const char *want;
	const char *why;
	struct openpgp openpgp;
};

static void armor_begin(void *arg)
{
	struct reader *r = arg;

	r->why = NULL;
	openpgp_init(&r->openpgp, r->version_accepted);
}

static void armor_feed(void *arg, const char *bytes, size_t len)
{
	struct reader *r = arg;

	if (!r->why)
		r->why = openpgp_feed(&r->openpgp, span_make(bytes, len));
}

static void read_end(struct reader *r)
{
	if (!r->why)
		r->why = openpgp_end(&r->openpgp);
}

static void armor_end(void *arg, const char *cut)
{
	struct reader *r = arg;

	read_end(r);
	if (!r->want && r->why)
		fail_msg("%s: %s", cut, r->why);
	if (r->want)
		assert_string_equal(r->why ? r->why : cut, r->want);
}

static const struct support_feeder armor_feeder = { armor_begin, armor_feed,
	armor_end };

static void armor(void **state)
{
	const struct armor_case *c = *state;
	struct reader r = { .version_accepted = c->version_accepted, .want = c->why };

	support_every_cut(&armor_feeder, &r, c->in.data, c->in.len);
}

/*
 * A large message in lines of width characters: a SEIPD packet in partial lengths of
 * 2^power octets, so that lengths fall on any place of a run.
 */
static size_t large(char *out, unsigned width, unsigned power, unsigned chunks)
{
	static const char base64[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789+/";
	uint64_t seed = width;
	size_t octets = 2 + chunks * (((size_t)1 << power) + 1);
	size_t len = strlen(BEGIN), next = 1;
	unsigned bits = 0, nbits = 0, column = 0;

	memcpy(out, BEGIN, len);
	/* The last, whole, length is what makes the octets a multiple of three. */
	while (octets % 3)
		octets++;
	for (size_t i = 0; i < octets; i++) {
		unsigned octet = support_random(&seed, 256);

		if (i == 0) {
			octet = 0xd2;
		} else if (i == next && chunks) {
			octet = 224 + power;
			next += ((size_t)1 << power) + 1;
			chunks--;
		} else if (i == next) {
			octet = (unsigned)(octets - i - 1);
		}
		bits = bits << 8 | octet;
		nbits += 8;
		while (nbits >= 6) {
			nbits -= 6;
			out[len++] = base64[bits >> nbits & 63];
			if (++column == width || (i == octets - 1 && nbits == 0)) {
				out[len++] = '\r';
				out[len++] = '\n';
				column = 0;
			}
		}
	}
	memcpy(out + len, END, strlen(END));
	return len + strlen(END);
}

static const struct large_case {
	const char *name;
	unsigned width, power, chunks;
} large_cases[] = {
	{ "64 characters, one chunk", 64, 13, 1 },
	{ "76 characters, 512 octets", 76, 9, 30 },
	{ "one character a line", 1, 9, 3 },
	{ "odd width, odd places", 61, 5, 300 },
	{ "chunks of one octet", 64, 0, 3000 },
	{ "one line", 100000, 10, 9 },
	{ "no chunk", 64, 0, 0 },
};

static void large_message(void **state)
{
	const struct large_case *c = *state;
	struct reader r = { .want = NULL };
	char *text = malloc(64 * 1024);
	size_t len = large(text, c->width, c->power, c->chunks);

	assert_true(len < 64 * 1024);
	support_every_cut(&armor_feeder, &r, text, len);
	free(text);
}

/* Whatever one byte becomes, runs and single octets are read the same. */
static void damaged_message(void **state)
{
	char *text = malloc(64 * 1024);
	size_t len = large(text, 64, 11, 3);
	static const char bytes[] = "\r\n=-AZaz09+/@[`{.:, \t\x7f\x80\xff";
	uint64_t seed = 1;
	unsigned refused = 0;

	for (int i = 0; i < 3000; i++) {
		size_t at = support_random(&seed, (uint32_t)len);
		char was = text[at];
		struct reader whole = { .want = NULL }, single = { .want = NULL };

		text[at] = bytes[support_random(&seed, sizeof(bytes))];
		armor_begin(&whole);
		armor_feed(&whole, text, len);
		read_end(&whole);
		armor_begin(&single);
		for (size_t k = 0; k < len; k++)
			armor_feed(&single, text + k, 1);
		read_end(&single);
		assert_ptr_equal(whole.why, single.why);
		refused += whole.why != NULL;
		text[at] = was;
	}
	assert_in_range(refused, 1000, 2900);
	free(text);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(armor, armor_cases) },
		{ SUPPORT_TABLE(large_message, large_cases) },
		{ SUPPORT_TEST(damaged_message) },
	};

	return support_run("openpgp", tests, ARRAY_LEN(tests));
}
