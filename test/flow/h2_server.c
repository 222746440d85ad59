#include "test/flow/h2_server.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_SENT   (1 << 20)
#define OUTPUT_HIGH (256 * 1024)

struct request {
	LIST_ENTRY(request) entry;
	int32_t id;
	size_t left; /* of the body to send; SIZE_MAX: empty frames for ever */
	size_t len;
	char body[H2_SERVER_BODY];
	bool whole, answered;
};

struct conn {
	LIST_ENTRY(conn) entry;
	struct h2_server *server;
	struct bufferevent *bev;
	nghttp2_session *ng; /* NULL before TLS is up, or none is spoken */
	LIST_HEAD(, request) requests;
	enum h2_server_act flood; /* H2_ACT_PINGS or _SETTINGS: goes on for ever */
	bool frozen, closing;
};

struct h2_server {
	struct event_base *base;
	const struct tls_authority *authority;
	const struct h2_server_script *script;
	struct evconnlistener *four, *six; /* six may be NULL */
	LIST_HEAD(, conn) conns;
	struct h2_server_seen seen;
	void (*watcher)(void *arg); /* or NULL */
	void *arg;
};

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "h2_server: %s failed\n", what);
	abort();
}

static void request_free(struct conn *c, struct request *r)
{
	if (!r->answered)
		c->server->seen.in_flight--;
	LIST_REMOVE(r, entry);
	free(r);
}

static void conn_close(struct conn *c)
{
	struct request *r;

	while ((r = LIST_FIRST(&c->requests)))
		request_free(c, r);
	LIST_REMOVE(c, entry);
	c->server->seen.open--;
	nghttp2_session_del(c->ng);
	bufferevent_free(c->bev);
	free(c);
}

static void conn_flush(struct conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	const uint8_t *bytes;
	ssize_t n = 1;

	while (!c->frozen && n > 0 && evbuffer_get_length(out) < OUTPUT_HIGH) {
		n = nghttp2_session_mem_send(c->ng, &bytes);
		if (n == 0 && c->flood == H2_ACT_PINGS)
			n = nghttp2_submit_ping(c->ng, 0, NULL) == 0;
		else if (n == 0 && c->flood == H2_ACT_SETTINGS)
			n = nghttp2_submit_settings(c->ng, 0, NULL, 0) == 0;
		else if (n > 0)
			evbuffer_add(out, bytes, (size_t)n);
	}
}

static ssize_t on_body_wanted(nghttp2_session *ng, int32_t id, uint8_t *buf,
    size_t size, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct request *r = source->ptr;
	size_t n;

	if (r->left == SIZE_MAX)
		return 0;
	n = r->left < size ? r->left : size;
	memset(buf, 'x', n);
	r->left -= n;
	if (r->left == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static ssize_t on_nothing_wanted(nghttp2_session *ng, int32_t id, uint8_t *buf,
    size_t size, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	return NGHTTP2_ERR_DEFERRED;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name),
		strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static void answer(
    struct conn *c, struct request *r, unsigned status, enum h2_server_act act)
{
	static char filler[40001];
	nghttp2_data_provider body = { .source.ptr = r };
	char code[4];
	nghttp2_nv headers[2];

	memset(filler, 'f', sizeof(filler) - 1);
	snprintf(code, sizeof(code), "%u", status % 1000);
	headers[0] = header(":status", code);
	headers[1] = header("x-filler", act == H2_ACT_BIG_HEADER ? filler : "");
	body.read_callback = on_body_wanted;
	if (act == H2_ACT_HEADERS || act == H2_ACT_HEADERS_RESET)
		body.read_callback = on_nothing_wanted;
	if (act == H2_ACT_EMPTY)
		r->left = SIZE_MAX;
	else
		r->left = act == H2_ACT_BODY ? BODY_SENT : 3;
	r->answered = true;
	c->server->seen.in_flight--;
	need(nghttp2_submit_response(c->ng, r->id, headers, 2, &body) == 0, "answer");
}

static void act(struct conn *c, struct request *r, const struct h2_server_step *step)
{
	nghttp2_nv early = header(":status", "103");
	unsigned status = step->status ? step->status : 200;

	switch (step->act) {
	case H2_ACT_ANSWER:
	case H2_ACT_BIG_HEADER:
	case H2_ACT_BODY:
	case H2_ACT_HEADERS:
	case H2_ACT_EMPTY:
		answer(c, r, status, step->act);
		break;
	case H2_ACT_HEADERS_RESET:
		answer(c, r, status, step->act);
		conn_flush(c);
		nghttp2_submit_rst_stream(c->ng, 0, r->id, NGHTTP2_INTERNAL_ERROR);
		break;
	case H2_ACT_INTERIM:
		nghttp2_submit_headers(c->ng, 0, r->id, NULL, &early, 1, NULL);
		answer(c, r, status, step->act);
		break;
	case H2_ACT_STALL:
		break;
	case H2_ACT_RESET:
		nghttp2_submit_rst_stream(c->ng, 0, r->id, NGHTTP2_INTERNAL_ERROR);
		break;
	case H2_ACT_REFUSE:
		nghttp2_submit_rst_stream(c->ng, 0, r->id, NGHTTP2_REFUSED_STREAM);
		break;
	case H2_ACT_CLOSE:
		c->closing = true;
		break;
	case H2_ACT_FREEZE:
		c->frozen = true;
		bufferevent_disable(c->bev, EV_READ);
		break;
	case H2_ACT_GOAWAY:
		answer(c, r, status, step->act);
		nghttp2_submit_goaway(c->ng, 0, r->id, NGHTTP2_NO_ERROR, NULL, 0);
		break;
	case H2_ACT_GOAWAY_UNTIL:
		nghttp2_submit_goaway(
		    c->ng, 0, r->id > 1 ? r->id - 2 : 0, NGHTTP2_NO_ERROR, NULL, 0);
		break;
	case H2_ACT_PINGS:
	case H2_ACT_SETTINGS:
		c->flood = step->act;
		break;
	}
}

static void on_request(struct conn *c, struct request *r)
{
	const struct h2_server_script *script = c->server->script;
	struct h2_server_seen *seen = &c->server->seen;
	size_t i = seen->requests;

	r->whole = true;
	if (i < H2_SERVER_BODIES)
		memcpy(seen->body[i], r->body, sizeof(seen->body[i]) - 1);
	snprintf(seen->last, sizeof(seen->last), "%s", r->body);
	seen->requests++;
	if (c->server->watcher)
		c->server->watcher(c->server->arg);
	if (i >= script->nsteps)
		i = script->nsteps - 1;
	act(c, r, &script->step[i]);
}

static int on_begin(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct conn *c = arg;
	struct h2_server_seen *seen = &c->server->seen;
	struct request *r = calloc(1, sizeof(*r));

	need(r != NULL, "calloc");
	r->id = frame->hd.stream_id;
	LIST_INSERT_HEAD(&c->requests, r, entry);
	nghttp2_session_set_stream_user_data(ng, r->id, r);
	if (++seen->in_flight > seen->most_in_flight)
		seen->most_in_flight = seen->in_flight;
	return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame,
    const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen,
    uint8_t flags, void *arg)
{
	struct h2_server_seen *seen = &((struct conn *)arg)->server->seen;
	const char *n = (const char *)name, *v = (const char *)value;

	if (strcmp(n, ":authority") == 0)
		snprintf(seen->authority, sizeof(seen->authority), "%s", v);
	else if (strcmp(n, ":path") == 0)
		snprintf(seen->path, sizeof(seen->path), "%s", v);
	else if (strcmp(n, ":method") == 0)
		seen->bad += strcmp(v, "POST") != 0;
	else if (strcmp(n, ":scheme") == 0)
		seen->bad += strcmp(v, "https") != 0;
	else
		seen->bad += strcmp(n, "content-length") != 0;
	return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
    size_t len, void *arg)
{
	struct request *r = nghttp2_session_get_stream_user_data(ng, id);

	for (size_t i = 0; r && i < len; i++, r->len++)
		if (r->len < sizeof(r->body) - 1)
			r->body[r->len] = (char)data[i];
	return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct conn *c = arg;
	struct h2_server_seen *seen = &c->server->seen;
	struct request *r =
	    nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		if (r && !r->whole && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
			on_request(c, r);
		break;
	case NGHTTP2_SETTINGS:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			seen->greeted++;
		break;
	case NGHTTP2_PING:
		if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
			seen->pings++;
		break;
	case NGHTTP2_GOAWAY:
		seen->goaways++;
		break;
	case NGHTTP2_RST_STREAM:
		seen->resets++;
		break;
	default:
		break;
	}
	return 0;
}

static int on_stream_closed(nghttp2_session *ng, int32_t id, uint32_t error, void *arg)
{
	struct request *r = nghttp2_session_get_stream_user_data(ng, id);

	if (r)
		request_free(arg, r);
	return 0;
}

static void start_http2(struct conn *c)
{
	const struct h2_server_script *script = c->server->script;
	nghttp2_session_callbacks *callbacks;
	nghttp2_settings_entry settings[2];
	nghttp2_option *option;
	size_t n = 0;

	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(
	    callbacks, on_stream_closed);
	nghttp2_option_new(&option);
	nghttp2_option_set_no_auto_ping_ack(option, script->deaf);
	need(nghttp2_session_server_new2(&c->ng, callbacks, c, option) == 0, "nghttp2");
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	if (script->limit_streams)
		settings[n++] =
		    (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
			    script->max_streams };
	if (script->limit_window)
		settings[n++] =
		    (nghttp2_settings_entry){ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
			    script->window };
	nghttp2_submit_settings(c->ng, 0, settings, n);
	if (script->stop == H2_SERVER_GOAWAY_SETTINGS)
		nghttp2_submit_goaway(c->ng, 0, 0, NGHTTP2_NO_ERROR, NULL, 0);
	conn_flush(c);
	c->closing = script->stop == H2_SERVER_CLOSE_SETTINGS;
}

static void on_input(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);

	if (!c->ng) {
		evbuffer_drain(in, len);
		return;
	}
	if (nghttp2_session_mem_recv(c->ng, evbuffer_pullup(in, -1), len) !=
	    (ssize_t)len)
		c->closing = true;
	evbuffer_drain(in, len);
	conn_flush(c);
	if (c->closing)
		conn_close(c);
}

static void on_drained(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	if (c->ng)
		conn_flush(c);
	if (c->closing)
		conn_close(c);
}

static void on_connected(struct conn *c)
{
	const SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	snprintf(
	    c->server->seen.sni, sizeof(c->server->seen.sni), "%s", sni ? sni : "");
	switch (c->server->script->stop) {
	case H2_SERVER_CLOSE_TLS:
		conn_close(c);
		break;
	case H2_SERVER_STALL_TLS:
		break;
	case H2_SERVER_HTTP_1:
		evbuffer_add_printf(
		    bufferevent_get_output(c->bev), "HTTP/1.1 400 Bad Request\r\n\r\n");
		break;
	default:
		start_http2(c);
		break;
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	if (what & BEV_EVENT_CONNECTED)
		on_connected(arg);
	else
		conn_close(arg);
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned inlen, void *arg)
{
	const char *name = arg;

	if (!*name)
		return SSL_TLSEXT_ERR_NOACK;
	*out = (const unsigned char *)name;
	*outlen = (unsigned char)strlen(name);
	return SSL_TLSEXT_ERR_OK; /* offered or not */
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *peer, int len, void *arg)
{
	struct h2_server *s = arg;
	const struct h2_server_script *script = s->script;
	struct conn *c;
	SSL_CTX *tls;

	s->seen.accepted++;
	if (script->stop == H2_SERVER_CLOSE_TCP) {
		close(fd);
		return;
	}
	c = calloc(1, sizeof(*c));
	need(c != NULL, "calloc");
	c->server = s;
	LIST_INIT(&c->requests);
	LIST_INSERT_HEAD(&s->conns, c, entry);
	s->seen.open++;
	if (script->stop == H2_SERVER_STALL_TCP) {
		c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	} else {
		tls = tls_authority_serve(s->authority, script->cert);
		SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
		SSL_CTX_set_alpn_select_cb(
		    tls, select_alpn, (void *)(script->alpn ? script->alpn : "h2"));
		c->bev = bufferevent_openssl_socket_new(s->base, fd, SSL_new(tls),
		    BUFFEREVENT_SSL_ACCEPTING,
		    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
		SSL_CTX_free(tls); /* the SSL holds it */
	}
	need(c->bev != NULL, "bufferevent");
	bufferevent_setcb(c->bev, on_input, on_drained, on_event, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static struct evconnlistener *listen_at(
    struct h2_server *s, const struct sockaddr *sa, int len)
{
	return evconnlistener_new_bind(s->base, on_accept, s,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 64, sa,
	    len);
}

struct h2_server *h2_server_create(struct event_base *base,
    const struct tls_authority *authority, const struct h2_server_script *script)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(script->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct h2_server *s = calloc(1, sizeof(*s));
	socklen_t len = sizeof(sin);

	need(s != NULL, "calloc");
	s->base = base;
	s->authority = authority;
	s->script = script;
	LIST_INIT(&s->conns);
	s->four = listen_at(s, (const struct sockaddr *)&sin, sizeof(sin));
	need(s->four != NULL, "listen");
	getsockname(evconnlistener_get_fd(s->four), (struct sockaddr *)&sin, &len);
	s->seen.port = ntohs(sin.sin_port);
	sin6.sin6_port = sin.sin_port;
	s->six = listen_at(s, (const struct sockaddr *)&sin6, sizeof(sin6));
	return s;
}

void h2_server_destroy(struct h2_server *s)
{
	if (!s)
		return;
	h2_server_close_all(s);
	evconnlistener_free(s->four);
	if (s->six)
		evconnlistener_free(s->six);
	free(s);
}

void h2_server_close_all(struct h2_server *s)
{
	struct conn *c;

	while ((c = LIST_FIRST(&s->conns)))
		conn_close(c);
}

void h2_server_leave_all(struct h2_server *s)
{
	struct conn *c;

	LIST_FOREACH (c, &s->conns, entry) {
		nghttp2_submit_goaway(c->ng, 0,
		    nghttp2_session_get_last_proc_stream_id(c->ng), NGHTTP2_NO_ERROR,
		    NULL, 0);
		conn_flush(c);
	}
}

void h2_server_watch(struct h2_server *s, void (*watcher)(void *arg), void *arg)
{
	s->watcher = watcher;
	s->arg = arg;
}

const struct h2_server_seen *h2_server_seen(const struct h2_server *s)
{
	return &s->seen;
}
