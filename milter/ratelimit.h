/*
 * Sending rate per envelope sender: GCRA, so a burst at once, then one mail every
 * interval; a refused attempt costs nothing. The table is bounded: when it
 * is full, the entry goes whose budget is whole again, or will be first.
 */
#ifndef MILTER_RATELIMIT_H
#define MILTER_RATELIMIT_H

#include <stdint.h>

#include "proto/span.h"

struct ratelimit;

/* max_entries bounds memory: about 100 bytes each, allocated as they come. */
struct ratelimit *ratelimit_create(size_t max_entries);
void ratelimit_destroy(struct ratelimit *r);

/* per_minute mails a minute after a burst of that many at once; both at least 1. */
void ratelimit_configure(struct ratelimit *r, unsigned per_minute, unsigned burst);

/*
 * May sender (compared lower-cased) send one more now? now_us is monotonic, in
 * microseconds. True takes one from the budget; false tells in *wait_us when to retry.
 */
bool ratelimit_take(
    struct ratelimit *r, struct span sender, int64_t now_us, int64_t *wait_us);

#endif
