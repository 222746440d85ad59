/*
 * Secure-Join: one short part.
 */
#include "milter/securejoin.h"

bool securejoin_asked(struct span value)
{
	value = span_trim(value);
	return span_is(value, "vc-request") || span_is(value, "vg-request");
}

const char *securejoin_init(struct securejoin *s, struct span boundary)
{
	*s = (struct securejoin){ .text.len = 0 };
	return mime_init(&s->mime, boundary);
}

void securejoin_deinit(struct securejoin *s)
{
	mime_deinit(&s->mime);
}

static const char *begin_part(struct securejoin *s, struct span block)
{
	struct part part;
	const char *why;

	if (s->mime.parts > 1)
		return "secure-join: more than one part";
	why = part_parse(&part, block);
	if (why)
		return why;
	if (!content_type_is(&part.type, "text", "plain"))
		return "secure-join: not text/plain";
	transfer_init(&s->transfer, part.encoding);
	return NULL;
}

static const char *feed_part(struct securejoin *s, struct span text)
{
	const char *why = NULL;

	while (!why && text.len) {
		struct span out;

		why = transfer_feed(&s->transfer, &text, &out);
		if (!part_text_add(&s->text, out))
			why = "secure-join: text too long";
	}
	return why;
}

static const char *end_part(struct securejoin *s)
{
	const char *why = transfer_end(&s->transfer);
	struct span text = span_trim(span_make(s->text.text, s->text.len));

	if (why)
		return why;
	if (!span_is_nocase(text, "secure-join: vc-request") &&
	    !span_is_nocase(text, "secure-join: vg-request"))
		return "secure-join: other text";
	return NULL;
}

static const char *on_event(struct securejoin *s, const struct mime_event *ev)
{
	switch (ev->type) {
	case MIME_HEADER:
		return begin_part(s, ev->text);
	case MIME_BODY:
		return feed_part(s, ev->text);
	case MIME_PART_END:
		return end_part(s);
	case MIME_BAD:
		return ev->why;
	default:
		return NULL;
	}
}

const char *securejoin_feed(struct securejoin *s, struct span text)
{
	const char *why = NULL;
	struct mime_event ev;

	while (!why && text.len) {
		text = span_skip(text, mime_feed(&s->mime, text, &ev));
		why = on_event(s, &ev);
	}
	return why;
}

const char *securejoin_end(struct securejoin *s)
{
	const char *why;
	struct mime_event ev;

	do {
		mime_end(&s->mime, &ev);
		why = on_event(s, &ev);
	} while (!why && ev.type != MIME_DONE);
	if (!why && s->mime.parts != 1)
		why = "secure-join: no part";
	return why;
}
