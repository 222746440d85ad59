/*
 * Dovecot's dict protocol, the server's half. Knows bytes, not sockets.
 *
 * A request is one LF-ended line: a command letter, then fields parted by TAB, each
 * field tab-escaped (\001 followed by one of 0 1 t r n). Replies are lines of the same
 * make. Source: Dovecot 2.3, src/lib-dict-extra/dict-client.h and src/lib/strescape.c.
 */
#ifndef PROTO_DICT_H
#define PROTO_DICT_H

#include "proto/span.h"

#define DICT_LINE_MAX   (256 * 1024) /* bytes, LF included; longer closes */
#define DICT_FIELDS_MAX 8            /* HELLO, the longest we know, has 5 */

enum dict_command {
	DICT_NONE, /* an empty line: ignore */
	DICT_HELLO,
	DICT_LOOKUP,       /* key, user */
	DICT_ITERATE,      /* flags, max rows, path, user */
	DICT_BEGIN,        /* id, user */
	DICT_SET,          /* id, key, value */
	DICT_UNSET,        /* id, key */
	DICT_ADD,          /* id, key, difference */
	DICT_TIMESTAMP,    /* id, seconds, nanoseconds */
	DICT_HIDE_VALUES,  /* id, yes or no */
	DICT_COMMIT,       /* id */
	DICT_COMMIT_ASYNC, /* id */
	DICT_ROLLBACK,     /* id */
	DICT_UNKNOWN,      /* another letter: log once, never answer */
};

struct dict_request {
	enum dict_command command;
	char letter; /* as it came */
	size_t nfields;
	struct span field[DICT_FIELDS_MAX]; /* borrowed from the line */
};

/*
 * Parse one line, LF already taken off; one CR at its end is cut too. Unescapes in
 * place (the text only shrinks), so req's fields stay valid exactly as long as line
 * does. Fields that did not come are empty, req->nfields tells how many did. An escape
 * character at the very end of a field is dropped, as Dovecot does.
 *
 * Returns NULL, or why the line is refused (more than DICT_FIELDS_MAX fields): a
 * literal, fit for the log. The command, the letter and the fields up to there are set
 * even then, so that the caller knows whether a reply is owed, to which transaction.
 */
const char *dict_parse(struct dict_request *req, char *line, size_t len);

/*
 * Formatters write at most size bytes into buf, LF included, no NUL, and return the
 * length the whole line needs. status is 'O', 'N', 'F' or 'W'; value may be empty and
 * is escaped, a TAB in it too: it is one field.
 */
size_t dict_format_reply(char *buf, size_t size, char status, struct span value);

/* A row of an iteration: "O" key TAB value, with the TAB even if value is empty. */
size_t dict_format_row(char *buf, size_t size, struct span key, struct span value);

#define DICT_ITERATE_END "\n" /* the empty line that ends an iteration */

/*
 * Split the args of an auth key at unescaped double quotes: '\' takes the next byte
 * literally (Dovecot's %E puts one before '"', ''' and '\'). Unescapes in place.
 * "" is one empty field. Returns the number of fields, which point into args, or -1 for
 * more than max fields or a '\' at the end.
 */
int dict_split_quoted(char *args, size_t len, struct span *field, size_t max);

#endif
