/*
 * cmdeploy config: check the file, explain its keys.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "deploy/command.h"
#include "deploy/component.h"
#include "deploy/context.h"
#include "deploy/explain.h"
#include "deploy/preflight.h"
#include "deploy/progress.h"

/* Would run accept it, too? All that is to be is made, but the web pages. */
static bool is_deployable(const struct config *config)
{
	char error[CONTEXT_ERROR_MAX];
	json_t *context = context_create(config, NULL, 0, error);
	struct relay relay = {
		.config = config,
		.context = context,
		.templates = command_templates(),
	};
	struct wanted *w = wanted_create();
	bool good = preflight_config(config, stderr) == 0;

	if (!context)
		say_bad("%s", error);
	for (size_t i = 0; context && i < ncomponents; i++) {
		if (components[i] == &website_component)
			continue;
		wanted_component(w, components[i]->name);
		if (!components[i]->want(&relay, w)) {
			say_bad("%s: %s", components[i]->name, relay.error);
			good = false;
		}
	}
	wanted_free(w);
	json_decref(context);
	return good && context;
}

static int check(const struct command_common *common)
{
	static const char *const modes[] = {
		[TLS_ACME] = "certificates by ACME",
		[TLS_SELF] = "a self-signed certificate",
		[TLS_EXTERNAL] = "certificates that somebody else renews",
	};
	struct config *config = command_load_config(common);
	bool good;

	if (!config)
		return COMMAND_FAILED;
	good = is_deployable(config);
	if (good)
		say_good("%s is good: the relay %s, with %s", common->config,
		    config->mail_domain, modes[config->tls_mode]);
	else
		say_bad("%s cannot be deployed.", common->config);
	config_free(config);
	return good ? COMMAND_OK : COMMAND_FAILED;
}

static int explain(const char *key)
{
	const struct config_option *options;
	bool found = false;
	size_t n;

	options = config_options(&n);
	for (size_t i = 0; i < n; i++) {
		if (key ? strcmp(options[i].key, key) != 0
			: !explain_is_current(&options[i]))
			continue;
		if (found)
			putchar('\n');
		explain_key(&options[i], stdout);
		found = true;
	}
	if (found)
		return COMMAND_OK;
	say_bad("There is no key '%s'; cmdeploy config explain lists them all.", key);
	return COMMAND_FAILED;
}

static int run(int argc, char **argv)
{
	struct command_common common = { 0 };
	const char *what;
	int nargs, status;

	if (!command_parse(
		&config_command, NULL, 0, &common, 1, 2, argc, argv, &status))
		return status;
	what = argv[optind];
	nargs = argc - optind;
	if (strcmp(what, "check") == 0 && nargs == 1)
		return check(&common);
	if (strcmp(what, "explain") == 0)
		return explain(argv[optind + 1]); /* NULL after the last */
	fputs("Usage: cmdeploy config check [--config PATH]\n"
	      "       cmdeploy config explain [KEY]\n",
	    stderr);
	return COMMAND_USAGE;
}

const struct command config_command = {
	.name = "config",
	.arguments = "check [--config PATH] | explain [KEY]",
	.summary = "Check chatmail.ini, or explain its keys.",
	.run = run,
};
