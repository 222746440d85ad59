/*
 * The DATA stream of SMTP as it comes over the wire: finds its end, takes the dots off,
 * and refuses what is no well-formed line. RFC 5321 sections 2.3.8, 4.1.1.4, 4.5.2.
 *
 * The one end of data is CRLF "." CRLF (or "." CRLF at once). Anything that another
 * program might take for an end - LF.LF, LF.CRLF, CR.CR, CRLF.CR, CRLF.LF, a NUL in
 * between - makes the stream bad and goes on: SMTP smuggling finds no second reading.
 */
#ifndef PROTO_SMTP_DATA_H
#define PROTO_SMTP_DATA_H

#include <stdint.h>

#include "proto/span.h"

struct smtp_data {
	int state;	 /* smtp_data.c's own */
	uint64_t bytes;	 /* on the wire: CRLF and stuffed dots counted, the end is not */
	const char *bad; /* NULL, or why the stream is refused: a literal, the first reason */
};

void smtp_data_init(struct smtp_data *d);

/* What one call of smtp_data_feed() found. */
struct smtp_data_run {
	struct span text; /* unstuffed, borrowed from the bytes fed; may be empty */
	bool dot;	  /* a stuffing dot was taken off before text; who forwards the
			   * stream writes it again, and so keeps it byte for byte */
	bool end;	  /* the end of data was used; text is what came before it */
};

/*
 * Look at the next bytes of the stream. Returns how many were used, at least one when
 * len > 0; call again with the rest. A dot at the start of a line (and a CR behind it) is
 * kept back until the byte after it tells what it was, so run->text never holds part of an
 * end of data. Bytes behind the end are the next command's and not touched.
 */
size_t smtp_data_feed(
    struct smtp_data *d, const char *bytes, size_t len, struct smtp_data_run *run);

#endif
