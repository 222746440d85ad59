#include "milter/transfer.h"

#include "test/support.h"

#define TEXT(s)                                                                        \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}

static const struct name_case {
	const char *name;
	const char *value;
	int encoding; /* -1: refused */
} name_cases[] = {
	{ "no field", NULL, TRANSFER_IDENTITY },
	{ "7bit", " 7bit", TRANSFER_IDENTITY },
	{ "8BIT", " 8BIT ", TRANSFER_IDENTITY },
	{ "binary", "binary", TRANSFER_IDENTITY },
	{ "base64", "\r\n Base64", TRANSFER_BASE64 },
	{ "quoted-printable", " quoted-printable", TRANSFER_QUOTED_PRINTABLE },
	{ "empty", " ", -1 },
	{ "unknown", " x-uuencode", -1 },
	{ "with a comment", " base64 (really)", -1 },
	{ "two at once", " base64, 7bit", -1 },
};

static void name(void **state)
{
	const struct name_case *c = *state;
	enum transfer_encoding encoding;
	struct span value = c->value ? span_of(c->value) : span_make(NULL, 0);

	assert_int_equal(transfer_by_name(&encoding, value), c->encoding >= 0);
	if (c->encoding >= 0)
		assert_int_equal(encoding, c->encoding);
}

static const struct decode_case {
	const char *name;
	enum transfer_encoding encoding;
	struct span in, out;
	const char *why; /* NULL: decoded to out */
} decode_cases[] = {
	{ "identity", TRANSFER_IDENTITY, TEXT("a=3D\0\r\nb"), TEXT("a=3D\0\r\nb"),
	    NULL },
	{ "base64, nothing", TRANSFER_BASE64, TEXT(""), TEXT(""), NULL },
	{ "base64, one octet", TRANSFER_BASE64, TEXT("/w==\r\n"), TEXT("\xff"), NULL },
	{ "base64, two octets", TRANSFER_BASE64, TEXT("AAE=\r\n"), TEXT("\0\1"), NULL },
	{ "base64, lines", TRANSFER_BASE64, TEXT("SGVs\r\nbG8s\r\n"), TEXT("Hello,"),
	    NULL },
	{ "base64, quad over a line end", TRANSFER_BASE64, TEXT("SG\r\nVs"),
	    TEXT("Hel"), NULL },
	{ "base64, blank line", TRANSFER_BASE64, TEXT("\r\n\r\nSGVs\r\n\r\n"),
	    TEXT("Hel"), NULL },
	{ "base64, cut short", TRANSFER_BASE64, TEXT("SGVsbG"), TEXT(""),
	    "base64: cut short" },
	{ "base64, half the padding", TRANSFER_BASE64, TEXT("/w="), TEXT(""),
	    "base64: cut short" },
	{ "base64, too much padding", TRANSFER_BASE64, TEXT("AAE=="), TEXT(""),
	    "base64: padding out of place" },
	{ "base64, padding only", TRANSFER_BASE64, TEXT("=="), TEXT(""),
	    "base64: padding out of place" },
	{ "base64, padding behind one", TRANSFER_BASE64, TEXT("A==="), TEXT(""),
	    "base64: padding out of place" },
	{ "base64, text behind the padding", TRANSFER_BASE64, TEXT("/w==SGVs"),
	    TEXT(""), "base64: text behind the padding" },
	{ "base64, bits behind the end", TRANSFER_BASE64, TEXT("/x=="), TEXT(""),
	    "base64: bits behind the end" },
	{ "base64, bits behind two octets", TRANSFER_BASE64, TEXT("AAF="), TEXT(""),
	    "base64: bits behind the end" },
	{ "base64, blank", TRANSFER_BASE64, TEXT("SGVs \r\n"), TEXT(""),
	    "base64: not in the alphabet" },
	{ "base64, url alphabet", TRANSFER_BASE64, TEXT("_w=="), TEXT(""),
	    "base64: not in the alphabet" },
	{ "base64, bare LF", TRANSFER_BASE64, TEXT("SGVs\nbG8s"), TEXT(""),
	    "base64: bare CR or LF" },
	{ "base64, bare CR", TRANSFER_BASE64, TEXT("SGVs\rbG8s"), TEXT(""),
	    "base64: bare CR or LF" },
	{ "base64, CR at the end", TRANSFER_BASE64, TEXT("SGVs\r"), TEXT(""),
	    "bare CR" },
	{ "quoted, plain lines", TRANSFER_QUOTED_PRINTABLE, TEXT("a b\r\n\r\nc"),
	    TEXT("a b\r\n\r\nc"), NULL },
	{ "quoted, escapes", TRANSFER_QUOTED_PRINTABLE, TEXT("=C3=a9=3D=00"),
	    TEXT("\xc3\xa9=\0"), NULL },
	{ "quoted, soft break", TRANSFER_QUOTED_PRINTABLE, TEXT("Secure=\r\n-Join"),
	    TEXT("Secure-Join"), NULL },
	{ "quoted, escaped blank at a line's end", TRANSFER_QUOTED_PRINTABLE,
	    TEXT("a=20\r\nb=09"), TEXT("a \r\nb\t"), NULL },
	{ "quoted, escaped CR", TRANSFER_QUOTED_PRINTABLE, TEXT("a=0Db"), TEXT("a\rb"),
	    NULL },
	{ "quoted, blank at a line's end", TRANSFER_QUOTED_PRINTABLE, TEXT("a \r\nb"),
	    TEXT(""), "quoted-printable: blank before a line end" },
	{ "quoted, blank at the end", TRANSFER_QUOTED_PRINTABLE, TEXT("a\t"), TEXT(""),
	    "quoted-printable: blank before a line end" },
	{ "quoted, blank behind a soft break", TRANSFER_QUOTED_PRINTABLE,
	    TEXT("a= \r\nb"), TEXT(""), "quoted-printable: bad escape" },
	{ "quoted, no hex", TRANSFER_QUOTED_PRINTABLE, TEXT("a=4Gb"), TEXT(""),
	    "quoted-printable: bad escape" },
	{ "quoted, half an escape", TRANSFER_QUOTED_PRINTABLE, TEXT("a=4"), TEXT(""),
	    "quoted-printable: cut short" },
	{ "quoted, soft break at the end", TRANSFER_QUOTED_PRINTABLE, TEXT("a="),
	    TEXT(""), "quoted-printable: cut short" },
	{ "quoted, CR of a soft break alone", TRANSFER_QUOTED_PRINTABLE, TEXT("a=\rb"),
	    TEXT(""), "quoted-printable: bare CR" },
	{ "quoted, 8 bit", TRANSFER_QUOTED_PRINTABLE, TEXT("\xc3\xa9"), TEXT(""),
	    "quoted-printable: not printable" },
	{ "quoted, NUL", TRANSFER_QUOTED_PRINTABLE, TEXT("a\0b"), TEXT(""),
	    "quoted-printable: not printable" },
	{ "quoted, bare LF", TRANSFER_QUOTED_PRINTABLE, TEXT("a\nb"), TEXT(""),
	    "quoted-printable: bare CR or LF" },
};

struct decoder {
	const struct decode_case *c;
	struct transfer transfer;
	const char *why;
	size_t len;
	char out[128];
};

static void decode_begin(void *arg)
{
	struct decoder *d = arg;

	d->why = NULL;
	d->len = 0;
	transfer_init(&d->transfer, d->c->encoding);
}

static void decode_feed(void *arg, const char *bytes, size_t len)
{
	struct decoder *d = arg;
	struct span in = span_make(bytes, len), out;

	while (!d->why && in.len) {
		d->why = transfer_feed(&d->transfer, &in, &out);
		assert_true(out.len <= sizeof(d->out) - d->len);
		memcpy(d->out + d->len, out.data, out.len);
		d->len += out.len;
	}
}

static void decode_end(void *arg, const char *cut)
{
	struct decoder *d = arg;

	if (!d->why)
		d->why = transfer_end(&d->transfer);
	if (d->c->why) {
		assert_string_equal(d->why ? d->why : cut, d->c->why);
		return;
	}
	assert_null(d->why);
	support_assert_span(span_make(d->out, d->len), d->c->out);
}

static const struct support_feeder decode_feeder = { decode_begin, decode_feed,
	decode_end };

static void decode(void **state)
{
	struct decoder d = { .c = *state };

	support_every_cut(&decode_feeder, &d, d.c->in.data, d.c->in.len);
}

/* More than one buffer full comes out. */
static void decode_long(void **state)
{
	struct transfer t;
	char text[4000];
	struct span in, out;
	size_t len = 0;

	memset(text, 'A', sizeof(text));
	in = span_make(text, sizeof(text));
	transfer_init(&t, TRANSFER_BASE64);
	while (in.len) {
		assert_null(transfer_feed(&t, &in, &out));
		for (size_t i = 0; i < out.len; i++)
			assert_int_equal(out.data[i], 0);
		len += out.len;
	}
	assert_null(transfer_end(&t));
	assert_int_equal(len, 3000);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(name, name_cases) },
		{ SUPPORT_TABLE(decode, decode_cases) },
		{ SUPPORT_TEST(decode_long) },
	};

	return support_run("transfer", tests, ARRAY_LEN(tests));
}
