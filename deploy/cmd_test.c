/*
 * cmdeploy test: is the deployed relay as it should be? Its guests are deleted afterwards.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/bench.h"
#include "deploy/component.h"
#include "deploy/online.h"
#include "deploy/progress.h"

#define SLOWEST      5
#define TESTS_MAX    64
#define NAME_WIDTH   24
#define VERSION_FILE "/etc/chatmail-version"

struct options {
	struct command_common common;
	struct trial_options trial;
	bool stop, list;
	char **names; /* of the tests to run; none: all */
	int nnames;
};

struct outcome {
	const struct online_test *test;
	enum online_result result;
	double seconds;
};

struct tally {
	struct outcome outcome[TESTS_MAX];
	size_t n;
	unsigned count[3]; /* by enum online_result */
};

/* The next row of all tables, after row; NULL after the last, and before the first. */
static const struct online_test *next_test(const struct online_test *row)
{
	static const struct online_test *const tables[] = { online_login_tests,
		online_mail_tests, online_server_tests };
	const size_t n = sizeof(tables) / sizeof(tables[0]);

	if (!row)
		return tables[0];
	for (size_t i = 0; i < n; i++) {
		const struct online_test *t = tables[i];

		while (t->name && t != row)
			t++;
		if (!t->name)
			continue;
		if (t[1].name)
			return t + 1;
		return i + 1 < n ? tables[i + 1] : NULL;
	}
	return NULL;
}

static const struct online_test *find_test(const char *name)
{
	const struct online_test *t = NULL;

	while ((t = next_test(t)) && strcmp(t->name, name) != 0)
		;
	return t;
}

static bool is_wanted(const struct options *o, const struct online_test *t)
{
	for (int i = 0; i < o->nnames; i++) {
		if (strcmp(o->names[i], t->name) == 0)
			return true;
	}
	return o->nnames == 0;
}

static void list_tests(void)
{
	for (const struct online_test *t = NULL; (t = next_test(t));)
		printf("%-*s %s\n", NAME_WIDTH, t->name, t->title);
}

static void print_outcome(const struct online *on, const struct outcome *o)
{
	static const char *const words[] = { "ok     ", "FAILED ", "skipped" };

	printf("%s %-*s %6.2f s  %s\n", words[o->result], NAME_WIDTH, o->test->name,
	    o->seconds, o->test->title);
	if (o->result != ONLINE_PASSED) {
		fputs("        ", stdout);
		text_write_visible(stdout, span_of(on->why), "\t");
		putchar('\n');
	}
	fflush(stdout);
}

static void run_test(
    struct online *on, const struct online_test *t, struct tally *tally)
{
	struct outcome *o = &tally->outcome[tally->n];
	double begin = bench_now();

	*o = (struct outcome){ .test = t };
	on->why[0] = '\0';
	if (t->second && trial_relays(on->trial) < 2)
		o->result =
		    online_skip(on, "there is no second relay; name one by --domain2");
	else
		o->result = t->run(on);
	o->seconds = bench_now() - begin;
	if (trial_interrupted(on->trial))
		return;
	tally->n++;
	tally->count[o->result]++;
	print_outcome(on, o);
}

static int slower_first(const void *a, const void *b)
{
	const struct outcome *x = a, *y = b;

	return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static void print_slowest(struct tally *tally)
{
	qsort(tally->outcome, tally->n, sizeof(tally->outcome[0]), slower_first);
	puts("\nThe slowest:");
	for (size_t i = 0; i < tally->n && i < SLOWEST; i++)
		printf("  %6.2f s  %s\n", tally->outcome[i].seconds,
		    tally->outcome[i].test->name);
	fflush(stdout);
}

/* What a run from here would write to VERSION_FILE; free()d by the caller. */
static char *version_from_here(const struct config *config)
{
	struct relay relay = { .config = config, .templates = command_templates() };
	struct wanted *w = wanted_create();
	const struct wanted_thing *things;
	char *version = NULL;
	size_t n;

	wanted_component(w, version_component.name);
	version_component.want(&relay, w);
	things = wanted_list(w, &n);
	for (size_t i = 0; i < n && !version; i++) {
		if (things[i].kind == WANTED_FILE &&
		    strcmp(things[i].file.path, VERSION_FILE) == 0)
			version = span_dup(
			    span_make(things[i].file.content, things[i].file.len));
	}
	wanted_free(w);
	return version;
}

static void run_tests(const struct options *o, struct online *on, struct tally *tally)
{
	for (const struct online_test *t = NULL; (t = next_test(t));) {
		if (!is_wanted(o, t))
			continue;
		run_test(on, t, tally);
		if (trial_interrupted(on->trial) ||
		    (o->stop && tally->count[ONLINE_FAILED] > 0))
			break;
	}
}

static int test(const struct options *o, const struct config *config)
{
	double begin = bench_now();
	char *version = version_from_here(config);
	struct tally tally = { 0 };
	struct online on = {
		.trial = trial_begin(config, &o->trial, o->common.verbose),
		.config = config,
		.version = span_of(version ? version : ""),
		.verbose = o->common.verbose,
	};
	bool interrupted;

	if (!on.trial) {
		free(version);
		return COMMAND_FAILED;
	}
	run_tests(o, &on, &tally);
	host_close(on.host);
	free(version);
	interrupted = trial_interrupted(on.trial);
	if (!interrupted) {
		print_slowest(&tally);
		(tally.count[ONLINE_FAILED] ? say_bad : say_good)(
		    "%u passed, %u skipped, %u failed in %.1f s",
		    tally.count[ONLINE_PASSED], tally.count[ONLINE_SKIPPED],
		    tally.count[ONLINE_FAILED], bench_now() - begin);
	}
	return trial_end(
	    on.trial, tally.count[ONLINE_FAILED] ? COMMAND_FAILED : COMMAND_OK);
}

static int run(int argc, char **argv)
{
	struct options o = { 0 };
	const struct command_option own[] = {
		TRIAL_OPTIONS(&o.trial),
		{ "stop", NULL, "stop at the first failure", &o.stop, NULL },
		{ "list", NULL, "list the tests and what they test", &o.list, NULL },
	};
	struct config *config;
	int status;

	if (!command_parse(&test_command, own, sizeof(own) / sizeof(own[0]), &o.common,
		0, TESTS_MAX, argc, argv, &status))
		return status;
	o.names = argv + optind;
	o.nnames = argc - optind;
	if (o.list) {
		list_tests();
		return COMMAND_OK;
	}
	for (int i = 0; i < o.nnames; i++) {
		if (!find_test(o.names[i])) {
			say_bad("There is no test '%s'; see cmdeploy test --list",
			    o.names[i]);
			return COMMAND_USAGE;
		}
	}
	config = command_load_config(&o.common);
	if (!config)
		return COMMAND_FAILED;
	status = test(&o, config);
	config_free(config);
	return status;
}

const struct command test_command = {
	.name = "test",
	.arguments = "[--stop] [TEST]...",
	.summary = "Test the deployed relay from outside, by guests that are deleted "
		   "afterwards.",
	.run = run,
};
