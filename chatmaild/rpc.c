/* See rpc.h. A call is a place in a table; its id is never used again. */
#include "chatmaild/rpc.h"

#include <assert.h>
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_S 10
#define WRITE_S   30 /* that the other end may leave unread what we wrote */

#define RPC_ID_DIGITS 19 /* no more of them fit into 64 bits, whatever they are */

const char rpc_too_long[] = "too long an answer";

struct rpc_call {
	uint64_t id;         /* 0: the place is free */
	int64_t deadline_ms; /* monotonic; INT64_MAX: none */
	const char *method;  /* a literal */
	rpc_done *done;
	void *arg;
};

struct rpc {
	struct bufferevent *bev;
	struct event *timer; /* of the earliest deadline */
	const struct rpc_events *events;
	void *arg;
	bool open;
	int error;  /* of a call that failed at once, an errno */
	bool *gone; /* to be set when it ends while it is called back */
	uint64_t last_id;
	struct rpc_reader reader;
	struct rpc_call calls[RPC_CALLS_MAX];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What others say, for the log: one line of plain letters, the rest as one blank each run. */
static void copy_printable(char to[RPC_WHY_MAX], const char *from)
{
	size_t n = 0;

	for (; *from && n < RPC_WHY_MAX - 1; from++) {
		if (*from > ' ' && *from <= '~')
			to[n++] = *from;
		else if (n > 0 && to[n - 1] != ' ')
			to[n++] = ' ';
	}
	to[n] = '\0';
}

/* Takes o. */
static enum rpc_input read_reply(json_t *o, struct rpc_reply *reply)
{
	const json_t *id = json_object_get(o, "id");
	const json_t *error = json_object_get(o, "error");
	const json_t *message = json_object_get(error, "message");
	json_t *result = json_is_object(error) ? NULL : json_object_get(o, "result");
	enum rpc_input input = RPC_BROKEN;

	if (json_is_integer(id) && json_integer_value(id) > 0 &&
	    (json_is_object(error) || result)) {
		reply->id = (uint64_t)json_integer_value(id);
		reply->result = json_incref(result);
		copy_printable(reply->why, json_is_string(message)
					       ? json_string_value(message)
					       : "no reason given");
		input = RPC_REPLY;
	}
	json_decref(o);
	return input;
}

/* The call that a long line answers, by how such a line begins; 0 if it does not. */
static uint64_t id_of_long(struct evbuffer *in)
{
	static const char begin[] = "{\"jsonrpc\":\"2.0\",\"id\":";
	char head[sizeof(begin) + RPC_ID_DIGITS] = "";
	const char *digits = head + sizeof(begin) - 1;
	uint64_t id = 0;
	size_t n;

	evbuffer_copyout(in, head, sizeof(head) - 1);
	if (strncmp(head, begin, sizeof(begin) - 1) != 0)
		return 0;
	n = strspn(digits, "0123456789");
	for (size_t i = 0; i < n; i++)
		id = id * 10 + (uint64_t)(digits[i] - '0');
	return digits[n] == ',' ? id : 0;
}

/* Take n bytes, the end of a long line included if ended. */
static enum rpc_input pass_over(struct rpc_reader *r, struct evbuffer *in, size_t n,
    bool ended, struct rpc_reply *reply)
{
	if (r->long_id == 0)
		r->long_id = id_of_long(in);
	r->skipped += n;
	evbuffer_drain(in, n);
	if (r->long_id == 0 || r->skipped > RPC_SKIP_MAX)
		return RPC_BROKEN;
	if (!ended)
		return RPC_MORE;
	reply->id = r->long_id;
	reply->too_long = true;
	*r = (struct rpc_reader){ 0 };
	return RPC_REPLY;
}

enum rpc_input rpc_read(
    struct rpc_reader *r, struct evbuffer *in, struct rpc_reply *reply)
{
	struct evbuffer_ptr end = evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF);
	size_t len = end.pos < 0 ? evbuffer_get_length(in) : (size_t)end.pos;
	const char *line;
	json_t *o;

	*reply = (struct rpc_reply){ 0 };
	if (r->long_id || len >= RPC_LINE_MAX)
		return pass_over(r, in, len + (end.pos >= 0), end.pos >= 0, reply);
	if (end.pos < 0)
		return RPC_MORE;
	line = (const char *)evbuffer_pullup(in, (ev_ssize_t)len + 1);
	if (!line)
		abort();
	o = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	evbuffer_drain(in, len + 1);
	return o ? read_reply(o, reply) : RPC_BROKEN;
}

void rpc_reply_deinit(struct rpc_reply *reply)
{
	json_decref(reply->result);
	reply->result = NULL;
}

/* r may be gone afterwards. */
static void go_down(struct rpc *r, const char *why)
{
	r->open = false;
	bufferevent_disable(r->bev, EV_READ | EV_WRITE);
	evtimer_del(r->timer);
	r->events->on_down(r->arg, why);
}

static struct rpc_call *call_of(struct rpc *r, uint64_t id)
{
	for (struct rpc_call *c = r->calls; c < r->calls + RPC_CALLS_MAX; c++)
		if (c->id == id)
			return c;
	return NULL;
}

static const struct rpc_call *earliest(const struct rpc *r)
{
	const struct rpc_call *first = NULL;

	for (const struct rpc_call *c = r->calls; c < r->calls + RPC_CALLS_MAX; c++)
		if (c->id && c->deadline_ms < INT64_MAX &&
		    (!first || c->deadline_ms < first->deadline_ms))
			first = c;
	return first;
}

/* A deadline that went by with its call leaves a timer that comes for nothing. */
static void set_timer(struct rpc *r)
{
	const struct rpc_call *first = earliest(r);
	int64_t left = first ? first->deadline_ms - now_ms() : 0;
	struct timeval tv = { 0 };

	if (!first) {
		evtimer_del(r->timer);
		return;
	}
	if (left > 0) {
		tv.tv_sec = (time_t)(left / 1000);
		tv.tv_usec = (suseconds_t)(left % 1000 * 1000);
	}
	evtimer_add(r->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct rpc *r = arg;
	const struct rpc_call *first = earliest(r);
	char why[RPC_WHY_MAX];

	if (r->error) {
		go_down(r, strerror(r->error));
		return;
	}
	if (!first || first->deadline_ms > now_ms()) {
		set_timer(r);
		return;
	}
	snprintf(why, sizeof(why), "%s was not answered in time", first->method);
	go_down(r, why);
}

/* False if r is gone or down. */
static bool take_reply(struct rpc *r, struct rpc_reply *reply)
{
	struct rpc_call *place = call_of(r, reply->id), call;
	bool gone = false;

	if (!place) {
		go_down(r, "it answered what was not asked");
		return false;
	}
	call = *place;
	place->id = 0;
	r->gone = &gone;
	call.done(call.arg, reply->result,
	    reply->result     ? NULL
	    : reply->too_long ? rpc_too_long
			      : reply->why);
	if (!gone)
		r->gone = NULL;
	return !gone;
}

static void on_input(struct bufferevent *bev, void *arg)
{
	struct rpc *r = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct rpc_reply reply;
	enum rpc_input input;
	bool good = true;

	while (good && (input = rpc_read(&r->reader, in, &reply)) != RPC_MORE) {
		if (input == RPC_BROKEN) {
			go_down(r, "it sent a line that is no answer");
			return;
		}
		good = take_reply(r, &reply);
		rpc_reply_deinit(&reply);
	}
	if (good)
		set_timer(r);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	static const struct timeval write_time = { .tv_sec = WRITE_S };
	struct rpc *r = arg;
	int error = EVUTIL_SOCKET_ERROR();

	if (what & BEV_EVENT_CONNECTED) {
		r->open = true;
		bufferevent_set_timeouts(bev, NULL, &write_time);
		bufferevent_enable(bev, EV_READ);
		r->events->on_open(r->arg);
	} else if (what & BEV_EVENT_TIMEOUT) {
		go_down(r, r->open ? "it reads nothing" : "it does not take the call");
	} else if (what & BEV_EVENT_EOF) {
		go_down(r, "it hung up");
	} else {
		go_down(r, evutil_socket_error_to_string(error));
	}
}

struct rpc *rpc_create(struct event_base *base, const struct endpoint *to,
    const struct rpc_events *events, void *arg)
{
	static const struct timeval connect_time = { .tv_sec = CONNECT_S };
	struct rpc *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->events = events;
	r->arg = arg;
	r->timer = evtimer_new(base, on_timer, r);
	r->bev = bufferevent_socket_new(
	    base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!r->timer || !r->bev)
		abort();
	bufferevent_setcb(r->bev, on_input, NULL, on_event, r);
	bufferevent_setwatermark(r->bev, EV_READ, 0, RPC_LINE_MAX);
	bufferevent_set_timeouts(r->bev, NULL, &connect_time);
	/* What fails at once is not told by on_event(). */
	if (bufferevent_socket_connect(
		r->bev, (const struct sockaddr *)&to->addr, (int)to->len) < 0) {
		r->error = errno ? errno : ECONNREFUSED;
		event_active(r->timer, EV_TIMEOUT, 0);
	}
	return r;
}

void rpc_destroy(struct rpc *r)
{
	if (!r)
		return;
	if (r->gone)
		*r->gone = true;
	bufferevent_free(r->bev);
	event_free(r->timer);
	free(r);
}

void rpc_call(struct rpc *r, const char *method, json_t *params, unsigned timeout_s,
    rpc_done *done, void *arg)
{
	struct rpc_call *call = call_of(r, 0);
	json_t *o;
	char *text;

	assert(r->open && call && params);
	*call = (struct rpc_call){
		.id = ++r->last_id,
		.deadline_ms =
		    timeout_s ? now_ms() + (int64_t)timeout_s * 1000 : INT64_MAX,
		.method = method,
		.done = done,
		.arg = arg,
	};
	o = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id",
	    (json_int_t)call->id, "method", method, "params", params);
	text = json_dumps(o, JSON_COMPACT);
	if (!text ||
	    evbuffer_add_printf(bufferevent_get_output(r->bev), "%s\n", text) < 0)
		abort();
	free(text);
	json_decref(o);
	set_timer(r);
}
