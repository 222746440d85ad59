/*
 * SMTP client: gives one mail back to Postfix, streaming, under flow control. One
 * connection a mail, opened late and closed early, because each open one occupies an
 * smtpd process. Dropping it before the final dot leaves nothing behind in Postfix.
 */
#ifndef CHATMAILD_REINJECT_H
#define CHATMAILD_REINJECT_H

#include <event2/buffer.h>
#include <event2/event.h>

#include "chatmaild/endpoint.h"
#include "proto/smtp.h"

#define REINJECT_ROOM (16 * 1024) /* bytes waiting at which on_room() comes */

struct reinject;

enum reinject_outcome {
	REINJECT_ACCEPTED, /* Postfix has the mail: its 250 to the end of data */
	REINJECT_REFUSED,  /* Postfix said no, at any stage */
	REINJECT_TROUBLE,  /* no connection, no answer, no SMTP; logged */
};

struct reinject_events {
	/* Few bytes are waiting: more may come. */
	void (*on_room)(void *arg);
	/*
	 * The end, once, at any time: a reply ready to be passed on. Of a refusal code
	 * and text are Postfix's, LF between the lines of text, but 421, 2xx and 3xx
	 * are made 451; for trouble it is "451 4.3.0 ...". text is valid during the
	 * call, in which or after which the callee calls reinject_destroy().
	 */
	void (*on_reply)(
	    void *arg, enum reinject_outcome outcome, unsigned code, struct span text);
};

/* Addresses as they stand between < and >, without CR, LF and NUL. */
struct reinject_envelope {
	struct span mail_from; /* empty for <> */
	const struct span *rcpt_to;
	size_t nrcpt;
};

/* How long to wait; each also bounds a peer that does not read. */
struct reinject_timeouts {
	/* Connecting included. At maxproc busy processes Postfix lets us connect and
	 * says nothing. */
	struct timeval greeting;
	/* For any other reply, and from reinject_finish() to the end, whatever is still
	 * to do. */
	struct timeval reply;
};

/* 30 and 90 seconds: DKIM lookups take up to 60, Postfix's smtpd_proxy_timeout is 100. */
extern const struct reinject_timeouts reinject_timeouts;

/*
 * Connect and send the envelope; copies what it needs, helo is the name to greet with.
 * timeouts must outlive it.
 * BODY=8BITMIME goes along when the peer offers it (RFC 6152); SMTPUTF8 (RFC 6531) when
 * it is offered and a recipient's address cannot do without. Asked for because of a
 * header or the sender, Postfix would bounce what Dovecot's LMTP, which has no SMTPUTF8,
 * takes as it is. Nothing is called back before this returns. Never NULL.
 */
struct reinject *reinject_create(struct event_base *base, const struct endpoint *to,
    const struct reinject_timeouts *timeouts, const char *helo,
    const struct reinject_envelope *envelope, const struct reinject_events *events,
    void *arg);

/* Drop it: without a final dot sent, Postfix forgets the mail. Accepts NULL. */
void reinject_destroy(struct reinject *r);

/* Dot-stuffed bytes, moved out of data. May be called before the peer is ready: they
 * wait. */
void reinject_write(struct reinject *r, struct evbuffer *data);

/* Bytes given and not yet written to the socket: the caller stops above a mark. */
size_t reinject_waiting(const struct reinject *r);

/* All is written, ending with a CRLF (or nothing was): send the end of data. Once. */
void reinject_finish(struct reinject *r);

#endif
