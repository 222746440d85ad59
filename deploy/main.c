/*
 * cmdeploy: finds the subcommand, which does the rest.
 */
#include <stdio.h>
#include <string.h>

#include "deploy/command.h"

static const struct command *const commands[] = {
	&init_command,
	&config_command,
	&run_command,
	&dns_command,
	&status_command,
	&doctor_command,
	&users_command,
	&registration_command,
	&logs_command,
	&queue_command,
	&backup_command,
	&restore_command,
	&migrate_command,
	&forward_command,
	&give_back_command,
	&test_command,
	&bench_command,
	&webdev_command,
	&fmt_command,
	&render_command,
};

static void print_help(FILE *out)
{
	fputs("Usage: cmdeploy COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Set up a chatmail relay and keep it up to date.\n\n"
	      "Commands:\n",
	    out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *c = commands[i];

		fprintf(out, "  %s %s\n      %s\n", c->name, c->arguments, c->summary);
	}
	fputs("\ncmdeploy COMMAND --help tells the options of a command.\n"
	      "cmdeploy --version prints the version.\n",
	    out);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";

	command_catch_interrupt();
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		print_help(stdout);
		return COMMAND_OK;
	}
	if (strcmp(name, "--version") == 0) {
		puts("cmdeploy " CMDEPLOY_VERSION);
		return COMMAND_OK;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i]->name) == 0)
			return commands[i]->run(argc - 1, argv + 1);
	}
	fprintf(
	    stderr, "cmdeploy: there is no command '%s'; see cmdeploy --help\n", name);
	return COMMAND_USAGE;
}
