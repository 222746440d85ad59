/* Service metadata, spoken to as Dovecot's imap and lmtp processes do. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/push_queue.h"
#include "chatmaild/turn.h"
#include "test/chatmaild/accounts.h"

#define USER   "somebody1@" DOMAIN
#define HASH   "{SHA512-CRYPT}$6$salt$hash"
#define GUID   "0123456789abcdef0123456789abcdef"
#define TOKENS "priv/" GUID "/devicetoken"
#define HOOK   "priv/" GUID "/messagenew"
#define SERVER "shared/" GUID "/vendor/vendor.dovecot/pvt/server/vendor/deltachat/"

struct relay {
	struct accounts a;
	void *service;
	struct talk t;
};

static void relay_start(struct relay *r)
{
	r->a.d.pushes = push_queue_create(r->a.d.base, r->a.d.store, r->a.mailboxes);
	assert_non_null(r->a.d.pushes);
	r->service = metadata_service.start(&r->a.d, &metadata_service);
	talk_open(&r->t, &r->a, &metadata_service, r->service);
}

static void relay_init(struct relay *r)
{
	accounts_init(&r->a);
	accounts_write(&r->a, USER, HASH);
	r->a.config.iroh_relay = (char *)"https://example.org/";
	r->a.config.turn_secret = (char *)"";
	r->a.config.turn_socket_path = support_path(r->a.dir, "turn.socket");
	r->a.config.appversions_file = (char *)"";
	relay_start(r);
}

static void relay_stop(struct relay *r)
{
	talk_close(&r->t);
	metadata_service.stop(r->service);
	accounts_stop(&r->a);
}

static void relay_deinit(struct relay *r)
{
	relay_stop(r);
	accounts_start(&r->a);
	free(r->a.config.turn_socket_path);
	accounts_deinit(&r->a);
}

static void relay_restart(struct relay *r)
{
	relay_stop(r);
	accounts_start(&r->a);
	relay_start(r);
}

/* --- conversations --------------------------------------------------------------- */

#define SET(id, key, value) "S" id "\t" key "\t" value "\n"

static const struct talk_case {
	const char *name, *sent, *expected;
	const char *tokens; /* of USER afterwards */
} talk_cases[] = {
	{ "a token",
	    "H3\t2\t0\t\tmetadata\nB1\t" USER "\n" SET("1", TOKENS, "1111") "C1\n",
	    "O\n", "1111" },
	{ "opaque id",
	    "HELLO\nBtx00\t" USER "\nStx00\tpriv/guid00/devicetoken\t01234\nCtx00",
	    "O\n", "01234" },
	{ "two tokens, two commits",
	    "B1\t" USER "\n" SET("1", TOKENS, "1111") "C1\nB2\t" USER "\n" SET(
		"2", TOKENS, "2222") "C2\nL" TOKENS "\t" USER "\n",
	    "O\nO\nO1111 2222\n", "1111 2222" },
	{ "two tokens, one commit",
	    "B1\t" USER "\n" SET("1", TOKENS, "2") SET("1", TOKENS, "1") "C1\n", "O\n",
	    "2 1" },
	{ "sent again",
	    "B1\t" USER "\n" SET("1", TOKENS, "1") SET("1", TOKENS, "2")
		SET("1", TOKENS, "1") "C1\n",
	    "O\n", "1 2" },
	{ "rolled back", "B1\t" USER "\n" SET("1", TOKENS, "1111") "R1\nC1\n", "F\n",
	    "" },
	{ "unset", "B1\t" USER "\nU1\t" TOKENS "\nC1\n", "O\n", "" },
	{ "nothing set", "B1\t" USER "\nC1\n", "O\n", "" },
	{ "empty token", "B1\t" USER "\n" SET("1", TOKENS, "") "C1\n", "F\n", "" },
	{ "no value", "B1\t" USER "\nS1\t" TOKENS "\nC1\n", "F\n", "" },
	{ "token with a blank", "B1\t" USER "\n" SET("1", TOKENS, "1 2") "C1\n", "F\n",
	    "" },
	{ "token with a line feed", "B1\t" USER "\n" SET("1", TOKENS, "1\001n2") "C1\n",
	    "F\n", "" },
	{ "token with a tab", "B1\t" USER "\n" SET("1", TOKENS, "1\001t2") "C1\n",
	    "F\n", "" },
	{ "one good, one bad",
	    "B1\t" USER "\n" SET("1", TOKENS, "1") SET("1", TOKENS, "") "C1\n", "F\n",
	    "" },
	{ "one good, one unknown key",
	    "B1\t" USER "\n" SET("1", TOKENS, "1")
		SET("1", "priv/" GUID "/else", "x") "C1\n",
	    "F\n", "" },
	{ "unknown account", "B1\tstranger1@" DOMAIN "\n" SET("1", TOKENS, "1") "C1\n",
	    "F\n", "" },
	{ "no address", "B1\tsomebody1\n" SET("1", TOKENS, "1") "C1\n", "F\n", "" },
	{ "no user", "B1\n" SET("1", TOKENS, "1") "C1\n", "F\n", "" },
	{ "address that leads elsewhere",
	    "B1\t../x@" DOMAIN "\n" SET("1", TOKENS, "1") "C1\n", "F\n", "" },
	{ "four parts", "B1\t" USER "\n" SET("1", TOKENS "/x", "1") "C1\n", "F\n", "" },
	{ "two parts", "B1\t" USER "\n" SET("1", "priv/devicetoken", "1") "C1\n", "F\n",
	    "" },
	{ "shared token",
	    "B1\t" USER "\n" SET("1", "shared/" GUID "/devicetoken", "1") "C1\n", "F\n",
	    "" },
	{ "server entry", "B1\t" USER "\n" SET("1", SERVER "turn", "x") "C1\n", "F\n",
	    "" },
	{ "a message, no token", "B1\t" USER "\n" SET("1", HOOK, "") "C1\n", "O\n",
	    "" },
	{ "a message for a stranger",
	    "B1\tstranger1@" DOMAIN "\n" SET("1", HOOK, "") "C1\n", "O\n", "" },
	{ "a message for nobody", "B1\n" SET("1", HOOK, "") "C1\n", "F\n", "" },
	{ "asynchronous",
	    "B1\t" USER "\n" SET("1", TOKENS, "1") "D1\nL" TOKENS "\t" USER "\n",
	    "O1\n", "1" },

	{ "no tokens", "L" TOKENS "\t" USER "\n", "O\n", "" },
	{ "tokens of a stranger", "L" TOKENS "\tstranger1@" DOMAIN "\n", "O\n", "" },
	{ "tokens of nobody", "L" TOKENS "\n", "O\n", "" },
	{ "unknown private key", "Lpriv/123/chatmail\t" USER "\n", "N\n", "" },
	{ "no key", "L\t" USER "\n", "N\n", "" },
	{ "token below a token", "L" TOKENS "/x\t" USER "\n", "N\n", "" },
	{ "iroh relay", "L" SERVER "irohrelay\t" USER "\n", "Ohttps://example.org/\n",
	    "" },
	{ "recipients", "L" SERVER "maxsmtprecipients\t" USER "\n", "O1000\n", "" },
	{ "without user", "L" SERVER "maxsmtprecipients\n", "O1000\n", "" },
	{ "unknown fact", "L" SERVER "else\t" USER "\n", "N\n", "" },
	{ "fact with more", "L" SERVER "irohrelay/x\t" USER "\n", "N\n", "" },
	{ "private fact",
	    "Lpriv/" GUID
	    "/vendor/vendor.dovecot/pvt/server/vendor/deltachat/irohrelay\t" USER "\n",
	    "N\n", "" },
	{ "wrong prefix",
	    "Lshared/" GUID
	    "/vendor/vendor.dovecot/pvt/server/wrong/deltachat/irohrelay\t" USER "\n",
	    "N\n", "" },
	{ "TURN helper missing", "L" SERVER "turn\t" USER "\n", "N\n", "" },
	{ "in order behind the helper",
	    "L" SERVER "turn\t" USER "\nL" SERVER "maxsmtprecipients\t" USER "\n",
	    "N\nO1000\n", "" },
	{ "iterate", "H\nI9\t0\tpriv/" GUID "/\tci-x@" DOMAIN "\n", "\n", "" },
};

static void expect_tokens(struct relay *r, const char *want)
{
	char *got = accounts_sql(&r->a,
	    "SELECT group_concat(token, ' ') FROM (SELECT token FROM tokens WHERE "
	    "address = '" USER "' ORDER BY id)");

	assert_string_equal(got, want);
	free(got);
	got = accounts_sql(
	    &r->a, "SELECT count(*) FROM tokens WHERE address <> '" USER "'");
	assert_string_equal(got, "0");
	free(got);
}

static void conversation(void **state)
{
	const struct talk_case *c = *state;
	struct relay r;
	char *stranger;

	relay_init(&r);
	talk_send(&r.t, c->sent);
	talk_half_close(&r.t);
	talk_expect(&r.t, c->expected);
	talk_expect_end(&r.t);
	expect_tokens(&r, c->tokens);
	stranger = support_path(r.a.mailboxes, "stranger1@" DOMAIN);
	assert_int_equal(access(stranger, F_OK), -1);
	free(stranger);
	relay_deinit(&r);
}

static const struct iroh_case {
	const char *name, *url, *expected;
} iroh_cases[] = {
	{ "our own", "https://" DOMAIN, "Ohttps://" DOMAIN "\n" },
	{ "another", "https://iroh.example/x", "Ohttps://iroh.example/x\n" },
	{ "none", "", "N\n" },
};

static void irohrelay(void **state)
{
	const struct iroh_case *c = *state;
	struct relay r;

	relay_init(&r);
	r.a.config.iroh_relay = (char *)c->url;
	talk_send(&r.t, "L" SERVER "irohrelay\t" USER "\n");
	talk_expect(&r.t, c->expected);
	relay_deinit(&r);
}

/* Tokens of one connection are there for the next, and after a restart. */
static void durable(void **state)
{
	struct relay r;

	relay_init(&r);
	talk_send(&r.t, "B1\t" USER "\nS1\t" TOKENS "\t1111\nC1\n");
	talk_expect(&r.t, "O\n");
	relay_restart(&r);
	talk_send(&r.t, "L" TOKENS "\t" USER "\n");
	talk_expect(&r.t, "O1111\n");
	relay_deinit(&r);
}

/* --- a new message --------------------------------------------------------------- */

static void rings_every_device(void **state)
{
	struct relay r;
	struct push *p;
	char *rows;

	relay_init(&r);
	talk_send(&r.t, "B1\t" USER "\nS1\t" TOKENS "\t1111\nS1\t" TOKENS
			"\t2222\nS1\t" HOOK "\t\nS1\t" HOOK "\tx\nC1\n");
	talk_expect(&r.t, "O\n");
	/* On disk by the time it is answered. */
	rows = accounts_sql(&r.a, "SELECT group_concat(token) FROM pushes");
	assert_string_equal(rows, "1111,2222");
	free(rows);
	p = push_queue_take(r.a.d.pushes, time(NULL));
	assert_string_equal(p->token, "1111");
	assert_string_equal(p->address, USER);
	p = push_queue_take(r.a.d.pushes, time(NULL));
	assert_string_equal(p->token, "2222");
	assert_null(push_queue_take(r.a.d.pushes, time(NULL)));
	relay_deinit(&r);
}

/* Dovecot numbers transactions from 1 on every connection. */
static void ids_are_per_connection(void **state)
{
	struct talk other;
	struct relay r;

	relay_init(&r);
	accounts_write(&r.a, "somebody2@" DOMAIN, HASH);
	talk_open(&other, &r.a, &metadata_service, r.service);
	talk_send(&r.t, "B1\t" USER "\nS1\t" TOKENS "\tmine\nLx\n");
	talk_expect(&r.t, "N\n");
	talk_send(&other, "B1\tsomebody2@" DOMAIN "\nS1\t" TOKENS "\ttheirs\nLx\n");
	talk_expect(&other, "N\n");
	talk_send(&r.t, "C1\nL" TOKENS "\t" USER "\n");
	talk_expect(&r.t, "O\nOmine\n");
	talk_send(&other, "C1\nL" TOKENS "\tsomebody2@" DOMAIN "\n");
	talk_expect(&other, "O\nOtheirs\n");
	talk_close(&other);
	relay_deinit(&r);
}

/* Dovecot hangs up before the disk has it, or the daemon ends: it is kept all the same. */
static void nobody_waits(void **state)
{
	struct relay r;

	relay_init(&r);
	talk_send(&r.t, "B1\t" USER "\nS1\t" TOKENS "\t1111\nC1\n");
	event_base_loop(r.a.d.base, EVLOOP_NONBLOCK);
	relay_restart(&r);
	talk_send(&r.t, "L" TOKENS "\t" USER "\n");
	talk_expect(&r.t, "O1111\n");
	relay_deinit(&r);
}

/* Removed, and made again by somebody else. */
static void new_account_without_old_tokens(void **state)
{
	char hash[PASSWORD_HASH_MAX], *path;
	struct relay r;

	relay_init(&r);
	talk_send(&r.t, "B1\t" USER "\nS1\t" TOKENS "\t1111\nC1\n");
	talk_expect(&r.t, "O\n");
	path = accounts_path(&r.a, USER, "password");
	assert_return_code(unlink(path), errno);
	free(path);
	assert_int_equal(accounts_make(&r.a, USER, "correct horse", hash), USERS_FOUND);
	talk_send(&r.t, "L" TOKENS "\t" USER "\n");
	talk_expect(&r.t, "O\n");
	relay_deinit(&r);
}

static void store_in_trouble(void **state)
{
	char *file;
	struct relay r;
	sqlite3 *db;

	relay_init(&r);
	file = support_path(r.a.config.state_dir, "chatmaild.sqlite");
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	assert_int_equal(
	    sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	talk_send(&r.t, "B1\t" USER "\nS1\t" TOKENS "\t1111\nS1\t" HOOK "\t\nC1\n");
	talk_expect(&r.t, "F\n");
	sqlite3_close(db);
	expect_tokens(&r, "");
	free(file);
	relay_deinit(&r);
}

/* --- TURN ------------------------------------------------------------------------ */

static int listen_as_helper(const struct relay *r)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const char *path = r->a.config.turn_socket_path;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(un.sun_path));
	memcpy(un.sun_path, path, strlen(path));
	assert_return_code(bind(fd, (struct sockaddr *)&un, sizeof(un)), errno);
	assert_return_code(listen(fd, 5), errno);
	return fd;
}

static bool helper_asked(void *arg)
{
	struct pollfd *p = arg;

	return poll(p, 1, 0) == 1;
}

/* While the helper thinks, the others are served. */
static void turn_helper(void **state)
{
	struct pollfd p = { .events = POLLIN };
	struct talk other;
	struct relay r;
	int fd;

	relay_init(&r);
	r.a.config.mail_domain = (char *)"turn.example.org";
	p.fd = listen_as_helper(&r);
	talk_send(&r.t, "L" SERVER "turn\t" USER "\n");
	support_loop(r.a.d.base, helper_asked, &p);
	talk_open(&other, &r.a, &metadata_service, r.service);
	talk_send(&other, "L" SERVER "maxsmtprecipients\t" USER "\n");
	talk_expect(&other, "O1000\n");
	fd = accept(p.fd, NULL, NULL);
	assert_int_equal(send(fd, "user:pass\n", 10, MSG_NOSIGNAL), 10);
	talk_expect(&r.t, "Oturn.example.org:3478:user:pass\n");
	close(fd);
	talk_close(&other);
	close(p.fd);
	relay_deinit(&r);
}

/* The client, and then the service, end while the helper thinks. */
static void turn_for_nobody(void **state)
{
	struct pollfd p = { .events = POLLIN };
	struct relay r;

	relay_init(&r);
	p.fd = listen_as_helper(&r);
	talk_send(&r.t, "L" SERVER "turn\t" USER "\n");
	support_loop(r.a.d.base, helper_asked, &p);
	relay_deinit(&r);
	close(p.fd);
}

static void turn_secret(void **state)
{
	char want[TURN_LINE_MAX], *got;
	struct relay r;
	const char *at;
	size_t len;

	relay_init(&r);
	r.a.config.mail_domain = (char *)"[192.0.2.1]";
	r.a.config.turn_secret = (char *)"north";
	talk_send(&r.t, "L" SERVER "turn\t" USER "\n");
	got = talk_line(&r.t);
	assert_memory_equal(got, "O[192.0.2.1]:3478:", 18);
	at = got + 18;
	assert_in_range(strtoll(at, NULL, 10) - time(NULL), 24 * 3600, 30 * 24 * 3600);
	/* The password belongs to the username. */
	len =
	    turn_credentials(want, "north", strtoll(at, NULL, 10) - TURN_VALID_SECONDS);
	support_assert_span(span_of(at), span_make(want, len));
	free(got);
	relay_deinit(&r);
}

/* --- versions of the apps -------------------------------------------------------- */

static const struct versions_case {
	const char *name, *file; /* NULL: missing */
	const char *expected;
} versions_cases[] = {
	{ "spread over lines", "{\n \"b\": [ 1,\n 2 ],\n \"a\": \"x/y\"\n}\n",
	    "O{\"b\":[1,2],\"a\":\"x/y\"}\n" },
	{ "beyond ASCII", "{\"a\": \"\xc3\xb6\"}", "O{\"a\":\"\\u00F6\"}\n" },
	{ "missing", NULL, "N\n" },
	{ "empty", "", "N\n" },
	{ "no JSON", "{\"a\": }", "N\n" },
	{ "more behind it", "{} {}", "N\n" },
	{ "not UTF-8", "{\"a\": \"\xff\"}", "N\n" },
};

static void appversions(void **state)
{
	const struct versions_case *c = *state;
	struct relay r;

	relay_init(&r);
	r.a.config.appversions_file = support_path(r.a.dir, "appversions.json");
	/* Read anew for each request. */
	support_write_file(r.a.config.appversions_file, span_of("[]"));
	talk_send(&r.t, "L" SERVER "appversions\t" USER "\n");
	talk_expect(&r.t, "O[]\n");
	if (c->file)
		support_write_file(r.a.config.appversions_file, span_of(c->file));
	else
		assert_return_code(unlink(r.a.config.appversions_file), errno);
	talk_send(&r.t, "L" SERVER "appversions\t" USER "\n");
	talk_expect(&r.t, c->expected);
	free(r.a.config.appversions_file);
	relay_deinit(&r);
}

/* The list that comes along, found from a build too. */
static void appversions_shipped(void **state)
{
	struct relay r;
	char *line;

	relay_init(&r);
	talk_send(&r.t, "L" SERVER "appversions\t" USER "\n");
	line = talk_line(&r.t);
	assert_string_equal(line,
	    "O{\"clients\":[{\"clientId\":\"deltachat\",\"sources\":[{\"sourceId\":"
	    "\"gplay\",\"versionInteger\":754,\"versionString\":\"2.57.0\","
	    "\"downloadUrl\":\"https://download.delta.chat/android/\"}]}]}");
	free(line);
	relay_deinit(&r);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(conversation, talk_cases) },
		{ SUPPORT_TABLE(irohrelay, iroh_cases) },
		{ SUPPORT_TEST(durable) },
		{ SUPPORT_TEST(rings_every_device) },
		{ SUPPORT_TEST(ids_are_per_connection) },
		{ SUPPORT_TEST(nobody_waits) },
		{ SUPPORT_TEST(new_account_without_old_tokens) },
		{ SUPPORT_TEST(store_in_trouble) },
		{ SUPPORT_TEST(turn_helper) },
		{ SUPPORT_TEST(turn_for_nobody) },
		{ SUPPORT_TEST(turn_secret) },
		{ SUPPORT_TABLE(appversions, versions_cases) },
		{ SUPPORT_TEST(appversions_shipped) },
	};

	return support_run("metadata", tests, ARRAY_LEN(tests));
}
