/*
 * How many accounts may be made: on the whole relay in a minute, from one network in an
 * hour. A network is a /24 of IPv4 or a /64 of IPv6, and is remembered only as a keyed hash
 * whose key nobody sees and which is thrown away, with all counts, each hour. Bounded
 * memory: where too many networks meet in one place, the one with the fewest accounts is
 * forgotten.
 */
#ifndef CHATMAILD_GUARD_H
#define CHATMAILD_GUARD_H

#include <stdint.h>

#include "proto/span.h"

#define GUARD_NETWORKS   4096 /* remembered at most */
#define GUARD_CLIENT_MAX 45   /* bytes of an IP address as text */
#define GUARD_HOUR_MS    3600000

struct guard;

struct guard *guard_create(void);
void guard_destroy(struct guard *g); /* accepts NULL */

enum guard_answer {
	GUARD_OK,      /* and it is counted */
	GUARD_RATE,    /* too many on the whole relay */
	GUARD_NETWORK, /* too many from there */
};

/*
 * One more account, for a client at this IP address; what is none (empty: not known) counts
 * for the whole relay only. A limit of 0 is none. now_ms is a monotonic clock's.
 */
enum guard_answer guard_take(struct guard *g, int per_minute, int per_network,
    struct span client, int64_t now_ms);

/* Would anybody get GUARD_RATE now? */
bool guard_is_full(const struct guard *g, int per_minute, int64_t now_ms);

#endif
