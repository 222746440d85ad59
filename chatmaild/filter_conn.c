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
#include <time.h>

#include "chatmaild/filter_mail.h"
#include "chatmaild/log.h"
#include "chatmaild/mailbox.h"
#include "proto/address.h"
#include "proto/smtp.h"

#define READ_MAX   (16 * 1024 - 256) /* bytes; with libevent's head a 16 KiB block */
#define OUTPUT_MAX (16 * 1024)       /* bytes of replies unread by the peer */
#define REPLY_MAX  (SMTP_PATH_MAX + 256)

enum filter_state {
	FILTER_NEW,   /* no HELO or EHLO yet */
	FILTER_READY, /* for MAIL */
	FILTER_MAIL,  /* for the first RCPT */
	FILTER_RCPT,  /* for more, or DATA */
	FILTER_DATA,  /* what comes is the mail */
	FILTER_FULL,  /* as above, but Postfix must take some first */
	FILTER_WAIT,  /* the mail is complete, its reply is not there */
	FILTER_BYE,   /* close when the last reply is written */
};

struct filter_conn {
	LIST_ENTRY(filter_conn) link;
	struct filter *filter;
	struct listener *from;
	struct bufferevent *bev;
	enum filter_state state;
	unsigned errors;
	bool skip_line; /* the rest of a line that is too long */
	bool draining;
	/* The transaction: owned copies, freed by filter_conn_reset(). */
	char *mail_from;
	struct span *rcpt_to;
	size_t nrcpt, rcpt_size, rcpt_bytes;
	struct envelope envelope; /* borrows the above */
	struct filter_mail *mail; /* FILTER_DATA to FILTER_WAIT */
};

static const struct timeval idle_timeout = { FILTER_IDLE_TIMEOUT, 0 };

/* Forget the transaction. */
static void filter_conn_reset(struct filter_conn *c)
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
static void filter_conn_say(struct filter_conn *c, const char *text)
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

__attribute__((format(printf, 2, 3))) static void filter_conn_reply(
    struct filter_conn *c, const char *fmt, ...)
{
	char line[REPLY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line - 2, fmt, ap);
	va_end(ap);
	strcat(line, "\r\n");
	filter_conn_say(c, line);
}

/* The peer is at fault. Postfix never is, so many faults are somebody else's. */
static void filter_conn_fault(struct filter_conn *c, const char *reply)
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

static void smtp_helo(struct filter_conn *c, struct span arg)
{
	filter_conn_reset(c);
	c->state = FILTER_READY;
	filter_conn_reply(c, "250 %s", c->filter->daemon->config->mail_domain);
}

/* No PIPELINING: Postfix does not use it here. No SMTPUTF8: it is passed on unasked. */
static void smtp_ehlo(struct filter_conn *c, struct span arg)
{
	const struct config *config = c->filter->daemon->config;

	filter_conn_reset(c);
	c->state = FILTER_READY;
	filter_conn_reply(c, "250-%s\r\n250-8BITMIME\r\n250 SIZE %lld",
	    config->mail_domain, (long long)config->max_message_size);
}

/* True: may send now. Else the reply is given. */
static bool filter_conn_may_send(struct filter_conn *c, struct span sender)
{
	struct span local, domain;
	struct timespec now;
	int64_t now_us, wait_us;
	time_t until;
	struct tm tm;
	char text[32];

	if (!address_split(sender, &local, &domain)) {
		c->filter->counters.bad_sender++;
		filter_conn_reply(
		    c, "500 Invalid from address <%.*s>", SPAN_ARG(sender));
		return false;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	if (ratelimit_take(c->filter->ratelimit, sender, now_us, &wait_us))
		return true;
	until = time(NULL) + (time_t)(wait_us / 1000000) + 1;
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&until, &tm));
	c->filter->counters.rate_limited++;
	filter_conn_reply(c,
	    "450 4.7.1: Too much mail from <%.*s>, rate limited until %s",
	    SPAN_ARG(sender), text);
	return false;
}

static void smtp_mail(struct filter_conn *c, struct span arg)
{
	struct span sender;
	const char *why = smtp_parse_path(arg, "FROM", &sender);

	if (why) {
		log_debug("filter: MAIL: %s", why);
		filter_conn_fault(c, "501 5.1.7 Bad sender address syntax");
		return;
	}
	if (c->filter->direction == MAIL_OUTGOING && sender.len > 0 &&
	    !filter_conn_may_send(c, sender))
		return;
	c->mail_from = strndup(sender.len ? sender.data : "", sender.len);
	c->envelope.mail_from = span_make(c->mail_from, sender.len);
	c->state = FILTER_MAIL;
	filter_conn_say(c, "250 OK\r\n");
}

/*
 * Does the mailbox that will get it insist on encryption? Only a plain name in our domain
 * can tell of a mailbox that does not. Postfix reads routes out of the others, such as
 * "a%ours@ours", "ours!a@ours" or "a(x)@ours", and delivers them to another mailbox.
 */
static bool recipient_enforces(const struct filter *f, struct span recipient)
{
	const struct config *config = f->daemon->config;
	char mailbox[ADDRESS_MAX + 1];
	int len = address_mailbox(recipient, mailbox, sizeof mailbox);
	struct span address, local, domain;

	if (len < 0)
		return true;
	address = span_make(mailbox, (size_t)len);
	if (!address_is_path(address) || !address_split(address, &local, &domain) ||
	    !address_local_creatable(local) ||
	    !span_is_nocase(domain, config->mail_domain))
		return true;
	return mailbox_enforces(config->mailboxes_dir, mailbox);
}

static void filter_conn_add_recipient(struct filter_conn *c, struct span recipient)
{
	if (c->nrcpt == c->rcpt_size) {
		c->rcpt_size = c->rcpt_size ? 2 * c->rcpt_size : 4;
		c->rcpt_to = realloc(c->rcpt_to, c->rcpt_size * sizeof *c->rcpt_to);
	}
	c->rcpt_to[c->nrcpt++] = span_make(
	    strndup(recipient.len ? recipient.data : "", recipient.len), recipient.len);
	c->rcpt_bytes += recipient.len;
	c->envelope.rcpt_to = c->rcpt_to;
	c->envelope.nrcpt = c->nrcpt;
}

static void smtp_rcpt(struct filter_conn *c, struct span arg)
{
	struct span recipient;
	const char *why = smtp_parse_path(arg, "TO", &recipient);

	if (why) {
		log_debug("filter: RCPT: %s", why);
		filter_conn_fault(c, "501 5.1.3 Bad recipient address syntax");
		return;
	}
	if (c->nrcpt >= FILTER_RCPT_MAX ||
	    c->rcpt_bytes + recipient.len > FILTER_RCPT_BYTES) {
		c->filter->counters.too_many_recipients++;
		filter_conn_say(c, "452 4.5.3 Too many recipients\r\n");
		return;
	}
	filter_conn_add_recipient(c, recipient);
	if (c->filter->direction == MAIL_INCOMING && !c->envelope.enforced)
		c->envelope.enforced = recipient_enforces(c->filter, recipient);
	c->state = FILTER_RCPT;
	filter_conn_say(c, "250 OK\r\n");
}

static void on_mail_room(void *arg);
static void on_mail_reply(void *arg);

static void smtp_data(struct filter_conn *c, struct span arg)
{
	static const struct filter_mail_events events = {
		.on_room = on_mail_room,
		.on_reply = on_mail_reply,
	};

	if (arg.len > 0) {
		filter_conn_fault(c, "501 5.5.4 Syntax: DATA");
		return;
	}
	c->mail = filter_mail_create(c->filter, &c->envelope, &events, c);
	c->state = FILTER_DATA;
	filter_conn_say(c, "354 End data with <CR><LF>.<CR><LF>\r\n");
}

static void smtp_rset(struct filter_conn *c, struct span arg)
{
	filter_conn_reset(c);
	filter_conn_say(c, "250 OK\r\n");
}

static void smtp_noop(struct filter_conn *c, struct span arg)
{
	filter_conn_say(c, "250 OK\r\n");
}

static void smtp_vrfy(struct filter_conn *c, struct span arg)
{
	filter_conn_say(c, "252 2.5.2 Send some mail, I'll try my best\r\n");
}

static void smtp_quit(struct filter_conn *c, struct span arg)
{
	filter_conn_say(c, "221 Bye\r\n");
	c->state = FILTER_BYE;
}

#define IN(state) (1u << (state))
#define ANY       (~0u)

/* Which command is good when, RFC 5321 section 4.1.4; elsewhere it earns a 503. */
static const struct smtp_command {
	enum smtp_verb verb;
	unsigned states; /* bits of enum filter_state */
	void (*run)(struct filter_conn *c, struct span arg);
	const char *otherwise;
} smtp_commands[] = {
	{ SMTP_HELO, ANY, smtp_helo, NULL },
	{ SMTP_EHLO, ANY, smtp_ehlo, NULL },
	{ SMTP_MAIL, IN(FILTER_READY), smtp_mail,
	    "503 5.5.1 EHLO first, and one MAIL only" },
	{ SMTP_RCPT, IN(FILTER_MAIL) | IN(FILTER_RCPT), smtp_rcpt,
	    "503 5.5.1 Need MAIL command" },
	{ SMTP_DATA, IN(FILTER_RCPT), smtp_data, "503 5.5.1 Need RCPT command" },
	{ SMTP_RSET, ANY, smtp_rset, NULL },
	{ SMTP_NOOP, ANY, smtp_noop, NULL },
	{ SMTP_VRFY, ANY, smtp_vrfy, NULL },
	{ SMTP_QUIT, ANY, smtp_quit, NULL },
};

static void filter_conn_command(struct filter_conn *c, struct span line)
{
	struct span arg;
	enum smtp_verb verb = smtp_parse_command(line, &arg);

	for (size_t i = 0; i < sizeof smtp_commands / sizeof *smtp_commands; i++) {
		const struct smtp_command *command = &smtp_commands[i];

		if (command->verb != verb)
			continue;
		if (command->states & IN(c->state))
			command->run(c, arg);
		else
			filter_conn_fault(c, command->otherwise);
		return;
	}
	filter_conn_fault(c, "500 5.5.2 Command not recognized");
}

/* Lines end with CRLF, and hold no other CR, LF or NUL: one reading for everybody. */
static void filter_conn_line(struct filter_conn *c, const char *line, size_t len)
{
	if (len < 2 || line[len - 2] != '\r' || memchr(line, '\r', len - 2) ||
	    memchr(line, '\0', len))
		filter_conn_fault(c, "500 5.5.2 Bare CR, LF or NUL in command");
	else
		filter_conn_command(c, span_make(line, len - 2));
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
