/*
 * SMTP lines, both halves: commands in (server), replies in (client). RFC 5321.
 * Knows bytes, not sockets; nothing here allocates.
 */
#ifndef PROTO_SMTP_H
#define PROTO_SMTP_H

#include "proto/span.h"

/*
 * Longest command line accepted, CRLF included. RFC 5321 4.5.3.1.4 asks for 512; SRS
 * senders, ORCPT and other parameters make longer ones legitimate.
 */
#define SMTP_COMMAND_MAX 4096
#define SMTP_PATH_MAX    1024 /* bytes of an address; RFC 5321 4.5.3.1.3 asks for 256 */
#define SMTP_REPLY_MAX   2048 /* bytes kept of a reply's text, all lines together */

enum smtp_verb {
	SMTP_UNKNOWN,
	SMTP_HELO,
	SMTP_EHLO,
	SMTP_LHLO,
	SMTP_MAIL,
	SMTP_RCPT,
	SMTP_DATA,
	SMTP_RSET,
	SMTP_NOOP,
	SMTP_VRFY,
	SMTP_QUIT,
};

/*
 * Verb of a command line without its line end; arg is what follows, trimmed. The verb
 * stands at the start of the line, in any case, and ends at a blank or with the line.
 */
enum smtp_verb smtp_parse_command(struct span line, struct span *arg);

/*
 * The path of MAIL or RCPT: keyword is "FROM" or "TO", arg what stood behind the verb.
 * Accepts blanks after the colon and any parameters after the path, which are ignored.
 * address gets what stands between < and >, a source route (RFC 5321 4.1.1.3) cut off,
 * a quoted local part kept as it came; it is empty for the null sender <> only. So it
 * is safe to be sent on between < and >: no control character, nothing that ends it
 * early.
 *
 * Refused: control characters anywhere; blanks, quotes, backslashes and < outside a
 * quoted local part; a quoted local part with more before the @; more than
 * SMTP_PATH_MAX bytes; an empty recipient. Bytes above 0x7f are taken as they are.
 * Whether there is an @ is not asked.
 *
 * Returns NULL, or why not: a literal.
 */
const char *smtp_parse_path(struct span arg, const char *keyword, struct span *address);

/* A reply as it gathers: feed line by line until it is complete. */
struct smtp_reply {
	unsigned code;             /* 200..599 */
	size_t len;                /* of text */
	char text[SMTP_REPLY_MAX]; /* lines joined by LF, without codes */
	bool begun;
};

enum smtp_reply_state {
	SMTP_REPLY_MORE,
	SMTP_REPLY_COMPLETE,
	SMTP_REPLY_BROKEN, /* no code, or another code than the lines before */
};

void smtp_reply_init(struct smtp_reply *r);

/*
 * One line without its line end; no more after COMPLETE or BROKEN. Text beyond
 * SMTP_REPLY_MAX is dropped, not an error.
 */
enum smtp_reply_state smtp_reply_feed(struct smtp_reply *r, struct span line);

/*
 * Write code and text as one reply, multi-line if text holds LF ("250-a", "250 b"),
 * each line CRLF-ended. Control characters other than LF come out as '?': text may
 * quote what a peer sent, and must not begin a line of its own. As snprintf: returns
 * the length needed, writes at most size bytes, no NUL.
 */
size_t smtp_format_reply(char *buf, size_t size, unsigned code, struct span text);

#endif
