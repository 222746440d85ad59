/* Service auth, spoken to as Dovecot's auth-worker does. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/chatmaild/accounts.h"

#define USER "somebody1@" DOMAIN
#define HASH "{SHA512-CRYPT}$6$salt$hash"

struct fixture {
	struct accounts a;
	void *service;
	struct talk t;
};

static void fixture_init(struct fixture *f)
{
	accounts_init(&f->a);
	f->service = auth_service.start(&f->a.d, &auth_service);
	talk_open(&f->t, &f->a, &auth_service, f->service);
}

static void fixture_deinit(struct fixture *f)
{
	talk_close(&f->t);
	auth_service.stop(f->service);
	accounts_deinit(&f->a);
}

static void again(struct fixture *f)
{
	talk_close(&f->t);
	talk_open(&f->t, &f->a, &auth_service, f->service);
}

/* What a reply to a lookup of address must be; free() it. */
static char *found(const struct fixture *f, const char *address, const char *hash)
{
	char *home = support_path(f->a.config.mailboxes_dir, address);
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "addr", address, "home",
	    home, "uid", "vmail", "gid", "vmail", "password", hash);
	char *text = json_dumps(json, JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER);
	char *line = malloc(strlen(text) + 3);

	sprintf(line, "O%s\n", text);
	free(text);
	json_decref(json);
	free(home);
	return line;
}

static void expect_found(struct fixture *f, const char *address, const char *hash)
{
	char *line = found(f, address, hash);

	talk_expect(&f->t, line);
	free(line);
}

static const struct refused_case {
	const char *name, *sent, *expected;
} refused_cases[] = {
	{ "only the greeting", "H3\t2\t0\t\tauth\n", "" },
	{ "bare H", "H\n", "" },
	{ "word for a greeting", "HELLO\n", "" },
	{ "greeting of many fields", "H1\t2\t3\t4\t5\t6\t7\t8\t9\t10\n", "" },
	{ "empty lines", "\n\n\r\n", "" },
	{ "unknown user", "Lshared/userdb/foobar@" DOMAIN "\tfoobar@" DOMAIN "\n",
	    "N\n" },
	{ "no user argument", "Lshared/userdb/foobar@" DOMAIN "\n", "N\n" },
	{ "other domain", "Lshared/passdb/long password\"somebody1@other.example\n",
	    "N\n" },
	{ "domain as a tail", "Lshared/passdb/long password\"somebody1@x" DOMAIN "\n",
	    "N\n" },
	{ "domain in capitals",
	    "Lshared/passdb/long password\"somebody1@CHAT.EXAMPLE\n", "N\n" },
	{ "slash in the user", "Lshared/passdb/long password\"../body1@" DOMAIN "\n",
	    "N\n" },
	{ "not UTF-8", "Lshared/passdb/long password\"some\xff ody1@" DOMAIN "\n",
	    "N\n" },
	{ "blank in the user", "Lshared/passdb/long password\"some ody1@" DOMAIN "\n",
	    "N\n" },
	{ "no user field", "Lshared/passdb/long password\n", "N\n" },
	{ "a third field", "Lshared/passdb/a\"b\"c@" DOMAIN "\n", "N\n" },
	{ "a fourth field",
	    "Lshared/passdb/long password\"somebody1@" DOMAIN "\"192.0.2.1\"x\n",
	    "N\n" },
	{ "dangling backslash", "Lshared/passdb/long password\"x\\\n", "N\n" },
	{ "two parts", "Lshared/passdb\n", "N\n" },
	{ "no key", "L\n", "N\n" },
	{ "other type", "Lshared/else/x\n", "Funknown kind of lookup\n" },
	{ "other namespace", "Lpriv/passdb/x\"" USER "\n",
	    "Funknown kind of lookup\n" },
	{ "too many fields", "L1\t2\t3\t4\t5\t6\t7\t8\t9\n", "Ftoo many fields\n" },
	{ "unknown commands", "X\nY\nLshared/userdb/x\n", "N\n" },
	{ "in order", "Lx/y/z\nLshared/userdb/x\nI0\t0\tnowhere\nC1\nLx/y/z\n",
	    "Funknown kind of lookup\nN\n\nF\nFunknown kind of lookup\n" },
	{ "nothing to set", "B1\t" USER "\nS1\tshared/passdb/x\ty\nC1\n", "F\n" },
	{ "no accounts", "I0\t0\tshared/userdb/\t\n", "\n" },
	{ "other path", "I0\t0\tshared/else/\t\n", "\n" },
	{ "last line without LF", "Lshared/userdb/x", "N\n" },
};

/* Every cut of the request gives the same replies, and creates nothing. */
static void refused_sent(struct fixture *f, const struct refused_case *c, bool dripping)
{
	if (!dripping)
		talk_send(&f->t, c->sent);
	for (const char *p = c->sent; dripping && *p; p++) {
		assert_int_equal(send(f->t.fd, p, 1, MSG_NOSIGNAL), 1);
		event_base_loop(f->a.d.base, EVLOOP_NONBLOCK);
	}
	talk_half_close(&f->t);
	talk_expect(&f->t, c->expected);
	talk_expect_end(&f->t);
}

static void refused(void **state)
{
	const struct refused_case *c = *state;
	struct fixture f;

	fixture_init(&f);
	refused_sent(&f, c, false);
	again(&f);
	refused_sent(&f, c, true);
	assert_int_equal(users_counters(f.a.d.users)->created, 0);
	assert_int_equal(access(f.a.mailboxes, F_OK), -1);
	fixture_deinit(&f);
}

static void existing_account(void **state)
{
	struct fixture f;

	fixture_init(&f);
	accounts_write(&f.a, USER, HASH);
	talk_send(&f.t, "H3\t2\t0\t\tauth\nLshared/userdb/" USER "\t" USER "\n");
	expect_found(&f, USER, HASH);
	/* Whatever the password: Dovecot compares. */
	talk_send(&f.t, "Lshared/passdb/x\"" USER "\nLshared/passdb/\"" USER "\n");
	expect_found(&f, USER, HASH);
	expect_found(&f, USER, HASH);
	/* No policy on new accounts touches one that is there. */
	f.a.config.username_min_length = 50;
	f.a.config.max_load_1m = -1;
	support_write_file(f.a.closed_file, span_of(""));
	talk_send(&f.t, "Lshared/passdb/x\"" USER "\n");
	expect_found(&f, USER, HASH);
	fixture_deinit(&f);
}

/* Longer than any password that can be hashed, and than the small buffers. */
static void endless_password(void **state)
{
	size_t len = 100000;
	char *request = malloc(len + 200);
	struct fixture f;

	fixture_init(&f);
	accounts_write(&f.a, USER, HASH);
	memcpy(request, "Lshared/passdb/", 15);
	memset(request + 15, 'x', len);
	strcpy(request + 15 + len, "\"" USER "\n");
	talk_send(&f.t, request);
	expect_found(&f, USER, HASH);
	strcpy(request + 15 + len, "\"somebody2@" DOMAIN "\n");
	talk_send(&f.t, request);
	talk_expect(&f.t, "N\n");
	free(request);
	fixture_deinit(&f);
}

static const struct blocked_case {
	const char *name, *password_file;
} blocked_cases[] = {
	{ "empty", "" },
	{ "clear text", "the password itself" },
	{ "several lines", HASH "\n" HASH "\n" },
};

static void blocked(void **state)
{
	const struct blocked_case *c = *state;
	struct support_text text;
	struct fixture f;
	char *path;

	fixture_init(&f);
	accounts_write(&f.a, USER, c->password_file);
	talk_send(
	    &f.t, "Lshared/userdb/" USER "\nLshared/passdb/long password\"" USER "\n");
	talk_expect(&f.t, "N\nN\n");
	path = accounts_path(&f.a, USER, "password");
	text = support_read_file(path);
	support_assert_span(span_make(text.data, text.len), span_of(c->password_file));
	free(text.data);
	free(path);
	fixture_deinit(&f);
}

/* A FIFO with no writer must not stop the loop. */
static void fifo(void **state)
{
	struct fixture f;
	char *path;

	fixture_init(&f);
	accounts_write(&f.a, USER, "");
	path = accounts_path(&f.a, USER, "password");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	talk_send(&f.t, "Lshared/passdb/long password\"" USER "\n");
	talk_expect(&f.t, "N\n");
	free(path);
	fixture_deinit(&f);
}

static void first_login_creates(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct fixture f;
	char *path, *first;

	fixture_init(&f);
	talk_send(&f.t, "Lshared/passdb/first password\"" USER "\t" USER "\n");
	first = talk_line(&f.t);
	assert_int_equal(accounts_find(&f.a, USER, hash), USERS_FOUND);
	path = found(&f, USER, hash);
	path[strlen(path) - 1] = '\0';
	assert_string_equal(first, path);
	again(&f);
	talk_send(
	    &f.t, "Lshared/passdb/another one\"" USER "\nLshared/userdb/" USER "\n");
	expect_found(&f, USER, hash);
	expect_found(&f, USER, hash);
	free(path);
	free(first);
	fixture_deinit(&f);
}

/* The example of the escape rule: a password with both quotes, backslash and slash. */
static void quoted_password(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct fixture f;

	fixture_init(&f);
	f.a.config.password_min_length = 12;
	talk_send(&f.t, "Lshared/passdb/ab\\\\c\\\"d\\'e1/f2\"somebody1@" DOMAIN "\n");
	talk_expect(&f.t, "O");
	assert_int_equal(accounts_find(&f.a, USER, hash), USERS_FOUND);
	again(&f);
	f.a.config.password_min_length = 13;
	talk_send(&f.t, "Lshared/passdb/ab\\\\c\\\"d\\'e1/f2\"somebody2@" DOMAIN "\n");
	talk_expect(&f.t, "N\n");
	fixture_deinit(&f);
}

/* Requests behind a creation wait for it, on its connection only. */
static void order_is_kept(void **state)
{
	struct fixture f;
	struct talk other;
	char *line;

	fixture_init(&f);
	talk_open(&other, &f.a, &auth_service, f.service);
	talk_send(&f.t, "Lshared/passdb/long password\"" USER
			"\nLshared/userdb/nobody@" DOMAIN "\nI0\t0\tnowhere\n");
	talk_send(&other, "Lshared/userdb/" USER "\n");
	line = talk_line(&f.t);
	assert_int_equal(line[0], 'O');
	talk_expect(&f.t, "N\n\n");
	free(line);
	talk_close(&other);
	fixture_deinit(&f);
}

static bool created(void *arg)
{
	struct fixture *f = arg;

	return users_counters(f->a.d.users)->created == 1;
}

/* The peer hangs up while its account is made: it is made all the same. */
static void peer_gone(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct fixture f;

	fixture_init(&f);
	talk_send(&f.t, "Lshared/passdb/long password\"" USER "\n");
	event_base_loop(f.a.d.base, EVLOOP_NONBLOCK);
	again(&f);
	support_loop(f.a.d.base, created, &f);
	assert_int_equal(accounts_find(&f.a, USER, hash), USERS_FOUND);
	fixture_deinit(&f);
}

/* The service stops with a creation under way: nobody is answered, nothing crashes. */
static void stopped_while_creating(void **state)
{
	struct fixture f;

	fixture_init(&f);
	talk_send(&f.t, "Lshared/passdb/long password\"" USER "\n");
	event_base_loop(f.a.d.base, EVLOOP_NONBLOCK);
	fixture_deinit(&f);
}

static void parallel_logins(void **state)
{
	char hash[PASSWORD_HASH_MAX] = "";
	struct talk talks[50];
	struct fixture f;

	fixture_init(&f);
	for (unsigned i = 0; i < ARRAY_LEN(talks); i++) {
		char request[128];

		talk_open(&talks[i], &f.a, &auth_service, f.service);
		snprintf(request, sizeof(request),
		    "Lshared/passdb/password no %u\"" USER "\n", i);
		talk_send(&talks[i], request);
	}
	for (unsigned i = 0; i < ARRAY_LEN(talks); i++) {
		char *line = talk_line(&talks[i]), *want;

		assert_int_equal(accounts_find(&f.a, USER, hash), USERS_FOUND);
		want = found(&f, USER, hash);
		want[strlen(want) - 1] = '\0';
		assert_string_equal(line, want);
		free(line);
		free(want);
		talk_close(&talks[i]);
	}
	assert_int_equal(users_counters(f.a.d.users)->created, 1);
	fixture_deinit(&f);
}

static void disk_trouble(void **state)
{
	struct fixture f;

	fixture_init(&f);
	support_write_file(f.a.mailboxes, span_of("in the way"));
	talk_send(&f.t, "Lshared/passdb/long password\"" USER "\nLshared/userdb/x\n");
	talk_expect(&f.t, "Ftemporary failure\nN\n");
	fixture_deinit(&f);
}

/* Names and hashes with everything that JSON escapes, against jansson's reading. */
static const struct json_case {
	const char *name, *dir, *hash;
} json_cases[] = {
	{ "quotes", "a\"b\\c", "{PLAIN}a\"b\\c'd/e" },
	{ "control bytes", "a\tb\x01 c\x7f", "{PLAIN}x" },
	{ "two and three bytes", "\xc3\xa4\xe2\x82\xac", "{PLAIN}x" },
	{ "four bytes", "\xf0\x9f\x94\x91", "{PLAIN}x" },
};

static void json_escapes(void **state)
{
	const struct json_case *c = *state;
	struct fixture f;
	json_t *json;
	char *dir, *home, *line;

	fixture_init(&f);
	dir = support_path(f.a.dir, c->dir);
	free(f.a.mailboxes);
	f.a.config.mailboxes_dir = f.a.mailboxes = dir;
	accounts_write(&f.a, USER, c->hash);
	talk_send(&f.t, "Lshared/userdb/" USER "\n");
	line = talk_line(&f.t);
	for (const char *p = line; *p; p++)
		assert_in_range(*p, ' ', '~');
	json = json_loads(line + 1, 0, NULL);
	assert_non_null(json);
	home = support_path(dir, USER);
	assert_string_equal(json_string_value(json_object_get(json, "home")), home);
	assert_string_equal(
	    json_string_value(json_object_get(json, "password")), c->hash);
	assert_int_equal(json_object_size(json), 5);
	json_decref(json);
	free(home);
	free(line);
	fixture_deinit(&f);
}

/* Broken UTF-8 in the configured path still gives valid JSON. */
static void json_broken_utf8(void **state)
{
	struct fixture f;
	json_t *json;
	char *line;

	fixture_init(&f);
	free(f.a.mailboxes);
	f.a.config.mailboxes_dir = f.a.mailboxes =
	    support_path(f.a.dir, "\xff\xc3(\xed\xa0\x80\xf0\x80");
	accounts_write(&f.a, USER, HASH);
	talk_send(&f.t, "Lshared/userdb/" USER "\n");
	line = talk_line(&f.t);
	json = json_loads(line + 1, 0, NULL);
	assert_non_null(json);
	json_decref(json);
	free(line);
	fixture_deinit(&f);
}

static void iterate(void **state)
{
	bool seen[600] = { false };
	struct fixture f;
	char *line;

	fixture_init(&f);
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++) {
		char address[64];

		snprintf(address, sizeof(address), "user%05u@" DOMAIN, i);
		accounts_write(&f.a, address, i % 7 ? HASH : "");
	}
	accounts_write(&f.a, "pending_notifications", HASH);
	talk_send(&f.t, "I0\t0\tshared/userdb/\t\nLshared/userdb/x");
	talk_half_close(&f.t);
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++) {
		unsigned n = 999;
		int end = 0;

		line = talk_line(&f.t);
		sscanf(line, "Oshared/userdb/user%5u@" DOMAIN "\t%n", &n, &end);
		assert_int_equal((size_t)end, strlen(line));
		assert_true(n < ARRAY_LEN(seen) && !seen[n]);
		seen[n] = true;
		free(line);
	}
	talk_expect(&f.t, "\nN\n");
	talk_expect_end(&f.t);
	again(&f);
	talk_send(&f.t, "I0\t3\tshared/userdb/\t\n");
	for (unsigned i = 0; i < 3; i++)
		free(talk_line(&f.t));
	talk_expect(&f.t, "\n");
	fixture_deinit(&f);
}

static void metrics(void **state)
{
	struct fixture f;
	const struct metric_def *def;
	const char *counters;

	fixture_init(&f);
	accounts_write(&f.a, USER, HASH);
	talk_send(&f.t, "Lshared/userdb/" USER "\n");
	expect_found(&f, USER, HASH);
	counters = auth_service.counters(f.service);
	for (def = auth_service.metrics;
	     def < auth_service.metrics + auth_service.nmetrics; def++) {
		uint64_t value;

		memcpy(&value, counters + def->offset, sizeof(value));
		if (def->labels && strcmp(def->labels, "kind=\"lookup\"") == 0)
			assert_int_equal(value, 1);
		if (def->labels && strcmp(def->labels, "from=\"file\"") == 0)
			assert_int_equal(value, 1);
		if (strcmp(def->name, "chatmail_dict_connections") == 0)
			assert_int_equal(value, 1);
	}
	fixture_deinit(&f);
}

static void log_in(
    struct fixture *f, const char *user, const char *client, const char *want)
{
	char line[256], *got;

	snprintf(line, sizeof(line), "Lshared/passdb/long password\"%s%s%s\n", user,
	    client ? "\"" : "", client ? client : "");
	talk_send(&f->t, line);
	got = talk_line(&f->t);
	got[strlen(want)] = '\0';
	assert_string_equal(got, want);
	free(got);
}

static void too_many(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.a.config.max_new_accounts_per_network = 1;
	log_in(&f, "somebody1@" DOMAIN, "192.0.2.1", "O{");
	log_in(&f, "somebody2@" DOMAIN, "192.0.2.9", "N");
	log_in(&f, "somebody1@" DOMAIN, "192.0.2.9", "O{"); /* it is there */
	log_in(&f, "somebody2@" DOMAIN, "2001:db8::1", "O{");
	log_in(&f, "somebody3@" DOMAIN, "", "O{");
	log_in(&f, "somebody4@" DOMAIN, NULL, "O{");
	f.a.config.max_new_accounts_per_minute = 1;
	log_in(&f, "somebody5@" DOMAIN, NULL, "O{");
	log_in(&f, "somebody6@" DOMAIN, NULL, "N");
	assert_int_equal(users_registration(f.a.d.users), ADMISSION_RATE);
	assert_int_equal(users_counters(f.a.d.users)->refused_network, 1);
	assert_int_equal(users_counters(f.a.d.users)->refused_rate, 1);
	fixture_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(refused, refused_cases) },
		{ SUPPORT_TEST(existing_account) },
		{ SUPPORT_TEST(endless_password) },
		{ SUPPORT_TABLE(blocked, blocked_cases) },
		{ SUPPORT_TEST(fifo) },
		{ SUPPORT_TEST(first_login_creates) },
		{ SUPPORT_TEST(quoted_password) },
		{ SUPPORT_TEST(order_is_kept) },
		{ SUPPORT_TEST(peer_gone) },
		{ SUPPORT_TEST(stopped_while_creating) },
		{ SUPPORT_TEST(parallel_logins) },
		{ SUPPORT_TEST(disk_trouble) },
		{ SUPPORT_TABLE(json_escapes, json_cases) },
		{ SUPPORT_TEST(json_broken_utf8) },
		{ SUPPORT_TEST(iterate) },
		{ SUPPORT_TEST(too_many) },
		{ SUPPORT_TEST(metrics) },
	};

	return support_run("auth", tests, ARRAY_LEN(tests));
}
