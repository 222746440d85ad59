/*
 * Watches folders for changes by inotify(7), and says so once they have settled.
 */
#ifndef DEPLOY_WEBDEV_WATCH_H
#define DEPLOY_WEBDEV_WATCH_H

#include <event2/event.h>

#define WEBDEV_SETTLE_MS 200 /* an editor saves in several steps */

struct webdev_watch;

/* changed is called from the loop, at most once for what happens within WEBDEV_SETTLE_MS. */
struct webdev_watch *webdev_watch_create(
    struct event_base *base, void (*changed)(void *arg), void *arg);
void webdev_watch_free(struct webdev_watch *w); /* accepts NULL */

/*
 * Watch from now on, and nothing else: folder with all below it (NULL: none), and file.
 * What cannot be watched is passed over; -1 with errno if nothing can.
 */
int webdev_watch_set(struct webdev_watch *w, const char *folder, const char *file);

#endif
