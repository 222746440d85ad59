/*
 * The DATA stream of SMTP as it comes over the wire: finds its end, takes the dots off,
 * and refuses what is no well-formed line. RFC 5321 sections 2.3.8, 4.1.1.4, 4.5.2.
 *
 * The one end of data is the five bytes CRLF "." CRLF, or "." CRLF at once; nothing
 * else ends the stream, whatever it holds. A NUL, a CR without its LF or an LF without
 * its CR makes the stream bad and it goes on: so LF.LF, LF.CRLF, CRLF.LF, CR.CR,
 * CRLF.CR and their kin, which another program may take for an end, are refused and end
 * nothing.
 *
 * A bad stream ends at the next of those five bytes too, also when a CR stands right
 * before them ("x" CR CRLF "." CRLF). The peer is Postfix: it ends each line it sends
 * with CRLF, and a line of a lone dot has ended the mail for itself before. So these
 * five bytes are its own end of data, behind which it waits for a reply. Taking less
 * for an end would let the sender of a mail write commands; asking for more would wait
 * for ever on a mail whose last line ends in a bare CR.
 */
#ifndef PROTO_SMTP_DATA_H
#define PROTO_SMTP_DATA_H

#include <stdint.h>

#include "proto/span.h"

struct smtp_data {
	int state;       /* smtp_data.c's own */
	uint64_t bytes;  /* on the wire: CRLF and stuffed dots counted, the end is not,
			 * nor what is kept back because it may become the end */
	const char *bad; /* NULL, or why it is refused: a literal, the first reason */
};

void smtp_data_init(struct smtp_data *d);

/* What one call of smtp_data_feed() found. */
struct smtp_data_run {
	struct span text; /* unstuffed, borrowed from the bytes fed; may be empty */
	bool dot;         /* a stuffing dot was taken off before text; who forwards the
			   * stream writes it again, and so keeps it byte for byte */
	bool end;         /* the end of data was used; text is what came before it */
};

/*
 * Look at the next bytes of the stream. Returns how many were used, at least one when
 * len > 0; call again with the rest. A run is as long as can be: it goes on over line
 * ends up to the next dot at the start of a line.
 *
 * Such a dot, and a CR behind it, is kept back until the byte after it tells what it
 * was, so run->text never holds part of an end of data. Bytes behind the end are the
 * next command's and not touched; feed no more then, but smtp_data_init() for the next
 * mail.
 *
 * Text and dots, joined over all runs, and d->bytes are the same however the stream is
 * cut. They stop where the stream turns bad, with the text before the offending byte (a
 * CR turns bad by the byte behind it, and so may be part of that text); from then on
 * runs are empty, and only bytes and end go on.
 */
size_t smtp_data_feed(
    struct smtp_data *d, const char *bytes, size_t len, struct smtp_data_run *run);

#endif
