/*
 * The armor reader. One octet at a time is the grammar (armor_octet); runs of data
 * lines, which are all of a large message, are checked sixteen bytes at a time
 * (data_run) and counted off the packet's body.
 */
#include "milter/openpgp.h"

#include "milter/transfer.h"

#define BEGIN_LINE "-----BEGIN PGP MESSAGE-----\r\n"
#define VERSION    "Version: "
#define END_LINE   "-----END PGP MESSAGE-----"

/* GCC's and clang's portable vectors: sixteen bytes, compared all at once. */
typedef uint8_t octets __attribute__((vector_size(16)));

/* Bytes looked at in one go; a count of lines per lane must fit an octet. */
#define RUN_MAX (128 * sizeof(octets))

enum {
	ARMOR_BEGIN,
	ARMOR_VERSION, /* behind the begin line: is it a version line? */
	ARMOR_VERSION_TEXT,
	ARMOR_BLANK, /* blank lines before the data */
	ARMOR_DATA,
	ARMOR_PADDING, /* behind the first '=' at the end of data */
	ARMOR_CLOSING, /* behind the data: checksum line or end line */
	ARMOR_CHECKSUM,
	ARMOR_END,
	ARMOR_TRAILER, /* CRLFs */
};

void openpgp_init(struct openpgp *o, bool version_accepted)
{
	*o = (struct openpgp){ .state = ARMOR_BEGIN,
		.version_accepted = version_accepted };
	packet_init(&o->packets);
}

/* A character of data. */
static const char *data_char(struct openpgp *o, unsigned char c)
{
	/* Right shift that leaves a whole octet, by the phase before this character. */
	static const unsigned char shift[] = { 0, 4, 2, 0 };
	int value = base64_value(c);
	unsigned phase = o->phase;

	if (value < 0)
		return "armor: not in the base64 alphabet";
	o->bits = (o->bits << 6 | (unsigned)value) & 0xfff;
	o->phase = (phase + 1) & 3;
	if (phase == 0)
		return NULL;
	if (o->packets.body) {
		o->packets.body--;
		return NULL;
	}
	return packet_octet(&o->packets, (uint8_t)(o->bits >> shift[phase]));
}

/* '=' or '-' at the start of a line behind the data, or what else stands there. */
static const char *closing_line(struct openpgp *o, unsigned char c)
{
	o->at = 0;
	if (c == '=' && !o->checksum) {
		o->checksum = true;
		o->state = ARMOR_CHECKSUM;
	} else if (c == '-') {
		o->at = 1;
		o->state = ARMOR_END;
	} else {
		return "armor: text behind the data";
	}
	return NULL;
}

static const char *data_octet(struct openpgp *o, unsigned char c)
{
	bool line_start = o->last == '\n';

	if (c == '\r')
		return line_start ? "armor: blank line in the data" : NULL;
	if (line_start && (c == '=' || c == '-'))
		return o->phase ? "armor: data without padding" : closing_line(o, c);
	if (c != '=')
		return data_char(o, c);
	if (o->phase < 2)
		return "armor: padding out of place";
	/* RFC 4648 section 3.5: the bits that padding leaves over are zero. */
	if (o->bits & (o->phase == 2 ? 0xf : 0x3))
		return "armor: bits behind the end";
	o->at = 3 - o->phase; /* more '=' to come */
	o->state = ARMOR_PADDING;
	return NULL;
}

/* The line behind BEGIN is no version: what matched so far was data. */
static const char *not_version(struct openpgp *o)
{
	const char *why = NULL;

	for (size_t i = 0; !why && i < o->at; i++)
		why = data_char(o, (unsigned char)VERSION[i]);
	o->state = o->at ? ARMOR_DATA : ARMOR_BLANK;
	return why;
}

/* One octet of text whose line ends are already known to be CRLF. */
static const char *text_octet(struct openpgp *o, unsigned char c)
{
	switch (o->state) {
	case ARMOR_VERSION_TEXT:
		if (c == '\r')
			o->state = ARMOR_BLANK;
		else if (c < ' ' || c > '~' || ++o->at > OPENPGP_VERSION_MAX)
			return "armor: odd version";
		return NULL;
	case ARMOR_BLANK:
		if (c == '\r')
			return NULL;
		o->state = ARMOR_DATA;
		return data_octet(o, c);
	case ARMOR_DATA:
		return data_octet(o, c);
	case ARMOR_PADDING:
		if (c == '=' && o->at)
			o->at--;
		else if (c == '\r' && !o->at)
			o->state = ARMOR_CLOSING;
		else
			return "armor: padding out of place";
		return NULL;
	case ARMOR_CLOSING:
		return closing_line(o, c);
	case ARMOR_CHECKSUM:
		if (o->at == 4 && c == '\r')
			o->state = ARMOR_CLOSING;
		else if (o->at == 4 || base64_value(c) < 0)
			return "armor: bad checksum line";
		else
			o->at++;
		return NULL;
	default:
		return c == '\r' ? NULL : "armor: text behind the end";
	}
}

static const char *armor_octet(struct openpgp *o, unsigned char c)
{
	const char *why = NULL;

	if (o->state == ARMOR_BEGIN) {
		if (c != (unsigned char)BEGIN_LINE[o->at])
			return "armor: no begin line";
		if (++o->at == strlen(BEGIN_LINE)) {
			o->at = 0;
			o->state = o->version_accepted ? ARMOR_VERSION : ARMOR_BLANK;
		}
	} else if (o->state == ARMOR_END) {
		if (c != (unsigned char)END_LINE[o->at])
			return "armor: bad end line";
		if (++o->at == strlen(END_LINE))
			o->state = ARMOR_TRAILER;
	} else if (o->state == ARMOR_VERSION && c == (unsigned char)VERSION[o->at]) {
		if (++o->at == strlen(VERSION)) {
			o->at = 0;
			o->state = ARMOR_VERSION_TEXT;
		}
	} else {
		if (o->state == ARMOR_VERSION)
			why = not_version(o);
		if (why)
			return why;
		if ((o->last == '\r') != (c == '\n'))
			return "armor: bare CR or LF";
		if (c != '\n')
			why = text_octet(o, c);
	}
	o->last = c;
	return why;
}

/*
 * Are these n bytes, a multiple of sixteen, nothing but data lines? The byte before
 * them is readable and was fed. If so, *chars tells how many are base64.
 */
static bool data_run(const char *p, size_t n, size_t *chars)
{
	octets bad = { 0 }, line_ends = { 0 };

	for (size_t i = 0; i < n; i += sizeof(octets)) {
		octets c, before, cr, lf, good;

		memcpy(&c, p + i, sizeof(c));
		memcpy(&before, p + i - 1, sizeof(before));
		cr = (octets)(c == '\r');
		lf = (octets)(c == '\n');
		good = (octets)((octets)((c | 0x20) - 'a') <= 'z' - 'a');
		good |= (octets)((octets)(c - '/') <= '9' - '/');
		good |= (octets)(c == '+') | cr | lf;
		/* LF behind CR and nowhere else; CR not behind LF, a blank line. */
		bad |= ~good | (lf ^ (octets)(before == '\r'));
		bad |= cr & (octets)(before == '\n');
		line_ends -= cr | lf;
	}
	*chars = n;
	for (size_t i = 0; i < sizeof(octets); i++) {
		if (bad[i])
			return false;
		*chars -= line_ends[i];
	}
	return true;
}

/*
 * How many of len bytes may be taken as a run: whole vectors that cannot reach behind
 * the end of the packet's body, be they all base64.
 */
static size_t run_length(const struct openpgp *o, size_t len)
{
	uint64_t room = o->packets.body / 3 * 4;

	if (len > RUN_MAX)
		len = RUN_MAX;
	if (len > room)
		len = (size_t)room;
	return len - len % sizeof(octets);
}

/* Count a run off the packet's body. */
static void skip_run(struct openpgp *o, const char *p, size_t n, size_t chars)
{
	size_t quads = o->phase + chars;

	o->packets.body -= quads * 3 / 4 - o->phase * 3 / 4;
	o->phase = quads & 3;
	o->last = (unsigned char)p[n - 1];
	/* All bits that are not in a whole octet yet are the last character's. */
	while (p[n - 1] == '\r' || p[n - 1] == '\n')
		n--;
	o->bits = (unsigned)base64_value((unsigned char)p[n - 1]);
}

const char *openpgp_feed(struct openpgp *o, struct span text)
{
	const char *p = text.data, *end = p + text.len;
	const char *why = NULL;

	while (!why && p < end) {
		size_t run = 0, chars;

		/* The first octet fed has none before it to look at. */
		if (o->state == ARMOR_DATA && p > text.data)
			run = run_length(o, (size_t)(end - p));
		if (run && data_run(p, run, &chars)) {
			skip_run(o, p, run, chars);
			p += run;
			continue;
		}
		/* By octets: packet headers, the armor around the data, and what is no
		 * such run, of which nobody knows yet where the data ends in it. */
		for (size_t n = run ? run : 1; !why && n; n--)
			why = armor_octet(o, (unsigned char)*p++);
	}
	return why;
}

const char *openpgp_end(const struct openpgp *o)
{
	if (o->state != ARMOR_TRAILER)
		return "armor: cut short";
	if (o->last == '\r')
		return "armor: bare CR or LF";
	return packet_end(&o->packets);
}
