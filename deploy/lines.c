/* Bytes that come piece by piece, cut into lines. */
#include "deploy/lines.h"

static void end_line(struct lines *l)
{
	l->line(l->arg, text_span(&l->partial));
	text_free(&l->partial);
}

bool lines_take(void *lines, struct span bytes)
{
	struct lines *l = lines;
	struct span line;

	while (bytes.len > 0 && span_cut(&bytes, '\n', &line)) {
		while (l->partial.len + line.len > LINES_MAX) {
			size_t room = LINES_MAX - l->partial.len;

			text_add_span(&l->partial, span_make(line.data, room));
			line = span_skip(line, room);
			end_line(l);
		}
		text_add_span(&l->partial, line);
		if (bytes.data)
			end_line(l);
	}
	return true;
}

void lines_end(struct lines *l)
{
	if (l->partial.len > 0)
		end_line(l);
}
