/*
 * cmdeploy init: a new chatmail.ini, in which every key is explained.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/command.h"
#include "deploy/explain.h"
#include "deploy/progress.h"

/* NULL, or what is wrong with it: as the config will see it. */
static const char *check_domain(const char *domain)
{
	const struct config_option *options;
	size_t n;

	options = config_options(&n);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(options[i].key, "mail_domain") == 0)
			return options[i].check(domain);
	}
	abort();
}

/* Never over a file that is there, not even one that came a moment ago. */
static bool write_new(const char *path, const char *domain)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool good;

	if (!out)
		return false;
	explain_file(domain, out);
	good = !ferror(out);
	good = fclose(out) == 0 && good;
	if (!good)
		unlink(path);
	return good;
}

static int init(const char *path, const char *domain, bool force)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !force) {
		printf("[WARNING] Path exists, not modifying: %s\n", path);
		return COMMAND_FAILED;
	}
	if (lstat(path, &st) == 0) {
		printf("[WARNING] Force argument was provided, deleting config file: "
		       "%s\n",
		    path);
		if (unlink(path) < 0) {
			say_bad("%s: %s", path, strerror(errno));
			return COMMAND_FAILED;
		}
	}
	if (!write_new(path, domain)) {
		say_bad("%s: %s", path, strerror(errno));
		return COMMAND_FAILED;
	}
	say_good("created config file for %s in %s", domain, path);
	return COMMAND_OK;
}

static int run(int argc, char **argv)
{
	struct command_common common = { 0 };
	bool force = false;
	const struct command_option own[] = {
		{ "force", NULL, "replace the file if there is one", &force, NULL },
	};
	const char *why;
	char *domain;
	int status;

	if (!command_parse(&init_command, own, sizeof(own) / sizeof(own[0]), &common, 1,
		1, argc, argv, &status))
		return status;
	why = check_domain(argv[optind]);
	if (why) {
		say_bad("mail_domain '%s': %s", argv[optind], why);
		return COMMAND_FAILED;
	}
	domain = strdup(argv[optind]);
	if (!domain)
		abort();
	/* Addresses are written in small letters. */
	for (char *p = domain; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	status = init(common.config, domain, force);
	free(domain);
	return status;
}

const struct command init_command = {
	.name = "init",
	.arguments = "[--force] [--config PATH] DOMAIN",
	.summary = "Write a new chatmail.ini for the relay DOMAIN.",
	.run = run,
};
