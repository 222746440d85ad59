/*
 * Services http and metrics over HTTP: http on a UNIX socket, for the web server in front
 * (new addresses, the public page of numbers) and for whoever asks for metrics; metrics,
 * when configured, on an address for Prometheus. One request per connection, so that no
 * idle connection is left to be kept, counted or closed at shutdown.
 *
 * evhttp does the protocol. It counts no connections and ends only silent ones, so we
 * hold a reference to each one's bufferevent: its callbacks are gone once evhttp let go
 * of it.
 */
#include <assert.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "chatmaild/daemon.h"
#include "chatmaild/log.h"
#include "chatmaild/scrape.h"
#include "chatmaild/suggest.h"
#include "chatmaild/users.h"

#define CONNECTIONS_MAX 32   /* one turn of the loop serves no more; others wait */
#define HEADER_MAX      8192 /* bytes of request line and header */
#define BODY_MAX        1024 /* bytes */
#define SILENCE_MAX     10   /* seconds without a byte */
#define LIFE_MAX        30   /* seconds of a whole connection */

#define TEXT_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct http_conn {
	struct bufferevent *bev; /* a reference of ours; NULL: place is free */
	time_t opened;           /* monotonic */
};

struct http {
	struct daemon *daemon;
	bool web; /* the web server's, not only Prometheus's */
	struct evhttp *evhttp;
	struct listener *from;
	struct event *sweeper; /* once a second while there are connections */
	struct http_conn conns[CONNECTIONS_MAX];
	unsigned nconns;
	struct http_counters {
		uint64_t ok, moved, found, not_found, bad_method, unavailable;
	} counters;
};

static const struct metric_def http_metrics[] = {
	{ "chatmail_http_requests_total",
	    "HTTP requests by the status they were answered.", OPENMETRICS_COUNTER,
	    "code=\"200\"", offsetof(struct http_counters, ok) },
	{ "chatmail_http_requests_total", "", OPENMETRICS_COUNTER, "code=\"301\"",
	    offsetof(struct http_counters, moved) },
	{ "chatmail_http_requests_total", "", OPENMETRICS_COUNTER, "code=\"302\"",
	    offsetof(struct http_counters, found) },
	{ "chatmail_http_requests_total", "", OPENMETRICS_COUNTER, "code=\"404\"",
	    offsetof(struct http_counters, not_found) },
	{ "chatmail_http_requests_total", "", OPENMETRICS_COUNTER, "code=\"405\"",
	    offsetof(struct http_counters, bad_method) },
	{ "chatmail_http_requests_total", "", OPENMETRICS_COUNTER, "code=\"503\"",
	    offsetof(struct http_counters, unavailable) },
};

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Any mention will do: nobody lists the format to say that he does not want it. */
static bool wants_openmetrics(struct evhttp_request *req)
{
	const char *accept =
	    evhttp_find_header(evhttp_request_get_input_headers(req), "Accept");

	return accept && strcasestr(accept, "application/openmetrics-text");
}

/* Takes body. evhttp would send it for HEAD too, so only its length is told then. */
static void reply(
    struct evhttp_request *req, int code, const char *reason, struct evbuffer *body)
{
	char length[32];

	snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
	evhttp_add_header(
	    evhttp_request_get_output_headers(req), "Content-Length", length);
	if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD)
		evbuffer_drain(body, evbuffer_get_length(body));
	evhttp_send_reply(req, code, reason, body);
	evbuffer_free(body);
}

static void answer_metrics(struct http *h, struct evhttp_request *req)
{
	bool open = wants_openmetrics(req);
	struct evbuffer *page = evbuffer_new();

	if (!page)
		abort();
	h->counters.ok++;
	scrape_write(h->daemon, page, open ? METRIC_OPENMETRICS : METRIC_TEXT);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type",
	    open ? OPENMETRICS_CONTENT_TYPE : TEXT_CONTENT_TYPE);
	reply(req, HTTP_OK, "OK", page);
}

static void refuse(struct evhttp_request *req, int code, const char *reason)
{
	struct evbuffer *body = evbuffer_new();

	if (!body)
		abort();
	evbuffer_add_printf(body, "%d %s\n", code, reason);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type",
	    "text/plain; charset=utf-8");
	reply(req, code, reason, body);
}

static void free_text(const void *data, size_t len, void *arg)
{
	free((void *)(uintptr_t)data);
}

/* Takes text. */
static void answer_text(struct evhttp_request *req, int code, const char *reason,
    const char *type, char *text)
{
	struct evbuffer *body = evbuffer_new();

	if (!body || !text)
		abort();
	evbuffer_add_reference(body, text, strlen(text), free_text, NULL);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", type);
	reply(req, code, reason, body);
}

/* The page that chatmail relays have always had, to the byte: three families without the
 * names in their HELP lines. Tests' accounts are both kinds here. */
static void answer_public(struct http *h, struct evhttp_request *req)
{
	const struct census *census = users_census(h->daemon->users);
	uint64_t ci =
	    census_count(census, ACCOUNT_CI) + census_count(census, ACCOUNT_AC);
	uint64_t others = census_count(census, ACCOUNT_PLAIN);
	char *page;

	if (!h->daemon->config->public_metrics) {
		h->counters.not_found++;
		refuse(req, HTTP_NOTFOUND, "Not Found");
		return;
	}
	if (asprintf(&page,
		"# HELP total number of accounts\n# TYPE accounts gauge\n"
		"accounts %" PRIu64 "\n"
		"# HELP number of CI accounts\n# TYPE ci_accounts gauge\n"
		"ci_accounts %" PRIu64 "\n"
		"# HELP number of non-CI accounts\n# TYPE nonci_accounts gauge\n"
		"nonci_accounts %" PRIu64 "\n",
		ci + others, ci, others) < 0)
		abort();
	h->counters.ok++;
	answer_text(req, HTTP_OK, "OK", "text/plain", page);
}

/* What an app shows its user. */
static const char *closed_reason(enum admission answer)
{
	switch (answer) {
	case ADMISSION_CLOSED:
		return "This server does not take new profiles at the moment.";
	case ADMISSION_INVITE:
		return "This server takes new profiles by invitation only, and this "
		       "invitation is missing, used or too old.";
	case ADMISSION_LOAD:
	case ADMISSION_MEMORY:
	case ADMISSION_DISK:
	case ADMISSION_RATE:
		return "This server is too busy for new profiles at the moment. "
		       "Please try again later.";
	default:
		return NULL;
	}
}

static void answer_reason(
    struct http *h, struct evhttp_request *req, const char *reason)
{
	char *text;

	if (asprintf(&text, "{\"reason\": \"%s\"}\n", reason) < 0)
		abort();
	h->counters.unavailable++;
	answer_text(
	    req, HTTP_SERVUNAVAIL, "Service Unavailable", "application/json", text);
}

/* A browser that follows the printed link is handed to the app. */
static void answer_new_moved(struct http *h, struct evhttp_request *req)
{
	char *url;

	if (asprintf(&url, "dcaccount:https://%s/new",
		h->daemon->config->mail_domain_bare) < 0)
		abort();
	evhttp_add_header(evhttp_request_get_output_headers(req), "Location", url);
	free(url);
	h->counters.moved++;
	refuse(req, HTTP_MOVEPERM, "Moved Permanently");
}

/* What "/new?invite=..." names, copied; "" if nothing. */
static void get_invite(struct evhttp_request *req, char invite[INVITE_LEN + 1])
{
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
	struct evkeyvalq pairs;
	const char *value;

	invite[0] = '\0';
	if (!query || evhttp_parse_query_str(query, &pairs) < 0)
		return;
	value = evhttp_find_header(&pairs, "invite");
	if (value && strlen(value) == INVITE_LEN)
		memcpy(invite, value, INVITE_LEN + 1);
	evhttp_clear_headers(&pairs);
}

/* ADMISSION_OK, and the invite if one is needed; or why nothing is suggested. */
static enum admission may_suggest(
    struct http *h, struct evhttp_request *req, char invite[INVITE_LEN + 1])
{
	enum admission answer = users_registration(h->daemon->users);

	invite[0] = '\0';
	if (answer != ADMISSION_OK || !h->daemon->config->invites)
		return answer;
	get_invite(req, invite);
	return users_takes_invite(h->daemon->users, span_of(invite)) ? ADMISSION_OK
								     : ADMISSION_INVITE;
}

static void answer_new(struct http *h, struct evhttp_request *req)
{
	char invite[INVITE_LEN + 1];
	const struct config *config = h->daemon->config;
	const char *closed;
	char *text;

	if (evhttp_request_get_command(req) != EVHTTP_REQ_POST &&
	    config->tls_mode != TLS_SELF) {
		answer_new_moved(h, req);
		return;
	}
	evhttp_add_header(
	    evhttp_request_get_output_headers(req), "Cache-Control", "no-store");
	closed = closed_reason(may_suggest(h, req, invite));
	text = closed ? NULL : suggest_account(config, span_of(invite));
	if (!text) {
		answer_reason(h, req, closed ? closed : "This server is out of order.");
		return;
	}
	h->counters.ok++;
	answer_text(req, HTTP_OK, "OK", "application/json", text);
}

/* The web pages are older than the bot's invitation, so they point here. */
static void answer_echobot(struct http *h, struct evhttp_request *req)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	const struct daemon *d = h->daemon;

	evhttp_add_header(headers, "Cache-Control", "no-store");
	if (d->invite_link) {
		evhttp_add_header(headers, "Location", d->invite_link);
		h->counters.found++;
		refuse(req, HTTP_MOVETEMP, "Found");
	} else if (d->config->echobot) {
		h->counters.unavailable++;
		refuse(req, HTTP_SERVUNAVAIL, "Service Unavailable");
	} else {
		h->counters.not_found++;
		refuse(req, HTTP_NOTFOUND, "Not Found");
	}
}

/* It answers, so the loop turns. */
static void answer_healthy(struct http *h, struct evhttp_request *req)
{
	h->counters.ok++;
	answer_text(req, HTTP_OK, "OK", "text/plain", strdup("ok\n"));
}

static void answer_ready(struct http *h, struct evhttp_request *req)
{
	if (!h->daemon->draining) {
		answer_healthy(h, req);
		return;
	}
	h->counters.unavailable++;
	answer_text(req, HTTP_SERVUNAVAIL, "Service Unavailable", "text/plain",
	    strdup("stopping\n"));
}

#define READ (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD)

static const struct route {
	const char *path;
	bool web;         /* of the UNIX socket only */
	unsigned methods; /* bits of enum evhttp_cmd_type */
	const char *allow;
	void (*answer)(struct http *h, struct evhttp_request *req);
} routes[] = {
	{ "/metrics", false, READ, "GET, HEAD", answer_metrics },
	{ "/healthz", false, READ, "GET, HEAD", answer_healthy },
	{ "/readyz", false, READ, "GET, HEAD", answer_ready },
	{ "/metrics/public", true, READ, "GET, HEAD", answer_public },
	{ "/echobot", true, READ, "GET, HEAD", answer_echobot },
	{ "/new", true, READ | EVHTTP_REQ_POST, "GET, HEAD, POST", answer_new },
	/* Its old place: printed codes have it, and apps follow no redirect on POST. */
	{ "/cgi-bin/newemail.py", true, READ | EVHTTP_REQ_POST, "GET, HEAD, POST",
	    answer_new },
};

/* evhttp clears the callbacks when it frees its side of the bufferevent. */
static bool let_go(struct bufferevent *bev)
{
	bufferevent_event_cb on_event;

	bufferevent_getcb(bev, NULL, NULL, &on_event, NULL);
	return !on_event;
}

static void forget(struct http *h, struct http_conn *c)
{
	bufferevent_decref(c->bev);
	c->bev = NULL;
	h->nconns--;
	listener_release(h->from);
}

static void sweep(struct http *h)
{
	time_t now = now_s();

	for (struct http_conn *c = h->conns; c < h->conns + CONNECTIONS_MAX; c++) {
		if (!c->bev)
			continue;
		if (let_go(c->bev))
			forget(h, c);
		else if (now - c->opened > LIFE_MAX)
			shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
	}
}

static void on_sweeper(evutil_socket_t fd, short what, void *arg)
{
	struct http *h = arg;

	sweep(h);
	if (h->nconns == 0)
		evtimer_del(h->sweeper);
}

/* An answer is out, and evhttp lets its connection go when this returns. At the limit
 * nothing is accepted, so that nobody else would see it before the sweeper's time. */
static void on_answered(struct evhttp_request *req, void *arg)
{
	struct http *h = arg;

	if (h->nconns == CONNECTIONS_MAX)
		event_active(h->sweeper, EV_TIMEOUT, 0);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct http *h = arg;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;

	evhttp_request_set_on_complete_cb(req, on_answered, h);
	evhttp_add_header(headers, "Connection", "close");
	for (size_t i = 0; path && i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(path, routes[i].path) != 0 || (routes[i].web && !h->web))
			continue;
		if (evhttp_request_get_command(req) & routes[i].methods) {
			routes[i].answer(h, req);
			return;
		}
		h->counters.bad_method++;
		evhttp_add_header(headers, "Allow", routes[i].allow);
		refuse(req, HTTP_BADMETHOD, "Method Not Allowed");
		return;
	}
	h->counters.not_found++;
	refuse(req, HTTP_NOTFOUND, "Not Found");
}

static struct http_conn *free_place(struct http *h)
{
	for (struct http_conn *c = h->conns; c < h->conns + CONNECTIONS_MAX; c++)
		if (!c->bev)
			return c;
	return NULL;
}

/* evhttp accepted a connection and asks for its bufferevent; the socket is closed by
 * it. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	static const struct timeval interval = { .tv_sec = 1 };
	struct http *h = arg;
	struct http_conn *c;

	sweep(h);
	c = free_place(h);
	assert(c); /* at the limit the listener does not accept */
	c->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev)
		abort();
	bufferevent_incref(c->bev);
	c->opened = now_s();
	if (h->nconns++ == 0)
		evtimer_add(h->sweeper, &interval);
	listener_take(h->from);
	return c->bev;
}

static void *http_start(struct daemon *d, const struct service *self)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		abort();
	h->daemon = d;
	h->web = self == &http_service;
	h->evhttp = evhttp_new(d->base);
	h->sweeper = event_new(d->base, -1, EV_PERSIST, on_sweeper, h);
	if (!h->evhttp || !h->sweeper)
		abort();
	/* All methods: what a route does not take is answered 405 by us, not 501. */
	evhttp_set_allowed_methods(
	    h->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
			   EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
			   EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_set_max_headers_size(h->evhttp, HEADER_MAX);
	evhttp_set_max_body_size(h->evhttp, BODY_MAX);
	evhttp_set_timeout(h->evhttp, SILENCE_MAX);
	evhttp_set_bevcb(h->evhttp, on_connection, h);
	evhttp_set_gencb(h->evhttp, on_request, h);
	return h;
}

static void http_adopt(void *state, struct listener *from, struct evconnlistener *ev)
{
	struct http *h = state;

	h->from = from;
	if (!evhttp_bind_listener(h->evhttp, ev))
		abort();
}

static void http_stop(void *state)
{
	struct http *h = state;

	evhttp_free(h->evhttp);
	sweep(h);
	assert(h->nconns == 0);
	event_free(h->sweeper);
	free(h);
}

static const void *http_counters(void *state)
{
	return &((struct http *)state)->counters;
}

const struct service http_service = {
	.name = "http",
	.labels = "service=\"http\"",
	.socket = offsetof(struct config, http_socket),
	.socket_mode = 0660,
	.max_connections = CONNECTIONS_MAX,
	.start = http_start,
	.adopt = http_adopt,
	.stop = http_stop,
	.metrics = http_metrics,
	.nmetrics = sizeof(http_metrics) / sizeof(http_metrics[0]),
	.counters = http_counters,
};

const struct service metrics_service = {
	.name = "metrics",
	.labels = "service=\"metrics\"",
	.socket = offsetof(struct config, metrics_address),
	.socket_mode = 0660,
	.max_connections = CONNECTIONS_MAX,
	.start = http_start,
	.adopt = http_adopt,
	.stop = http_stop,
	.metrics = http_metrics,
	.nmetrics = sizeof(http_metrics) / sizeof(http_metrics[0]),
	.counters = http_counters,
};
