/*
 * The mail filter: services outgoing and incoming, two directions of one thing. Here is
 * their life; filter_conn.c talks, filter_mail.c decides.
 */
#include "chatmaild/filter.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chatmaild/filter_conn.h"

/* Senders whose budget is remembered; about 100 bytes each. */
#define FILTER_SENDERS_MAX 100000
/* Each may hold a mail: about 96 KiB at worst, a few KiB when idle. */
#define FILTER_CONNECTIONS_MAX 5000

static void filter_configure(struct filter *f)
{
	const struct config *config = f->daemon->config;

	if (f->ratelimit)
		ratelimit_configure(f->ratelimit,
		    (unsigned)config->max_user_send_per_minute,
		    (unsigned)config->max_user_send_burst_size);
}

static struct filter *filter_create(struct daemon *d, enum mail_direction direction)
{
	struct filter *f = calloc(1, sizeof *f);

	if (!f)
		abort();
	f->daemon = d;
	f->direction = direction;
	LIST_INIT(&f->connections);
	if (direction == MAIL_OUTGOING)
		f->ratelimit = ratelimit_create(FILTER_SENDERS_MAX);
	filter_configure(f);
	return f;
}

static void *outgoing_start(struct daemon *d, const struct service *self)
{
	return filter_create(d, MAIL_OUTGOING);
}

static void *incoming_start(struct daemon *d, const struct service *self)
{
	return filter_create(d, MAIL_INCOMING);
}

static void filter_accept(void *state, struct listener *from, evutil_socket_t fd)
{
	filter_conn_create(state, from, fd);
}

/* Temporary, so the mail is only late. A fresh socket has room for it. */
static void filter_full(void *state, evutil_socket_t fd)
{
	static const char reply[] = "421 4.3.2 Too many connections\r\n";

	(void)send(fd, reply, sizeof reply - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void filter_reload(void *state)
{
	filter_configure(state);
}

/* No 421 for the idle: Postfix would pass it on and close its client's session. */
static void filter_drain(void *state)
{
	struct filter *f = state;
	struct filter_conn *c, *next;

	for (c = LIST_FIRST(&f->connections); c; c = next) {
		next = filter_conn_next(c);
		filter_conn_drain(c);
	}
}

static unsigned filter_pending(const void *state)
{
	const struct filter *f = state;
	const struct filter_conn *c;
	unsigned n = 0;

	for (c = LIST_FIRST(&f->connections); c; c = filter_conn_next(c))
		n += filter_conn_busy(c);
	return n;
}

static void filter_stop(void *state)
{
	struct filter *f = state;

	while (!LIST_EMPTY(&f->connections))
		filter_conn_destroy(LIST_FIRST(&f->connections));
	ratelimit_destroy(f->ratelimit);
	free(f);
}

static const void *filter_counters(void *state)
{
	const struct filter *f = state;

	return &f->counters;
}

#define COUNTER(name, help, field)                                                     \
	{                                                                              \
		name, help, OPENMETRICS_COUNTER, NULL,                                 \
		    offsetof(struct filter_counters, field)                            \
	}
#define LABELLED(name, help, label, field)                                             \
	{                                                                              \
		name, help, OPENMETRICS_COUNTER, label,                                \
		    offsetof(struct filter_counters, field)                            \
	}
#define GAUGE(name, help, field)                                                       \
	{                                                                              \
		name, help, OPENMETRICS_GAUGE, NULL,                                   \
		    offsetof(struct filter_counters, field)                            \
	}

#define TIMED(name, help, label, field)                                                \
	{                                                                              \
		name, help, OPENMETRICS_HISTOGRAM, label,                              \
		    offsetof(struct filter_counters, field)                            \
	}

#define TOOK          "chatmail_filter_seconds"
#define TOOK_HELP     "Mails, from DATA to their reply, by size."
#define JUDGED        "chatmail_filter_mails_total"
#define JUDGED_HELP   "Mails judged by their content, by what they were."
#define REFUSED       "chatmail_filter_refused_total"
#define REFUSED_HELP  "Mails, senders and recipients refused before that."
#define REINJECT      "chatmail_filter_reinject_total"
#define REINJECT_HELP "Mails handed back to Postfix, by its answer."

/* The same for both directions, which the service's label tells apart. */
static const struct metric_def filter_metrics[] = {
	COUNTER(
	    "chatmail_filter_sessions_total", "SMTP connections accepted.", sessions),
	GAUGE("chatmail_filter_connections", "SMTP connections open.", connections),
	GAUGE("chatmail_filter_in_flight", "Mails between DATA and their reply.",
	    in_flight),
	COUNTER("chatmail_filter_received_bytes_total",
	    "Bytes of mails that were received to their end.", bytes),
	LABELLED(JUDGED, JUDGED_HELP, "verdict=\"encrypted\"",
	    verdict[VERDICT_IS_ENCRYPTED]),
	LABELLED(JUDGED, JUDGED_HELP, "verdict=\"bounce\"", verdict[VERDICT_IS_BOUNCE]),
	LABELLED(
	    JUDGED, JUDGED_HELP, "verdict=\"allowed\"", verdict[VERDICT_IS_ALLOWED]),
	LABELLED(JUDGED, JUDGED_HELP, "verdict=\"no_from\"", verdict[VERDICT_NO_FROM]),
	LABELLED(
	    JUDGED, JUDGED_HELP, "verdict=\"wrong_from\"", verdict[VERDICT_WRONG_FROM]),
	LABELLED(JUDGED, JUDGED_HELP, "verdict=\"not_encrypted\"",
	    verdict[VERDICT_NOT_ENCRYPTED]),
	LABELLED(JUDGED, JUDGED_HELP, "verdict=\"broken\"", verdict[VERDICT_BROKEN]),
	LABELLED(REFUSED, REFUSED_HELP, "reason=\"too_large\"", too_large),
	LABELLED(REFUSED, REFUSED_HELP, "reason=\"bad_data\"", bad_data),
	LABELLED(REFUSED, REFUSED_HELP, "reason=\"rate_limited\"", rate_limited),
	LABELLED(REFUSED, REFUSED_HELP, "reason=\"bad_sender\"", bad_sender),
	LABELLED(REFUSED, REFUSED_HELP, "reason=\"too_many_recipients\"",
	    too_many_recipients),
	COUNTER("chatmail_filter_bad_commands_total",
	    "Commands answered as the peer's mistake.", protocol_errors),
	COUNTER("chatmail_filter_abandoned_total",
	    "Mails whose client left before their reply.", abandoned),
	LABELLED(REINJECT, REINJECT_HELP, "result=\"accepted\"", reinjected),
	LABELLED(
	    REINJECT, REINJECT_HELP, "result=\"refused_4xx\"", reinject_refused_4xx),
	LABELLED(
	    REINJECT, REINJECT_HELP, "result=\"refused_5xx\"", reinject_refused_5xx),
	LABELLED(REINJECT, REINJECT_HELP, "result=\"trouble\"", reinject_trouble),
	TIMED(TOOK, TOOK_HELP, "size=\"small\"", seconds[FILTER_SMALL]),
	TIMED(TOOK, TOOK_HELP, "size=\"medium\"", seconds[FILTER_MEDIUM]),
	TIMED(TOOK, TOOK_HELP, "size=\"large\"", seconds[FILTER_LARGE]),
	TIMED("chatmail_reinjection_seconds",
	    "Mails handed back to Postfix, from the connection to its answer.", NULL,
	    reinjection),
};

/* All but what the two directions are told apart by. */
#define EITHER_DIRECTION                                                               \
	.socket_mode = 0660, .max_connections = FILTER_CONNECTIONS_MAX,                \
	.accept = filter_accept, .full = filter_full, .reload = filter_reload,         \
	.drain = filter_drain, .pending = filter_pending, .stop = filter_stop,         \
	.metrics = filter_metrics,                                                     \
	.nmetrics = sizeof filter_metrics / sizeof *filter_metrics,                    \
	.counters = filter_counters

const struct service outgoing_service = {
	.name = "filter_outgoing",
	.labels = "direction=\"outgoing\"",
	.socket = offsetof(struct config, filter_outgoing_socket),
	.start = outgoing_start,
	EITHER_DIRECTION,
};

const struct service incoming_service = {
	.name = "filter_incoming",
	.labels = "direction=\"incoming\"",
	.socket = offsetof(struct config, filter_incoming_socket),
	.start = incoming_start,
	EITHER_DIRECTION,
};
