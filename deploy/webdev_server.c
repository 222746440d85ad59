#include "deploy/webdev_server.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "deploy/page_expression.h"
#include "deploy/page_language.h"

#define ADDRESS     "127.0.0.1"
#define HEADERS_MAX 16384 /* bytes of a request */
#define BODY_MAX    16384
#define TIMEOUT_S   20

/* The policies of templates/nginx: for our pages, without and with scripts, and for pages of
 * the operator's own. */
#define POLICY_COMMON "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#define POLICY_STATIC                                                                  \
	"default-src 'none'; img-src 'self' data:; style-src 'self'; "                 \
	"font-src 'self'; manifest-src 'self'; "
#define POLICY_SELF POLICY_STATIC "script-src 'self'; connect-src 'self'; "
#define POLICY_FOLDER                                                                  \
	"default-src 'self'; img-src 'self' data:; "                                   \
	"style-src 'self' 'unsafe-inline'; object-src 'none'; "

struct webdev_server {
	struct evhttp *http;
	uint16_t port;
	const struct config *config;
	const struct page_files *site;
	const char *error;
};

static const struct {
	const char *suffix, *type;
} types[] = {
	{ ".html", "text/html; charset=utf-8" },
	{ ".css", "text/css" },
	{ ".js", "application/javascript" },
	{ ".json", "application/json" },
	{ ".svg", "image/svg+xml" },
	{ ".png", "image/png" },
	{ ".jpg", "image/jpeg" },
	{ ".jpeg", "image/jpeg" },
	{ ".gif", "image/gif" },
	{ ".webp", "image/webp" },
	{ ".ico", "image/x-icon" },
	{ ".woff2", "font/woff2" },
	{ ".pdf", "application/pdf" },
	{ ".xml", "text/xml" },
	{ ".txt", "text/plain; charset=utf-8" },
	{ ".asc", "text/plain; charset=utf-8" },
};

static const char *content_type(const char *path)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (span_ends(span_of(path), span_of(types[i].suffix)))
			return types[i].type;
	}
	return "application/octet-stream";
}

static void add_header(struct evhttp_request *req, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(req), name, value);
}

static const char *policy(const struct config *c)
{
	if (*c->www_folder)
		return POLICY_FOLDER POLICY_COMMON;
	return c->tls_mode == TLS_SELF ? POLICY_SELF POLICY_COMMON
				       : POLICY_STATIC POLICY_COMMON;
}

/* evhttp leaves the body out for HEAD. */
static void answer(const struct webdev_server *s, struct evhttp_request *req, int code,
    const char *reason, const char *type, struct span body)
{
	struct evbuffer *buffer = evbuffer_new();

	if (!buffer || evbuffer_add(buffer, body.data, body.len) < 0)
		abort();
	add_header(req, "Content-Type", type);
	add_header(req, "Cache-Control", "no-store");
	add_header(req, "X-Content-Type-Options", "nosniff");
	add_header(req, "Referrer-Policy", "no-referrer");
	add_header(req, "Content-Security-Policy", policy(s->config));
	evhttp_send_reply(req, code, reason, buffer);
	evbuffer_free(buffer);
}

static void answer_error(const struct webdev_server *s, struct evhttp_request *req)
{
	struct text page = { 0 };

	text_add(&page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
			"<meta charset=\"utf-8\">\n"
			"<meta http-equiv=\"refresh\" content=\"3\">\n"
			"<title>Mistake in the pages</title>\n</head>\n<body>\n<p>");
	page_escape(&page, span_of(s->error));
	text_add(&page, "</p>\n</body>\n</html>\n");
	answer(s, req, HTTP_INTERNAL, "Mistake in the pages", content_type(".html"),
	    text_span(&page));
	text_free(&page);
}

/* A stand-in for the relay's /new: credentials of the right form that nobody has. */
static void answer_new(const struct webdev_server *s, struct evhttp_request *req)
{
	const struct config *c = s->config;
	bool self = c->tls_mode == TLS_SELF;
	struct text body = { 0 };

	if (evhttp_request_get_command(req) != EVHTTP_REQ_POST && !self) {
		text_printf(&body, "dcaccount:https://%s/new", c->mail_domain_bare);
		add_header(req, "Location", body.data);
		answer(s, req, HTTP_MOVEPERM, "Moved Permanently", content_type(".txt"),
		    span_of(""));
		text_free(&body);
		return;
	}
	text_printf(&body,
	    "{\"email\": \"webdev123@%s\", \"password\": \"webdev-webdev\"",
	    c->mail_domain);
	if (self)
		text_printf(&body,
		    ", \"dclogin_url\": "
		    "\"dclogin:webdev123@%s?p=webdev-webdev&v=1&ic=3\"",
		    c->mail_domain);
	text_add(&body, "}\n");
	answer(s, req, HTTP_OK, "OK", "application/json", text_span(&body));
	text_free(&body);
}

/* Where the relay leads to its bot's invitation, which nobody knows here. */
static void answer_echobot(const struct webdev_server *s, struct evhttp_request *req)
{
	answer(s, req, HTTP_SERVUNAVAIL, "Service Unavailable", content_type(".txt"),
	    span_of("On the relay, this leads to the echo bot.\n"));
}

static void answer_page(
    const struct webdev_server *s, struct evhttp_request *req, const char *path)
{
	const char *languages = evhttp_find_header(
	    evhttp_request_get_input_headers(req), "Accept-Language");
	const struct page_file *f = page_negotiate(s->site, path, languages);

	if (!f) {
		answer(s, req, HTTP_NOTFOUND, "Not Found", content_type(".txt"),
		    span_of("There is no such page.\n"));
		return;
	}
	add_header(req, "Vary", "Accept-Language");
	answer(
	    s, req, HTTP_OK, "OK", content_type(f->path), span_make(f->data, f->len));
}

static void on_request(struct evhttp_request *req, void *arg)
{
	const struct webdev_server *s = arg;
	const char *raw = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	char *path = evhttp_uridecode(raw ? raw : "", 0, NULL);

	if (!path)
		evhttp_send_error(req, HTTP_BADREQUEST, NULL);
	else if (s->error)
		answer_error(s, req);
	else if (strcmp(path, "/new") == 0 || strcmp(path, "/cgi-bin/newemail.py") == 0)
		answer_new(s, req);
	else if (evhttp_request_get_command(req) == EVHTTP_REQ_POST)
		evhttp_send_error(req, HTTP_BADMETHOD, NULL);
	else if (s->config->echobot && strcmp(path, "/echobot") == 0)
		answer_echobot(s, req);
	else
		answer_page(s, req, path);
	free(path);
}

/* The port that was given out. */
static uint16_t bound_port(struct evhttp_bound_socket *bound)
{
	struct sockaddr_in addr = { 0 };
	socklen_t len = sizeof(addr);

	if (getsockname(
		evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&addr, &len) < 0)
		abort();
	return ntohs(addr.sin_port);
}

struct webdev_server *webdev_server_create(struct event_base *base, uint16_t port)
{
	struct webdev_server *s = calloc(1, sizeof(*s));
	struct evhttp_bound_socket *bound;

	if (!s)
		abort();
	s->http = evhttp_new(base);
	if (!s->http)
		abort();
	evhttp_set_max_headers_size(s->http, HEADERS_MAX);
	evhttp_set_max_body_size(s->http, BODY_MAX);
	evhttp_set_timeout(s->http, TIMEOUT_S);
	evhttp_set_allowed_methods(
	    s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
	evhttp_set_gencb(s->http, on_request, s);
	bound = evhttp_bind_socket_with_handle(s->http, ADDRESS, port);
	if (!bound) {
		webdev_server_free(s);
		return NULL;
	}
	s->port = bound_port(bound);
	return s;
}

void webdev_server_free(struct webdev_server *s)
{
	if (!s)
		return;
	evhttp_free(s->http);
	free(s);
}

uint16_t webdev_server_port(const struct webdev_server *s)
{
	return s->port;
}

void webdev_server_show(struct webdev_server *s, const struct config *config,
    const struct page_files *site, const char *error)
{
	s->config = config;
	s->site = site;
	s->error = error;
}
