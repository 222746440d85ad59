/* A Python relay that gives way: what the operator reads, and in what order it is done. */
#include "deploy/takeover.h"

#include <stdlib.h>

#include "deploy/frame.h"
#include "deploy/plan_apply.h"
#include "deploy/python_relay.h"
#include "deploy/text.h"
#include "test/support.h"

static struct config *make_config(const char *lines)
{
	struct text text = { 0 };
	struct config *config;

	text_printf(&text, "[params]\nmail_domain = x.example\n%s", lines);
	config = config_parse("chatmail.ini", text.data, text.len, stderr);
	assert_non_null(config);
	text_free(&text);
	return config;
}

static const struct print_case {
	const char *name, *ours, *theirs, *dovecot;
	const char *says, *says_not;
} print_cases[] = {
	{ "what is brought over", "", NULL, NULL,
	    "device tokens of 12 accounts, 3 waiting notifications\n"
	    "  = keep 345 mailboxes with their passwords and last logins, the DKIM "
	    "key\n",
	    "nobody can" },
	{ "units that are there", "", NULL, NULL,
	    "stop, and set aside: chatmail-expire.timer, doveauth.service\n",
	    "filtermail.service" },
	{ "the same", "", "", NULL, "A Python relay", "  ! " },
	{ "the same, said otherwise", "max_mailbox_size = 1G",
	    "max_mailbox_size = 1024", NULL, "A Python relay", "  ! " },
	{ "ports are no difference", "", "filtermail_smtp_port = 10080", NULL,
	    "A Python relay", "  ! " },
	{ "a number", "", "max_mailbox_size = 100M", NULL,
	    "  ! max_mailbox_size: there 100, chatmail.ini says 500\n", NULL },
	{ "a list", "", "passthrough_recipients = a@b.example  @c.example", NULL,
	    "  ! passthrough_recipients: there a@b.example @c.example, chatmail.ini "
	    "says "
	    "(nothing)\n",
	    NULL },
	{ "a secret", "turn_secret = a", "turn_secret = hidden", NULL,
	    "  ! turn_secret differs\n", "hidden" },
	{ "control characters", "", "privacy_mail = a\033b", NULL, "A Python relay",
	    "\033" },
	{ "nonsense", "", "max_mailbox_size = many", NULL,
	    "  ! its chatmail.ini makes no sense to us: ", NULL },
	{ "Debian's Dovecot", "", NULL, "1:2.3.19.1+dfsg1-2.1+deb12u1",
	    "A Python relay", "keep Dovecot" },
	{ "another Dovecot", "", NULL, "1:2.3.21+dfsg1-3",
	    "  = keep Dovecot 1:2.3.21+dfsg1-3, without our plugin", NULL },
};

static void print(void **state)
{
	const struct print_case *c = *state;
	struct fact_unit units[] = {
		{ "chatmail-expire.timer", "loaded", "active", "enabled", false,
		    false },
		{ "doveauth.service", "loaded", "active", "enabled", false, false },
		{ "filtermail.service", "not-found", "inactive", "", false, false },
	};
	struct fact_package package = { "dovecot-core", c->dovecot };
	struct facts f = { .python_relay = "doveauth.service",
		.units = units,
		.nunits = ARRAY_LEN(units),
		.packages = &package,
		.npackages = c->dovecot != NULL };
	struct config *config = make_config(c->ours);
	struct text answer = { 0 }, ini = { 0 };
	char *said = NULL;
	size_t len;
	FILE *out = open_memstream(&said, &len);

	assert_non_null(out);
	frame_add(&answer, "accounts", span_of("345\n"));
	frame_add(&answer, "tokens", span_of("12"));
	frame_add(&answer, "pushes", span_of("3"));
	frame_add(&answer, "keys", span_of("/etc/dkimkeys/opendkim.private"));
	text_printf(&ini, "[params]\nmail_domain = x.example\n%s\n",
	    c->theirs ? c->theirs : "");
	if (c->theirs)
		frame_add(&answer, "ini", text_span(&ini));
	takeover_print(config, &f, text_span(&answer), out);
	assert_int_equal(fclose(out), 0);
	if (!strstr(said, c->says) || (c->says_not && strstr(said, c->says_not)))
		fail_msg("%s", said);
	free(said);
	text_free(&answer);
	text_free(&ini);
	config_free(config);
}

/* The server's own words cannot be trusted to be whole. */
static void print_nonsense(void **state)
{
	static const char *const answers[] = { "", "accounts", "accounts 9999\n12",
		"ini 3\nx", "accounts 3\nmany",
		"accounts 25\n9999999999999999999999999" };
	struct config *config = make_config("");
	struct facts f = { .python_relay = "doveauth.service" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		char *said = NULL;
		size_t len;
		FILE *out = open_memstream(&said, &len);

		assert_non_null(out);
		takeover_print(config, &f, span_of(answers[i]), out);
		assert_int_equal(fclose(out), 0);
		assert_non_null(strstr(said, "keep 0 mailboxes"));
		free(said);
	}
	config_free(config);
}

static void want_file_of(struct wanted *w, const char *path)
{
	want_file(w, &(struct wanted_file){
			 .path = path, .content = "abc", .len = 3, .mode = 0644 });
}

static struct wanted *make_wanted(void)
{
	struct wanted *w = wanted_create();

	wanted_component(w, "chatmaild");
	want_file_of(w, "/etc/c");
	want_unit(w, "chatmaild.service", UNIT_RUNNING);
	wanted_component(w, "dovecot");
	want_check(w, "doveconf -n", "doveconf -n");
	want_file_of(w, "/etc/d");
	want_unit(w, "dovecot.service", UNIT_RUNNING);
	wanted_component(w, "postfix");
	want_file_of(w, "/etc/p");
	want_unit(w, "postfix@-.service", UNIT_RUNNING);
	wanted_component(w, "nginx");
	want_file_of(w, "/etc/n");
	want_absent(w, "/etc/old");
	return w;
}

/* Does each word of these stand in text behind the one before? */
static void expect_order(const char *text, const char *const *words)
{
	const char *at = text;

	for (; *words; words++) {
		at = strstr(at, *words);
		if (!at)
			fail_msg("no \"%s\" where it should be in: %s", *words, text);
	}
}

static void scripts(void **state)
{
	static const struct plan_options all = { .stages = STAGE_ALL };
	static const char *const kept[] = { "keep_theirs '/etc/c' '/etc/d' '/etc/p'",
		"'/etc/n' '/etc/old'\n", "keep_units 'chatmail-expire.service'",
		"'lastlogin.service'", "'chatmaild.service'", "'postfix@-.service'\n",
		NULL };
	static const char *const switched[] = { "begin_switch\n", "'/etc/c'",
		"'/etc/d'", "'/etc/p'", "reload_systemd\n",
		"stop_theirs 'chatmail-expire.service'",
		"run_unit 'chatmaild.service' start\n", "await_import\n",
		"stop_postfix\n", "run_unit 'dovecot.service' start\n",
		"run_unit 'postfix@-.service' start\n", "end_switch\n", NULL };
	struct facts f = { .machine = "x86_64",
		.deb_arch = "amd64",
		.manifest = "",
		.python_relay = "doveauth.service",
		.python_runs = true };
	struct text script = { 0 }, change = { 0 };
	struct wanted *w = make_wanted();
	struct plan *p = plan_create(w, &f, &all);

	(void)state;
	keep_script(&script, p);
	expect_order(script.data, kept);
	text_free(&script);
	switch_script(&script, p);
	expect_order(script.data, switched);
	assert_null(strstr(script.data, "try"));
	assert_null(strstr(script.data, "'/etc/n'"));
	text_free(&script);
	rehearse_script(&script, &change, p, "dovecot");
	assert_string_equal(script.data, "try '/etc/d'\n");
	text_free(&script);
	rehearse_script(&script, &change, p, "nginx");
	assert_int_equal(script.len, 0);
	text_free(&script);
	text_free(&change);
	plan_free(p);
	wanted_free(w);
}

/* The plugin is for Debian's Dovecot; beside another apt would refuse it. */
static void plugin(void **state)
{
	static const struct plan_options all = { .stages = STAGE_ALL };
	struct fact_package package = { "dovecot-core", "1:2.3.21+dfsg1-3" };
	struct facts f = { .machine = "x86_64",
		.deb_arch = "amd64",
		.manifest = "",
		.packages = &package,
		.npackages = 1 };
	struct wanted *w = wanted_create();
	struct plan *p;

	(void)state;
	wanted_component(w, "chatmaild");
	want_package(w, "chatmaild-dovecot-plugin");
	p = plan_create(w, &f, &all);
	assert_int_equal(p->nsteps, 0);
	plan_free(p);
	package.version = "1:2.3.19.1+dfsg1-2.1+deb12u1";
	p = plan_create(w, &f, &all);
	assert_int_equal(p->nsteps, 1);
	plan_free(p);
	wanted_free(w);
}

static void names(void **state)
{
	(void)state;
	for (size_t i = 0; i < npython_relay_units; i++)
		assert_true(python_relay_has_unit(python_relay_units[i]));
	assert_false(python_relay_has_unit("dovecot.service"));
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(print, print_cases) },
		{ SUPPORT_TEST(print_nonsense) },
		{ SUPPORT_TEST(scripts) },
		{ SUPPORT_TEST(plugin) },
		{ SUPPORT_TEST(names) },
	};

	return support_run("python_relay", tests, ARRAY_LEN(tests));
}
