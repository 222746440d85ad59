#include "test/relay/client.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S 30
#define LINE_SIZE 4096

struct client {
	SSL_CTX *ctx;
	BIO *bio; /* buffer over TLS, if there is TLS, over TCP */
	char line[LINE_SIZE];
	int exists; /* messages in INBOX, as the server last told */
};

static void set_timeout(BIO *bio)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	int fd;

	if (BIO_get_fd(bio, &fd) >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

static BIO *connect_to(unsigned port)
{
	char name[32];
	BIO *bio;

	snprintf(name, sizeof(name), "127.0.0.1:%u", port);
	bio = BIO_new_connect(name);
	if (BIO_do_connect(bio) <= 0) {
		BIO_free_all(bio);
		return NULL;
	}
	return bio;
}

static BIO *connect_to_path(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return BIO_new_socket(fd, BIO_CLOSE);
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* The handshake comes with the first read or write. */
static void push_tls(struct client *c)
{
	BIO *buffer = NULL, *tcp = c->bio;

	if (BIO_method_type(c->bio) == BIO_TYPE_BUFFER) {
		buffer = c->bio;
		tcp = BIO_pop(buffer);
	}
	c->bio = BIO_push(BIO_new_ssl(c->ctx, 1), tcp);
	BIO_free(buffer);
}

/* Takes the connection, NULL if there is none. */
static struct client *client_on(BIO *connection, enum client_tls tls)
{
	struct client *c;

	if (!connection)
		return NULL;
	set_timeout(connection);
	c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
	c->bio = connection;
	if (tls == CLIENT_TLS)
		push_tls(c);
	c->bio = BIO_push(BIO_new(BIO_f_buffer()), c->bio);
	return c;
}

struct client *client_open(unsigned port, enum client_tls tls)
{
	return client_on(connect_to(port), tls);
}

void client_close(struct client *c)
{
	if (!c)
		return;
	BIO_free_all(c->bio);
	SSL_CTX_free(c->ctx);
	free(c);
}

void client_write(struct client *c, const char *data, size_t len)
{
	while (len > 0) {
		int n = BIO_write(c->bio, data, len > 16384 ? 16384 : (int)len);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

void client_flush(struct client *c)
{
	BIO_flush(c->bio);
}

/* The next line, without its end; false when there is none. */
static bool read_line(struct client *c)
{
	if (BIO_flush(c->bio) <= 0 || BIO_gets(c->bio, c->line, sizeof(c->line)) <= 0) {
		c->line[0] = '\0';
		return false;
	}
	c->line[strcspn(c->line, "\r\n")] = '\0';
	return true;
}

int client_reply(struct client *c)
{
	do {
		if (!read_line(c) || strlen(c->line) < 3)
			return 0;
	} while (c->line[3] == '-');
	return (int)strtol(c->line, NULL, 10);
}

int client_command(struct client *c, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	BIO_vprintf(c->bio, format, ap);
	va_end(ap);
	client_write(c, "\r\n", 2);
	return client_reply(c);
}

const char *client_line(struct client *c)
{
	return read_line(c) ? c->line : NULL;
}

const char *client_text(const struct client *c)
{
	return c->line;
}

static bool smtp_login(struct client *c, const char *user, const char *password)
{
	unsigned char plain[512], base64[1024];
	int len = snprintf(
	    (char *)plain, sizeof(plain), "%c%s%c%s", '\0', user, '\0', password);

	EVP_EncodeBlock(base64, plain, len);
	return client_command(c, "AUTH PLAIN %s", (char *)base64) == 235;
}

static bool smtp_begin(
    struct client *c, enum client_tls tls, const char *user, const char *password)
{
	if (client_reply(c) != 220 || client_command(c, "EHLO client.example") != 250)
		return false;
	if (tls == CLIENT_PLAIN) {
		if (client_command(c, "STARTTLS") != 220)
			return false;
		push_tls(c);
		c->bio = BIO_push(BIO_new(BIO_f_buffer()), c->bio);
		if (client_command(c, "EHLO client.example") != 250)
			return false;
	}
	return !user || smtp_login(c, user, password);
}

struct client *smtp_open(
    unsigned port, enum client_tls tls, const char *user, const char *password)
{
	struct client *c = client_open(port, tls);

	if (c && !smtp_begin(c, tls, user, password)) {
		client_close(c);
		return NULL;
	}
	return c;
}

struct client *lmtp_open(const char *path)
{
	struct client *c = client_on(connect_to_path(path), CLIENT_PLAIN);

	if (c && (client_reply(c) != 220 || client_command(c, "LHLO relay") != 250)) {
		client_close(c);
		return NULL;
	}
	return c;
}

/* Line by line, for the dots. */
static void write_message(struct client *c, const char *message, size_t len)
{
	const char *end = message + len;

	while (message < end) {
		const char *lf = memchr(message, '\n', (size_t)(end - message));
		const char *next = lf ? lf + 1 : end;

		if (*message == '.')
			client_write(c, ".", 1);
		client_write(c, message, (size_t)(next - message));
		message = next;
	}
}

int smtp_send(
    struct client *c, const char *from, const char *to, const char *message, size_t len)
{
	int code = client_command(c, "MAIL FROM:<%s>", from);

	if (code == 250)
		code = client_command(c, "RCPT TO:<%s>", to);
	if (code == 250)
		code = client_command(c, "DATA");
	if (code != 354)
		return code;
	write_message(c, message, len);
	return client_command(c, ".");
}

static void note_exists(struct client *c)
{
	char word[8];
	int n;

	if (sscanf(c->line, "* %d %7s", &n, word) == 2 && strcmp(word, "EXISTS") == 0)
		c->exists = n;
}

/* Read to the reply with this tag; true if it says OK. Notes EXISTS on the way. */
static bool imap_result(struct client *c, const char *tag)
{
	size_t len = strlen(tag);

	while (read_line(c)) {
		note_exists(c);
		if (strncmp(c->line, tag, len) == 0)
			return strncmp(c->line + len, " OK", 3) == 0;
	}
	return false;
}

__attribute__((format(printf, 2, 3))) static void imap_write(
    struct client *c, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	BIO_vprintf(c->bio, format, ap);
	va_end(ap);
	client_write(c, "\r\n", 2);
}

struct client *imap_open(unsigned port, const char *user, const char *password)
{
	struct client *c = client_open(port, CLIENT_TLS);

	if (!c)
		return NULL;
	imap_write(c, "a LOGIN \"%s\" \"%s\"", user, password);
	if (imap_result(c, "a")) {
		imap_write(c, "b SELECT INBOX");
		if (imap_result(c, "b"))
			return c;
	}
	client_close(c);
	return NULL;
}

int imap_count(struct client *c)
{
	imap_write(c, "c NOOP");
	return imap_result(c, "c") ? c->exists : -1;
}

bool imap_command(struct client *c, const char *format, ...)
{
	va_list ap;

	BIO_puts(c->bio, "f ");
	va_start(ap, format);
	BIO_vprintf(c->bio, format, ap);
	va_end(ap);
	client_write(c, "\r\n", 2);
	return imap_result(c, "f");
}

bool imap_idle(struct client *c)
{
	imap_write(c, "d IDLE");
	while (read_line(c)) {
		note_exists(c);
		if (c->line[0] == '+')
			return true;
	}
	return false;
}

const char *imap_told(struct client *c)
{
	if (!read_line(c))
		return NULL;
	note_exists(c);
	return c->line;
}

bool imap_silent(struct client *c, int ms)
{
	struct pollfd poll_fd = { .events = POLLIN };

	if (BIO_flush(c->bio) <= 0 || BIO_pending(c->bio) > 0)
		return false;
	BIO_get_fd(c->bio, &poll_fd.fd);
	return poll(&poll_fd, 1, ms) == 0;
}

bool imap_done(struct client *c)
{
	imap_write(c, "DONE");
	return imap_result(c, "d");
}

bool imap_wait(struct client *c, int count)
{
	if (imap_count(c) >= count)
		return true;
	if (!imap_idle(c))
		return false;
	while (c->exists < count && imap_told(c))
		;
	return imap_done(c) && c->exists >= count;
}

static bool read_all(struct client *c, char *data, size_t len)
{
	while (len > 0) {
		int n = BIO_read(c->bio, data, len > 16384 ? 16384 : (int)len);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

char *imap_fetch(struct client *c, int number)
{
	char *message = NULL, *brace;
	size_t len;

	imap_write(c, "e FETCH %d BODY.PEEK[]", number);
	do {
		if (!read_line(c))
			return NULL;
		brace = strchr(c->line, '{');
	} while (c->line[0] == '*' && !brace);
	if (!brace)
		return NULL;
	len = strtoul(brace + 1, NULL, 10);
	message = calloc(1, len + 1);
	if (!message)
		abort();
	if (read_all(c, message, len) && imap_result(c, "e"))
		return message;
	free(message);
	return NULL;
}
