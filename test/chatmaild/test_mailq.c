/* chatmaild/ctl_mailq.c: Postfix's queue by destination and reason. */
#include "chatmaild/ctl_mailq.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

static void take(struct mailq *q, const char *line)
{
	mailq_take(q, line, strlen(line));
}

/* As Postfix 3.7 writes it. */
static const char deferred[] =
    "{\"queue_name\": \"deferred\", \"queue_id\": \"4Xyz\", \"arrival_time\": "
    "1700000100, "
    "\"message_size\": 2000, \"forced_expire\": false, \"sender\": \"a@chat.example\", "
    "\"recipients\": [{\"address\": \"b@one.example\", \"delay_reason\": \"connect to "
    "one.example[192.0.2.1]:25: Connection timed out\"}, {\"address\": "
    "\"c@ONE.example\", "
    "\"delay_reason\": \"connect to one.example[2001:db8::1]:25: Operation timed "
    "out\"}, "
    "{\"address\": \"d@two.example\", \"delay_reason\": \"something new\"}]}\n";
static const char active[] =
    "{\"queue_name\": \"active\", \"arrival_time\": 1700000000, \"message_size\": 10, "
    "\"recipients\": [{\"address\": \"e@three.example\"}]}\n";

static void groups(void **state)
{
	struct mailq q = { 0 };

	take(&q, deferred);
	take(&q, active);
	mailq_sort(&q);
	assert_int_equal(q.messages, 2);
	assert_int_equal(q.bytes, 2010);
	assert_int_equal(q.oldest, 1700000000);
	assert_int_equal(q.n, 3);
	/* One destination, and two words for the same thing. */
	assert_string_equal(q.group[0].destination, "one.example");
	assert_int_equal(q.group[0].recipients, 2);
	assert_int_equal(q.group[0].oldest, 1700000100);
	assert_non_null(strstr(q.group[0].meaning, "does not answer"));
	/* Then by name. */
	assert_string_equal(q.group[1].destination, "three.example");
	assert_string_equal(q.group[1].reason, "");
	assert_null(q.group[1].meaning);
	assert_string_equal(q.group[2].destination, "two.example");
	assert_string_equal(q.group[2].reason, "something new");
	mailq_deinit(&q);
}

static const struct strange_case {
	const char *name, *line;
	uint64_t messages, recipients;
} strange_cases[] = {
	{ "nothing", "", 0, 0 },
	{ "no JSON", "mail queue is empty\n", 0, 0 },
	{ "half a line", "{\"recipients\": [{\"addr", 0, 0 },
	{ "another value", "[1, 2]", 0, 0 },
	{ "no recipients", "{\"message_size\": 5}", 1, 0 },
	{ "recipients of another kind", "{\"recipients\": \"all\"}", 1, 0 },
	{ "a recipient of another kind", "{\"recipients\": [7]}", 1, 1 },
	{ "no domain", "{\"recipients\": [{\"address\": \"root\"}]}", 1, 1 },
};

static void strange(void **state)
{
	const struct strange_case *c = *state;
	struct mailq q = { 0 };
	uint64_t recipients = 0;

	take(&q, c->line);
	mailq_sort(&q);
	for (size_t i = 0; i < q.n; i++)
		recipients += q.group[i].recipients;
	assert_int_equal(q.messages, c->messages);
	assert_int_equal(recipients, c->recipients);
	mailq_deinit(&q);
}

/* More destinations than are told apart. */
static void lumps_what_is_too_much(void **state)
{
	struct mailq q = { 0 };
	uint64_t recipients = 0;
	char line[128];

	for (unsigned i = 0; i < MAILQ_GROUPS_MAX + 100; i++) {
		snprintf(line, sizeof(line),
		    "{\"recipients\": [{\"address\": \"a@%u.example\"}]}", i);
		take(&q, line);
	}
	mailq_sort(&q);
	assert_int_equal(q.n, MAILQ_GROUPS_MAX);
	assert_string_equal(q.group[0].destination, "others");
	assert_int_equal(q.group[0].recipients, 101);
	for (size_t i = 0; i < q.n; i++)
		recipients += q.group[i].recipients;
	assert_int_equal(recipients, MAILQ_GROUPS_MAX + 100);
	mailq_deinit(&q);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(groups) },
		{ SUPPORT_TABLE(strange, strange_cases) },
		{ SUPPORT_TEST(lumps_what_is_too_much) },
	};

	return support_run("mailq", tests, ARRAY_LEN(tests));
}
