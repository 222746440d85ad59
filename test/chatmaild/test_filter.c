/*
 * The services outgoing and incoming through a socket pair, with a scripted Postfix
 * behind them, all on one loop.
 */
#include "chatmaild/filter.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/filter_conn.h"
#include "chatmaild/filter_mail.h"
#include "chatmaild/log.h"
#include "milter/header.h"
#include "proto/smtp.h"
#include "test/flow/sample_mail.h"
#include "test/flow/smtp_sink.h"
#include "test/support.h"

#define ALICE     "alice@relay.example"
#define MAX_BYTES (8 * 1024 * 1024)
#define QUEUED    "250 2.0.0 Ok: queued as 4F00\r\n"
#define REFUSED   VERDICT_UNENCRYPTED "\r\n"
#define GO_ON     "354 End data with <CR><LF>.<CR><LF>\r\n"

struct fixture {
	char *dir;
	struct config config;
	struct daemon daemon;
	struct smtp_sink *sink;
	const struct service *service;
	struct filter *filter; /* the service's state */
};

struct client {
	struct fixture *f;
	struct bufferevent *bev;
	bool closed;
	size_t want; /* bytes of replies that client_has() waits for */
};

static void fixture_init(struct fixture *f, enum mail_direction direction)
{
	static char *none[] = { NULL };
	char *path;

	*f = (struct fixture){ .dir = support_tmpdir() };
	path = support_path(f->dir, "sink");
	f->daemon.base = event_base_new();
	f->daemon.config = &f->config;
	f->sink = smtp_sink_create(f->daemon.base, path);
	free(path);
	f->config.mail_domain = (char *)(uintptr_t) "relay.example";
	f->config.mailboxes_dir = f->dir;
	f->config.max_message_size = MAX_BYTES;
	f->config.max_user_send_per_minute = 60;
	f->config.max_user_send_burst_size = 1000;
	f->config.passthrough_senders = none;
	f->config.passthrough_recipients = none;
	f->config.reinject_outgoing = f->config.reinject_incoming = f->sink->at;
	f->service = direction == MAIL_OUTGOING ? &outgoing_service : &incoming_service;
	f->filter = f->service->start(&f->daemon, f->service);
	assert_non_null(f->filter);
}

static void fixture_deinit(struct fixture *f)
{
	f->service->stop(f->filter);
	smtp_sink_destroy(f->sink);
	event_base_free(f->daemon.base);
	support_tmpdir_remove(f->dir);
}

static void on_client_break(struct bufferevent *bev, short what, void *arg)
{
	struct client *c = arg;

	c->closed = true;
}

static void client_init(struct client *c, struct fixture *f)
{
	int fd[2];

	support_socketpair(fd);
	*c = (struct client){ .f = f };
	c->bev = bufferevent_socket_new(f->daemon.base, fd[0], BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(c->bev, NULL, NULL, on_client_break, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	f->service->accept(f->filter, NULL, fd[1]);
}

static void client_deinit(struct client *c)
{
	bufferevent_free(c->bev);
}

static void say(struct client *c, const char *text)
{
	bufferevent_write(c->bev, text, strlen(text));
}

static void say_mail(struct client *c, struct evbuffer *mail)
{
	struct span all = sample_span(mail);

	bufferevent_write(c->bev, all.data, all.len);
}

static struct evbuffer *replies(const struct client *c)
{
	return bufferevent_get_input(c->bev);
}

static bool client_has(void *arg)
{
	struct client *c = arg;

	return c->closed || evbuffer_get_length(replies(c)) >= c->want;
}

static bool client_closed(void *arg)
{
	return ((struct client *)arg)->closed;
}

/* The next bytes of the server are these. */
static void expect(struct client *c, const char *text)
{
	char got[4096];
	size_t len;

	c->want = strlen(text);
	support_loop(c->f->daemon.base, client_has, c);
	len = evbuffer_get_length(replies(c));
	if (len > c->want)
		len = c->want;
	assert_true(len < sizeof(got));
	evbuffer_remove(replies(c), got, len);
	support_assert_span(span_make(got, len), span_of(text));
}

static void expect_close(struct client *c)
{
	support_loop(c->f->daemon.base, client_closed, c);
	assert_int_equal(evbuffer_get_length(replies(c)), 0);
}

static bool sink_idle(void *arg)
{
	return ((struct fixture *)arg)->sink->open == 0;
}

static void turn(struct fixture *f, int times)
{
	for (int i = 0; i < times; i++)
		event_base_loop(f->daemon.base, EVLOOP_NONBLOCK);
}

/* Until nothing moves any more: all that was sent is read, or will not be. */
static void settle(struct fixture *f)
{
	turn(f, 50);
}

static void greet(struct client *c)
{
	expect(c, "220 relay.example ESMTP\r\n");
	say(c, "EHLO mx.example\r\n");
	expect(c, "250-relay.example\r\n250-8BITMIME\r\n250 SIZE 8388608\r\n");
}

/* A filter and one client of it, greeted. */
static void session_init(
    struct fixture *f, struct client *c, enum mail_direction direction)
{
	fixture_init(f, direction);
	client_init(c, f);
	greet(c);
}

static void session_deinit(struct fixture *f, struct client *c)
{
	client_deinit(c);
	fixture_deinit(f);
}

static void begin_mail(struct client *c, const char *from, const char *rcpt)
{
	char line[512];

	snprintf(line, sizeof(line), "MAIL FROM:<%s>\r\n", from);
	say(c, line);
	expect(c, "250 OK\r\n");
	snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", rcpt);
	say(c, line);
	expect(c, "250 OK\r\n");
	say(c, "DATA\r\n");
	expect(c, GO_ON);
}

/* The whole talk of one client, and what the server says to it. */
static const struct talk_case {
	const char *name;
	const char *client, *server; /* the greeting and EHLO are done */
} talk_cases[] = {
	{ "HELO", "HELO x\r\n", "250 relay.example\r\n" },
	{ "EHLO again", "EHLO x\r\n",
	    "250-relay.example\r\n250-8BITMIME\r\n250 SIZE 8388608\r\n" },
	{ "RSET, NOOP, QUIT", "RSET\r\nNOOP\r\nnoop x\r\nQUIT\r\n",
	    "250 OK\r\n250 OK\r\n250 OK\r\n221 Bye\r\n" },
	{ "VRFY", "VRFY a@b\r\n", "252 2.5.2 Send some mail, I'll try my best\r\n" },
	{ "unknown command", "LHLO x\r\nXFORWARD NAME=x\r\n\r\n",
	    "500 5.5.2 Command not recognized\r\n500 5.5.2 Command not recognized\r\n"
	    "500 5.5.2 Command not recognized\r\n" },
	{ "parameters are ignored",
	    "MAIL FROM:<a@b.example> SIZE=500 BODY=8BITMIME SMTPUTF8 RET=HDRS "
	    "ENVID=x\r\n"
	    "RCPT TO:<c@d.example> ORCPT=rfc822;c@d.example NOTIFY=NEVER\r\n",
	    "250 OK\r\n250 OK\r\n" },
	{ "null sender", "MAIL FROM:<>\r\n", "250 OK\r\n" },
	{ "any letter case", "mail from:<a@b.example>\r\nRcpt tO: <c@d.example>\r\n",
	    "250 OK\r\n250 OK\r\n" },
	{ "address forms",
	    "MAIL FROM:<SRS1=a=b=c=alice@x.example>\r\nRCPT TO:<t@[192.0.2.0]>\r\n"
	    "RCPT TO:<t@[IPv6:2001:db8::1]>\r\nRCPT TO:<\"a b\"@x.example>\r\n",
	    "250 OK\r\n250 OK\r\n250 OK\r\n250 OK\r\n" },
	{ "bad sender syntax",
	    "MAIL\r\nMAIL FROM:\r\nMAIL FROM:a@b\r\nMAIL FROM:<a@b\r\nMAIL FROM:<a "
	    "b@c>\r\n"
	    "MAIL FROM:<a@b>x\r\nMAIL TO:<a@b>\r\n",
	    "501 5.1.7 Bad sender address syntax\r\n501 5.1.7 Bad sender address "
	    "syntax\r\n"
	    "501 5.1.7 Bad sender address syntax\r\n501 5.1.7 Bad sender address "
	    "syntax\r\n"
	    "501 5.1.7 Bad sender address syntax\r\n501 5.1.7 Bad sender address "
	    "syntax\r\n"
	    "501 5.1.7 Bad sender address syntax\r\n" },
	{ "bad recipient syntax",
	    "MAIL FROM:<a@b>\r\nRCPT\r\nRCPT TO:<>\r\nRCPT TO:<a\x01@b>\r\nRCPT "
	    "TO:<c@d>\r\n",
	    "250 OK\r\n501 5.1.3 Bad recipient address syntax\r\n"
	    "501 5.1.3 Bad recipient address syntax\r\n"
	    "501 5.1.3 Bad recipient address syntax\r\n250 OK\r\n" },
	{ "sender without @",
	    "MAIL FROM:<alice>\r\nMAIL FROM:<a@b@c>\r\nMAIL FROM:<a@b>\r\n",
	    "500 Invalid from address <alice>\r\n500 Invalid from address <a@b@c>\r\n"
	    "250 OK\r\n" },
	{ "RCPT before MAIL", "RCPT TO:<a@b>\r\n", "503 5.5.1 Need MAIL command\r\n" },
	{ "DATA before MAIL", "DATA\r\n", "503 5.5.1 Need RCPT command\r\n" },
	{ "DATA before RCPT", "MAIL FROM:<a@b>\r\nDATA\r\n",
	    "250 OK\r\n503 5.5.1 Need RCPT command\r\n" },
	{ "DATA with an argument", "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA x\r\n",
	    "250 OK\r\n250 OK\r\n501 5.5.4 Syntax: DATA\r\n" },
	{ "nested MAIL", "MAIL FROM:<a@b>\r\nMAIL FROM:<c@d>\r\n",
	    "250 OK\r\n503 5.5.1 EHLO first, and one MAIL only\r\n" },
	{ "MAIL after RCPT", "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nMAIL FROM:<c@d>\r\n",
	    "250 OK\r\n250 OK\r\n503 5.5.1 EHLO first, and one MAIL only\r\n" },
	{ "RSET ends the transaction",
	    "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRSET\r\nDATA\r\nMAIL FROM:<a@b>\r\n",
	    "250 OK\r\n250 OK\r\n250 OK\r\n503 5.5.1 Need RCPT command\r\n250 OK\r\n" },
	{ "EHLO ends the transaction", "MAIL FROM:<a@b>\r\nHELO x\r\nRCPT TO:<c@d>\r\n",
	    "250 OK\r\n250 relay.example\r\n503 5.5.1 Need MAIL command\r\n" },
	{ "bare LF", "NOOP\nNOOP\r\n",
	    "500 5.5.2 Bare CR, LF or NUL in command\r\n250 OK\r\n" },
	{ "bare CR", "NO\rOP\r\nNOOP\r\n",
	    "500 5.5.2 Bare CR, LF or NUL in command\r\n250 OK\r\n" },
	{ "smuggled by LF", "MAIL FROM:<a@b>\nRCPT TO:<c@d>\r\nNOOP\r\n",
	    "500 5.5.2 Bare CR, LF or NUL in command\r\n503 5.5.1 Need MAIL command\r\n"
	    "250 OK\r\n" },
	{ "two in one go, the second after DATA",
	    "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nNOOP\r\nQUIT\r\n",
	    "250 OK\r\n250 OK\r\n" GO_ON "500 Invalid DATA\r\n250 OK\r\n221 Bye\r\n" },
	{ "two mails",
	    "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nFrom: <a@b>\r\n\r\n.\r\n"
	    "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nFrom: <c@b>\r\n\r\n.\r\n",
	    "250 OK\r\n250 OK\r\n" GO_ON REFUSED "250 OK\r\n250 OK\r\n" GO_ON
	    "500 Invalid FROM <c@b> for <a@b>\r\n" },
};

struct talk {
	const struct talk_case *row;
	struct fixture f;
	struct client c;
};

static void talk_begin(void *arg)
{
	struct talk *t = arg;

	session_init(&t->f, &t->c, MAIL_OUTGOING);
}

static void talk_feed(void *arg, const char *bytes, size_t len)
{
	struct talk *t = arg;

	bufferevent_write(t->c.bev, bytes, len);
	turn(&t->f, 2);
}

static void talk_end(void *arg, const char *cut)
{
	struct talk *t = arg;

	expect(&t->c, t->row->server);
	if (!span_ends(span_of(t->row->server), span_of("Bye\r\n"))) {
		say(&t->c, "QUIT\r\n");
		expect(&t->c, "221 Bye\r\n");
	}
	expect_close(&t->c);
	session_deinit(&t->f, &t->c);
}

/* Pipelined, dripping, in any cut: the same answers in the same order. */
static void talk(void **state)
{
	static const struct support_feeder feeder = { talk_begin, talk_feed, talk_end };
	struct talk t = { .row = *state };

	support_every_cut(&feeder, &t, t.row->client, strlen(t.row->client));
}

static void before_ehlo(void **state)
{
	struct fixture f;
	struct client c;

	fixture_init(&f, MAIL_OUTGOING);
	client_init(&c, &f);
	say(&c, "MAIL FROM:<a@b>\r\nRSET\r\nMAIL FROM:<a@b>\r\n");
	expect(&c,
	    "220 relay.example ESMTP\r\n503 5.5.1 EHLO first, and one MAIL only\r\n"
	    "250 OK\r\n503 5.5.1 EHLO first, and one MAIL only\r\n");
	session_deinit(&f, &c);
}

/* What is wrong with the bytes of a mail, whatever it says. */
static const struct data_case {
	const char *name;
	const char *data; /* with its end */
	size_t len;
} data_cases[] = {
#define DATA_CASE(name, data)                                                          \
	{                                                                              \
		name, data, sizeof(data) - 1                                           \
	}
#define HEAD "From: <" ALICE ">\r\n\r\n"
	DATA_CASE("empty", ".\r\n"),
	DATA_CASE("LF.LF", HEAD "a\n.\nNOOP\r\n.\r\n"),
	DATA_CASE("LF.CRLF", HEAD "a\n.\r\nNOOP\r\n.\r\n"),
	DATA_CASE("CR.CR", HEAD "a\r.\rNOOP\r\n.\r\n"),
	DATA_CASE("CRLF.CR", HEAD "a\r\n.\rNOOP\r\n.\r\n"),
	DATA_CASE("CRLF.LF", HEAD "a\r\n.\nNOOP\r\n.\r\n"),
	DATA_CASE("CRLF.CRCRLF", HEAD "a\r\n.\r\r\nNOOP\r\n.\r\n"),
	DATA_CASE("CRLF NUL.CRLF", HEAD "a\r\n\0.\r\nNOOP\r\n.\r\n"),
	DATA_CASE("CRLF.NUL CRLF", HEAD "a\r\n.\0\r\nNOOP\r\n.\r\n"),
	DATA_CASE("NUL", HEAD "a\0b\r\n.\r\n"),
	DATA_CASE("bare LF in header", "From: <" ALICE ">\nX: y\r\n\r\n.\r\n"),
};

struct data_talk {
	const struct data_case *row;
	struct fixture f;
	struct client c;
};

static void data_begin(void *arg)
{
	struct data_talk *t = arg;

	session_init(&t->f, &t->c, MAIL_OUTGOING);
	begin_mail(&t->c, ALICE, "bob@b.example");
}

static void data_feed(void *arg, const char *bytes, size_t len)
{
	struct data_talk *t = arg;

	bufferevent_write(t->c.bev, bytes, len);
	turn(&t->f, 2);
}

/* One answer, none to what was smuggled; the session goes on, Postfix saw nothing. */
static void data_end(void *arg, const char *cut)
{
	struct data_talk *t = arg;

	expect(&t->c, "500 Invalid DATA\r\n");
	say(&t->c, "RSET\r\nQUIT\r\n");
	expect(&t->c, "250 OK\r\n221 Bye\r\n");
	expect_close(&t->c);
	assert_int_equal(t->f.sink->connections, 0);
	session_deinit(&t->f, &t->c);
}

static void data(void **state)
{
	static const struct support_feeder feeder = { data_begin, data_feed, data_end };
	struct data_talk t = { .row = *state };

	support_every_cut(&feeder, &t, t.row->data, t.row->len);
}

/* Encrypted mails of many sizes go through unchanged; up to a size they are held. */
static const struct size_case {
	const char *name;
	size_t size;
	bool streams;
} size_cases[] = {
	{ "small", 0, false },
	{ "10 KB", 10 * 1024, false },
	{ "as much as is held", FILTER_HOLD_MAX, false },
	{ "one byte more", FILTER_HOLD_MAX + 1, true },
	{ "some more", FILTER_HOLD_MAX + 100000, true },
	{ "the largest", MAX_BYTES, true },
};

static void send_mail(struct client *c, struct evbuffer *mail, const char *reply)
{
	say_mail(c, mail);
	settle(c->f);
	say(c, ".\r\n");
	expect(c, reply);
}

static void sizes(void **state)
{
	const struct size_case *row = *state;
	struct evbuffer *mail = sample_encrypted(ALICE, row->size);
	struct fixture f;
	struct client c;

	if (row->size)
		assert_int_equal(evbuffer_get_length(mail), row->size);
	session_init(&f, &c, MAIL_OUTGOING);
	begin_mail(&c, ALICE, "bob@b.example");
	say_mail(&c, mail);
	settle(&f);
	assert_int_equal(f.sink->connections, row->streams);
	say(&c, ".\r\n");
	expect(&c, QUEUED);
	assert_int_equal(f.sink->accepted, 1);
	support_assert_span(smtp_sink_mail(f.sink), sample_span(mail));
	assert_int_equal(f.filter->counters.reinjected, 1);
	assert_int_equal(f.filter->counters.verdict[VERDICT_IS_ENCRYPTED], 1);
	assert_int_equal(f.filter->counters.bytes, evbuffer_get_length(mail));
	session_deinit(&f, &c);
	evbuffer_free(mail);
}

static void too_large(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, MAX_BYTES + 1);
	struct evbuffer *small = sample_encrypted(ALICE, 0);
	struct fixture f;
	struct client c;

	session_init(&f, &c, MAIL_OUTGOING);
	begin_mail(&c, ALICE, "bob@b.example");
	send_mail(&c, mail, "552 Message exceeds maximum size\r\n");
	settle(&f);
	assert_int_equal(f.sink->accepted, 0);
	assert_int_equal(f.sink->dropped, 1);
	assert_int_equal(f.filter->counters.too_large, 1);
	begin_mail(&c, ALICE, "bob@b.example");
	send_mail(&c, small, QUEUED);
	session_deinit(&f, &c);
	evbuffer_free(mail);
	evbuffer_free(small);
}

/* Cleartext, all lines dot-stuffed, to one that takes it: the same bytes arrive. */
static void dots(void **state)
{
	static const size_t sizes[] = { 300, 5000, FILTER_HOLD_MAX, 300000 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct evbuffer *mail = sample_cleartext("eve@e.example", sizes[i]);
		struct fixture f;
		struct client c;

		assert_int_equal(evbuffer_get_length(mail), sizes[i]);
		session_init(&f, &c, MAIL_INCOMING);
		begin_mail(&c, "bounces@list.example", ALICE);
		send_mail(&c, mail, QUEUED);
		support_assert_span(smtp_sink_mail(f.sink), sample_span(mail));
		/* Another sender than From; a header beyond ASCII is no matter. */
		support_loop(f.daemon.base, sink_idle, &f);
		support_assert_span(smtp_sink_commands(f.sink),
		    span_of("EHLO relay.example\nMAIL FROM:<> BODY=8BITMIME\n"
			    "RCPT TO:<" ALICE ">\nDATA\nQUIT\n"));
		assert_int_equal(f.filter->counters.verdict[VERDICT_IS_ALLOWED], 1);
		session_deinit(&f, &c);
		evbuffer_free(mail);
	}
}

/* Bytes beyond ASCII in the body only: no SMTPUTF8. */
static void utf8_body(void **state)
{
	struct fixture f;
	struct client c;

	session_init(&f, &c, MAIL_INCOMING);
	begin_mail(&c, "eve@e.example", ALICE);
	say(&c, "From: <eve@e.example>\r\n\r\ncaf\xc3\xa9\r\n.\r\n");
	expect(&c, QUEUED);
	support_loop(f.daemon.base, sink_idle, &f);
	support_assert_span(smtp_sink_commands(f.sink),
	    span_of("EHLO relay.example\nMAIL FROM:<eve@e.example> BODY=8BITMIME\n"
		    "RCPT TO:<" ALICE ">\nDATA\nQUIT\n"));
	session_deinit(&f, &c);
}

/* Which recipient insists on encryption; alice's mailbox does, bob's does not. */
static const struct enforce_case {
	const char *name;
	const char *rcpt;
	const char *reply;
} enforce_cases[] = {
	{ "she does", ALICE, REFUSED },
	{ "in capitals", "Alice@Relay.Example", REFUSED },
	{ "with a detail", "alice+x@relay.example", REFUSED },
	{ "quoted", "\"alice\"@relay.example", REFUSED },
	{ "he does not", "bob@relay.example", QUEUED },
	{ "nobody", "nobody@relay.example", QUEUED },
	{ "no @", "alice", REFUSED },
	{ "a path", "../alice@relay.example", REFUSED },
	{ "a hidden file", ".alice@relay.example", REFUSED },
	{ "no detail", "bob+@relay.example", QUEUED },
	{ "a route with %", "alice%relay.example@relay.example", REFUSED },
	{ "a route with !", "relay.example!alice@relay.example", REFUSED },
	{ "a quoted route", "\"alice@relay.example\"@relay.example", REFUSED },
	{ "two @", "alice@relay.example@relay.example", REFUSED },
	{ "a comment behind", "alice(x)@relay.example", REFUSED },
	{ "a comment before", "(x)alice@relay.example", REFUSED },
	{ "a comment in the domain", "alice@(x)relay.example", REFUSED },
	{ "a source route", "@relay.example:" ALICE, REFUSED },
	{ "a dot behind the domain", ALICE ".", REFUSED },
	{ "an address literal", "alice@[127.0.0.1]", REFUSED },
	{ "another domain", "bob@elsewhere.example", REFUSED },
	{ "a wide letter", "\xef\xbd\x81lice@relay.example", REFUSED },
};

static void make_mailbox(struct fixture *f, const char *address, bool enforces)
{
	char *dir = support_path(f->dir, address);
	char *flag = support_path(dir, "enforceE2EEincoming");

	assert_int_equal(mkdir(dir, 0700), 0);
	if (enforces)
		support_write_file(flag, span_of(""));
	free(flag);
	free(dir);
}

static void enforce(void **state)
{
	const struct enforce_case *row = *state;
	struct evbuffer *mail = sample_cleartext("eve@e.example", 1000);
	struct evbuffer *encrypted = sample_encrypted("eve@e.example", 1000);
	struct fixture f;
	struct client c;

	fixture_init(&f, MAIL_INCOMING);
	make_mailbox(&f, ALICE, true);
	make_mailbox(&f, "bob@relay.example", false);
	client_init(&c, &f);
	greet(&c);
	begin_mail(&c, "eve@e.example", row->rcpt);
	send_mail(&c, mail, row->reply);
	assert_int_equal(f.sink->accepted, strcmp(row->reply, QUEUED) == 0);
	begin_mail(&c, "eve@e.example", row->rcpt);
	send_mail(&c, encrypted, QUEUED);

	/* One of several is enough. */
	say(&c, "MAIL FROM:<eve@e.example>\r\nRCPT TO:<bob@relay.example>\r\nRCPT "
		"TO:<" ALICE ">\r\nRCPT TO:<bob@relay.example>\r\nDATA\r\n");
	expect(&c, "250 OK\r\n250 OK\r\n250 OK\r\n250 OK\r\n" GO_ON);
	send_mail(&c, mail, REFUSED);
	session_deinit(&f, &c);
	evbuffer_free(mail);
	evbuffer_free(encrypted);
}

static void passthrough(void **state)
{
	static char one[] = "@friends.example";
	static char *list[] = { one, NULL };
	struct evbuffer *mail = sample_cleartext(ALICE, 1000);
	struct fixture f;
	struct client c;

	fixture_init(&f, MAIL_OUTGOING);
	f.config.passthrough_recipients = list;
	client_init(&c, &f);
	greet(&c);
	begin_mail(&c, ALICE, "bob@friends.example");
	send_mail(&c, mail, QUEUED);
	begin_mail(&c, ALICE, "bob@sub.friends.example");
	send_mail(&c, mail, REFUSED);
	session_deinit(&f, &c);
	evbuffer_free(mail);
}

static void rate_limit(void **state)
{
	static const char refusal[] =
	    "450 4.7.1: Too much mail from <ALICE@relay.example>, rate limited until ";
	struct fixture f;
	struct client c;
	char got[sizeof(refusal)] = "";

	fixture_init(&f, MAIL_OUTGOING);
	f.config.max_user_send_per_minute = 1;
	f.config.max_user_send_burst_size = 2;
	f.service->reload(f.filter);
	client_init(&c, &f);
	greet(&c);
	say(&c, "MAIL FROM:<" ALICE ">\r\nRSET\r\nMAIL FROM:<" ALICE ">\r\nRSET\r\n");
	expect(&c, "250 OK\r\n250 OK\r\n250 OK\r\n250 OK\r\n");
	say(&c, "MAIL FROM:<ALICE@relay.example>\r\n");
	c.want = sizeof(refusal) + 10;
	support_loop(f.daemon.base, client_has, &c);
	evbuffer_copyout(replies(&c), got, sizeof(refusal) - 1);
	assert_string_equal(got, refusal);
	evbuffer_drain(replies(&c), evbuffer_get_length(replies(&c)));
	say(&c, "RCPT TO:<a@b>\r\nMAIL FROM:<>\r\nRSET\r\nMAIL "
		"FROM:<bob@relay.example>\r\n");
	expect(&c, "503 5.5.1 Need MAIL command\r\n250 OK\r\n250 OK\r\n250 OK\r\n");
	assert_int_equal(f.filter->counters.rate_limited, 1);
	session_deinit(&f, &c);
}

static void no_rate_limit_incoming(void **state)
{
	struct fixture f;
	struct client c;

	fixture_init(&f, MAIL_INCOMING);
	f.config.max_user_send_burst_size = 1;
	f.service->reload(f.filter);
	client_init(&c, &f);
	greet(&c);
	for (int i = 0; i < 20; i++) {
		say(&c, "MAIL FROM:<not an address>\r\nMAIL FROM:<eve>\r\nRSET\r\n");
		if (i == FILTER_ERRORS_MAX - 1)
			break;
		expect(
		    &c, "501 5.1.7 Bad sender address syntax\r\n250 OK\r\n250 OK\r\n");
	}
	expect(&c, "421 4.7.0 Too many errors\r\n");
	expect_close(&c);
	session_deinit(&f, &c);
}

/* Whatever is refused is counted, and as what. */
static const struct count_case {
	const char *name;
	enum mail_direction direction;
	const char *talk, *reply; /* the last but Bye */
	size_t counter;           /* offset of the only one that counts it */
} count_cases[] = {
#define COUNTER(field) offsetof(struct filter_counters, field)
#define OUT(mail)      "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" mail "\r\n.\r\n"
#define IN(mail)                                                                       \
	"MAIL FROM:<>\r\nRCPT TO:<x@relay.example>\r\nDATA\r\n" mail "\r\n.\r\n"
#define NO_FROM_BECAUSE "500 Invalid FROM header: "
	{ "unknown command", MAIL_OUTGOING, "HELLO\r\n",
	    "500 5.5.2 Command not recognized\r\n", COUNTER(protocol_errors) },
	{ "out of order", MAIL_OUTGOING, "DATA\r\n", "503 5.5.1 Need RCPT command\r\n",
	    COUNTER(protocol_errors) },
	{ "bare LF in a command", MAIL_INCOMING, "NOOP\n",
	    "500 5.5.2 Bare CR, LF or NUL in command\r\n", COUNTER(protocol_errors) },
	{ "bad sender syntax", MAIL_INCOMING, "MAIL FROM:<a b>\r\n",
	    "501 5.1.7 Bad sender address syntax\r\n", COUNTER(protocol_errors) },
	{ "sender without @", MAIL_OUTGOING, "MAIL FROM:<a>\r\n",
	    "500 Invalid from address <a>\r\n", COUNTER(bad_sender) },
	{ "bare LF", MAIL_OUTGOING, OUT("From: a@b\r\n\r\nx\ny"),
	    "500 Invalid DATA\r\n", COUNTER(bad_data) },
	{ "bare CR", MAIL_INCOMING, IN("From: a@b\r\n\r\nx\ry"), "500 Invalid DATA\r\n",
	    COUNTER(bad_data) },
	{ "no header block", MAIL_OUTGOING, OUT("Hi!"), "500 Invalid DATA\r\n",
	    COUNTER(verdict[VERDICT_BROKEN]) },
	{ "no From", MAIL_INCOMING, IN("To: a@b\r\n"), NO_FROM_BECAUSE "\r\n",
	    COUNTER(verdict[VERDICT_NO_FROM]) },
	{ "two From", MAIL_OUTGOING, OUT("From: a@b\r\nFrom: a@b\r\n"),
	    NO_FROM_BECAUSE "more than one From field\r\n",
	    COUNTER(verdict[VERDICT_NO_FROM]) },
	{ "group in From", MAIL_OUTGOING, OUT("From: g: a@b;\r\n"),
	    NO_FROM_BECAUSE "not one mailbox\r\n", COUNTER(verdict[VERDICT_NO_FROM]) },
	{ "forged From", MAIL_OUTGOING, OUT("From: c@b\r\n"),
	    "500 Invalid FROM <c@b> for <a@b>\r\n",
	    COUNTER(verdict[VERDICT_WRONG_FROM]) },
	{ "cleartext", MAIL_OUTGOING, OUT("From: a@b\r\n\r\nHi!"), REFUSED,
	    COUNTER(verdict[VERDICT_NOT_ENCRYPTED]) },
	{ "two Content-Type", MAIL_OUTGOING,
	    OUT("From: a@b\r\nContent-Type: multipart/encrypted; boundary=b\r\n"
		"Content-Type: text/plain\r\n\r\n--b"),
	    REFUSED, COUNTER(verdict[VERDICT_NOT_ENCRYPTED]) },
	{ "allowed cleartext", MAIL_INCOMING, IN("From: a@b\r\n\r\nHi!"), QUEUED,
	    COUNTER(verdict[VERDICT_IS_ALLOWED]) },
	{ "bounce", MAIL_INCOMING,
	    IN("From: mailer-daemon@b\r\nAuto-Submitted: auto-replied\r\n"
	       "Content-Type: multipart/report; boundary=b\r\n\r\n--b--"),
	    QUEUED, COUNTER(verdict[VERDICT_IS_BOUNCE]) },
};

static uint64_t counter_of(const struct filter *f, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)&f->counters + offset, sizeof(value));
	return value;
}

static uint64_t all_counted(const struct filter_counters *n)
{
	uint64_t sum = n->too_large + n->bad_data + n->rate_limited + n->bad_sender +
		       n->protocol_errors + n->too_many_recipients + n->abandoned;

	for (size_t i = 0; i < VERDICT_REASONS; i++)
		sum += n->verdict[i];
	return sum;
}

static void counted(void **state)
{
	const struct count_case *row = *state;
	struct fixture f;
	struct client c;
	struct span got;

	session_init(&f, &c, row->direction);
	say(&c, row->talk);
	say(&c, "QUIT\r\n");
	support_loop(f.daemon.base, client_closed, &c);
	got = sample_span(replies(&c));
	assert_true(span_ends(got, span_of("221 Bye\r\n")));
	got.len -= strlen("221 Bye\r\n");
	assert_true(span_ends(got, span_of(row->reply)));
	assert_int_equal(counter_of(f.filter, row->counter), 1);
	assert_int_equal(all_counted(&f.filter->counters), 1);
	session_deinit(&f, &c);
}

static void many_recipients(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, 1000);
	struct fixture f;
	struct client c;
	char line[64];

	session_init(&f, &c, MAIL_OUTGOING);
	say(&c, "MAIL FROM:<" ALICE ">\r\n");
	expect(&c, "250 OK\r\n");
	for (int i = 0; i < FILTER_RCPT_MAX; i++) {
		snprintf(line, sizeof(line), "RCPT TO:<user%d@b.example>\r\n", i);
		say(&c, line);
	}
	for (int i = 0; i < FILTER_RCPT_MAX; i++)
		expect(&c, "250 OK\r\n");
	say(&c, "RCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
	expect(&c,
	    "452 4.5.3 Too many recipients\r\n452 4.5.3 Too many recipients\r\n" GO_ON);
	assert_int_equal(f.filter->counters.too_many_recipients, 2);
	send_mail(&c, mail, QUEUED);
	evbuffer_drain(
	    f.sink->commands, evbuffer_search(f.sink->commands, "RCPT", 4, NULL).pos);
	for (int i = 0; i < FILTER_RCPT_MAX; i++) {
		char *got = evbuffer_readln(f.sink->commands, NULL, EVBUFFER_EOL_LF);

		snprintf(line, sizeof(line), "RCPT TO:<user%d@b.example>", i);
		assert_string_equal(got, line);
		free(got);
	}
	session_deinit(&f, &c);
	evbuffer_free(mail);
}

static void long_recipients(void **state)
{
	struct fixture f;
	struct client c;
	char line[SMTP_PATH_MAX + 32];
	int n;

	n = snprintf(
	    line, sizeof(line), "RCPT TO:<%0*d@b.example>\r\n", SMTP_PATH_MAX - 10, 0);
	assert_true(n > SMTP_PATH_MAX && n < (int)sizeof(line));
	session_init(&f, &c, MAIL_OUTGOING);
	say(&c, "MAIL FROM:<" ALICE ">\r\n");
	expect(&c, "250 OK\r\n");
	for (int i = 0; i < FILTER_RCPT_BYTES / SMTP_PATH_MAX; i++) {
		say(&c, line);
		expect(&c, "250 OK\r\n");
	}
	say(&c, line);
	expect(&c, "452 4.5.3 Too many recipients\r\n");
	session_deinit(&f, &c);
}

static void long_lines(void **state)
{
	struct fixture f;
	struct client c;
	static char line[100001];

	memset(line, 'a', 100000);
	session_init(&f, &c, MAIL_OUTGOING);

	memcpy(line, "NOOP ", 5);
	strcpy(line + SMTP_COMMAND_MAX - 2, "\r\n");
	say(&c, line);
	expect(&c, "250 OK\r\n");
	strcpy(line + SMTP_COMMAND_MAX - 2, "a\r\nNOOP\r\n");
	say(&c, line);
	expect(&c, "500 5.5.2 Line too long\r\n250 OK\r\n");
	memset(line, 'a', 100000);
	strcpy(line + 99990, "\r\nQUIT\r\n");
	say(&c, line);
	expect(&c, "500 5.5.2 Line too long\r\n221 Bye\r\n");
	expect_close(&c);
	assert_int_equal(f.filter->counters.protocol_errors, 2);
	session_deinit(&f, &c);
}

/* Somebody who writes and never reads is not listened to for long. */
static void deaf_client(void **state)
{
	struct fixture f;
	struct client c;

	session_init(&f, &c, MAIL_OUTGOING);
	bufferevent_disable(c.bev, EV_READ);
	for (int i = 0; i < 200000; i++)
		say(&c, "NOOP\r\n");
	settle(&f);
	assert_true(evbuffer_get_length(bufferevent_get_output(c.bev)) > 500000);
	bufferevent_enable(c.bev, EV_READ);
	c.want = 200000 * strlen("250 OK\r\n");
	support_loop(f.daemon.base, client_has, &c);
	assert_int_equal(evbuffer_get_length(replies(&c)), c.want);
	session_deinit(&f, &c);
}

/* Dots in the header block and behind it: the bytes that came are those that leave. */
static const struct pass_case {
	const char *name;
	const char *mail;
} pass_cases[] = {
	{ "no dots", "From: <eve@e.example>\r\nX: .\r\n .b\r\n\r\na.\r\n" },
	{ "first and last of the header",
	    "..X: y\r\nFrom: <eve@e.example>\r\n...: z\r\n\r\nText\r\n" },
	{ "where the body begins",
	    "From: <eve@e.example>\r\n..X: .y\r\n .\r\n\r\n..\r\n...\r\n" },
	{ "no body", "From: <eve@e.example>\r\n..X: y\r\n" },
	{ "an empty body", "From: <eve@e.example>\r\n..X: y\r\n\r\n" },
};

struct passage {
	const struct pass_case *row;
	struct fixture f;
	struct client c;
};

static void pass_begin(void *arg)
{
	struct passage *p = arg;

	session_init(&p->f, &p->c, MAIL_INCOMING);
	begin_mail(&p->c, "eve@e.example", ALICE);
}

static void pass_feed(void *arg, const char *bytes, size_t len)
{
	struct passage *p = arg;

	bufferevent_write(p->c.bev, bytes, len);
	turn(&p->f, 2);
}

static void pass_end(void *arg, const char *cut)
{
	struct passage *p = arg;

	say(&p->c, ".\r\n");
	expect(&p->c, QUEUED);
	support_assert_span(smtp_sink_mail(p->f.sink), span_of(p->row->mail));
	session_deinit(&p->f, &p->c);
}

static void pass(void **state)
{
	static const struct support_feeder feeder = { pass_begin, pass_feed, pass_end };
	struct passage p = { .row = *state };

	support_every_cut(&feeder, &p, p.row->mail, strlen(p.row->mail));
}

/* A header block as large as may be, with the first bytes behind it. */
static void largest_header(void **state)
{
	static const char head[] = "From: <eve@e.example>\r\n",
			  body[] = "\r\n\r\nText\r\n";
	struct evbuffer *mail = evbuffer_new();
	struct fixture f;
	struct client c;

	evbuffer_add(mail, head, sizeof(head) - 1);
	while (evbuffer_get_length(mail) + 72 < HEADER_MAX)
		evbuffer_add_printf(mail, "%s: %060d\r\n", "Received", 0);
	evbuffer_add_printf(
	    mail, "X:%0*d", (int)(HEADER_MAX - 6 - evbuffer_get_length(mail)), 0);
	evbuffer_add(mail, body, sizeof(body) - 1);
	session_init(&f, &c, MAIL_INCOMING);
	begin_mail(&c, "eve@e.example", ALICE);
	send_mail(&c, mail, QUEUED);
	support_assert_span(smtp_sink_mail(f.sink), sample_span(mail));
	session_deinit(&f, &c);
	evbuffer_free(mail);
}

/* Postfix takes no more: no more is taken from the client, until it does again. */
static void flow_control(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, MAX_BYTES);
	struct fixture f;
	struct client c;
	size_t left;

	fixture_init(&f, MAIL_OUTGOING);
	f.sink->script.stop = 1;
	client_init(&c, &f);
	greet(&c);
	begin_mail(&c, ALICE, "bob@b.example");
	say_mail(&c, mail);
	say(&c, ".\r\n");
	settle(&f);
	/* What is gone fills two socket buffers and what the filter holds. */
	left = evbuffer_get_length(bufferevent_get_output(c.bev));
	assert_true(left > MAX_BYTES - 1024 * 1024);
	settle(&f);
	assert_int_equal(evbuffer_get_length(bufferevent_get_output(c.bev)), left);
	smtp_sink_resume(f.sink);
	expect(&c, QUEUED);
	support_assert_span(smtp_sink_mail(f.sink), sample_span(mail));
	session_deinit(&f, &c);
	evbuffer_free(mail);
}

/* Refused when half of it is with Postfix already: nothing stays there. */
static void refused_midway(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, 500000);
	struct span all = sample_span(mail);
	struct fixture f;
	struct client c;

	session_init(&f, &c, MAIL_OUTGOING);
	begin_mail(&c, ALICE, "bob@b.example");
	bufferevent_write(c.bev, all.data, 200000);
	settle(&f);
	assert_int_equal(f.sink->open, 1);
	say(&c, "no base64!\r\n");
	settle(&f);
	assert_int_equal(f.sink->open, 0);
	assert_int_equal(f.sink->dropped, 1);
	assert_int_equal(evbuffer_get_length(replies(&c)), 0);
	bufferevent_write(c.bev, all.data + 200000, all.len - 200000);
	say(&c, ".\r\nNOOP\r\n");
	expect(&c, REFUSED "250 OK\r\n");
	assert_int_equal(f.sink->accepted, 0);
	assert_int_equal(f.sink->connections, 1);
	session_deinit(&f, &c);
	evbuffer_free(mail);
}

/* What Postfix says, early or late, held or not, reaches the client after its dot. */
static const struct answer_case {
	const char *name;
	size_t size;
	struct smtp_sink_script script;
	const char *reply;
} answer_cases[] = {
	{ "refused RCPT", 0, { .reply[SINK_RCPT] = "550 5.1.1 Unknown\r\n" },
	    "550 5.1.1 Unknown\r\n" },
	{ "no DKIM signature", 0,
	    { .reply[SINK_DOT] = "554 5.7.1 No valid DKIM signature found\r\n" },
	    "554 5.7.1 No valid DKIM signature found\r\n" },
	{ "two lines", 0, { .reply[SINK_DOT] = "451-4.7.5 a\r\n451 4.7.5 b\r\n" },
	    "451-4.7.5 a\r\n451 4.7.5 b\r\n" },
	{ "421", 0, { .reply[SINK_GREETING] = "421 4.3.2 Busy\r\n" },
	    "451 4.3.2 Busy\r\n" },
	{ "hangs up", 0, { .reply[SINK_DOT] = "", .close[SINK_DOT] = true },
	    "451 4.3.0 Mail server trouble, try again later\r\n" },
	{ "full disk midway", 1000000,
	    { .body = 100000, .reply[SINK_BODY] = "452 4.3.1 Full\r\n" },
	    "452 4.3.1 Full\r\n" },
	{ "hangs up midway", 1000000, { .body = 100000, .close[SINK_BODY] = true },
	    "451 4.3.0 Mail server trouble, try again later\r\n" },
	{ "refused MAIL midway", 1000000,
	    { .reply[SINK_MAIL] = "451 4.7.1 Milter\r\n" }, "451 4.7.1 Milter\r\n" },
};

static void assert_answer_counted(const struct filter_counters *n, const char *reply)
{
	bool trouble = strstr(reply, "Mail server trouble") != NULL;

	assert_int_equal(n->reinject_trouble, trouble);
	assert_int_equal(n->reinject_refused_4xx, !trouble && reply[0] == '4');
	assert_int_equal(n->reinject_refused_5xx, reply[0] == '5');
	assert_int_equal(n->reinjected, 0);
}

static void answer(void **state)
{
	const struct answer_case *row = *state;
	struct evbuffer *mail = sample_encrypted(ALICE, row->size);
	struct fixture f;
	struct client c;

	fixture_init(&f, MAIL_OUTGOING);
	f.sink->script = row->script;
	client_init(&c, &f);
	greet(&c);
	begin_mail(&c, ALICE, "bob@b.example");
	say_mail(&c, mail);
	settle(&f);
	assert_int_equal(evbuffer_get_length(replies(&c)), 0);
	say(&c, ".\r\n");
	expect(&c, row->reply);
	assert_answer_counted(&f.filter->counters, row->reply);

	/* And the next one is fine. */
	f.sink->script = (struct smtp_sink_script){ .stop = 0 };
	begin_mail(&c, ALICE, "bob@b.example");
	send_mail(&c, mail, QUEUED);
	assert_int_equal(f.sink->accepted, 1);
	session_deinit(&f, &c);
	evbuffer_free(mail);
}

/* Postfix's "not now" is not what a mail hears that we refuse for good. */
static void both_refuse(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, 500000);
	struct fixture f;
	struct client c;

	fixture_init(&f, MAIL_OUTGOING);
	f.sink->script.reply[SINK_MAIL] = "451 4.7.1 Milter\r\n";
	client_init(&c, &f);
	greet(&c);
	begin_mail(&c, ALICE, "bob@b.example");
	say_mail(&c, mail);
	settle(&f);
	assert_int_equal(f.sink->connections, 1);
	say(&c, "And more\r\n.\r\n");
	expect(&c, REFUSED);
	session_deinit(&f, &c);
	evbuffer_free(mail);
}

static void nobody_listens(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, 0);
	struct fixture f;
	struct client c;

	fixture_init(&f, MAIL_OUTGOING);
	assert_null(endpoint_parse(
	    &f.config.reinject_outgoing, span_of("unix:/nonexistent/socket")));
	client_init(&c, &f);
	greet(&c);
	begin_mail(&c, ALICE, "bob@b.example");
	send_mail(&c, mail, "451 4.3.0 Mail server trouble, try again later\r\n");
	assert_int_equal(f.filter->counters.reinject_trouble, 1);
	session_deinit(&f, &c);
	evbuffer_free(mail);
}

static bool no_connections(void *arg)
{
	const struct fixture *f = arg;

	return f->filter->counters.connections == 0 && f->sink->open == 0;
}

/* The client is gone at any byte: nothing is delivered, nothing is left behind. */
static void hang_up(void **state)
{
	static const char whole[] = "EHLO x\r\nMAIL FROM:<" ALICE ">\r\n"
				    "RCPT TO:<bob@b.example>\r\nDATA\r\n";
	struct evbuffer *mail = sample_encrypted(ALICE, 0);
	struct fixture f;
	struct span all;

	evbuffer_prepend(mail, whole, sizeof(whole) - 1);
	evbuffer_add(mail, ".\r\n", 3);
	all = sample_span(mail);
	fixture_init(&f, MAIL_OUTGOING);
	for (size_t n = 0; n < all.len; n++) {
		struct client c;

		client_init(&c, &f);
		bufferevent_write(c.bev, all.data, n);
		turn(&f, 5);
		client_deinit(&c);
		support_loop(f.daemon.base, no_connections, &f);
	}
	assert_int_equal(f.sink->connections, 0);
	assert_int_equal(f.filter->counters.in_flight, 0);
	fixture_deinit(&f);
	evbuffer_free(mail);
}

static void hang_up_midway(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, 500000);
	struct fixture f;
	struct client c;

	session_init(&f, &c, MAIL_OUTGOING);
	begin_mail(&c, ALICE, "bob@b.example");
	say_mail(&c, mail);
	settle(&f);
	assert_int_equal(f.sink->open, 1);
	client_deinit(&c);
	support_loop(f.daemon.base, no_connections, &f);
	assert_int_equal(f.sink->accepted, 0);
	assert_int_equal(f.sink->dropped, 1);
	assert_int_equal(f.filter->counters.abandoned, 1);
	fixture_deinit(&f);
	evbuffer_free(mail);
}

/* A mail that comes byte by byte, and others that pass it. */
static void slow_sender(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, 2000);
	struct span all = sample_span(mail);
	struct fixture f;
	struct client slow, fast;

	fixture_init(&f, MAIL_OUTGOING);
	client_init(&slow, &f);
	client_init(&fast, &f);
	greet(&slow);
	greet(&fast);
	begin_mail(&slow, ALICE, "bob@b.example");
	for (size_t i = 0; i < all.len; i++) {
		bufferevent_write(slow.bev, all.data + i, 1);
		event_base_loop(f.daemon.base, EVLOOP_NONBLOCK);
		if (i % 100)
			continue;
		begin_mail(&fast, ALICE, "bob@b.example");
		say_mail(&fast, mail);
		say(&fast, ".\r\n");
		expect(&fast, QUEUED);
	}
	say(&slow, ".\r\n");
	expect(&slow, QUEUED);
	assert_int_equal(f.sink->accepted, 21);
	support_assert_span(smtp_sink_mail(f.sink), all);
	client_deinit(&slow);
	client_deinit(&fast);
	fixture_deinit(&f);
	evbuffer_free(mail);
}

/* Idle connections close without a word, a mail in flight gets its answer. */
static void drain(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, 0);
	struct fixture f;
	struct client idle, busy;

	fixture_init(&f, MAIL_OUTGOING);
	client_init(&idle, &f);
	client_init(&busy, &f);
	greet(&idle);
	greet(&busy);
	begin_mail(&busy, ALICE, "bob@b.example");
	say_mail(&busy, mail);
	settle(&f);
	f.service->drain(f.filter);
	assert_int_equal(f.service->pending(f.filter), 1);
	expect_close(&idle);
	say(&busy, ".\r\n");
	expect(&busy, QUEUED);
	expect_close(&busy);
	assert_int_equal(f.service->pending(f.filter), 0);
	assert_int_equal(f.sink->accepted, 1);
	client_deinit(&idle);
	client_deinit(&busy);
	fixture_deinit(&f);
	evbuffer_free(mail);
}

/* Stopped with a mail under way: not acknowledged, not delivered. */
static void stopped(void **state)
{
	struct evbuffer *mail = sample_encrypted(ALICE, 200000);
	struct fixture f;
	struct client c;

	session_init(&f, &c, MAIL_OUTGOING);
	begin_mail(&c, ALICE, "bob@b.example");
	say_mail(&c, mail);
	settle(&f);
	f.service->stop(f.filter);
	expect_close(&c);
	assert_int_equal(f.sink->accepted, 0);
	client_deinit(&c);
	f.filter = f.service->start(&f.daemon, f.service);
	fixture_deinit(&f);
	evbuffer_free(mail);
}

static void full(void **state)
{
	static const char want[] = "421 4.3.2 Too many connections\r\n";
	struct fixture f;
	char got[64];
	int fd[2];

	fixture_init(&f, MAIL_OUTGOING);
	support_socketpair(fd);
	f.service->full(f.filter, fd[1]);
	assert_int_equal(read(fd[0], got, sizeof(got)), sizeof(want) - 1);
	assert_memory_equal(got, want, sizeof(want) - 1);
	assert_int_equal(read(fd[0], got, sizeof(got)), 0);
	close(fd[0]);
	fixture_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(talk, talk_cases) },
		{ SUPPORT_TEST(before_ehlo) },
		{ SUPPORT_TABLE(data, data_cases) },
		{ SUPPORT_TABLE(sizes, size_cases) },
		{ SUPPORT_TEST(too_large) },
		{ SUPPORT_TEST(dots) },
		{ SUPPORT_TABLE(pass, pass_cases) },
		{ SUPPORT_TEST(largest_header) },
		{ SUPPORT_TEST(utf8_body) },
		{ SUPPORT_TABLE(enforce, enforce_cases) },
		{ SUPPORT_TEST(passthrough) },
		{ SUPPORT_TEST(rate_limit) },
		{ SUPPORT_TEST(no_rate_limit_incoming) },
		{ SUPPORT_TABLE(counted, count_cases) },
		{ SUPPORT_TEST(many_recipients) },
		{ SUPPORT_TEST(long_recipients) },
		{ SUPPORT_TEST(long_lines) },
		{ SUPPORT_TEST(deaf_client) },
		{ SUPPORT_TEST(flow_control) },
		{ SUPPORT_TEST(refused_midway) },
		{ SUPPORT_TABLE(answer, answer_cases) },
		{ SUPPORT_TEST(both_refuse) },
		{ SUPPORT_TEST(nobody_listens) },
		{ SUPPORT_TEST(hang_up) },
		{ SUPPORT_TEST(hang_up_midway) },
		{ SUPPORT_TEST(slow_sender) },
		{ SUPPORT_TEST(drain) },
		{ SUPPORT_TEST(stopped) },
		{ SUPPORT_TEST(full) },
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	log_set_level(LOG_LEVEL_ERROR);
	return support_run("filter", tests, ARRAY_LEN(tests));
}
