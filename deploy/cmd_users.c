/*
 * cmdeploy users: the accounts of the relay.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/control.h"
#include "deploy/progress.h"

#define PASSWORD_MAX 4096 /* bytes that are read of stdin */

static const struct action {
	const char *name;
	int min, max; /* words behind it */
	bool asks;    /* cannot be undone */
} actions[] = {
	{ "list", 0, 1, false },
	{ "show", 1, 1, false },
	{ "create", 1, 1, false },
	{ "block", 1, 1, false },
	{ "unblock", 1, 1, false },
	{ "delete", 1, 1, true },
};

static const struct action *find_action(const char *name, int nwords)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		const struct action *a = &actions[i];

		if (strcmp(a->name, name) == 0 && nwords >= a->min && nwords <= a->max)
			return a;
	}
	return NULL;
}

static bool may_delete(const char *address)
{
	char *question;
	bool yes;

	if (asprintf(&question, "Delete %s with all its mail, for ever?", address) < 0)
		abort();
	yes = control_confirm(question);
	free(question);
	return yes;
}

static int run(int argc, char **argv)
{
	struct command_common common = { 0 };
	struct control c = { .common = &common, .verb = "users", .in = span_of("") };
	const struct command_option own[] = {
		COMMAND_SSH_HOST(&c.ssh_host),
		{ "json", NULL, "answer in JSON, one object a line", &c.json, NULL },
		{ "yes", NULL, "do not ask before something is deleted", &c.yes, NULL },
		{ "password-stdin", NULL, "of create: read the password from stdin",
		    &c.password_stdin, NULL },
	};
	char password[PASSWORD_MAX];
	const struct action *action;
	int status;

	if (!command_parse(&users_command, own, sizeof(own) / sizeof(own[0]), &common,
		1, 2, argc, argv, &status))
		return status;
	c.words = argv + optind;
	c.nwords = argc - optind;
	action = find_action(c.words[0], c.nwords - 1);
	if (!action) {
		say_bad("cmdeploy users: %s; see cmdeploy users --help", c.words[0]);
		return COMMAND_USAGE;
	}
	if (action->asks && !c.yes && !may_delete(c.words[1]))
		return COMMAND_FAILED;
	c.yes = action->asks;
	if (c.password_stdin)
		c.in = span_make(password, fread(password, 1, sizeof(password), stdin));
	return control_run(&c);
}

const struct command users_command = {
	.name = "users",
	.arguments = "list [TEXT] | show|create|block|unblock|delete ADDRESS",
	.summary = "The accounts of the relay; by chatmailctl on the server.",
	.run = run,
};
