/* chatmaild/reinject.c against a scripted Postfix on the same loop. */
#include "chatmaild/reinject.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "chatmaild/log.h"
#include "test/flow/smtp_sink.h"
#include "test/support.h"

#define TROUBLE "451 4.3.0 Mail server trouble, try again later"

struct fixture {
	struct event_base *base;
	char *dir;
	const struct reinject_timeouts *timeouts;
	struct smtp_sink *sink;
	struct reinject *reinject;
	struct evbuffer *data;
	unsigned rooms;
	unsigned replies;
	enum reinject_outcome outcome;
	char reply[SMTP_REPLY_MAX + 8];
	size_t body; /* what sink_has_body() waits for */
};

static void on_room(void *arg)
{
	struct fixture *f = arg;

	f->rooms++;
}

static void on_reply(
    void *arg, enum reinject_outcome outcome, unsigned code, struct span text)
{
	struct fixture *f = arg;

	f->replies++;
	f->outcome = outcome;
	snprintf(f->reply, sizeof f->reply, "%u %.*s", code, SPAN_ARG(text));
	reinject_destroy(f->reinject);
	f->reinject = NULL;
}

static const struct reinject_events events = { on_room, on_reply };

static void fixture_init(struct fixture *f)
{
	char *path;

	*f = (struct fixture){ .base = event_base_new(),
		.dir = support_tmpdir(),
		.timeouts = &reinject_timeouts };
	path = support_path(f->dir, "sink");
	f->sink = smtp_sink_create(f->base, path);
	f->data = evbuffer_new();
	free(path);
}

static void fixture_deinit(struct fixture *f)
{
	reinject_destroy(f->reinject);
	smtp_sink_destroy(f->sink);
	evbuffer_free(f->data);
	event_base_free(f->base);
	support_tmpdir_remove(f->dir);
}

/* To two recipients, from sender. */
static void start(struct fixture *f, const struct endpoint *to, const char *sender,
    const char *second)
{
	const struct span rcpt_to[] = { span_of("a@one.example"), span_of(second) };
	const struct reinject_envelope envelope = {
		.mail_from = span_of(sender), .rcpt_to = rcpt_to, .nrcpt = 2
	};

	f->reinject = reinject_create(
	    f->base, to, f->timeouts, "relay.example", &envelope, &events, f);
	assert_int_equal(f->replies, 0);
}

static void give(struct fixture *f, const char *text)
{
	evbuffer_add(f->data, text, strlen(text));
	reinject_write(f->reinject, f->data);
	assert_int_equal(evbuffer_get_length(f->data), 0);
}

static bool replied(void *arg)
{
	return ((struct fixture *)arg)->replies > 0;
}

static bool sink_idle(void *arg)
{
	const struct fixture *f = arg;

	return f->sink->open == 0;
}

static bool sink_has_body(void *arg)
{
	const struct fixture *f = arg;

	return f->sink->body >= f->body;
}

static const char mail[] = "From: x@y.example\r\n\r\nText\r\n..\r\n";

/* What the sink does, and what comes of it. */
static const struct script_case {
	const char *name;
	struct smtp_sink_script script;
	enum reinject_outcome outcome;
	const char *reply;
} script_cases[] = {
	{ "all is well", { .body = 0 }, REINJECT_ACCEPTED,
	    "250 2.0.0 Ok: queued as 4F00" },
	{ "several lines", { .reply[SINK_DOT] = "250-2.0.0 Ok\r\n250 and more\r\n" },
	    REINJECT_ACCEPTED, "250 2.0.0 Ok\nand more" },
	{ "no pipelining", { .reply[SINK_EHLO] = "250 sink\r\n" }, REINJECT_ACCEPTED,
	    "250 2.0.0 Ok: queued as 4F00" },

	{ "greeting 421", { .reply[SINK_GREETING] = "421 4.3.2 Busy\r\n" },
	    REINJECT_REFUSED, "451 4.3.2 Busy" },
	{ "greeting 554", { .reply[SINK_GREETING] = "554 5.0.0 No\r\n" },
	    REINJECT_REFUSED, "554 5.0.0 No" },
	{ "greeting 250", { .reply[SINK_GREETING] = "250 What\r\n" }, REINJECT_REFUSED,
	    "451 What" },
	{ "EHLO 500", { .reply[SINK_EHLO] = "500 5.5.1 No\r\n" }, REINJECT_REFUSED,
	    "500 5.5.1 No" },
	{ "MAIL 451", { .reply[SINK_MAIL] = "451 4.7.1 Milter\r\n" }, REINJECT_REFUSED,
	    "451 4.7.1 Milter" },
	{ "MAIL 552", { .reply[SINK_MAIL] = "552-5.3.4 a\r\n552 5.3.4 b\r\n" },
	    REINJECT_REFUSED, "552 5.3.4 a\n5.3.4 b" },
	{ "first RCPT 550", { .reply[SINK_RCPT] = "550 5.1.1 Unknown\r\n" },
	    REINJECT_REFUSED, "550 5.1.1 Unknown" },
	{ "second RCPT 450", { .reply[SINK_RCPT] = "450 4.1.1 Later\r\n", .rcpt = 1 },
	    REINJECT_REFUSED, "450 4.1.1 Later" },
	{ "second RCPT 550 without pipelining",
	    { .reply[SINK_EHLO] = "250 sink\r\n",
		.reply[SINK_RCPT] = "550 5.1.1 Unknown\r\n",
		.rcpt = 1 },
	    REINJECT_REFUSED, "550 5.1.1 Unknown" },
	{ "RCPT 251", { .reply[SINK_RCPT] = "251 2.1.5 Will forward\r\n" },
	    REINJECT_ACCEPTED, "250 2.0.0 Ok: queued as 4F00" },
	{ "RCPT 354", { .reply[SINK_RCPT] = "354 What\r\n" }, REINJECT_REFUSED,
	    "451 What" },
	{ "DATA 554", { .reply[SINK_DATA] = "554 5.5.1 No valid recipients\r\n" },
	    REINJECT_REFUSED, "554 5.5.1 No valid recipients" },
	{ "DATA 250", { .reply[SINK_DATA] = "250 What\r\n" }, REINJECT_REFUSED,
	    "451 What" },
	{ "dot 451", { .reply[SINK_DOT] = "451 4.7.5 DKIM lookup\r\n" },
	    REINJECT_REFUSED, "451 4.7.5 DKIM lookup" },
	{ "dot 554",
	    { .reply[SINK_DOT] = "554 5.7.1 No valid DKIM signature found\r\n" },
	    REINJECT_REFUSED, "554 5.7.1 No valid DKIM signature found" },
	{ "dot 421", { .reply[SINK_DOT] = "421 4.3.0 Shutting down\r\n" },
	    REINJECT_REFUSED, "451 4.3.0 Shutting down" },
	{ "dot 252", { .reply[SINK_DOT] = "252 What\r\n" }, REINJECT_REFUSED,
	    "451 What" },
	{ "dot 354", { .reply[SINK_DOT] = "354 What\r\n" }, REINJECT_REFUSED,
	    "451 What" },
	{ "no text", { .reply[SINK_DOT] = "550\r\n" }, REINJECT_REFUSED, "550 " },

	{ "closes at the greeting",
	    { .reply[SINK_GREETING] = "", .close[SINK_GREETING] = true },
	    REINJECT_TROUBLE, TROUBLE },
	{ "closes after the greeting", { .close[SINK_GREETING] = true },
	    REINJECT_TROUBLE, TROUBLE },
	{ "closes at EHLO", { .reply[SINK_EHLO] = "", .close[SINK_EHLO] = true },
	    REINJECT_TROUBLE, TROUBLE },
	{ "closes at MAIL", { .reply[SINK_MAIL] = "", .close[SINK_MAIL] = true },
	    REINJECT_TROUBLE, TROUBLE },
	{ "closes at RCPT", { .reply[SINK_RCPT] = "", .close[SINK_RCPT] = true },
	    REINJECT_TROUBLE, TROUBLE },
	{ "closes at DATA", { .reply[SINK_DATA] = "", .close[SINK_DATA] = true },
	    REINJECT_TROUBLE, TROUBLE },
	{ "closes at the dot", { .reply[SINK_DOT] = "", .close[SINK_DOT] = true },
	    REINJECT_TROUBLE, TROUBLE },
	{ "closes in a reply",
	    { .reply[SINK_DOT] = "250 2.0", .close[SINK_DOT] = true }, REINJECT_TROUBLE,
	    TROUBLE },
	{ "closes after a first line",
	    { .reply[SINK_DOT] = "250-2.0.0 Ok\r\n", .close[SINK_DOT] = true },
	    REINJECT_TROUBLE, TROUBLE },
	{ "says no and closes",
	    { .reply[SINK_MAIL] = "550 5.7.1 Go away\r\n", .close[SINK_MAIL] = true },
	    REINJECT_REFUSED, "550 5.7.1 Go away" },

	{ "no code", { .reply[SINK_GREETING] = "* OK IMAP4rev1\r\n" }, REINJECT_TROUBLE,
	    TROUBLE },
	{ "an empty line", { .reply[SINK_MAIL] = "\r\n" }, REINJECT_TROUBLE, TROUBLE },
	{ "two codes", { .reply[SINK_DOT] = "250-a\r\n550 b\r\n" }, REINJECT_TROUBLE,
	    TROUBLE },
	{ "an early 250 to the dot",
	    { .reply[SINK_DATA] = "354 Go\r\n250 2.0.0 Ok: queued\r\n" },
	    REINJECT_TROUBLE, TROUBLE },
	{ "the beginning of one", { .reply[SINK_DATA] = "354 Go\r\n2" },
	    REINJECT_TROUBLE, TROUBLE },
};

static void script(void **state)
{
	const struct script_case *c = *state;
	struct fixture f;

	fixture_init(&f);
	f.sink->script = c->script;
	start(&f, &f.sink->at, "s@relay.example", "b@two.example");
	give(&f, mail);
	reinject_finish(f.reinject);
	support_loop(f.base, replied, &f);
	support_loop(f.base, sink_idle, &f);
	assert_int_equal(f.replies, 1);
	assert_int_equal(f.outcome, c->outcome);
	assert_string_equal(f.reply, c->reply);
	if (c->outcome == REINJECT_ACCEPTED)
		support_assert_span(smtp_sink_mail(f.sink), span_of(mail));
	fixture_deinit(&f);
}

/* What the envelope looks like on the wire. */
static const struct envelope_case {
	const char *name;
	const char *ehlo; /* NULL: all extensions */
	const char *sender, *second;
	const char *commands;
} envelope_cases[] = {
	{ "with BODY", NULL, "s@relay.example", "b@c.example",
	    "EHLO relay.example\nMAIL FROM:<s@relay.example> BODY=8BITMIME\n"
	    "RCPT TO:<a@one.example>\nRCPT TO:<b@c.example>\nDATA\nQUIT\n" },
	{ "null sender", NULL, "", "b@c.example",
	    "EHLO relay.example\nMAIL FROM:<> BODY=8BITMIME\n"
	    "RCPT TO:<a@one.example>\nRCPT TO:<b@c.example>\nDATA\nQUIT\n" },
	{ "sender beyond ASCII", NULL, "s\xc3\xb6@relay.example", "b@c.example",
	    "EHLO relay.example\nMAIL FROM:<s\xc3\xb6@relay.example> BODY=8BITMIME\n"
	    "RCPT TO:<a@one.example>\nRCPT TO:<b@c.example>\nDATA\nQUIT\n" },
	{ "recipient beyond ASCII", "250-x\r\n250-size 1\r\n250 smtputf8\r\n", "",
	    "\xc3\xb6",
	    "EHLO relay.example\nMAIL FROM:<> SMTPUTF8\n"
	    "RCPT TO:<a@one.example>\nRCPT TO:<\xc3\xb6>\nDATA\nQUIT\n" },
	{ "nothing offered", "250 x\r\n", "s@relay.example", "\xc3\xb6@c.example",
	    "EHLO relay.example\nMAIL FROM:<s@relay.example>\n"
	    "RCPT TO:<a@one.example>\nRCPT TO:<\xc3\xb6@c.example>\nDATA\nQUIT\n" },
	{ "other words",
	    "250-x\r\n250-X8BITMIME\r\n250-SMTPUTF8X\r\n250 PIPELINING1\r\n",
	    "s@relay.example", "\xc3\xb6@c.example",
	    "EHLO relay.example\nMAIL FROM:<s@relay.example>\n"
	    "RCPT TO:<a@one.example>\nRCPT TO:<\xc3\xb6@c.example>\nDATA\nQUIT\n" },
};

static void envelope(void **state)
{
	const struct envelope_case *c = *state;
	struct fixture f;

	fixture_init(&f);
	f.sink->script.reply[SINK_EHLO] = c->ehlo;
	start(&f, &f.sink->at, c->sender, c->second);
	give(&f, mail);
	reinject_finish(f.reinject);
	support_loop(f.base, replied, &f);
	support_loop(f.base, sink_idle, &f);
	assert_int_equal(f.outcome, REINJECT_ACCEPTED);
	support_assert_span(smtp_sink_commands(f.sink), span_of(c->commands));
	fixture_deinit(&f);
}

static void over_tcp(void **state)
{
	struct fixture f;
	struct smtp_sink *tcp;

	fixture_init(&f);
	tcp = smtp_sink_create(f.base, NULL);
	start(&f, &tcp->at, "s@relay.example", "b@c.example");
	give(&f, mail);
	reinject_finish(f.reinject);
	support_loop(f.base, replied, &f);
	assert_int_equal(f.outcome, REINJECT_ACCEPTED);
	support_assert_span(smtp_sink_mail(tcp), span_of(mail));
	smtp_sink_destroy(tcp);
	fixture_deinit(&f);
}

static void nobody_listens(void **state)
{
	static const char *const places[] = { "unix:/nonexistent/socket",
		"inet:127.0.0.1:1" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct fixture f;
		struct endpoint to;

		fixture_init(&f);
		assert_null(endpoint_parse(&to, span_of(places[i])));
		start(&f, &to, "", "b@c.example");
		give(&f, mail);
		reinject_finish(f.reinject);
		support_loop(f.base, replied, &f);
		assert_int_equal(f.outcome, REINJECT_TROUBLE);
		assert_string_equal(f.reply, TROUBLE);
		fixture_deinit(&f);
	}
}

/* Endless lines and endless replies find their end. */
static void long_lines(void **state)
{
	struct fixture f;
	char *line = malloc(70001);

	memset(line, 'x', 70000);
	memcpy(line, "250 ", 4);
	line[70000] = '\0';
	fixture_init(&f);
	f.sink->script.reply[SINK_DOT] = line;
	start(&f, &f.sink->at, "", "b@c.example");
	give(&f, mail);
	reinject_finish(f.reinject);
	support_loop(f.base, replied, &f);
	assert_int_equal(f.outcome, REINJECT_TROUBLE);
	assert_string_equal(f.reply, TROUBLE);
	fixture_deinit(&f);
	free(line);
}

/* Texts are cut, not refused. */
static void many_reply_lines(void **state)
{
	struct evbuffer *text = evbuffer_new();
	struct fixture f;

	for (int i = 0; i < 1000; i++)
		evbuffer_add_printf(text, "550-5.1.1 line %d\r\n", i);
	evbuffer_add(text, "550 5.1.1 last\r\n", 17);
	fixture_init(&f);
	f.sink->script.reply[SINK_DOT] = (const char *)evbuffer_pullup(text, -1);
	start(&f, &f.sink->at, "", "b@c.example");
	give(&f, mail);
	reinject_finish(f.reinject);
	support_loop(f.base, replied, &f);
	assert_int_equal(f.outcome, REINJECT_REFUSED);
	assert_int_equal(strlen(f.reply), 4 + SMTP_REPLY_MAX);
	fixture_deinit(&f);
	evbuffer_free(text);
}

static void give_much(struct fixture *f, size_t lines)
{
	char line[1000];

	memset(line, 'z', sizeof line);
	memcpy(line + sizeof line - 2, "\r\n", 2);
	for (size_t i = 0; i < lines; i++)
		evbuffer_add(f->data, line, sizeof line);
	reinject_write(f->reinject, f->data);
}

/* An answer in the middle of the mail ends it; so does a hang-up, with or without
 * words. */
static const struct early_case {
	const char *name;
	const char *reply;
	bool close;
	enum reinject_outcome outcome;
	const char *want;
} early_cases[] = {
	{ "452", "452 4.3.1 Insufficient system storage\r\n", false, REINJECT_REFUSED,
	    "452 4.3.1 Insufficient system storage" },
	{ "552 and close", "552 5.3.4 Too big\r\n", true, REINJECT_REFUSED,
	    "552 5.3.4 Too big" },
	{ "421 and close", "421 4.4.2 Timeout\r\n", true, REINJECT_REFUSED,
	    "451 4.4.2 Timeout" },
	{ "250", "250 2.0.0 Ok\r\n", false, REINJECT_REFUSED, "451 2.0.0 Ok" },
	{ "close", NULL, true, REINJECT_TROUBLE, TROUBLE },
};

static void early_reply(void **state)
{
	const struct early_case *c = *state;
	struct fixture f;

	fixture_init(&f);
	f.sink->script.reply[SINK_BODY] = c->reply;
	f.sink->script.close[SINK_BODY] = c->close;
	f.sink->script.body = 50000;
	start(&f, &f.sink->at, "", "b@c.example");
	give_much(&f, 1000);
	support_loop(f.base, replied, &f);
	support_loop(f.base, sink_idle, &f);
	assert_int_equal(f.outcome, c->outcome);
	assert_string_equal(f.reply, c->want);
	assert_int_equal(f.sink->accepted, 0);
	fixture_deinit(&f);
}

/* A 250 is no answer to a final dot that still waits to be written. */
static void reply_before_the_dot(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.sink->script.reply[SINK_BODY] = "250 2.0.0 Ok\r\n";
	f.sink->script.body = f.sink->script.stop = 1;
	start(&f, &f.sink->at, "", "b@c.example");
	give_much(&f, 2000); /* more than the kernel takes */
	reinject_finish(f.reinject);
	support_loop(f.base, replied, &f);
	assert_int_equal(f.outcome, REINJECT_REFUSED);
	assert_string_equal(f.reply, "451 2.0.0 Ok");
	fixture_deinit(&f);
}

/* A peer that reads no more: what is given waits; on_room() comes when it is gone. */
static void flow_control(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.sink->script.stop = f.body = 1;
	start(&f, &f.sink->at, "", "b@c.example");
	give(&f, mail);
	support_loop(f.base, sink_has_body, &f);
	f.rooms = 0;
	give_much(&f, 2000); /* more than the kernel takes */
	event_base_loop(f.base, EVLOOP_NONBLOCK);
	event_base_loop(f.base, EVLOOP_NONBLOCK);
	assert_int_equal(f.rooms, 0);
	assert_true(reinject_waiting(f.reinject) > REINJECT_ROOM);
	smtp_sink_resume(f.sink);
	reinject_finish(f.reinject);
	support_loop(f.base, replied, &f);
	assert_int_equal(f.outcome, REINJECT_ACCEPTED);
	assert_int_equal(smtp_sink_mail(f.sink).len, sizeof mail - 1 + 2000 * 1000);
	fixture_deinit(&f);
}

static void room_comes(void **state)
{
	struct fixture f;

	fixture_init(&f);
	start(&f, &f.sink->at, "", "b@c.example");
	give_much(&f, 2000);
	f.body = 2000 * 1000;
	support_loop(f.base, sink_has_body, &f);
	assert_true(f.rooms > 0);
	assert_int_equal(reinject_waiting(f.reinject), 0);
	fixture_deinit(&f);
}

/* Without its final dot the sink never has the mail. */
static void dropped(void **state)
{
	struct fixture f;

	fixture_init(&f);
	start(&f, &f.sink->at, "", "b@c.example");
	give(&f, mail);
	f.body = sizeof mail - 1;
	support_loop(f.base, sink_has_body, &f);
	reinject_destroy(f.reinject);
	f.reinject = NULL;
	support_loop(f.base, sink_idle, &f);
	assert_int_equal(f.sink->accepted, 0);
	assert_int_equal(f.sink->dropped, 1);
	assert_int_equal(f.replies, 0);
	fixture_deinit(&f);
}

/* Every silence ends, wherever it begins. */
static const struct silence_case {
	const char *name;
	struct smtp_sink_script script;
} silence_cases[] = {
	{ "greeting", { .reply[SINK_GREETING] = "" } },
	{ "EHLO", { .reply[SINK_EHLO] = "" } },
	{ "MAIL", { .reply[SINK_EHLO] = "250 x\r\n", .reply[SINK_MAIL] = "" } },
	{ "RCPT", { .reply[SINK_EHLO] = "250 x\r\n", .reply[SINK_RCPT] = "" } },
	{ "DATA", { .reply[SINK_DATA] = "" } },
	{ "dot", { .reply[SINK_DOT] = "" } },
	{ "half a reply", { .reply[SINK_DOT] = "250-2.0.0 Ok\r\n250-" } },
	{ "stops reading", { .stop = 1 } },
};

static void silence(void **state)
{
	static const struct reinject_timeouts soon = { { 0, 20000 }, { 0, 20000 } };
	const struct silence_case *c = *state;
	struct fixture f;

	fixture_init(&f);
	f.timeouts = &soon;
	f.sink->script = c->script;
	start(&f, &f.sink->at, "", "b@c.example");
	give_much(&f, c->script.stop ? 2000 : 1);
	if (!c->script.stop)
		reinject_finish(f.reinject);
	support_loop(f.base, replied, &f);
	assert_int_equal(f.outcome, REINJECT_TROUBLE);
	assert_string_equal(f.reply, TROUBLE);
	assert_int_equal(f.sink->connections, 1);
	fixture_deinit(&f);
}

static void empty_mail(void **state)
{
	struct fixture f;

	fixture_init(&f);
	start(&f, &f.sink->at, "", "b@c.example");
	reinject_finish(f.reinject);
	support_loop(f.base, replied, &f);
	assert_int_equal(f.outcome, REINJECT_ACCEPTED);
	assert_int_equal(smtp_sink_mail(f.sink).len, 0);
	fixture_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(script, script_cases) },
		{ SUPPORT_TABLE(envelope, envelope_cases) },
		{ SUPPORT_TEST(over_tcp) },
		{ SUPPORT_TEST(nobody_listens) },
		{ SUPPORT_TEST(long_lines) },
		{ SUPPORT_TEST(many_reply_lines) },
		{ SUPPORT_TABLE(early_reply, early_cases) },
		{ SUPPORT_TEST(reply_before_the_dot) },
		{ SUPPORT_TEST(flow_control) },
		{ SUPPORT_TEST(room_comes) },
		{ SUPPORT_TEST(dropped) },
		{ SUPPORT_TABLE(silence, silence_cases) },
		{ SUPPORT_TEST(empty_mail) },
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	log_set_level(LOG_LEVEL_ERROR);
	return support_run("reinject", tests, ARRAY_LEN(tests));
}
