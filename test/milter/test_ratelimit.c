#include "milter/ratelimit.h"

#include <stdio.h>

#include "test/support.h"

#define SECOND_US INT64_C(1000000)

static const struct rate_case {
	const char *name;
	unsigned per_minute, burst;
	unsigned allowed; /* of mails at one moment */
	int64_t wait_us;  /* told at the first refusal */
} rate_cases[] = {
	{ "defaults", 60, 10, 10, SECOND_US },
	{ "one at a time", 60, 1, 1, SECOND_US },
	{ "slow", 1, 2, 2, 60 * SECOND_US },
	{ "fast", 6000, 100, 100, SECOND_US / 100 },
	{ "zero means one", 0, 0, 1, 60 * SECOND_US },
};

static void rate(void **state)
{
	const struct rate_case *c = *state;
	struct ratelimit *r = ratelimit_create(10);
	struct span sender = span_of("a@example.org");
	int64_t now = 5 * SECOND_US, wait = -1;

	ratelimit_configure(r, c->per_minute, c->burst);
	for (unsigned i = 0; i < c->allowed; i++)
		assert_true(ratelimit_take(r, sender, now, &wait));
	/* However often it is refused, that costs nothing. */
	for (int i = 0; i < 100; i++) {
		assert_false(ratelimit_take(r, sender, now, &wait));
		assert_int_equal(wait, c->wait_us);
	}
	assert_false(ratelimit_take(r, sender, now + wait - 1, &wait));
	assert_int_equal(wait, 1);
	assert_true(ratelimit_take(r, sender, now + c->wait_us, &wait));
	ratelimit_destroy(r);
}

/* The promise to clients: mail 10 of a burst passes, 180 quick ones do not. */
static void online_rule(void **state)
{
	struct ratelimit *r = ratelimit_create(10);
	struct span sender = span_of("a@example.org");
	int64_t now = 0, wait;
	unsigned sent = 0;

	/* Ten a second is slow for a test that means to be refused. */
	while (ratelimit_take(r, sender, now, &wait)) {
		now += SECOND_US / 10;
		sent++;
	}
	assert_in_range(sent, 10, 180);
	ratelimit_destroy(r);
}

/* A whole minute later the budget is whole, and not more than whole. */
static void recovery(void **state)
{
	struct ratelimit *r = ratelimit_create(10);
	struct span sender = span_of("a@example.org");
	int64_t wait;

	for (int64_t now = 0; now < 600 * SECOND_US; now += 60 * SECOND_US) {
		for (int i = 0; i < 10; i++)
			assert_true(ratelimit_take(r, sender, now, &wait));
		assert_false(ratelimit_take(r, sender, now, &wait));
	}
	ratelimit_destroy(r);
}

static void senders(void **state)
{
	struct ratelimit *r = ratelimit_create(10);
	int64_t wait;

	ratelimit_configure(r, 60, 1);
	assert_true(ratelimit_take(r, span_of("a@example.org"), 0, &wait));
	assert_false(ratelimit_take(r, span_of("A@Example.ORG"), 0, &wait));
	assert_true(ratelimit_take(r, span_of("b@example.org"), 0, &wait));
	assert_true(ratelimit_take(r, span_of("a@example.or"), 0, &wait));
	assert_true(ratelimit_take(r, span_of(""), 0, &wait));
	assert_false(ratelimit_take(r, span_of(""), 0, &wait));
	ratelimit_destroy(r);
}

static struct span numbered(char buf[32], unsigned i)
{
	return span_make(buf, (size_t)snprintf(buf, 32, "user%u@example.org", i));
}

/* Full of senders: the first to be whole again goes, the busiest stays. */
static void full_table(void **state)
{
	struct ratelimit *r = ratelimit_create(100);
	struct span busy = span_of("busy@example.org");
	char buf[32];
	int64_t wait;

	for (int i = 0; i < 10; i++)
		assert_true(ratelimit_take(r, busy, 0, &wait));
	for (unsigned i = 0; i < 10000; i++)
		assert_true(ratelimit_take(r, numbered(buf, i), 0, &wait));
	assert_false(ratelimit_take(r, busy, 0, &wait));
	ratelimit_destroy(r);
}

/* Many senders over a long time: everyone's budget is kept while it matters. */
static void many_senders(void **state)
{
	struct ratelimit *r = ratelimit_create(1000);
	char buf[32];
	int64_t wait;

	ratelimit_configure(r, 60, 1);
	for (unsigned round = 0; round < 20; round++) {
		int64_t now = round * SECOND_US;

		for (unsigned i = 0; i < 1000; i++)
			assert_true(ratelimit_take(r, numbered(buf, i), now, &wait));
		for (unsigned i = 0; i < 1000; i++)
			assert_false(ratelimit_take(r, numbered(buf, i), now, &wait));
	}
	ratelimit_destroy(r);
}

static void new_limits_count_at_once(void **state)
{
	struct ratelimit *r = ratelimit_create(10);
	struct span sender = span_of("a@example.org");
	int64_t wait;

	ratelimit_configure(r, 60, 1);
	assert_true(ratelimit_take(r, sender, 0, &wait));
	assert_false(ratelimit_take(r, sender, 0, &wait));
	ratelimit_configure(r, 60, 3);
	assert_true(ratelimit_take(r, sender, 0, &wait));
	ratelimit_destroy(r);
	ratelimit_destroy(NULL);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(rate, rate_cases) },
		{ SUPPORT_TEST(online_rule) },
		{ SUPPORT_TEST(recovery) },
		{ SUPPORT_TEST(senders) },
		{ SUPPORT_TEST(full_table) },
		{ SUPPORT_TEST(many_senders) },
		{ SUPPORT_TEST(new_limits_count_at_once) },
	};

	return support_run("ratelimit", tests, ARRAY_LEN(tests));
}
