/* chatmaild/invites.c: made, checked, used once. */
#include "chatmaild/invites.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "chatmaild/users.h"
#include "test/chatmaild/accounts.h"

#define USER  "someone12@" DOMAIN
#define OTHER "another34@" DOMAIN
#define TODAY 20000

struct house {
	struct accounts a;
	struct invites *i;
};

static void house_init(struct house *h)
{
	accounts_init(&h->a);
	h->i = invites_create(h->a.d.store);
	assert_non_null(h->i);
}

static void house_deinit(struct house *h)
{
	struct invites *i = h->i;

	accounts_deinit(&h->a);
	invites_destroy(i);
}

static void good_for_days(void **state)
{
	char invite[INVITE_LEN + 1], password[64];
	struct house h;

	house_init(&h);
	invites_make(h.i, TODAY + 3, invite);
	assert_int_equal(strlen(invite), INVITE_LEN);
	assert_int_not_equal(invites_find(h.i, span_of(invite), TODAY), 0);
	assert_int_not_equal(invites_find(h.i, span_of(invite), TODAY + 3), 0);
	assert_int_equal(invites_find(h.i, span_of(invite), TODAY + 4), 0);
	snprintf(password, sizeof(password), "%s and more", invite);
	assert_int_not_equal(invites_find(h.i, span_of(password), TODAY), 0);
	snprintf(password, sizeof(password), "x%s", invite);
	assert_int_equal(invites_find(h.i, span_of(password), TODAY), 0);
	house_deinit(&h);
}

/* Whatever letter is changed, and wherever it is cut. */
static void forged(void **state)
{
	char invite[INVITE_LEN + 1], changed[INVITE_LEN + 1];
	struct house h;

	house_init(&h);
	invites_make(h.i, TODAY, invite);
	for (size_t i = 0; i < INVITE_LEN; i++) {
		memcpy(changed, invite, sizeof(changed));
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		assert_int_equal(invites_find(h.i, span_of(changed), TODAY), 0);
		changed[i] = '+';
		assert_int_equal(invites_find(h.i, span_of(changed), TODAY), 0);
		changed[i] = '\0';
		assert_int_equal(
		    invites_find(h.i, span_make(changed, INVITE_LEN), TODAY), 0);
		assert_int_equal(invites_find(h.i, span_make(invite, i), TODAY), 0);
	}
	house_deinit(&h);
}

static enum users_answer make(
    struct house *h, const char *address, const char *invite, const char *rest)
{
	char password[128], hash[PASSWORD_HASH_MAX];

	snprintf(password, sizeof(password), "%s%s", invite, rest);
	return accounts_make(&h->a, address, password, hash);
}

static void one_account_each(void **state)
{
	char invite[INVITE_LEN + 1], hash[PASSWORD_HASH_MAX];
	struct house h;
	char *rows;

	house_init(&h);
	h.a.config.invites = true;
	assert_int_equal(make(&h, USER, "", "a long password"), USERS_REFUSED);
	assert_int_equal(users_counters(h.a.d.users)->refused_invite, 1);
	users_invite(h.a.d.users, 1, invite);
	assert_true(users_takes_invite(h.a.d.users, span_of(invite)));
	rows = accounts_sql(&h.a, "SELECT count(*) FROM invites");
	assert_string_equal(rows, "0"); /* nothing is stored before its use */
	free(rows);

	assert_int_equal(make(&h, USER, invite, "-secret"), USERS_FOUND);
	assert_false(users_takes_invite(h.a.d.users, span_of(invite)));
	assert_int_equal(make(&h, OTHER, invite, "-secret"), USERS_REFUSED);
	assert_int_equal(accounts_find(&h.a, OTHER, hash), USERS_ABSENT);
	/* Who has an account needs none. */
	assert_int_equal(make(&h, USER, "", "whatever it is"), USERS_FOUND);
	house_deinit(&h);
}

/* The key outlives a restart, and so do invites, used and not. */
static void restart(void **state)
{
	char used[INVITE_LEN + 1], kept[INVITE_LEN + 1];
	struct house h;

	house_init(&h);
	h.a.config.invites = true;
	users_invite(h.a.d.users, 1, used);
	users_invite(h.a.d.users, 1, kept);
	assert_int_equal(make(&h, USER, used, "-secret"), USERS_FOUND);
	accounts_stop(&h.a);
	invites_destroy(h.i);
	accounts_start(&h.a);
	h.i = invites_create(h.a.d.store);
	assert_false(users_takes_invite(h.a.d.users, span_of(used)));
	assert_int_equal(make(&h, OTHER, kept, "-secret"), USERS_FOUND);
	house_deinit(&h);
}

struct race {
	unsigned left, found, refused;
};

static void on_made(void *arg, enum users_answer answer, const struct user *user)
{
	struct race *r = arg;

	r->left--;
	r->found += answer == USERS_FOUND;
	r->refused += answer == USERS_REFUSED;
}

static bool race_over(void *arg)
{
	return ((struct race *)arg)->left == 0;
}

/* Many at once with one invite: one gets in, of the others nothing is left. */
static void raced(void **state)
{
	enum { RUNNERS = 10 };
	char invite[INVITE_LEN + 1], password[64], hash[PASSWORD_HASH_MAX];
	struct race r = { .left = RUNNERS };
	unsigned there = 0;
	struct house h;

	house_init(&h);
	h.a.config.invites = true;
	users_invite(h.a.d.users, 1, invite);
	snprintf(password, sizeof(password), "%s-secret", invite);
	for (unsigned i = 0; i < RUNNERS; i++) {
		char address[64];

		snprintf(address, sizeof(address), "runner%03u@" DOMAIN, i);
		users_make(h.a.d.users, span_of(address), span_of(password), NULL,
		    on_made, &r);
	}
	support_loop(h.a.d.base, race_over, &r);
	assert_int_equal(r.found, 1);
	assert_int_equal(r.refused, RUNNERS - 1);
	for (unsigned i = 0; i < RUNNERS; i++) {
		char address[64];

		snprintf(address, sizeof(address), "runner%03u@" DOMAIN, i);
		there += accounts_find(&h.a, address, hash) == USERS_FOUND;
	}
	assert_int_equal(there, 1);
	house_deinit(&h);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(good_for_days) },
		{ SUPPORT_TEST(forged) },
		{ SUPPORT_TEST(one_account_each) },
		{ SUPPORT_TEST(restart) },
		{ SUPPORT_TEST(raced) },
	};

	return support_run("invites", tests, ARRAY_LEN(tests));
}
