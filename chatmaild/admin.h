/*
 * The operator's socket, chatmailctl's other end: one JSON object a line. A request names
 * its command and what that needs,
 *
 *	{"command": "users-show", "address": "someone@chat.example"}
 *
 * and is answered by any number of lines, the last one with a member "ok":
 *
 *	{"ok": true, ...}    or    {"ok": false, "error": "there is no such account"}
 *
 * One request at a time on a connection; the next ones wait in it. Who can open the socket
 * may do everything: its mode is 0600.
 *
 * This header is for the commands: admin.c has the connections, admin_*.c what they do.
 */
#ifndef CHATMAILD_ADMIN_H
#define CHATMAILD_ADMIN_H

#include <jansson.h>

#include "chatmaild/daemon.h"
#include "proto/span.h"

#define ADMIN_LINE_MAX (64 * 1024) /* bytes of a request, LF included */

struct admin_conn;

/* A request being answered; ends with admin_end() or admin_refuse(), once. */
struct admin_request {
	struct daemon *daemon;
	struct admin_conn *conn; /* NULL: the peer is gone, answers go nowhere */
	json_t *args;            /* the whole request, an object */

	/* For commands that answer bit by bit, or NULL: output is not full any more; the
	 * peer is gone. gone may end the request. */
	void (*room)(struct admin_request *r);
	void (*gone)(struct admin_request *r);
	void *state;
};

struct admin_command {
	const char *name;
	void (*run)(struct admin_request *r);
	bool is_long; /* nothing a stopping daemon waits for */
};
/* Each file's own; ends with a NULL name. */
extern const struct admin_command admin_daemon_commands[];
extern const struct admin_command admin_users_commands[];
extern const struct admin_command admin_expire_commands[];

/*
 * A request, LF cut: its command, and all of it in args, an object, the caller's. Or NULL
 * and why it is refused.
 */
const struct admin_command *admin_parse(
    const char *line, size_t len, json_t **args, const char **why);

/* A line before the last one. Takes value. */
void admin_say(struct admin_request *r, json_t *value);

/* Much waits to be read by the peer: say no more until room() is called. */
bool admin_is_full(const struct admin_request *r);

/* The last line; both take r. reply (an object, taken; NULL: nothing to tell) gets "ok". */
void admin_end(struct admin_request *r, json_t *reply);
void admin_refuse(struct admin_request *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The request's member "address", if it can be one of an account of this relay; else the
 * request is refused and false returned. Valid as long as r.
 */
bool admin_address(struct admin_request *r, struct span *address);

/* Whether a member is there and true. */
bool admin_flag(const struct admin_request *r, const char *name);

#endif
