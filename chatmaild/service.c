/* The services that run: started in the table's order, stopped in reverse. */
#include "chatmaild/service.h"

#include <assert.h>
#include <pwd.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "chatmaild/daemon.h"
#include "chatmaild/log.h"

struct services {
	struct daemon *daemon;
	size_t n;
	struct running_service running[];
};

/* Dovecot's processes run as mail_user: its group may connect. */
static gid_t mail_group(const struct config *config)
{
	const struct passwd *pw =
	    config->mail_user ? getpwnam(config->mail_user) : NULL;

	return pw ? pw->pw_gid : (gid_t)-1;
}

static const struct endpoint *socket_of(
    const struct service *service, const struct config *config)
{
	if (service->socket == SERVICE_NO_SOCKET)
		return NULL;
	return (const struct endpoint *)(const void *)((const char *)config +
						       service->socket);
}

static void stop_last(struct services *s)
{
	struct running_service *r = &s->running[--s->n];

	if (r->listener)
		listener_stop(r->listener);
	r->service->stop(r->state);
	/* After stop(): the connections closed there still count down on it. */
	listener_destroy(r->listener);
}

static int start_one(
    struct services *s, const struct service *service, const struct endpoint *ep)
{
	struct running_service *r = &s->running[s->n];
	void *state = service->start(s->daemon, service);

	if (!state)
		return -1;
	*r = (struct running_service){ .service = service, .state = state };
	s->n++;
	if (!ep)
		return 0;
	r->listener = listener_create(
	    s->daemon->base, service, state, ep, mail_group(s->daemon->config));
	if (r->listener)
		return 0;
	stop_last(s);
	return -1;
}

static bool belongs_to_one(const struct services *s, int fd)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->running[i].listener &&
		    listener_is_fd(s->running[i].listener, fd))
			return true;
	return false;
}

static void close_foreign_sockets(const struct services *s)
{
	int n = sd_listen_fds(0);

	for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
		if (belongs_to_one(s, fd))
			continue;
		log_warning("inherited socket %d is bound to nothing we serve: adjust "
			    "the socket unit or the config; closed",
		    fd);
		close(fd);
	}
}

struct services *services_start(
    struct daemon *d, const struct service *const *table, size_t n)
{
	struct services *s = calloc(1, sizeof(*s) + n * sizeof(s->running[0]));

	if (!s)
		abort();
	s->daemon = d;
	for (size_t i = 0; i < n; i++) {
		const struct endpoint *ep = socket_of(table[i], d->config);

		if (ep && ep->len == 0)
			continue; /* switched off by the config */
		if (start_one(s, table[i], ep) < 0) {
			services_stop(s);
			return NULL;
		}
	}
	close_foreign_sockets(s);
	return s;
}

void services_reload(struct services *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->running[i].service->reload)
			s->running[i].service->reload(s->running[i].state);
}

void services_stop_accepting(struct services *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->running[i].listener)
			listener_stop(s->running[i].listener);
}

void services_drain(struct services *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->running[i].service->drain)
			s->running[i].service->drain(s->running[i].state);
}

unsigned services_pending(const struct services *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->running[i].service->pending)
			n += s->running[i].service->pending(s->running[i].state);
	return n;
}

unsigned services_connections(const struct services *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->running[i].listener)
			n += listener_connections(s->running[i].listener);
	return n;
}

const struct running_service *services_list(const struct services *s, size_t *n)
{
	*n = s->n;
	return s->running;
}

void services_stop(struct services *s)
{
	if (!s)
		return;
	while (s->n > 0)
		stop_last(s);
	free(s);
}
