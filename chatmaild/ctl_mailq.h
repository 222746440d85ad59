/*
 * What Postfix holds, by destination and reason, out of the JSON lines of postqueue(1). Pure;
 * bounded whatever the queue holds.
 */
#ifndef CHATMAILD_CTL_MAILQ_H
#define CHATMAILD_CTL_MAILQ_H

#include <stddef.h>
#include <stdint.h>

#define MAILQ_GROUPS_MAX 4096 /* destinations and reasons told apart; more are lumped */

struct mailq_group {
	char *destination, *reason;
	const char *meaning; /* a sentence; NULL: only the reason tells */
	uint64_t recipients, bytes;
	int64_t oldest; /* arrival, Unix time; 0: unknown */
};

/* All 0 at first. */
struct mailq {
	struct mailq_group *group;
	size_t n, room;
	uint64_t messages, bytes;
	int64_t oldest;
};

/* One line, which is one message. What is none is passed over. */
void mailq_take(struct mailq *q, const char *line, size_t len);

/* Most recipients first. */
void mailq_sort(struct mailq *q);

void mailq_deinit(struct mailq *q);

#endif
