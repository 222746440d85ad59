/*
 * cmdeploy registration: whether new accounts are made.
 */
#include <getopt.h>
#include <string.h>

#include "deploy/control.h"
#include "deploy/progress.h"

static bool is_action(const char *word)
{
	return strcmp(word, "status") == 0 || strcmp(word, "open") == 0 ||
	       strcmp(word, "closed") == 0;
}

static int run(int argc, char **argv)
{
	struct command_common common = { 0 };
	struct control c = {
		.common = &common, .verb = "registration", .in = span_of("")
	};
	const struct command_option own[] = {
		COMMAND_SSH_HOST(&c.ssh_host),
		{ "json", NULL, "of status: answer in JSON", &c.json, NULL },
	};
	int status;

	if (!command_parse(&registration_command, own, sizeof(own) / sizeof(own[0]),
		&common, 1, 1, argc, argv, &status))
		return status;
	c.words = argv + optind;
	c.nwords = argc - optind;
	if (!is_action(c.words[0])) {
		say_bad("cmdeploy registration: %s: say status, open or closed",
		    c.words[0]);
		return COMMAND_USAGE;
	}
	return control_run(&c);
}

const struct command registration_command = {
	.name = "registration",
	.arguments = "status|open|closed",
	.summary = "Whether new accounts are made, until it is said otherwise.",
	.run = run,
};
