/*
 * Calendar days of local time, which may have 23 hours.
 */
#include "chatmaild/daily.h"

#include <time.h>

#define DAY 86400

static int64_t due_on(const struct daily *d, time_t wall, int days_ago)
{
	struct tm tm;

	localtime_r(&wall, &tm);
	tm.tm_mday -= days_ago;
	tm.tm_hour = d->minutes / 60;
	tm.tm_min = d->minutes % 60;
	tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return mktime(&tm);
}

/* When the last one should have begun, at or before now. */
static int64_t last_due(const struct daily *d, int64_t now)
{
	time_t wall = (time_t)(now - d->jitter);
	int64_t due = due_on(d, wall, 0);

	if (due > wall)
		due = due_on(d, wall, 1);
	return due + d->jitter;
}

enum daily_answer daily_look(struct daily *d, int64_t now)
{
	if (d->last > now + DAY) {
		d->last = now;
		return DAILY_BACK;
	}
	if (d->last >= last_due(d, now))
		return DAILY_WAIT;
	if (d->last < now - DAILY_GAP_MAX) {
		d->last = now;
		return DAILY_GAP;
	}
	if (d->tried <= now && d->tried > now - DAILY_RETRY)
		return DAILY_WAIT;
	d->tried = now;
	return DAILY_DUE;
}
