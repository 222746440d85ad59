/*
 * One mail on its way through the filter, from behind DATA to the reply: finds its end,
 * has it judged, holds it while it is small, streams it to the re-injection when it is
 * not.
 *
 * The reply exists only once the client's final dot was read: Postfix throws away an
 * earlier one. It says 250 only if the re-injection did.
 */
#ifndef CHATMAILD_FILTER_MAIL_H
#define CHATMAILD_FILTER_MAIL_H

#include "chatmaild/filter.h"

/* Bytes held and judged before Postfix is bothered; more than that streams. */
#define FILTER_HOLD_MAX (64 * 1024)
/* Bytes on their way to Postfix at which no more are taken from the client. */
#define FILTER_STREAM_MAX (32 * 1024)

struct filter_mail;

struct filter_mail_events {
	/* After FILTER_MAIL_FULL: feed again. */
	void (*on_room)(void *arg);
	/* After FILTER_MAIL_WAIT: filter_mail_reply() has its answer. */
	void (*on_reply)(void *arg);
};

enum filter_mail_step {
	FILTER_MAIL_MORE,  /* all was used, the end was not there */
	FILTER_MAIL_FULL,  /* Postfix is slower than the client: wait for on_room */
	FILTER_MAIL_WAIT,  /* the final dot was used, on_reply will come */
	FILTER_MAIL_REPLY, /* the final dot was used, the reply is there */
};

/* Borrows envelope and what it points to until filter_mail_destroy(). Never NULL. */
struct filter_mail *filter_mail_create(struct filter *f,
    const struct envelope *envelope, const struct filter_mail_events *events,
    void *arg);

/* Without a reply taken, the mail is dropped and nothing is delivered. Accepts NULL. */
void filter_mail_destroy(struct filter_mail *m);

/* Take bytes of the DATA stream from in, none from behind the final dot; used tells how
 * many. */
enum filter_mail_step filter_mail_feed(
    struct filter_mail *m, struct span in, size_t *used);

/* The reply with its line ends; valid until filter_mail_destroy(). */
const char *filter_mail_reply(const struct filter_mail *m);

#endif
