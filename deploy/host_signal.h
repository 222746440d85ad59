/*
 * Ctrl-C and its like while there is a connection: noted, so that what runs is stopped and
 * tidied up before the signal takes its usual way.
 */
#ifndef DEPLOY_HOST_SIGNAL_H
#define DEPLOY_HOST_SIGNAL_H

#include <signal.h>
#include <stdbool.h>

#define HOST_SIGNALS 4 /* SIGINT, SIGTERM, SIGHUP are noted, SIGPIPE is ignored */

struct host_signals {
	struct sigaction former[HOST_SIGNALS];
};

/* From now on until _restore(). System calls end with EINTR when a signal comes. */
void host_signals_catch(struct host_signals *s);

/* What was before; a signal that was noted is raised again. */
void host_signals_restore(const struct host_signals *s);

/* The one that came last, or 0. */
int host_signals_caught(void);

#endif
