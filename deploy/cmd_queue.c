/*
 * cmdeploy queue: the mail that waits on the server.
 */
#include "deploy/control.h"
#include <getopt.h>

static int run(int argc, char **argv)
{
	struct command_common common = { 0 };
	struct control c = { .common = &common, .verb = "queue", .in = span_of("") };
	const struct command_option own[] = {
		COMMAND_SSH_HOST(&c.ssh_host),
		{ "json", NULL, "answer in JSON, one object a line", &c.json, NULL },
	};
	int status;

	if (!command_parse(&queue_command, own, sizeof(own) / sizeof(own[0]), &common,
		0, 0, argc, argv, &status))
		return status;
	return control_run(&c);
}

const struct command queue_command = {
	.name = "queue",
	.arguments = "[--json]",
	.summary = "The mail that waits, by destination and reason.",
	.run = run,
};
