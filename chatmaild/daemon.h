/*
 * The daemon: one loop, the services of the table, what they share. No globals: whoever
 * needs something gets the struct daemon it was started with.
 */
#ifndef CHATMAILD_DAEMON_H
#define CHATMAILD_DAEMON_H

#include <event2/event.h>
#include <stdbool.h>
#include <time.h>

#include "chatmaild/config.h"
#include "chatmaild/service.h"

struct expiry;
struct machine;
struct push_queue;
struct stall;

struct daemon {
	struct event_base *base;
	const struct config *config; /* replaced by SIGHUP; never keep a pointer into it
				      * across a return to the loop */
	struct workers *hashers;     /* for password hashes, which can wait */
	struct workers *workers;     /* for what blocks on the disk: files, walks */
	struct store *store;         /* SQLite */
	struct users *users;
	struct push_queue *pushes; /* notifications that wait */
	struct expiry *expiry;     /* old mail, unused accounts */
	struct services *services;
	struct stall *stall;     /* how late the loop runs */
	struct machine *machine; /* how the machine below does */
	time_t started;          /* wall clock */
	bool draining;           /* SIGTERM came */
	char *invite_link;       /* how to meet the echo bot; owned, NULL: not known */
};

/*
 * Open the store, start workers and services. Takes config. NULL on failure, logged in
 * one line that says what to change.
 */
struct daemon *daemon_create(struct config *config);

/*
 * Tell the supervisor that we are ready, serve until SIGTERM or SIGINT, then let what
 * is owed go out, for a few seconds at most. SIGHUP re-reads the config.
 */
void daemon_run(struct daemon *d);

/*
 * Read the config again, as SIGHUP asks. 0, with the keys that differ and need a restart in
 * changed, blank-separated; or -1, logged, and all stays as it was.
 */
#define DAEMON_CHANGED_MAX 512
int daemon_reload(struct daemon *d, char changed[DAEMON_CHANGED_MAX]);
void daemon_destroy(struct daemon *d);

#endif
