/*
 * What users.c (find, remember) and users_make.c (make) share. Nobody else's.
 */
#ifndef CHATMAILD_USERS_PRIVATE_H
#define CHATMAILD_USERS_PRIVATE_H

#include <time.h>

#include "chatmaild/guard.h"
#include "chatmaild/user_cache.h"
#include "chatmaild/user_row.h"
#include "chatmaild/users.h"

struct users {
	struct daemon *daemon;
	struct user_cache *cache;
	struct census *census;
	struct admission_control admission;
	struct guard *guard;
	struct invites *invites;
	struct creation *creations; /* under way */
	struct takeover *takeover;  /* NULL unless rebuilding */
	struct event *warm;         /* filling the cache, else NULL */
	bool warmed;                /* every account was put into the cache */
	char warm_after[ADDRESS_MAX + 1];
	sqlite3_stmt *rows_after, *row_of;
	unsigned
	    remembering; /* rows on their way to the store, nobody waits for them */
	bool stopping;
	int64_t trouble_logged_ms;
	uint64_t progress_logged;
	struct users_counters counters;
};

static inline int64_t users_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Days since 1970. */
static inline int64_t users_today(void)
{
	return users_clock_ns(CLOCK_REALTIME) / 1000000000 / MAILBOX_DAY;
}

/* A NUL-terminated copy; address is address_is_path(). */
void users_copy_address(char buf[ADDRESS_MAX + 1], struct span address);

/* A warning, at most one a second. */
void users_log_trouble(struct users *u, const char *what, int error);

/* The file as read or written just now. Valid until the next put. */
struct cached_user *users_put(struct users *u, const struct user_row *row);

/* Read the file, which decides over cache and row. *found is set if it is usable. */
enum mailbox_state users_read(
    struct users *u, const char *address, struct cached_user **found);

/* Is the account being made right now? */
bool users_is_making(const struct users *u, struct span address);

#endif
