/*
 * The server that is deployed to: this machine, or one that the system's ssh(1) reaches.
 * Commands run there as root: directly, or by "sudo -n" if the login is another user.
 * All commands share one connection.
 */
#ifndef DEPLOY_HOST_H
#define DEPLOY_HOST_H

#include <stdbool.h>

#include "deploy/text.h"

#define HOST_ERROR_MAX  1024
#define HOST_OUTPUT_MAX (64 << 20) /* bytes of stdout; more is an error */

struct host;

/* What a command left behind. stderr is kept to its last 16 KiB. */
struct host_reply {
	int status; /* exit code; 128 + n after signal n */
	struct text out;
	struct text err;
};

/*
 * Called for each line of stderr while the command runs, and with NULL some ten times a
 * second while it is silent; fits progress_line().
 */
typedef void host_line(void *arg, const char *line);

/*
 * name: as ssh takes it, "user@host" or a name out of ~/.ssh/config; "localhost" and "@local"
 * mean this machine, without ssh. Where neither name nor config tell the user, it is root.
 * verbose: each command is shown on stderr as "[$ ...]", by its first line; a script whose
 * first line is a comment is shown by that.
 * Connects, and finds out whether sudo is needed. ssh may ask on the terminal meanwhile, so
 * there should be no spinner. NULL with what failed and its remedy in error: no route,
 * refused, host key unknown or changed, no key accepted, no sudo.
 *
 * Until host_close(), SIGINT, SIGTERM and SIGHUP are noted only: host_run() stops what runs
 * and returns false. host_close() (and a host_open() that fails) then raises the signal again
 * for whoever handled it before; so a caller need only close, and not explain.
 */
struct host *host_open(const char *name, bool verbose, char error[HOST_ERROR_MAX]);

/*
 * Run script by "sh -eu" there, with in on its standard input; wait for its end. One round
 * trip. The script runs in / with umask 022, LC_ALL=C and the PATH of root; it is parsed as a
 * whole before any of it runs. Returns true if it ran to its end, whatever its status (255 is
 * told as 254); false if it could not run, the connection broke, or a signal came, with the
 * cause in error. reply is the caller's to free in both cases.
 *
 * When the connection breaks, the script may run on for a while, and sees its input end early:
 * one that keeps what it reads has to check it, by its hash for instance.
 */
bool host_run(struct host *h, const char *script, struct span in, host_line *line,
    void *arg, struct host_reply *reply, char error[HOST_ERROR_MAX]);

/*
 * What passes through host_stream(), however much it is. take gets what the script says on
 * stdout, piece by piece; returns false to stop it, having noted why: then reply->status is
 * of no meaning. from is a descriptor that is read to its end and sent after in; -1: none. It
 * is only polled and read, and a script need not read all.
 */
struct host_flow {
	int from;
	bool (*take)(void *arg, struct span bytes);
	void *arg;
};

/* host_run() with a flow; without take, reply->out is as ever. Two hosts may be at it at once,
 * each in a thread. */
bool host_stream(struct host *h, const char *script, struct span in,
    const struct host_flow *flow, host_line *line, void *arg, struct host_reply *reply,
    char error[HOST_ERROR_MAX]);
void host_reply_free(struct host_reply *reply);

/* Has a signal come? Then there is nothing to explain: only to tidy up and close. */
bool host_interrupted(const struct host *h);

const char *host_name(const struct host *h); /* as given */
bool host_is_local(const struct host *h);
unsigned host_round_trips(const struct host *h);
void host_close(struct host *h); /* ends the connection; accepts NULL */

#endif
