/* Which command of an older relay is meant, and what they share. */
#include "chatmaild/ctl_old.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct old_command {
	const char *name;
	int (*run)(int argc, char **argv);
} old_commands[] = {
	{ "chatmail-expire", ctl_old_expire },
	{ "delete_inactive_users", ctl_old_inactive },
	{ "chatmail-quota-expire", ctl_old_quota },
	{ "chatmail-fsreport", ctl_old_report },
	{ "chatmail-metrics", ctl_old_metrics },
};

int ctl_old_run(const char *name, int argc, char **argv)
{
	const char *slash = strrchr(name, '/');

	if (slash)
		name = slash + 1;
	for (size_t i = 0; i < sizeof(old_commands) / sizeof(old_commands[0]); i++)
		if (strcmp(name, old_commands[i].name) == 0)
			return old_commands[i].run(argc, argv);
	return -1;
}

int64_t ctl_old_number(const char *program, const char *option, const char *text)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && n >= 0 && n <= INT_MAX)
		return n;
	fprintf(stderr, "%s: %s: '%s' is no number from 0 on\n", program, option, text);
	exit(2);
}

struct config *ctl_old_config(int argc, char **argv)
{
	const char *path = optind < argc ? argv[optind] : config_default_path();
	struct config *config;

	if (optind + 1 < argc) {
		fprintf(stderr, "%s: %s: one argument too many\n", argv[0],
		    argv[optind + 1]);
		exit(2);
	}
	config = config_load(path, stderr);
	if (!config)
		exit(1);
	return config;
}
