/*
 * Credentials for the TURN server that calls use when no direct path is found. They come
 * from the TURN helper's socket, which says one line "USERNAME:PASSWORD" to whoever
 * connects; or they are made here, for a TURN server that shares a secret with us, as
 * coturn does with use-auth-secret (draft-uberti-behave-turn-rest-00): the username is
 * when it expires, in seconds since 1970.
 */
#ifndef CHATMAILD_TURN_H
#define CHATMAILD_TURN_H

#include <event2/event.h>
#include <stdint.h>

#include "proto/span.h"

#define TURN_PORT          3478
#define TURN_LINE_MAX      512             /* bytes; a longer line is no answer */
#define TURN_TIMEOUT_S     5               /* for the whole answer */
#define TURN_VALID_SECONDS (5 * 24 * 3600) /* clients ask again in the last 12 hours */

struct turn_query;

/*
 * line is the helper's first line without blanks around it, 1 to TURN_LINE_MAX bytes,
 * valid during the call; or empty with what went wrong, a literal or strerror() text.
 */
typedef void turn_done(void *arg, struct span line, const char *why);

/*
 * Connect to the helper's socket anew and read its line. done is called on the loop,
 * once, later; then the query is gone. NULL if path is too long for a socket or there is
 * no descriptor: done is not called.
 */
struct turn_query *turn_ask(
    struct event_base *base, const char *path, turn_done *done, void *arg);
void turn_cancel(struct turn_query *q); /* done is not called. Accepts NULL */

/*
 * "USERNAME:PASSWORD" for a server that knows secret, good for TURN_VALID_SECONDS from
 * now (seconds) on. buf has room for TURN_LINE_MAX; returns the length.
 */
size_t turn_credentials(char buf[TURN_LINE_MAX], const char *secret, int64_t now);

#endif
