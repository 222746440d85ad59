/*
 * What the parts of the mail filter share: filter.c is the services outgoing and
 * incoming, filter_conn.c one SMTP connection from Postfix, filter_command.c what it
 * answers to commands, filter_mail.c one mail on its way through.
 */
#ifndef CHATMAILD_FILTER_H
#define CHATMAILD_FILTER_H

#include <stdint.h>
#include <sys/queue.h>

#include "chatmaild/daemon.h"
#include "milter/message.h"
#include "milter/ratelimit.h"
#include "milter/verdict.h"

struct filter_conn;

/* Mails by their size, for what takes longer the more there is of it. */
enum filter_size {
	FILTER_SMALL,  /* held as a whole before Postfix is bothered */
	FILTER_MEDIUM, /* to FILTER_MEDIUM_MAX */
	FILTER_LARGE,
	FILTER_SIZES,
};
#define FILTER_MEDIUM_MAX (1024 * 1024) /* bytes */

struct filter_counters {
	uint64_t sessions;
	uint64_t connections, in_flight; /* gauges */
	uint64_t bytes;                  /* of mails, on the wire */
	/* By enum verdict_reason: what was found, be the mail passed or refused. */
	uint64_t verdict[VERDICT_REASONS];
	/* Refused before anybody looked at the content. */
	uint64_t too_large, bad_data, rate_limited, bad_sender;
	uint64_t protocol_errors; /* bad commands, replies 500 to 503 */
	uint64_t too_many_recipients;
	uint64_t abandoned; /* mails whose client left before the reply */
	struct histogram seconds[FILTER_SIZES]; /* from DATA to the reply */
	struct histogram reinjection;           /* of a mail that was handed back */
	uint64_t reinjected, reinject_refused_4xx, reinject_refused_5xx,
	    reinject_trouble;
};

/* State of one direction's service. */
struct filter {
	struct daemon *daemon;
	enum mail_direction direction;
	struct ratelimit *ratelimit; /* outgoing only, else NULL */
	LIST_HEAD(, filter_conn) connections;
	struct filter_counters counters;
};

#endif
