/*
 * Service "metadata": what clients set and get by IMAP METADATA (RFC 5464) and Dovecot
 * keeps in a dict: device tokens, facts about this relay, and the hook's word that a
 * message came. Dovecot's mailbox id in the keys does not matter: an account has one set
 * of tokens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "chatmaild/appversions.h"
#include "chatmaild/dict_conn.h"
#include "chatmaild/log.h"
#include "chatmaild/push_queue.h"
#include "chatmaild/tokens.h"
#include "chatmaild/turn.h"
#include "chatmaild/users.h"
#include "proto/address.h"

#define SERVER_FACTS   "vendor/vendor.dovecot/pvt/server/vendor/deltachat/"
#define MAX_RECIPIENTS "1000" /* Postfix, smtpd_recipient_limit */
#define PURGE_S        86400  /* between two looks for stale tokens */
#define TURN_QUERIES   256    /* at once; the helper's trouble is not to become ours */

struct metadata_counters {
	struct dict_counters dict;
	struct push_counters push;
	uint64_t tokens_set, tokens_refused;
	uint64_t messages;
	uint64_t turn_given, turn_failed;
};

LIST_HEAD(turn_lookups, turn_lookup);

struct metadata {
	struct daemon *daemon;
	struct dict_server server;
	struct event *purge;
	struct turn_lookups turn_lookups;
	unsigned turn_queries;
	bool appversions_failing;          /* logged already */
	bool turn_failing;                 /* logged already */
	struct metadata_counters counters; /* dict, push: copies, for the metrics */
};

static struct metadata *metadata_of(struct dict_conn *c)
{
	return dict_conn_server(c)->service;
}

static void reply_empty(struct dict_conn *c, char status)
{
	dict_conn_reply(c, status, span_make("", 0));
}

/* --- lookups --------------------------------------------------------------------- */

static void lookup_tokens(struct dict_conn *c, struct span user)
{
	struct metadata *m = metadata_of(c);
	char *list = tokens_list(m->daemon->store, user, time(NULL));

	if (list)
		dict_conn_reply(c, 'O', span_of(list));
	else
		dict_conn_reply(c, 'F', span_of("temporary failure"));
	free(list);
}

static void lookup_irohrelay(struct dict_conn *c)
{
	const char *url = metadata_of(c)->daemon->config->iroh_relay;

	if (*url)
		dict_conn_reply(c, 'O', span_of(url));
	else
		reply_empty(c, 'N');
}

static void lookup_maxsmtprecipients(struct dict_conn *c)
{
	dict_conn_reply(c, 'O', span_of(MAX_RECIPIENTS));
}

/* Once per trouble. */
static void note_appversions(struct metadata *m, const char *path, const char *why)
{
	if (why && !m->appversions_failing)
		log_warning("metadata: %s: %s", path, why);
	m->appversions_failing = why != NULL;
}

static void lookup_appversions(struct dict_conn *c)
{
	struct metadata *m = metadata_of(c);
	const char *path = appversions_path(m->daemon->config->appversions_file);
	const char *why = NULL;
	char *line = appversions_read(path, &why);

	note_appversions(m, path, why);
	if (line)
		dict_conn_reply(c, 'O', span_of(line));
	else
		reply_empty(c, 'N');
	free(line);
}

/* A client that waits for the TURN helper. */
struct turn_lookup {
	LIST_ENTRY(turn_lookup) link;
	struct metadata *metadata;
	struct dict_ticket *ticket;
	struct turn_query *query;
};

static void reply_turn(struct dict_conn *c, struct span credentials)
{
	char value[TURN_LINE_MAX + 512];
	int len = snprintf(value, sizeof(value), "%s:%d:%.*s",
	    metadata_of(c)->daemon->config->mail_domain, TURN_PORT,
	    SPAN_ARG(credentials));

	metadata_of(c)->counters.turn_given++;
	if (len < (int)sizeof(value))
		dict_conn_reply(c, 'O', span_make(value, (size_t)len));
	else
		reply_empty(c, 'N');
}

/* Not found, for a failure would spoil the client's whole GETMETADATA. */
static void reply_no_turn(struct dict_conn *c)
{
	metadata_of(c)->counters.turn_failed++;
	reply_empty(c, 'N');
}

/* Once per trouble, and once when it is over. Many relays have no helper. */
static void note_turn(struct metadata *m, const char *why)
{
	if (why && !m->turn_failing)
		log_info("metadata: no TURN credentials from %s: %s",
		    m->daemon->config->turn_socket_path, why);
	else if (!why && m->turn_failing)
		log_info("metadata: the TURN helper answers again");
	m->turn_failing = why != NULL;
}

static void turn_lookup_end(struct turn_lookup *l)
{
	LIST_REMOVE(l, link);
	l->metadata->turn_queries--;
	free(l);
}

static void on_turn(void *arg, struct span line, const char *why)
{
	struct turn_lookup *l = arg;
	struct dict_conn *c = dict_ticket_redeem(l->ticket);

	note_turn(l->metadata, why);
	turn_lookup_end(l);
	if (c && why)
		reply_no_turn(c);
	else if (c)
		reply_turn(c, line);
}

static void ask_turn_helper(struct dict_conn *c)
{
	struct metadata *m = metadata_of(c);
	struct turn_lookup *l;

	if (m->turn_queries >= TURN_QUERIES) {
		reply_no_turn(c);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->query =
	    turn_ask(m->daemon->base, m->daemon->config->turn_socket_path, on_turn, l);
	if (!l->query) {
		free(l);
		reply_no_turn(c);
		return;
	}
	l->metadata = m;
	l->ticket = dict_conn_defer(c);
	m->turn_queries++;
	LIST_INSERT_HEAD(&m->turn_lookups, l, link);
}

static void lookup_turn(struct dict_conn *c)
{
	const char *secret = metadata_of(c)->daemon->config->turn_secret;
	char credentials[TURN_LINE_MAX];
	size_t len;

	if (!*secret) {
		ask_turn_helper(c);
		return;
	}
	len = turn_credentials(credentials, secret, time(NULL));
	reply_turn(c, span_make(credentials, len));
}

static const struct fact {
	const char *name;
	void (*lookup)(struct dict_conn *c);
} facts[] = {
	{ "appversions", lookup_appversions },
	{ "irohrelay", lookup_irohrelay },
	{ "maxsmtprecipients", lookup_maxsmtprecipients },
	{ "turn", lookup_turn },
};

/* Take namespace and mailbox id off key; what is left is compared as a whole. */
static bool cut_key(struct span *key, struct span *namespace)
{
	struct span id;

	return span_cut(key, '/', namespace) && span_cut(key, '/', &id) && key->data;
}

static void on_lookup(struct dict_conn *c, struct span key, struct span user)
{
	struct span rest = key, namespace;
	bool whole = cut_key(&rest, &namespace);

	if (whole && span_is(namespace, "priv") && span_is(rest, "devicetoken")) {
		lookup_tokens(c, user);
		return;
	}
	if (whole && span_is(namespace, "shared") && span_starts(rest, SERVER_FACTS)) {
		rest = span_skip(rest, sizeof(SERVER_FACTS) - 1);
		for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
			if (span_is(rest, facts[i].name)) {
				facts[i].lookup(c);
				return;
			}
		}
	}
	log_debug("metadata: nothing is known of %.*s", SPAN_ARG(key));
	reply_empty(c, 'N');
}

static void on_iterate(struct dict_conn *c, struct span path, struct span user)
{
	dict_conn_end(c);
}

/* --- sets ------------------------------------------------------------------------ */

/* What a transaction asks for. */
struct wishes {
	bool message; /* one push, however often it was said */
	size_t ntokens;
	struct span token[DICT_SETS_MAX]; /* borrowed */
};

static bool read_wishes(
    struct metadata *m, const struct dict_transaction *t, struct wishes *w)
{
	w->message = false;
	w->ntokens = 0;
	for (size_t i = 0; i < t->nsets; i++) {
		struct span key = t->set[i].key, namespace;

		if (!cut_key(&key, &namespace) || !span_is(namespace, "priv"))
			return false;
		if (span_is(key, "messagenew")) {
			w->message = true;
		} else if (!span_is(key, "devicetoken")) {
			return false;
		} else if (token_is_valid(t->set[i].value)) {
			w->token[w->ntokens++] = t->set[i].value;
		} else {
			m->counters.tokens_refused++;
			return false;
		}
	}
	return true;
}

/* Tokens are kept for accounts only: whoever asks for a stranger writes nothing. */
static bool may_apply(
    const struct metadata *m, struct span user, const struct wishes *w)
{
	struct user found;

	if (!address_is_path(user))
		return w->ntokens == 0 && !w->message;
	return w->ntokens == 0 ||
	       users_find(m->daemon->users, user, &found) == USERS_FOUND;
}

/* A commit whose sets are on their way to the disk. It may outlive the service. */
struct commit {
	struct dict_ticket *ticket;
	unsigned owed; /* acts not done yet */
	bool failed;
};

static void on_act_done(void *arg, int result)
{
	struct commit *commit = arg;
	struct dict_conn *c;

	if (result < 0)
		commit->failed = true;
	if (--commit->owed > 0)
		return;
	c = dict_ticket_redeem(commit->ticket);
	if (c)
		reply_empty(c, commit->failed ? 'F' : 'O');
	free(commit);
}

/* Tokens first: a message in the same transaction rings them too. */
static void apply(struct dict_conn *c, struct span user, const struct wishes *w)
{
	struct metadata *m = metadata_of(c);
	struct commit *commit = calloc(1, sizeof(*commit));
	int64_t now = time(NULL);

	if (!commit)
		abort();
	commit->ticket = dict_conn_defer(c);
	commit->owed = (w->ntokens > 0) + w->message;
	m->counters.tokens_set += w->ntokens;
	m->counters.messages += w->message;
	if (w->ntokens > 0)
		tokens_add(m->daemon->store, user, w->token, w->ntokens, now,
		    on_act_done, commit);
	if (w->message)
		push_queue_add(m->daemon->pushes, user, now, on_act_done, commit);
}

static void on_commit(struct dict_conn *c, const struct dict_transaction *t)
{
	struct metadata *m = metadata_of(c);
	struct wishes w;

	if (!read_wishes(m, t, &w) || !may_apply(m, t->user, &w))
		reply_empty(c, 'F');
	else if (w.ntokens == 0 && !w.message)
		reply_empty(c, 'O');
	else
		apply(c, t->user, &w);
}

/* --- the service ----------------------------------------------------------------- */

static const struct dict_handler metadata_handler = {
	.lookup = on_lookup,
	.iterate = on_iterate,
	.commit = on_commit,
};

static void on_purge(evutil_socket_t fd, short what, void *arg)
{
	const struct metadata *m = arg;

	tokens_purge(m->daemon->store, time(NULL));
}

static void *metadata_start(struct daemon *d, const struct service *self)
{
	static const struct timeval interval = { .tv_sec = PURGE_S };
	struct metadata *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->daemon = d;
	LIST_INIT(&m->turn_lookups);
	m->purge = event_new(d->base, -1, EV_PERSIST, on_purge, m);
	if (!m->purge || event_add(m->purge, &interval) < 0)
		abort();
	on_purge(-1, EV_TIMEOUT, m);
	dict_server_init(&m->server, d, self->name, &metadata_handler, m);
	return m;
}

static void metadata_accept(void *state, struct listener *from, evutil_socket_t fd)
{
	struct metadata *m = state;

	dict_server_accept(&m->server, from, fd);
}

static void metadata_drain(void *state)
{
	struct metadata *m = state;

	dict_server_drain(&m->server);
}

static unsigned metadata_pending(const void *state)
{
	const struct metadata *m = state;

	return dict_server_pending(&m->server);
}

static void metadata_stop(void *state)
{
	struct metadata *m = state;
	struct turn_lookup *l;

	dict_server_stop(&m->server);
	while ((l = LIST_FIRST(&m->turn_lookups))) {
		dict_ticket_redeem(l->ticket);
		turn_cancel(l->query);
		turn_lookup_end(l);
	}
	event_free(m->purge);
	free(m);
}

static const void *metadata_counters(void *state)
{
	struct metadata *m = state;

	m->counters.dict = m->server.counters;
	m->counters.push = *push_queue_counters(m->daemon->pushes);
	return &m->counters;
}

#define COUNTER(field) offsetof(struct metadata_counters, field)
#define TOKENS         "chatmail_tokens_total", "Device tokens that clients sent."
#define TURN           "chatmail_turn_total", "TURN credentials asked for."
#define ENDED          "chatmail_push_total", "Notifications, by what became of a try."

static const struct metric_def metadata_metrics[] = {
	DICT_METRICS(struct metadata_counters),
	DICT_LOOKUP_TIME(struct metadata_counters),
	{ TOKENS, OPENMETRICS_COUNTER, "result=\"kept\"", COUNTER(tokens_set) },
	{ TOKENS, OPENMETRICS_COUNTER, "result=\"refused\"", COUNTER(tokens_refused) },
	{ TURN, OPENMETRICS_COUNTER, "result=\"given\"", COUNTER(turn_given) },
	{ TURN, OPENMETRICS_COUNTER, "result=\"failed\"", COUNTER(turn_failed) },
	{ "chatmail_messages_new_total", "Delivered messages that Dovecot told of.",
	    OPENMETRICS_COUNTER, NULL, COUNTER(messages) },
	{ "chatmail_push_waiting", "Notifications queued, those in flight included.",
	    OPENMETRICS_GAUGE, NULL, COUNTER(push.queued) },
	{ "chatmail_push_in_flight", "Notifications with the notification service now.",
	    OPENMETRICS_GAUGE, NULL, COUNTER(push.in_flight) },
	{ "chatmail_push_added_total", "Notifications queued.", OPENMETRICS_COUNTER,
	    NULL, COUNTER(push.added) },
	{ "chatmail_push_coalesced_total",
	    "Messages whose notification was waiting already.", OPENMETRICS_COUNTER,
	    NULL, COUNTER(push.coalesced) },
	{ ENDED, OPENMETRICS_COUNTER, "result=\"sent\"", COUNTER(push.sent) },
	{ ENDED, OPENMETRICS_COUNTER, "result=\"dead_token\"",
	    COUNTER(push.dead_tokens) },
	{ ENDED, OPENMETRICS_COUNTER, "result=\"failed\"", COUNTER(push.failed) },
	{ ENDED, OPENMETRICS_COUNTER, "result=\"unsent\"", COUNTER(push.unsent) },
	{ "chatmail_push_expired_total",
	    "Notifications given up five hours after their message.",
	    OPENMETRICS_COUNTER, NULL, COUNTER(push.expired) },
	{ "chatmail_push_ownerless_total",
	    "Notifications dropped because the account is gone.", OPENMETRICS_COUNTER,
	    NULL, COUNTER(push.ownerless) },
	{ "chatmail_push_shed_total",
	    "Notifications not queued because too many waited.", OPENMETRICS_COUNTER,
	    NULL, COUNTER(push.shed) },
};

const struct service metadata_service = {
	.name = "metadata",
	.labels = "service=\"metadata\"",
	.socket = offsetof(struct config, metadata_socket),
	.socket_mode = 0660,
	.max_connections = 20000,
	.start = metadata_start,
	.accept = metadata_accept,
	.drain = metadata_drain,
	.pending = metadata_pending,
	.stop = metadata_stop,
	.metrics = metadata_metrics,
	.nmetrics = sizeof(metadata_metrics) / sizeof(metadata_metrics[0]),
	.counters = metadata_counters,
};
