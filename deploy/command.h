/*
 * The subcommands of cmdeploy: one file and one row each.
 */
#ifndef DEPLOY_COMMAND_H
#define DEPLOY_COMMAND_H

/* Exit codes. */
enum {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1, /* a line on stderr said why */
	COMMAND_USAGE = 2,
};

struct command {
	const char *name;
	const char *arguments; /* for the help: "INI OUTDIR" */
	const char *summary;   /* what it does, a line */

	/* argv[0] is the command's name. Returns the exit code. */
	int (*run)(int argc, char **argv);
};

extern const struct command render_command;

#endif
