/*
 * A connection to a server as its users' programs make one: name, TCP, TLS, lines. It blocks
 * until it has what it is asked for or the time that it was allowed is over; a connection
 * belongs to one thread at a time.
 *
 * What fails, fails for good: every later call fails as well, and dial_error() still tells
 * the first cause. So a dialogue may be written down step by step and looked at in the end.
 *
 * A signal that is noted (host_signal.h) ends what waits, as if its time were over.
 *
 * SIGPIPE must be ignored or blocked: OpenSSL writes to the socket itself.
 */
#ifndef DEPLOY_DIAL_H
#define DEPLOY_DIAL_H

#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/span.h"

#define DIAL_LINE_MAX  65536 /* bytes of a line, its end included; longer is a failure */
#define DIAL_ERROR_MAX 256

enum dial_failure {
	DIAL_FINE,
	DIAL_NO_NAME, /* the name has no address */
	DIAL_NO_ROUTE,
	DIAL_REFUSED,     /* the host is there, the port closed */
	DIAL_SILENT,      /* nothing came in time */
	DIAL_CLOSED,      /* the peer hung up */
	DIAL_TLS,         /* no common ground, or not TLS at all */
	DIAL_CERTIFICATE, /* TLS, but the certificate is not to be trusted */
	DIAL_NONSENSE,    /* a line too long, bytes before TLS began, ... */
	DIAL_BROKEN,      /* this machine's own fault */
};

enum dial_tls {
	DIAL_PLAIN,
	DIAL_FROM_START, /* TLS from the first byte */
};

struct dial_target {
	const char *host; /* a name, or an address without brackets */
	uint16_t port;
	int family; /* AF_INET, AF_INET6; AF_UNSPEC: what there is, in turn */
	enum dial_tls tls;
	const char *name;     /* the certificate's, and that of SNI; NULL: host */
	bool any_certificate; /* go on with whatever certificate; dial_ssl() knows it */
};

struct dial;

/*
 * Connect, and shake hands if TLS is wanted, within ms milliseconds, which then hold for
 * what follows too, until dial_allow(). Borrows the target's texts until dial_close(). Never
 * NULL: dial_error() tells whether it worked. A name is asked for by the system's resolver,
 * whose time is its own; an address costs none.
 */
struct dial *dial_open(const struct dial_target *target, unsigned ms);
void dial_close(struct dial *d); /* accepts NULL */

/* All that follows must be done within ms milliseconds from now. */
void dial_allow(struct dial *d, unsigned ms);

/* Begin TLS now; the target's name and any_certificate apply. A peer that sent more than the
 * line before is refused, RFC 3207 section 5. */
bool dial_start_tls(struct dial *d);

bool dial_write(struct dial *d, struct span bytes);
/* The line of prefix and what format says, CRLF added; wiped from memory afterwards, for it may
 * hold a password. */
__attribute__((format(printf, 3, 0))) bool dial_vline(
    struct dial *d, const char *prefix, const char *format, va_list ap);

/* The next line, without its LF or CRLF and NUL behind it; valid until the next read. */
bool dial_line(struct dial *d, struct span *line);

/* Exactly len bytes. */
bool dial_read(struct dial *d, char *bytes, size_t len);

/* Is there something to be read within ms milliseconds? Silence is no failure here; a peer
 * that hung up shows at the next read. */
bool dial_ready(struct dial *d, unsigned ms);

enum dial_failure dial_failure(const struct dial *d);
const char *dial_error(const struct dial *d); /* NULL: all went well */

/* Note a failure that whoever speaks over this connection found; the first one stays. Returns
 * false. */
__attribute__((format(printf, 3, 4))) bool dial_fail(
    struct dial *d, enum dial_failure failure, const char *format, ...);

/* NULL without TLS. After DIAL_CERTIFICATE its certificates are still to be had. */
SSL *dial_ssl(const struct dial *d);

/* Of the socket, for poll(2); -1 without one. dial_line() may have read ahead: ask
 * dial_ready(d, 0) first. */
int dial_fd(const struct dial *d);

/* Milliseconds of a clock that nobody sets. */
int64_t dial_now_ms(void);

#endif
