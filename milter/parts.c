/*
 * Parts: the multipart walker's events, with what each means.
 */
#include "milter/parts.h"

const char *parts_init(struct parts *p, struct span boundary)
{
	*p = (struct parts){ .mime.header.len = 0 };
	return mime_init(&p->mime, boundary);
}

void parts_deinit(struct parts *p)
{
	mime_deinit(&p->mime);
}

static const char *begin(
    struct parts *p, const struct parts_judge *judge, void *arg, struct span block)
{
	struct part part;
	const char *why = part_parse(&part, block);

	if (why)
		return why;
	transfer_init(&p->transfer, part.encoding);
	return judge->begin(arg, p->mime.parts, &part);
}

/* What came before the place that cannot be decoded is judged first. */
static const char *body(
    struct parts *p, const struct parts_judge *judge, void *arg, struct span text)
{
	const char *why = NULL;

	while (!why && text.len) {
		struct span out;
		const char *undecodable = transfer_feed(&p->transfer, &text, &out);

		why = judge->text(arg, p->mime.parts, out);
		if (!why)
			why = undecodable;
	}
	return why;
}

static const char *on_event(struct parts *p, const struct parts_judge *judge, void *arg,
    const struct mime_event *ev)
{
	const char *why;

	switch (ev->type) {
	case MIME_HEADER:
		return begin(p, judge, arg, ev->text);
	case MIME_BODY:
		return body(p, judge, arg, ev->text);
	case MIME_PART_END:
		why = transfer_end(&p->transfer);
		return why ? why : judge->end(arg, p->mime.parts);
	case MIME_DONE:
		return judge->all(arg, p->mime.parts);
	case MIME_BAD:
		return ev->why;
	case MIME_NOTHING:
		break;
	}
	return NULL;
}

const char *parts_feed(
    struct parts *p, const struct parts_judge *judge, void *arg, struct span text)
{
	const char *why = NULL;
	struct mime_event ev;

	while (!why && text.len) {
		text = span_skip(text, mime_feed(&p->mime, text, &ev));
		why = on_event(p, judge, arg, &ev);
	}
	return why;
}

const char *parts_end(struct parts *p, const struct parts_judge *judge, void *arg)
{
	const char *why;
	struct mime_event ev;

	do {
		mime_end(&p->mime, &ev);
		why = on_event(p, judge, arg, &ev);
	} while (!why && ev.type != MIME_DONE);
	return why;
}
