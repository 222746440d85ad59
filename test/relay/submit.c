/* A small blocking SMTP client; the socket's own timeout bounds every wait. */
#include "test/relay/submit.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SUBMIT_TIMEOUT_S 30
#define SUBMIT_LINE_MAX  4096

struct submit {
	BIO *bio;    /* buffer over TLS over TCP */
	char *reply; /* the caller's */
	size_t size;
};

/* Read one reply, keep its last line, and return its code; 0 when the talk broke off.
 */
static unsigned read_reply(struct submit *s)
{
	char line[SUBMIT_LINE_MAX];
	unsigned code;

	do {
		int n = BIO_gets(s->bio, line, sizeof line);

		if (n < 4 || sscanf(line, "%3u", &code) != 1) {
			snprintf(
			    s->reply, s->size, "the relay broke off or said nothing");
			return 0;
		}
	} while (line[3] == '-');
	line[strcspn(line, "\r\n")] = '\0';
	snprintf(s->reply, s->size, "%s", line);
	return code;
}

__attribute__((format(printf, 2, 3))) static unsigned command(
    struct submit *s, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	BIO_vprintf(s->bio, format, ap);
	va_end(ap);
	BIO_flush(s->bio);
	return read_reply(s);
}

static int log_in(struct submit *s, const char *user, const char *password)
{
	unsigned char plain[512], base64[1024];
	int len = snprintf(
	    (char *)plain, sizeof plain, "%c%s%c%s", '\0', user, '\0', password);

	if (len >= (int)sizeof plain || read_reply(s) != 220 ||
	    command(s, "EHLO test.invalid\r\n") != 250)
		return -1;
	EVP_EncodeBlock(base64, plain, len);
	return command(s, "AUTH PLAIN %s\r\n", (char *)base64) == 235 ? 0 : -1;
}

static int transact(
    struct submit *s, const char *from, const char *to, const char *message)
{
	unsigned code = command(s, "MAIL FROM:<%s>\r\n", from);

	if (code / 100 == 2)
		code = command(s, "RCPT TO:<%s>\r\n", to);
	if (code / 100 == 2)
		code = command(s, "DATA\r\n");
	if (code == 354) {
		BIO_puts(s->bio, message);
		code = command(s, ".\r\n");
	}
	return code != 0 ? 0 : -1;
}

static BIO *connect_tls(SSL_CTX *ctx, const char *host, unsigned port)
{
	const struct timeval timeout = { .tv_sec = SUBMIT_TIMEOUT_S };
	BIO *bio = BIO_new_ssl_connect(ctx);
	char name[256];
	int fd;

	snprintf(name, sizeof name, "%s:%u", host, port);
	BIO_set_conn_hostname(bio, name);
	if (BIO_do_connect(bio) <= 0) {
		BIO_free_all(bio);
		return NULL;
	}
	if (BIO_get_fd(bio, &fd) >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	return BIO_push(BIO_new(BIO_f_buffer()), bio);
}

int submit(const char *host, unsigned port, const char *from, const char *password,
    const char *to, const char *message, char *reply, size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct submit s = { .reply = reply, .size = size };
	int rc = -1;

	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	s.bio = connect_tls(ctx, host, port);
	if (!s.bio)
		snprintf(
		    reply, size, "cannot connect to %s port %u by TLS", host, port);
	else if (log_in(&s, from, password) == 0)
		rc = transact(&s, from, to, message);
	BIO_free_all(s.bio);
	SSL_CTX_free(ctx);
	return rc;
}
