/* See rpc_server.h. */
#include "test/chatmaild/rpc_server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/support.h"

#define ENDLESS_BYTES 300000

static void send_line(struct rpc_server *s, json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);

	assert_non_null(text);
	evbuffer_add_printf(bufferevent_get_output(s->bev), "%s\n", text);
	free(text);
	json_decref(o);
}

/* Takes result. */
static void answer(struct rpc_server *s, json_int_t id, json_t *result)
{
	send_line(s,
	    json_pack("{s:s, s:I, s:o}", "jsonrpc", "2.0", "id", id, "result", result));
}

static void hang_up(struct rpc_server *s)
{
	if (s->bev)
		bufferevent_free(s->bev);
	s->bev = NULL;
	s->event_id = 0;
	json_array_clear(s->waiting);
}

static void write_much(struct rpc_server *s)
{
	char *bytes = malloc(ENDLESS_BYTES);

	assert_non_null(bytes);
	memset(bytes, '[', ENDLESS_BYTES);
	bufferevent_write(s->bev, bytes, ENDLESS_BYTES);
	free(bytes);
}

static void be_long(struct rpc_server *s, json_int_t id, bool ends)
{
	struct evbuffer *out = bufferevent_get_output(s->bev);

	evbuffer_add_printf(
	    out, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":\"", (long long)id);
	write_much(s);
	if (ends)
		evbuffer_add_printf(out, "\"}\n");
}

/* Instead of the answer. */
static void spoil(struct rpc_server *s, json_int_t id)
{
	s->times--;
	switch (s->fault) {
	case RPC_REFUSE:
		send_line(
		    s, json_pack("{s:s, s:I, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", id,
			   "error", "code", -1, "message", "no\nmail\x7fserver"));
		break;
	case RPC_DIE:
		hang_up(s);
		break;
	case RPC_GARBAGE:
		evbuffer_add_printf(
		    bufferevent_get_output(s->bev), "thread 'main' panicked\n");
		break;
	case RPC_ENDLESS:
		write_much(s);
		break;
	case RPC_LONG:
	case RPC_UNENDING:
		be_long(s, id, s->fault == RPC_LONG);
		break;
	case RPC_WRONG_ID:
		answer(s, id + 1000, json_null());
		break;
	case RPC_NO_ID:
		send_line(s, json_pack("{s:s, s:s, s:[]}", "jsonrpc", "2.0", "method",
				 "event", "params"));
		break;
	case RPC_TWICE:
		answer(s, id, json_null());
		answer(s, id, json_null());
		break;
	case RPC_ODD:
		answer(s, id, json_true());
		break;
	case RPC_HANG:
	case RPC_NO_FAULT:
		break;
	}
}

static void tell_event(struct rpc_server *s)
{
	json_t *event = NULL;

	if (s->event_id == 0 || !s->bev)
		return;
	if (json_array_size(s->events) > 0) {
		event = json_incref(json_array_get(s->events, 0));
		json_array_remove(s->events, 0);
	} else if (s->flood) {
		event = json_pack("{s:s, s:s}", "kind", "Info", "msg", "so it is");
	}
	if (!event)
		return;
	answer(s, s->event_id, json_pack("{s:i, s:o}", "contextId", 1, "event", event));
	s->event_id = 0;
}

static json_t *of_id(const json_t *table, const json_t *params)
{
	char key[32];

	snprintf(key, sizeof(key), "%lld",
	    (long long)json_integer_value(json_array_get(params, 1)));
	return json_incref(json_object_get(table, key));
}

static json_t *get_accounts(struct rpc_server *s, const json_t *params)
{
	return s->account ? json_pack("[I]", s->account) : json_array();
}

static json_t *add_account(struct rpc_server *s, const json_t *params)
{
	return json_integer(++s->account);
}

static json_t *remove_account(struct rpc_server *s, const json_t *params)
{
	json_decref(s->transport);
	s->transport = NULL;
	return json_null();
}

static json_t *set_config(struct rpc_server *s, const json_t *params)
{
	json_object_update(s->config, json_array_get(params, 1));
	return json_null();
}

static json_t *list_transports(struct rpc_server *s, const json_t *params)
{
	return s->transport ? json_pack("[O]", s->transport) : json_array();
}

static json_t *set_transport(struct rpc_server *s, const json_t *params)
{
	json_decref(s->transport);
	s->transport = json_incref(json_array_get(params, 1));
	return json_null();
}

static json_t *null(struct rpc_server *s, const json_t *params)
{
	return json_null();
}

static json_t *get_link(struct rpc_server *s, const json_t *params)
{
	return json_string(s->link);
}

static json_t *get_message(struct rpc_server *s, const json_t *params)
{
	return of_id(s->messages, params);
}

static json_t *get_chat(struct rpc_server *s, const json_t *params)
{
	return of_id(s->chats, params);
}

static json_t *send_msg(struct rpc_server *s, const json_t *params)
{
	json_array_append_new(s->sent,
	    json_pack("[O, O]", json_array_get(params, 1), json_array_get(params, 2)));
	return json_integer(1000);
}

static json_t *delete_messages(struct rpc_server *s, const json_t *params)
{
	json_array_extend(s->deleted, json_array_get(params, 1));
	return json_null();
}

/* It comes whole. */
static json_t *download(struct rpc_server *s, const json_t *params)
{
	json_t *message = of_id(s->messages, params);

	json_object_set_new(message, "downloadState", json_string("Done"));
	json_object_set_new(message, "file", json_string("/blobs/late.png"));
	json_decref(message);
	return json_null();
}

static const struct {
	const char *name;
	json_t *(*run)(struct rpc_server *s, const json_t *params);
} methods[] = {
	{ "get_all_account_ids", get_accounts },
	{ "add_account", add_account },
	{ "remove_account", remove_account },
	{ "batch_set_config", set_config },
	{ "list_transports", list_transports },
	{ "add_or_update_transport", set_transport },
	{ "start_io", null },
	{ "get_chat_securejoin_qr_code", get_link },
	{ "get_next_event", NULL },
	{ "get_message", get_message },
	{ "get_basic_chat_info", get_chat },
	{ "accept_chat", null },
	{ "send_msg", send_msg },
	{ "delete_messages", delete_messages },
	{ "download_full_message", download },
	{ "get_connectivity", null },
};

static void on_call(
    struct rpc_server *s, const char *name, json_int_t id, const json_t *params)
{
	size_t m = 0;

	while (m < ARRAY_LEN(methods) && strcmp(methods[m].name, name) != 0)
		m++;
	assert_true(m < ARRAY_LEN(methods));
	if (s->ncalls < RPC_SERVER_CALLS_MAX)
		s->calls[s->ncalls++] = methods[m].name;
	if (s->spoiled && s->times > 0 && strcmp(name, s->spoiled) == 0) {
		spoil(s, id);
	} else if (s->held && strcmp(name, s->held) == 0) {
		json_array_append_new(s->waiting, json_integer(id));
	} else if (methods[m].run) {
		json_t *result = methods[m].run(s, params);

		answer(s, id, result ? result : json_null());
	} else {
		assert_int_equal(s->event_id, 0); /* one asks for one at a time */
		s->event_id = id;
		tell_event(s);
	}
}

static void on_input(struct bufferevent *bev, void *arg)
{
	struct rpc_server *s = arg;
	char *line;

	while (s->bev == bev && (line = evbuffer_readln(bufferevent_get_input(bev),
				     NULL, EVBUFFER_EOL_LF))) {
		json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
		const char *method = json_string_value(json_object_get(o, "method"));

		assert_non_null(method);
		on_call(s, method, json_integer_value(json_object_get(o, "id")),
		    json_object_get(o, "params"));
		json_decref(o);
		free(line);
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	hang_up(arg);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *from, int len, void *arg)
{
	struct rpc_server *s = arg;

	hang_up(s);
	s->connections++;
	s->bev = bufferevent_socket_new(
	    evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
	assert_non_null(s->bev);
	bufferevent_setcb(s->bev, on_input, NULL, on_event, s);
	bufferevent_enable(s->bev, EV_READ);
}

void rpc_server_init(
    struct rpc_server *s, struct event_base *base, const struct endpoint *at)
{
	*s = (struct rpc_server){
		.link = "https://i.delta.chat/#AB&a=echo%40chat.example",
		.messages = json_object(),
		.chats = json_object(),
		.sent = json_array(),
		.deleted = json_array(),
		.config = json_object(),
		.events = json_array(),
		.waiting = json_array(),
	};
	s->listener = evconnlistener_new_bind(base, on_accept, s, LEV_OPT_CLOSE_ON_FREE,
	    8, (const struct sockaddr *)&at->addr, (int)at->len);
	assert_non_null(s->listener);
}

void rpc_server_deinit(struct rpc_server *s)
{
	hang_up(s);
	evconnlistener_free(s->listener);
	json_decref(s->messages);
	json_decref(s->chats);
	json_decref(s->transport);
	json_decref(s->sent);
	json_decref(s->deleted);
	json_decref(s->config);
	json_decref(s->events);
	json_decref(s->waiting);
}

void rpc_server_message(struct rpc_server *s, json_int_t id, json_t *message)
{
	char key[32];

	snprintf(key, sizeof(key), "%lld", (long long)id);
	json_object_set_new(message, "id", json_integer(id));
	json_array_append_new(
	    s->events, json_pack("{s:s, s:O, s:I}", "kind", "IncomingMsg", "chatId",
			   json_object_get(message, "chatId"), "msgId", id));
	json_object_set_new(s->messages, key, message);
	tell_event(s);
}

void rpc_server_release(struct rpc_server *s)
{
	size_t i;
	json_t *id;

	s->held = NULL;
	json_array_foreach(s->waiting, i, id)
	{
		answer(s, json_integer_value(id), json_null());
	}
	json_array_clear(s->waiting);
}

unsigned rpc_server_count(const struct rpc_server *s, const char *method)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->ncalls; i++)
		n += strcmp(s->calls[i], method) == 0;
	return n;
}
