/*
 * The service table: everything the daemon serves is one row. A row brings its socket,
 * its limit, its life cycle and its metrics; the daemon knows nothing else about it.
 *
 * Listening (UNIX or TCP, own or inherited from systemd), accepting, limits and
 * back-off when descriptors run out are done here, once for all.
 */
#ifndef CHATMAILD_SERVICE_H
#define CHATMAILD_SERVICE_H

#include <event2/listener.h>
#include <event2/util.h>
#include <stdint.h>
#include <sys/types.h>

#include "chatmaild/endpoint.h"
#include "chatmaild/metric.h"

struct daemon;
struct listener;

#define SERVICE_NO_SOCKET ((size_t)-1)

struct service {
	const char *name;   /* in logs and in the service label of metrics */
	const char *labels; /* put before those of its metric rows, for a table that two
			     * services share: 'direction="incoming"'; or NULL */
	size_t socket; /* offsetof(struct config, auth_socket), or SERVICE_NO_SOCKET; if
			* that endpoint is not set, the service does not run */
	mode_t socket_mode;       /* of a UNIX socket */
	unsigned max_connections; /* beyond it new ones wait in the backlog, or hear
				     full() */

	/* Make the service's state; NULL if it cannot run, the cause is logged then. */
	void *(*start)(struct daemon *d, const struct service *self);

	/*
	 * A new connection: fd is non-blocking, close-on-exec and now the service's,
	 * who calls listener_release(from) once when it is closed. It may do so from
	 * here.
	 */
	void (*accept)(void *state, struct listener *from, evutil_socket_t fd);

	/*
	 * Instead of accept, for a library that accepts itself (evhttp): ev is now the
	 * service's, which frees it in stop(). It counts its connections by
	 * listener_take(from) and listener_release(from).
	 */
	void (*adopt)(void *state, struct listener *from, struct evconnlistener *ev);

	/* The limit is reached: say so on fd and close it. NULL: let them wait. */
	void (*full)(void *state, evutil_socket_t fd);

	/* The config was replaced; d->config is the new one already. May be NULL. */
	void (*reload)(void *state);

	/*
	 * SIGTERM: no new connections come. Send the replies that are owed, close what
	 * is idle. Called once; then pending() is asked until 0 or the time is up. May
	 * be NULL.
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
extern const struct service auth_service;      /* Dovecot passdb and userdb, dict */
extern const struct service lastlogin_service; /* Dovecot last_login, dict */
extern const struct service metadata_service;  /* Dovecot IMAP METADATA, dict */
extern const struct service outgoing_service;  /* Postfix before-queue filter, SMTP */
extern const struct service incoming_service;
extern const struct service notify_service;  /* push notifications, no listener */
extern const struct service echobot_service; /* echo@DOMAIN, no listener */
extern const struct service http_service;    /* GET /metrics on a UNIX socket */
extern const struct service metrics_service; /* the same on metrics_address */
extern const struct service admin_service;   /* the operator's tool, JSON lines */

/* One started service, as the metrics and the shutdown see it. */
struct running_service {
	const struct service *service;
	void *state;
	struct listener *listener; /* NULL without socket */
};

/* The services of one table that run. */
struct services;

/*
 * Start table's services in its order; d->config and what d shares must be there. The
 * table outlives the result. NULL if one cannot start, logged: those before it are
 * stopped again. Inherited sockets that belong to none of them are closed with a
 * warning.
 */
struct services *services_start(
    struct daemon *d, const struct service *const *table, size_t n);

void services_reload(struct services *s);         /* calls each reload() */
void services_stop_accepting(struct services *s); /* connections live on */
void services_drain(struct services *s);
unsigned services_pending(const struct services *s);     /* sum of each pending() */
unsigned services_connections(const struct services *s); /* open now, all listeners */
const struct running_service *services_list(const struct services *s, size_t *n);

/* Stop in reverse order and free. Accepts NULL. */
void services_stop(struct services *s);

/*
 * Listen for a service: an inherited socket bound to ep if there is one, else a new one
 * (a stale UNIX socket file is replaced, one in use by a living process is an error,
 * any other kind of file is left alone). NULL if that failed, logged.
 *
 * A UNIX socket's file gets exactly socket_mode. Its group is the directory's if that
 * is setgid, else group if we may set it, else our own; (gid_t)-1 asks for none.
 */
struct listener *listener_create(struct event_base *base, const struct service *service,
    void *state, const struct endpoint *ep, gid_t group);
void listener_destroy(struct listener *l); /* unlinks a socket file that we made */
void listener_stop(struct listener *l);    /* no more accepts; connections live on */

/* For adopt: one connection more. */
void listener_take(struct listener *l);

/* One of its connections is closed. NULL is none's: a connection made by a test. */
void listener_release(struct listener *l);

bool listener_is_fd(const struct listener *l, evutil_socket_t fd); /* listens on fd? */
unsigned listener_connections(const struct listener *l);           /* open now */
uint64_t listener_accepted(const struct listener *l);
uint64_t listener_refused(const struct listener *l); /* told full(), or no descriptor */

#endif
