#include "deploy/dial.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "deploy/host_signal.h"

#define ADDRESS_MS_MIN 1000 /* for each address, however many there are */

struct dial {
	struct dial_target target;
	int fd;
	SSL_CTX *context;
	SSL *ssl;
	int64_t deadline; /* of dial_now_ms() */
	enum dial_failure failure;
	char error[DIAL_ERROR_MAX];
	size_t begin, end; /* of what is read ahead, in buffer */
	char buffer[DIAL_LINE_MAX + 1];
};

int64_t dial_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool dial_fail(struct dial *d, enum dial_failure failure, const char *format, ...)
{
	va_list ap;

	if (d->failure != DIAL_FINE)
		return false;
	d->failure = failure;
	va_start(ap, format);
	vsnprintf(d->error, sizeof(d->error), format, ap);
	va_end(ap);
	return false;
}

static enum dial_failure failure_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return DIAL_REFUSED;
	case ETIMEDOUT:
		return DIAL_SILENT;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
	case EACCES: /* what a firewall that prohibits looks like */
	case EPERM:
		return DIAL_NO_ROUTE;
	case ECONNRESET:
	case EPIPE:
		return DIAL_CLOSED;
	default:
		return DIAL_BROKEN;
	}
}

static bool fail_errno(struct dial *d, int error)
{
	char text[128];

	return dial_fail(
	    d, failure_of(error), "%s", strerror_r(error, text, sizeof(text)));
}

/* Wait for events on the socket until then. False in the end, or if it cannot wait. */
static bool await(int fd, short events, int64_t until)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = until - dial_now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);

		if (n >= 0)
			return n > 0;
		if (errno != EINTR || host_signals_caught() != 0)
			return false;
	}
}

/* Wait for the end of a connect(); 0, or an errno. */
static int finish_connect(int fd, int64_t until)
{
	int error = ETIMEDOUT;
	socklen_t len = sizeof(error);

	if (await(fd, POLLOUT, until) &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	return error;
}

/* Connect to one address; 0, or an errno. */
static int connect_one(struct dial *d, const struct addrinfo *to, int64_t until)
{
	int error = 0;

	d->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd < 0)
		return errno;
	if (connect(d->fd, to->ai_addr, to->ai_addrlen) != 0)
		error = errno == EINPROGRESS ? finish_connect(d->fd, until) : errno;
	if (error != 0) {
		close(d->fd);
		d->fd = -1;
	}
	return error;
}

/* The addresses in turn, the time that is left shared among them. */
static bool connect_any(struct dial *d, const struct addrinfo *list)
{
	int64_t left = 0;
	int error = ETIMEDOUT;

	for (const struct addrinfo *a = list; a; a = a->ai_next)
		left++;
	for (const struct addrinfo *a = list; a; a = a->ai_next, left--) {
		int64_t now = dial_now_ms();
		int64_t share = (d->deadline - now) / left;

		if (share < ADDRESS_MS_MIN)
			share = ADDRESS_MS_MIN;
		if (now + share > d->deadline)
			share = d->deadline - now;
		error = connect_one(d, a, now + share);
		if (error == 0)
			return true;
	}
	return fail_errno(d, error);
}

static bool connect_host(struct dial *d)
{
	const struct dial_target *t = &d->target;
	const struct addrinfo hints = {
		.ai_family = t->family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *list;
	char port[8];
	int error;
	bool ok;

	snprintf(port, sizeof(port), "%u", t->port);
	error = getaddrinfo(t->host, port, &hints, &list);
	if (error != 0)
		return dial_fail(d, DIAL_NO_NAME, "%s: %s", t->host,
		    error == EAI_SYSTEM ? "no resolver answers" : gai_strerror(error));
	ok = connect_any(d, list);
	freeaddrinfo(list);
	return ok;
}

/* What OpenSSL found wrong, or what became of the socket meanwhile. */
static bool fail_tls(struct dial *d, int result, int error)
{
	long verified = SSL_get_verify_result(d->ssl);
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	if (verified != X509_V_OK && !d->target.any_certificate)
		return dial_fail(
		    d, DIAL_CERTIFICATE, "%s", X509_verify_cert_error_string(verified));
	if (reason)
		return dial_fail(d, DIAL_TLS, "TLS: %s", reason);
	if (result == SSL_ERROR_SYSCALL && error != 0)
		return fail_errno(d, error);
	return dial_fail(d, DIAL_CLOSED, "the connection was closed");
}

/*
 * One step of OpenSSL said n: wait for what it needs, and true to try again. False once it
 * has failed.
 */
static bool again(struct dial *d, int n)
{
	int error = errno;
	int result = SSL_get_error(d->ssl, n);

	if (result != SSL_ERROR_WANT_READ && result != SSL_ERROR_WANT_WRITE)
		return fail_tls(d, result, error);
	if (await(d->fd, result == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, d->deadline))
		return true;
	return dial_fail(d, DIAL_SILENT, "no answer in time");
}

/* Who must be named in the certificate; an address is no name for SNI (RFC 6066 section 3). */
static bool expect_name(struct dial *d)
{
	const char *name = d->target.name ? d->target.name : d->target.host;
	X509_VERIFY_PARAM *verify = SSL_get0_param(d->ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(verify, name) == 1)
		return true;
	X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(verify, name, 0) == 1 &&
	       SSL_set_tlsext_host_name(d->ssl, name) == 1;
}

static bool begin_tls(struct dial *d)
{
	int n;

	ERR_clear_error();
	d->context = SSL_CTX_new(TLS_client_method());
	if (!d->context || SSL_CTX_set_default_verify_paths(d->context) != 1)
		return dial_fail(d, DIAL_BROKEN, "TLS cannot be set up here");
	SSL_CTX_set_min_proto_version(d->context, TLS1_2_VERSION);
	SSL_CTX_set_verify(d->context,
	    d->target.any_certificate ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	d->ssl = SSL_new(d->context);
	if (!d->ssl || SSL_set_fd(d->ssl, d->fd) != 1 || !expect_name(d))
		return dial_fail(d, DIAL_BROKEN, "TLS cannot be set up here");
	while ((n = SSL_connect(d->ssl)) != 1) {
		if (!again(d, n))
			return false;
	}
	return true;
}

struct dial *dial_open(const struct dial_target *target, unsigned ms)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	d->target = *target;
	d->fd = -1;
	dial_allow(d, ms);
	if (connect_host(d) && target->tls == DIAL_FROM_START)
		begin_tls(d);
	return d;
}

void dial_close(struct dial *d)
{
	if (!d)
		return;
	if (d->ssl && d->failure == DIAL_FINE)
		SSL_shutdown(d->ssl);
	SSL_free(d->ssl);
	SSL_CTX_free(d->context);
	ERR_clear_error();
	if (d->fd >= 0)
		close(d->fd);
	free(d);
}

void dial_allow(struct dial *d, unsigned ms)
{
	d->deadline = dial_now_ms() + ms;
}

bool dial_start_tls(struct dial *d)
{
	if (d->failure != DIAL_FINE)
		return false;
	if (d->begin < d->end)
		return dial_fail(
		    d, DIAL_NONSENSE, "more was sent before TLS than is allowed");
	return begin_tls(d);
}

/* One write, of a part at least; false when it failed. */
static bool write_some(struct dial *d, struct span bytes, size_t *n)
{
	ssize_t sent;
	int result;

	if (d->ssl) {
		ERR_clear_error();
		result = SSL_write_ex(d->ssl, bytes.data, bytes.len, n);
		return result == 1 || (*n = 0, again(d, result));
	}
	sent = send(d->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
	*n = sent > 0 ? (size_t)sent : 0;
	if (sent >= 0 || errno == EINTR)
		return true;
	if (errno != EAGAIN)
		return fail_errno(d, errno);
	if (await(d->fd, POLLOUT, d->deadline))
		return true;
	return dial_fail(d, DIAL_SILENT, "nothing is taken in time");
}

bool dial_write(struct dial *d, struct span bytes)
{
	size_t n;

	while (d->failure == DIAL_FINE && bytes.len > 0) {
		if (!write_some(d, bytes, &n))
			return false;
		bytes = span_skip(bytes, n);
	}
	return d->failure == DIAL_FINE;
}

bool dial_vline(struct dial *d, const char *prefix, const char *format, va_list ap)
{
	char *said, *line;
	int nsaid = vasprintf(&said, format, ap);
	int n = nsaid < 0 ? -1 : asprintf(&line, "%s%s\r\n", prefix, said);
	bool ok;

	if (n < 0)
		abort();
	ok = dial_write(d, span_make(line, (size_t)n));
	OPENSSL_cleanse(said, (size_t)nsaid);
	OPENSSL_cleanse(line, (size_t)n);
	free(said);
	free(line);
	return ok;
}

/* One read of at most len bytes, waiting for the first; false when it failed. */
static bool read_some(struct dial *d, char *bytes, size_t len, size_t *n)
{
	for (;;) {
		ssize_t got;
		int result;

		if (d->ssl) {
			ERR_clear_error();
			result = SSL_read_ex(d->ssl, bytes, len, n);
			if (result == 1)
				return true;
			if (!again(d, result))
				return false;
			continue;
		}
		got = recv(d->fd, bytes, len, 0);
		*n = got > 0 ? (size_t)got : 0;
		if (got > 0)
			return true;
		if (got == 0)
			return dial_fail(d, DIAL_CLOSED, "the connection was closed");
		if (errno != EAGAIN && errno != EINTR)
			return fail_errno(d, errno);
		if (!await(d->fd, POLLIN, d->deadline))
			return dial_fail(d, DIAL_SILENT, "no answer in time");
	}
}

/* Read ahead, behind what is there. */
static bool fill(struct dial *d)
{
	size_t n;

	if (d->begin > 0) {
		memmove(d->buffer, d->buffer + d->begin, d->end - d->begin);
		d->end -= d->begin;
		d->begin = 0;
	}
	if (d->end == DIAL_LINE_MAX)
		return dial_fail(d, DIAL_NONSENSE, "a line that does not end");
	if (!read_some(d, d->buffer + d->end, DIAL_LINE_MAX - d->end, &n))
		return false;
	d->end += n;
	return true;
}

bool dial_line(struct dial *d, struct span *line)
{
	size_t seen = 0;
	char *start, *lf;

	if (d->failure != DIAL_FINE)
		return false;
	while (!(
	    lf = memchr(d->buffer + d->begin + seen, '\n', d->end - d->begin - seen))) {
		seen = d->end - d->begin;
		if (!fill(d))
			return false;
	}
	start = d->buffer + d->begin;
	d->begin = (size_t)(lf + 1 - d->buffer);
	if (lf > start && lf[-1] == '\r')
		lf--;
	*lf = '\0';
	*line = span_make(start, (size_t)(lf - start));
	return true;
}

bool dial_read(struct dial *d, char *bytes, size_t len)
{
	size_t n;

	if (d->failure != DIAL_FINE)
		return false;
	n = d->end - d->begin < len ? d->end - d->begin : len;
	memcpy(bytes, d->buffer + d->begin, n);
	d->begin += n;
	for (size_t at = n; at < len; at += n) {
		if (!read_some(d, bytes + at, len - at, &n))
			return false;
	}
	return true;
}

/* May SSL_read() have something? A failure may be read as well. Records that are none of the
 * user's, as session tickets, are taken on the way. */
static bool tls_ready(struct dial *d)
{
	char byte;
	size_t n;
	int result;

	ERR_clear_error();
	result = SSL_peek_ex(d->ssl, &byte, 1, &n);
	return result == 1 || SSL_get_error(d->ssl, result) != SSL_ERROR_WANT_READ;
}

bool dial_ready(struct dial *d, unsigned ms)
{
	int64_t until = dial_now_ms() + ms;

	if (d->failure != DIAL_FINE || d->begin < d->end)
		return true;
	while (d->ssl && !tls_ready(d)) {
		if (!await(d->fd, POLLIN, until))
			return false;
	}
	return d->ssl || await(d->fd, POLLIN, until);
}

enum dial_failure dial_failure(const struct dial *d)
{
	return d->failure;
}

const char *dial_error(const struct dial *d)
{
	return d->failure == DIAL_FINE ? NULL : d->error;
}

SSL *dial_ssl(const struct dial *d)
{
	return d->ssl;
}

int dial_fd(const struct dial *d)
{
	return d->fd;
}
