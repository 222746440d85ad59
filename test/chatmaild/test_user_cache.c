/* chatmaild/user_cache.c: found again, bounded, the used ones stay. */
#include "chatmaild/user_cache.h"

#include <stdio.h>

#include "test/support.h"

#define HASH "{SHA512-CRYPT}$6$salt$hash"

static struct span number(char buf[32], unsigned n)
{
	return span_make(buf, (size_t)snprintf(buf, 32, "user%u@chat.example", n));
}

static void put(struct user_cache *c, unsigned n, const char *hash)
{
	const struct mailbox_stamp stamp = { .inode = n, .size = 7, .ctime_ns = 9 };
	char buf[32];

	user_cache_put(c, number(buf, n), span_of(hash), &stamp);
}

static struct cached_user *get(struct user_cache *c, unsigned n)
{
	char buf[32];

	return user_cache_get(c, number(buf, n));
}

static void put_get_drop(void **state)
{
	struct user_cache *c = user_cache_create(1 << 20);
	char buf[32];

	for (unsigned n = 0; n < 1000; n++)
		put(c, n, HASH);
	assert_int_equal(user_cache_count(c), 1000);
	for (unsigned n = 0; n < 1000; n++) {
		struct cached_user *e = get(c, n);

		assert_non_null(e);
		assert_int_equal(e->stamp.inode, n);
		assert_string_equal(cached_user_hash(e), HASH);
		support_assert_span(span_of(cached_user_address(e)), number(buf, n));
	}
	assert_null(get(c, 1000));

	put(c, 5, "{PLAIN}other");
	assert_string_equal(cached_user_hash(get(c, 5)), "{PLAIN}other");
	assert_int_equal(user_cache_count(c), 1000);
	for (unsigned n = 0; n < 1000; n++)
		user_cache_drop(c, number(buf, n));
	user_cache_drop(c, number(buf, 1));
	assert_int_equal(user_cache_count(c), 0);
	assert_int_equal(user_cache_bytes(c), 0);
	user_cache_destroy(c);
}

/* The new hash may lie in the entry that it replaces. */
static void put_from_itself(void **state)
{
	struct user_cache *c = user_cache_create(1 << 20);
	struct cached_user *e;

	put(c, 1, HASH);
	e = get(c, 1);
	put(c, 1, cached_user_hash(e));
	assert_string_equal(cached_user_hash(get(c, 1)), HASH);
	user_cache_destroy(c);
}

static void stays_within_limit(void **state)
{
	const size_t limit = 100000;
	struct user_cache *c = user_cache_create(limit);

	for (unsigned n = 0; n < 20000; n++) {
		put(c, n, HASH);
		assert_true(user_cache_bytes(c) <= limit);
	}
	assert_true(user_cache_count(c) > 500);
	assert_non_null(get(c, 19999));
	assert_false(user_cache_has_room(c));
	user_cache_destroy(c);
}

/* Asked for all the time among a flood of others: it is never evicted. */
static void used_ones_stay(void **state)
{
	struct user_cache *c = user_cache_create(100000);

	put(c, 0, HASH);
	for (unsigned n = 1; n < 20000; n++) {
		put(c, n, HASH);
		assert_non_null(get(c, 0));
	}
	user_cache_destroy(c);
}

static void smaller_limit(void **state)
{
	struct user_cache *c = user_cache_create(1 << 20);

	for (unsigned n = 0; n < 3000; n++)
		put(c, n, HASH);
	user_cache_resize(c, 50000);
	for (unsigned n = 3000; n < 3200; n++)
		put(c, n, HASH);
	assert_true(user_cache_bytes(c) <= 50000);
	assert_non_null(get(c, 3199));
	user_cache_resize(c, 0);
	for (unsigned n = 0; n < 100; n++)
		put(c, n, HASH);
	assert_int_equal(user_cache_count(c), 1);
	user_cache_destroy(c);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(put_get_drop) },
		{ SUPPORT_TEST(put_from_itself) },
		{ SUPPORT_TEST(stays_within_limit) },
		{ SUPPORT_TEST(used_ones_stay) },
		{ SUPPORT_TEST(smaller_limit) },
	};

	return support_run("user_cache", tests, ARRAY_LEN(tests));
}
