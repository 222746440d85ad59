/*
 * One HTTP/2 connection (RFC 9113), client side, from the preface to its end: the POSTs
 * in flight, flow control, PING, GOAWAY, and what a peer may not do to us. Made and
 * replaced by h2.c; its words and outcomes are explained in h2.h.
 */
#ifndef CHATMAILD_H2_SESSION_H
#define CHATMAILD_H2_SESSION_H

#include <event2/bufferevent.h>

#include "chatmaild/h2.h"

struct h2_session;

struct h2_session_options {
	const char *authority, *path; /* outlive the session, as timing does */
	unsigned max_streams;
	uint32_t requests_max;
	const struct h2_timing *timing;
	struct h2_counters *counters; /* goaway, resets, timeouts, in_flight are its */
};

/* Called from the loop, never from within a function below. */
struct h2_session_events {
	void (*on_ready)(
	    void *arg, struct h2_session *s); /* the peer's SETTINGS came */
	void (*on_room)(void *arg, struct h2_session *s);
	/* It takes no more POSTs, those in flight go on: get another connection. */
	void (*on_leaving)(void *arg, struct h2_session *s);
	/* The end, nothing is in flight: destroy it now. why is a literal, NULL after
	 * on_leaving() if all went well. */
	void (*on_end)(void *arg, struct h2_session *s, const char *why);
};

/* Takes bev, a connected one with deferred callbacks. */
struct h2_session *h2_session_create(struct event_base *base, struct bufferevent *bev,
    const struct h2_session_options *o, const struct h2_session_events *events,
    void *arg);

/* Says GOAWAY if it still can, ends every POST as it stands. Accepts NULL. */
void h2_session_destroy(struct h2_session *s);

unsigned h2_session_room(const struct h2_session *s);
void h2_session_post(struct h2_session *s, struct span body, h2_done *done, void *arg);

/* Of what use it was: tells how soon to try again. */
struct h2_session_life {
	bool ready;
	uint32_t posted;
	uint64_t answered;
	int64_t ms; /* since it was made */
};
struct h2_session_life h2_session_life(const struct h2_session *s);

#endif
