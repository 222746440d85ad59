/*
 * PGP/MIME: which part must be what.
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
	return parts_init(&p->parts, boundary);
}

void pgpmime_deinit(struct pgpmime *p)
{
	parts_deinit(&p->parts);
}

static const char *begin_part(void *arg, unsigned n, const struct part *part)
{
	static const char *const subtype[] = {
		[CONTROL_PART] = "pgp-encrypted",
		[DATA_PART] = "octet-stream",
	};

	if (n > DATA_PART)
		return "pgp/mime: more than two parts";
	return content_type_is(&part->type, "application", subtype[n])
		   ? NULL
		   : "pgp/mime: part of another type";
}

static const char *feed_part(void *arg, unsigned n, struct span text)
{
	struct pgpmime *p = arg;

	if (n == DATA_PART)
		return openpgp_feed(&p->openpgp, text);
	return part_text_add(&p->control, text) ? NULL
						: "pgp/mime: control part too long";
}

static const char *end_part(void *arg, unsigned n)
{
	const struct pgpmime *p = arg;
	struct span text = span_make(p->control.text, p->control.len);

	if (n == DATA_PART)
		return openpgp_end(&p->openpgp);
	return span_is(span_trim(text), "Version: 1") ? NULL
						      : "pgp/mime: not Version: 1";
}

static const char *all_parts(void *arg, unsigned count)
{
	return count == DATA_PART ? NULL : "pgp/mime: not two parts";
}

static const struct parts_judge judge = {
	.begin = begin_part,
	.text = feed_part,
	.end = end_part,
	.all = all_parts,
};

const char *pgpmime_feed(struct pgpmime *p, struct span text)
{
	return parts_feed(&p->parts, &judge, p, text);
}

const char *pgpmime_end(struct pgpmime *p)
{
	return parts_end(&p->parts, &judge, p);
}
