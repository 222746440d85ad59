/* See filter_conn.h. */
#include "chatmaild/filter_conn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chatmaild/filter_mail.h"
#include "chatmaild/filter_private.h"
#include "chatmaild/log.h"
#include "proto/smtp.h"

#define OUTPUT_MAX (16 * 1024) /* bytes of replies unread by the peer */
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

void filter_conn_say(struct filter_conn *c, const char *text)
{
	stream_send(&c->stream, span_of(text));
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
	struct span in = stream_input(&c->stream);
	const char *lf = in.len ? memchr(in.data, '\n', in.len) : NULL;
	size_t len = lf ? (size_t)(lf - in.data) + 1 : 0;

	if (c->skip_line || len > SMTP_COMMAND_MAX ||
	    (len == 0 && in.len >= SMTP_COMMAND_MAX)) {
		stream_use(&c->stream, len ? len : in.len);
		c->skip_line = len == 0;
		if (len)
			filter_conn_fault(c, "500 5.5.2 Line too long");
		return len > 0;
	}
	if (len == 0)
		return false;
	filter_conn_line(c, in.data, len);
	stream_use(&c->stream, len);
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
	struct span in = stream_input(&c->stream);
	size_t used;
	enum filter_mail_step step = filter_mail_feed(c->mail, in, &used);

	stream_use(&c->stream, used);
	switch (step) {
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

/* Nothing more can be used now, or taken in. */
static bool filter_conn_stuffed(const struct filter_conn *c)
{
	return c->state == FILTER_FULL || c->state == FILTER_BYE ||
	       stream_input(&c->stream).len == STREAM_INPUT_MAX;
}

/*
 * Go on as far as input and state allow. May be the end of c. A peer that does not read
 * its replies is not read from either.
 */
static void filter_conn_run(struct filter_conn *c)
{
	while (stream_waiting(&c->stream) < OUTPUT_MAX && filter_conn_step(c))
		;
	if (c->state == FILTER_BYE && stream_waiting(&c->stream) == 0)
		filter_conn_destroy(c);
	else if (filter_conn_stuffed(c))
		stream_pause(&c->stream);
	else
		stream_resume(&c->stream);
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

static void on_input(void *arg)
{
	filter_conn_run(arg);
}

/* All replies are written: there may be input that waited for it. */
static void on_written(void *arg)
{
	filter_conn_run(arg);
}

/* Postfix ends with QUIT and closes unread: a broken pipe is no news. */
static void on_break(void *arg, enum stream_break what)
{
	struct filter_conn *c = arg;

	if (c->mail)
		log_info("filter: client %s, mail dropped",
		    what == STREAM_LATE ? "too slow" : "gone");
	filter_conn_destroy(c);
}

void filter_conn_create(struct filter *f, struct listener *from, evutil_socket_t fd)
{
	static const struct stream_events events = {
		.on_input = on_input,
		.on_written = on_written,
		.on_break = on_break,
	};
	struct filter_conn *c = calloc(1, sizeof *c);

	if (!c)
		abort();
	c->filter = f;
	c->from = from;
	c->envelope.direction = f->direction;
	stream_init(&c->stream, f->daemon->base, fd, &events, c);
	c->stream.read_timeout = c->stream.write_timeout = &idle_timeout;
	LIST_INSERT_HEAD(&f->connections, c, link);
	f->counters.sessions++;
	f->counters.connections++;
	filter_conn_reply(c, "220 %s ESMTP", f->daemon->config->mail_domain);
	stream_resume(&c->stream);
}

void filter_conn_destroy(struct filter_conn *c)
{
	LIST_REMOVE(c, link);
	c->filter->counters.connections--;
	filter_conn_reset(c);
	stream_deinit(&c->stream);
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
	return c->mail || stream_waiting(&c->stream) > 0;
}
