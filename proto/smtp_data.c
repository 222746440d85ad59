/* The DATA stream of SMTP; see smtp_data.h. */
#include "proto/smtp_data.h"

#include <assert.h>

/*
 * What the last bytes were. In every state but DATA_DOT and DATA_DOT_CR they are handed
 * out already; in those two they wait for what follows.
 */
enum data_state {
	DATA_LINE, /* CRLF, or nothing yet */
	DATA_TEXT,
	DATA_CR,
	DATA_DOT,    /* CRLF "." */
	DATA_DOT_CR, /* CRLF "." CR */
	DATA_END,    /* CRLF "." CRLF */
};

#define BLOCK   64 /* bytes looked at in one go: a multiple of any vector register */
#define END_LEN 3  /* "." CRLF; the CRLF before it belongs to the mail */

#define CR_WITHOUT_LF "CR without LF" /* found in two places */

void smtp_data_init(struct smtp_data *d)
{
	*d = (struct smtp_data){ .state = DATA_LINE };
}

/* The whole grammar of the end, one byte at a time. */
static enum data_state step(enum data_state state, char c)
{
	switch (state) {
	case DATA_LINE:
		if (c == '.')
			return DATA_DOT;
		break;
	case DATA_CR:
		if (c == '\n')
			return DATA_LINE;
		break;
	case DATA_DOT:
		if (c == '\r')
			return DATA_DOT_CR;
		break;
	case DATA_DOT_CR:
		if (c == '\n')
			return DATA_END;
		break;
	case DATA_TEXT:
	case DATA_END:
		break;
	}
	return c == '\r' ? DATA_CR : DATA_TEXT;
}

/* A bad stream is of interest for its end only. Returns the bytes used. */
static size_t skip_to_end(enum data_state *state, const char *bytes, size_t len)
{
	size_t i = 0;

	while (i < len && *state != DATA_END) {
		if (*state == DATA_TEXT) {
			const char *cr = memchr(bytes + i, '\r', len - i);

			if (!cr)
				return len;
			i = (size_t)(cr - bytes);
		}
		*state = step(*state, bytes[i++]);
	}
	return i;
}

/*
 * Does any of BLOCK bytes, or of their pairs with the byte before, ask for a closer
 * look? No branch inside, so that the compiler makes vector code of it: this loop
 * carries the throughput of large mails.
 */
static bool block_is_plain(const char *p)
{
	const unsigned char *b = (const unsigned char *)p;
	unsigned char odd = 0;

	for (int i = 0; i < BLOCK; i++) {
		odd |= (unsigned char)((b[i] == '\n') ^ (b[i - 1] == '\r'));
		odd |= (unsigned char)((b[i] == '.') & (b[i - 1] == '\n'));
		odd |= b[i] == '\0';
	}
	return !odd;
}

/*
 * The length of the good text at bytes, up to a dot that starts a line, or to a byte
 * that makes the stream bad: then *bad says why. before stands in front of bytes.
 */
static size_t scan(const char *bytes, size_t len, char before, const char **bad)
{
	size_t i = 0;

	while (i < len) {
		size_t stop = len - i > BLOCK ? i + BLOCK : len;

		/* A block is seen with the byte before it, which the first lacks. */
		if (i > 0 && len - i >= BLOCK && block_is_plain(bytes + i)) {
			i += BLOCK;
			before = bytes[i - 1];
			continue;
		}
		for (; i < stop; before = bytes[i++]) {
			char c = bytes[i];

			if (c == '.' && before == '\n')
				return i;
			if (before == '\r' && c != '\n')
				*bad = CR_WITHOUT_LF;
			else if (c == '\n' && before != '\r')
				*bad = "LF without CR";
			else if (c == '\0')
				*bad = "NUL byte";
			else
				continue;
			return i;
		}
	}
	return i;
}

/* The byte scan() needs, for the states in which text may begin. */
static char last_byte(enum data_state state)
{
	return state == DATA_LINE ? '\n' : state == DATA_CR ? '\r' : '.';
}

/* The state behind len bytes of good text. */
static enum data_state state_after(enum data_state state, const char *text, size_t len)
{
	if (len == 0)
		return state;
	return text[len - 1] == '\n'   ? DATA_LINE
	       : text[len - 1] == '\r' ? DATA_CR
				       : DATA_TEXT;
}

static unsigned kept_back(enum data_state state)
{
	return state == DATA_DOT ? 1 : state == DATA_DOT_CR ? 2 : 0;
}

/* Good text at bytes, from DATA_LINE, DATA_TEXT or DATA_CR. Returns the bytes used. */
static size_t feed_text(struct smtp_data *d, enum data_state *state, const char *bytes,
    size_t len, struct smtp_data_run *run)
{
	size_t n = scan(bytes, len, last_byte(*state), &d->bad);

	run->text = span_make(bytes, n);
	*state = state_after(*state, bytes, n);
	return n;
}

/*
 * A dot at the start of a line, and what is behind it: the end, a stuffed line, or not yet
 * known. Uses nothing where there is no such dot. Returns the bytes used.
 */
static size_t feed_dot(struct smtp_data *d, enum data_state *state, const char *bytes,
    size_t len, struct smtp_data_run *run)
{
	size_t i = 0;

	if (*state == DATA_LINE && i < len && bytes[i] == '.') {
		*state = DATA_DOT;
		i++;
	}
	if (*state == DATA_DOT && i < len) {
		run->dot = bytes[i] != '\r';
		*state = run->dot ? DATA_TEXT : DATA_DOT_CR;
		i += !run->dot;
	}
	if (*state == DATA_DOT_CR && i < len) {
		if (bytes[i] != '\n') {
			d->bad = CR_WITHOUT_LF;
			return i;
		}
		*state = DATA_END;
		i++;
	}
	return i;
}

size_t smtp_data_feed(
    struct smtp_data *d, const char *bytes, size_t len, struct smtp_data_run *run)
{
	enum data_state state = (enum data_state)d->state;
	unsigned before = kept_back(state);
	size_t used = 0;

	assert(state != DATA_END);
	*run = (struct smtp_data_run){ .text = { bytes, 0 } };

	if (!d->bad)
		used = feed_dot(d, &state, bytes, len, run);
	if (!d->bad && state != DATA_END && !kept_back(state))
		used += feed_text(d, &state, bytes + used, len - used, run);
	if (d->bad)
		used += skip_to_end(&state, bytes + used, len - used);

	run->end = state == DATA_END;
	d->bytes += before + used - (run->end ? END_LEN : kept_back(state));
	d->state = state;
	return used;
}
