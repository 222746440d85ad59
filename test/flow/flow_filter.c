/*
 * The built daemon between a scripted Postfix before it and one behind it: mails through
 * both directions, and a daemon killed in the middle of its work.
 */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/flow/built.h"
#include "test/flow/sample_mail.h"
#include "test/flow/smtp_sink.h"

#define ALICE    "alice@" BUILT_DOMAIN
#define BOB      "bob@" BUILT_DOMAIN
#define REFUSED  "523 Encryption Needed: Invalid Unencrypted Mail\r\n"
#define MAILS    200
#define KILLS    5
#define ID_BYTES 32

struct flow {
	struct built built;
	struct event_base *base;
	struct smtp_sink *sink; /* behind both directions */
	bool queued[MAILS];     /* by the sink */
};

/* One SMTP session with the daemon. */
struct session {
	struct bufferevent *bev;
	bool over;
	struct event_base *base;
};

static void on_sink_mail(void *arg, struct span mail)
{
	struct flow *f = arg;
	const char *id = memmem(mail.data, mail.len, "<m", 2);
	unsigned long n;

	if (!id)
		return;
	n = strtoul(id + 2, NULL, 10);
	assert_true(n < MAILS);
	f->queued[n] = true;
}

static void flow_init(struct flow *f)
{
	char *path;

	*f = (struct flow){ .base = event_base_new() };
	built_init(&f->built);
	built_configure(&f->built, "max_user_send_burst_size = 1000\n");
	built_add_account(&f->built, ALICE);
	path = built_path(&f->built, "mail/" ALICE "/enforceE2EEincoming");
	support_write_file(path, span_of(""));
	free(path);
	path = built_path(&f->built, "postfix.sock");
	f->sink = smtp_sink_create(f->base, path);
	f->sink->on_mail = on_sink_mail;
	f->sink->arg = f;
	free(path);
}

static void flow_deinit(struct flow *f)
{
	smtp_sink_destroy(f->sink);
	event_base_free(f->base);
	built_deinit(&f->built);
}

static void on_over(struct bufferevent *bev, short what, void *arg)
{
	struct session *s = arg;

	s->over = true;
}

/* False: nobody listens. */
static bool session_begin(struct session *s, struct flow *f, const char *name)
{
	int fd = built_try_connect(&f->built, name);

	if (fd < 0)
		return false;
	evutil_make_socket_nonblocking(fd);
	*s = (struct session){ .base = f->base };
	s->bev = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(s->bev, NULL, NULL, on_over, s);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	return true;
}

/* A last line of a reply is there. */
static bool replied(void *arg)
{
	struct session *s = arg;
	struct evbuffer *in = bufferevent_get_input(s->bev);
	size_t len = evbuffer_get_length(in);
	const char *text = (const char *)evbuffer_pullup(in, -1);

	while (len > 4) {
		const char *lf = memchr(text, '\n', len);

		if (!lf)
			break;
		if (text[3] == ' ')
			return true;
		len -= (size_t)(lf + 1 - text);
		text = lf + 1;
	}
	return s->over;
}

/* The next reply is there and starts with these bytes. */
static bool hears(struct session *s, const char *text)
{
	struct evbuffer *in = bufferevent_get_input(s->bev);
	bool same;

	support_loop(s->base, replied, s);
	same = evbuffer_get_length(in) >= strlen(text) &&
	       memcmp(evbuffer_pullup(in, -1), text, strlen(text)) == 0;
	evbuffer_drain(in, evbuffer_get_length(in));
	return same;
}

static bool says(struct session *s, const char *text, const char *reply)
{
	bufferevent_write(s->bev, text, strlen(text));
	return hears(s, reply);
}

/* Hand over one mail; true if it was answered so. */
static bool sends(struct session *s, const char *from, const char *rcpt,
    struct evbuffer *mail, const char *reply)
{
	struct span all = sample_span(mail);
	char line[128];

	snprintf(line, sizeof(line), "MAIL FROM:<%s> BODY=8BITMIME\r\n", from);
	if (!says(s, line, "250"))
		return false;
	snprintf(line, sizeof(line), "RCPT TO:<%s> ORCPT=rfc822;%s\r\n", rcpt, rcpt);
	if (!says(s, line, "250") || !says(s, "DATA\r\n", "354"))
		return false;
	bufferevent_write(s->bev, all.data, all.len);
	return says(s, ".\r\n", reply);
}

/* Encrypted goes through, cleartext bounces, on one connection. */
static const struct direction_case {
	const char *name;
	const char *socket;
	const char *from, *rcpt;
} direction_cases[] = {
	{ "outgoing", "outgoing.sock", ALICE, "bob@b.example" },
	{ "incoming", "incoming.sock", "eve@e.example", ALICE },
};

static void direction(void **state)
{
	static const size_t sizes[] = { 0, 10000, 3000000 };
	const struct direction_case *row = *state;
	struct evbuffer *clear = sample_cleartext(row->from, 5000);
	struct session s;
	struct flow f;

	flow_init(&f);
	built_start(&f.built);
	assert_true(session_begin(&s, &f, row->socket));
	assert_true(hears(&s, "220 "));
	assert_true(says(&s, "EHLO mx.example\r\n", "250-"));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct evbuffer *mail = sample_encrypted(row->from, sizes[i]);

		assert_true(
		    sends(&s, row->from, row->rcpt, mail, "250 2.0.0 Ok: queued"));
		assert_int_equal(f.sink->accepted, i + 1);
		support_assert_span(smtp_sink_mail(f.sink), sample_span(mail));
		assert_true(sends(&s, row->from, row->rcpt, clear, REFUSED));
		assert_int_equal(f.sink->accepted, i + 1);
		evbuffer_free(mail);
	}
	bufferevent_free(s.bev);
	built_stop(&f.built);
	flow_deinit(&f);
	evbuffer_free(clear);
}

static void forged_from(void **state)
{
	struct evbuffer *mail = sample_encrypted(BOB, 0);
	struct session s;
	struct flow f;

	flow_init(&f);
	built_start(&f.built);
	assert_true(session_begin(&s, &f, "outgoing.sock"));
	assert_true(hears(&s, "220 "));
	assert_true(says(&s, "EHLO mx.example\r\n", "250-"));
	assert_true(sends(
	    &s, ALICE, BOB, mail, "500 Invalid FROM <" BOB "> for <" ALICE ">\r\n"));
	assert_int_equal(f.sink->connections, 0);
	bufferevent_free(s.bev);
	built_stop(&f.built);
	flow_deinit(&f);
	evbuffer_free(mail);
}

/* Hand over mail number n; true if it was acknowledged. */
static bool send_numbered(struct flow *f, unsigned n)
{
	struct evbuffer *mail = sample_encrypted(ALICE, n % 10 ? 2000 : 300000);
	struct session s;
	char line[ID_BYTES + 16];
	bool ok = false;

	snprintf(line, sizeof(line), "Message-ID: <m%u@x>\r\n", n);
	evbuffer_prepend(mail, line, strlen(line));
	if (session_begin(&s, f, "outgoing.sock")) {
		ok = hears(&s, "220 ") && says(&s, "EHLO mx.example\r\n", "250-") &&
		     sends(&s, ALICE, BOB, mail, "250 ");
		bufferevent_free(s.bev);
	}
	evbuffer_free(mail);
	return ok;
}

struct kill {
	pid_t pid;
	bool done;
};

static void on_time_to_kill(evutil_socket_t fd, short what, void *arg)
{
	struct kill *k = arg;

	kill(k->pid, SIGKILL);
	k->done = true;
}

/* Killed at any moment: what was acknowledged is with Postfix. */
static void killed(void **state)
{
	bool acknowledged[MAILS] = { false };
	unsigned n = 0, good = 0;
	struct flow f;

	flow_init(&f);
	for (int i = 0; i < KILLS; i++) {
		struct timeval soon = { .tv_usec = 5000 + 7000 * i };
		struct kill k;
		struct event *timer;

		built_start(&f.built);
		k = (struct kill){ .pid = f.built.pid };
		timer = evtimer_new(f.base, on_time_to_kill, &k);
		evtimer_add(timer, &soon);
		while (n < MAILS && !k.done) {
			acknowledged[n] = send_numbered(&f, n);
			good += acknowledged[n++];
		}
		event_free(timer);
		built_kill(&f.built);
	}
	for (unsigned i = 0; i < n; i++)
		assert_true(!acknowledged[i] || f.queued[i]);
	assert_true(n >= KILLS);
	assert_true(good + KILLS >= n); /* one may be lost at each kill */
	flow_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(direction, direction_cases) },
		{ SUPPORT_TEST(forged_from) },
		{ SUPPORT_TEST(killed) },
	};

	signal(SIGPIPE, SIG_IGN);
	return support_run("flow_filter", tests, ARRAY_LEN(tests));
}
