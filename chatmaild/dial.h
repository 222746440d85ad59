/*
 * A TLS connection to a host that must speak HTTP/2: name, TCP, TLS, ALPN. The peer's
 * certificate and its name (or IP address) are always verified, RFC 9110 section 4.3.4;
 * TLS 1.2 at least, RFC 9113 section 9.2. Addresses are tried in turn.
 */
#ifndef CHATMAILD_DIAL_H
#define CHATMAILD_DIAL_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct dial;

struct dial_options {
	const char *host; /* a name or an IP address without brackets */
	uint16_t port;
	const char *ca_file;     /* PEM; "" or NULL: the system's certificates */
	const char *resolv_conf; /* NULL: the system's */
	bool ipv4_only;
	unsigned all_ms;       /* for name, TCP and TLS with whatever address */
	unsigned address_ms;   /* for TCP, unless it is the last address */
	unsigned handshake_ms; /* for TLS, likewise */
};

/* One of the two, once for each dial_start(), never from within it. */
struct dial_events {
	/* A TLS bufferevent with deferred callbacks, now the callee's. */
	void (*on_connected)(void *arg, struct bufferevent *bev);
	/* Of the last address; why is valid during the call and fit for the log. */
	void (*on_failed)(void *arg, const char *why);
};

/* Copies o. NULL if ca_file is no good; *why then tells, a literal. */
struct dial *dial_create(struct event_base *base, const struct dial_options *o,
    const struct dial_events *events, void *arg, const char **why);
void dial_destroy(struct dial *d); /* accepts NULL; nothing is called back */

void dial_start(struct dial *d); /* while none is under way */

#endif
