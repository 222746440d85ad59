/*
 * Writing as snprintf does: into the caller's buffer as far as it goes, while len counts
 * on to what all of it needs. For the formatters of this room.
 */
#ifndef PROTO_OUT_H
#define PROTO_OUT_H

#include "proto/span.h"

struct out {
	char *buf; /* may be NULL if size is 0 */
	size_t size;
	size_t len; /* written, or dropped for lack of room */
};

static inline void out_char(struct out *o, char c)
{
	if (o->len < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static inline void out_span(struct out *o, struct span text)
{
	if (o->len < o->size && text.len) {
		size_t room = o->size - o->len;

		memcpy(o->buf + o->len, text.data, text.len < room ? text.len : room);
	}
	o->len += text.len;
}

static inline void out_text(struct out *o, const char *text)
{
	out_span(o, span_of(text));
}

#endif
