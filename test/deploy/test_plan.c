/* The plan: what is wanted less what is so, as the operator reads it. */
#include "deploy/plan.h"

#include <stdlib.h>

#include "deploy/manifest.h"
#include "deploy/plan_apply.h"
#include "test/support.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define OLD "0000000000000000000000000000000000000000000000000000000000000000"

/* A server with one of each kind, as it may be; sorted by name, as facts are. */
struct world {
	struct wanted *wanted, *former;
	struct fact_file file[2];
	struct fact_package package[1];
	struct fact_unit unit[1];
	const char *pending[1], *missing[1];
	bool state[1];
	struct facts facts;
};

static void setup(struct world *s)
{
	*s = (struct world){ .wanted = wanted_create(), .former = wanted_create() };
	wanted_component(s->wanted, "web");
	wanted_component(s->former, "web");
	s->facts = (struct facts){ .machine = "x86_64",
		.deb_arch = "amd64",
		.apt_fresh = true,
		.manifest = "",
		.files = s->file,
		.packages = s->package,
		.units = s->unit,
		.pending = s->pending,
		.missing = s->missing,
		.states = s->state };
}

static void want_abc(struct wanted *w, unsigned flags)
{
	want_file(w, &(struct wanted_file){ .path = "/etc/x",
			 .content = "abc",
			 .len = 3,
			 .mode = 0644,
			 .flags = flags,
			 .effects = { .restart = "x.service" } });
}

static void has_file(struct world *s, const char *sha256, mode_t mode)
{
	s->facts.nfiles = 1;
	s->file[0] = (struct fact_file){ .path = "/etc/x",
		.type = FACT_REGULAR,
		.mode = mode,
		.owner = "root",
		.group = "root",
		.sha256 = sha256 };
}

static void has_unit(struct world *s, const char *active, const char *enabled)
{
	s->facts.nunits = 1;
	s->unit[0] = (struct fact_unit){ .name = "x.service",
		.load = *active ? "loaded" : "not-found",
		.active = *active ? active : "inactive",
		.enabled = enabled };
}

/* What the last generation had. */
static void had_file(struct world *s, const char *sha256)
{
	want_thing(s->former, &(struct wanted_thing){ .kind = WANTED_FILE,
				  .file = { .path = "/etc/x",
				      .sha256 = sha256,
				      .owner = "root",
				      .group = "root",
				      .mode = 0644,
				      .effects = { .restart = "x.service" } } });
}

static void nothing(struct world *s)
{
}
static void new_file(struct world *s)
{
	want_abc(s->wanted, 0);
}
static void same_file(struct world *s)
{
	want_abc(s->wanted, 0);
	has_file(s, ABC, 0100644);
}
static void other_mode(struct world *s)
{
	want_abc(s->wanted, 0);
	has_file(s, ABC, 0100600);
}
static void foreign_file(struct world *s)
{
	want_abc(s->wanted, 0);
	has_file(s, OLD, 0100644);
}
static void our_file(struct world *s)
{
	foreign_file(s);
	had_file(s, OLD);
}
static void our_file_changed(struct world *s)
{
	foreign_file(s);
	had_file(s, ABC);
}
static void kept_file(struct world *s)
{
	want_abc(s->wanted, FILE_KEEP);
	has_file(s, OLD, 0100600);
}
static void secret_file(struct world *s)
{
	want_abc(s->wanted, FILE_SECRET);
	has_file(s, OLD, 0100644);
	had_file(s, OLD);
}
static void file_of_running(struct world *s)
{
	our_file(s);
	has_unit(s, "active", "enabled");
	want_unit(s->wanted, "x.service", UNIT_RUNNING);
}
static void file_of_stopped(struct world *s)
{
	our_file(s);
	has_unit(s, "inactive", "disabled");
	want_unit(s->wanted, "x.service", UNIT_STOPPED);
}
static void file_gone(struct world *s)
{
	want_package(s->wanted, "x");
	s->facts.npackages = 1;
	s->package[0] = (struct fact_package){ "x", "1" };
	had_file(s, OLD);
}
static void component_silent(struct world *s)
{
	had_file(s, OLD);
}
static void running(struct world *s)
{
	want_unit(s->wanted, "x.service", UNIT_RUNNING);
	has_unit(s, "active", "enabled");
}
static void not_running(struct world *s)
{
	want_unit(s->wanted, "x.service", UNIT_RUNNING);
	has_unit(s, "failed", "enabled");
}
static void unknown_unit(struct world *s)
{
	want_unit(s->wanted, "x.service", UNIT_RUNNING);
	has_unit(s, "", "");
}
static void not_enabled(struct world *s)
{
	want_unit(s->wanted, "x.service", UNIT_RUNNING);
	has_unit(s, "active", "disabled");
}
static void stale(struct world *s)
{
	running(s);
	s->unit[0].stale = true;
}
static void owed_reload(struct world *s)
{
	running(s);
	s->facts.npending = 1;
	s->pending[0] = "reload x.service";
}
static void owed_but_stopped(struct world *s)
{
	want_unit(s->wanted, "x.service", UNIT_STOPPED);
	has_unit(s, "inactive", "disabled");
	s->facts.npending = 1;
	s->pending[0] = "restart x.service";
}
static void stop(struct world *s)
{
	want_unit(s->wanted, "x.service", UNIT_STOPPED);
	has_unit(s, "active", "enabled");
}
static void stop_what_restarts_itself(struct world *s)
{
	want_unit(s->wanted, "x.service", UNIT_STOPPED);
	has_unit(s, "activating", "disabled");
}
static void stop_unknown(struct world *s)
{
	want_unit(s->wanted, "x.service", UNIT_STOPPED);
	has_unit(s, "", "");
}
static void stop_what_a_package_brings(struct world *s)
{
	stop_unknown(s);
	want_package(s->wanted, "curl");
}
static void mask(struct world *s)
{
	want_unit(s->wanted, "x.service", UNIT_MASKED);
	has_unit(s, "", "");
}
static void unit_forgotten(struct world *s)
{
	file_gone(s);
	want_unit(s->former, "y.service", UNIT_RUNNING);
}
static void state_made(struct world *s)
{
	want_state(s->wanted, &(struct wanted_state){ .what = "a key",
				  .check = "false",
				  .mend = "true",
				  .stage = STAGE_CONFIGURE,
				  .effects = { .reload = "x.service" } });
	running(s);
	s->facts.nstates = 1;
}
static void want_program(struct world *s, unsigned optional)
{
	want_binary(s->wanted, &(struct wanted_binary){ .path = "/usr/local/bin/x",
				   .arch = "x86_64",
				   .url = "https://example.org/x",
				   .sha256 = ABC,
				   .optional = optional });
	s->facts.nmissing = 1;
	s->missing[0] = ABC;
}
static void out_of_reach(struct world *s)
{
	want_program(s, 1);
}
static void out_of_reach_and_needed(struct world *s)
{
	want_program(s, 0);
}
static void another_is_out_of_reach(struct world *s)
{
	want_program(s, 1);
	s->missing[0] = OLD;
}
static void deb_of_other_arch(struct world *s)
{
	want_deb(s->wanted, &(struct wanted_deb){ .name = "x",
				.arch = "arm64",
				.path = "/x.deb",
				.version = "1",
				.sha256 = ABC });
}
static void deb_older(struct world *s)
{
	want_deb(s->wanted, &(struct wanted_deb){ .name = "x",
				.arch = "amd64",
				.path = "/x.deb",
				.version = "2",
				.sha256 = ABC });
	s->facts.npackages = 1;
	s->package[0] = (struct fact_package){ "x", "1" };
}
/* What the server says of itself must not paint the operator's terminal. */
static void hostile_server(struct world *s)
{
	deb_older(s);
	s->package[0].version = "1\033[2J\xc2\x9b";
	s->facts.npending = 1;
	s->pending[0] = "restart \033]0;x\a.service";
	want_thing(s->former, &(struct wanted_thing){ .kind = WANTED_UNIT,
				  .unit = { "\033[1m.service", UNIT_RUNNING } });
	want_package(s->wanted, "\r\n");
}
static void absent_directory(struct world *s)
{
	want_absent(s->wanted, "/etc/x");
	has_file(s, NULL, 040755);
	s->file[0].type = FACT_DIRECTORY;
}

#define OTHERS  "others\n"
#define RESTART "  * restart x.service: /etc/x changed\n"
#define RECORD  "Only the server's record of this relay is brought up to date.\n"
#define CHANGED "  ~ file /etc/x\n"

static const struct plan_case {
	const char *name;
	void (*make)(struct world *s);
	const char *printed;
} plan_cases[] = {
	{ "nothing is wanted", nothing, RECORD },
	{ "new file", new_file,
	    "web\n  + file /etc/x (root:root 0644)\n" OTHERS
	    "  * restart x.service: /etc/x is new\nIn all: 1 file, 1 unit.\n" },
	{ "the same file", same_file, RECORD },
	{ "another mode", other_mode,
	    "web\n  ~ file /etc/x (root:root 0644)\n" OTHERS RESTART
	    "In all: 1 file, 1 unit.\n" },
	{ "a file of others", foreign_file,
	    "web\n  ~ file /etc/x (root:root 0644; not of cmdeploy: the old one is "
	    "kept "
	    "in backup)\n" OTHERS RESTART "In all: 1 file, 1 unit.\n" },
	{ "a file of ours", our_file,
	    "web\n" CHANGED OTHERS RESTART "In all: 1 file, 1 unit.\n" },
	{ "a file of ours that was edited", our_file_changed,
	    "web\n  ~ file /etc/x (root:root 0644; not of cmdeploy: the old one is "
	    "kept "
	    "in backup)\n" OTHERS RESTART "In all: 1 file, 1 unit.\n" },
	{ "a file that stays as it is", kept_file, RECORD },
	{ "a secret", secret_file,
	    "web\n" CHANGED "    (its text is secret, and not shown)\n" OTHERS RESTART
	    "In all: 1 file, 1 unit.\n" },
	{ "a running unit's file", file_of_running,
	    "web\n" CHANGED RESTART "In all: 1 file, 1 unit.\n" },
	{ "a stopped unit's file", file_of_stopped,
	    "web\n" CHANGED "In all: 1 file.\n" },
	{ "a file wanted no more", file_gone,
	    "web\n  - file /etc/x (of the last generation)\n" OTHERS
	    "  * restart x.service: /etc/x removed\nIn all: 1 file, 1 unit.\n" },
	{ "a component that wants nothing", component_silent, "" },
	{ "running", running, RECORD },
	{ "not running", not_running, "web\n  * start x.service\nIn all: 1 unit.\n" },
	{ "not known yet", unknown_unit,
	    "web\n  * start x.service\nIn all: 1 unit.\n" },
	{ "not enabled", not_enabled, "web\n  * enable x.service\nIn all: 1 unit.\n" },
	{ "program replaced", stale,
	    "web\n  * restart x.service: its program was replaced\nIn all: 1 unit.\n" },
	{ "reload owed", owed_reload,
	    "web\n  * reload x.service: an earlier run still owes it\nIn all: 1 "
	    "unit.\n" },
	{ "restart owed, but stopped", owed_but_stopped, RECORD },
	{ "to be stopped", stop,
	    "web\n  * stop and disable x.service\nIn all: 1 unit.\n" },
	{ "starts again and again", stop_what_restarts_itself,
	    "web\n  * stop and disable x.service\nIn all: 1 unit.\n" },
	{ "no such unit to stop", stop_unknown, RECORD },
	{ "a package may bring it", stop_what_a_package_brings,
	    "web\n  + package curl\n"
	    "  * stop and disable x.service: should a package bring it\n"
	    "In all: 1 package, 1 unit.\n" },
	{ "masked", mask, "web\n  * stop and mask x.service\nIn all: 1 unit.\n" },
	{ "a unit wanted no more", unit_forgotten,
	    "web\n  - file /etc/x (of the last generation)\n"
	    "  * stop and disable y.service\n" OTHERS
	    "  * restart x.service: /etc/x removed\nIn all: 1 file, 2 units.\n" },
	{ "a state", state_made,
	    "web\n  + a key\n  * reload x.service: a key made\n"
	    "In all: 1 unit, 1 other thing.\n" },
	{ "out of reach", out_of_reach,
	    "Note: the server could not download https://example.org/x, and goes "
	    "without /usr/local/bin/x. It tries again after a day, and with "
	    "--upgrade; or run with --binaries DIR.\n" RECORD },
	{ "out of reach, but needed", out_of_reach_and_needed,
	    "web\n  + binary /usr/local/bin/x (from https://example.org/x)\n"
	    "In all: 1 other thing.\n" },
	{ "not what is out of reach", another_is_out_of_reach,
	    "web\n  + binary /usr/local/bin/x (from https://example.org/x)\n"
	    "In all: 1 other thing.\n" },
	{ "a package for other machines", deb_of_other_arch, RECORD },
	{ "an older package", deb_older,
	    "web\n  ~ package x 2, there is 1\nIn all: 1 package.\n" },
	{ "a hostile server", hostile_server,
	    "web\n  ~ package x 2, there is 1\\x1b[2J\\xc2\\x9b\n"
	    "  + package \\x0d\\x0a\n"
	    "  * stop and disable \\x1b[1m.service\n" OTHERS
	    "  * restart \\x1b]0;x\\x07.service: an earlier run still owes it\n"
	    "In all: 2 packages, 2 units.\n" },
	{ "a directory to be absent", absent_directory,
	    "web\n  - /etc/x\nIn all: 1 file.\n" },
};

static char *print(const struct plan *p)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	plan_print(p, out, false);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void printed(void **state)
{
	static const struct plan_options all = { .stages = STAGE_ALL };
	const struct plan_case *c = *state;
	struct text manifest = { 0 };
	struct world s;
	struct plan *p;
	char *got;

	setup(&s);
	c->make(&s);
	manifest_write(&manifest, s.former);
	s.facts.manifest = manifest.data;
	if (strcmp(c->printed, RECORD) == 0)
		s.facts.manifest = "";
	p = plan_create(s.wanted, &s.facts, &all);
	got = print(p);
	assert_string_equal(got,
	    *c->printed ? c->printed
			: "Nothing to do: the server is as chatmail.ini wants it.\n");
	assert_int_equal(plan_is_empty(p), !*c->printed);
	free(got);
	plan_free(p);
	text_free(&manifest);
	wanted_free(s.wanted);
	wanted_free(s.former);
}

static const struct stage_case {
	const char *name;
	unsigned stages;
	const char *printed;
} stage_cases[] = {
	{ "install", STAGE_INSTALL, "web\n  + package curl\nIn all: 1 package.\n" },
	{ "configure", STAGE_CONFIGURE,
	    "web\n  + file /etc/x (root:root 0644)\nIn all: 1 file.\n" },
	{ "install and configure", STAGE_INSTALL | STAGE_CONFIGURE,
	    "web\n  + package curl\n  + file /etc/x (root:root 0644)\n"
	    "In all: 1 package, 1 file.\n" },
	{ "activate", STAGE_ACTIVATE,
	    "web\n  * restart x.service: all are, when only activated\n"
	    "In all: 1 unit.\n" },
};

static void staged(void **state)
{
	const struct stage_case *c = *state;
	const struct plan_options options = { .stages = c->stages };
	struct world s;
	struct plan *p;
	char *got;

	setup(&s);
	want_package(s.wanted, "curl");
	new_file(&s);
	running(&s);
	p = plan_create(s.wanted, &s.facts, &options);
	got = print(p);
	assert_string_equal(got, c->printed);
	free(got);
	plan_free(p);
	wanted_free(s.wanted);
	wanted_free(s.former);
}

/* Only one component is deployed: the record of the others stays, and where it was. */
static void silent_components(void **state)
{
	static const struct plan_options all = { .stages = STAGE_ALL };
	static const char record[] = "cmdeploy-manifest 1\n"
				     "package\ta\tcurl\n"
				     "package\tweb\tnginx\n"
				     "package\tz\tunbound\n";
	struct world s;
	struct plan *p;

	setup(&s);
	s.facts.manifest = record;
	s.facts.npackages = 1;
	s.package[0] = (struct fact_package){ "nginx", "1" };
	want_package(s.wanted, "nginx");
	p = plan_create(s.wanted, &s.facts, &all);
	assert_true(plan_is_empty(p));
	assert_string_equal(p->manifest.data, record);
	plan_free(p);

	want_group(s.wanted, "www-data");
	p = plan_create(s.wanted, &s.facts, &all);
	assert_string_equal(p->manifest.data, "cmdeploy-manifest 1\n"
					      "package\ta\tcurl\n"
					      "package\tweb\tnginx\n"
					      "group\tweb\twww-data\n"
					      "package\tz\tunbound\n");
	plan_free(p);
	wanted_free(s.wanted);
	wanted_free(s.former);
}

/* Values come into scripts as one word each. */
static void quoted(void **state)
{
	static const struct plan_options all = { .stages = STAGE_ALL };
	struct text script = { 0 }, change = { 0 };
	struct world s;
	struct plan *p;

	setup(&s);
	want_check(s.wanted, "it's", "exit 1; '");
	want_file(s.wanted,
	    &(struct wanted_file){
		.path = "/etc/$(reboot) '", .content = "abc", .len = 3, .mode = 0640 });
	p = plan_create(s.wanted, &s.facts, &all);
	configure_script(&script, &change, p, "web");
	assert_string_equal(script.data, "try '/etc/$(reboot) '\\'''\nchange\n");
	assert_string_equal(change.data,
	    "change() {\n:\nput '" ABC "' 0640 'root' 'root' "
	    "'/etc/$(reboot) '\\''' ''\n}\n"
	    "checks() {\n:\ncheck 'it'\\''s' 'exit 1; '\\'''\n}\n");
	text_free(&script);
	text_free(&change);
	plan_free(p);
	wanted_free(s.wanted);
	wanted_free(s.former);
}

/* States before the first file come before it, others after it. */
static void in_order(void **state)
{
	static const struct plan_options all = { .stages = STAGE_ALL };
	struct wanted_state key = {
		.what = "key", .check = "a", .mend = "b", .stage = STAGE_CONFIGURE
	};
	struct wanted_state map = { .what = "map",
		.check = "c",
		.mend = "d",
		.stage = STAGE_CONFIGURE,
		.effects = { .restart = "x.service" } };
	struct text script = { 0 }, change = { 0 };
	struct world s;
	struct plan *p;

	setup(&s);
	want_state(s.wanted, &key);
	want_directory(s.wanted, "/var/x", NULL, NULL, 02750);
	want_abc(s.wanted, 0);
	want_state(s.wanted, &map);
	p = plan_create(s.wanted, &s.facts, &all);
	configure_script(&script, &change, p, "web");
	assert_string_equal(script.data, "make_directory 02750 'root' 'root' '/var/x'\n"
					 "mend 'key' 'a' 'b'\n"
					 "owe restart 'x.service'\n"
					 "change\n"
					 "mend 'map' 'c' 'd' restart 'x.service'\n");
	text_free(&script);
	text_free(&change);
	plan_free(p);
	wanted_free(s.wanted);
	wanted_free(s.former);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(printed, plan_cases) },
		{ SUPPORT_TABLE(staged, stage_cases) },
		{ SUPPORT_TEST(silent_components) },
		{ SUPPORT_TEST(quoted) },
		{ SUPPORT_TEST(in_order) },
	};

	return support_run("plan", tests, ARRAY_LEN(tests));
}
