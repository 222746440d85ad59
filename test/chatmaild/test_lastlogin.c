/* Service lastlogin, spoken to as Dovecot's imap process does. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "test/chatmaild/accounts.h"

#define USER "somebody1@" DOMAIN
#define KEY  "shared/last-login/" USER
#define HASH "{SHA512-CRYPT}$6$salt$hash"

static const struct talk_case {
	const char *name, *sent, *expected;
	time_t mtime; /* 0: untouched */
} talk_cases[] = {
	{ "a login", "H3\t2\t0\t\tlastlogin\nB1\t" USER "\nS1\t" KEY "\t100000\nC1\n",
	    "O\n", 86400 },
	{ "opaque id", "Btx00\t" USER "\nStx00\t" KEY "\t200000\nCtx00\n", "O\n",
	    172800 },
	{ "last line without LF", "B1\t" USER "\nS1\t" KEY "\t100000\nC1", "O\n",
	    86400 },
	{ "CR LF", "B1\t" USER "\r\nS1\t" KEY "\t100000\r\nC1\r\n", "O\n", 86400 },
	{ "rolled back", "B1\t" USER "\nS1\t" KEY "\t100000\nR1\nC1\n", "F\n", 0 },
	{ "replaced",
	    "B1\t" USER "\nS1\tbad\t1\nB1\t" USER "\nS1\t" KEY "\t100000\nC1\n", "O\n",
	    86400 },
	{ "unknown transaction", "C7\nS7\t" KEY "\t100000\nC7\n", "F\nF\n", 0 },
	{ "asynchronous", "B1\t" USER "\nS1\t" KEY "\t100000\nD1\nC2\n", "F\n", 86400 },
	{ "empty transaction", "B1\t" USER "\nC1\n", "O\n", 0 },
	{ "others of no effect",
	    "B1\t" USER "\nU1\t" KEY "\nA1\t" KEY "\t5\nT1\t1\t2\nV1\tyes\nX?\n\nC1\n",
	    "O\n", 0 },
	{ "other key", "B1\t" USER "\nS1\tshared/else/" USER "\t100000\nC1\n", "F\n",
	    0 },
	{ "four parts", "B1\t" USER "\nS1\t" KEY "/x\t100000\nC1\n", "F\n", 0 },
	{ "bad address", "B1\t" USER "\nS1\tshared/last-login/nobody\t100000\nC1\n",
	    "F\n", 0 },
	{ "no number", "B1\t" USER "\nS1\t" KEY "\tnow\nC1\n", "F\n", 0 },
	{ "negative", "B1\t" USER "\nS1\t" KEY "\t-1\nC1\n", "F\n", 0 },
	{ "no value", "B1\t" USER "\nS1\t" KEY "\t\nC1\n", "F\n", 0 },
	{ "too large", "B1\t" USER "\nS1\t" KEY "\t99999999999999999999\nC1\n", "F\n",
	    0 },
	{ "account is gone",
	    "B1\t" USER "\nS1\tshared/last-login/gone00001@" DOMAIN "\t100000\nC1\n",
	    "O\n", 0 },
	{ "lookup", "L" KEY "\t" USER "\n", "N\n", 0 },
	{ "iterate", "I0\t0\tshared/last-login/\t" USER "\n", "\n", 0 },
};

static void conversation(void **state)
{
	const struct talk_case *c = *state;
	struct accounts a;
	struct stat before, after;
	struct talk t;
	void *service;
	char *path;

	accounts_init(&a);
	accounts_write(&a, USER, HASH);
	path = accounts_path(&a, USER, "password");
	assert_return_code(stat(path, &before), errno);
	service = lastlogin_service.start(&a.d, &lastlogin_service);
	talk_open(&t, &a, &lastlogin_service, service);
	talk_send(&t, c->sent);
	talk_half_close(&t);
	talk_expect(&t, c->expected);
	talk_expect_end(&t);

	assert_return_code(stat(path, &after), errno);
	assert_int_equal(
	    after.st_mtim.tv_sec, c->mtime ? c->mtime : before.st_mtim.tv_sec);
	talk_close(&t);
	lastlogin_service.stop(service);
	free(path);
	accounts_deinit(&a);
}

/* Dovecot numbers transactions from 1 on every connection. */
static void ids_are_per_connection(void **state)
{
	struct talk first, second;
	struct accounts a;
	struct stat st;
	void *service;
	char *path;

	accounts_init(&a);
	accounts_write(&a, USER, HASH);
	service = lastlogin_service.start(&a.d, &lastlogin_service);
	talk_open(&first, &a, &lastlogin_service, service);
	talk_open(&second, &a, &lastlogin_service, service);
	talk_send(&first, "B1\t" USER "\nS1\t" KEY "\t100000\nLx\n");
	talk_expect(&first, "N\n");
	talk_send(&second, "B1\t" USER "\nR1\nC1\n");
	talk_expect(&second, "F\n");
	talk_send(&first, "C1\n");
	talk_expect(&first, "O\n");
	path = accounts_path(&a, USER, "password");
	assert_return_code(stat(path, &st), errno);
	assert_int_equal(st.st_mtim.tv_sec, 86400);
	free(path);
	talk_close(&first);
	talk_close(&second);
	lastlogin_service.stop(service);
	accounts_deinit(&a);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(conversation, talk_cases) },
		{ SUPPORT_TEST(ids_are_per_connection) },
	};

	return support_run("lastlogin", tests, ARRAY_LEN(tests));
}
