/*
 * Service "lastlogin": Dovecot tells of each IMAP login. Kept to the day only, by
 * design: nothing finer is ever stored.
 */
#include <stdlib.h>

#include "chatmaild/dict_conn.h"
#include "chatmaild/log.h"
#include "chatmaild/users.h"
#include "proto/address.h"

#define SECONDS_MAX 253402300799 /* the end of the year 9999 */

struct lastlogin_counters {
	struct dict_counters dict;
	uint64_t logins;
	uint64_t unknown; /* logins of accounts that are not there */
};

struct lastlogin {
	struct dict_server server;          /* first, for dict_service_*() */
	struct lastlogin_counters counters; /* dict: a copy, for the metrics */
};

/* Digits only, and a time there can be. */
static bool parse_seconds(struct span text, int64_t *seconds)
{
	int64_t n = 0;

	if (text.len == 0)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		n = n * 10 + (text.data[i] - '0');
		if (n > SECONDS_MAX)
			return false;
	}
	*seconds = n;
	return true;
}

static bool parse_set(
    const struct dict_set *set, struct span *address, int64_t *seconds)
{
	static const char prefix[] = "shared/last-login/";

	if (!span_starts(set->key, prefix))
		return false;
	*address = span_skip(set->key, sizeof(prefix) - 1);
	return address_is_path(*address) && parse_seconds(set->value, seconds);
}

/* A login of an account that is gone is worth a line, but no failure of Dovecot's. */
static void note_unknown(struct lastlogin *l, struct span address)
{
	l->counters.unknown++;
	log_error("lastlogin: a login without a password file");
	log_debug("Can not get last login timestamp for %.*s", SPAN_ARG(address));
}

static bool apply(struct lastlogin *l, const struct dict_set *set)
{
	struct span address;
	int64_t seconds;

	if (!parse_set(set, &address, &seconds))
		return false;
	switch (users_login(l->server.daemon->users, address, seconds)) {
	case USERS_FOUND:
		l->counters.logins++;
		return true;
	case USERS_TROUBLE:
		return false;
	default:
		note_unknown(l, address);
		return true;
	}
}

static void on_commit(struct dict_conn *c, const struct dict_transaction *t)
{
	struct lastlogin *l = dict_conn_server(c)->service;
	bool good = true;

	for (size_t i = 0; i < t->nsets; i++)
		good = apply(l, &t->set[i]) && good;
	dict_conn_reply(c, good ? 'O' : 'F', span_make("", 0));
}

static void on_lookup(struct dict_conn *c, struct span key, struct span user)
{
	log_info("lastlogin: a lookup, there is nothing to look up");
	dict_conn_reply(c, 'N', span_make("", 0));
}

static void on_iterate(struct dict_conn *c, struct span path, struct span user)
{
	dict_conn_end(c);
}

static const struct dict_handler lastlogin_handler = {
	.lookup = on_lookup,
	.iterate = on_iterate,
	.commit = on_commit,
};

static void *lastlogin_start(struct daemon *d, const struct service *self)
{
	struct lastlogin *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	dict_server_init(&l->server, d, self->name, &lastlogin_handler, l);
	return l;
}

static void lastlogin_stop(void *state)
{
	struct lastlogin *l = state;

	dict_server_stop(&l->server);
	free(l);
}

static const void *lastlogin_counters(void *state)
{
	struct lastlogin *l = state;

	l->counters.dict = l->server.counters;
	return &l->counters;
}

static const struct metric_def lastlogin_metrics[] = {
	DICT_METRICS(struct lastlogin_counters),
	{ "chatmail_logins_total", "Logins that Dovecot reported: of IMAP clients.",
	    OPENMETRICS_COUNTER, NULL, offsetof(struct lastlogin_counters, logins) },
	{ "chatmail_lastlogin_unknown_total", "Logins of accounts that are not there.",
	    OPENMETRICS_COUNTER, NULL, offsetof(struct lastlogin_counters, unknown) },
};

const struct service lastlogin_service = {
	.name = "lastlogin",
	.labels = "service=\"lastlogin\"",
	.socket = offsetof(struct config, lastlogin_socket),
	.socket_mode = 0660,
	.max_connections = 20000,
	.start = lastlogin_start,
	.accept = dict_service_accept,
	.drain = dict_service_drain,
	.pending = dict_service_pending,
	.stop = lastlogin_stop,
	.metrics = lastlogin_metrics,
	.nmetrics = sizeof(lastlogin_metrics) / sizeof(lastlogin_metrics[0]),
	.counters = lastlogin_counters,
};
