/*
 * SMTP client: gives one mail back to Postfix, streaming, under flow control. One
 * connection a mail, opened late and closed early (measured.md 3). Dropping it before
 * the final dot leaves nothing behind in Postfix.
 */
#ifndef CHATMAILD_REINJECT_H
#define CHATMAILD_REINJECT_H

#include <event2/buffer.h>
#include <event2/event.h>

#include "chatmaild/endpoint.h"
#include "proto/smtp.h"

struct reinject;

struct reinject_events {
	/* There is room: call reinject_write() again. */
	void (*on_room)(void *arg);
	/*
	 * The end, once: Postfix's final reply to the end of data, or what stood in the
	 * way, ready to be passed on: its class kept, 421 made 451, an unexpected 2xx or
	 * 3xx made 451, trouble with the connection "451 4.3.0 ...". Code 250 means that
	 * Postfix has the mail. The callee calls reinject_destroy().
	 */
	void (*on_reply)(void *arg, unsigned code, struct span text);
};

/*
 * Connect and send the envelope (mail_from empty for <>); copies what it needs. BODY and
 * SMTPUTF8 parameters are passed on when the peer offers them and they are needed.
 * Nothing is called back before this returns.
 */
struct reinject *reinject_create(struct event_base *base, const struct endpoint *to,
    const char *helo, struct span mail_from, const struct span *rcpt_to, size_t nrcpt,
    const struct reinject_events *events, void *arg);

/* Drop it: without a final dot sent, Postfix forgets the mail. Accepts NULL. */
void reinject_destroy(struct reinject *r);

/* Dot-stuffed bytes, moved out of data. May be called before the peer is ready: they wait. */
void reinject_write(struct reinject *r, struct evbuffer *data);

/* Bytes given and not yet written to the socket: the caller stops reading above a mark. */
size_t reinject_waiting(const struct reinject *r);

/* All is written: send the end of data. Only after the verdict. */
void reinject_finish(struct reinject *r);

#endif
