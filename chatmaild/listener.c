/*
 * Listening sockets: made here or inherited from systemd, accepting up to a limit, and
 * pausing for a moment when the machine has no descriptor left.
 *
 *	accepting --limit reached--> full --released--> accepting
 *	accepting --no descriptor--> starved --a moment later--> accepting
 *	any --listener_stop()--> stopped
 */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/log.h"
#include "chatmaild/service.h"

/* Dovecot's and Postfix's bursts wait here; the kernel cuts it to net.core.somaxconn.
 */
#define BACKLOG 4096

/* Without descriptors: how long nobody is accepted, and how often that is logged. */
#define STARVED_PAUSE_MS  100
#define STARVED_LOG_AFTER 60 /* seconds */

struct listener {
	LIST_ENTRY(listener) link; /* of adopted, if it is one */
	const struct service *service;
	void *state; /* the service's */
	struct evconnlistener *ev;
	struct endpoint ep;
	int fd;

	bool made; /* the socket file is ours, as long as it is this one: */
	dev_t dev;
	ino_t ino;

	bool stopped, full, starved;
	struct event *rested;  /* timer: starved no longer */
	time_t starved_logged; /* monotonic; 0: never */

	unsigned connections;
	uint64_t accepted, refused;
};

/*
 * Who adopts a listener, evhttp, becomes the argument of all its callbacks, also of the
 * one for errors. There is no other way back from an evconnlistener; the loop's thread
 * alone uses this list.
 */
static LIST_HEAD(, listener) adopted = LIST_HEAD_INITIALIZER(adopted);

/* The one place that knows when to accept. */
static void update_accepting(struct listener *l)
{
	if (l->stopped || l->full || l->starved)
		evconnlistener_disable(l->ev);
	else
		evconnlistener_enable(l->ev);
}

void listener_take(struct listener *l)
{
	l->connections++;
	l->accepted++;
	if (l->connections >= l->service->max_connections && !l->service->full) {
		l->full = true;
		update_accepting(l);
	}
}

void listener_release(struct listener *l)
{
	if (!l)
		return;
	l->connections--;
	if (l->full) {
		l->full = false;
		if (!l->stopped) /* else what it listened with may be gone */
			update_accepting(l);
	}
}

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd,
    struct sockaddr *peer, int peer_len, void *arg)
{
	struct listener *l = arg;

	if (l->connections >= l->service->max_connections && l->service->full) {
		l->refused++;
		l->service->full(l->state, fd);
		return;
	}
	listener_take(l);
	l->service->accept(l->state, l, fd);
}

static void log_starved(struct listener *l, int error)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (l->starved_logged && now.tv_sec - l->starved_logged < STARVED_LOG_AFTER)
		return;
	log_warning("%s: cannot accept connections on %s, trying again: %s",
	    l->service->name, l->ep.text, strerror(error));
	l->starved_logged = now.tv_sec;
}

/* The connection stays in the backlog and the socket readable: accepting on would spin.
 */
static void pause_accepting(struct listener *l)
{
	static const struct timeval pause = { .tv_usec = STARVED_PAUSE_MS * 1000 };

	log_starved(l, errno);
	l->refused++;
	l->starved = true;
	update_accepting(l);
	evtimer_add(l->rested, &pause);
}

static void on_accept_error(struct evconnlistener *ev, void *arg)
{
	pause_accepting(arg);
}

static void on_adopted_error(struct evconnlistener *ev, void *arg)
{
	struct listener *l;

	LIST_FOREACH (l, &adopted, link)
		if (l->ev == ev)
			pause_accepting(l);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	l->starved = false;
	if (!l->stopped)
		update_accepting(l);
}

/* Does a process listen on this socket file? Asked without ever waiting. */
static bool in_use(const struct endpoint *ep)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool refused;

	if (fd < 0)
		return true;
	refused = connect(fd, (const struct sockaddr *)&ep->addr, ep->len) < 0 &&
		  errno == ECONNREFUSED;
	close(fd);
	return !refused;
}

/* Make room for a UNIX socket's file. 0, or -1 if something else is there; logged. */
static int remove_stale(const struct service *service, const struct endpoint *ep)
{
	const char *path = endpoint_path(ep);
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0; /* if not absent, bind() will tell why */
	if (!S_ISSOCK(st.st_mode)) {
		log_error("%s: %s exists and is not a socket: remove it, or choose "
			  "another path for %s_socket",
		    service->name, path, service->name);
		return -1;
	}
	if (in_use(ep)) {
		log_error("%s: %s is in use by a running process: stop it first",
		    service->name, path);
		return -1;
	}
	if (unlink(path) < 0 && errno != ENOENT) {
		log_error("%s: cannot remove the stale socket %s: %s", service->name,
		    path, strerror(errno));
		return -1;
	}
	return 0;
}

/* The directory part of path; "." cannot occur, paths are absolute. */
static struct span directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? span_of("/") : span_make(path, (size_t)(slash - path));
}

static void log_bind_error(const struct service *service, const struct endpoint *ep)
{
	const char *path = endpoint_path(ep);
	int error = errno;

	if (path && error == ENOENT)
		log_error("%s: create the directory %.*s first, for the socket %s",
		    service->name, SPAN_ARG(directory_of(path)), path);
	else if (path && error == EACCES)
		log_error("%s: the directory %.*s must be writable by this user, for "
			  "the socket %s",
		    service->name, SPAN_ARG(directory_of(path)), path);
	else
		log_error("%s: cannot listen on %s: %s", service->name, ep->text,
		    strerror(error));
}

static bool directory_is_setgid(const char *path)
{
	struct span dir = directory_of(path);
	char name[sizeof(((struct endpoint *)0)->text)];
	struct stat st;

	snprintf(name, sizeof(name), "%.*s", SPAN_ARG(dir));
	return stat(name, &st) == 0 && (st.st_mode & S_ISGID);
}

/* The file has too few rights until here: nobody could connect too early. */
static int open_socket_file(struct listener *l, gid_t group)
{
	const char *path = endpoint_path(&l->ep);
	struct stat st;

	if (lstat(path, &st) < 0)
		return -1;
	l->made = true;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	/* Without the right to give it away it stays ours, which is as good alone. */
	if (group != (gid_t)-1 && !directory_is_setgid(path) &&
	    lchown(path, (uid_t)-1, group) < 0)
		log_debug(
		    "%s: group of %s: %s", l->service->name, path, strerror(errno));
	return chmod(path, l->service->socket_mode);
}

/* A new bound socket in l->fd; 0, or -1, logged. */
static int bind_new(struct listener *l, gid_t group)
{
	const struct endpoint *ep = &l->ep;
	const char *path = endpoint_path(ep);
	const int on = 1;

	if (path && remove_stale(l->service, ep) < 0)
		return -1;
	l->fd =
	    socket(ep->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		goto fail;
	if (path)
		fchmod(l->fd, 0); /* Linux makes the file with the socket's own mode */
	else if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		 /* Accepted sockets inherit it: replies are short and awaited. */
		 setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		goto fail;
	if (bind(l->fd, (const struct sockaddr *)&ep->addr, ep->len) < 0)
		goto fail;
	if (path && open_socket_file(l, group) < 0)
		goto fail;
	return 0;

fail:
	log_bind_error(l->service, ep);
	return -1;
}

/* systemd's sockets are told apart by where they are bound: their order proves nothing.
 */
static int find_inherited(const struct endpoint *ep)
{
	int n = sd_listen_fds(0);

	for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++)
		if (endpoint_is_bound(ep, fd))
			return fd;
	return -1;
}

static int open_socket(struct listener *l, gid_t group)
{
	l->fd = find_inherited(&l->ep);
	if (l->fd < 0)
		return bind_new(l, group);
	if (evutil_make_socket_nonblocking(l->fd) < 0) {
		log_error("%s: inherited socket %s: %s", l->service->name, l->ep.text,
		    strerror(errno));
		return -1;
	}
	log_debug("%s: %s is inherited", l->service->name, l->ep.text);
	return 0;
}

struct listener *listener_create(struct event_base *base, const struct service *service,
    void *state, const struct endpoint *ep, gid_t group)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	l->service = service;
	l->state = state;
	l->ep = *ep;
	l->fd = -1;
	if (open_socket(l, group) < 0)
		goto fail;
	l->ev = evconnlistener_new(
	    base, on_accept, l, LEV_OPT_CLOSE_ON_EXEC, BACKLOG, l->fd);
	if (!l->ev) {
		log_bind_error(service, ep);
		goto fail;
	}
	l->rested = evtimer_new(base, on_rested, l);
	if (!l->rested)
		abort();
	evconnlistener_set_error_cb(
	    l->ev, service->adopt ? on_adopted_error : on_accept_error);
	if (service->adopt) {
		LIST_INSERT_HEAD(&adopted, l, link);
		service->adopt(state, l, l->ev);
	}
	return l;

fail:
	listener_destroy(l);
	return NULL;
}

/* Only if it is still the file that we made: another process may have replaced it. */
static void unlink_made(const struct listener *l)
{
	const char *path = endpoint_path(&l->ep);
	struct stat st;

	if (l->made && lstat(path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(path);
}

void listener_destroy(struct listener *l)
{
	if (!l)
		return;
	unlink_made(l);
	if (l->ev && l->service->adopt)
		LIST_REMOVE(l, link);
	else if (l->ev)
		evconnlistener_free(l->ev);
	if (l->rested)
		event_free(l->rested);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}

void listener_stop(struct listener *l)
{
	if (l->stopped)
		return;
	l->stopped = true;
	update_accepting(l);
}

bool listener_is_fd(const struct listener *l, evutil_socket_t fd)
{
	return l->fd == fd;
}

unsigned listener_connections(const struct listener *l)
{
	return l->connections;
}

uint64_t listener_accepted(const struct listener *l)
{
	return l->accepted;
}

uint64_t listener_refused(const struct listener *l)
{
	return l->refused;
}
