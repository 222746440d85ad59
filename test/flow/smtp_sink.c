/* A scripted Postfix; see smtp_sink.h. */
#include "test/flow/smtp_sink.h"

#include <assert.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_CHUNK 4096
#define EHLO_REPLY                                                                     \
	"250-sink.example\r\n250-PIPELINING\r\n250-SIZE 0\r\n"                         \
	"250-8BITMIME\r\n250 SMTPUTF8\r\n"

struct smtp_sink_conn {
	struct smtp_sink_conn *next, **prev;
	struct smtp_sink *sink;
	struct bufferevent *bev;
	struct evbuffer *body;
	unsigned rcpt; /* RCPTs seen */
	bool in_data;
	bool early; /* SINK_BODY is done */
	bool closing;
	bool stopped;
};

static const char *const usual[SINK_STAGES] = {
	[SINK_GREETING] = "220 sink.example ESMTP Postfix\r\n",
	[SINK_EHLO] = EHLO_REPLY,
	[SINK_MAIL] = "250 2.1.0 Ok\r\n",
	[SINK_RCPT] = "250 2.1.5 Ok\r\n",
	[SINK_DATA] = "354 End data with <CR><LF>.<CR><LF>\r\n",
	[SINK_BODY] = "",
	[SINK_DOT] = "250 2.0.0 Ok: queued as 4F00\r\n",
};

static void conn_destroy(struct smtp_sink_conn *c)
{
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->sink->open--;
	c->sink->dropped += c->in_data;
	bufferevent_free(c->bev);
	evbuffer_free(c->body);
	free(c);
}

static void conn_answer(
    struct smtp_sink_conn *c, enum smtp_sink_stage stage, bool scripted)
{
	const struct smtp_sink_script *script = &c->sink->script;
	const char *text = usual[stage];

	if (scripted && script->reply[stage])
		text = script->reply[stage];
	evbuffer_add(bufferevent_get_output(c->bev), text, strlen(text));
	if (scripted && script->close[stage])
		c->closing = true;
}

static void conn_command(struct smtp_sink_conn *c, struct span line)
{
	evbuffer_add(c->sink->commands, line.data, line.len);
	evbuffer_add(c->sink->commands, "\n", 1);
	if (span_starts(line, "EHLO "))
		conn_answer(c, SINK_EHLO, true);
	else if (span_starts(line, "MAIL FROM:<"))
		conn_answer(c, SINK_MAIL, true);
	else if (span_starts(line, "RCPT TO:<"))
		conn_answer(c, SINK_RCPT, c->rcpt++ == c->sink->script.rcpt);
	else if (span_is(line, "QUIT"))
		c->closing = true;
	else if (span_is(line, "DATA")) {
		const char *reply = c->sink->script.reply[SINK_DATA];

		conn_answer(c, SINK_DATA, true);
		c->in_data = !reply || reply[0] == '3';
		c->sink->body = 0;
	} else
		evbuffer_add_printf(bufferevent_get_output(c->bev), "500 what?\r\n");
}

/* Where the end of data begins in body, -1 if it is not there. */
static ev_ssize_t find_end(struct evbuffer *body, size_t from)
{
	struct evbuffer_ptr at;
	char start[3];

	if (evbuffer_copyout(body, start, 3) == 3 && memcmp(start, ".\r\n", 3) == 0)
		return 0;
	evbuffer_ptr_set(body, &at, from > 4 ? from - 4 : 0, EVBUFFER_PTR_SET);
	at = evbuffer_search(body, "\r\n.\r\n", 5, &at);
	return at.pos < 0 ? -1 : at.pos + 2;
}

static void conn_accept_mail(struct smtp_sink_conn *c, size_t len)
{
	struct smtp_sink *s = c->sink;
	const char *reply = s->script.reply[SINK_DOT];

	c->in_data = false;
	evbuffer_drain(s->mail, evbuffer_get_length(s->mail));
	evbuffer_remove_buffer(c->body, s->mail, len);
	evbuffer_drain(c->body, 3);
	evbuffer_prepend_buffer(bufferevent_get_input(c->bev), c->body);
	s->body = len;
	if (!reply || reply[0] == '2') {
		s->accepted++;
		if (s->on_mail)
			s->on_mail(s->arg, smtp_sink_mail(s));
	}
	conn_answer(c, SINK_DOT, true);
}

static void conn_data(struct smtp_sink_conn *c)
{
	struct smtp_sink *s = c->sink;
	size_t before = evbuffer_get_length(c->body);
	ev_ssize_t end;

	evbuffer_add_buffer(c->body, bufferevent_get_input(c->bev));
	s->body = evbuffer_get_length(c->body);
	end = find_end(c->body, before);
	if (end >= 0) {
		conn_accept_mail(c, (size_t)end);
		return;
	}
	if (s->script.reply[SINK_BODY] && s->body >= s->script.body && !c->early) {
		c->early = true;
		conn_answer(c, SINK_BODY, true);
	} else if (s->script.close[SINK_BODY] && s->body >= s->script.body)
		c->closing = true;
	if (s->script.stop && s->body >= s->script.stop) {
		c->stopped = true;
		bufferevent_disable(c->bev, EV_READ);
	}
}

/* May be the end of c. */
static void conn_run(struct smtp_sink_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len;
	char *line;

	while (!c->closing && evbuffer_get_length(in) > 0) {
		if (c->in_data) {
			conn_data(c);
			continue;
		}
		line = evbuffer_readln(in, &len, EVBUFFER_EOL_CRLF_STRICT);
		if (!line)
			break;
		conn_command(c, span_make(line, len));
		free(line);
	}
	if (c->closing && evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		conn_destroy(c);
}

static void on_input(struct bufferevent *bev, void *arg)
{
	conn_run(arg);
}

static void on_break(struct bufferevent *bev, short what, void *arg)
{
	conn_destroy(arg);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *peer, int len, void *arg)
{
	struct smtp_sink *s = arg;
	struct smtp_sink_conn *c = calloc(1, sizeof *c);

	c->sink = s;
	c->next = s->conns;
	c->prev = &s->conns;
	if (c->next)
		c->next->prev = &c->next;
	s->conns = c;
	s->connections++;
	s->open++;
	c->body = evbuffer_new();
	c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(c->bev, on_input, on_input, on_break, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, READ_CHUNK);
	conn_answer(c, SINK_GREETING, true);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	conn_run(c);
}

struct smtp_sink *smtp_sink_create(struct event_base *base, const char *at)
{
	struct smtp_sink *s = calloc(1, sizeof *s);
	char text[160];
	const char *why;

	s->base = base;
	s->commands = evbuffer_new();
	s->mail = evbuffer_new();
	snprintf(text, sizeof text, at ? "unix:%s" : "inet:127.0.0.1:1", at);
	why = endpoint_parse(&s->at, span_of(text));
	assert(!why);
	(void)why;
	if (!at)
		((struct sockaddr_in *)&s->at.addr)->sin_port = 0;
	s->listener = evconnlistener_new_bind(base, on_accept, s,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 1024,
	    (struct sockaddr *)&s->at.addr, (int)s->at.len);
	assert(s->listener);
	getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&s->at.addr,
	    &s->at.len);
	return s;
}

void smtp_sink_destroy(struct smtp_sink *s)
{
	if (!s)
		return;
	while (s->conns)
		conn_destroy(s->conns);
	evconnlistener_free(s->listener);
	if (endpoint_path(&s->at))
		remove(endpoint_path(&s->at));
	evbuffer_free(s->commands);
	evbuffer_free(s->mail);
	free(s);
}

void smtp_sink_resume(struct smtp_sink *s)
{
	s->script.stop = 0;
	for (struct smtp_sink_conn *c = s->conns; c; c = c->next)
		if (c->stopped) {
			c->stopped = false;
			bufferevent_enable(c->bev, EV_READ);
		}
}

static struct span buffer_text(struct evbuffer *buf)
{
	size_t len = evbuffer_get_length(buf);

	return len ? span_make((const char *)evbuffer_pullup(buf, -1), len)
		   : span_of("");
}

struct span smtp_sink_commands(struct smtp_sink *s)
{
	return buffer_text(s->commands);
}

struct span smtp_sink_mail(struct smtp_sink *s)
{
	return buffer_text(s->mail);
}
