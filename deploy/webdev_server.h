/*
 * A small web server for one's own eyes: the built site on a port of 127.0.0.1, with the
 * headers that the relay's nginx sends, so that a page that would break there breaks here.
 */
#ifndef DEPLOY_WEBDEV_SERVER_H
#define DEPLOY_WEBDEV_SERVER_H

#include <event2/event.h>
#include <stdint.h>

#include "chatmaild/config.h"
#include "deploy/page_files.h"

struct webdev_server;

/* port 0: any free one. NULL with errno if the port cannot be had. */
struct webdev_server *webdev_server_create(struct event_base *base, uint16_t port);
void webdev_server_free(struct webdev_server *s); /* accepts NULL */

uint16_t webdev_server_port(const struct webdev_server *s);

/*
 * Serve this from now on; all is borrowed. error, if not NULL, is shown instead of every
 * page.
 */
void webdev_server_show(struct webdev_server *s, const struct config *config,
    const struct page_files *site, const char *error);

#endif
