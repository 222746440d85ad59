/*
 * Bytes that gather piece by piece until they are whole: a header block, a part's header.
 * Who adds keeps them within a bound; no memory ends the program.
 */
#ifndef MILTER_GATHER_H
#define MILTER_GATHER_H

#include <stdlib.h>

#include "proto/span.h"

#define GATHER_ROOM_MIN 512 /* bytes; nearly every part's header fits */

/* Zeroed it is empty. */
struct gather {
	char *data; /* owned */
	size_t len, room;
};

static inline void gather_add(struct gather *g, struct span more)
{
	if (g->len + more.len > g->room) {
		size_t room = g->room ? g->room : GATHER_ROOM_MIN;

		while (room < g->len + more.len)
			room *= 2;
		g->data = realloc(g->data, room);
		if (!g->data)
			abort();
		g->room = room;
	}
	memcpy(g->data + g->len, more.data, more.len);
	g->len += more.len;
}

static inline struct span gather_span(const struct gather *g)
{
	return span_make(g->data, g->len);
}

/* Empty again, its memory given back. */
static inline void gather_deinit(struct gather *g)
{
	free(g->data);
	*g = (struct gather){ .len = 0 };
}

#endif
