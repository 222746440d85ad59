/* The TURN helper's client, and the credentials of our own. */
#include "chatmaild/turn.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct turn_query {
	struct event *event; /* readable, or the connection stands, or the time is up */
	turn_done *done;
	void *arg;
	int fd;
	const char *why; /* nothing can come: said in the next turn */
	size_t len;
	char line[TURN_LINE_MAX + 1]; /* as it came; one more for its LF */
};

void turn_cancel(struct turn_query *q)
{
	if (!q)
		return;
	event_free(q->event);
	close(q->fd);
	free(q);
}

static void finish(struct turn_query *q, struct span line, const char *why)
{
	q->done(q->arg, line, why);
	turn_cancel(q);
}

/* The line is whole: it ended in LF, or with the connection. */
static void finish_line(struct turn_query *q, size_t len)
{
	struct span line = span_trim(span_make(q->line, len));

	if (line.len == 0)
		finish(q, line, "an empty answer");
	else if (line.len > TURN_LINE_MAX)
		finish(q, span_make("", 0), "too long an answer");
	else
		finish(q, line, NULL);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct turn_query *q = arg;
	const char *lf;
	ssize_t n;

	if (q->why || (what & EV_TIMEOUT)) {
		finish(q, span_make("", 0), q->why ? q->why : "no answer in time");
		return;
	}
	n = recv(fd, q->line + q->len, sizeof(q->line) - q->len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		finish(q, span_make("", 0), strerror(errno));
		return;
	}
	q->len += (size_t)n;
	lf = memchr(q->line, '\n', q->len);
	if (lf)
		finish_line(q, (size_t)(lf - q->line));
	else if (n == 0)
		finish_line(q, q->len);
	else if (q->len == sizeof(q->line))
		finish(q, span_make("", 0), "too long an answer");
}

/*
 * A UNIX socket is connected at once or not at all; also a full backlog is trouble, the
 * client asks again at its next connect.
 */
static void start(struct turn_query *q, const struct sockaddr_un *un)
{
	static const struct timeval timeout = { .tv_sec = TURN_TIMEOUT_S };

	if (connect(q->fd, (const struct sockaddr *)un, sizeof(*un)) < 0)
		q->why = strerror(errno);
	event_add(q->event, &timeout);
	if (q->why)
		event_active(q->event, EV_READ, 1);
}

struct turn_query *turn_ask(
    struct event_base *base, const char *path, turn_done *done, void *arg)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct turn_query *q;
	int fd;

	if (strlen(path) >= sizeof(un.sun_path))
		return NULL;
	memcpy(un.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q)
		abort();
	q->fd = fd;
	q->done = done;
	q->arg = arg;
	q->event = event_new(base, fd, EV_READ | EV_PERSIST, on_event, q);
	if (!q->event)
		abort();
	start(q, &un);
	return q;
}

size_t turn_credentials(char buf[TURN_LINE_MAX], const char *secret, int64_t now)
{
	unsigned char mac[EVP_MAX_MD_SIZE], text[2 * EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;
	int len =
	    snprintf(buf, TURN_LINE_MAX, "%lld", (long long)(now + TURN_VALID_SECONDS));

	if (!HMAC(EVP_sha1(), secret, (int)strlen(secret), (const unsigned char *)buf,
		(size_t)len, mac, &mac_len))
		abort();
	EVP_EncodeBlock(text, mac, (int)mac_len);
	len += snprintf(buf + len, TURN_LINE_MAX - (size_t)len, ":%s", (char *)text);
	return (size_t)len;
}
