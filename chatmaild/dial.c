/* Name, TCP, TLS, one address after the other; see dial.h. */
#include "chatmaild/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chatmaild/resolve.h"

#define WHY_MAX 160 /* bytes */

struct dial {
	struct event_base *base;
	struct dial_options options; /* its texts are ours */
	const struct dial_events *events;
	void *arg;
	SSL_CTX *tls;
	struct resolver *resolver;
	struct resolved addresses[RESOLVE_MAX];
	size_t n, next;
	int fd;                  /* -1, or TCP to addresses[next - 1] is under way */
	struct bufferevent *bev; /* NULL, or TLS is */
	struct event tcp;        /* fd is connected, or not */
	struct event step;       /* this address is late */
	struct event all;        /* the whole is late */
	char why[WHY_MAX];       /* the last address failed */
};

static struct timeval ms(unsigned n)
{
	return (struct timeval){ n / 1000, (suseconds_t)(n % 1000) * 1000 };
}

static void start_timer(struct event *timer, unsigned n)
{
	struct timeval after = ms(n);

	event_add(timer, &after);
}

/* Leave the address that is being tried. */
static void dial_hang_up(struct dial *d)
{
	event_del(&d->tcp);
	event_del(&d->step);
	if (d->bev)
		bufferevent_free(d->bev);
	else if (d->fd >= 0)
		close(d->fd);
	d->bev = NULL;
	d->fd = -1;
}

static void dial_stop(struct dial *d)
{
	dial_hang_up(d);
	resolver_stop(d->resolver);
	event_del(&d->all);
}

static void dial_fail(struct dial *d)
{
	dial_stop(d);
	d->events->on_failed(d->arg, d->why);
}

static void set_why(struct dial *d, const char *what, const char *detail)
{
	snprintf(d->why, sizeof(d->why), "%s%s", what, detail);
}

static bool is_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 ||
	       inet_pton(AF_INET6, host, address) == 1;
}

/* SNI is for names only, RFC 6066 section 3. */
static SSL *dial_new_tls(const struct dial *d)
{
	const char *host = d->options.host;
	SSL *ssl = SSL_new(d->tls);
	X509_VERIFY_PARAM *param;
	int ok;

	if (!ssl)
		abort();
	param = SSL_get0_param(ssl);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_address(host))
		ok = X509_VERIFY_PARAM_set1_ip_asc(param, host);
	else
		ok = X509_VERIFY_PARAM_set1_host(param, host, 0) &&
		     SSL_set_tlsext_host_name(ssl, host);
	if (!ok)
		abort();
	return ssl;
}

static bool speaks_h2(const SSL *ssl)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

/* The handshake came to nothing: the certificate's fault is the one to tell. */
static void dial_explain(struct dial *d, short what)
{
	long verified = SSL_get_verify_result(bufferevent_openssl_get_ssl(d->bev));
	unsigned long error = bufferevent_get_openssl_error(d->bev);
	const char *reason = error ? ERR_reason_error_string(error) : NULL;

	if (verified != X509_V_OK)
		set_why(d,
		    "certificate refused: ", X509_verify_cert_error_string(verified));
	else if (reason)
		set_why(d, "TLS handshake: ", reason);
	else
		set_why(d, "TLS handshake: ",
		    what & BEV_EVENT_EOF ? "connection closed" : "connection lost");
}

static void dial_next(struct dial *d);

static void dial_address_failed(struct dial *d)
{
	dial_hang_up(d);
	dial_next(d);
}

static void on_tls(struct bufferevent *bev, short what, void *arg)
{
	struct dial *d = arg;

	if (!(what & BEV_EVENT_CONNECTED)) {
		dial_explain(d, what);
		dial_address_failed(d);
		return;
	}
	if (!speaks_h2(bufferevent_openssl_get_ssl(bev))) {
		set_why(d, "the server does not speak HTTP/2", "");
		dial_address_failed(d);
		return;
	}
	d->bev = NULL;
	d->fd = -1;
	dial_stop(d);
	bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
	d->events->on_connected(d->arg, bev);
}

/* The last address may take whatever time is left for the whole. */
static void dial_limit_step(struct dial *d, unsigned n)
{
	event_del(&d->step);
	if (d->next < d->n)
		start_timer(&d->step, n);
}

static void dial_start_tls(struct dial *d)
{
	SSL *ssl = dial_new_tls(d);

	d->bev = bufferevent_openssl_socket_new(d->base, d->fd, ssl,
	    BUFFEREVENT_SSL_CONNECTING,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!d->bev)
		abort();
	bufferevent_setcb(d->bev, NULL, NULL, on_tls, d);
	dial_limit_step(d, d->options.handshake_ms);
}

static void on_tcp(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		set_why(d, "", strerror(error));
		dial_address_failed(d);
		return;
	}
	dial_start_tls(d);
}

/* Begin with this address; false if that failed at once. */
static bool dial_try(struct dial *d, const struct resolved *to)
{
	int on = 1, fd;

	fd = socket(to->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	d->fd = fd;
	if (fd < 0 || (connect(fd, (const struct sockaddr *)&to->addr, to->len) < 0 &&
			  errno != EINPROGRESS)) {
		set_why(d, "", strerror(errno));
		return false;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	event_assign(&d->tcp, d->base, fd, EV_WRITE, on_tcp, d);
	event_add(&d->tcp, NULL);
	dial_limit_step(d, d->options.address_ms);
	return true;
}

static void dial_next(struct dial *d)
{
	while (d->next < d->n) {
		if (dial_try(d, &d->addresses[d->next++]))
			return;
		dial_hang_up(d);
	}
	dial_fail(d);
}

static void on_resolved(
    void *arg, const struct resolved *addresses, size_t n, const char *why)
{
	struct dial *d = arg;

	memcpy(d->addresses, addresses, n * sizeof(addresses[0]));
	d->n = n;
	d->next = 0;
	if (n == 0)
		set_why(d, "", why);
	dial_next(d);
}

static const char *dial_stage(const struct dial *d)
{
	if (d->bev)
		return "TLS handshake: no answer in time";
	return d->fd >= 0 ? "no answer in time" : "its name was not found in time";
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;

	set_why(d, dial_stage(d), "");
	dial_address_failed(d);
}

static void on_all(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;

	set_why(d, dial_stage(d), "");
	dial_fail(d);
}

/* Verification is switched on here, for every connection; nothing switches it off. */
static SSL_CTX *new_context(const char *ca_file)
{
	static const unsigned char alpn[] = { 2, 'h', '2' };
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	bool custom = ca_file && *ca_file;

	if (!tls)
		abort();
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
				     SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
	if (SSL_CTX_set_alpn_protos(tls, alpn, sizeof(alpn)) != 0)
		abort();
	if (custom ? SSL_CTX_load_verify_file(tls, ca_file)
		   : SSL_CTX_set_default_verify_paths(tls))
		return tls;
	ERR_clear_error();
	SSL_CTX_free(tls);
	return NULL;
}

static char *copy(const char *text)
{
	char *s = strdup(text);

	if (!s)
		abort();
	return s;
}

struct dial *dial_create(struct event_base *base, const struct dial_options *o,
    const struct dial_events *events, void *arg, const char **why)
{
	SSL_CTX *tls = new_context(o->ca_file);
	struct dial *d;

	if (!tls) {
		*why = "cannot read certificates";
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	d->base = base;
	d->options = *o;
	d->options.host = copy(o->host);
	d->options.ca_file = d->options.resolv_conf = NULL; /* had their use */
	d->events = events;
	d->arg = arg;
	d->tls = tls;
	d->fd = -1;
	d->resolver = resolver_create(base, o->resolv_conf, on_resolved, d);
	event_assign(&d->tcp, base, -1, EV_WRITE, on_tcp, d);
	evtimer_assign(&d->step, base, on_step, d);
	evtimer_assign(&d->all, base, on_all, d);
	return d;
}

void dial_destroy(struct dial *d)
{
	if (!d)
		return;
	dial_stop(d);
	resolver_destroy(d->resolver);
	SSL_CTX_free(d->tls);
	free((char *)d->options.host);
	free(d);
}

void dial_start(struct dial *d)
{
	start_timer(&d->all, d->options.all_ms);
	resolver_start(
	    d->resolver, d->options.host, d->options.port, d->options.ipv4_only);
}
