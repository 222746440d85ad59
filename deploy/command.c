/*
 * What the subcommands share: their options, the config, and how they end on Ctrl-C.
 */
#include "deploy/command.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deploy/progress.h"

#define OPTIONS_MAX 32 /* of one command, those of every command included */

#define HELP_COLUMN 25 /* where the explanations of options begin */
#define HELP_WIDTH  80

/* The options in one column, what they do in another, broken at blanks. */
static void print_option(const struct command_option *o)
{
	const char *text = o->help;
	char left[48];

	snprintf(
	    left, sizeof(left), "--%s %s", o->name, o->argument ? o->argument : "");
	printf("  %-*s", HELP_COLUMN - 2, left);
	while (strlen(text) > HELP_WIDTH - HELP_COLUMN) {
		int cut = HELP_WIDTH - HELP_COLUMN;

		while (cut > 0 && text[cut] != ' ')
			cut--;
		if (cut == 0)
			break; /* one long word */
		printf("%.*s\n%*s", cut, text, HELP_COLUMN, "");
		text += cut + 1;
	}
	puts(text);
}

static void print_help(
    const struct command *command, const struct command_option *options, size_t n)
{
	printf("Usage: cmdeploy %s %s\n%s\n\n", command->name, command->arguments,
	    command->summary);
	for (size_t i = 0; i < n; i++)
		print_option(&options[i]);
}

static void print_usage(const struct command *command)
{
	fprintf(stderr,
	    "Usage: cmdeploy %s %s\n"
	    "cmdeploy %s --help tells more.\n",
	    command->name, command->arguments, command->name);
}

static const char *default_config(void)
{
	const char *path = getenv("CHATMAIL_INI");

	return path && *path ? path : "chatmail.ini";
}

/* For getopt_long(): the index of the row is the value, above those of letters. */
#define FIRST_VALUE 256

static void make_longs(
    struct option *longs, const struct command_option *options, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		longs[i] = (struct option){
			.name = options[i].name,
			.has_arg = options[i].value ? required_argument : no_argument,
			.val = FIRST_VALUE + (int)i,
		};
	}
	longs[n] = (struct option){ 0 };
}

/* The last two rows are --verbose and --help. False on a mistake, of which getopt told. */
static bool read_options(
    const struct command_option *options, size_t n, int argc, char **argv)
{
	struct option longs[OPTIONS_MAX + 1];
	int c;

	make_longs(longs, options, n);
	optind = 0; /* start over, whoever used it before */
	while ((c = getopt_long(argc, argv, "hv", longs, NULL)) != -1) {
		const struct command_option *o;

		if (c == 'h')
			o = &options[n - 1];
		else if (c == 'v')
			o = &options[n - 2];
		else if (c >= FIRST_VALUE)
			o = &options[c - FIRST_VALUE];
		else
			return false;
		if (o->value)
			*o->value = optarg;
		else
			*o->flag = true;
	}
	return true;
}

bool command_parse(const struct command *command, const struct command_option *own,
    size_t nown, struct command_common *common, int nmin, int nmax, int argc,
    char **argv, int *status)
{
	struct command_option options[OPTIONS_MAX];
	bool help = false;
	size_t n = 0;

	if (nown + 3 > OPTIONS_MAX)
		abort();
	for (; n < nown; n++)
		options[n] = own[n];
	common->config = default_config();
	options[n++] = (struct command_option){ "config", "PATH",
		"the file (default: $CHATMAIL_INI, else chatmail.ini)", NULL,
		&common->config };
	options[n++] = (struct command_option){ "verbose", NULL,
		"show the commands that are run (-v)", &common->verbose, NULL };
	options[n++] =
	    (struct command_option){ "help", NULL, "show this (-h)", &help, NULL };
	if (!read_options(options, n, argc, argv)) {
		*status = COMMAND_USAGE;
		return false;
	}
	if (help) {
		print_help(command, options, n);
		*status = COMMAND_OK;
		return false;
	}
	if (argc - optind < nmin || argc - optind > nmax) {
		print_usage(command);
		*status = COMMAND_USAGE;
		return false;
	}
	return true;
}

struct config *command_load_config(const struct command_common *common)
{
	struct config *config = config_load(common->config, stderr);

	if (!config)
		say_bad("The config %s cannot be used.", common->config);
	return config;
}

const char *command_templates(void)
{
	const char *dir = getenv("CMDEPLOY_TEMPLATES");

	if (dir && *dir)
		return dir;
	if (access(TEMPLATES_INSTALL_DIR, R_OK | X_OK) == 0)
		return TEMPLATES_INSTALL_DIR;
	return TEMPLATES_SOURCE_DIR;
}

static void say_interrupted(const char *text, size_t len)
{
	ssize_t ignored = write(STDERR_FILENO, text, len);

	(void)ignored;
	_exit(COMMAND_INTERRUPTED);
}

static void on_interrupt_plain(int signal)
{
	static const char text[] = "\nInterrupted.\n";

	say_interrupted(text, sizeof(text) - 1);
}

static void on_interrupt_red(int signal)
{
	static const char text[] = "\n\033[31mInterrupted.\033[0m\n";

	say_interrupted(text, sizeof(text) - 1);
}

void command_catch_interrupt(void)
{
	bool red = isatty(STDERR_FILENO) && !getenv("NO_COLOR");
	struct sigaction former, action = {
		.sa_handler = red ? on_interrupt_red : on_interrupt_plain,
	};

	sigemptyset(&action.sa_mask);
	/* A shell wants it ignored by what runs in the background. */
	if (sigaction(SIGINT, NULL, &former) == 0 && former.sa_handler != SIG_IGN)
		sigaction(SIGINT, &action, NULL);
}
