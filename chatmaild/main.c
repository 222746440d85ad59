/* chatmaild: arguments, then the daemon. See docs/chatmaild.8. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "chatmaild/daemon.h"
#include "chatmaild/log.h"
#include "chatmaild/reload.h"
#include "chatmaild/store_copy.h"

static const char usage[] =
    "Usage: chatmaild [-c FILE] [--check-config | --copy-database FILE] [-d]\n"
    "The daemon of a chatmail relay: logins, mail policy, metrics.\n"
    "\n"
    "  -c, --config FILE   read FILE; without it the first that exists of\n"
    "                      " CONFIG_PATH "\n"
    "                      " CONFIG_PATH_PYTHON "\n"
    "      --check-config  say whether the config is fine, and exit\n"
    "      --copy-database FILE\n"
    "                      write a copy of the database to FILE, also while\n"
    "                      the daemon runs, and exit\n"
    "  -d, --debug         log more; includes mail addresses\n"
    "      --version       show the version, and exit\n"
    "  -h, --help          show this, and exit\n";

enum long_option {
	OPTION_CHECK_CONFIG = 256,
	OPTION_COPY_DATABASE,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check-config", no_argument, NULL, OPTION_CHECK_CONFIG },
	{ "copy-database", required_argument, NULL, OPTION_COPY_DATABASE },
	{ "debug", no_argument, NULL, 'd' },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct arguments {
	const char *path; /* of the config */
	bool check;
	const char *copy; /* where the database is to be copied, or NULL */
};

/* Options that only show something end the program here. */
static struct arguments parse_arguments(int argc, char **argv)
{
	struct arguments args = { .path = NULL };
	int option;

	while ((option = getopt_long(argc, argv, "c:dh", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			args.path = optarg;
			break;
		case 'd':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case OPTION_CHECK_CONFIG:
			args.check = true;
			break;
		case OPTION_COPY_DATABASE:
			args.copy = optarg;
			break;
		case OPTION_VERSION:
			puts("chatmaild " CHATMAILD_VERSION);
			exit(EXIT_SUCCESS);
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		default:
			fputs("Try 'chatmaild --help'.\n", stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (optind < argc)
		log_fatal("%s: takes no arguments but options; the config is given by "
			  "-c FILE",
		    argv[optind]);
	if (!args.path)
		args.path = config_default_path();
	return args;
}

static int check_config(const char *path)
{
	struct config *config = config_load(path, stderr);

	if (!config)
		return EXIT_FAILURE;
	printf("%s: OK\n", path);
	config_free(config);
	return EXIT_SUCCESS;
}

static int copy_database(const char *path, const char *to)
{
	struct config *config = config_load(path, stderr);
	char error[1024];
	bool good;

	if (!config)
		return EXIT_FAILURE;
	good = store_copy(config->state_dir, to, error, sizeof(error));
	if (!good)
		log_error("%s", error);
	config_free(config);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct arguments args = parse_arguments(argc, argv);
	struct config *config;
	struct daemon *daemon;

	/* Mailboxes and the database are nobody else's; sockets get their own mode. */
	umask(0077);
	if (args.check)
		return check_config(args.path);
	if (args.copy)
		return copy_database(args.path, args.copy);
	config = reload_read(args.path);
	if (!config)
		return EXIT_FAILURE;
	daemon = daemon_create(config);
	if (!daemon)
		return EXIT_FAILURE;
	daemon_run(daemon);
	daemon_destroy(daemon);
	return EXIT_SUCCESS;
}
