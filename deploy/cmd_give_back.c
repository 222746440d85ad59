/*
 * cmdeploy give-back: the Python relay that a run took over, put back with all that came
 * since: accounts, mail, device tokens.
 */
#include <stdio.h>
#include <stdlib.h>

#include "deploy/command.h"
#include "deploy/host.h"
#include "deploy/plan_apply.h"
#include "deploy/progress.h"
#include "deploy/python_relay.h"
#include "deploy/quote.h"

struct options {
	struct command_common common;
	const char *ssh_host;
	bool dry_run;
};

struct give_back {
	struct host *host;
	struct progress *progress;
	struct text notes, unheeded; /* lines; of the step that runs */
};

/* "PATH" and "UNIT ENABLED ACTIVE" lines, each behind a sign of what is done. */
static const char look[] =
    "# what is given back\n"
    "cd " PYTHON_RELAY_KEPT " 2>/dev/null && [ -e units ] || exit 3\n"
    "while IFS= read -r path; do\n"
    "	if [ -e \"files$path\" ] || [ -L \"files$path\" ]; then\n"
    "		printf '  ~ %s\\n' \"$path\"\n"
    "	elif [ -e \"$path\" ]; then\n"
    "		printf '  - %s\\n' \"$path\"\n"
    "	fi\n"
    "done <list\n"
    "while read -r unit enabled active; do\n"
    "	case $enabled in\n"
    "	unknown | not-found)\n"
    "		[ \"$(systemctl show -p LoadState --value \"$unit\")\" = not-found ] "
    "||\n"
    "			printf '  * stop %s\\n' \"$unit\" ;;\n"
    "	*) printf '  * %s: %s, %s\\n' \"$unit\" \"$enabled\" \"$active\" ;;\n"
    "	esac\n"
    "done <units\n";

static bool run(struct give_back *g, const char *what, const char *script,
    host_line *line, struct host_reply *reply)
{
	char error[HOST_ERROR_MAX];
	bool good;

	progress_begin(g->progress, what);
	good = host_run(g->host, script, span_of(""), line, g, reply, error);
	progress_end(g->progress, good && reply->status == 0, NULL);
	if (!good && !host_interrupted(g->host))
		say_bad("%s", error);
	return good;
}

static bool show(struct give_back *g)
{
	struct host_reply reply = { 0 };
	bool good = run(g, "look at the server", look, NULL, &reply);

	if (good && reply.status == 3) {
		say_bad(
		    "%s was not taken over from a Python relay: there is nothing to "
		    "give back.",
		    host_name(g->host));
		good = false;
	} else if (good && reply.status != 0) {
		say_bad(
		    "%s: %.*s", host_name(g->host), SPAN_ARG(text_span(&reply.err)));
		good = false;
	}
	if (good) {
		puts("The Python relay is put back");
		text_write_visible(stdout, text_span(&reply.out), "\n");
		puts("  + device tokens and notifications, as its services keep them\n"
		     "  - packages chatmaild, chatmaild-dovecot-plugin\n"
		     "Mailboxes, passwords, keys and certificates stay as they are.");
		fflush(stdout);
	}
	host_reply_free(&reply);
	return good;
}

static void on_line(void *arg, const char *line)
{
	struct give_back *g = arg;

	if (line && strncmp(line, "@note ", 6) == 0) {
		text_printf(&g->notes, "%s\n", line + 6);
	} else if (line && strncmp(line, "@step ", 6) == 0) {
		text_free(&g->unheeded);
		progress_line(g->progress, line + 6);
		return;
	} else if (line) {
		text_printf(&g->unheeded, "%s\n", line);
	}
	progress_line(g->progress, line);
}

static void say_lines(void (*tell)(const char *, ...), const struct text *lines)
{
	struct span rest = text_span(lines), line;

	while (rest.len > 0 && span_cut(&rest, '\n', &line))
		tell("  %.*s", SPAN_ARG(line));
}

static bool give_back(struct give_back *g)
{
	char *functions = server_functions();
	struct host_reply reply = { 0 };
	struct text script = { 0 };
	bool good;

	quote_command(&script, "# give back\n%r\nlock\ngive_back\n", functions);
	good = run(g, "give back", script.data, on_line, &reply);
	say_lines(say, &g->notes);
	if (good && reply.status != 0) {
		say_lines(say_bad, &g->unheeded);
		say_bad("It is not given back whole. Mend this, and call cmdeploy "
			"give-back again: it goes on from there.");
		good = false;
	}
	host_reply_free(&reply);
	text_free(&script);
	free(functions);
	return good;
}

static bool give_back_on(const struct options *o, const char *name)
{
	char error[HOST_ERROR_MAX];
	struct give_back g = { .host = host_open(name, o->common.verbose, error) };
	bool good;

	if (!g.host) {
		say_bad("%s", error);
		return false;
	}
	g.progress = progress_create(o->common.verbose);
	good = show(&g) && (o->dry_run || give_back(&g));
	if (good && !o->dry_run)
		say_good("%s runs the Python relay again; cmdeploy run takes it over "
			 "anew.",
		    name);
	progress_free(g.progress);
	host_close(g.host);
	text_free(&g.notes);
	text_free(&g.unheeded);
	return good;
}

static int run_command_line(int argc, char **argv)
{
	struct options o = { 0 };
	const struct command_option own[] = {
		COMMAND_SSH_HOST(&o.ssh_host),
		{ "dry-run", NULL, "show what would be done, change nothing",
		    &o.dry_run, NULL },
	};
	struct config *config;
	int status;
	bool good;

	if (!command_parse(&give_back_command, own, sizeof(own) / sizeof(own[0]),
		&o.common, 0, 0, argc, argv, &status))
		return status;
	config = command_load_config(&o.common);
	if (!config)
		return COMMAND_FAILED;
	good = give_back_on(&o, o.ssh_host ? o.ssh_host : config->mail_domain_bare);
	config_free(config);
	return good ? COMMAND_OK : COMMAND_FAILED;
}

const struct command give_back_command = {
	.name = "give-back",
	.arguments = "[--dry-run] [--ssh-host HOST]",
	.summary = "Put back the Python relay that a run took over.",
	.run = run_command_line,
};
