/* chatmaild/admin*.c: requests and answers over a socket pair, as chatmailctl talks. */
#include "chatmaild/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/expiry.h"
#include "chatmaild/push_queue.h"
#include "chatmaild/store.h"
#include "test/chatmaild/accounts.h"

#define USER   "someone12@" DOMAIN
#define OTHER  "another34@" DOMAIN
#define SECRET "secret-password"
#define DAY    86400

struct desk {
	struct accounts a;
	void *admin;
	struct talk t;
};

static void desk_init(struct desk *k)
{
	struct config *c = &k->a.config;

	accounts_init(&k->a);
	c->delete_inactive_users_after = 90;
	c->delete_mails_after = 20;
	c->delete_large_after = 7;
	c->max_mailbox_size = 1;
	c->expiry_time = (char *)"00:02";
	c->push_url = (char *)"https://push.example/notify";
	k->a.d.expiry = expiry_create(&k->a.d);
	k->a.d.pushes = push_queue_create(k->a.d.base, k->a.d.store, c->mailboxes_dir);
	assert_non_null(k->a.d.expiry);
	assert_non_null(k->a.d.pushes);
	k->admin = admin_service.start(&k->a.d, &admin_service);
	talk_open(&k->t, &k->a, &admin_service, k->admin);
}

static void desk_deinit(struct desk *k)
{
	struct expiry *x = k->a.d.expiry;

	talk_close(&k->t);
	admin_service.stop(k->admin);
	expiry_stop(x);
	accounts_deinit(&k->a);
	expiry_destroy(x);
}

static json_t *next_line(struct desk *k)
{
	char *line = talk_line(&k->t);
	json_t *value = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(value);
	free(line);
	return value;
}

/* The reply to one request that is answered by one line; json_decref() it. */
static json_t *ask(struct desk *k, const char *request)
{
	talk_send(&k->t, request);
	talk_send(&k->t, "\n");
	return next_line(k);
}

static void expect_refusal(struct desk *k, const char *request, const char *why)
{
	json_t *reply = ask(k, request);

	assert_true(json_is_false(json_object_get(reply, "ok")));
	assert_non_null(
	    strstr(json_string_value(json_object_get(reply, "error")), why));
	json_decref(reply);
}

static void expect_ok(struct desk *k, const char *request)
{
	json_t *reply = ask(k, request);

	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
}

static void make(struct desk *k, const char *address, int64_t days)
{
	char hash[PASSWORD_HASH_MAX];

	assert_int_equal(accounts_make(&k->a, address, SECRET, hash), USERS_FOUND);
	assert_int_equal(
	    users_login(k->a.d.users, span_of(address), time(NULL) - days * DAY),
	    USERS_FOUND);
}

static const struct bad_case {
	const char *name, *request, *why;
} bad_cases[] = {
	{ "not JSON", "hello", "not a JSON object" },
	{ "empty line", "", "not a JSON object" },
	{ "array", "[1]", "not a JSON object" },
	{ "two of one name", "{\"command\":\"a\",\"command\":\"b\"}", "not a JSON" },
	{ "no command", "{}", "no command" },
	{ "command is a number", "{\"command\":1}", "no command" },
	{ "unknown", "{\"command\":\"dance\"}", "no such command" },
	{ "no address", "{\"command\":\"users-show\"}", "no address" },
	{ "path", "{\"command\":\"users-delete\",\"address\":\"../x@" DOMAIN "\"}",
	    "cannot be an address" },
	{ "NUL", "{\"command\":\"users-delete\",\"address\":\"a\\u0000b@" DOMAIN "\"}",
	    "not a JSON" },
	{ "foreign", "{\"command\":\"users-show\",\"address\":\"a@b.example\"}",
	    "end in @" DOMAIN },
	{ "unknown address", "{\"command\":\"users-show\",\"address\":\"" USER "\"}",
	    "no such account" },
	{ "delete unknown", "{\"command\":\"users-delete\",\"address\":\"" USER "\"}",
	    "no such account" },
	{ "block unknown", "{\"command\":\"users-block\",\"address\":\"" USER "\"}",
	    "no such account" },
	{ "create without password",
	    "{\"command\":\"users-create\",\"address\":\"" USER "\"}", "no password" },
	{ "create with a bad name",
	    "{\"command\":\"users-create\",\"address\":\"some one@" DOMAIN
	    "\",\"password\":\"" SECRET "\"}",
	    "other characters" },
};

static void bad_requests(void **state)
{
	const struct bad_case *c = *state;
	struct desk k;

	desk_init(&k);
	expect_refusal(&k, c->request, c->why);
	expect_refusal(&k, "{}", "no command"); /* and it goes on */
	desk_deinit(&k);
}

static void too_long(void **state)
{
	struct desk k;
	char *text = malloc(ADMIN_LINE_MAX + 1);
	json_t *reply;

	desk_init(&k);
	assert_non_null(text);
	memset(text, ' ', ADMIN_LINE_MAX);
	text[ADMIN_LINE_MAX] = '\0';
	talk_send(&k.t, text);
	reply = next_line(&k);
	assert_string_equal(
	    json_string_value(json_object_get(reply, "error")), "request too long");
	json_decref(reply);
	talk_expect_end(&k.t);
	free(text);
	desk_deinit(&k);
}

/* Requests that come at once are answered in their order, also before an end. */
static void pipelined(void **state)
{
	struct desk k;
	json_t *reply;

	desk_init(&k);
	make(&k, USER, 3);
	talk_send(&k.t, "{\"command\":\"users-show\",\"address\":\"" USER "\"}\n{}\n"
			"{\"command\":\"push-status\"}\n{\"left over");
	talk_half_close(&k.t);
	reply = next_line(&k);
	assert_string_equal(json_string_value(json_object_get(reply, "state")), "ok");
	json_decref(reply);
	reply = next_line(&k);
	assert_true(json_is_false(json_object_get(reply, "ok")));
	json_decref(reply);
	reply = next_line(&k);
	assert_int_equal(json_integer_value(json_object_get(reply, "queued")), 0);
	json_decref(reply);
	talk_expect_end(&k.t);
	desk_deinit(&k);
}

static void one_account(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct desk k;
	json_t *reply;
	char *path;

	desk_init(&k);
	/* The operator may, when strangers may not. */
	support_write_file(k.a.closed_file, span_of(""));
	assert_int_equal(accounts_make(&k.a, USER, SECRET, hash), USERS_REFUSED);
	expect_ok(&k, "{\"command\":\"users-create\",\"address\":\"" USER
		      "\",\"password\":\"" SECRET "\"}");
	expect_refusal(&k,
	    "{\"command\":\"users-create\",\"address\":\"" USER
	    "\",\"password\":\"" SECRET "\"}",
	    "there already");
	expect_ok(&k, "{\"command\":\"users-create\",\"address\":\"x1@" DOMAIN
		      "\",\"password\":\"" SECRET "\"}");

	path = accounts_path(&k.a, USER, "cur");
	assert_return_code(mkdir(path, 0700), errno);
	free(path);
	path = accounts_path(&k.a, USER, "cur/1700000000.M1.host,S=4000:2,S");
	support_write_file(path, span_of("mail"));
	free(path);
	reply = ask(&k, "{\"command\":\"users-show\",\"address\":\"" USER "\"}");
	assert_int_equal(json_integer_value(json_object_get(reply, "messages")), 1);
	assert_int_equal(
	    json_integer_value(json_object_get(reply, "quota_used")), 4000);
	assert_true(json_is_true(json_object_get(reply, "encrypted_only")));
	assert_int_equal(json_integer_value(json_object_get(reply, "created")),
	    time(NULL) / DAY * DAY);
	json_decref(reply);

	expect_ok(&k, "{\"command\":\"users-block\",\"address\":\"" USER "\"}");
	assert_int_equal(accounts_find(&k.a, USER, hash), USERS_BLOCKED);
	expect_refusal(&k, "{\"command\":\"users-block\",\"address\":\"" USER "\"}",
	    "blocked already");
	expect_ok(&k, "{\"command\":\"users-unblock\",\"address\":\"" USER "\"}");
	assert_int_equal(accounts_find(&k.a, USER, hash), USERS_FOUND);
	expect_refusal(&k, "{\"command\":\"users-unblock\",\"address\":\"" USER "\"}",
	    "not blocked");

	expect_ok(&k, "{\"command\":\"users-delete\",\"address\":\"" USER "\"}");
	assert_int_equal(accounts_find(&k.a, USER, hash), USERS_ABSENT);
	desk_deinit(&k);
}

/* More than the socket and our buffer hold, to a peer that reads late. */
static void list(void **state)
{
	enum { USERS = 5000 };
	const json_t *end;
	unsigned seen = 0;
	struct desk k;
	json_t *line;

	desk_init(&k);
	for (unsigned i = 0; i < USERS; i++) {
		char address[64];

		snprintf(address, sizeof(address), "user%05u@" DOMAIN, i);
		accounts_write(&k.a, address, i == 7 ? "" : "{PLAIN}x");
	}
	talk_send(&k.t, "{\"command\":\"users-list\"}\n{\"command\":\"users-list\","
			"\"filter\":\"0007@\"}\n");
	for (;;) {
		line = next_line(&k);
		end = json_object_get(line, "count");
		if (end)
			break;
		seen++;
		json_decref(line);
	}
	assert_int_equal(seen, USERS);
	assert_int_equal(json_integer_value(end), USERS);
	json_decref(line);

	line = next_line(&k);
	assert_string_equal(
	    json_string_value(json_object_get(line, "address")), "user00007@" DOMAIN);
	assert_string_equal(
	    json_string_value(json_object_get(line, "state")), "blocked");
	json_decref(line);
	line = next_line(&k);
	assert_int_equal(json_integer_value(json_object_get(line, "count")), 1);
	json_decref(line);
	desk_deinit(&k);
}

/* Whoever hangs up in the middle leaves nothing behind: the sanitizers look. */
static void hang_up(void **state)
{
	static const char *const requests[] = {
		"{\"command\":\"users-list\"}\n",
		"{\"command\":\"expire\",\"dry_run\":true}\n",
		"{\"command\":\"users-show\",\"address\":\"" USER "\"}\n",
		"{\"command\":\"users-block\",\"address\":\"" USER "\"}\n",
		"{\"command\":\"push-status\"}\n",
		"{\"command\":\"trim\",\"address\":\"" USER "\"}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		for (unsigned turns = 0; turns < 4; turns++) {
			struct desk k;

			desk_init(&k);
			make(&k, USER, 100);
			talk_send(&k.t, requests[i]);
			for (unsigned turn = 0; turn < turns; turn++)
				event_base_loop(k.a.d.base, EVLOOP_NONBLOCK);
			desk_deinit(&k);
		}
}

static void expire(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct desk k;
	json_t *line;

	desk_init(&k);
	make(&k, USER, 3);
	make(&k, OTHER, 100);
	line = ask(&k, "{\"command\":\"expire\",\"dry_run\":true}");
	assert_string_equal(
	    json_string_value(json_object_get(line, "event")), "account");
	assert_non_null(
	    strstr(json_string_value(json_object_get(line, "path")), OTHER));
	assert_string_equal(
	    json_string_value(json_object_get(line, "why")), "no login");
	json_decref(line);
	line = next_line(&k);
	assert_true(json_is_true(json_object_get(line, "ok")));
	assert_int_equal(
	    json_integer_value(json_object_get(line, "mailboxes_removed")), 1);
	json_decref(line);
	assert_int_equal(accounts_find(&k.a, OTHER, hash), USERS_FOUND);

	line = ask(&k, "{\"command\":\"expire\"}");
	json_decref(line);
	json_decref(next_line(&k));
	assert_int_equal(accounts_find(&k.a, OTHER, hash), USERS_ABSENT);
	assert_int_equal(accounts_find(&k.a, USER, hash), USERS_FOUND);
	desk_deinit(&k);
}

static void trim(void **state)
{
	struct desk k;
	json_t *reply;
	char *path;

	desk_init(&k);
	make(&k, USER, 0);
	path = accounts_path(&k.a, USER, "new");
	assert_return_code(mkdir(path, 0700), errno);
	free(path);
	for (unsigned i = 0; i < 4; i++) {
		char name[64];

		snprintf(name, sizeof(name), "new/160000000%u.M1.host,S=300000", i);
		path = accounts_path(&k.a, USER, name);
		support_write_file(path, span_of("mail"));
		free(path);
	}
	reply = ask(&k, "{\"command\":\"trim\",\"address\":\"" USER "\"}");
	assert_int_equal(json_integer_value(json_object_get(reply, "messages")), 2);
	json_decref(reply);
	desk_deinit(&k);
}

static void push(void **state)
{
	struct desk k;
	json_t *reply;
	char *text;

	desk_init(&k);
	free(accounts_sql(&k.a,
	    "INSERT INTO pushes (address, token, start, due, tries, version) "
	    "VALUES ('" USER "', 't', 100, 9999999999, 2, 1)"));
	reply = ask(&k, "{\"command\":\"push-status\"}");
	assert_int_equal(json_integer_value(json_object_get(reply, "retrying")), 1);
	assert_int_equal(json_integer_value(json_object_get(reply, "oldest")), 100);
	json_decref(reply);
	reply = ask(&k, "{\"command\":\"push-flush\"}");
	assert_int_equal(json_integer_value(json_object_get(reply, "due")), 1);
	json_decref(reply);
	text = accounts_sql(&k.a, "SELECT due <= strftime('%s') FROM pushes");
	assert_string_equal(text, "1");
	free(text);
	desk_deinit(&k);
}

static void stopping(void **state)
{
	struct desk k;

	desk_init(&k);
	expect_refusal(&k, "{}", "no command");
	admin_service.drain(k.admin);
	talk_expect_end(&k.t);
	assert_int_equal(admin_service.pending(k.admin), 0);
	desk_deinit(&k);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(bad_requests, bad_cases) },
		{ SUPPORT_TEST(too_long) },
		{ SUPPORT_TEST(pipelined) },
		{ SUPPORT_TEST(one_account) },
		{ SUPPORT_TEST(list) },
		{ SUPPORT_TEST(hang_up) },
		{ SUPPORT_TEST(expire) },
		{ SUPPORT_TEST(trim) },
		{ SUPPORT_TEST(push) },
		{ SUPPORT_TEST(stopping) },
	};

	return support_run("admin", tests, ARRAY_LEN(tests));
}
