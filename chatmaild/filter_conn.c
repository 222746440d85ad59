/* See filter_conn.h. */
#include "chatmaild/filter_conn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "chatmaild/filter_mail.h"
#include "chatmaild/filter_private.h"
#include "chatmaild/log.h"
#include "proto/smtp.h"

#define READ_MAX   (16 * 1024 - 256) /* bytes; with libevent's head a 16 KiB block */
#define OUTPUT_MAX (16 * 1024)       /* bytes of replies unread by the peer */
#define REPLY_MAX  (SMTP_PATH_MAX + 256)

static const struct timeval idle_timeout = { FILTER_IDLE_TIMEOUT, 0 };

void filter_conn_reset(struct filter_conn *c)
{
	filter_mail_destroy(c->mail);
	c->mail = NULL;
	for (size_t i = 0; i < c->nrcpt; i++)
		free((char *)c->rcpt_to[i].data);
	free(c->rcpt_to);
	free(c->mail_from);
	c->rcpt_to = NULL;
	c->mail_from = NULL;
	c->nrcpt = c->rcpt_size = c->rcpt_bytes = 0;
	c->envelope = (struct envelope){ .direction = c->filter->direction };
	if (c->state != FILTER_NEW && c->state != FILTER_BYE)
		c->state = FILTER_READY;
}

/*
 * At once if the socket takes it: that spares two turns of epoll for each reply. A peer
 * that is gone, such as Postfix after its QUIT, is left for the next read to find.
 */
void filter_conn_say(struct filter_conn *c, const char *text)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	size_t len = strlen(text);
	ssize_t sent = 0;

	if (evbuffer_get_length(out) == 0)
		sent = send(
		    bufferevent_getfd(c->bev), text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && errno != EAGAIN)
		return;
	if (sent < 0)
		sent = 0;
	if ((size_t)sent < len)
		evbuffer_add(out, text + sent, len - (size_t)sent);
}

void filter_conn_reply(struct filter_conn *c, const char *fmt, ...)
{
	char line[REPLY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line - 2, fmt, ap);
	va_end(ap);
	strcat(line, "\r\n");
	filter_conn_say(c, line);
}

void filter_conn_fault(struct filter_conn *c, const char *reply)
{
	c->filter->counters.protocol_errors++;
	if (++c->errors == 1)
		log_info("filter: bad command, answered %s", reply);
	if (c->errors < FILTER_ERRORS_MAX) {
		filter_conn_reply(c, "%s", reply);
		return;
	}
	filter_conn_say(c, "421 4.7.0 Too many errors\r\n");
	c->state = FILTER_BYE;
}

static void on_mail_room(void *arg);
static void on_mail_reply(void *arg);

void filter_conn_begin_mail(struct filter_conn *c)
{
	static const struct filter_mail_events events = {
		.on_room = on_mail_room,
		.on_reply = on_mail_reply,
	};

	c->mail = filter_mail_create(c->filter, &c->envelope, &events, c);
	c->state = FILTER_DATA;
}

/* Lines end with CRLF, and hold no other CR, LF or NUL: one reading for everybody. */
static void filter_conn_line(struct filter_conn *c, const char *line, size_t len)
{
	if (len < 2 || line[len - 2] != '\r' || memchr(line, '\r', len - 2) ||
	    memchr(line, '\0', len))
		filter_conn_fault(c, "500 5.5.2 Bare CR, LF or NUL in command");
	else
		filter_command(c, span_make(line, len - 2));
}

/* Take one command line; false if there is none. */
static bool filter_conn_read_line(struct filter_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer_ptr lf = evbuffer_search(in, "\n", 1, NULL);
	size_t len = lf.pos < 0 ? 0 : (size_t)lf.pos + 1;
	char line[SMTP_COMMAND_MAX];

	if (c->skip_line || len > sizeof line ||
	    (len == 0 && evbuffer_get_length(in) >= sizeof line)) {
		evbuffer_drain(in, len ? len : evbuffer_get_length(in));
		c->skip_line = len == 0;
		if (len)
			filter_conn_fault(c, "500 5.5.2 Line too long");
		return len > 0;
	}
	if (len == 0)
		return false;
	evbuffer_remove(in, line, len);
	filter_conn_line(c, line, len);
	return true;
}

/* The mail has its reply: hand it over, then the next command counts again. */
static void filter_conn_end_mail(struct filter_conn *c)
{
	filter_conn_say(c, filter_mail_reply(c->mail));
	filter_conn_reset(c);
	if (c->draining)
		c->state = FILTER_BYE;
}

/* Feed the mail; false if there is nothing more to do now. */
static bool filter_conn_read_data(struct filter_conn *c)
{
	switch (filter_mail_feed(c->mail, bufferevent_get_input(c->bev))) {
	case FILTER_MAIL_MORE:
		return false;
	case FILTER_MAIL_FULL:
		c->state = FILTER_FULL;
		return false;
	case FILTER_MAIL_WAIT:
		c->state = FILTER_WAIT;
		return false;
	case FILTER_MAIL_REPLY:
		break;
	}
	filter_conn_end_mail(c);
	return true;
}

/* Is there a step to take, and was it taken? */
static bool filter_conn_step(struct filter_conn *c)
{
	switch (c->state) {
	case FILTER_NEW:
	case FILTER_READY:
	case FILTER_MAIL:
	case FILTER_RCPT:
		return filter_conn_read_line(c);
	case FILTER_DATA:
		return filter_conn_read_data(c);
	case FILTER_FULL:
	case FILTER_WAIT:
	case FILTER_BYE:
		break;
	}
	return false;
}

/* Nothing more can be used now; libevent would call for a full buffer again and again. */
static bool filter_conn_stuffed(const struct filter_conn *c)
{
	return c->state == FILTER_FULL || c->state == FILTER_BYE ||
	       evbuffer_get_length(bufferevent_get_input(c->bev)) >= READ_MAX;
}

/*
 * Go on as far as input and state allow. May be the end of c. A peer that does not read
 * its replies is not read from either.
 */
static void filter_conn_run(struct filter_conn *c)
{
	const struct evbuffer *out = bufferevent_get_output(c->bev);

	while (evbuffer_get_length(out) < OUTPUT_MAX && filter_conn_step(c))
		;
	if (c->state == FILTER_BYE && evbuffer_get_length(out) == 0)
		filter_conn_destroy(c);
	else if (filter_conn_stuffed(c))
		bufferevent_disable(c->bev, EV_READ);
	else if (!(bufferevent_get_enabled(c->bev) & EV_READ))
		bufferevent_enable(c->bev, EV_READ);
}

static void on_mail_room(void *arg)
{
	struct filter_conn *c = arg;

	if (c->state != FILTER_FULL)
		return;
	c->state = FILTER_DATA;
	filter_conn_run(c);
}

static void on_mail_reply(void *arg)
{
	struct filter_conn *c = arg;

	filter_conn_end_mail(c);
	filter_conn_run(c);
}

static void on_input(struct bufferevent *bev, void *arg)
{
	filter_conn_run(arg);
}

/* All replies are written: there may be input that waited for it. */
static void on_written(struct bufferevent *bev, void *arg)
{
	filter_conn_run(arg);
}

/* Postfix ends with QUIT and closes unread: a broken pipe is no news. */
static void on_break(struct bufferevent *bev, short what, void *arg)
{
	struct filter_conn *c = arg;

	if (c->mail)
		log_info("filter: client %s, mail dropped",
		    what & BEV_EVENT_TIMEOUT ? "too slow" : "gone");
	filter_conn_destroy(c);
}

void filter_conn_create(struct filter *f, struct listener *from, evutil_socket_t fd)
{
	struct filter_conn *c = calloc(1, sizeof *c);

	if (!c)
		abort();
	c->filter = f;
	c->from = from;
	c->envelope.direction = f->direction;
	c->bev = bufferevent_socket_new(f->daemon->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(c->bev, on_input, on_written, on_break, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, READ_MAX);
	bufferevent_set_max_single_read(c->bev, READ_MAX);
	bufferevent_set_timeouts(c->bev, &idle_timeout, &idle_timeout);
	LIST_INSERT_HEAD(&f->connections, c, link);
	f->counters.sessions++;
	f->counters.connections++;
	filter_conn_reply(c, "220 %s ESMTP", f->daemon->config->mail_domain);
	bufferevent_enable(c->bev, EV_READ);
}

void filter_conn_destroy(struct filter_conn *c)
{
	LIST_REMOVE(c, link);
	c->filter->counters.connections--;
	filter_conn_reset(c);
	bufferevent_free(c->bev);
	listener_release(c->from);
	free(c);
}

void filter_conn_drain(struct filter_conn *c)
{
	c->draining = true;
	if (!filter_conn_busy(c))
		filter_conn_destroy(c);
	else if (!c->mail)
		c->state = FILTER_BYE;
}

struct filter_conn *filter_conn_next(const struct filter_conn *c)
{
	return LIST_NEXT(c, link);
}

bool filter_conn_busy(const struct filter_conn *c)
{
	return c->mail || evbuffer_get_length(bufferevent_get_output(c->bev)) > 0;
}
