#include "deploy/frame.h"

#include <stdint.h>

void frame_add(struct text *to, const char *name, struct span content)
{
	text_printf(to, "%s %zu\n", name, content.len);
	text_add_span(to, content);
}

/* A decimal number; SIZE_MAX if it is none. */
static size_t read_length(struct span s)
{
	size_t n = 0;

	if (s.len == 0 || s.len > 15)
		return SIZE_MAX;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return SIZE_MAX;
		n = 10 * n + (size_t)(s.data[i] - '0');
	}
	return n;
}

bool frame_next(struct span *rest, struct span *name, struct span *content)
{
	struct span after = *rest, line, len;

	if (rest->len == 0 || !span_cut(&after, '\n', &line) || !after.data)
		return false;
	len = line;
	if (!span_cut(&len, ' ', name) || !len.data || name->len == 0 ||
	    read_length(len) > after.len)
		return false;
	*content = span_make(after.data, read_length(len));
	*rest = span_skip(after, content->len);
	return true;
}
