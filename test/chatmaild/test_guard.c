/* chatmaild/guard.c: limits for the relay and for networks, by a clock of our own. */
#include "chatmaild/guard.h"

#include <stdio.h>

#include "test/support.h"

#define BEGIN  1000000 /* milliseconds */
#define MINUTE 60000

static enum guard_answer take(
    struct guard *g, int per_minute, int per_network, const char *client, int64_t now)
{
	return guard_take(g, per_minute, per_network, span_of(client), now);
}

static void no_limits(void **state)
{
	struct guard *g = guard_create();

	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(take(g, 0, 0, "192.0.2.1", BEGIN), GUARD_OK);
	assert_false(guard_is_full(g, 0, BEGIN));
	guard_destroy(g);
}

static void whole_relay(void **state)
{
	struct guard *g = guard_create();
	unsigned taken = 0;

	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(take(g, 7, 0, "", BEGIN), GUARD_OK);
	assert_true(guard_is_full(g, 7, BEGIN));
	assert_int_equal(take(g, 7, 0, "192.0.2.1", BEGIN), GUARD_RATE);
	/* One more each seventh of a minute, not seven at its end. */
	assert_int_equal(take(g, 7, 0, "", BEGIN + MINUTE / 7 - 1), GUARD_RATE);
	assert_int_equal(take(g, 7, 0, "", BEGIN + MINUTE / 7 + 1), GUARD_OK);
	assert_int_equal(take(g, 7, 0, "", BEGIN + MINUTE / 7 + 1), GUARD_RATE);
	/* After a long silence a minute's worth. */
	for (unsigned i = 0; i < 100; i++)
		taken += take(g, 7, 0, "", BEGIN + 100 * MINUTE) == GUARD_OK;
	assert_int_equal(taken, 7);
	/* The limit is raised: what is in the bucket runs out faster. */
	assert_int_equal(take(g, 1000, 0, "", BEGIN + 100 * MINUTE), GUARD_RATE);
	assert_int_equal(take(g, 1000, 0, "", BEGIN + 100 * MINUTE + 61), GUARD_OK);
	guard_destroy(g);
}

static const struct pair_case {
	const char *name, *one, *other;
	bool same;
} pair_cases[] = {
	{ "the same", "192.0.2.1", "192.0.2.1", true },
	{ "neighbours", "192.0.2.1", "192.0.2.255", true },
	{ "next network", "192.0.2.1", "192.0.3.1", false },
	{ "six", "2001:db8::1", "2001:db8:0:0:ffff::2", true },
	{ "next six", "2001:db8::1", "2001:db8:0:1::1", false },
	{ "four in six", "192.0.2.1", "::ffff:192.0.2.9", true },
	{ "four and six", "192.0.2.1", "c000:0200::", false },
	{ "unknown", "", "", false },
	{ "no address", "localhost", "localhost", false },
	{ "too long", "2001:0db8:0000:0000:0000:0000:0000:0000:0000:0001",
	    "2001:0db8:0000:0000:0000:0000:0000:0000:0000:0001", false },
};

static void networks(void **state)
{
	const struct pair_case *c = *state;
	struct guard *g = guard_create();

	assert_int_equal(take(g, 0, 1, c->one, BEGIN), GUARD_OK);
	assert_int_equal(
	    take(g, 0, 1, c->other, BEGIN), c->same ? GUARD_NETWORK : GUARD_OK);
	/* With the hour all is forgotten. */
	assert_int_equal(take(g, 0, 1, c->other, BEGIN + GUARD_HOUR_MS), GUARD_OK);
	guard_destroy(g);
}

/* More networks than are remembered: the one that makes many stays in sight. */
static void flood(void **state)
{
	struct guard *g = guard_create();
	unsigned refused = 0;

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(take(g, 0, 5, "192.0.2.1", BEGIN), GUARD_OK);
	for (unsigned i = 0; i < 20 * GUARD_NETWORKS; i++) {
		char client[GUARD_CLIENT_MAX + 1];

		snprintf(client, sizeof(client), "10.%u.%u.1", i >> 8 & 255, i & 255);
		refused += take(g, 0, 5, client, BEGIN) != GUARD_OK;
	}
	assert_int_equal(take(g, 0, 5, "192.0.2.77", BEGIN), GUARD_NETWORK);
	assert_int_equal(refused, 0);
	guard_destroy(g);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(no_limits) },
		{ SUPPORT_TEST(whole_relay) },
		{ SUPPORT_TABLE(networks, pair_cases) },
		{ SUPPORT_TEST(flood) },
	};

	return support_run("guard", tests, ARRAY_LEN(tests));
}
