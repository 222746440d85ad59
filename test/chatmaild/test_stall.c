/* A loop that is held up is told so. */
#include "chatmaild/stall.h"

#include <time.h>

#include "test/support.h"

static bool seen(void *arg)
{
	return stall_worst_us(arg) > 0;
}

/* Only the least that must be seen is asserted: a slow machine adds to it. */
static void delay_is_seen(void **state)
{
	const struct timespec busy = { .tv_sec = 1, .tv_nsec = 100 * 1000 * 1000 };
	struct event_base *base = event_base_new();
	struct stall *s = stall_create(base);

	assert_int_equal(stall_worst_us(s), 0);
	nanosleep(
	    &busy, NULL); /* as a callback that blocks; the timer was due after 1 s */
	support_loop(base, seen, s);
	assert_true(stall_worst_us(s) >= 100 * 1000);
	stall_destroy(s);
	event_base_free(base);
}

static void destroy_accepts_null(void **state)
{
	stall_destroy(NULL);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(delay_is_seen) },
		{ SUPPORT_TEST(destroy_accepts_null) },
	};

	return support_run("stall", tests, ARRAY_LEN(tests));
}
