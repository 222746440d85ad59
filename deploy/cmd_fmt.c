/*
 * cmdeploy fmt: the sources, for who works on them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deploy/command.h"
#include "deploy/program.h"
#include "deploy/progress.h"
#include "deploy/quote.h"

#define FORMAT "git ls-files -z '*.c' '*.h' | xargs -0 -r clang-format -i"
#define LINT   "scripts/lint"

/* The nearest directory upwards that holds our sources, free()d by the caller; or NULL. */
static char *find_checkout(void)
{
	char *dir = getcwd(NULL, 0), *slash;

	while (dir && *dir) {
		char *lint;
		bool here;

		if (asprintf(&lint, "%s/" LINT, dir) < 0)
			abort();
		here = access(lint, X_OK) == 0;
		free(lint);
		if (here)
			return dir;
		slash = strrchr(dir, '/');
		*slash = '\0';
	}
	free(dir);
	return NULL;
}

static int format(const char *checkout, bool check, bool verbose)
{
	const char *argv[] = { "sh", "-c", NULL, NULL };
	struct text script = { 0 };
	pid_t pid;
	bool good;

	quote_command(&script, "set -e%r; cd %s; %r" LINT, verbose ? "x" : "", checkout,
	    check ? "" : FORMAT "; ");
	argv[2] = script.data;
	pid = program_start(argv, STDIN_FILENO, STDOUT_FILENO);
	good = pid != 0 && program_end(pid);
	text_free(&script);
	if (good)
		say_good("The sources are well.");
	else
		say_bad("The sources are not as they should be.");
	return good ? COMMAND_OK : COMMAND_FAILED;
}

static int run(int argc, char **argv)
{
	struct command_common common = { 0 };
	bool check = false;
	const struct command_option own[] = {
		{ "check", NULL, "only report what is not as it should be", &check,
		    NULL },
	};
	char *checkout;
	int status;

	if (!command_parse(&fmt_command, own, sizeof(own) / sizeof(own[0]), &common, 0,
		0, argc, argv, &status))
		return status;
	checkout = find_checkout();
	if (!checkout) {
		say_bad("This is no checkout of chatmaild: there is no " LINT
			" here or above. Only its sources are formatted.");
		return COMMAND_FAILED;
	}
	status = format(checkout, check, common.verbose);
	free(checkout);
	return status;
}

const struct command fmt_command = {
	.name = "fmt",
	.arguments = "[--check]",
	.summary = "Format and check the sources of chatmaild itself.",
	.run = run,
};
