/*
 * A scripted HTTP/2 server over TLS on 127.0.0.1, and on ::1 with the same port if there
 * is one: plays by the rules, or breaks one of them at a chosen request. For tests of
 * whoever posts to it, in the same process or another.
 */
#ifndef TEST_FLOW_H2_SERVER_H
#define TEST_FLOW_H2_SERVER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "test/flow/tls_cert.h"

#define H2_SERVER_STEPS  8
#define H2_SERVER_BODIES 64
#define H2_SERVER_BODY   4097 /* what a device token may have, and a NUL */

/* Where a connection stops being an HTTP/2 server's. */
enum h2_server_stop {
	H2_SERVER_SERVE,           /* nowhere */
	H2_SERVER_CLOSE_TCP,       /* closes what it accepted */
	H2_SERVER_STALL_TCP,       /* never says a word */
	H2_SERVER_CLOSE_TLS,       /* closes after the handshake */
	H2_SERVER_STALL_TLS,       /* is silent after it */
	H2_SERVER_HTTP_1,          /* talks HTTP/1.1 then, whatever ALPN said */
	H2_SERVER_CLOSE_SETTINGS,  /* sends SETTINGS and closes */
	H2_SERVER_GOAWAY_SETTINGS, /* sends SETTINGS and GOAWAY */
};

/* What becomes of a request; status 0 in a step means 200. */
enum h2_server_act {
	H2_ACT_ANSWER,
	H2_ACT_STALL,        /* no answer, ever */
	H2_ACT_RESET,        /* RST_STREAM with INTERNAL_ERROR */
	H2_ACT_REFUSE,       /* RST_STREAM with REFUSED_STREAM */
	H2_ACT_CLOSE,        /* closes the connection */
	H2_ACT_FREEZE,       /* from now on reads nothing and says nothing */
	H2_ACT_GOAWAY,       /* answers it, and GOAWAY covers it */
	H2_ACT_GOAWAY_UNTIL, /* GOAWAY covers those before it only, and not an answer */
	H2_ACT_INTERIM,      /* 103 before the answer */
	H2_ACT_HEADERS,      /* status, but never the end of the stream */
	H2_ACT_HEADERS_RESET, /* status, then RST_STREAM */
	H2_ACT_BODY,          /* a MiB of body after the status */
	H2_ACT_BIG_HEADER,    /* 40 KB of header */
	H2_ACT_PINGS,         /* PINGs without end */
	H2_ACT_SETTINGS,      /* SETTINGS without end */
	H2_ACT_EMPTY,         /* empty DATA frames without end */
};

struct h2_server_step {
	enum h2_server_act act;
	unsigned status;
};

struct h2_server_script {
	uint16_t port; /* 0: a free one */
	enum tls_cert cert;
	const char *alpn; /* NULL: h2; "" for none */
	enum h2_server_stop stop;
	bool limit_streams; /* to max_streams; else no limit is told */
	uint32_t max_streams;
	bool limit_window; /* to window bytes for each request's body; else 64 KiB */
	uint32_t window;
	bool deaf; /* does not answer PING */
	/* For the first requests it gets over all connections, then the last of nsteps
	 * (at least one) again and again. */
	struct h2_server_step step[H2_SERVER_STEPS];
	size_t nsteps;
};

struct h2_server;

/* Listens at once. script and authority outlive it; script may change. */
struct h2_server *h2_server_create(struct event_base *base,
    const struct tls_authority *authority, const struct h2_server_script *script);
void h2_server_destroy(struct h2_server *s); /* accepts NULL */

void h2_server_close_all(struct h2_server *s); /* every connection, at once */
void h2_server_leave_all(struct h2_server *s); /* GOAWAY on every one, graceful */

/* Tell of each complete request as it comes, before it is answered. */
void h2_server_watch(struct h2_server *s, void (*watcher)(void *arg), void *arg);

/* What it saw so far. */
struct h2_server_seen {
	uint16_t port;
	unsigned accepted, open; /* connections */
	unsigned greeted;        /* connections with TLS and a client's SETTINGS */
	unsigned requests;       /* complete ones */
	unsigned in_flight, most_in_flight; /* requests begun and not answered */
	unsigned pings, goaways, resets;
	unsigned bad; /* requests that are not as they should be */
	char sni[64], authority[64], path[64]; /* of the last one */
	/* Of the first requests, each cut to its size. */
	char body[H2_SERVER_BODIES][64];
	char last[H2_SERVER_BODY]; /* of the last one, cut */
};
const struct h2_server_seen *h2_server_seen(const struct h2_server *s);

#endif
