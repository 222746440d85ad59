/*
 * A stand-in for the Postfix that takes mail back: an SMTP server on the test's own
 * loop that answers by script, and keeps what it was told.
 */
#ifndef TEST_FLOW_SMTP_SINK_H
#define TEST_FLOW_SMTP_SINK_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>

#include "chatmaild/endpoint.h"
#include "proto/span.h"

enum smtp_sink_stage {
	SINK_GREETING,
	SINK_EHLO,
	SINK_MAIL,
	SINK_RCPT,
	SINK_DATA,
	SINK_BODY, /* while the mail comes, at script.body bytes */
	SINK_DOT,
	SINK_STAGES,
};

struct smtp_sink_script {
	/* Bytes to answer with; NULL: as Postfix does when all is well; "": nothing. */
	const char *reply[SINK_STAGES];
	bool close[SINK_STAGES]; /* close the connection after that reply */
	unsigned rcpt;           /* which RCPT, from 0, SINK_RCPT is about */
	size_t body;             /* bytes of a mail that make SINK_BODY */
	size_t stop; /* bytes of a mail after which it reads no more; 0: never */
};

struct smtp_sink {
	struct smtp_sink_script script; /* may be changed at any time */
	/* What happened. */
	unsigned connections;
	unsigned open; /* connections now */
	unsigned accepted;
	unsigned dropped;          /* lost between 354 and the final dot */
	size_t body;               /* bytes of the mail that comes or came last */
	struct evbuffer *commands; /* lines as they came, all connections' */
	struct evbuffer *mail; /* the last accepted mail as on the wire, no final dot */
	/* Called for each accepted mail before its reply is sent; may be NULL. */
	void (*on_mail)(void *arg, struct span mail);
	void *arg;
	/* Its own. */
	struct event_base *base;
	struct evconnlistener *listener;
	struct smtp_sink_conn *conns;
	struct endpoint at;
};

/* Listen at a UNIX socket at, or at a free port of 127.0.0.1 if at is NULL. */
struct smtp_sink *smtp_sink_create(struct event_base *base, const char *at);
void smtp_sink_destroy(struct smtp_sink *s);

/* script.stop is lifted. */
void smtp_sink_resume(struct smtp_sink *s);

/* Commands so far as one text. */
struct span smtp_sink_commands(struct smtp_sink *s);
struct span smtp_sink_mail(struct smtp_sink *s);

#endif
