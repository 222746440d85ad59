/* chatmailctl's connection to the daemon: a line there, lines back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "chatmaild/ctl.h"

#define HUSHED_WAIT_S 2

struct ctl_link {
	int fd;
	bool hushed;
	FILE *in;
	char *line; /* getline()'s */
	size_t size;
};

static void tell_connect(const struct config *config, int error)
{
	const char *where = config->admin_socket.text;

	if (error == EACCES)
		ctl_error("%s: %s; run this as root or as %s", where, strerror(error),
		    config->mail_user);
	else
		ctl_error("chatmaild does not run (%s: %s); start it: systemctl start "
			  "chatmaild",
		    where, strerror(error));
}

struct ctl_link *ctl_link_open(struct ctl *c, bool tell)
{
	const struct config *config = ctl_config(c);
	const struct endpoint *ep = &config->admin_socket;
	struct ctl_link *link;
	int fd = socket(ep->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&ep->addr, ep->len) < 0) {
		if (tell)
			tell_connect(config, errno);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	link = calloc(1, sizeof(*link));
	if (!link)
		abort();
	link->fd = fd;
	link->in = fdopen(fd, "r");
	if (!link->in)
		abort();
	return link;
}

void ctl_link_close(struct ctl_link *link)
{
	if (!link)
		return;
	fclose(link->in);
	free(link->line);
	free(link);
}

void ctl_link_hush(struct ctl_link *link)
{
	static const struct timeval wait = { .tv_sec = HUSHED_WAIT_S };

	link->hushed = true;
	setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(link->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

static int put_text(const char *text, size_t len, void *arg)
{
	const struct ctl_link *link = arg;

	while (len > 0) {
		ssize_t n = send(link->fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

enum ctl_exit ctl_link_ask(
    struct ctl_link *link, json_t *request, ctl_line *line, void *arg, json_t **reply)
{
	int rc = json_dump_callback(request, put_text, link, JSON_COMPACT);
	ssize_t len = -1;
	json_t *value;

	json_decref(request);
	if (rc == 0)
		rc = put_text("\n", 1, link);
	while (rc == 0 && (len = getline(&link->line, &link->size, link->in)) > 0) {
		const json_t *ok;

		value = json_loadb(link->line, (size_t)len, 0, NULL);
		ok = json_object_get(value, "ok");
		if (json_is_true(ok)) {
			*reply = value;
			return CTL_OK;
		}
		if (ok || !value) {
			if (!link->hushed)
				ctl_error("%s", value
						    ? ctl_text(value, "error")
						    : "the daemon's answer is no JSON");
			json_decref(value);
			return CTL_FAILED;
		}
		if (line)
			line(arg, value);
		json_decref(value);
	}
	if (!link->hushed)
		ctl_error(
		    "the daemon ended before it answered; see journalctl -u chatmaild");
	return CTL_FAILED;
}

enum ctl_exit ctl_ask(
    struct ctl *c, json_t *request, ctl_line *line, void *arg, json_t **reply)
{
	struct ctl_link *link = ctl_link_open(c, true);
	enum ctl_exit rc = CTL_FAILED;

	if (link)
		rc = ctl_link_ask(link, request, line, arg, reply);
	else
		json_decref(request);
	ctl_link_close(link);
	return rc;
}
