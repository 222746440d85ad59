/*
 * The subcommands of cmdeploy: one file and one row each; and what they share.
 */
#ifndef DEPLOY_COMMAND_H
#define DEPLOY_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "chatmaild/config.h"

/* Exit codes. */
enum {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1, /* a line on stderr said why */
	COMMAND_USAGE = 2,
	COMMAND_INTERRUPTED = 130, /* by Ctrl-C; see command_catch_interrupt() */
};

struct command {
	const char *name;
	const char *arguments; /* for the help: "INI OUTDIR" */
	const char *summary;   /* what it does, a line */

	/* argv[0] is the command's name. Returns the exit code. */
	int (*run)(int argc, char **argv);
};

extern const struct command backup_command;
extern const struct command bench_command;
extern const struct command config_command;
extern const struct command dns_command;
extern const struct command doctor_command;
extern const struct command forward_command;
extern const struct command give_back_command;
extern const struct command fmt_command;
extern const struct command init_command;
extern const struct command logs_command;
extern const struct command migrate_command;
extern const struct command queue_command;
extern const struct command registration_command;
extern const struct command render_command;
extern const struct command restore_command;
extern const struct command run_command;
extern const struct command status_command;
extern const struct command test_command;
extern const struct command users_command;
extern const struct command webdev_command;

/*
 * An option of a command. Exactly one of flag and value is set; it points to where the
 * answer goes: flag becomes true, value the option's argument, borrowed from argv.
 */
struct command_option {
	const char *name;     /* without the dashes: "zonefile" */
	const char *argument; /* as the help calls it: "PATH"; NULL for a flag */
	const char *help;     /* a line */
	bool *flag;
	const char **value;
};

/* Of every command. "-v" and "-h" are short for --verbose and --help. */
struct command_common {
	const char *config; /* --config PATH; never NULL after command_parse() */
	bool verbose;
};

/* Rows for the options that several commands take. */
#define COMMAND_SSH_HOST(to)                                                           \
	{                                                                              \
		"ssh-host", "HOST",                                                    \
		    "act on HOST instead of mail_domain; localhost: without ssh",      \
		    NULL, (to)                                                         \
	}

/*
 * Read the options of command, and the arguments behind them: at least nmin, at most nmax,
 * which are then argv[optind] and so on (getopt(3) moves them to the end). --config is, if
 * not given, $CHATMAIL_INI, else chatmail.ini in the current directory.
 * Returns true to go on. Else *status is the exit code: --help was given and answered on
 * stdout, or there is a mistake, which was said on stderr.
 */
bool command_parse(const struct command *command, const struct command_option *own,
    size_t nown, struct command_common *common, int nmin, int nmax, int argc,
    char **argv, int *status);

/* config_load() with its complaints on stderr, in red the last word; NULL if it failed. */
struct config *command_load_config(const struct command_common *common);

/* Where the templates are: $CMDEPLOY_TEMPLATES, else as installed, else in the source this
 * was built from. */
const char *command_templates(void);

/* Ctrl-C ends the program with a red line and COMMAND_INTERRUPTED from now on. */
void command_catch_interrupt(void);

#endif
