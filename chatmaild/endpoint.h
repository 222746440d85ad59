/*
 * Where a socket is: "unix:/path" or "inet:HOST:PORT", HOST being an IPv4 address, an IPv6
 * address in [] or "localhost" (which means 127.0.0.1). No names are looked up. "HOST:PORT"
 * alone is the same as with "inet:".
 */
#ifndef CHATMAILD_ENDPOINT_H
#define CHATMAILD_ENDPOINT_H

#include <sys/socket.h>

#include "proto/span.h"

struct endpoint {
	struct sockaddr_storage addr;
	socklen_t len;  /* 0: not set */
	char text[160]; /* with its unix: or inet: */
};

/* NULL, or why not: a literal that says what to write instead. */
const char *endpoint_parse(struct endpoint *ep, struct span text);

/* The file of a UNIX socket, NULL if ep is none. */
const char *endpoint_path(const struct endpoint *ep);

/* True if fd is bound to ep: how sockets inherited from systemd are told apart. */
bool endpoint_is_bound(const struct endpoint *ep, int fd);

#endif
