/* chatmailctl: arguments, and the table of commands. See docs/chatmailctl.8. */
#include "chatmaild/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "chatmaild/ctl_old.h"

#define NAME_WIDTH 30

/* Options that a command takes; --config and --help are everybody's. */
enum taken {
	TAKES_JSON = 1 << 0,
	TAKES_YES = 1 << 1,
	TAKES_DRY_RUN = 1 << 2,
	TAKES_PASSWORD = 1 << 3,
	TAKES_DAYS = 1 << 4,
	TAKES_COUNT = 1 << 5,
};

static const struct command {
	const char *name; /* of one or two words */
	const char *args; /* as the help shows them */
	int min, max;     /* how many there may be */
	unsigned takes;
	ctl_run *run;
	const char *help;
} commands[] = {
	{ "status", "", 0, 0, TAKES_JSON, ctl_status, "how the daemon is" },
	{ "users list", "[TEXT]", 0, 1, TAKES_JSON, ctl_users_list,
	    "all accounts, or those whose address holds TEXT" },
	{ "users show", "ADDRESS", 1, 1, TAKES_JSON, ctl_users_show,
	    "what is known of one" },
	{ "users create", "ADDRESS", 1, 1, TAKES_JSON | TAKES_PASSWORD,
	    ctl_users_create, "make one, also while registration is closed" },
	{ "users block", "ADDRESS", 1, 1, 0, ctl_users_block,
	    "neither login nor mail, until it is unblocked" },
	{ "users unblock", "ADDRESS", 1, 1, 0, ctl_users_unblock, "give it back" },
	{ "users delete", "ADDRESS", 1, 1, TAKES_YES, ctl_users_delete,
	    "remove it with all its mail" },
	{ "registration status", "", 0, 0, TAKES_JSON, ctl_registration_status,
	    "whether new accounts are made" },
	{ "registration open", "", 0, 0, 0, ctl_registration_open, "make them" },
	{ "registration closed", "", 0, 0, 0, ctl_registration_closed, "make none" },
	{ "invite", "", 0, 0, TAKES_JSON | TAKES_DAYS | TAKES_COUNT, ctl_invite,
	    "links that make one account each" },
	{ "expire", "", 0, 0, TAKES_JSON | TAKES_YES | TAKES_DRY_RUN, ctl_expire,
	    "delete now what is deleted each day" },
	{ "trim", "ADDRESS", 1, 1, 0, ctl_trim,
	    "bring a mailbox below its quota, as Dovecot asks for" },
	{ "hand-back", "", 0, 0, 0, ctl_hand_back,
	    "what the daemon remembers, as files of the Python services" },
	{ "push status", "", 0, 0, TAKES_JSON, ctl_push_status,
	    "notifications that wait" },
	{ "push flush", "", 0, 0, 0, ctl_push_flush, "try them all now" },
	{ "queue", "", 0, 0, TAKES_JSON, ctl_queue,
	    "mail that Postfix holds: for whom, and why" },
	{ "report", "", 0, 0, TAKES_JSON, ctl_report,
	    "what the mailboxes hold, who logged in when" },
	{ "top", "", 0, 0, 0, ctl_top, "what happens now, drawn anew each second" },
	{ "reload", "", 0, 0, 0, ctl_reload, "read the config again" },
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

enum option_value {
	OPTION_JSON = 256,
	OPTION_DRY_RUN,
	OPTION_PASSWORD_STDIN,
	OPTION_DAYS,
	OPTION_COUNT,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "yes", no_argument, NULL, 'y' },
	{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
	{ "password-stdin", no_argument, NULL, OPTION_PASSWORD_STDIN },
	{ "days", required_argument, NULL, OPTION_DAYS },
	{ "count", required_argument, NULL, OPTION_COUNT },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void show_help(void)
{
	fputs("Usage: chatmailctl [OPTION...] COMMAND [ARGUMENT...]\n"
	      "The operator's hand on a chatmail relay.\n\n",
	    stdout);
	for (size_t i = 0; i < NCOMMANDS; i++) {
		const struct command *k = &commands[i];
		int width = NAME_WIDTH - (int)strlen(k->name) - 1;

		printf("  %s %-*s  %s\n", k->name, width, k->args, k->help);
	}
	fputs("\n"
	      "  -c, --config FILE     read FILE instead of " CONFIG_PATH "\n"
	      "      --json            answer in JSON, one object a line\n"
	      "  -y, --yes             do not ask before something is deleted\n"
	      "      --dry-run         of expire: only show what would go, and why\n"
	      "      --count N         of invite: so many of them\n"
	      "      --days N          of invite: good for N days, by default 30\n"
	      "      --password-stdin  of users create: read the password\n"
	      "      --version         show the version, and exit\n"
	      "  -h, --help            show this, and exit\n"
	      "\n"
	      "Exit status: 0 done, 1 not done, 2 called wrongly.\n",
	    stdout);
}

static int usage(const char *what, const char *why)
{
	ctl_error("%s: %s; see chatmailctl --help", what, why);
	return CTL_USAGE;
}

static bool parse_number(const char *text, int64_t *value)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text || *end != '\0' || n < 0 || n > INT_MAX)
		return false;
	*value = n;
	return true;
}

/* Takes one option; given collects which. CTL_OK to go on. */
static int take_option(struct ctl *c, int option, unsigned *given)
{
	int64_t *number = option == OPTION_DAYS ? &c->days : &c->count;

	switch (option) {
	case 'c':
		c->config_path = optarg;
		return CTL_OK;
	case 'y':
		c->yes = true;
		*given |= TAKES_YES;
		return CTL_OK;
	case OPTION_JSON:
		c->json = true;
		*given |= TAKES_JSON;
		return CTL_OK;
	case OPTION_DRY_RUN:
		c->dry_run = true;
		*given |= TAKES_DRY_RUN;
		return CTL_OK;
	case OPTION_PASSWORD_STDIN:
		c->password_stdin = true;
		*given |= TAKES_PASSWORD;
		return CTL_OK;
	case OPTION_DAYS:
	case OPTION_COUNT:
		*given |= option == OPTION_DAYS ? TAKES_DAYS : TAKES_COUNT;
		return parse_number(optarg, number) ? CTL_OK
						    : usage(optarg, "not a number");
	default: /* getopt_long() has told */
		fputs("Try 'chatmailctl --help'.\n", stderr);
		return CTL_USAGE;
	}
}

/* How many words of argv are the name of k, or 0. */
static int names(const struct command *k, int argc, char **argv)
{
	const char *blank = strchr(k->name, ' ');
	size_t first = blank ? (size_t)(blank - k->name) : strlen(k->name);

	if (argc < 1 || strlen(argv[0]) != first ||
	    memcmp(argv[0], k->name, first) != 0)
		return 0;
	if (!blank)
		return 1;
	return argc >= 2 && strcmp(argv[1], blank + 1) == 0 ? 2 : 0;
}

static const struct command *find_command(int argc, char **argv, int *words)
{
	for (size_t i = 0; i < NCOMMANDS; i++) {
		*words = names(&commands[i], argc, argv);
		if (*words)
			return &commands[i];
	}
	return NULL;
}

static int run_command(struct ctl *c, int argc, char **argv, unsigned given)
{
	int words, rc;
	const struct command *k = find_command(argc, argv, &words);

	if (!k)
		return usage(argc > 0 ? argv[0] : "no command",
		    argc > 0 ? "there is no such command" : "name one");
	c->arg = argv + words;
	c->nargs = argc - words;
	if (c->nargs < k->min)
		return usage(k->name, "something is missing");
	if (c->nargs > k->max)
		return usage(c->arg[k->max], "one argument too many");
	if (given & ~k->takes)
		return usage(k->name, "an option that it does not know");
	rc = k->run(c);
	if (fflush(stdout) != 0 && rc == CTL_OK)
		rc = CTL_FAILED;
	return rc;
}

const struct config *ctl_config(struct ctl *c)
{
	const char *path = c->config_path ? c->config_path : config_default_path();

	if (c->config)
		return c->config;
	c->config = config_load(path, stderr);
	if (!c->config)
		exit(CTL_FAILED);
	return c->config;
}

int main(int argc, char **argv)
{
	struct ctl c = { .days = -1, .count = -1 };
	unsigned given = 0;
	int option, rc = ctl_old_run(argv[0], argc, argv);

	if (rc >= 0)
		return rc;
	while ((option = getopt_long(argc, argv, "c:yh", long_options, NULL)) != -1) {
		if (option == 'h') {
			show_help();
			return CTL_OK;
		}
		if (option == OPTION_VERSION) {
			puts("chatmailctl " CHATMAILD_VERSION);
			return CTL_OK;
		}
		rc = take_option(&c, option, &given);
		if (rc != CTL_OK)
			return rc;
	}
	rc = run_command(&c, argc - optind, argv + optind, given);
	config_free(c.config);
	return rc;
}
