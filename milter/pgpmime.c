/*
 * PGP/MIME: the multipart walker's events, each handed to who judges it.
 */
#include "milter/pgpmime.h"

enum {
	CONTROL_PART = 1,
	DATA_PART = 2,
};

const char *pgpmime_init(
    struct pgpmime *p, struct span boundary, bool armor_version_accepted)
{
	*p = (struct pgpmime){ .control.len = 0 };
	openpgp_init(&p->openpgp, armor_version_accepted);
	return mime_init(&p->mime, boundary);
}

void pgpmime_deinit(struct pgpmime *p)
{
	mime_deinit(&p->mime);
}

static const char *begin_part(struct pgpmime *p, struct span block)
{
	static const char *const subtype[] = {
		[CONTROL_PART] = "pgp-encrypted",
		[DATA_PART] = "octet-stream",
	};
	struct part part;
	const char *why;

	if (p->mime.parts > DATA_PART)
		return "pgp/mime: more than two parts";
	why = part_parse(&part, block);
	if (why)
		return why;
	if (!content_type_is(&part.type, "application", subtype[p->mime.parts]))
		return "pgp/mime: part of another type";
	transfer_init(&p->transfer, part.encoding);
	return NULL;
}

static const char *feed_decoded(struct pgpmime *p, struct span text)
{
	if (p->mime.parts == DATA_PART)
		return openpgp_feed(&p->openpgp, text);
	return part_text_add(&p->control, text) ? NULL
						: "pgp/mime: control part too long";
}

static const char *feed_part(struct pgpmime *p, struct span text)
{
	const char *why = NULL;

	while (!why && text.len) {
		struct span out;
		const char *undecodable = transfer_feed(&p->transfer, &text, &out);

		why = feed_decoded(p, out);
		if (!why)
			why = undecodable;
	}
	return why;
}

static const char *end_part(struct pgpmime *p)
{
	const char *why = transfer_end(&p->transfer);
	struct span text = span_make(p->control.text, p->control.len);

	if (why)
		return why;
	if (p->mime.parts == DATA_PART)
		return openpgp_end(&p->openpgp);
	return span_is(span_trim(text), "Version: 1") ? NULL
						      : "pgp/mime: not Version: 1";
}

static const char *on_event(struct pgpmime *p, const struct mime_event *ev)
{
	switch (ev->type) {
	case MIME_HEADER:
		return begin_part(p, ev->text);
	case MIME_BODY:
		return feed_part(p, ev->text);
	case MIME_PART_END:
		return end_part(p);
	case MIME_BAD:
		return ev->why;
	default:
		return NULL;
	}
}

const char *pgpmime_feed(struct pgpmime *p, struct span text)
{
	const char *why = NULL;
	struct mime_event ev;

	while (!why && text.len) {
		text = span_skip(text, mime_feed(&p->mime, text, &ev));
		why = on_event(p, &ev);
	}
	return why;
}

const char *pgpmime_end(struct pgpmime *p)
{
	const char *why;
	struct mime_event ev;

	do {
		mime_end(&p->mime, &ev);
		why = on_event(p, &ev);
	} while (!why && ev.type != MIME_DONE);
	if (!why && p->mime.parts != DATA_PART)
		why = "pgp/mime: not two parts";
	return why;
}
