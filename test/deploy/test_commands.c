/* cmdeploy init and config, and the options that all commands share. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deploy/command.h"
#include "deploy/explain.h"
#include "test/support.h"

struct shell {
	char *dir, *ini, *said; /* said: what came on stdout and stderr */
};

static struct shell begin(void)
{
	struct shell s = { .dir = support_tmpdir() };

	s.ini = support_path(s.dir, "chatmail.ini");
	s.said = support_path(s.dir, "said");
	return s;
}

static void end(struct shell *s)
{
	free(s->ini);
	free(s->said);
	support_tmpdir_remove(s->dir);
}

static int run(
    struct shell *s, const struct command *command, int argc, const char *const *argv)
{
	int fd = open(s->said, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	int err = dup(STDERR_FILENO), out = dup(STDOUT_FILENO), status;

	assert_true(fd >= 0 && err >= 0 && out >= 0);
	fflush(stdout);
	dup2(fd, STDERR_FILENO);
	dup2(fd, STDOUT_FILENO);
	status = command->run(argc, (char **)argv);
	fflush(stdout);
	dup2(err, STDERR_FILENO);
	dup2(out, STDOUT_FILENO);
	close(fd);
	close(err);
	close(out);
	return status;
}

#define RUN(s, command, ...)                                                           \
	run(s, &command, (int)ARRAY_LEN(((const char *[]){ __VA_ARGS__ })),            \
	    (const char *const[]){ __VA_ARGS__, NULL })

static void assert_said(struct shell *s, const char *part)
{
	struct support_text said = support_read_file(s->said);

	if (!strstr(said.data, part))
		fail_msg("'%s' is not in: %s", part, said.data);
	free(said.data);
}

static struct config *load(struct shell *s, const char *warnings)
{
	char *said = NULL;
	size_t len;
	FILE *err = open_memstream(&said, &len);
	struct config *config = config_load(s->ini, err);

	fclose(err);
	assert_non_null(config);
	assert_string_equal(said, warnings);
	free(said);
	return config;
}

/* init */

static void writes_a_good_file(void **state)
{
	struct shell s = begin();
	struct config *config;

	assert_int_equal(
	    RUN(&s, init_command, "init", "--config", s.ini, "Chat.example.org"), 0);
	assert_said(&s, "created config file for chat.example.org in ");
	config = load(&s, "");
	assert_string_equal(config->mail_domain, "chat.example.org");
	assert_string_equal(config->privacy_postal, "");
	assert_string_equal(config->privacy_mail, "");
	assert_string_equal(config->privacy_pdo, "");
	assert_string_equal(config->privacy_supervisor, "");
	assert_string_equal(config->metrics_address.text, "inet:127.0.0.1:3905");
	assert_string_equal(config->unknown_keys, "");
	assert_int_equal(config->iroh, IROH_LOCAL);
	config_free(config);
	end(&s);
}

/* Every key is explained, and only these are set. */
static void explains_every_key(void **state)
{
	static const char *const set[] = { "mail_domain", "metrics_address",
		"privacy_postal", "privacy_mail", "privacy_pdo", "privacy_supervisor" };
	const struct config_option *options;
	struct support_text text;
	struct shell s = begin();
	size_t n, active = 0;

	assert_int_equal(
	    RUN(&s, init_command, "init", "--config", s.ini, "chat.example.org"), 0);
	text = support_read_file(s.ini);
	assert_non_null(strstr(text.data, "\nmetrics_address = 127.0.0.1:3905\n"));
	options = config_options(&n);
	for (size_t i = 0; i < n; i++) {
		char line[128];
		bool is_set = false;

		for (size_t k = 0; k < ARRAY_LEN(set); k++)
			is_set = is_set || strcmp(options[i].key, set[k]) == 0;
		snprintf(
		    line, sizeof(line), "\n%s%s = ", is_set ? "" : "#", options[i].key);
		if (explain_is_current(&options[i]))
			assert_non_null(strstr(text.data, line));
		else
			assert_null(strstr(text.data, line));
	}
	for (const char *p = strchr(text.data, '\n'); p; p = strchr(p + 1, '\n'))
		active += p[1] >= 'a' && p[1] <= 'z';
	assert_int_equal(active, ARRAY_LEN(set));
	assert_int_equal(text.data[text.len - 1], '\n');
	free(text.data);
	end(&s);
}

/* The commented values are the defaults: without their # nothing changes. */
static void comments_are_the_defaults(void **state)
{
	struct shell s = begin();
	struct support_text text;
	struct config *plain, *all;
	char *from, *to;

	assert_int_equal(
	    RUN(&s, init_command, "init", "--config", s.ini, "chat.example.org"), 0);
	plain = load(&s, "");
	text = support_read_file(s.ini);
	for (from = to = text.data; *from; from++) {
		bool value = from[0] == '#' && from[1] >= 'a' && from[1] <= 'z' &&
			     from[-1] == '\n';
		char *line_end = strchr(from, '\n');

		/* A key without a default would be set to nothing, which is another
		 * thing for some. */
		if (value && strncmp(line_end - 2, "= ", 2) != 0)
			continue;
		*to++ = *from;
	}
	*to = '\0';
	support_write_file(s.ini, span_of(text.data));
	all = load(&s, "");
	assert_int_equal(all->max_message_size, plain->max_message_size);
	assert_int_equal(all->max_mailbox_size, plain->max_mailbox_size);
	assert_int_equal(
	    all->max_user_send_per_minute, plain->max_user_send_per_minute);
	assert_int_equal(all->echobot, plain->echobot);
	assert_string_equal(all->push_url, plain->push_url);
	assert_string_equal(all->auth_socket.text, plain->auth_socket.text);
	config_free(plain);
	config_free(all);
	free(text.data);
	end(&s);
}

static void keeps_what_is_there(void **state)
{
	struct shell s = begin();
	struct support_text text;

	support_write_file(s.ini, span_of("mine"));
	assert_int_equal(
	    RUN(&s, init_command, "init", "--config", s.ini, "a.example"), 1);
	assert_said(&s, "Path exists, not modifying");
	text = support_read_file(s.ini);
	assert_string_equal(text.data, "mine");
	free(text.data);
	assert_int_equal(
	    RUN(&s, init_command, "init", "--force", "--config", s.ini, "a.example"),
	    0);
	assert_said(&s, "deleting config file");
	config_free(load(&s, ""));
	end(&s);
}

/* A link to nowhere is something that is there. */
static void keeps_a_dangling_link(void **state)
{
	struct shell s = begin();

	assert_int_equal(symlink("nowhere", s.ini), 0);
	assert_int_equal(
	    RUN(&s, init_command, "init", "--config", s.ini, "a.example"), 1);
	assert_said(&s, "Path exists");
	end(&s);
}

struct domain_case {
	const char *name, *domain;
	int status;
};

static const struct domain_case domain_cases[] = {
	{ "name", "chat.example.org", 0 },
	{ "underscore", "_test.example.org", 0 },
	{ "IPv4 address", "13.12.23.42", 0 },
	{ "command", "a.example;id", 1 },
	{ "substitution", "$(id).example", 1 },
	{ "blank", "a .example", 1 },
	{ "line break", "a.example\nb = c", 1 },
	{ "slash", "a/b", 1 },
	{ "nothing", "", 1 },
	{ "IPv6 address", "fe80::1", 1 },
	{ "half an IPv4 address", "1.2.3", 1 },
	{ "braces", "{{mail_domain}}", 1 },
};

static void domains(void **state)
{
	const struct domain_case *c = *state;
	struct shell s = begin();

	assert_int_equal(
	    RUN(&s, init_command, "init", "--config", s.ini, c->domain), c->status);
	assert_int_equal(access(s.ini, F_OK), c->status == 0 ? 0 : -1);
	if (c->status == 0)
		config_free(load(&s, ""));
	else
		assert_said(&s, "mail_domain");
	end(&s);
}

static void nowhere_to_write(void **state)
{
	struct shell s = begin();

	assert_int_equal(RUN(&s, init_command, "init", "--config",
			     "/nowhere/chatmail.ini", "a.example"),
	    1);
	assert_said(&s, "/nowhere/chatmail.ini: No such file or directory");
	end(&s);
}

/* Arguments */

static void wrong_arguments(void **state)
{
	struct shell s = begin();

	assert_int_equal(RUN(&s, init_command, "init"), 2);
	assert_said(&s, "Usage: cmdeploy init");
	assert_int_equal(RUN(&s, init_command, "init", "a.example", "b.example"), 2);
	assert_int_equal(RUN(&s, init_command, "init", "--nonsense", "a.example"), 2);
	assert_int_equal(RUN(&s, init_command, "init", "a.example", "--config"), 2);
	assert_int_equal(RUN(&s, config_command, "config"), 2);
	assert_int_equal(RUN(&s, config_command, "config", "nonsense"), 2);
	assert_int_equal(RUN(&s, config_command, "config", "check", "too", "many"), 2);
	assert_int_equal(RUN(&s, run_command, "run", "chat.example"), 2);
	assert_int_equal(RUN(&s, run_command, "run", "--generation", "3"), 2);
	assert_said(&s, "--generation 3: write it with --rollback");
	end(&s);
}

/* Before there is any connection. */
static void run_refuses(void **state)
{
	struct shell s = begin();

	assert_int_equal(RUN(&s, run_command, "run", "--config", "/nowhere"), 1);
	support_write_file(s.ini,
	    span_of(
		"[params]\nmail_domain = a.example\nprivacy_pdo = Merlinux GmbH\n"));
	assert_int_equal(RUN(&s, run_command, "run", "--config", s.ini), 1);
	assert_said(&s, "privacy_pdo in ");
	assert_said(&s, "write your own contact data there");
	assert_int_equal(setenv("CMDEPLOY_STAGES", "install,", 1), 0);
	assert_int_equal(RUN(&s, run_command, "run", "--config", s.ini), 2);
	assert_said(&s, "CMDEPLOY_STAGES: \"\" is no stage");
	assert_int_equal(unsetenv("CMDEPLOY_STAGES"), 0);
	end(&s);
}

static void help(void **state)
{
	static const struct command *const commands[] = { &init_command,
		&config_command, &dns_command, &status_command };
	struct shell s = begin();

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const char *argv[] = { commands[i]->name, "--help", NULL };

		assert_int_equal(run(&s, commands[i], 2, argv), 0);
		assert_said(&s, "  --config PATH");
		assert_said(&s, "  --verbose");
		assert_said(&s, commands[i]->summary);
	}
	end(&s);
}

static void config_from_the_environment(void **state)
{
	struct shell s = begin();

	assert_int_equal(setenv("CHATMAIL_INI", s.ini, 1), 0);
	assert_int_equal(RUN(&s, init_command, "init", "a.example"), 0);
	assert_int_equal(RUN(&s, config_command, "config", "check"), 0);
	assert_int_equal(
	    RUN(&s, config_command, "config", "check", "--config", "/nowhere"), 1);
	assert_int_equal(unsetenv("CHATMAIL_INI"), 0);
	end(&s);
}

/* config */

static void checks(void **state)
{
	struct shell s = begin();

	support_write_file(s.ini, span_of("[params]\nmail_domain = _a.example\n"));
	assert_int_equal(
	    RUN(&s, config_command, "config", "check", "--config", s.ini), 0);
	assert_said(&s, "the relay _a.example, with a self-signed certificate");
	support_write_file(s.ini,
	    span_of("[params]\nmail_domain = a.example\nmtail_address = $(x)\n"));
	assert_int_equal(
	    RUN(&s, config_command, "config", "check", "--config", s.ini), 1);
	assert_said(&s, "mtail: mtail_address = $(x): write an IP address");
	assert_said(&s, "cannot be deployed");
	support_write_file(s.ini,
	    span_of(
		"[params]\nmail_domain = a.example\nprivacy_mail = a@testrun.org\n"));
	assert_int_equal(
	    RUN(&s, config_command, "config", "check", "--config", s.ini), 1);
	assert_said(&s, "cannot be deployed");
	support_write_file(s.ini, span_of("[params]\nmax_message_size = many\n"));
	assert_int_equal(
	    RUN(&s, config_command, "config", "check", "--config", s.ini), 1);
	assert_said(&s, "chatmail.ini:2: max_message_size");
	assert_said(&s, "cannot be used");
	end(&s);
}

static void explains(void **state)
{
	const struct config_option *options;
	struct shell s = begin();
	size_t n;

	assert_int_equal(RUN(&s, config_command, "config", "explain"), 0);
	options = config_options(&n);
	for (size_t i = 0; i < n; i++) {
		if (explain_is_current(&options[i]))
			assert_said(&s, options[i].help);
	}
	assert_int_equal(
	    RUN(&s, config_command, "config", "explain", "username_min_length"), 0);
	assert_said(&s, "default: 9\n");
	assert_said(&s, "range:   1 to 64\n");
	assert_said(&s, "type:    integer\n");
	assert_int_equal(
	    RUN(&s, config_command, "config", "explain", "postfix_reinject_port"), 0);
	assert_int_equal(RUN(&s, config_command, "config", "explain", "nonsense"), 1);
	assert_said(&s, "no key 'nonsense'");
	end(&s);
}

/* Without names there is nothing to check, and nobody is asked. */
static void dns_of_an_address(void **state)
{
	struct shell s = begin();
	struct support_text said;

	support_write_file(s.ini, span_of("[params]\nmail_domain = 1.3.3.7\n"));
	assert_int_equal(RUN(&s, dns_command, "dns", "--config", s.ini), 0);
	said = support_read_file(s.said);
	assert_string_equal(
	    said.data, "[WARNING] 1.3.3.7 is not a domain, skipping DNS checks.\n");
	free(said.data);
	end(&s);
}

/* test, bench, fmt */

/* Before there is any connection. */
static void bench_refuses(void **state)
{
	static const char *const rounds[] = { "0", "x", "", "101", "5 ", "-1" };
	struct shell s = begin();
	char *path = strdup(getenv("PATH"));

	for (size_t i = 0; i < ARRAY_LEN(rounds); i++)
		assert_int_equal(
		    RUN(&s, bench_command, "bench", "--rounds", rounds[i]), 2);
	assert_int_equal(
	    RUN(&s, bench_command, "bench", "--rpc-server", "/nowhere/client"), 1);
	assert_said(&s, "/nowhere/client cannot be run");
	assert_int_equal(setenv("PATH", ":/nowhere", 1), 0);
	assert_int_equal(RUN(&s, bench_command, "bench"), 1);
	assert_said(&s, "There is no deltachat-rpc-server in $PATH");
	assert_said(&s, "npm install --global @deltachat/stdio-rpc-server");
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_int_equal(RUN(&s, bench_command, "bench", "--rpc-server", "sh",
			     "--compare", "/nowhere.json"),
	    1);
	assert_said(&s, "/nowhere.json: No such file or directory");
	support_write_file(s.ini, span_of("[1]"));
	assert_int_equal(
	    RUN(&s, bench_command, "bench", "--rpc-server", "sh", "--compare", s.ini),
	    1);
	assert_said(&s, "it was not written by cmdeploy bench --json");
	assert_int_equal(RUN(&s, bench_command, "bench", "--rpc-server", "sh",
			     "--config", "/nowhere"),
	    1);
	free(path);
	end(&s);
}

static void tests_are_listed(void **state)
{
	struct shell s = begin();
	struct support_text said;
	char *save = NULL, former[64] = "";
	size_t n = 0;

	assert_int_equal(RUN(&s, test_command, "test", "--list"), 0);
	said = support_read_file(s.said);
	for (char *line = strtok_r(said.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char name[64], title[128], *config = s.ini;

		assert_int_equal(sscanf(line, "%63s %127[^\n]", name, title), 2);
		assert_string_not_equal(name, former);
		memcpy(former, name, sizeof(former));
		/* It is known by this name. */
		assert_int_equal(
		    RUN(&s, test_command, "test", "--config", config, name), 1);
		n++;
	}
	assert_true(n > 25);
	free(said.data);
	assert_int_equal(RUN(&s, test_command, "test", "nonsense"), 2);
	assert_said(&s, "There is no test 'nonsense'");
	end(&s);
}

static void formats_only_sources(void **state)
{
	struct shell s = begin();
	char *before = getcwd(NULL, 0);

	assert_int_equal(chdir(s.dir), 0);
	assert_int_equal(RUN(&s, fmt_command, "fmt"), 1);
	assert_said(&s, "This is no checkout of chatmaild");
	assert_int_equal(mkdir("scripts", 0700), 0);
	assert_int_equal(mkdir("below", 0700), 0);
	support_write_file("scripts/lint", span_of("#!/bin/sh\npwd\n[ -f fine ]\n"));
	assert_int_equal(chmod("scripts/lint", 0700), 0);
	assert_int_equal(chdir("below"), 0);
	assert_int_equal(RUN(&s, fmt_command, "fmt", "--check"), 1);
	assert_said(&s, s.dir);
	assert_said(&s, "The sources are not as they should be.");
	support_write_file("../fine", span_of(""));
	assert_int_equal(RUN(&s, fmt_command, "fmt", "--check"), 0);
	assert_said(&s, "The sources are well.");
	assert_int_equal(chdir(before), 0);
	free(before);
	end(&s);
}

static void interrupted(void **state)
{
	int status = 0, pipes[2];
	char said[64] = "";
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(pipes[1], STDERR_FILENO);
		command_catch_interrupt();
		raise(SIGINT);
		_exit(0);
	}
	close(pipes[1]);
	assert_true(read(pipes[0], said, sizeof(said) - 1) > 0);
	assert_string_equal(said, "\nInterrupted.\n");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), COMMAND_INTERRUPTED);
	close(pipes[0]);
}

/* As a shell starts what runs in the background. */
static void not_interrupted(void **state)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGINT, SIG_IGN);
		command_catch_interrupt();
		raise(SIGINT);
		_exit(7);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(writes_a_good_file) },
		{ SUPPORT_TEST(explains_every_key) },
		{ SUPPORT_TEST(comments_are_the_defaults) },
		{ SUPPORT_TEST(keeps_what_is_there) },
		{ SUPPORT_TEST(keeps_a_dangling_link) },
		{ SUPPORT_TABLE(domains, domain_cases) },
		{ SUPPORT_TEST(nowhere_to_write) },
		{ SUPPORT_TEST(wrong_arguments) },
		{ SUPPORT_TEST(run_refuses) },
		{ SUPPORT_TEST(help) },
		{ SUPPORT_TEST(config_from_the_environment) },
		{ SUPPORT_TEST(checks) },
		{ SUPPORT_TEST(explains) },
		{ SUPPORT_TEST(dns_of_an_address) },
		{ SUPPORT_TEST(bench_refuses) },
		{ SUPPORT_TEST(tests_are_listed) },
		{ SUPPORT_TEST(formats_only_sources) },
		{ SUPPORT_TEST(interrupted) },
		{ SUPPORT_TEST(not_interrupted) },
	};

	unsetenv("CHATMAIL_INI");
	return support_run("commands", tests, ARRAY_LEN(tests));
}
