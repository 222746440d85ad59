/*
 * One level of a MIME multipart, walked as it streams by: parts come as events, nothing
 * is kept but one part's header block. RFC 2046 section 5.1.1.
 *
 * Strict where readers differ: text before the first or behind the last boundary (which
 * RFC 2046 wants ignored, so it can carry a second message) must be blank, and a line
 * that begins like the boundary but goes on otherwise is refused.
 */
#ifndef MILTER_MIME_H
#define MILTER_MIME_H

#include "milter/gather.h"
#include "proto/span.h"

/* Bytes of a part's header block, blank line included. */
#define MIME_HEADER_MAX   (16 * 1024)
#define MIME_BOUNDARY_MAX 70 /* RFC 2046 section 5.1.1 */

enum mime_event_type {
	MIME_NOTHING, /* nothing to tell yet */
	MIME_HEADER,  /* text is a part's header block, its blank line included */
	MIME_BODY,    /* text is a piece of the part's body */
	MIME_PART_END,
	MIME_DONE, /* from mime_end() only: all is told */
	MIME_BAD,  /* why tells; nothing may be fed any more */
};

struct mime_event {
	enum mime_event_type type;
	struct span text; /* borrowed, until the next call */
	const char *why;  /* a literal */
};

struct mime {
	int state;      /* mime.c's own */
	unsigned parts; /* that have begun */
	size_t held;    /* bytes of delimiter matched and not yet told */
	size_t unreal;  /* of these, the ones at the front that were not in the body */
	size_t delimiter_len;
	char delimiter[4 + MIME_BOUNDARY_MAX]; /* CRLF "--" boundary */
	struct gather header;                  /* the part's header block so far */
	size_t line;                           /* where its last line begins */
	bool closed; /* the boundary line that was seen ends the multipart */
};

/*
 * Begin behind the blank line of the enclosing header block. Returns NULL, or why the
 * boundary is refused: it must be 1 to 70 of RFC 2046's characters, without the blank.
 */
const char *mime_init(struct mime *m, struct span boundary);
void mime_deinit(struct mime *m);

/*
 * Look at the next bytes. Returns how many were used, maybe none when ev tells of bytes
 * that were held back; call again with the rest until it is empty.
 */
size_t mime_feed(struct mime *m, struct span text, struct mime_event *ev);

/*
 * After the last byte: call until MIME_DONE or MIME_BAD. A missing last boundary is
 * tolerated, a part cut off inside its header or boundary line is not.
 */
void mime_end(struct mime *m, struct mime_event *ev);

#endif
