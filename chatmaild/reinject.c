/* SMTP client for one mail; see reinject.h. */
#include "chatmaild/reinject.h"

#include <assert.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chatmaild/log.h"
#include "chatmaild/stream.h"

#define END_OF_DATA    ".\r\n" /* the body ends with a CRLF of its own */
#define REPLY_LINE_MAX 4096    /* bytes; RFC 5321 section 4.5.3.1.5 asks for 512 */
/* When the backlog of a UNIX socket is full: for half a minute. */
#define CONNECT_RETRY_MS 20
#define CONNECT_TRIES    1500

enum reinject_state {
	REINJECT_CONNECT,
	REINJECT_GREETING,
	REINJECT_EHLO,
	REINJECT_ENVELOPE, /* MAIL, RCPTs, DATA: r->answered counts their replies */
	REINJECT_BODY,     /* 354 came, no reply is due */
	REINJECT_DOT,      /* the end of data is on its way */
	REINJECT_ENDED,    /* outcome, code and text are set */
};

/* What the peer's EHLO reply offers. */
enum {
	OFFERS_PIPELINING = 1,
	OFFERS_8BITMIME = 2,
	OFFERS_SMTPUTF8 = 4,
};

struct reinject {
	const struct reinject_events *events;
	void *arg;
	const struct reinject_timeouts *timeouts;
	struct event_base *base;
	struct endpoint to;
	enum reinject_state state;
	bool connected; /* stream is there */
	struct stream stream;
	struct event step; /* the next reply is late; or it is time to connect */
	struct event last; /* the whole is late, runs since reinject_finish() */
	unsigned connect_tries;
	struct evbuffer *commands; /* RCPT lines and DATA; MAIL goes before them */
	struct evbuffer *body;     /* waits for the 354 */
	bool finishing;            /* the end of data follows the body */
	bool utf8;                 /* a recipient wants SMTPUTF8 */
	size_t nrcpt;
	size_t answered;
	struct smtp_reply reply;
	char *mail_from;
	char *helo;
	enum reinject_outcome outcome;
	unsigned code;
	struct span text; /* a literal or in reply */
};

const struct reinject_timeouts reinject_timeouts = {
	.greeting = { .tv_sec = 30 },
	.reply = { .tv_sec = 90 },
};

static const struct timeval connect_retry = { 0, CONNECT_RETRY_MS * 1000 };

/* Its end is known; the callback that is running reports it, on its last line. */
static void reinject_end(
    struct reinject *r, enum reinject_outcome outcome, unsigned code, struct span text)
{
	r->state = REINJECT_ENDED;
	r->outcome = outcome;
	r->code = code;
	r->text = text;
	event_del(&r->step);
	event_del(&r->last);
	if (r->connected)
		stream_stop(&r->stream);
}

static void reinject_trouble(struct reinject *r, const char *why)
{
	log_warning("filter: reinject %s: %s", r->to.text, why);
	reinject_end(r, REINJECT_TROUBLE, 451,
	    span_of("4.3.0 Mail server trouble, try again later"));
}

/* The callee may destroy r in it. */
static void reinject_report(struct reinject *r)
{
	if (r->state == REINJECT_ENDED)
		r->events->on_reply(r->arg, r->outcome, r->code, r->text);
}

/* The reply that ends it: good only as the answer to the end of data, so only once that
 * was written. */
static void reinject_conclude(struct reinject *r)
{
	bool accepted = r->state == REINJECT_DOT && stream_all_written(&r->stream) &&
			r->reply.code == 250;
	unsigned code = r->reply.code;

	if (!accepted && (code < 400 || code == 421))
		code = 451;
	if (accepted) /* a courtesy: Postfix logs a lost connection without it */
		stream_send(&r->stream, span_of("QUIT\r\n"));
	reinject_end(r, accepted ? REINJECT_ACCEPTED : REINJECT_REFUSED, code,
	    span_make(r->reply.text, r->reply.len));
}

static void reinject_expect(struct reinject *r, enum reinject_state state)
{
	r->state = state;
	if (state == REINJECT_BODY)
		event_del(&r->step);
	else
		event_add(&r->step, &r->timeouts->reply);
}

static unsigned ehlo_offers(const struct smtp_reply *reply)
{
	struct span rest = span_make(reply->text, reply->len), line, keyword;
	unsigned offers = 0;

	span_cut(&rest, '\n', &line); /* the peer's name */
	while (span_cut(&rest, '\n', &line)) {
		span_cut(&line, ' ', &keyword);
		if (span_is_nocase(keyword, "PIPELINING"))
			offers |= OFFERS_PIPELINING;
		else if (span_is_nocase(keyword, "8BITMIME"))
			offers |= OFFERS_8BITMIME;
		else if (span_is_nocase(keyword, "SMTPUTF8"))
			offers |= OFFERS_SMTPUTF8;
	}
	return offers;
}

/* Send the next line of the envelope. */
static void reinject_next_command(struct reinject *r)
{
	struct evbuffer_ptr end = evbuffer_search(r->commands, "\n", 1, NULL);
	struct evbuffer *line = evbuffer_new();

	if (!line)
		abort();
	assert(end.pos >= 0);
	evbuffer_remove_buffer(r->commands, line, (size_t)end.pos + 1);
	stream_write(&r->stream, line);
	evbuffer_free(line);
}

static void reinject_greet(struct reinject *r)
{
	char *line;
	int len = asprintf(&line, "EHLO %s\r\n", r->helo);

	if (len < 0)
		abort();
	stream_send(&r->stream, span_make(line, (size_t)len));
	free(line);
	reinject_expect(r, REINJECT_EHLO);
}

static void reinject_send_envelope(struct reinject *r)
{
	unsigned offers = ehlo_offers(&r->reply);
	char *line;
	int len = asprintf(&line, "MAIL FROM:<%s>%s%s\r\n", r->mail_from,
	    offers & OFFERS_8BITMIME ? " BODY=8BITMIME" : "",
	    r->utf8 && (offers & OFFERS_SMTPUTF8) ? " SMTPUTF8" : "");

	if (len < 0 || evbuffer_prepend(r->commands, line, (size_t)len) < 0)
		abort();
	free(line);
	if (offers & OFFERS_PIPELINING)
		stream_write(&r->stream, r->commands);
	else
		reinject_next_command(r);
	reinject_expect(r, REINJECT_ENVELOPE);
}

/* What the peer has said already can be no answer to it. */
static void reinject_send_body(struct reinject *r)
{
	if (stream_input(&r->stream).len > 0) {
		reinject_trouble(r, "it speaks before it has the mail");
		return;
	}
	if (r->finishing) {
		evbuffer_add(r->body, END_OF_DATA, strlen(END_OF_DATA));
		reinject_expect(r, REINJECT_DOT);
		stream_write(&r->stream, r->body);
		return;
	}
	/* Not at once: who waits for room is told when the loop has written it. */
	reinject_expect(r, REINJECT_BODY);
	stream_queue(&r->stream, r->body);
}

/* A reply to MAIL, RCPT or DATA. The first refusal ends it: all get the mail or nobody. */
static void reinject_envelope_reply(struct reinject *r)
{
	bool data = r->answered == r->nrcpt + 1;

	if (data ? r->reply.code != 354 : r->reply.code / 100 != 2) {
		reinject_conclude(r);
		return;
	}
	if (data) {
		reinject_send_body(r);
		return;
	}
	r->answered++;
	reinject_expect(r, REINJECT_ENVELOPE);
	if (evbuffer_get_length(r->commands) > 0)
		reinject_next_command(r);
}

static void reinject_on_reply(struct reinject *r)
{
	switch (r->state) {
	case REINJECT_GREETING:
		if (r->reply.code != 220) {
			reinject_conclude(r);
			return;
		}
		reinject_greet(r);
		break;
	case REINJECT_EHLO:
		if (r->reply.code != 250)
			reinject_conclude(r);
		else
			reinject_send_envelope(r);
		break;
	case REINJECT_ENVELOPE:
		reinject_envelope_reply(r);
		break;
	case REINJECT_BODY: /* out of turn: nobody waits for the rest */
	case REINJECT_DOT:
		reinject_conclude(r);
		break;
	case REINJECT_CONNECT:
	case REINJECT_ENDED:
		break;
	}
}

/* Take one whole reply off the input; false if there is none. */
static bool reinject_read_reply(struct reinject *r)
{
	enum smtp_reply_state state = SMTP_REPLY_MORE;
	struct span in, line;
	const char *lf;

	while (state == SMTP_REPLY_MORE) {
		in = stream_input(&r->stream);
		lf = in.len ? memchr(in.data, '\n', in.len) : NULL;
		if (!lf)
			break;
		line = span_make(in.data, (size_t)(lf - in.data));
		if (line.len && line.data[line.len - 1] == '\r')
			line.len--;
		state = smtp_reply_feed(&r->reply, line);
		stream_use(&r->stream, (size_t)(lf - in.data) + 1);
	}
	if (state == SMTP_REPLY_BROKEN)
		reinject_trouble(r, "no SMTP reply");
	else if (state == SMTP_REPLY_MORE && in.len >= REPLY_LINE_MAX)
		reinject_trouble(r, "reply line too long");
	return state == SMTP_REPLY_COMPLETE;
}

static void reinject_read_replies(struct reinject *r)
{
	while (r->state != REINJECT_ENDED && reinject_read_reply(r)) {
		reinject_on_reply(r);
		/* At the end its text is still to be reported. */
		if (r->state != REINJECT_ENDED)
			smtp_reply_init(&r->reply);
	}
}

static void on_input(void *arg)
{
	struct reinject *r = arg;

	reinject_read_replies(r);
	reinject_report(r);
}

static void on_written(void *arg)
{
	struct reinject *r = arg;

	if (r->state == REINJECT_BODY)
		r->events->on_room(r->arg);
}

static void on_break(void *arg, enum stream_break what)
{
	struct reinject *r = arg;
	const char *why = strerror(errno);

	if (what == STREAM_LATE)
		why = "stopped reading";
	else if (what == STREAM_CLOSED)
		why = "connection closed";
	/* What the peer said before it hung up may still be in the socket, such as
	 * Postfix's 452. */
	else if (what == STREAM_UNWRITTEN && stream_read_now(&r->stream))
		reinject_read_replies(r);
	if (r->state != REINJECT_ENDED)
		reinject_trouble(r, why);
	reinject_report(r);
}

static void reinject_start_session(struct reinject *r, evutil_socket_t fd)
{
	static const struct stream_events events = {
		.on_input = on_input,
		.on_written = on_written,
		.on_break = on_break,
	};
	const int on = 1;

	if (r->to.addr.ss_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	stream_init(&r->stream, r->base, fd, &events, r);
	r->stream.write_timeout = &r->timeouts->reply;
	r->stream.few = REINJECT_ROOM;
	stream_resume(&r->stream);
	r->connected = true;
	r->state = REINJECT_GREETING;
}

/*
 * A UNIX socket with a full backlog says EAGAIN and gives no event when there is room
 * again. A TCP connection in progress tells its failure as one of reading.
 */
static void reinject_connect(struct reinject *r)
{
	int fd =
	    socket(r->to.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd >= 0 && (connect(fd, (struct sockaddr *)&r->to.addr, r->to.len) == 0 ||
			   errno == EINPROGRESS)) {
		reinject_start_session(r, fd);
		event_add(&r->step, &r->timeouts->greeting);
		return;
	}
	error = errno;
	if (fd >= 0)
		close(fd);
	if (error == EAGAIN && r->connect_tries++ < CONNECT_TRIES)
		event_add(&r->step, &connect_retry);
	else
		reinject_trouble(r, strerror(error));
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
	struct reinject *r = arg;

	if (r->state == REINJECT_CONNECT)
		reinject_connect(r);
	else
		reinject_trouble(r, r->state == REINJECT_GREETING
					? "no greeting in time"
					: "no reply in time");
	reinject_report(r);
}

static void on_last(evutil_socket_t fd, short what, void *arg)
{
	struct reinject *r = arg;

	if (r->state != REINJECT_ENDED)
		reinject_trouble(r, "no final reply in time");
	reinject_report(r);
}

/* What would start a command of its own never got past smtp_parse_path(). */
static char *line_copy(struct span address)
{
	char *copy = span_dup(address);

	if (!copy)
		abort();
	assert(strlen(copy) == address.len && !strpbrk(copy, "\r\n"));
	return copy;
}

static bool has_8bit(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] & 0x80)
			return true;
	return false;
}

struct reinject *reinject_create(struct event_base *base, const struct endpoint *to,
    const struct reinject_timeouts *timeouts, const char *helo,
    const struct reinject_envelope *envelope, const struct reinject_events *events,
    void *arg)
{
	struct reinject *r = calloc(1, sizeof *r);

	if (!r)
		abort();
	r->events = events;
	r->timeouts = timeouts;
	r->arg = arg;
	r->base = base;
	r->to = *to;
	r->helo = line_copy(span_of(helo));
	r->mail_from = line_copy(envelope->mail_from);
	r->nrcpt = envelope->nrcpt;
	r->body = evbuffer_new();
	r->commands = evbuffer_new();
	if (!r->body || !r->commands)
		abort();
	for (size_t i = 0; i < envelope->nrcpt; i++) {
		char *address = line_copy(envelope->rcpt_to[i]);

		evbuffer_add_printf(r->commands, "RCPT TO:<%s>\r\n", address);
		r->utf8 = r->utf8 || has_8bit(envelope->rcpt_to[i]);
		free(address);
	}
	evbuffer_add(r->commands, "DATA\r\n", 6);
	smtp_reply_init(&r->reply);
	evtimer_assign(&r->step, base, on_step, r);
	evtimer_assign(&r->last, base, on_last, r);
	reinject_connect(r);
	if (r->state == REINJECT_ENDED) /* to be reported from the loop */
		event_active(&r->last, EV_TIMEOUT, 0);
	return r;
}

void reinject_destroy(struct reinject *r)
{
	if (!r)
		return;
	event_del(&r->step);
	event_del(&r->last);
	if (r->connected)
		stream_deinit(&r->stream);
	evbuffer_free(r->commands);
	evbuffer_free(r->body);
	free(r->mail_from);
	free(r->helo);
	free(r);
}

void reinject_write(struct reinject *r, struct evbuffer *data)
{
	assert(!r->finishing);
	if (r->state == REINJECT_ENDED)
		evbuffer_drain(data, evbuffer_get_length(data));
	else if (r->state == REINJECT_BODY)
		stream_write(&r->stream, data);
	else
		evbuffer_add_buffer(r->body, data);
}

size_t reinject_waiting(const struct reinject *r)
{
	size_t n = evbuffer_get_length(r->body);

	return r->connected ? n + stream_waiting(&r->stream) : n;
}

void reinject_finish(struct reinject *r)
{
	assert(!r->finishing);
	if (r->state == REINJECT_ENDED)
		return;
	r->finishing = true;
	event_add(&r->last, &r->timeouts->reply);
	if (r->state == REINJECT_BODY) {
		stream_send(&r->stream, span_of(END_OF_DATA));
		reinject_expect(r, REINJECT_DOT);
	}
}
