/*
 * Part headers: content type and transfer encoding.
 */
#include "milter/part.h"

const char *part_read(struct part *p, const struct header *h)
{
	if (header_count(h, "Content-Type") > 1)
		return "mime: two Content-Type fields";
	if (header_count(h, "Content-Transfer-Encoding") > 1)
		return "mime: two Content-Transfer-Encoding fields";
	if (!content_type_parse(&p->type, header_get(h, "Content-Type", 0)))
		return "mime: Content-Type has no one reading";
	if (!transfer_by_name(
		&p->encoding, header_get(h, "Content-Transfer-Encoding", 0)))
		return "mime: unknown transfer encoding";
	return NULL;
}

const char *part_parse(struct part *p, struct span block)
{
	struct header h = { 0 };
	const char *why;

	if (!span_is(block, "\r\n")) {
		why = header_parse(&h, block);
		if (why)
			return why;
	}
	why = part_read(p, &h);
	header_deinit(&h);
	return why;
}

bool part_text_add(struct part_text *t, struct span piece)
{
	if (piece.len > sizeof(t->text) - t->len)
		return false;
	memcpy(t->text + t->len, piece.data, piece.len);
	t->len += piece.len;
	return true;
}
