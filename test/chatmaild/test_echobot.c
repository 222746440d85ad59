/*
 * Service echobot between accounts on a disk and a scripted client: how it gets online, what
 * it answers, what it bears.
 */
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/echobot_private.h"
#include "chatmaild/log.h"
#include "test/chatmaild/accounts.h"
#include "test/chatmaild/rpc_server.h"

#define ECHO "echo@" DOMAIN

static const struct echobot_timing quick = {
	.retry_min_ms = 1,
	.retry_max_ms = 20,
	.steady_s = 60,
	.call_s = 1,
	.configure_s = 1,
	.look_s = 1,
	.await_s = 2,
};

struct relay {
	struct accounts a;
	struct rpc_server server;
	struct echobot *bot;
	unsigned want; /* for what is waited for */
	const char *method;
};

static void bot_start(struct relay *r)
{
	r->bot = echobot_service.start(&r->a.d, &echobot_service);
	assert_non_null(r->bot);
	r->bot->timing = &quick;
}

static void bot_stop(struct relay *r)
{
	echobot_service.stop(r->bot);
	free(r->a.d.invite_link);
	r->a.d.invite_link = NULL;
}

static void set_endpoint(struct endpoint *ep, const char *text)
{
	assert_null(endpoint_parse(ep, span_of(text)));
}

static void relay_init(struct relay *r)
{
	char at[160];

	signal(SIGPIPE, SIG_IGN); /* the client's half; its own does so */
	memset(r, 0, sizeof(*r));
	log_set_level(LOG_LEVEL_ERROR);
	accounts_init(&r->a);
	r->a.config.echobot = true;
	r->a.config.max_user_send_per_minute = 1000;
	r->a.config.max_user_send_burst_size = 1000;
	snprintf(at, sizeof(at), "unix:%s/rpc.sock", r->a.dir);
	set_endpoint(&r->a.config.echobot_socket, at);
	set_endpoint(&r->a.config.echobot_imap, "inet:127.0.0.1:993");
	set_endpoint(&r->a.config.echobot_smtp, "inet:127.0.0.1:465");
	rpc_server_init(&r->server, r->a.d.base, &r->a.config.echobot_socket);
	bot_start(r);
}

static void relay_deinit(struct relay *r)
{
	bot_stop(r);
	rpc_server_deinit(&r->server);
	accounts_deinit(&r->a);
}

static bool is_online(void *arg)
{
	const struct relay *r = arg;

	return r->bot->counters.online && r->server.event_id > 0;
}

static void get_online(struct relay *r)
{
	support_loop(r->a.d.base, is_online, r);
}

static bool was_called(void *arg)
{
	const struct relay *r = arg;

	return rpc_server_count(&r->server, r->method) >= r->want;
}

static void await_calls(struct relay *r, const char *method, unsigned n)
{
	r->method = method;
	r->want = n;
	support_loop(r->a.d.base, was_called, r);
}

static bool has_failed(void *arg)
{
	const struct relay *r = arg;

	return r->bot->counters.failed + r->bot->counters.lost >= r->want;
}

static void await_failures(struct relay *r, unsigned n)
{
	r->want = n;
	support_loop(r->a.d.base, has_failed, r);
}

static char *state_path(const struct relay *r, const char *name)
{
	char *folder = support_path(r->a.config.state_dir, "echobot");
	char *path = support_path(folder, name);

	free(folder);
	return path;
}

static const char *transport_text(const struct relay *r, const char *key)
{
	return json_string_value(json_object_get(r->server.transport, key));
}

/* Does the mailbox have the hash of the password that the client was given? */
static void expect_account(struct relay *r)
{
	char hash[PASSWORD_HASH_MAX], *path = state_path(r, "password");
	struct support_text kept = support_read_file(path);

	assert_int_equal(accounts_find(&r->a, ECHO, hash), USERS_FOUND);
	assert_true(password_matches(span_of(transport_text(r, "password")), hash));
	support_assert_span(span_trim(span_make(kept.data, kept.len)),
	    span_of(transport_text(r, "password")));
	free(kept.data);
	free(path);
}

static bool link_is_kept(void *arg)
{
	struct relay *r = arg;
	char *path = state_path(r, "invite-link.txt");
	bool there = access(path, R_OK) == 0;

	free(path);
	return there;
}

static void gets_online_from_nothing(void **state)
{
	static const char *const calls[] = { "get_all_account_ids", "add_account",
		"batch_set_config", "list_transports", "add_or_update_transport",
		"start_io", "get_chat_securejoin_qr_code", "get_next_event" };
	char *path, *flag;
	struct support_text link;
	struct relay r;
	struct stat st;

	relay_init(&r);
	get_online(&r);
	assert_int_equal(r.server.ncalls, ARRAY_LEN(calls));
	for (unsigned i = 0; i < ARRAY_LEN(calls); i++)
		assert_string_equal(r.server.calls[i], calls[i]);

	assert_string_equal(transport_text(&r, "addr"), ECHO);
	assert_string_equal(transport_text(&r, "imapServer"), "127.0.0.1");
	assert_string_equal(transport_text(&r, "smtpSecurity"), "ssl");
	assert_int_equal(
	    json_integer_value(json_object_get(r.server.transport, "imapPort")), 993);
	assert_int_equal(
	    json_integer_value(json_object_get(r.server.transport, "smtpPort")), 465);
	assert_string_equal(
	    json_string_value(json_object_get(r.server.config, "bot")), "1");
	expect_account(&r);
	flag = accounts_path(&r.a, ECHO, "enforceE2EEincoming");
	assert_int_equal(stat(flag, &st), 0);
	free(flag);

	assert_string_equal(r.a.d.invite_link, r.server.link);
	support_loop(r.a.d.base, link_is_kept, &r);
	path = state_path(&r, "invite-link.txt");
	link = support_read_file(path);
	support_assert_span(
	    span_trim(span_make(link.data, link.len)), span_of(r.server.link));
	free(link.data);
	free(path);
	path = state_path(&r, "password");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	free(path);
	relay_deinit(&r);
}

static void restart(struct relay *r)
{
	bot_stop(r);
	r->server.ncalls = 0;
	bot_start(r);
	get_online(r);
}

static void knows_its_account_again(void **state)
{
	struct relay r;

	relay_init(&r);
	get_online(&r);
	support_loop(r.a.d.base, link_is_kept, &r);
	r.server.held = "get_all_account_ids";
	bot_stop(&r);
	r.server.ncalls = 0;
	bot_start(&r);
	await_calls(&r, "get_all_account_ids", 1);
	/* From its file, before the client knows anything. */
	assert_string_equal(r.a.d.invite_link, r.server.link);
	r.server.held = NULL;
	restart(&r);
	assert_int_equal(rpc_server_count(&r.server, "add_account"), 0);
	assert_int_equal(rpc_server_count(&r.server, "add_or_update_transport"), 0);
	expect_account(&r);
	relay_deinit(&r);
}

/* What may get lost or changed while the bot is away. */
static void lose_password(struct relay *r)
{
	char *path = state_path(r, "password");

	assert_int_equal(unlink(path), 0);
	free(path);
}

static void spoil_password(struct relay *r)
{
	char *path = state_path(r, "password");

	support_write_file(path, span_of("short\n"));
	free(path);
}

static void lose_mailbox(struct relay *r)
{
	char *path = accounts_path(&r->a, ECHO, "password");

	assert_int_equal(unlink(path), 0);
	free(path);
}

static void change_hash(struct relay *r)
{
	accounts_write(&r->a, ECHO, "{SHA512-CRYPT}$6$abcdefgh$0123456789");
}

static void lose_client(struct relay *r)
{
	json_decref(r->server.transport);
	r->server.transport = NULL;
	r->server.account = 0;
}

static void rename_relay(struct relay *r)
{
	json_object_set_new(
	    r->server.transport, "addr", json_string("echo@old.example"));
}

static void move_imap(struct relay *r)
{
	set_endpoint(&r->a.config.echobot_imap, "inet:127.0.0.1:1993");
}

static const struct lost_case {
	const char *name;
	void (*lose)(struct relay *r);
	unsigned added, removed, configured;
} lost_cases[] = {
	{ "its password", lose_password, 0, 0, 1 },
	{ "its password's text", spoil_password, 0, 0, 1 },
	{ "its mailbox", lose_mailbox, 0, 0, 0 },
	{ "the hash in its mailbox", change_hash, 0, 0, 0 },
	{ "the client's account", lose_client, 1, 0, 1 },
	{ "the relay's name", rename_relay, 1, 1, 1 },
	{ "the IMAP server's place", move_imap, 0, 0, 1 },
};

static void recovers(void **state)
{
	const struct lost_case *c = *state;
	struct relay r;

	relay_init(&r);
	get_online(&r);
	c->lose(&r);
	restart(&r);
	assert_int_equal(rpc_server_count(&r.server, "add_account"), c->added);
	assert_int_equal(rpc_server_count(&r.server, "remove_account"), c->removed);
	assert_int_equal(
	    rpc_server_count(&r.server, "add_or_update_transport"), c->configured);
	expect_account(&r);
	relay_deinit(&r);
}

/* Within a look, without a restart. */
static void restores_its_account(void **state)
{
	struct relay r;

	relay_init(&r);
	get_online(&r);
	lose_mailbox(&r);
	await_failures(&r, 1);
	assert_int_equal(r.bot->counters.lost, 1);
	get_online(&r);
	expect_account(&r);
	relay_deinit(&r);
}

static void stays_away_when_blocked(void **state)
{
	struct support_text text;
	struct relay r;
	char *path;

	relay_init(&r);
	accounts_write(&r.a, ECHO, "");
	await_failures(&r, 3);
	assert_int_equal(r.server.ncalls, 0);
	path = accounts_path(&r.a, ECHO, "password");
	text = support_read_file(path);
	assert_int_equal(text.len, 0);
	free(text.data);
	free(path);
	relay_deinit(&r);
}

/* Without the client the relay has no such account, and waits. */
static void nobody_there(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct relay r;

	relay_init(&r);
	rpc_server_deinit(&r.server);
	unlink(endpoint_path(&r.a.config.echobot_socket));
	await_failures(&r, 4);
	assert_int_equal(r.bot->counters.made, 0);
	assert_true(r.bot->told);
	assert_null(r.a.d.invite_link);
	assert_int_equal(accounts_find(&r.a, ECHO, hash), USERS_ABSENT);
	rpc_server_init(&r.server, r.a.d.base, &r.a.config.echobot_socket);
	get_online(&r);
	assert_false(r.bot->told);
	relay_deinit(&r);
}

static const struct fault_case {
	const char *name, *method;
	enum rpc_fault fault;
	bool late; /* after it was online */
} fault_cases[] = {
	{ "refuses", "add_or_update_transport", RPC_REFUSE, false },
	{ "dies", "add_account", RPC_DIE, false },
	{ "dies while it configures", "add_or_update_transport", RPC_DIE, false },
	{ "hangs", "start_io", RPC_HANG, false },
	{ "prints garbage", "get_all_account_ids", RPC_GARBAGE, false },
	{ "prints without end", "list_transports", RPC_ENDLESS, false },
	{ "answers at length", "list_transports", RPC_LONG, false },
	{ "answers another call", "batch_set_config", RPC_WRONG_ID, false },
	{ "tells without being asked", "batch_set_config", RPC_NO_ID, false },
	{ "answers twice", "batch_set_config", RPC_TWICE, false },
	{ "lists no accounts", "get_all_account_ids", RPC_ODD, false },
	{ "adds no account", "add_account", RPC_ODD, false },
	{ "lists no transports", "list_transports", RPC_ODD, false },
	{ "has no link", "get_chat_securejoin_qr_code", RPC_ODD, false },
	{ "refuses events", "get_next_event", RPC_REFUSE, true },
	{ "has odd events", "get_next_event", RPC_ODD, true },
	{ "dies later", "get_next_event", RPC_DIE, true },
	{ "hangs later", "get_connectivity", RPC_HANG, true },
	{ "prints garbage later", "get_connectivity", RPC_GARBAGE, true },
	{ "tells an event without end", "get_next_event", RPC_UNENDING, true },
};

static void bears(void **state)
{
	const struct fault_case *c = *state;
	struct relay r;

	relay_init(&r);
	r.server.spoiled = c->method;
	r.server.fault = c->fault;
	r.server.times = 1;
	await_failures(&r, 1);
	assert_int_equal(r.server.times, 0);
	assert_int_equal(r.bot->counters.lost, c->late);
	assert_int_equal(r.bot->counters.failed, !c->late);
	get_online(&r);
	assert_int_equal(r.server.connections, 2);
	relay_deinit(&r);
}

/* A message of a person in a chat with us, and what deviates from it. */
static json_t *make_message(json_int_t sender, const char *deviation)
{
	json_t *m = json_pack("{s:i, s:I, s:s, s:s, s:b, s:b, s:b, s:s}", "chatId", 12,
		   "fromId", sender, "text", "hello", "viewType", "Text", "isInfo", 0,
		   "isBot", 0, "showPadlock", 1, "downloadState", "Done"),
	       *other = json_loads(deviation, JSON_ALLOW_NUL, NULL);

	assert_non_null(m);
	assert_non_null(other);
	json_object_update(m, other);
	json_decref(other);
	return m;
}

static json_t *make_chat(const char *kind, bool request)
{
	return json_pack("{s:s, s:b, s:b, s:b, s:b}", "chatType", kind, "isEncrypted",
	    1, "isSelfTalk", 0, "isDeviceChat", 0, "isContactRequest", request);
}

static void add_chats(struct relay *r)
{
	json_object_set_new(r->server.chats, "12", make_chat("Single", false));
	json_object_set_new(r->server.chats, "13", make_chat("Single", true));
	json_object_set_new(r->server.chats, "14", make_chat("Group", false));
}

static const struct message_case {
	const char *name, *deviation;
	const char *answer; /* as sent; NULL: nothing */
	const char *also;   /* a method that is called once, or NULL */
} message_cases[] = {
	{ "text", "{}", "[12, {\"text\": \"hello\"}]", "delete_messages" },
	{ "help", "{\"text\": \" /help\\n\"}",
	    "[12, {\"text\": \"Send me any message and I will echo it back\"}]",
	    "delete_messages" },
	{ "a word more", "{\"text\": \"/helper\"}", "[12, {\"text\": \"/helper\"}]",
	    NULL },
	{ "NUL in it", "{\"text\": \"a\\u0000b\"}", "[12, {\"text\": \"a\\u0000b\"}]",
	    NULL },
	{ "nothing but NUL", "{\"text\": \"\\u0000\"}", NULL, NULL },
	{ "a picture",
	    "{\"text\": \"\", \"viewType\": \"Image\", \"file\": \"/b/1.png\", "
	    "\"fileName\": \"cat.png\"}",
	    "[12, {\"file\": \"/b/1.png\", \"viewtype\": \"Image\", \"filename\": "
	    "\"cat.png\"}]",
	    NULL },
	{ "voice and text",
	    "{\"viewType\": \"Voice\", \"file\": \"/b/1.ogg\", \"fileName\": null}",
	    "[12, {\"text\": \"hello\", \"file\": \"/b/1.ogg\", \"viewtype\": "
	    "\"Voice\"}]",
	    NULL },
	{ "a file that must be fetched",
	    "{\"viewType\": \"Image\", \"downloadState\": \"Available\"}",
	    "[12, {\"text\": \"hello\", \"file\": \"/blobs/late.png\", \"viewtype\": "
	    "\"Image\"}]",
	    "download_full_message" },
	{ "a file that never comes",
	    "{\"viewType\": \"Image\", \"downloadState\": \"InProgress\"}",
	    "[12, {\"text\": \"hello\"}]", "send_msg" },
	{ "a file that is broken",
	    "{\"viewType\": \"Image\", \"downloadState\": \"Failure\"}",
	    "[12, {\"text\": \"hello\"}]", NULL },
	{ "contact request", "{\"chatId\": 13}", "[13, {\"text\": \"hello\"}]",
	    "accept_chat" },
	{ "group", "{\"chatId\": 14}", NULL, "delete_messages" },
	{ "no such chat", "{\"chatId\": 15}", NULL, "delete_messages" },
	{ "nothing in it", "{\"text\": \" \"}", NULL, NULL },
	{ "information", "{\"isInfo\": true}", NULL, NULL },
	{ "another bot", "{\"isBot\": true}", NULL, NULL },
	{ "our own", "{\"fromId\": 1}", NULL, NULL },
	{ "the device's", "{\"fromId\": 5}", NULL, NULL },
	{ "not encrypted", "{\"showPadlock\": false}", NULL, NULL },
	{ "a call", "{\"viewType\": \"Call\"}", NULL, NULL },
	{ "odd kinds",
	    "{\"text\": 7, \"chatId\": \"12\", \"fromId\": -3, \"viewType\": []}", NULL,
	    NULL },
};

static bool is_settled(void *arg)
{
	const struct echobot_counters *c = &((struct relay *)arg)->bot->counters;
	const struct echobot *b = ((struct relay *)arg)->bot;

	for (unsigned i = 0; i < ECHOBOT_TASKS_MAX; i++)
		if (b->tasks[i].id)
			return false;
	return c->echoed + c->helped + c->ignored + c->limited + c->dropped +
		   c->broken ==
	       ((struct relay *)arg)->want;
}

static void await_messages(struct relay *r, unsigned n)
{
	r->want = n;
	support_loop(r->a.d.base, is_settled, r);
}

static void answers(void **state)
{
	const struct message_case *c = *state;
	struct relay r;

	relay_init(&r);
	add_chats(&r);
	get_online(&r);
	rpc_server_message(&r.server, 101, make_message(11, c->deviation));
	await_messages(&r, 1);
	assert_int_equal(json_array_size(r.server.sent), c->answer != NULL);
	assert_int_equal(r.bot->counters.ignored, c->answer == NULL);
	if (c->answer) {
		json_t *want = json_loads(c->answer, JSON_ALLOW_NUL, NULL);

		assert_non_null(want);
		assert_true(json_equal(json_array_get(r.server.sent, 0), want));
		json_decref(want);
	}
	if (c->also)
		assert_int_equal(rpc_server_count(&r.server, c->also), 1);
	relay_deinit(&r);
}

static void one_contact_asks_too_much(void **state)
{
	struct relay r;

	relay_init(&r);
	add_chats(&r);
	get_online(&r);
	for (int i = 0; i < ECHOBOT_BURST + 3; i++)
		rpc_server_message(&r.server, 101 + i, make_message(11, "{}"));
	await_messages(&r, ECHOBOT_BURST + 3);
	assert_int_equal(r.bot->counters.limited, 3);
	rpc_server_message(&r.server, 201, make_message(12, "{}"));
	await_messages(&r, ECHOBOT_BURST + 4);
	assert_int_equal(r.bot->counters.echoed, ECHOBOT_BURST + 1);
	assert_int_equal(json_array_size(r.server.sent), ECHOBOT_BURST + 1);
	assert_int_equal(json_array_size(r.server.deleted), ECHOBOT_BURST + 4);
	relay_deinit(&r);
}

static void all_together_ask_too_much(void **state)
{
	struct relay r;

	relay_init(&r);
	r.a.config.max_user_send_burst_size = 5;
	r.a.config.max_user_send_per_minute = 1;
	add_chats(&r);
	get_online(&r);
	for (int i = 0; i < 8; i++)
		rpc_server_message(&r.server, 101 + i, make_message(11 + i, "{}"));
	await_messages(&r, 8);
	assert_int_equal(r.bot->counters.echoed, 5);
	assert_int_equal(r.bot->counters.limited, 3);
	relay_deinit(&r);
}

static void too_many_at_once(void **state)
{
	struct relay r;

	relay_init(&r);
	get_online(&r);
	r.server.held = "get_message";
	for (int i = 0; i < ECHOBOT_TASKS_MAX + 5; i++)
		rpc_server_message(&r.server, 101 + i, make_message(11, "{}"));
	await_calls(&r, "get_next_event", ECHOBOT_TASKS_MAX + 6);
	assert_int_equal(r.bot->counters.dropped, 5);
	rpc_server_release(&r.server);
	await_messages(&r, ECHOBOT_TASKS_MAX + 5);
	assert_int_equal(r.bot->counters.lost, 0);
	relay_deinit(&r);
}

/* What the client would not send is no reason to leave it. */
static void an_answer_is_refused(void **state)
{
	struct relay r;

	relay_init(&r);
	add_chats(&r);
	get_online(&r);
	r.server.spoiled = "send_msg";
	r.server.fault = RPC_REFUSE;
	r.server.times = 1;
	rpc_server_message(&r.server, 101, make_message(11, "{}"));
	await_messages(&r, 1);
	assert_int_equal(r.bot->counters.broken, 1);
	rpc_server_message(&r.server, 102, make_message(11, "{}"));
	await_messages(&r, 2);
	assert_int_equal(r.bot->counters.echoed, 1);
	assert_int_equal(r.server.connections, 1);
	relay_deinit(&r);
}

/* Anybody can write what is too long to be read: all others are answered. */
static void a_message_without_measure(void **state)
{
	static const char *const methods[] = { "get_message", "get_next_event" };
	struct relay r;

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		relay_init(&r);
		add_chats(&r);
		get_online(&r);
		r.server.spoiled = methods[i];
		r.server.fault = RPC_LONG;
		r.server.times = 1;
		rpc_server_message(&r.server, 101, make_message(11, "{}"));
		rpc_server_message(&r.server, 102, make_message(11, "{}"));
		await_messages(&r, 2);
		assert_int_equal(r.bot->counters.lost, 0);
		assert_int_equal(r.bot->counters.echoed, i == 0 ? 1 : 2);
		assert_int_equal(r.bot->counters.ignored, i == 0 ? 1 : 0);
		relay_deinit(&r);
	}
}

static const struct line_case {
	const char *name, *begin;
	size_t filling; /* letters between begin and end */
	const char *end;
	enum rpc_input want;
	uint64_t id;
	bool too_long;
} line_cases[] = {
#define ANSWER "{\"jsonrpc\":\"2.0\",\"id\":"
	{ "short", ANSWER "7,\"result\":\"", 5, "\"}\n", RPC_REPLY, 7, false },
	{ "no end yet", ANSWER "7,\"result\":\"", 5, "\"}", RPC_MORE, 0, false },
	{ "as long as may be", ANSWER "7,\"result\":\"", RPC_LINE_MAX - 37, "\"}\n",
	    RPC_REPLY, 7, false },
	{ "a byte longer", ANSWER "7,\"result\":\"", RPC_LINE_MAX - 36, "\"}\n",
	    RPC_REPLY, 7, true },
	{ "long", ANSWER "18446744,\"result\":\"", 3 * RPC_LINE_MAX, "\"}\n", RPC_REPLY,
	    18446744, true },
	{ "long, no end yet", ANSWER "7,\"result\":\"", RPC_LINE_MAX, "", RPC_MORE, 0,
	    false },
	{ "long, of no call", "[\"", RPC_LINE_MAX, "\"]\n", RPC_BROKEN, 0, false },
	{ "long, of call 0", ANSWER "0,", RPC_LINE_MAX, "\n", RPC_BROKEN, 0, false },
	{ "long, of too long an id", ANSWER "12345678901234567890,", RPC_LINE_MAX, "\n",
	    RPC_BROKEN, 0, false },
	{ "long, of an id in words", ANSWER "\"7\",", RPC_LINE_MAX, "\n", RPC_BROKEN, 0,
	    false },
	{ "too long to be passed over", ANSWER "7,\"result\":\"", RPC_SKIP_MAX, "\"}\n",
	    RPC_BROKEN, 0, false },
#undef ANSWER
};

static enum rpc_input feed(
    const struct line_case *c, size_t piece, struct rpc_reply *reply)
{
	size_t begin = strlen(c->begin), end = strlen(c->end),
	       len = begin + c->filling + end;
	struct evbuffer *in = evbuffer_new();
	enum rpc_input got = RPC_MORE;
	struct rpc_reader reader = { 0 };
	char *text = malloc(len);

	assert_non_null(in);
	assert_non_null(text);
	memcpy(text, c->begin, begin);
	memset(text + begin, 'x', c->filling);
	memcpy(text + begin + c->filling, c->end, end);
	for (size_t at = 0; at < len && got == RPC_MORE; at += piece) {
		evbuffer_add(in, text + at, len - at < piece ? len - at : piece);
		got = rpc_read(&reader, in, reply);
		assert_true(
		    evbuffer_get_length(in) < RPC_LINE_MAX || got == RPC_BROKEN);
	}
	free(text);
	evbuffer_free(in);
	return got;
}

static void reads_lines(void **state)
{
	static const size_t pieces[] = { RPC_SKIP_MAX + 1000, 16384, 999 };
	const struct line_case *c = *state;

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct rpc_reply reply;

		assert_int_equal(feed(c, pieces[i], &reply), c->want);
		assert_int_equal(reply.id, c->id);
		assert_int_equal(reply.too_long, c->too_long);
		assert_int_equal(
		    reply.result != NULL, c->want == RPC_REPLY && !c->too_long);
		rpc_reply_deinit(&reply);
	}
}

static bool is_second_tick(void *arg)
{
	return ((struct relay *)arg)->bot->online_s >= 2;
}

/* The loop has other things to do. */
static void a_flood_of_events(void **state)
{
	struct relay r;

	relay_init(&r);
	r.server.flood = true;
	support_loop(r.a.d.base, is_second_tick, &r);
	assert_in_range(rpc_server_count(&r.server, "get_next_event"),
	    ECHOBOT_EVENTS_MAX, 3 * ECHOBOT_EVENTS_MAX);
	assert_int_equal(r.bot->counters.lost, 0);
	relay_deinit(&r);
}

static void switched_off_and_on(void **state)
{
	struct relay r;

	relay_init(&r);
	get_online(&r);
	r.a.config.echobot = false;
	echobot_service.reload(r.bot);
	assert_null(r.a.d.invite_link);
	assert_int_equal(r.bot->counters.online, 0);
	r.a.config.echobot = true;
	echobot_service.reload(r.bot);
	get_online(&r);
	assert_string_equal(r.a.d.invite_link, r.server.link);
	echobot_service.reload(r.bot); /* nothing new: it stays online */
	assert_int_equal(r.bot->counters.online, 1);
	relay_deinit(&r);
}

/* Whatever the lengths allow. */
static void no_login_makes_it(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	a.config.username_min_length = 1;
	a.config.echobot = true;
	assert_int_equal(accounts_make(&a, ECHO, "a-password", hash), USERS_REFUSED);
	a.config.echobot = false;
	assert_int_equal(accounts_make(&a, ECHO, "a-password", hash), USERS_FOUND);
	accounts_deinit(&a);
}

static const struct link_case {
	const char *name, *text;
	bool good;
} link_cases[] = {
	{ "of today", "https://i.delta.chat/#AB&v=3", true },
	{ "of old", "OPENPGP4FPR:AB#a=echo%40x", true },
	{ "empty", "", false },
	{ "other scheme", "javascript:alert(1)", false },
	{ "line break", "https://i.delta.chat/#A\r\nSet-Cookie: x", false },
	{ "blank", "https://i.delta.chat/ #A", false },
	{ "not ASCII", "https://i.delta.chat/#\xc3\xa4", false },
};

static void link_of(void **state)
{
	const struct link_case *c = *state;

	assert_int_equal(echobot_is_link(c->text), c->good);
}

static void longest_link(void **state)
{
	char text[ECHOBOT_LINK_MAX + 1];

	memset(text, 'a', sizeof(text));
	memcpy(text, "https://", 8);
	text[ECHOBOT_LINK_MAX] = '\0';
	assert_false(echobot_is_link(text));
	text[ECHOBOT_LINK_MAX - 1] = '\0';
	assert_true(echobot_is_link(text));
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(gets_online_from_nothing) },
		{ SUPPORT_TEST(knows_its_account_again) },
		{ SUPPORT_TABLE(recovers, lost_cases) },
		{ SUPPORT_TEST(restores_its_account) },
		{ SUPPORT_TEST(stays_away_when_blocked) },
		{ SUPPORT_TEST(nobody_there) },
		{ SUPPORT_TABLE(bears, fault_cases) },
		{ SUPPORT_TABLE(answers, message_cases) },
		{ SUPPORT_TEST(one_contact_asks_too_much) },
		{ SUPPORT_TEST(all_together_ask_too_much) },
		{ SUPPORT_TEST(too_many_at_once) },
		{ SUPPORT_TEST(an_answer_is_refused) },
		{ SUPPORT_TEST(a_message_without_measure) },
		{ SUPPORT_TEST(a_flood_of_events) },
		{ SUPPORT_TEST(switched_off_and_on) },
		{ SUPPORT_TEST(no_login_makes_it) },
		{ SUPPORT_TABLE(reads_lines, line_cases) },
		{ SUPPORT_TABLE(link_of, link_cases) },
		{ SUPPORT_TEST(longest_link) },
	};
	return support_run("echobot", tests, ARRAY_LEN(tests));
}
