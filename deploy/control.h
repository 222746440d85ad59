/*
 * chatmailctl(8) on the server, for commands of the same names here.
 */
#ifndef DEPLOY_CONTROL_H
#define DEPLOY_CONTROL_H

#include "deploy/command.h"
#include "proto/span.h"

/* What is run, and how. */
struct control {
	const struct command_common *common;
	const char *ssh_host; /* NULL: the relay's own name */
	const char *verb;     /* "users" */
	char **words;         /* what follows, nwords of them */
	int nwords;
	bool json, yes, password_stdin;
	struct span in; /* for its standard input */
};

/*
 * Run it; what it says goes to stdout and stderr as it comes. Returns the exit code: its own,
 * or COMMAND_FAILED after a message.
 */
int control_run(const struct control *c);

/* The script of it, free()d by the caller. */
char *control_script(const struct control *c);

/*
 * Ask on the terminal; true for "y" or "yes". Without a terminal nobody is asked: false, and
 * a line that --yes is needed.
 */
bool control_confirm(const char *question);

#endif
