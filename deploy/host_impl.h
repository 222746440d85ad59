/*
 * Inside of host.h.
 */
#ifndef DEPLOY_HOST_IMPL_H
#define DEPLOY_HOST_IMPL_H

#include "deploy/host.h"
#include "deploy/host_child.h"
#include "deploy/host_signal.h"

#define HOST_ARGUMENTS_MAX 40

struct host {
	char *name; /* as given */
	bool local, verbose;
	bool sudo;      /* the login is not root's */
	bool root_user; /* neither name nor the config of ssh names a user: root */
	unsigned round_trips;
	struct host_signals signals;

	/*
	 * The connection is kept by this ssh, whose command on the server waits for the
	 * end of its input. So it ends when we do, however we end. It listens on control,
	 * a socket in a directory of our own.
	 */
	struct child master;
	struct text master_err;
	char *directory, *control;
};

/* Fill argv for an ssh that uses the connection to run command. */
void host_ssh_arguments(
    const struct host *h, const char *command, const char *argv[HOST_ARGUMENTS_MAX]);

/* Connect; false with cause and remedy in error. */
bool host_ssh_connect(struct host *h, char error[HOST_ERROR_MAX]);
void host_ssh_disconnect(struct host *h);

/* Why the connection broke, in ssh's words if there are any: into error. */
void host_ssh_explain_break(
    struct host *h, const struct text *err, char error[HOST_ERROR_MAX]);

/*
 * What ssh said when it could not connect to name, turned into cause and remedy. Pure.
 */
void host_remedy(
    const char *name, bool root_user, struct span said, char error[HOST_ERROR_MAX]);

/* The last line of what was said that is not blank; without control characters. */
void host_last_line(struct span said, char *line, size_t size);

#endif
