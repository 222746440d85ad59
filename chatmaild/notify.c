/*
 * Service notify: takes what is due from the push queue and posts it, one device token
 * a request, to the notification service, which rings the phone. No socket of its own:
 * one HTTP/2 connection out. The queue decides when, h2 how; here is what the service's
 * answers mean. Tokens never show in the log.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chatmaild/daemon.h"
#include "chatmaild/h2.h"
#include "chatmaild/log.h"
#include "chatmaild/push_queue.h"

#define WARN_INTERVAL_S 60

struct notify {
	struct daemon *daemon;
	struct h2 *h2;
	/* What h2 was made with. */
	char *url, *ca_file;
	int max_streams;
	bool ipv4_only;

	bool stopping;     /* what is in flight stays with the queue */
	time_t warned;     /* when the last warning about a failed request was logged */
	uint64_t unwarned; /* failed requests since */
	struct notify_counters {
		uint64_t ok, gone, busy, refused, broken, other;
		struct histogram answered;
		struct h2_counters
		    h2; /* a copy, those of former connections included */
	} counters;
	struct h2_counters former; /* of clients that a reload replaced */
};

/* "status" is 0 for a request without an answer. */
static void notify_warn(struct notify *n, unsigned status)
{
	time_t now = time(NULL);

	if (now >= n->warned && now - n->warned < WARN_INTERVAL_S) {
		n->unwarned++;
		return;
	}
	if (status)
		log_warning("push: Notification request failed: status %u", status);
	else
		log_warning("push: Notification request failed: no answer");
	if (n->unwarned > 0)
		log_warning("push: %llu others failed since the last such line",
		    (unsigned long long)n->unwarned);
	n->warned = now;
	n->unwarned = 0;
}

static void count_status(struct notify_counters *c, unsigned status)
{
	if (status == 200)
		c->ok++;
	else if (status == 410)
		c->gone++;
	else if (status == 429)
		c->busy++;
	else if (status >= 400 && status < 500)
		c->refused++;
	else if (status >= 500 && status < 600)
		c->broken++;
	else
		c->other++;
}

/* Redirects are not followed: only 200 is good, and only 410 is final. */
static enum push_result result_of(enum h2_outcome outcome, unsigned status)
{
	if (outcome == H2_UNSENT)
		return PUSH_UNSENT;
	if (outcome == H2_FAILED)
		return PUSH_FAILED;
	return status == 200   ? PUSH_SENT
	       : status == 410 ? PUSH_TOKEN_DEAD
			       : PUSH_FAILED;
}

static void on_done(void *arg, enum h2_outcome outcome, unsigned status)
{
	struct push *push = arg;
	struct notify *n = push->stream;
	enum push_result result = result_of(outcome, status);

	if (n->stopping)
		return;
	if (outcome == H2_ANSWERED) {
		count_status(&n->counters, status);
		histogram_since(&n->counters.answered, push->sent);
	}
	if (result == PUSH_FAILED)
		notify_warn(n, status);
	push_queue_finish(n->daemon->pushes, push, result, time(NULL));
}

static void notify_pump(struct notify *n)
{
	struct push_queue *q = n->daemon->pushes;
	time_t now = time(NULL);
	struct push *push;

	while (h2_room(n->h2) > 0 && (push = push_queue_take(q, now))) {
		push->stream = n;
		push->sent = histogram_clock();
		h2_post(n->h2, span_of(push->token), on_done, push);
	}
}

static void on_due(void *arg)
{
	struct notify *n = arg;

	h2_want(n->h2);
	notify_pump(n);
}

static void on_ready(void *arg)
{
	struct notify *n = arg;

	push_queue_resume(n->daemon->pushes);
	notify_pump(n);
}

static void on_room(void *arg)
{
	notify_pump(arg);
}

static void on_down(void *arg)
{
	struct notify *n = arg;

	push_queue_pause(n->daemon->pushes);
}

static const struct h2_events h2_events = { on_ready, on_room, on_down };

/* False if the config in force is no good; logged. Else n->h2 is a new client. */
static bool notify_open(struct notify *n)
{
	const struct config *c = n->daemon->config;
	const struct h2_options options = {
		.url = c->push_url,
		.ca_file = c->push_ca_file,
		.ipv4_only = c->disable_ipv6,
		.max_streams = (unsigned)c->push_max_streams,
		.timing = &h2_timing,
	};
	const char *why = NULL;
	struct h2 *h2 = h2_create(n->daemon->base, &options, &h2_events, n, &why);

	if (!h2) {
		log_error("push_url or push_ca_file: %s", why);
		return false;
	}
	free(n->url);
	free(n->ca_file);
	n->h2 = h2;
	n->url = strdup(c->push_url);
	n->ca_file = strdup(c->push_ca_file);
	if (!n->url || !n->ca_file)
		abort();
	n->max_streams = c->push_max_streams;
	n->ipv4_only = c->disable_ipv6;
	return true;
}

static void add_counters(struct h2_counters *to, const struct h2_counters *c)
{
	to->connects += c->connects;
	to->connect_failures += c->connect_failures;
	to->lost += c->lost;
	to->goaway += c->goaway;
	to->resets += c->resets;
	to->timeouts += c->timeouts;
}

static void *notify_start(struct daemon *d, const struct service *self)
{
	struct notify *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->daemon = d;
	if (!notify_open(n)) {
		free(n);
		return NULL;
	}
	push_queue_serve(d->pushes, on_due, n);
	return n;
}

/* A file of certificates may have new ones. */
static bool notify_is_current(const struct notify *n)
{
	const struct config *c = n->daemon->config;

	return strcmp(n->url, c->push_url) == 0 &&
	       strcmp(n->ca_file, c->push_ca_file) == 0 && *n->ca_file == '\0' &&
	       n->max_streams == c->push_max_streams && n->ipv4_only == c->disable_ipv6;
}

/* What was in flight is tried again over the new connection. */
static void notify_reload(void *state)
{
	struct notify *n = state;
	struct h2 *old = n->h2;

	if (notify_is_current(n) || !notify_open(n))
		return;
	add_counters(&n->former, h2_counters(old));
	h2_destroy(old);
	push_queue_resume(n->daemon->pushes);
	h2_want(n->h2);
}

static void notify_stop(void *state)
{
	struct notify *n = state;

	n->stopping = true;
	h2_destroy(n->h2);
	push_queue_serve(n->daemon->pushes, NULL, NULL);
	free(n->url);
	free(n->ca_file);
	free(n);
}

static const void *notify_counters(void *state)
{
	struct notify *n = state;

	n->counters.h2 = *h2_counters(n->h2);
	add_counters(&n->counters.h2, &n->former);
	return &n->counters;
}

#define COUNTER(field) offsetof(struct notify_counters, field)
#define ANSWERS                                                                        \
	"chatmail_push_answers_total", "Answers of the notification service.",         \
	    OPENMETRICS_COUNTER
#define CONNECTIONS                                                                    \
	"chatmail_push_connections_total",                                             \
	    "Connections to the notification service, and how they ended.",            \
	    OPENMETRICS_COUNTER
#define UNANSWERED                                                                     \
	"chatmail_push_unanswered_total",                                              \
	    "Requests that the notification service did not answer.",                  \
	    OPENMETRICS_COUNTER

static const struct metric_def notify_metrics[] = {
	{ "chatmail_push_connected",
	    "1 while notifications can be sent to the notification service.",
	    OPENMETRICS_GAUGE, NULL, COUNTER(h2.connected) },
	{ CONNECTIONS, "event=\"made\"", COUNTER(h2.connects) },
	{ CONNECTIONS, "event=\"failed\"", COUNTER(h2.connect_failures) },
	{ CONNECTIONS, "event=\"lost\"", COUNTER(h2.lost) },
	{ CONNECTIONS, "event=\"goaway\"", COUNTER(h2.goaway) },
	{ ANSWERS, "code=\"200\"", COUNTER(ok) },
	{ ANSWERS, "code=\"410\"", COUNTER(gone) },
	{ ANSWERS, "code=\"429\"", COUNTER(busy) },
	{ ANSWERS, "code=\"4xx\"", COUNTER(refused) },
	{ ANSWERS, "code=\"5xx\"", COUNTER(broken) },
	{ ANSWERS, "code=\"other\"", COUNTER(other) },
	{ "chatmail_push_seconds",
	    "Notifications that the notification service answered, from the request.",
	    OPENMETRICS_HISTOGRAM, NULL, COUNTER(answered) },
	{ UNANSWERED, "reason=\"reset\"", COUNTER(h2.resets) },
	{ UNANSWERED, "reason=\"timeout\"", COUNTER(h2.timeouts) },
};

const struct service notify_service = {
	.name = "notify",
	.labels = "service=\"notify\"",
	.socket = SERVICE_NO_SOCKET,
	.start = notify_start,
	.reload = notify_reload,
	.stop = notify_stop,
	.metrics = notify_metrics,
	.nmetrics = sizeof(notify_metrics) / sizeof(notify_metrics[0]),
	.counters = notify_counters,
};
