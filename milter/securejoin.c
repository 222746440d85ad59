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
	return parts_init(&s->parts, boundary);
}

void securejoin_deinit(struct securejoin *s)
{
	parts_deinit(&s->parts);
}

static const char *begin_part(void *arg, unsigned n, const struct part *part)
{
	if (n > 1)
		return "secure-join: more than one part";
	return content_type_is(&part->type, "text", "plain")
		   ? NULL
		   : "secure-join: not text/plain";
}

static const char *feed_part(void *arg, unsigned n, struct span text)
{
	struct securejoin *s = arg;

	return part_text_add(&s->text, text) ? NULL : "secure-join: text too long";
}

static const char *end_part(void *arg, unsigned n)
{
	const struct securejoin *s = arg;
	struct span text = span_trim(span_make(s->text.text, s->text.len));

	if (span_is_nocase(text, "secure-join: vc-request") ||
	    span_is_nocase(text, "secure-join: vg-request"))
		return NULL;
	return "secure-join: other text";
}

static const char *all_parts(void *arg, unsigned count)
{
	return count == 1 ? NULL : "secure-join: no part";
}

static const struct parts_judge judge = {
	.begin = begin_part,
	.text = feed_part,
	.end = end_part,
	.all = all_parts,
};

const char *securejoin_feed(struct securejoin *s, struct span text)
{
	return parts_feed(&s->parts, &judge, s, text);
}

const char *securejoin_end(struct securejoin *s)
{
	return parts_end(&s->parts, &judge, s);
}
