/*
 * Service "admin": its connections. A request is read, run and answered before the next;
 * a peer that does not read makes whoever answers wait, and is let go after a while.
 */
#include "chatmaild/admin.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "chatmaild/log.h"
#include "proto/address.h"

#define CONNECTIONS_MAX 32
#define OUTPUT_FULL     (256 * 1024) /* bytes that wait for the peer */
#define IDLE_MAX_S      300          /* without a request */
#define WRITE_MAX_S     30           /* without a byte that the peer took */

struct admin_conn {
	LIST_ENTRY(admin_conn) link;
	struct admin *admin;
	struct listener *from;
	struct bufferevent *bev;
	struct admin_request *request; /* running, or NULL */
	const struct admin_command *command;
	bool last;    /* no more requests are run: close when all is written */
	bool eof;     /* none come any more */
	bool in_turn; /* conn_turn() is at work */
};

struct admin {
	struct daemon *daemon;
	LIST_HEAD(, admin_conn) conns;
	bool draining;
	struct admin_counters {
		uint64_t ok, refused;
	} counters;
};

#define REQUESTS "chatmail_admin_requests_total", "Requests of the operator's tool."
static const struct metric_def admin_metrics[] = {
	{ REQUESTS, OPENMETRICS_COUNTER, "result=\"ok\"",
	    offsetof(struct admin_counters, ok) },
	{ REQUESTS, OPENMETRICS_COUNTER, "result=\"refused\"",
	    offsetof(struct admin_counters, refused) },
};

static const struct admin_command *const commands[] = {
	admin_daemon_commands,
	admin_users_commands,
	admin_expire_commands,
};

static size_t waiting(const struct admin_conn *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

static void conn_close(struct admin_conn *c)
{
	struct admin_request *r = c->request;

	if (r) {
		r->conn = NULL;
		if (r->gone)
			r->gone(r);
	}
	LIST_REMOVE(c, link);
	bufferevent_free(c->bev);
	listener_release(c->from);
	free(c);
}

static int put_text(const char *text, size_t len, void *arg)
{
	return evbuffer_add(arg, text, len);
}

static void put_line(struct admin_conn *c, const json_t *value)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	if (json_dump_callback(value, put_text, out, JSON_COMPACT) < 0)
		abort();
	evbuffer_add(out, "\n", 1);
}

static void put_refusal(struct admin_conn *c, const char *error)
{
	json_t *reply = json_pack("{s:b, s:s}", "ok", 0, "error", error);

	put_line(c, reply);
	json_decref(reply);
	c->admin->counters.refused++;
}

static const struct admin_command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		for (const struct admin_command *c = commands[i]; c->name; c++)
			if (strcmp(c->name, name) == 0)
				return c;
	return NULL;
}

const struct admin_command *admin_parse(
    const char *line, size_t len, json_t **args, const char **why)
{
	const struct admin_command *command;
	const char *name;

	*args = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	name = json_string_value(json_object_get(*args, "command"));
	command = name ? find_command(name) : NULL;
	if (command)
		return command;
	*why = !json_is_object(*args) ? "not a JSON object"
	       : !name                ? "no command is named"
				      : "there is no such command";
	json_decref(*args);
	*args = NULL;
	return NULL;
}

static void run_line(struct admin_conn *c, const char *line, size_t len)
{
	const struct admin_command *command;
	struct admin_request *r;
	const char *why;
	json_t *args;

	command = admin_parse(line, len, &args, &why);
	if (!command) {
		put_refusal(c, why);
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->daemon = c->admin->daemon;
	r->conn = c;
	r->args = args;
	c->request = r;
	c->command = command;
	command->run(r); /* may end it at once */
}

/*
 * Run what has come, as far as one request at a time goes, and close where all is done.
 * Requests that end while this is at work only clear c->request.
 */
static void conn_turn(struct admin_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len;
	char *line;

	if (c->in_turn)
		return;
	c->in_turn = true;
	while (!c->request && !c->last && waiting(c) < OUTPUT_FULL &&
	       (line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF))) {
		run_line(c, line, len);
		free(line);
		if (c->admin->draining)
			c->last = true;
	}
	if (!c->request && !c->last && evbuffer_get_length(in) >= ADMIN_LINE_MAX &&
	    evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF).pos < 0) {
		put_refusal(c, "request too long");
		c->last = true;
	}
	c->in_turn = false;
	if (!c->request && (c->last || c->eof) && waiting(c) == 0)
		conn_close(c);
}

static void on_input(struct bufferevent *bev, void *arg)
{
	conn_turn(arg);
}

/* All was written, or nearly so. */
static void on_written(struct bufferevent *bev, void *arg)
{
	struct admin_conn *c = arg;

	if (c->request && c->request->room)
		c->request->room(c->request);
	conn_turn(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct admin_conn *c = arg;

	if (what & BEV_EVENT_TIMEOUT && what & BEV_EVENT_READING && c->request) {
		bufferevent_enable(bev, EV_READ); /* it is not idle */
	} else if (what & BEV_EVENT_EOF && what & BEV_EVENT_READING &&
		   (c->request || waiting(c) > 0)) {
		/* It may have ended its half only, like "printf ... | socat". */
		c->eof = true;
	} else {
		conn_close(c);
	}
}

/* --- what commands use --------------------------------------------------------------- */

void admin_say(struct admin_request *r, json_t *value)
{
	if (!value)
		abort();
	if (r->conn)
		put_line(r->conn, value);
	json_decref(value);
}

bool admin_is_full(const struct admin_request *r)
{
	return r->conn && waiting(r->conn) >= OUTPUT_FULL;
}

/* Takes r. */
static void finish(struct admin_request *r)
{
	struct admin_conn *c = r->conn;

	json_decref(r->args);
	free(r);
	if (!c)
		return;
	c->request = NULL;
	/* Further requests, and the end of the connection, come from the loop. */
	bufferevent_trigger(
	    c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void admin_end(struct admin_request *r, json_t *reply)
{
	if (r->conn) {
		json_t *line = json_pack("{s:b}", "ok", 1);

		json_object_update(line, reply);
		put_line(r->conn, line);
		json_decref(line);
		r->conn->admin->counters.ok++;
	}
	json_decref(reply);
	finish(r);
}

void admin_refuse(struct admin_request *r, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r->conn)
		put_refusal(r->conn, text);
	finish(r);
}

bool admin_address(struct admin_request *r, struct span *address)
{
	const json_t *value = json_object_get(r->args, "address");
	const char *domain = r->daemon->config->mail_domain;

	if (!json_is_string(value)) {
		admin_refuse(r, "no address is given");
		return false;
	}
	*address = span_make(json_string_value(value), json_string_length(value));
	if (!address_is_path(*address)) {
		admin_refuse(r, "this cannot be an address");
		return false;
	}
	if (!address_in_domain(*address, domain)) {
		admin_refuse(r, "this relay's addresses end in @%s", domain);
		return false;
	}
	return true;
}

bool admin_flag(const struct admin_request *r, const char *name)
{
	return json_is_true(json_object_get(r->args, name));
}

/* --- the service --------------------------------------------------------------------- */

static void *admin_start(struct daemon *d, const struct service *self)
{
	struct admin *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	a->daemon = d;
	LIST_INIT(&a->conns);
	return a;
}

static void admin_accept(void *state, struct listener *from, evutil_socket_t fd)
{
	static const struct timeval idle = { .tv_sec = IDLE_MAX_S },
				    write = { .tv_sec = WRITE_MAX_S };
	struct admin *a = state;
	struct admin_conn *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->admin = a;
	c->from = from;
	c->bev = bufferevent_socket_new(a->daemon->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev)
		abort();
	LIST_INSERT_HEAD(&a->conns, c, link);
	bufferevent_setcb(c->bev, on_input, on_written, on_event, c);
	bufferevent_set_timeouts(c->bev, &idle, &write);
	bufferevent_setwatermark(c->bev, EV_READ, 0, ADMIN_LINE_MAX);
	bufferevent_setwatermark(c->bev, EV_WRITE, OUTPUT_FULL / 4, 0);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static void admin_drain(void *state)
{
	struct admin *a = state;
	struct admin_conn *c, *next;

	a->draining = true;
	for (c = LIST_FIRST(&a->conns); c; c = next) {
		next = LIST_NEXT(c, link);
		c->last = true;
		conn_turn(c);
	}
}

static unsigned admin_pending(const void *state)
{
	const struct admin *a = state;
	const struct admin_conn *c;
	unsigned n = 0;

	LIST_FOREACH (c, &a->conns, link)
		n += c->request ? !c->command->is_long : waiting(c) > 0;
	return n;
}

static void admin_stop(void *state)
{
	struct admin *a = state;
	struct admin_conn *c;

	while ((c = LIST_FIRST(&a->conns)))
		conn_close(c);
	free(a);
}

static const void *admin_counters(void *state)
{
	return &((struct admin *)state)->counters;
}

const struct service admin_service = {
	.name = "admin",
	.labels = "service=\"admin\"",
	.socket = offsetof(struct config, admin_socket),
	.socket_mode = 0600,
	.max_connections = CONNECTIONS_MAX,
	.start = admin_start,
	.accept = admin_accept,
	.drain = admin_drain,
	.pending = admin_pending,
	.stop = admin_stop,
	.metrics = admin_metrics,
	.nmetrics = sizeof(admin_metrics) / sizeof(admin_metrics[0]),
	.counters = admin_counters,
};
