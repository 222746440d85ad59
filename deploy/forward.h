/*
 * A server whose relay has moved hands on what still reaches it to the new one, until the
 * DNS has moved for everybody: nginx(8), which each relay has, forwards the public ports as
 * bytes, in both address families; so TLS ends at the new server, as ever. It is a unit of
 * its own, beside files in FORWARD_DIRECTORY, and all it changes is undone in one step.
 */
#ifndef DEPLOY_FORWARD_H
#define DEPLOY_FORWARD_H

#include <stdbool.h>

#include "deploy/host.h"
#include "deploy/progress.h"

#define FORWARD_UNIT      "chatmail-forward.service"
#define FORWARD_DIRECTORY "/etc/chatmail-forward"
#define FORWARD_ERROR_MAX (HOST_ERROR_MAX + 64)

struct forward {
	struct host *from, *to;
	const char *cert_path; /* the relay's certificate on both */
	const char *address;   /* of the new server as the old one reaches it; NULL:
			          one that is found out */
	struct progress *progress;
};

/*
 * Could it be done, as far as can be known while mail runs on the old server? Then its web
 * server reaches that of the new one.
 */
bool forward_check(const struct forward *f, char error[FORWARD_ERROR_MAX]);

/*
 * Forward, from a server without mail to one with it; anew if it does already. When it fails,
 * nothing is forwarded, and the units that would stand aside run.
 */
bool forward_start(const struct forward *f, char error[FORWARD_ERROR_MAX]);

/* The units that stood aside run again. Of a server that forwards nothing it is an error. */
bool forward_stop(
    struct host *host, struct progress *progress, char error[FORWARD_ERROR_MAX]);

#endif
