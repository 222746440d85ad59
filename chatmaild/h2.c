/* Keeps one session with the peer of a URL, whatever happens to it; see h2.h. */
#include "chatmaild/h2.h"

#include <assert.h>
#include <event2/event_struct.h>
#include <event2/http.h>
#include <event2/util.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chatmaild/dial.h"
#include "chatmaild/h2_session.h"
#include "chatmaild/log.h"

#define REQUESTS_MAX (1u << 30) /* the odd stream ids, RFC 9113 section 5.1.1 */
#define LEAVING_MAX  4          /* sessions that end while the next one works */
#define HOST_MAX     253        /* bytes, RFC 1035 section 2.3.4 */
#define PATH_MAX_LEN 2048       /* bytes, query included */
/* So many answers excuse a short life: a peer may limit requests per connection. */
#define WORTH_A_RETRY 100

enum h2_state {
	H2_IDLE, /* nobody wants anything */
	H2_BACKING_OFF,
	H2_DIALLING,
	H2_GREETING, /* connected, the peer's SETTINGS are due */
	H2_READY,
};

struct h2 {
	struct event_base *base;
	const struct h2_events *events;
	void *arg;
	const struct h2_timing *timing;
	unsigned max_streams;
	uint32_t requests_max;
	char *host, *authority, *path;
	uint16_t port;
	enum h2_state state;
	struct dial *dial;
	struct h2_session *session;              /* NULL unless GREETING or READY */
	struct h2_session *leaving[LEAVING_MAX]; /* oldest first */
	size_t nleaving;
	struct event retry;
	unsigned failures; /* in a row */
	bool warned;       /* in this episode of failures */
	bool wanted;       /* and nothing was posted since */
	struct h2_counters counters;
};

const struct h2_timing h2_timing = {
	.connect = 60000,
	.address = 2000,
	.handshake = 10000,
	.request = 60000,
	.retry_min = 1000,
	.retry_max = 60000,
	.ping_idle = 60000,
	.ping_busy = 10000,
	.ping_answer = 15000,
	.refused = 1000,
};

static void h2_enter(struct h2 *h, enum h2_state state)
{
	static const char *const names[] = { "idle", "backing off", "dialling",
		"greeting", "ready" };

	h->state = state;
	h->counters.connected = state == H2_READY;
	log_debug("h2: %s: %s", h->authority, names[state]);
}

static uint32_t random_below(uint32_t n)
{
	uint32_t x;

	evutil_secure_rng_get_bytes(&x, sizeof(x));
	return x % n;
}

/* Half of it is left to chance, so that relays do not come back in step. */
static unsigned back_off_ms(const struct h2 *h)
{
	unsigned wait = h->timing->retry_min;

	for (unsigned i = 1; i < h->failures && wait < h->timing->retry_max; i++)
		wait *= 2;
	if (wait > h->timing->retry_max)
		wait = h->timing->retry_max;
	return wait - random_below(wait / 2 + 1);
}

static void h2_try_after(struct h2 *h, unsigned wait_ms)
{
	struct timeval tv = { wait_ms / 1000, (suseconds_t)(wait_ms % 1000) * 1000 };

	h2_enter(h, H2_BACKING_OFF);
	event_add(&h->retry, &tv);
}

static void h2_back_off(struct h2 *h)
{
	h->failures++;
	h2_try_after(h, back_off_ms(h));
}

/*
 * Once for each episode: attempts follow each other for hours. One ends with an answer; a
 * peer that only takes connections is no better than none.
 */
static void h2_warn(struct h2 *h, const char *why)
{
	if (!h->warned)
		log_warning("h2: %s: %s; trying again, at least once a minute",
		    h->authority, why);
	else
		log_debug("h2: %s: %s", h->authority, why);
	h->warned = true;
}

static void h2_connect(struct h2 *h)
{
	h2_enter(h, H2_DIALLING);
	dial_start(h->dial);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	h2_connect(arg);
}

static void on_dial_failed(void *arg, const char *why)
{
	struct h2 *h = arg;

	h->counters.connect_failures++;
	h2_warn(h, why);
	h2_back_off(h);
	h->events->on_down(h->arg);
}

/*
 * The session is over or takes no more: the next one, at once if this one was of use. A
 * peer that leaves after a few answers is met once a second, one that wants no idle
 * connections when there is something to send. False if this was one more failure.
 */
static bool h2_replace(struct h2 *h, const struct h2_session_life *life)
{
	bool young = life->ms < h->timing->retry_max;

	h->session = NULL;
	if (life->ready && life->posted == 0 && young && !h->wanted) {
		h2_enter(h, H2_IDLE);
		return true;
	}
	if (!life->ready || (life->answered == 0 && young)) {
		h2_back_off(h);
		return false;
	}
	h->failures = 0;
	h2_try_after(
	    h, life->answered < WORTH_A_RETRY && life->ms < h->timing->retry_min
		   ? h->timing->retry_min
		   : 0);
	return true;
}

static void on_session_ready(void *arg, struct h2_session *s)
{
	struct h2 *h = arg;

	h->counters.connects++;
	h2_enter(h, H2_READY);
	if (h->counters.connects == 1)
		log_info("h2: %s: connected", h->authority);
	h->events->on_ready(h->arg);
}

static void on_session_room(void *arg, struct h2_session *s)
{
	struct h2 *h = arg;

	if (s != h->session)
		return;
	if (h->warned && h2_session_life(s).answered > 0) {
		log_info("h2: %s: answers again", h->authority);
		h->warned = false;
	}
	h->events->on_room(h->arg);
}

static void h2_forget_leaving(struct h2 *h, const struct h2_session *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->nleaving; i++)
		if (h->leaving[i] != s)
			h->leaving[kept++] = h->leaving[i];
	h->nleaving = kept;
}

static void on_session_leaving(void *arg, struct h2_session *s)
{
	struct h2 *h = arg;
	struct h2_session_life life = h2_session_life(s);

	if (h->nleaving == LEAVING_MAX) {
		struct h2_session *oldest = h->leaving[0];

		h2_forget_leaving(h, oldest);
		h2_session_destroy(oldest);
	}
	h->leaving[h->nleaving++] = s;
	if (h2_replace(h, &life))
		return;
	h2_warn(h, "asks us to leave at once");
	h->events->on_down(h->arg);
}

static void on_session_end(void *arg, struct h2_session *s, const char *why)
{
	struct h2 *h = arg;
	struct h2_session_life life = h2_session_life(s);
	bool current = s == h->session;

	h2_forget_leaving(h, s);
	h2_session_destroy(s);
	if (why && life.ready)
		h->counters.lost++;
	if (!current)
		return;
	if (!life.ready)
		h->counters.connect_failures++;
	if (!h2_replace(h, &life))
		h2_warn(h, why ? why : "left at once");
	else
		log_debug("h2: %s: %s", h->authority, why ? why : "left");
	if (h->state != H2_IDLE)
		h->events->on_down(h->arg);
}

static const struct h2_session_events session_events = {
	.on_ready = on_session_ready,
	.on_room = on_session_room,
	.on_leaving = on_session_leaving,
	.on_end = on_session_end,
};

static void on_dialled(void *arg, struct bufferevent *bev)
{
	struct h2 *h = arg;
	const struct h2_session_options options = {
		.authority = h->authority,
		.path = h->path,
		.max_streams = h->max_streams,
		.requests_max = h->requests_max,
		.timing = h->timing,
		.counters = &h->counters,
	};

	h2_enter(h, H2_GREETING);
	h->session = h2_session_create(h->base, bev, &options, &session_events, h);
}

static const struct dial_events dial_events = {
	.on_connected = on_dialled,
	.on_failed = on_dial_failed,
};

/* Printf into memory that the caller owns. */
__attribute__((format(printf, 1, 2))) static char *print(const char *format, ...)
{
	char *text;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		abort();
	va_end(ap);
	return text;
}

static const char *take_uri(struct h2 *h, const struct evhttp_uri *uri)
{
	const char *scheme = evhttp_uri_get_scheme(uri),
		   *host = evhttp_uri_get_host(uri);
	const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
	int port = evhttp_uri_get_port(uri);
	size_t len = host ? strlen(host) : 0;

	if (!scheme || strcasecmp(scheme, "https") != 0)
		return "it is no https URL";
	if (len == 0 || len > HOST_MAX || evhttp_uri_get_userinfo(uri))
		return "it names no host";
	if (port == 0 || port > UINT16_MAX)
		return "its port is out of range";
	if (strlen(path) + (query ? strlen(query) : 0) > PATH_MAX_LEN)
		return "it is too long";
	h->port = port < 0 ? 443 : (uint16_t)port;
	h->authority = port < 0 ? print("%s", host) : print("%s:%d", host, port);
	h->path =
	    print("%s%s%s", *path ? path : "/", query ? "?" : "", query ? query : "");
	/* Brackets are of the URL, not of the address. */
	h->host =
	    *host == '[' ? print("%.*s", (int)len - 2, host + 1) : print("%s", host);
	return NULL;
}

static const char *take_url(struct h2 *h, const char *url)
{
	struct evhttp_uri *uri = evhttp_uri_parse(url);
	const char *why;

	if (!uri)
		return "it is no URL";
	why = take_uri(h, uri);
	evhttp_uri_free(uri);
	return why;
}

static const char *make_dial(struct h2 *h, const struct h2_options *o)
{
	const struct dial_options options = {
		.host = h->host,
		.port = h->port,
		.ca_file = o->ca_file,
		.resolv_conf = o->resolv_conf,
		.ipv4_only = o->ipv4_only,
		.all_ms = o->timing->connect,
		.address_ms = o->timing->address,
		.handshake_ms = o->timing->handshake,
	};
	const char *why = NULL;

	h->dial = dial_create(h->base, &options, &dial_events, h, &why);
	return why;
}

struct h2 *h2_create(struct event_base *base, const struct h2_options *o,
    const struct h2_events *events, void *arg, const char **why)
{
	struct h2 *h = calloc(1, sizeof(*h));

	if (!h)
		abort();
	h->base = base;
	h->events = events;
	h->arg = arg;
	h->timing = o->timing;
	h->max_streams = o->max_streams;
	h->requests_max = o->requests_max ? o->requests_max : REQUESTS_MAX;
	evtimer_assign(&h->retry, base, on_retry, h);
	*why = take_url(h, o->url);
	if (!*why)
		*why = make_dial(h, o);
	if (*why) {
		h2_destroy(h);
		return NULL;
	}
	return h;
}

void h2_destroy(struct h2 *h)
{
	struct h2_session *session;

	if (!h)
		return;
	session = h->session;
	h->session = NULL; /* nothing can be posted any more */
	h2_session_destroy(session);
	for (size_t i = 0; i < h->nleaving; i++)
		h2_session_destroy(h->leaving[i]);
	dial_destroy(h->dial);
	event_del(&h->retry);
	free(h->host);
	free(h->authority);
	free(h->path);
	free(h);
}

void h2_want(struct h2 *h)
{
	h->wanted = true;
	if (h->state == H2_IDLE)
		h2_connect(h);
}

unsigned h2_room(const struct h2 *h)
{
	return h->session ? h2_session_room(h->session) : 0;
}

void h2_post(struct h2 *h, struct span body, h2_done *done, void *arg)
{
	assert(h->session);
	h->wanted = false;
	h2_session_post(h->session, body, done, arg);
}

const struct h2_counters *h2_counters(const struct h2 *h)
{
	return &h->counters;
}
