/* See filter_mail.h. */
#include "chatmaild/filter_mail.h"

#include <assert.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chatmaild/log.h"
#include "chatmaild/reinject.h"
#include "proto/smtp_data.h"

struct filter_mail {
	struct filter *filter;
	const struct envelope *envelope;
	const struct filter_mail_events *events;
	void *arg;
	struct smtp_data data;
	uint64_t max_bytes;
	int64_t began;           /* histogram_clock() at DATA */
	int64_t reinjected;      /* and when the re-injection was begun */
	struct message *message; /* NULL once judged or refused */
	struct verdict verdict;  /* WAIT until judged */
	bool refused;            /* only the end is still looked for */
	bool ended;              /* the client's final dot was read */
	/* Stuffed, not yet given to the re-injection. While the header block comes, the
	 * message alone holds it. */
	struct evbuffer *hold;
	struct reinject *reinject; /* NULL before and after */
	char *failure;             /* what the re-injection said instead of accepting */
	char *reply;
};

static const char *const direction_names[] = {
	[MAIL_OUTGOING] = "Outgoing",
	[MAIL_INCOMING] = "Incoming",
};

/* A reply of code and text as it goes over the wire. */
static char *reply_format(unsigned code, struct span text)
{
	size_t len = smtp_format_reply(NULL, 0, code, text);
	char *reply = malloc(len + 1);

	if (!reply)
		abort();
	smtp_format_reply(reply, len, code, text);
	reply[len] = '\0';
	return reply;
}

static char *reply_line(const char *text)
{
	char *reply = NULL;

	if (asprintf(&reply, "%s\r\n", text) < 0)
		abort();
	return reply;
}

/* Nobody wants the rest. */
static void mail_give_up(struct filter_mail *m)
{
	reinject_destroy(m->reinject);
	m->reinject = NULL;
	message_destroy(m->message);
	m->message = NULL;
	evbuffer_drain(m->hold, evbuffer_get_length(m->hold));
	m->refused = true;
}

/* Lines that monitoring counts: one of the first two for each mail with a good From. */
static void mail_log_verdict(const struct filter_mail *m)
{
	const char *direction = direction_names[m->filter->direction];

	switch (m->verdict.reason) {
	case VERDICT_IS_ENCRYPTED:
		log_info("%s: Filtering encrypted mail.", direction);
		break;
	case VERDICT_IS_BOUNCE:
	case VERDICT_IS_ALLOWED:
		log_info("%s: Filtering unencrypted mail.", direction);
		break;
	case VERDICT_NOT_ENCRYPTED:
		log_info("%s: Filtering unencrypted mail.", direction);
		log_info("Rejected unencrypted mail.");
		break;
	default:
		log_info("%s: Rejected mail: %.3s", direction, m->verdict.reply);
	}
}

/* Ask for the verdict as long as there is none. */
static void mail_judge(struct filter_mail *m)
{
	const struct config *config = m->filter->daemon->config;
	const struct verdict_policy policy = {
		.passthrough_senders = (const char *const *)config->passthrough_senders,
		.passthrough_recipients =
		    (const char *const *)config->passthrough_recipients,
	};
	const char *why;

	if (!m->message || !message_classified(m->message))
		return;
	verdict_decide(&m->verdict, m->envelope, m->message, &policy);
	if (m->verdict.action == VERDICT_WAIT)
		return;
	why = message_reason(m->message);
	if (m->verdict.action == VERDICT_REFUSE) {
		log_debug("filter: refused: %s", why ? why : "policy");
		mail_give_up(m);
	}
	message_destroy(m->message);
	m->message = NULL;
}

static void on_reinject_room(void *arg)
{
	struct filter_mail *m = arg;

	if (!m->ended)
		m->events->on_room(m->arg);
}

static void mail_count_reinject(
    struct filter_mail *m, enum reinject_outcome outcome, unsigned code)
{
	struct filter_counters *counters = &m->filter->counters;

	if (outcome == REINJECT_ACCEPTED)
		counters->reinjected++;
	else if (outcome == REINJECT_TROUBLE)
		counters->reinject_trouble++;
	else if (code < 500)
		counters->reinject_refused_4xx++;
	else
		counters->reinject_refused_5xx++;
}

static void on_reinject_reply(
    void *arg, enum reinject_outcome outcome, unsigned code, struct span text)
{
	struct filter_mail *m = arg;
	char *reply = reply_format(code, text);

	mail_count_reinject(m, outcome, code);
	histogram_since(&m->filter->counters.reinjection, m->reinjected);
	reinject_destroy(m->reinject);
	m->reinject = NULL;
	if (m->ended) {
		m->reply = reply;
		m->events->on_reply(m->arg);
		return;
	}
	/* Too early for the client. The judging goes on: a refusal of ours is for good,
	 * while this one may be for now. */
	assert(outcome != REINJECT_ACCEPTED);
	m->failure = reply;
	m->events->on_room(m->arg);
}

static void mail_open_reinject(struct filter_mail *m)
{
	static const struct reinject_events events = {
		.on_room = on_reinject_room,
		.on_reply = on_reinject_reply,
	};
	const struct config *config = m->filter->daemon->config;
	const struct reinject_envelope envelope = {
		.mail_from =
		    m->verdict.null_sender ? span_of("") : m->envelope->mail_from,
		.rcpt_to = m->envelope->rcpt_to,
		.nrcpt = m->envelope->nrcpt,
	};

	m->reinjected = histogram_clock();
	m->reinject = reinject_create(m->filter->daemon->base,
	    m->filter->direction == MAIL_OUTGOING ? &config->reinject_outgoing
						  : &config->reinject_incoming,
	    &reinject_timeouts, config->mail_domain, &envelope, &events, m);
}

/* Give on what is held, once Postfix must be bothered. */
static void mail_forward(struct filter_mail *m)
{
	if (m->failure) {
		evbuffer_drain(m->hold, evbuffer_get_length(m->hold));
		return;
	}
	if (!m->reinject && evbuffer_get_length(m->hold) > FILTER_HOLD_MAX &&
	    (!m->message || message_classified(m->message)))
		mail_open_reinject(m);
	if (m->reinject)
		reinject_write(m->reinject, m->hold);
}

static void mail_hold(struct filter_mail *m, struct span text)
{
	if (evbuffer_add(m->hold, text.data, text.len) < 0)
		abort();
}

/* RFC 5321 section 4.5.2, on whole lines. */
static void mail_hold_stuffed(struct filter_mail *m, struct span text)
{
	const char *lf;

	if (span_starts(text, "."))
		mail_hold(m, span_of("."));
	while ((lf = memmem(text.data, text.len, "\n.", 2))) {
		size_t line = (size_t)(lf - text.data) + 1;

		mail_hold(m, span_make(text.data, line));
		mail_hold(m, span_of("."));
		text = span_skip(text, line);
	}
	mail_hold(m, text);
}

static void free_head(const void *data, size_t len, void *arg)
{
	free(arg);
}

/* The header block is complete: the hold takes it over, without a copy if it may. */
static void mail_hold_head(struct filter_mail *m)
{
	struct span head = message_head(m->message);
	char *owned = message_steal_head(m->message);

	if (!owned)
		return;
	if (span_starts(head, ".") || memmem(head.data, head.len, "\n.", 2)) {
		mail_hold_stuffed(m, head);
		free(owned);
	} else if (evbuffer_add_reference(
		       m->hold, head.data, head.len, free_head, owned) < 0) {
		abort();
	}
}

/* The next piece of the stream, unstuffed for the judge, stuffed for Postfix. */
static void mail_take(struct filter_mail *m, const struct smtp_data_run *run)
{
	bool in_head = m->message && !message_classified(m->message);
	struct span text = run->text;

	if (!m->refused && (m->data.bad || m->data.bytes > m->max_bytes))
		mail_give_up(m);
	if (m->refused)
		return;
	if (m->message)
		text = span_skip(text, message_feed(m->message, text));
	if (in_head && message_classified(m->message))
		mail_hold_head(m);
	if (run->dot && !in_head)
		mail_hold(m, span_of("."));
	mail_hold(m, text);
}

/* The client's dot was read. What is wrong comes in this order, whatever came first. */
static enum filter_mail_step mail_end(struct filter_mail *m)
{
	struct filter_counters *counters = &m->filter->counters;

	m->ended = true;
	counters->bytes += m->data.bytes;
	if (m->message) {
		message_end(m->message);
		mail_hold_head(m);
		mail_judge(m);
	}
	if (m->data.bytes > m->max_bytes) {
		counters->too_large++;
		m->reply = reply_line("552 Message exceeds maximum size");
		return FILTER_MAIL_REPLY;
	}
	if (m->data.bad) {
		log_debug("filter: %s", m->data.bad);
		counters->bad_data++;
		m->reply = reply_line("500 Invalid DATA");
		return FILTER_MAIL_REPLY;
	}
	assert(m->verdict.action != VERDICT_WAIT);
	counters->verdict[m->verdict.reason]++;
	mail_log_verdict(m);
	if (m->verdict.action == VERDICT_REFUSE) {
		m->reply = reply_line(m->verdict.reply);
		return FILTER_MAIL_REPLY;
	}
	if (m->failure) {
		m->reply = m->failure;
		m->failure = NULL;
		return FILTER_MAIL_REPLY;
	}
	if (!m->reinject)
		mail_open_reinject(m);
	reinject_write(m->reinject, m->hold);
	reinject_finish(m->reinject);
	return FILTER_MAIL_WAIT;
}

struct filter_mail *filter_mail_create(struct filter *f,
    const struct envelope *envelope, const struct filter_mail_events *events, void *arg)
{
	struct filter_mail *m = calloc(1, sizeof *m);

	if (!m)
		abort();
	m->filter = f;
	m->envelope = envelope;
	m->events = events;
	m->arg = arg;
	m->began = histogram_clock();
	m->max_bytes = (uint64_t)f->daemon->config->max_message_size;
	smtp_data_init(&m->data);
	m->message = message_create(f->direction);
	m->hold = evbuffer_new();
	if (!m->hold)
		abort();
	f->counters.in_flight++;
	return m;
}

static enum filter_size size_class(uint64_t bytes)
{
	return bytes <= FILTER_HOLD_MAX     ? FILTER_SMALL
	       : bytes <= FILTER_MEDIUM_MAX ? FILTER_MEDIUM
					    : FILTER_LARGE;
}

void filter_mail_destroy(struct filter_mail *m)
{
	if (!m)
		return;
	if (m->reply)
		histogram_since(
		    &m->filter->counters.seconds[size_class(m->data.bytes)], m->began);
	else
		m->filter->counters.abandoned++;
	m->filter->counters.in_flight--;
	mail_give_up(m);
	evbuffer_free(m->hold);
	free(m->failure);
	free(m->reply);
	free(m);
}

enum filter_mail_step filter_mail_feed(
    struct filter_mail *m, struct span in, size_t *used)
{
	struct smtp_data_run run;

	assert(!m->ended);
	*used = 0;
	while (*used < in.len) {
		*used +=
		    smtp_data_feed(&m->data, in.data + *used, in.len - *used, &run);
		mail_take(m, &run);
		if (run.end)
			return mail_end(m);
	}
	/* Once for all: there may be a run for every few bytes. */
	mail_judge(m);
	if (!m->refused)
		mail_forward(m);
	return m->reinject && reinject_waiting(m->reinject) > FILTER_STREAM_MAX
		   ? FILTER_MAIL_FULL
		   : FILTER_MAIL_MORE;
}

const char *filter_mail_reply(const struct filter_mail *m)
{
	return m->reply;
}
