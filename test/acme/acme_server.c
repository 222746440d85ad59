/*
 * A small ACME server (RFC 8555) for tests of whoever wants a certificate: accounts,
 * orders, http-01, and what can go wrong at a real one. Keeps everything in memory.
 *
 * usage: acme_server [OPTION]... DIR
 *   --listen ADDRESS      default 127.0.0.1
 *   --port PORT           default 14000
 *   --name NAME           host name in its URLs and its certificate; default ADDRESS
 *   --check ADDRESS       asks this host, whatever a name's address is
 *   --check-port PORT     default 80
 *   --terms URL           its terms of service
 *
 * Writes the root certificate to DIR/ca.crt, then DIR/ready. While DIR/fail exists, its
 * first line is the type of the error that orders or their challenges end with:
 * rateLimited, caa, dns, connection, ... or serverInternal, which removes the file.
 */
#include "test/acme/acme_server.h"

#include <event2/bufferevent_ssl.h>
#include <getopt.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>

#define BODY_MAX 65536 /* bytes of a request */

void random_token(char token[TOKEN_SIZE])
{
	unsigned char bytes[(TOKEN_SIZE - 1) * 3 / 4];
	char *text;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		abort();
	text = base64url(bytes, sizeof(bytes));
	snprintf(token, TOKEN_SIZE, "%s", text);
	free(text);
}

static const char *new_nonce(struct acme *a)
{
	char *nonce = a->nonces[a->next_nonce++ % NONCES];

	random_token(nonce);
	return nonce;
}

/* Good once: RFC 8555 section 6.5. */
static bool use_nonce(struct acme *a, const char *nonce)
{
	for (size_t i = 0; i < NONCES; i++) {
		if (*nonce && strcmp(a->nonces[i], nonce) == 0) {
			a->nonces[i][0] = '\0';
			return true;
		}
	}
	return false;
}

static void add_header(struct request *r, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(r->http), name, value);
}

void reply_text(struct request *r, int status, const char *type, const char *text)
{
	struct evbuffer *body = evbuffer_new();
	char link[URL_SIZE + 40];

	if (!body)
		abort();
	snprintf(link, sizeof(link), "<%s/directory>;rel=\"index\"", r->acme->base);
	add_header(r, "Replay-Nonce", new_nonce(r->acme));
	add_header(r, "Cache-Control", "no-store");
	add_header(r, "Link", link);
	add_header(r, "Content-Type", type);
	evbuffer_add(body, text, strlen(text));
	evhttp_send_reply(r->http, status, NULL, body);
	evbuffer_free(body);
	r->answered = true;
}

void reply_json(struct request *r, int status, const char *location, json_t *body)
{
	char *text = body ? json_dumps(body, 0) : NULL;

	if (!text)
		abort();
	if (location)
		add_header(r, "Location", location);
	add_header(r, "Retry-After", "1"); /* whoever waits need not wait long */
	reply_text(r, status, "application/json", text);
	free(text);
	json_decref(body);
}

json_t *problem(const char *type, const char *detail)
{
	return json_pack("{s:s+, s:s}", "type", "urn:ietf:params:acme:error:", type,
	    "detail", detail);
}

void reply_problem(struct request *r, int status, const char *type, const char *detail)
{
	json_t *body = problem(type, detail);
	char *text = json_dumps(body, 0);

	if (!text)
		abort();
	reply_text(r, status, "application/problem+json", text);
	free(text);
	json_decref(body);
}

bool failing(const struct acme *a, char type[ERROR_SIZE])
{
	FILE *f = fopen(a->fail_path, "r");
	bool found = f && fgets(type, ERROR_SIZE, f);

	if (f)
		fclose(f);
	if (found)
		type[strcspn(type, "\n")] = '\0';
	return found;
}

static void get_directory(struct request *r)
{
	const char *base = r->acme->base;

	reply_json(r, 200, NULL,
	    json_pack("{s:s+, s:s+, s:s+, s:{s:s}}", "newNonce", base, "/new-nonce",
		"newAccount", base, "/new-account", "newOrder", base, "/new-order",
		"meta", "termsOfService", r->acme->terms));
}

static void get_nonce(struct request *r)
{
	reply_text(r, 200, "text/plain", "");
}

struct route {
	const char *path; /* %u: the number of a thing */
	void (*answer)(struct request *r);
	bool is_signed;
};

static const struct route routes[] = {
	{ "/directory", get_directory, false },
	{ "/new-nonce", get_nonce, false },
	{ "/new-account", post_new_account, true },
	{ "/account/%u", post_account, true },
	{ "/new-order", post_new_order, true },
	{ "/order/%u", post_order, true },
	{ "/authorization/%u", post_authorization, true },
	{ "/challenge/%u", post_challenge, true },
	{ "/finalize/%u", post_finalize, true },
	{ "/certificate/%u", post_certificate, true },
};

static const struct route *find_route(const char *path, unsigned *number)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct route *route = &routes[i];
		size_t len = strcspn(route->path, "%");
		char *end;

		if (strncmp(path, route->path, len) != 0)
			continue;
		if (route->path[len] == '\0' && path[len] == '\0')
			return route;
		*number = (unsigned)strtoul(path + len, &end, 10);
		if (route->path[len] == '%' && end > path + len && *end == '\0')
			return route;
	}
	return NULL;
}

/* Whose request it is: RFC 8555 section 6.2; a key is known by its URL once it has one. */
static const char *find_account(struct request *r, const struct route *route)
{
	const json_t *jwk = json_object_get(r->jws.header, "jwk");
	const char *kid = json_string_value(json_object_get(r->jws.header, "kid"));
	char url[URL_SIZE + 40];

	if (route->answer == post_new_account) {
		r->account_key = jwk ? jwk_key(jwk) : NULL;
		return r->account_key ? NULL : "badPublicKey";
	}
	for (unsigned i = 0; kid && i < r->acme->naccounts; i++) {
		snprintf(url, sizeof(url), "%s/account/%u", r->acme->base, i);
		if (strcmp(url, kid) == 0)
			r->account = &r->acme->accounts[i];
	}
	return r->account ? NULL : "accountDoesNotExist";
}

/* NULL, or the type of the error. */
static const char *check_signed(struct request *r, const struct route *route)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(r->http);
	const char *nonce, *url, *error;
	char wanted[URL_SIZE + 300];
	size_t len = evbuffer_get_length(in);

	if (!jws_parse(&r->jws, (const char *)evbuffer_pullup(in, -1), len) ||
	    json_unpack(r->jws.header, "{s:s, s:s}", "nonce", &nonce, "url", &url) < 0)
		return "malformed";
	error = find_account(r, route);
	if (error)
		return error;
	snprintf(wanted, sizeof(wanted), "%s%s", r->acme->base,
	    evhttp_uri_get_path(evhttp_request_get_evhttp_uri(r->http)));
	if (strcmp(url, wanted) != 0)
		return "unauthorized";
	if (!jws_verify(&r->jws, r->account ? r->account->key : r->account_key))
		return "unauthorized";
	return use_nonce(r->acme, nonce) ? NULL : "badNonce";
}

static void on_request(struct evhttp_request *http, void *arg)
{
	struct request r = { .acme = arg, .http = http };
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(http));
	const struct route *route = find_route(path ? path : "", &r.number);
	bool post = evhttp_request_get_command(http) == EVHTTP_REQ_POST;
	const char *error = NULL;

	if (!route)
		reply_problem(&r, 404, "malformed", "there is nothing here");
	else if (route->is_signed != post)
		reply_problem(&r, 405, "malformed", "another method is due");
	else if (route->is_signed && (error = check_signed(&r, route)))
		reply_problem(&r, 400, error, "the signed request is no good");
	else
		route->answer(&r);
	if (!r.answered)
		reply_problem(&r, 404, "malformed", "there is no such thing");
	EVP_PKEY_free(r.account_key);
	jws_free(&r.jws);
}

static struct bufferevent *accept_tls(struct event_base *base, void *arg)
{
	struct acme *a = arg;

	return bufferevent_openssl_socket_new(base, -1, SSL_new(a->tls),
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static void usage(void)
{
	fputs("usage: acme_server [--listen ADDRESS] [--port PORT] [--name NAME]\n"
	      "    [--check ADDRESS] [--check-port PORT] [--terms URL] DIR\n",
	    stderr);
	exit(2);
}

static void parse_options(struct acme *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "port", required_argument, NULL, 'p' },
		{ "name", required_argument, NULL, 'n' },
		{ "check", required_argument, NULL, 'c' },
		{ "check-port", required_argument, NULL, 'q' },
		{ "terms", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	const char *text[128] = { ['l'] = "127.0.0.1",
		['p'] = "14000",
		['q'] = "80",
		['t'] = "https://acme.example/terms-1" };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			usage();
		text[c] = optarg;
	}
	if (optind != argc - 1)
		usage();
	a->dir = argv[optind];
	a->address = text['l'];
	a->port = (uint16_t)atoi(text['p']);
	a->name = text['n'] ? text['n'] : text['l'];
	a->check_address = text['c'];
	a->check_port = (uint16_t)atoi(text['q']);
	a->terms = text['t'];
	snprintf(a->base, sizeof(a->base), "https://%s:%u", a->name, a->port);
	snprintf(a->fail_path, sizeof(a->fail_path), "%s/fail", a->dir);
}

static void say_ready(const struct acme *a)
{
	char path[PATH_SIZE];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ready", a->dir);
	f = fopen(path, "w");
	if (!f || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static void serve(struct acme *a)
{
	struct event *term = evsignal_new(a->loop, SIGTERM, on_signal, a->loop);
	struct evhttp *http = evhttp_new(a->loop);

	if (!http || !term || event_add(term, NULL) < 0)
		abort();
	evhttp_set_bevcb(http, accept_tls, a);
	evhttp_set_gencb(http, on_request, a);
	evhttp_set_max_body_size(http, BODY_MAX);
	evhttp_set_allowed_methods(
	    http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
	if (evhttp_bind_socket(http, a->address, a->port) < 0) {
		perror("acme_server: cannot listen");
		exit(1);
	}
	say_ready(a);
	event_base_dispatch(a->loop);
	evhttp_free(http);
	event_free(term);
}

int main(int argc, char **argv)
{
	struct acme *a = calloc(1, sizeof(*a));
	char ca[PATH_SIZE];

	if (!a)
		abort();
	signal(SIGPIPE, SIG_IGN);
	parse_options(a, argc, argv);
	snprintf(ca, sizeof(ca), "%s/ca.crt", a->dir);
	a->issuer = issuer_create(ca);
	if (!a->issuer) {
		perror(ca);
		return 1;
	}
	a->tls = issuer_serve(a->issuer, a->name);
	a->loop = event_base_new();
	serve(a);
	orders_clear(a);
	event_base_free(a->loop);
	SSL_CTX_free(a->tls);
	issuer_destroy(a->issuer);
	free(a);
	return 0;
}
