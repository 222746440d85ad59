/*
 * From a client that may know nothing to one that is online as echo@DOMAIN: a table of
 * calls, each answer choosing the next. What does not answer as expected is given up, and
 * tried again from the beginning.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "chatmaild/echobot_private.h"

enum stage {
	FIND_ACCOUNT,
	ADD_ACCOUNT,
	SET_CONFIG,
	LIST_TRANSPORTS,
	REMOVE_ACCOUNT,
	SET_TRANSPORT,
	START_IO,
	GET_LINK,
	ONLINE,
	UNEXPECTED, /* the answer makes no sense */
};

static json_t *no_params(const struct echobot *b)
{
	return json_array();
}

static json_t *account_params(const struct echobot *b)
{
	return json_pack("[I]", b->id);
}

/* A client keeps as many accounts as one likes; we made only this one. */
static enum stage on_accounts(struct echobot *b, const json_t *result)
{
	b->id = json_integer_value(json_array_get(result, 0));
	if (!json_is_array(result))
		return UNEXPECTED;
	return b->id > 0 ? SET_CONFIG : ADD_ACCOUNT;
}

static enum stage on_added(struct echobot *b, const json_t *result)
{
	b->id = json_integer_value(result);
	return b->id > 0 ? SET_CONFIG : UNEXPECTED;
}

/*
 * bot: contact requests are accepted, and its own mail says that a machine wrote it. What
 * was answered is of no use any more, on the relay and here; what is said in an hour
 * remains for a quote.
 */
static json_t *config_params(const struct echobot *b)
{
	return json_pack("[I, {s:s, s:s, s:s, s:s}]", b->id, "bot", "1", "displayname",
	    "Echo bot", "delete_device_after", "3600", "mdns_enabled", "0");
}

static enum stage on_config(struct echobot *b, const json_t *result)
{
	return LIST_TRANSPORTS;
}

/* The relay's own services, on this machine: no certificate is of that name. */
static void add_server(json_t *o, const char *kind, const struct endpoint *ep)
{
	static const char *const keys[] = { "Server", "Port", "Security" };
	char host[NI_MAXHOST], port[NI_MAXSERV], key[32];

	if (getnameinfo((const struct sockaddr *)&ep->addr, ep->len, host, sizeof(host),
		port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		snprintf(key, sizeof(key), "%s%s", kind, keys[i]);
		json_object_set_new(o, key,
		    i == 0   ? json_string(host)
		    : i == 1 ? json_integer(atoi(port))
			     : json_string("ssl"));
	}
}

static json_t *make_transport(const struct echobot *b)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "addr", b->account.address, "password",
	    b->account.password, "certificateChecks", "acceptInvalidCertificates");

	add_server(o, "imap", &b->daemon->config->echobot_imap);
	add_server(o, "smtp", &b->daemon->config->echobot_smtp);
	return o;
}

/* An account of another address, as of a relay that was renamed, is of no use. */
static enum stage on_transports(struct echobot *b, const json_t *result)
{
	const json_t *has = json_array_get(result, 0), *value;
	const char *address = json_string_value(json_object_get(has, "addr"));
	enum stage next = START_IO;
	json_t *wanted;
	const char *key;

	if (!json_is_array(result))
		return UNEXPECTED;
	if (json_array_size(result) == 0)
		return SET_TRANSPORT;
	if (json_array_size(result) > 1 || !address ||
	    strcmp(address, b->account.address) != 0)
		return REMOVE_ACCOUNT;
	wanted = make_transport(b);
	json_object_foreach(wanted, key, value)
	{
		if (!json_equal(value, json_object_get(has, key)))
			next = SET_TRANSPORT;
	}
	json_decref(wanted);
	return next;
}

static enum stage on_removed(struct echobot *b, const json_t *result)
{
	return ADD_ACCOUNT;
}

static json_t *transport_params(const struct echobot *b)
{
	return json_pack("[I, o]", b->id, make_transport(b));
}

static enum stage on_transport(struct echobot *b, const json_t *result)
{
	return START_IO;
}

static enum stage on_started(struct echobot *b, const json_t *result)
{
	return GET_LINK;
}

/* No chat: an invitation to the account itself. */
static json_t *link_params(const struct echobot *b)
{
	return json_pack("[I, n]", b->id);
}

static enum stage on_link(struct echobot *b, const json_t *result)
{
	const char *link = json_string_value(result);

	if (!link || !echobot_is_link(link))
		return UNEXPECTED;
	echobot_online(b, link);
	return ONLINE;
}

static const struct {
	const char *method;
	json_t *(*params)(const struct echobot *b);
	enum stage (*next)(struct echobot *b, const json_t *result);
} stages[] = {
	[FIND_ACCOUNT] = { "get_all_account_ids", no_params, on_accounts },
	[ADD_ACCOUNT] = { "add_account", no_params, on_added },
	[SET_CONFIG] = { "batch_set_config", config_params, on_config },
	[LIST_TRANSPORTS] = { "list_transports", account_params, on_transports },
	[REMOVE_ACCOUNT] = { "remove_account", account_params, on_removed },
	[SET_TRANSPORT] = { "add_or_update_transport", transport_params, on_transport },
	[START_IO] = { "start_io", account_params, on_started },
	[GET_LINK] = { "get_chat_securejoin_qr_code", link_params, on_link },
};

static void on_answer(void *arg, const json_t *result, const char *why);

static void enter(struct echobot *b, enum stage stage)
{
	const struct echobot_timing *t = b->timing;

	b->stage = stage;
	rpc_call(b->rpc, stages[stage].method, stages[stage].params(b),
	    stage == SET_TRANSPORT ? t->configure_s : t->call_s, on_answer, b);
}

static void on_answer(void *arg, const json_t *result, const char *why)
{
	struct echobot *b = arg;
	enum stage next = UNEXPECTED;
	char text[RPC_WHY_MAX + 64];

	if (result)
		next = stages[b->stage].next(b, result);
	if (next == ONLINE)
		return;
	if (next != UNEXPECTED) {
		enter(b, next);
		return;
	}
	snprintf(text, sizeof(text), "%s: %s", stages[b->stage].method,
	    why ? why : "an answer of another kind");
	echobot_give_up(b, text);
}

void echobot_setup(struct echobot *b)
{
	enter(b, FIND_ACCOUNT);
}
