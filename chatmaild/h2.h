/*
 * An HTTP/2 client over TLS for one URL (RFC 9113, RFC 7301): many POST requests at once
 * over one connection that is kept for days. Connects, verifies certificate and host
 * name, notices when the connection is dead, connects again with back-off, all by
 * itself; knows nothing of what it posts. Bodies of responses are dropped.
 */
#ifndef CHATMAILD_H2_H
#define CHATMAILD_H2_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/span.h"

struct h2;

/* How long things may take, in milliseconds. */
struct h2_timing {
	unsigned connect; /* name, TCP and TLS; then as long for the peer's SETTINGS */
	unsigned address; /* TCP to one address while there are more */
	unsigned handshake; /* TLS with one address while there are more */
	unsigned request;   /* from h2_post() to the answer */
	/* Before a new attempt: doubled from min to max by each failure, less a random
	 * part of up to a half. None after a connection that was of use. */
	unsigned retry_min, retry_max;
	/* Silence before we ask by PING whether the peer lives: nothing in flight,
	 * something in flight; and how long its answer may take. */
	unsigned ping_idle, ping_busy, ping_answer;
	unsigned refused; /* no new POST after REFUSED_STREAM, RFC 9113 section 8.7 */
};

/*
 * 60 s for a request, 1 to 60 s between attempts, 15 s for a PING's answer. An idle
 * connection is asked each minute, so that no NAT on the way forgets it.
 */
extern const struct h2_timing h2_timing;

struct h2_options {
	const char *url;         /* https://HOST[:PORT]/PATH */
	const char *ca_file;     /* PEM; "" or NULL: the system's certificates */
	const char *resolv_conf; /* NULL: the system's */
	bool ipv4_only;
	unsigned max_streams;  /* in flight at once; the peer's SETTINGS may lower it */
	uint32_t requests_max; /* of one connection; 0: until its stream ids run out */
	const struct h2_timing *timing; /* outlives the h2 */
};

/* How one POST ended. */
enum h2_outcome {
	H2_ANSWERED, /* status has the code, 200 to 599 or whatever the peer said */
	H2_UNSENT,   /* the peer has surely not worked on it: send it again */
	H2_FAILED,   /* no answer: reset, timeout, connection lost after it was sent */
};
typedef void h2_done(void *arg, enum h2_outcome outcome, unsigned status);

/* Called from the loop, never from within a function below. */
struct h2_events {
	/* Connected: h2_room() is positive, unless the peer's SETTINGS forbid it. */
	void (*on_ready)(void *arg);
	/* POSTs ended, or the peer allows more: h2_room() may have grown. */
	void (*on_room)(void *arg);
	/*
	 * The connection is lost or could not be made; a new attempt follows, maybe
	 * after a back-off. Every POST was ended before, but for those that a peer that
	 * said GOAWAY still works on.
	 */
	void (*on_down)(void *arg);
};

/*
 * Copies o but for its timing. NULL if url or ca_file is no good; *why then tells, a
 * literal. Connects with the first h2_want(), and stays connected from then on, unless a
 * peer closes a connection unused before it is retry_max old: that waits for h2_want().
 */
struct h2 *h2_create(struct event_base *base, const struct h2_options *o,
    const struct h2_events *events, void *arg, const char **why);

/* Ends every POST as it stands, calling its done, from within. Not to be called from a
 * callback of h2. Accepts NULL. */
void h2_destroy(struct h2 *h);

/* There is something to send: connect now, unless that is under way or a back-off runs. */
void h2_want(struct h2 *h);

unsigned h2_room(const struct h2 *h); /* POSTs that may be started now */

/* POST body (copied) to the URL; only while h2_room() > 0. done is called once, later. */
void h2_post(struct h2 *h, struct span body, h2_done *done, void *arg);

struct h2_counters {
	uint64_t connects;         /* connections made */
	uint64_t connect_failures; /* and not made */
	uint64_t lost;             /* broken, silent, or against the protocol */
	uint64_t goaway;           /* that the peer asked us to leave */
	uint64_t resets;           /* POSTs the peer broke off or refused */
	uint64_t timeouts;         /* POSTs without an answer in time */
	uint64_t connected;        /* gauge: 1 while POSTs can be sent */
	uint64_t in_flight;        /* gauge: POSTs */
};
const struct h2_counters *h2_counters(const struct h2 *h);

#endif
