/*
 * Once a day, at a time of day: what is due by a wall clock that may jump, for work that
 * cannot be undone. Pure: who asks brings the time.
 */
#ifndef CHATMAILD_DAILY_H
#define CHATMAILD_DAILY_H

#include <stdint.h>

/* Seconds since 1970, but for the first two. */
struct daily {
	int minutes;    /* local time of day, behind midnight */
	int64_t jitter; /* seconds by which it is later than that */
	int64_t last;   /* begin of the last that came to its end: set by who does it */
	int64_t tried;  /* begin of the last that was due; 0: none yet */
};

#define DAILY_RETRY 3600 /* seconds before one that failed is tried again */
#define DAILY_GAP_MAX                                                                  \
	(7 * 86400) /* seconds without one: a clock that is wrong, maybe */

enum daily_answer {
	DAILY_WAIT,
	DAILY_DUE,  /* begin; tried is now */
	DAILY_BACK, /* the clock went back by more than a day; last is now */
	DAILY_GAP, /* none for very long, or the clock is far ahead; last is now: wait for
		     * the next, so that somebody can set it right */
};

/* Ask now and then. */
enum daily_answer daily_look(struct daily *d, int64_t now);

#endif
