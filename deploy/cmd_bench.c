/*
 * cmdeploy bench: how long the relay takes for what its users do.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deploy/bench.h"
#include "deploy/plot.h"

#define PROGRAM    "deltachat-rpc-server"
#define FORMER_MAX (1 << 20) /* bytes of the JSON of a former run */
#define ROUNDS     10

struct options {
	struct command_common common;
	struct trial_options trial;
	const char *program, *rounds, *svg, *json, *compare;
};

static bool is_program(struct span dir, const char *name)
{
	char *path;
	bool is;

	if (asprintf(&path, "%.*s/%s", SPAN_ARG(dir), name) < 0)
		abort();
	is = dir.len > 0 && access(path, X_OK) == 0;
	free(path);
	return is;
}

/* Is it there? Else says how to get it. */
static bool check_program(const char *name)
{
	const char *path = getenv("PATH");
	struct span rest = span_of(path ? path : ""), dir;

	if (strchr(name, '/')) {
		if (access(name, X_OK) == 0)
			return true;
		say_bad("%s cannot be run.", name);
		return false;
	}
	while (span_cut(&rest, ':', &dir)) {
		if (is_program(dir, name))
			return true;
	}
	say_bad(
	    "There is no %s in $PATH: the Delta Chat client without a screen.", name);
	say("Install it by one of\n"
	    "  npm install --global @deltachat/stdio-rpc-server\n"
	    "  pip install deltachat-rpc-server\n"
	    "or download it from https://github.com/chatmail/core/releases,\n"
	    "and say where it is by --rpc-server PATH.");
	return false;
}

static bool read_rounds(const char *text, unsigned *rounds)
{
	char *end;
	unsigned long n = ROUNDS;

	if (text)
		n = strtoul(text, &end, 10);
	if (text && (*end || end == text || n < 1 || n > BENCH_ROUNDS_MAX)) {
		say_bad(
		    "--rounds %s: write a number of 1 to %d", text, BENCH_ROUNDS_MAX);
		return false;
	}
	*rounds = (unsigned)n;
	return true;
}

static bool read_former(const char *path, struct measures *former)
{
	FILE *file = fopen(path, "re");
	char *bytes = malloc(FORMER_MAX), error[MEASURE_ERROR_MAX];
	size_t n;
	bool good = false;

	if (!bytes)
		abort();
	if (!file) {
		say_bad("%s: %s", path, strerror(errno));
	} else {
		n = fread(bytes, 1, FORMER_MAX, file);
		good = measures_read(former, span_make(bytes, n), error);
		if (!good)
			say_bad("%s: %s", path, error);
		fclose(file);
	}
	free(bytes);
	return good;
}

/* Takes text. */
static bool write_text(const char *path, char *text)
{
	FILE *file = fopen(path, "we");
	bool good = file && fputs(text, file) >= 0;

	if (file && fclose(file) != 0)
		good = false;
	if (!good)
		say_bad("%s: %s", path, strerror(errno));
	free(text);
	return good;
}

static int remove_entry(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

/* With the clients' data in a folder that goes with them. */
static bool measure(struct bench *b)
{
	const char *tmp = getenv("TMPDIR");
	char dir[4096];
	bool good;

	snprintf(
	    dir, sizeof(dir), "%s/cmdeploy-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	b->dir = mkdtemp(dir);
	if (!b->dir) {
		say_bad("%s: %s", dir, strerror(errno));
		return false;
	}
	good = bench_connections(b) && bench_onboarding(b) && bench_chats(b);
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	if (!good && !trial_interrupted(b->trial))
		say_bad("%s", b->error[0] ? b->error : "the benchmark failed");
	return good;
}

static void describe(struct measures *m, const struct trial *t)
{
	time_t now = time(NULL);
	char when[32];
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	m->when = strdup(when);
	m->version = strdup(CMDEPLOY_VERSION);
	m->relay = strdup(trial_relay(t, 0)->domain);
	if (trial_relays(t) > 1)
		m->second = strdup(trial_relay(t, 1)->domain);
}

static bool tell(
    const struct options *o, const struct measures *m, const struct measures *former)
{
	bool good = true;

	measures_print(m, former, stdout);
	fflush(stdout);
	if (o->json)
		good = write_text(o->json, measures_write(m));
	if (o->svg)
		good = write_text(o->svg, plot_svg(m, former)) && good;
	return good;
}

static int bench(const struct options *o, const struct config *config, unsigned rounds,
    const struct measures *former)
{
	struct measures m = { 0 };
	struct bench b = {
		.measures = &m,
		.program.server = o->program,
		.rounds = rounds,
		.pace = 60.0 / config->max_user_send_per_minute,
		.burst = config->max_user_send_burst_size < BENCH_BURST
			     ? (unsigned)config->max_user_send_burst_size
			     : BENCH_BURST,
	};
	int status = COMMAND_FAILED;

	b.trial = trial_begin(config, &o->trial, o->common.verbose);
	if (!b.trial)
		return COMMAND_FAILED;
	describe(&m, b.trial);
	b.progress = progress_create(o->common.verbose);
	if (measure(&b))
		status = COMMAND_OK;
	progress_free(b.progress);
	if (!trial_interrupted(b.trial) && !tell(o, &m, former))
		status = COMMAND_FAILED;
	measures_free(&m);
	return trial_end(b.trial, status);
}

static int run(int argc, char **argv)
{
	struct options o = { .program = PROGRAM };
	const struct command_option own[] = {
		TRIAL_OPTIONS(&o.trial),
		{ "rpc-server", "PATH",
		    "the client's program (default: " PROGRAM " in $PATH)", NULL,
		    &o.program },
		{ "rounds", "N", "how often each is measured (default: 10)", NULL,
		    &o.rounds },
		{ "svg", "FILE", "write a picture, too", NULL, &o.svg },
		{ "json", "FILE", "write JSON, too, for --compare", NULL, &o.json },
		{ "compare", "FILE", "show a former run beside it: its JSON", NULL,
		    &o.compare },
	};
	struct measures former = { 0 };
	struct config *config;
	unsigned rounds;
	int status;

	if (!command_parse(&bench_command, own, sizeof(own) / sizeof(own[0]), &o.common,
		0, 0, argc, argv, &status))
		return status;
	if (!read_rounds(o.rounds, &rounds))
		return COMMAND_USAGE;
	if (!check_program(o.program) ||
	    (o.compare && !read_former(o.compare, &former)))
		return COMMAND_FAILED;
	config = command_load_config(&o.common);
	status = COMMAND_FAILED;
	if (config)
		status = bench(&o, config, rounds, o.compare ? &former : NULL);
	measures_free(&former);
	config_free(config);
	return status;
}

const struct command bench_command = {
	.name = "bench",
	.arguments = "[--svg FILE] [--json FILE] [--compare FILE]",
	.summary =
	    "Measure the relay with real Delta Chat clients; afterwards they are "
	    "deleted.",
	.run = run,
};
