#include "deploy/webdev_watch.h"

#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "proto/span.h"

#define FOLDER_EVENTS                                                                  \
	(IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define FOLDERS_MAX 2000
#define DEPTH_MAX   16

struct webdev_watch {
	struct event_base *base;
	void (*changed)(void *arg);
	void *arg;
	int fd; /* -1: none */
	struct event *readable, *settled;
	char *file_name; /* of the file, within its folder */
	int file_watch;  /* of its folder */
};

/* Whether an event is about a page or the file, not about what editors leave beside. */
static bool matters(const struct webdev_watch *w, const struct inotify_event *e)
{
	struct span name = span_of(e->len ? e->name : "");

	if (e->mask & IN_Q_OVERFLOW)
		return true;
	if (e->wd == w->file_watch)
		return w->file_name && span_is(name, w->file_name);
	return name.len > 0 && name.data[0] != '.' && !span_ends(name, span_of("~")) &&
	       !span_ends(name, span_of(".swp"));
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	_Alignas(struct inotify_event) char buffer[16384];
	const struct timeval settle = { 0, WEBDEV_SETTLE_MS * 1000 };
	struct webdev_watch *w = arg;
	ssize_t len = read(fd, buffer, sizeof(buffer));

	for (char *at = buffer; len > 0 && at < buffer + len;) {
		const struct inotify_event *e = (const void *)at;

		if (matters(w, e))
			event_add(w->settled, &settle);
		at += sizeof(*e) + e->len;
	}
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct webdev_watch *w = arg;

	w->changed(w->arg);
}

static void close_fd(struct webdev_watch *w)
{
	if (w->readable)
		event_free(w->readable);
	if (w->fd >= 0)
		close(w->fd);
	free(w->file_name);
	w->readable = NULL;
	w->fd = -1;
	w->file_name = NULL;
	w->file_watch = -1;
}

struct webdev_watch *webdev_watch_create(
    struct event_base *base, void (*changed)(void *arg), void *arg)
{
	struct webdev_watch *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	w->base = base;
	w->changed = changed;
	w->arg = arg;
	w->fd = -1;
	w->settled = evtimer_new(base, on_settled, w);
	if (!w->settled)
		abort();
	return w;
}

void webdev_watch_free(struct webdev_watch *w)
{
	if (!w)
		return;
	close_fd(w);
	event_free(w->settled);
	free(w);
}

static void watch_folders(struct webdev_watch *w, const char *folder)
{
	char *root = strdup(folder), *paths[] = { root, NULL };
	unsigned n = 0;
	FTSENT *e;
	FTS *walk;

	if (!root)
		abort();
	walk = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	while (walk && n < FOLDERS_MAX && (e = fts_read(walk))) {
		if (e->fts_level > DEPTH_MAX)
			fts_set(walk, e, FTS_SKIP);
		else if (e->fts_info == FTS_D &&
			 inotify_add_watch(w->fd, e->fts_path, FOLDER_EVENTS) >= 0)
			n++;
	}
	if (walk)
		fts_close(walk);
	free(root);
}

/* By its folder: an editor puts a new file in the place of the old one. */
static void watch_file(struct webdev_watch *w, const char *file)
{
	const char *slash = strrchr(file, '/');
	char *folder = slash ? strndup(file, (size_t)(slash - file + 1)) : strdup(".");

	w->file_name = strdup(slash ? slash + 1 : file);
	if (!folder || !w->file_name)
		abort();
	/* Adds to the events if the folder is one of the pages', and then all matter. */
	w->file_watch =
	    inotify_add_watch(w->fd, folder, FOLDER_EVENTS | IN_MASK_CREATE);
	free(folder);
}

int webdev_watch_set(struct webdev_watch *w, const char *folder, const char *file)
{
	close_fd(w);
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0)
		return -1;
	if (folder)
		watch_folders(w, folder);
	watch_file(w, file);
	w->readable = event_new(w->base, w->fd, EV_READ | EV_PERSIST, on_readable, w);
	if (!w->readable)
		abort();
	return event_add(w->readable, NULL);
}
