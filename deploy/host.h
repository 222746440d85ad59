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

/* Called for each whole line of stderr while the command runs; for progress. */
typedef void host_line(void *arg, const char *line);

/*
 * name: as ssh takes it, "user@host" or a name out of ~/.ssh/config; "localhost" and "@local"
 * mean this machine, without ssh. verbose: each command is shown on stderr as "[$ ...]".
 * Connects, and finds out whether sudo is needed. NULL with what failed and its remedy in
 * error: no route, refused, host key unknown or changed, no key accepted, no sudo.
 */
struct host *host_open(const char *name, bool verbose, char error[HOST_ERROR_MAX]);

/*
 * Run script by "sh -eu" there, with in on its standard input; wait for its end. One round
 * trip. Returns true if the script ran to its end, whatever its status; false if it could not
 * run or the connection broke, with the cause in error. reply is the caller's to free in
 * both cases.
 */
bool host_run(struct host *h, const char *script, struct span in, host_line *line,
    void *arg, struct host_reply *reply, char error[HOST_ERROR_MAX]);
void host_reply_free(struct host_reply *reply);

const char *host_name(const struct host *h); /* as given */
bool host_is_local(const struct host *h);
unsigned host_round_trips(const struct host *h);
void host_close(struct host *h); /* ends the connection; accepts NULL */

#endif
