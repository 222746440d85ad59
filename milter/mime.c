/*
 * The multipart walker. The line end before a boundary belongs to the boundary, so the
 * walker holds back what might be the start of a delimiter until it knows. Nothing is
 * copied for that: what was held equals the delimiter's own first bytes.
 */
#include "milter/mime.h"

enum {
	BODY,   /* preamble (parts is 0) or a part's body */
	TAIL,   /* behind the boundary: "--", blanks or CR */
	DASH,   /* behind its first dash */
	BLANKS, /* transport padding */
	LINE_END,
	HEADER,
	EPILOGUE,
	FINISHED,
};

const char *mime_init(struct mime *m, struct span boundary)
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=?";

	if (boundary.len == 0 || boundary.len > MIME_BOUNDARY_MAX)
		return "mime: boundary too short or too long";
	for (size_t i = 0; i < boundary.len; i++)
		if (!boundary.data[i] || !strchr(letters, boundary.data[i]))
			return "mime: odd character in the boundary";
	/* The first boundary may stand right behind the header block. */
	*m = (struct mime){ .state = BODY, .held = 2, .unreal = 2 };
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary.data, boundary.len);
	m->delimiter_len = 4 + boundary.len;
	return NULL;
}

void mime_deinit(struct mime *m)
{
	gather_deinit(&m->header);
	m->line = 0;
}

static size_t bad(struct mime *m, struct mime_event *ev, const char *why)
{
	m->state = FINISHED;
	*ev = (struct mime_event){ .type = MIME_BAD, .why = why };
	return 0;
}

static bool is_blank(struct span s)
{
	while (s.len && strchr(" \t\r\n", s.data[0]) && s.data[0])
		s = span_skip(s, 1);
	return s.len == 0;
}

/* A piece of body, or of the preamble. */
static size_t tell(struct mime *m, struct mime_event *ev, struct span text, size_t used)
{
	if (m->parts == 0) {
		if (!is_blank(text))
			return bad(m, ev, "mime: text before the first boundary");
	} else if (text.len) {
		*ev = (struct mime_event){ .type = MIME_BODY, .text = text };
	}
	return used;
}

/* What was held is no delimiter: the body gets it. */
static size_t tell_held(struct mime *m, struct mime_event *ev)
{
	struct span text = span_make(m->delimiter + m->unreal, m->held - m->unreal);

	m->held = m->unreal = 0;
	return tell(m, ev, text, 0);
}

static size_t feed_held(struct mime *m, struct span text, struct mime_event *ev)
{
	size_t n = 0;

	while (n < text.len && m->held < m->delimiter_len &&
	       text.data[n] == m->delimiter[m->held]) {
		n++;
		m->held++;
	}
	if (m->held == m->delimiter_len) {
		m->held = m->unreal = 0;
		m->state = TAIL;
		if (m->parts)
			ev->type = MIME_PART_END;
		return n;
	}
	/* A delimiter holds one CR, its first byte: no other match can have begun. */
	if (n == 0)
		return tell_held(m, ev);
	return n;
}

/*
 * The first CRLF "-" in s, or its end. Encrypted text has hardly any dash, so that one
 * memchr() passes over thousands of lines; a line full of them costs one more.
 */
static const char *find_dashed_line(struct span s)
{
	const char *p = s.data, *end = s.data + s.len;

	while (p < end) {
		const char *dash = memchr(p, '-', (size_t)(end - p));

		if (!dash)
			return end;
		if (dash - s.data >= 2 && dash[-1] == '\n' && dash[-2] == '\r')
			return dash - 2;
		p = memchr(dash, '\n', (size_t)(end - dash));
		if (!p)
			return end;
		p++;
		if (p < end && *p == '-' && p[-2] == '\r')
			return p - 2;
	}
	return end;
}

static size_t feed_body(struct mime *m, struct span text, struct mime_event *ev)
{
	const char *at;
	size_t n;

	if (m->held)
		return feed_held(m, text, ev);
	at = find_dashed_line(text);
	n = (size_t)(at - text.data);
	if (n < text.len) {
		m->held = 2;
	} else if (text.data[n - 1] == '\r') {
		n--;
		m->held = 1;
	} else if (n >= 2 && text.data[n - 1] == '\n' && text.data[n - 2] == '\r') {
		n -= 2;
		m->held = 2;
	}
	return tell(m, ev, span_make(text.data, n), n + m->held);
}

/* The rest of a boundary line, one byte. */
static void feed_tail(struct mime *m, char c, struct mime_event *ev)
{
	if (m->state == TAIL && c == '-') {
		m->state = DASH;
	} else if (m->state == DASH && c == '-') {
		m->closed = true;
		m->state = BLANKS;
	} else if (m->state == LINE_END && c == '\n') {
		m->state = m->closed ? EPILOGUE : HEADER;
		m->parts += !m->closed;
	} else if (m->state != DASH && m->state != LINE_END &&
		   (c == ' ' || c == '\t')) {
		m->state = BLANKS;
	} else if (m->state != DASH && m->state != LINE_END && c == '\r') {
		m->state = LINE_END;
	} else {
		bad(m, ev, "mime: line begins like a boundary");
	}
}

static size_t feed_header(struct mime *m, struct span text, struct mime_event *ev)
{
	const char *lf = memchr(text.data, '\n', text.len);
	size_t n = lf ? (size_t)(lf - text.data) + 1 : text.len;
	struct span line;

	if (m->header.len + n > MIME_HEADER_MAX)
		return bad(m, ev, "mime: part header too long");
	gather_add(&m->header, span_make(text.data, n));
	if (!lf)
		return n;
	line = span_skip(gather_span(&m->header), m->line);
	m->line = m->header.len;
	if (line.len >= m->delimiter_len - 2 &&
	    memcmp(line.data, m->delimiter + 2, m->delimiter_len - 2) == 0)
		return bad(m, ev, "mime: boundary inside a part header");
	if (span_is(line, "\r\n")) {
		*ev = (struct mime_event){ .type = MIME_HEADER,
			.text = gather_span(&m->header) };
		/* A part without body may end at this blank line. */
		m->held = m->unreal = 2;
		m->state = BODY;
	}
	return n;
}

size_t mime_feed(struct mime *m, struct span text, struct mime_event *ev)
{
	*ev = (struct mime_event){ .type = MIME_NOTHING };
	if (text.len == 0)
		return 0;
	switch (m->state) {
	case BODY:
		mime_deinit(m); /* the header block was told, one call ago */
		return feed_body(m, text, ev);
	case HEADER:
		return feed_header(m, text, ev);
	case EPILOGUE:
		if (!is_blank(text))
			return bad(m, ev, "mime: text behind the last boundary");
		return text.len;
	case FINISHED:
		return bad(m, ev, "mime: fed after its end");
	default:
		feed_tail(m, text.data[0], ev);
		return 1;
	}
}

void mime_end(struct mime *m, struct mime_event *ev)
{
	*ev = (struct mime_event){ .type = MIME_DONE };
	if (m->state == BODY && m->held > m->unreal) {
		tell_held(m, ev);
		if (ev->type == MIME_DONE)
			m->state = FINISHED;
		return;
	}
	if (m->state == BODY && m->parts) {
		m->state = FINISHED;
		ev->type = MIME_PART_END;
	} else if (m->state != BODY && m->state != EPILOGUE && m->state != FINISHED &&
		   !(m->state == BLANKS && m->closed)) {
		bad(m, ev, "mime: cut short");
	}
}
