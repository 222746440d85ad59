/*
 * How late the loop runs: a timer that should fire every second tells how much later it
 * did. A sample, not an account of every delay; what blocks the loop often is seen.
 */
#ifndef CHATMAILD_STALL_H
#define CHATMAILD_STALL_H

#include <event2/event.h>
#include <stdint.h>

struct stall;

struct stall *stall_create(struct event_base *base);
void stall_destroy(struct stall *s); /* accepts NULL */

/* The worst of the last minute, microseconds. */
uint64_t stall_worst_us(const struct stall *s);

#endif
