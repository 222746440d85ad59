/*
 * How many accounts there are, by kind and by the day of their last login: counted in
 * memory, moved by each row of the users table that is written. So a scrape costs the same
 * with ten accounts and with a million.
 */
#ifndef CHATMAILD_CENSUS_H
#define CHATMAILD_CENSUS_H

#include "chatmaild/metric.h"
#include "chatmaild/store.h"

enum account_kind {
	ACCOUNT_PLAIN,
	ACCOUNT_CI, /* "ci-...": made by automatic tests */
	ACCOUNT_AC, /* "ac_...": the same, by older ones */
	ACCOUNT_KINDS,
};
enum account_kind account_kind(struct span address);

/* What the writing of a row changed. Days since 1970 of the last login, of the creation
 * if nobody ever logged in; CENSUS_NONE: no account. */
#define CENSUS_NONE (-1)
struct census_change {
	enum account_kind kind;
	int64_t before, after;
};

/* Monitoring reads these numbers; test accounts (ci-) are told apart. */
struct census_gauges {
	uint64_t all, ci, user;
	uint64_t active[7]; /* users with a login within CENSUS_DAYS, cumulative */
};
#define CENSUS_DAYS                                                                    \
	{                                                                              \
		1, 10, 30, 40, 80, 100, 150                                            \
	}

extern const struct metric_def census_metrics[];
extern const size_t ncensus_metrics;

struct census;

/*
 * Starts to count what is in the store, on its writing thread: rows submitted after this
 * come after it. Until then everything is 0; if it fails it is counted again with the next
 * row that is written.
 */
struct census *census_create(struct store *store);
void census_destroy(struct census *c); /* after store_close(); accepts NULL */

/* A row was written, durably: n changes of it. On the loop. */
void census_apply(struct census *c, const struct census_change *changes, size_t n);

uint64_t census_count(const struct census *c, enum account_kind kind);

/* now: seconds since 1970. Days of a clock that was ahead count as today. */
void census_read(const struct census *c, int64_t now, struct census_gauges *gauges);

#endif
