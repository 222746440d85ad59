/*
 * cmdeploy logs: what the relay's units wrote to the journal.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "deploy/command.h"
#include "deploy/host.h"
#include "deploy/lines.h"
#include "deploy/logs.h"
#include "deploy/progress.h"

struct options {
	struct command_common common;
	const char *ssh_host;
	struct logs_question question;
	bool addresses;
};

static void on_line(void *arg, struct span line)
{
	const struct options *o = arg;
	struct text masked = { 0 };

	if (!o->addresses) {
		logs_mask(&masked, line);
		line = text_span(&masked);
	}
	text_write_visible(stdout, line, "\t");
	putchar('\n');
	text_free(&masked);
}

static bool take(void *lines, struct span bytes)
{
	lines_take(lines, bytes);
	return fflush(stdout) == 0 && !ferror(stdout);
}

static int show(
    const struct options *o, struct host *host, const char *script, int from)
{
	struct lines lines = { .line = on_line, .arg = (void *)(uintptr_t)o };
	const struct host_flow flow = { .from = from, .take = take, .arg = &lines };
	char error[HOST_ERROR_MAX];
	struct host_reply reply;
	int status = COMMAND_FAILED;

	if (!host_stream(host, script, span_of(""), &flow, NULL, NULL, &reply, error)) {
		if (!host_interrupted(host))
			say_bad("%s", error);
	} else if (reply.status == 0 || ferror(stdout)) {
		status = COMMAND_OK; /* a pager that was left is no failure */
	} else if (reply.status == 1 && o->question.grep && reply.err.len == 0) {
		say("Nothing matches.");
		status = COMMAND_OK;
	} else {
		say_bad("%s: the journal cannot be read: %.*s", host_name(host),
		    SPAN_ARG(span_trim(text_span(&reply.err))));
	}
	lines_end(&lines);
	host_reply_free(&reply);
	return status;
}

static int ask(const struct options *o, const char *name, const char *script)
{
	char error[HOST_ERROR_MAX];
	struct host *host;
	int status = COMMAND_FAILED, wait[2];

	/* Its end never comes before ours: so long the other side follows. */
	if (pipe2(wait, O_CLOEXEC) < 0)
		abort();
	host = host_open(name, o->common.verbose, error);
	if (host)
		status = show(o, host, script, o->question.follow ? wait[0] : -1);
	else
		say_bad("%s", error);
	close(wait[0]);
	close(wait[1]);
	host_close(host);
	return status;
}

static void tell_components(const char *name)
{
	const struct logs_component *list;
	size_t n;

	say_bad("cmdeploy logs: %s: there is no such component; there are", name);
	list = logs_components(&n);
	for (size_t i = 0; i < n; i++)
		say("  %-10s %s", list[i].name, list[i].help);
}

static int run(int argc, char **argv)
{
	struct options o = { .question = { .component = NULL } };
	const struct command_option own[] = {
		COMMAND_SSH_HOST(&o.ssh_host),
		{ "follow", NULL, "go on with what comes, until Ctrl-C",
		    &o.question.follow, NULL },
		{ "since", "TIME", "\"1 hour ago\", \"2026-11-23 12:00\"", NULL,
		    &o.question.since },
		{ "grep", "REGEX", "only lines that match", NULL, &o.question.grep },
		{ "addresses", NULL, "show mail and IP addresses", &o.addresses, NULL },
	};
	struct config *config;
	char *script;
	int status;

	if (!command_parse(&logs_command, own, sizeof(own) / sizeof(own[0]), &o.common,
		0, 1, argc, argv, &status))
		return status;
	o.question.component = argv[optind];
	script = logs_script(&o.question);
	if (!script) {
		tell_components(argv[optind]);
		return COMMAND_USAGE;
	}
	config = command_load_config(&o.common);
	status = COMMAND_FAILED;
	if (config)
		status =
		    ask(&o, o.ssh_host ? o.ssh_host : config->mail_domain_bare, script);
	config_free(config);
	free(script);
	return status;
}

const struct command logs_command = {
	.name = "logs",
	.arguments = "[COMPONENT] [--follow] [--since TIME] [--grep REGEX]",
	.summary = "What the relay's units wrote to the journal.",
	.run = run,
};
