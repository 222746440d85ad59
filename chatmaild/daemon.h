/*
 * The daemon: one loop, the services of the table, what they share. No globals: whoever
 * needs something gets the struct daemon it was started with.
 */
#ifndef CHATMAILD_DAEMON_H
#define CHATMAILD_DAEMON_H

#include <event2/event.h>

#include "chatmaild/config.h"
#include "chatmaild/service.h"

struct daemon {
	struct event_base *base;
	const struct config *config; /* replaced by SIGHUP; never keep a pointer into it
				      * across a return to the loop */
	struct workers *workers;     /* for what blocks: hashing, fsync, walks */
	struct store *store;	     /* SQLite */
	struct users *users;
	bool draining; /* SIGTERM came */
};

/* Everything of one started service, for /metrics and the shutdown. */
struct running_service {
	const struct service *service;
	void *state;
	struct listener *listener; /* NULL without socket */
};

/* The started services, in table order. */
const struct running_service *daemon_services(const struct daemon *d, size_t *n);

/*
 * Open the store, start workers and services. Takes config. NULL on failure, logged in
 * one line that says what to change.
 */
struct daemon *daemon_create(struct config *config);

/* Serve until SIGTERM or SIGINT; 0 if everything owed was sent in time. */
int daemon_run(struct daemon *d);
void daemon_destroy(struct daemon *d);

#endif
