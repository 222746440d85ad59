/*
 * The service table: everything the daemon serves is one row. A row brings its socket,
 * its limit, its life cycle and its metrics; the daemon knows nothing else about it.
 *
 * Listening (UNIX or TCP, own or inherited from systemd), accepting, limits and back-off
 * when descriptors run out are done here, once for all.
 */
#ifndef CHATMAILD_SERVICE_H
#define CHATMAILD_SERVICE_H

#include <event2/listener.h>
#include <event2/util.h>

#include "chatmaild/metric.h"

struct daemon;
struct listener;

#define SERVICE_NO_SOCKET ((size_t)-1)

struct service {
	const char *name; /* in logs, metrics and in systemd's socket units */
	size_t socket;	  /* offsetof(struct config, auth_socket), or SERVICE_NO_SOCKET */
	mode_t socket_mode;	/* of a UNIX socket */
	unsigned max_connections; /* beyond it new ones wait in the backlog, or hear full() */

	/* Make the service's state; NULL if it cannot run, the cause is logged then. */
	void *(*start)(struct daemon *d, const struct service *self);

	/*
	 * A new connection: fd is non-blocking and now the service's, who calls
	 * listener_release() once when it is closed.
	 */
	void (*accept)(void *state, struct listener *from, evutil_socket_t fd);

	/* Instead of accept, for a service that brings its own: evhttp. */
	void (*adopt)(void *state, struct evconnlistener *listener);

	/* The limit is reached: say so on fd and close it. NULL: let them wait. */
	void (*full)(void *state, evutil_socket_t fd);

	/* The config was replaced; d->config is the new one already. May be NULL. */
	void (*reload)(void *state);

	/*
	 * SIGTERM: no new connections come. Send the replies that are owed, close what is
	 * idle. Called once; then pending() is asked until 0 or the time is up. May be NULL.
	 */
	void (*drain)(void *state);
	unsigned (*pending)(const void *state);

	/* Close everything at once and free. Nothing is acknowledged any more. */
	void (*stop)(void *state);

	const struct metric_def *metrics;
	size_t nmetrics;
	const void *(*counters)(void *state); /* brings gauges up to date */
};

/* In the order they start; stopped in reverse. */
extern const struct service auth_service;	/* Dovecot passdb and userdb, dict */
extern const struct service lastlogin_service;	/* Dovecot last_login, dict */
extern const struct service outgoing_service;	/* Postfix before-queue filter, SMTP */
extern const struct service incoming_service;
extern const struct service http_service;    /* GET /metrics on a UNIX socket */
extern const struct service metrics_service; /* the same on metrics_address */

/*
 * Listen for a service: an inherited socket bound to ep if there is one, else a new one
 * (a stale UNIX socket file is replaced, one in use by a living process is an error).
 * NULL if that failed, logged.
 */
struct listener *listener_create(struct event_base *base, const struct service *service,
    void *state, const struct endpoint *ep);
void listener_destroy(struct listener *l); /* unlinks a socket file that we made */
void listener_stop(struct listener *l);	   /* no more accepts; connections live on */
void listener_release(struct listener *l); /* one of its connections is closed */
unsigned listener_connections(const struct listener *l);
uint64_t listener_accepted(const struct listener *l);
uint64_t listener_refused(const struct listener *l); /* told full(), or no descriptor */

#endif
