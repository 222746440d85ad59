/*
 * cmdeploy run: from chatmail.ini to a running relay. What is found out first changes
 * nothing; then the plan is shown, and then it is done.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "deploy/command.h"
#include "deploy/component.h"
#include "deploy/context.h"
#include "deploy/dns.h"
#include "deploy/manifest.h"
#include "deploy/plan.h"
#include "deploy/preflight.h"
#include "deploy/quote.h"
#include "deploy/takeover.h"

struct options {
	struct command_common common;
	const char *ssh_host, *binaries, *packages, *templates, *generation;
	bool dry_run, disable_mail, skip_dns, website_only, upgrade, rollback;
	unsigned stages;
};

struct run {
	const struct options *o;
	const struct config *config;
	struct host *host;
	struct wanted *wanted;
	struct facts *facts;
	struct progress *progress;
};

static const struct {
	const char *name;
	enum stage stage;
} stage_names[] = {
	{ "install", STAGE_INSTALL },
	{ "configure", STAGE_CONFIGURE },
	{ "activate", STAGE_ACTIVATE },
};

/* CMDEPLOY_STAGES: which, parted by commas. Their order is always the same. */
static bool read_stages(const char *text, unsigned *stages)
{
	struct span rest = span_of(text), name;

	*stages = 0;
	while (span_cut(&rest, ',', &name)) {
		unsigned found = 0;

		name = span_trim(name);
		for (size_t i = 0; i < sizeof(stage_names) / sizeof(stage_names[0]);
		     i++) {
			if (span_is(name, stage_names[i].name))
				found = stage_names[i].stage;
		}
		if (!found) {
			say_bad("CMDEPLOY_STAGES: \"%.*s\" is no stage; write "
				"install, configure, activate",
			    SPAN_ARG(name));
			return false;
		}
		*stages |= found;
	}
	return true;
}

static bool has_packages(const char *dir)
{
	glob_t found = { 0 };
	char *pattern;
	bool any;

	if (asprintf(&pattern, "%s/*.deb", dir) < 0)
		abort();
	any = glob(pattern, 0, NULL, &found) == 0;
	globfree(&found);
	free(pattern);
	return any;
}

/* Where our packages are: as told, else beside the checkout that the templates are of. */
static char *find_packages(const struct options *o, const char *templates)
{
	const char *told = o->packages ? o->packages : getenv("CMDEPLOY_PACKAGES");
	char *dir;

	if (told && *told) {
		dir = strdup(told);
		if (!dir)
			abort();
		return dir;
	}
	if (asprintf(&dir, "%s/../dist", templates) < 0)
		abort();
	if (has_packages(dir))
		return dir;
	free(dir);
	return NULL;
}

static bool collect(const struct options *o, struct relay *relay, struct wanted *w)
{
	size_t n;

	for (size_t i = 0; i < ncomponents; i++) {
		if (o->website_only && components[i] != &website_component)
			continue;
		wanted_component(w, components[i]->name);
		if (!components[i]->want(relay, w)) {
			say_bad("%s: %s", components[i]->name, relay->error);
			return false;
		}
	}
	wanted_list(w, &n);
	if (n >= MANIFEST_THINGS_MAX) {
		say_bad("The server would have to remember %zu files and other things, "
			"at most %d are possible: the web pages have too many files "
			"and folders.",
		    n, MANIFEST_THINGS_MAX - 1);
		return false;
	}
	return true;
}

/* What chatmail.ini wants; NULL after a message. */
static struct wanted *make_wanted(const struct options *o, const struct config *config)
{
	const char *templates = o->templates ? o->templates : command_templates();
	char error[CONTEXT_ERROR_MAX], *packages = find_packages(o, templates);
	json_t *context = context_create(config, NULL, 0, error);
	struct relay relay = {
		.config = config,
		.context = context,
		.templates = templates,
		.packages = packages,
		.disable_mail = o->disable_mail,
	};
	struct wanted *w = NULL;

	if (!context) {
		say_bad("%s: %s", config->path, error);
	} else {
		w = wanted_create();
		if (!collect(o, &relay, w)) {
			wanted_free(w);
			w = NULL;
		}
		json_decref(context);
	}
	free(packages);
	return w;
}

static bool find_facts(struct run *r)
{
	char error[FACTS_ERROR_MAX > HOST_ERROR_MAX ? FACTS_ERROR_MAX : HOST_ERROR_MAX];
	char *script = facts_script(r->wanted);
	struct host_reply reply = { 0 };
	bool good;

	progress_begin(r->progress, "look at the server");
	good = host_run(
	    r->host, script, span_of(""), progress_line, r->progress, &reply, error);
	if (good && reply.status != 0) {
		snprintf(error, sizeof(error),
		    "%s: asking for what is there failed: %.*s", host_name(r->host),
		    SPAN_ARG(text_span(&reply.err)));
		good = false;
	}
	if (good) {
		r->facts = facts_parse(r->wanted, text_span(&reply.out), error);
		good = r->facts != NULL;
	}
	progress_end(r->progress, good, NULL);
	if (!good && !host_interrupted(r->host))
		say_bad("%s", error);
	host_reply_free(&reply);
	free(script);
	return good;
}

/* What must be right before the server is touched. */
static bool may_begin(struct run *r)
{
	const struct options *o = r->o;

	unsigned stages = o->website_only ? STAGE_CONFIGURE : o->stages;
	unsigned hindrances = preflight(r->config, r->facts, stages, stderr);

	if ((o->stages & STAGE_INSTALL) && !o->rollback)
		hindrances += preflight_packages(r->wanted, r->facts, stderr);
	if (o->stages & STAGE_INSTALL)
		hindrances += preflight_states(r->wanted, r->facts, stderr);
	if (hindrances > 0) {
		say_bad("%s was not touched.", host_name(r->host));
		return false;
	}
	return true;
}

static bool dns_is_ready(const struct options *o, const struct config *config)
{
	if (o->skip_dns || o->website_only || o->rollback || config->ipv4_relay)
		return true;
	if (dns_precheck(config, NULL, stderr) == 0)
		return true;
	say_bad("The server was not touched. Set these records, wait until they are "
		"published, and run again; or run with --skip-dns-check.");
	return false;
}

/* The first time the echo bot takes its time: it makes keys, and logs in. A run that had
 * nothing to do does not wait for that. */
#define INVITATION_SECONDS 10u

static void tell_invitation(const struct run *r, bool changed)
{
	struct host_reply reply = { 0 };
	struct text script = { 0 };
	char error[HOST_ERROR_MAX];
	struct span link, rest;

	if (!r->config->echobot || r->o->disable_mail ||
	    !(r->o->stages & STAGE_ACTIVATE))
		return;
	quote_command(&script,
	    "cd %s || exit 0\n"
	    "left=%u\n"
	    "while [ ! -e echobot/invite-link.txt ] && [ \"$left\" -gt 0 ]; do\n"
	    "	systemctl -q is-active chatmail-echobot.socket || break\n"
	    "	left=$((left - 1))\n"
	    "	sleep 1\n"
	    "done\n"
	    "[ ! -e echobot/invite-link.txt ] || head -c 2048 "
	    "echobot/invite-link.txt\n",
	    r->config->state_dir, changed ? INVITATION_SECONDS : 0u);
	if (host_run(r->host, script.data, span_of(""), NULL, NULL, &reply, error) &&
	    reply.status == 0) {
		rest = text_span(&reply.out);
		if (span_cut(&rest, '\n', &link) && link.len > 0)
			say_good("The echo bot is at %.*s", SPAN_ARG(link));
	}
	host_reply_free(&reply);
	text_free(&script);
}

static void tell_end(const struct run *r, bool changed)
{
	const struct options *o = r->o;

	if (o->website_only)
		say_good("The web pages are deployed.");
	else if (o->rollback)
		say_good("%s is as it was before.", host_name(r->host));
	else if (r->config->ipv4_relay)
		say_good("Deploy completed.");
	else
		say_good("Deploy completed, call `cmdeploy dns` next.");
	if (!o->website_only && !o->rollback)
		tell_invitation(r, changed);
	if (*r->config->unknown_keys)
		say_bad("Keys of %s that have no effect: %s", r->config->path,
		    r->config->unknown_keys);
}

static bool apply(struct run *r, struct plan *plan)
{
	char error[PLAN_ERROR_MAX];

	if (plan_apply(plan, r->host, r->progress, error))
		return true;
	if (!host_interrupted(r->host))
		say_bad("%s", error);
	return false;
}

/* What becomes of a Python relay, before the plan. */
static bool tell_takeover(const struct run *r)
{
	char error[HOST_ERROR_MAX], *script;
	struct host_reply reply = { 0 };
	bool good;

	if (!r->facts->python_relay)
		return true;
	script = takeover_script(r->config);
	good = host_run(r->host, script, span_of(""), NULL, NULL, &reply, error);
	if (good)
		takeover_print(r->config, r->facts, text_span(&reply.out), stdout);
	else if (!host_interrupted(r->host))
		say_bad("%s", error);
	host_reply_free(&reply);
	free(script);
	return good;
}

static bool plan_and_apply(struct run *r)
{
	const struct plan_options options = { .stages = r->o->stages,
		.binaries = r->o->binaries,
		.upgrade = r->o->upgrade };
	struct plan *plan = plan_create(r->wanted, r->facts, &options);
	const char *no_colour = getenv("NO_COLOR");
	char error[PLAN_ERROR_MAX];
	bool good = plan_fetch_old(plan, r->host, error);

	if (good) {
		plan_print(
		    plan, stdout, isatty(STDOUT_FILENO) && !(no_colour && *no_colour));
		fflush(stdout);
		if (!r->o->dry_run && !plan_is_empty(plan))
			good = apply(r, plan);
		if (good && !r->o->dry_run)
			tell_end(r, !plan_is_empty(plan));
	} else if (!host_interrupted(r->host)) {
		say_bad("%s", error);
	}
	plan_free(plan);
	return good;
}

/* Which generation --rollback means; false after a message. */
static bool find_former(struct run *r)
{
	const char *text = r->o->generation ? r->o->generation : "0";
	char error[PLAN_ERROR_MAX], *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n > 1000000000) {
		say_bad("--generation %s: write its number", text);
		return false;
	}
	r->wanted = plan_former(r->host, (unsigned)n, error);
	if (!r->wanted && !host_interrupted(r->host))
		say_bad("%s", error);
	return r->wanted != NULL;
}

static bool trust_binaries(struct run *r)
{
	char error[PLAN_ERROR_MAX];

	if (!r->o->binaries ||
	    plan_trust_binaries(r->wanted, r->o->binaries, stderr, error))
		return true;
	say_bad("%s", error);
	return false;
}

/* With the server. */
static bool deploy(struct run *r)
{
	char error[HOST_ERROR_MAX];
	const char *name =
	    r->o->ssh_host ? r->o->ssh_host : r->config->mail_domain_bare;
	bool good;

	r->host = host_open(name, r->o->common.verbose, error);
	if (!r->host) {
		say_bad("%s", error);
		return false;
	}
	r->progress = progress_create(r->o->common.verbose);
	good = (r->wanted || find_former(r)) && find_facts(r) && may_begin(r) &&
	       tell_takeover(r) && plan_and_apply(r);
	progress_free(r->progress);
	facts_free(r->facts);
	host_close(r->host);
	return good;
}

static bool run_with(const struct options *o, const struct config *config)
{
	struct run r = { .o = o, .config = config };
	bool good = preflight_config(config, stderr) == 0;

	if (good && !o->rollback) {
		r.wanted = make_wanted(o, config);
		good = r.wanted && trust_binaries(&r);
	}
	good = good && dns_is_ready(o, config) && deploy(&r);
	wanted_free(r.wanted);
	return good;
}

static int run(int argc, char **argv)
{
	struct options o = { .stages = STAGE_ALL };
	const char *stages = getenv("CMDEPLOY_STAGES");
	const struct command_option own[] = {
		COMMAND_SSH_HOST(&o.ssh_host),
		{ "dry-run", NULL, "show the plan, change nothing", &o.dry_run, NULL },
		{ "disable-mail", NULL,
		    "deploy all, but leave Postfix and Dovecot stopped and disabled",
		    &o.disable_mail, NULL },
		{ "skip-dns-check", NULL, "do not ask the DNS first", &o.skip_dns,
		    NULL },
		{ "website-only", NULL, "only build and upload the web pages",
		    &o.website_only, NULL },
		{ "upgrade", NULL, "upgrade Debian's packages, too (apt-get upgrade)",
		    &o.upgrade, NULL },
		{ "rollback", NULL,
		    "go back to what was deployed before, whatever chatmail.ini says",
		    &o.rollback, NULL },
		{ "generation", "N", "with --rollback: to this one", NULL,
		    &o.generation },
		{ "binaries", "DIR",
		    "files of the net that lie here, by their names; DIR/manifest, "
		    "lines \"SHA256  NAME\", replaces the expected hashes",
		    NULL, &o.binaries },
		{ "packages", "DIR", "our .deb files; else $CMDEPLOY_PACKAGES", NULL,
		    &o.packages },
		{ "templates", "DIR", "use the templates of DIR", NULL, &o.templates },
	};
	struct config *config;
	bool good;
	int status;

	if (!command_parse(&run_command, own, sizeof(own) / sizeof(own[0]), &o.common,
		0, 0, argc, argv, &status))
		return status;
	if (stages && *stages && !read_stages(stages, &o.stages))
		return COMMAND_USAGE;
	if (o.generation && !o.rollback) {
		say_bad("--generation %s: write it with --rollback", o.generation);
		return COMMAND_USAGE;
	}
	config = command_load_config(&o.common);
	if (!config)
		return COMMAND_FAILED;
	command_catch_interrupt();
	good = run_with(&o, config);
	config_free(config);
	return good ? COMMAND_OK : COMMAND_FAILED;
}

const struct command run_command = {
	.name = "run",
	.arguments = "[--dry-run] [--ssh-host HOST] [OPTION]...",
	.summary = "Make a server a relay, or bring it up to date.",
	.run = run,
};
