/* chatmaild/daily.c: by clocks that jump, and on days that are shorter than others. */
#include "chatmaild/daily.h"

#include <stdlib.h>
#include <time.h>

#include "test/support.h"

#define DAY     86400
#define NOON    INT64_C(1774612800) /* 2026-03-27 12:00 UTC, 13:00 in Berlin */
#define TO_0230 (13 * 3600 + 1800)  /* from there to half past two in Berlin */

static const struct look_case {
	const char *name;
	struct daily daily;
	int64_t now;
	enum daily_answer answer;
	int64_t last; /* afterwards */
} look_cases[] = {
	{ "done today", { 150, 0, NOON - DAY + TO_0230, 0 }, NOON, DAILY_WAIT,
	    NOON - DAY + TO_0230 },
	{ "not yet time", { 150, 0, NOON, 0 }, NOON + TO_0230 - 1, DAILY_WAIT, NOON },
	{ "time", { 150, 0, NOON, 0 }, NOON + TO_0230, DAILY_DUE, NOON },
	{ "later than the time of day", { 150, 60, NOON, 0 }, NOON + TO_0230 + 59,
	    DAILY_WAIT, NOON },
	{ "as much later", { 150, 60, NOON, 0 }, NOON + TO_0230 + 60, DAILY_DUE, NOON },
	{ "missed", { 150, 0, NOON - 2 * DAY, 0 }, NOON, DAILY_DUE, NOON - 2 * DAY },
	{ "tried and failed", { 150, 0, NOON - DAY, NOON - 30 }, NOON, DAILY_WAIT,
	    NOON - DAY },
	{ "tried an hour ago", { 150, 0, NOON - DAY, NOON - DAILY_RETRY }, NOON,
	    DAILY_DUE, NOON - DAY },
	{ "tried by a clock that was ahead", { 150, 0, NOON - DAY, NOON + 9 }, NOON,
	    DAILY_DUE, NOON - DAY },
	{ "done by a clock an hour ahead", { 150, 0, NOON + 3600, 0 }, NOON, DAILY_WAIT,
	    NOON + 3600 },
	{ "by one that was days ahead", { 150, 0, NOON + DAY + 1, 0 }, NOON, DAILY_BACK,
	    NOON },
	{ "a week away", { 150, 0, NOON - DAILY_GAP_MAX, 0 }, NOON, DAILY_DUE,
	    NOON - DAILY_GAP_MAX },
	{ "longer, or the clock is ahead", { 150, 0, NOON - DAILY_GAP_MAX - 1, 0 },
	    NOON, DAILY_GAP, NOON },
	/* 2026-03-29 has no 02:30: it is done at 03:30 then, and the day before's is not
	 * done again. */
	{ "before the hour that is left out",
	    { 150, 0, NOON + TO_0230, NOON + TO_0230 }, NOON + TO_0230 + DAY - 7200,
	    DAILY_WAIT, NOON + TO_0230 },
	{ "the first hour behind it", { 150, 0, NOON + TO_0230, NOON + TO_0230 },
	    NOON + TO_0230 + DAY, DAILY_DUE, NOON + TO_0230 },
};

static void look(void **state)
{
	const struct look_case *c = *state;
	struct daily d = c->daily;

	assert_int_equal(daily_look(&d, c->now), c->answer);
	assert_int_equal(d.last, c->last);
	assert_int_equal(d.tried, c->answer == DAILY_DUE ? c->now : c->daily.tried);
	/* At once again it never is. */
	assert_int_equal(daily_look(&d, c->now), DAILY_WAIT);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(look, look_cases) },
	};

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	return support_run("daily", tests, ARRAY_LEN(tests));
}
