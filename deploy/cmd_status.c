/*
 * cmdeploy status: how the relay does.
 */
#include <stdio.h>
#include <stdlib.h>

#include "deploy/command.h"
#include "deploy/component.h"
#include "deploy/context.h"
#include "deploy/host.h"
#include "deploy/progress.h"
#include "deploy/status.h"

#define VERSION_FILE "/etc/chatmail-version"

/* What would be deployed from here. A component that cannot say what it wants, for instance
 * since its package is not at hand, only leaves its units out. */
static struct wanted *make_wanted(const struct config *config, json_t *context)
{
	struct relay relay = {
		.config = config,
		.context = context,
		.templates = command_templates(),
	};
	struct wanted *w = wanted_create();

	for (size_t i = 0; i < ncomponents; i++) {
		if (components[i] == &website_component)
			continue; /* has no units, and its pages take their time */
		wanted_component(w, components[i]->name);
		components[i]->want(&relay, w);
	}
	return w;
}

/* sha256: room for the version's. */
static void make_question(
    struct status_question *q, const struct wanted *w, char sha256[WANTED_SHA256_SIZE])
{
	const struct wanted_thing *things;
	size_t n;

	things = wanted_list(w, &n);
	for (size_t i = 0; i < n; i++) {
		const struct wanted_file *file = &things[i].file;

		if (things[i].kind == WANTED_UNIT &&
		    things[i].unit.state == UNIT_RUNNING &&
		    q->nunits < STATUS_UNITS_MAX) {
			q->unit[q->nunits++] = things[i].unit.name;
		} else if (things[i].kind == WANTED_FILE &&
			   strcmp(file->path, VERSION_FILE) == 0) {
			wanted_sha256(span_make(file->content, file->len), sha256);
			q->version_sha256 = sha256;
		}
	}
}

/* Ask and show. */
static int show(const struct status_question *q, const char *name, bool verbose)
{
	char error[HOST_ERROR_MAX], *script;
	struct host_reply reply = { 0 };
	struct host *host = host_open(name, verbose, error);
	int status = COMMAND_FAILED;
	unsigned look;

	if (!host) {
		say_bad("%s", error);
		return COMMAND_FAILED;
	}
	script = status_script(q);
	if (!host_run(host, script, span_of(""), NULL, NULL, &reply, error)) {
		say_bad("%s: %s", name, error);
	} else if (reply.status != 0) {
		say_bad("%s: asking for the status failed with %d: %.*s", name,
		    reply.status, SPAN_ARG(text_span(&reply.err)));
	} else {
		look = status_print(q, text_span(&reply.out), time(NULL), stdout);
		fflush(stdout);
		if (look > 0)
			say_bad("%u thing%s a look.", look,
			    look == 1 ? " needs" : "s need");
		status = COMMAND_OK;
	}
	host_reply_free(&reply);
	host_close(host);
	free(script);
	return status;
}

static int status_of(const struct config *config, const char *name, bool verbose)
{
	struct status_question q = { .config = config };
	char error[CONTEXT_ERROR_MAX], sha256[WANTED_SHA256_SIZE];
	json_t *context = context_create(config, NULL, 0, error);
	struct wanted *w;
	int status;

	if (!context) {
		say_bad("%s", error);
		return COMMAND_FAILED;
	}
	w = make_wanted(config, context);
	make_question(&q, w, sha256);
	say_good("chatmail domain: %s", config->mail_domain);
	if (config->privacy_mail[0])
		say_good("privacy_mail: present");
	else
		say_bad("privacy_mail: none");
	status = show(&q, name, verbose);
	wanted_free(w);
	json_decref(context);
	return status;
}

static int run(int argc, char **argv)
{
	struct command_common common = { 0 };
	const char *host = NULL;
	const struct command_option own[] = { COMMAND_SSH_HOST(&host) };
	struct config *config;
	int status;

	if (!command_parse(&status_command, own, sizeof(own) / sizeof(own[0]), &common,
		0, 0, argc, argv, &status))
		return status;
	config = command_load_config(&common);
	if (!config)
		return COMMAND_FAILED;
	status =
	    status_of(config, host ? host : config->mail_domain_bare, common.verbose);
	config_free(config);
	return status;
}

const struct command status_command = {
	.name = "status",
	.arguments = "[--ssh-host HOST]",
	.summary = "Show how the relay does: services, queue, disk, certificate.",
	.run = run,
};
