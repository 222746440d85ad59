/*
 * Decoders for base64 and quoted-printable. Octet by octet: mail that matters comes
 * 7bit, which passes through untouched.
 */
#include "milter/transfer.h"

enum {
	TEXT,
	PADDING, /* base64: behind the first '=' */
	ESCAPE,  /* quoted-printable: behind '=' */
	ESCAPE_LOW,
	SOFT_BREAK, /* behind '=' CR */
};

bool transfer_by_name(enum transfer_encoding *encoding, struct span value)
{
	static const struct {
		const char *name;
		enum transfer_encoding encoding;
	} names[] = {
		{ "7bit", TRANSFER_IDENTITY },
		{ "8bit", TRANSFER_IDENTITY },
		{ "binary", TRANSFER_IDENTITY },
		{ "base64", TRANSFER_BASE64 },
		{ "quoted-printable", TRANSFER_QUOTED_PRINTABLE },
	};

	*encoding = TRANSFER_IDENTITY;
	if (!value.data)
		return true;
	value = span_trim(value);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (span_is_nocase(value, names[i].name)) {
			*encoding = names[i].encoding;
			return true;
		}
	}
	return false;
}

void transfer_init(struct transfer *t, enum transfer_encoding encoding)
{
	*t = (struct transfer){ .encoding = encoding, .state = TEXT, .last = '\n' };
}

int base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * The octet decoders: one octet in, *out the octet that came of it or -1. NULL, or why
 * not.
 */
static const char *base64_pad(struct transfer *t)
{
	if (t->phase < 2)
		return "base64: padding out of place";
	if (t->bits & (t->phase == 2 ? 0xf : 0x3))
		return "base64: bits behind the end";
	t->phase = (t->phase + 1) & 3;
	/* The second '=' of a pair has no bits left to check. */
	t->bits = 0;
	t->state = PADDING;
	return NULL;
}

static const char *base64_octet(struct transfer *t, unsigned char c, int *out)
{
	/* Right shift that leaves a whole octet, by characters read before this one. */
	static const unsigned char shift[] = { 0, 4, 2, 0 };
	int value;

	if ((t->last == '\r') != (c == '\n'))
		return "base64: bare CR or LF";
	if (c == '\r' || c == '\n')
		return NULL;
	if (c == '=')
		return base64_pad(t);
	value = base64_value(c);
	if (value < 0)
		return "base64: not in the alphabet";
	if (t->state == PADDING)
		return "base64: text behind the padding";
	t->bits = (t->bits << 6 | (unsigned)value) & 0xfff;
	if (t->phase)
		*out = (t->bits >> shift[t->phase]) & 0xff;
	t->phase = (t->phase + 1) & 3;
	return NULL;
}

static const char *escape_octet(struct transfer *t, unsigned char c, int *out)
{
	int value = hex_value(c);

	if (t->state == ESCAPE && c == '\r') {
		t->state = SOFT_BREAK;
		return NULL;
	}
	if (t->state == SOFT_BREAK) {
		t->state = TEXT;
		return c == '\n' ? NULL : "quoted-printable: bare CR";
	}
	if (value < 0)
		return "quoted-printable: bad escape";
	t->bits = t->bits << 4 | (unsigned)value;
	if (t->state == ESCAPE) {
		t->state = ESCAPE_LOW;
		return NULL;
	}
	t->state = TEXT;
	*out = (int)(t->bits & 0xff);
	return NULL;
}

static const char *quoted_octet(struct transfer *t, unsigned char c, int *out)
{
	if (t->state != TEXT)
		return escape_octet(t, c, out);
	if ((t->last == '\r') != (c == '\n'))
		return "quoted-printable: bare CR or LF";
	if (c == '=') {
		t->state = ESCAPE;
		t->bits = 0;
		return NULL;
	}
	/* RFC 2045 section 6.7 rule 3 lets a reader drop these. */
	if (c == '\r' && (t->last == ' ' || t->last == '\t'))
		return "quoted-printable: blank before a line end";
	if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c > '~')
		return "quoted-printable: not printable";
	*out = c;
	return NULL;
}

const char *transfer_feed(struct transfer *t, struct span *in, struct span *out)
{
	size_t n = 0, i = 0;
	const char *why = NULL;

	if (t->encoding == TRANSFER_IDENTITY) {
		*out = *in;
		*in = span_skip(*in, in->len);
		return NULL;
	}
	for (; !why && i < in->len && n < sizeof(t->out); i++) {
		unsigned char c = (unsigned char)in->data[i];
		bool plain = t->state == TEXT || t->state == PADDING;
		int octet = -1;

		why = t->encoding == TRANSFER_BASE64 ? base64_octet(t, c, &octet)
						     : quoted_octet(t, c, &octet);
		/* A blank or line end that was escaped is text, not the line's end. */
		t->last = plain || c == '\n' ? c : 0;
		if (octet >= 0)
			t->out[n++] = (char)octet;
	}
	*in = span_skip(*in, i);
	*out = span_make(t->out, n);
	return why;
}

const char *transfer_end(const struct transfer *t)
{
	if (t->encoding == TRANSFER_IDENTITY)
		return NULL;
	if (t->phase)
		return "base64: cut short";
	if (t->state != TEXT && t->state != PADDING)
		return "quoted-printable: cut short";
	if (t->last == '\r')
		return "bare CR";
	if (t->encoding == TRANSFER_QUOTED_PRINTABLE &&
	    (t->last == ' ' || t->last == '\t'))
		return "quoted-printable: blank before a line end";
	return NULL;
}
