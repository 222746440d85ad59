/* cmdeploy render: from a directory of templates to a directory of files. */
#include "deploy/command.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/support.h"

struct render {
	char *dir, *ini, *templates, *out, *said;
};

static void make_file(const struct render *r, const char *name, const char *text)
{
	char *path = support_path(r->templates, name);

	support_write_file(path, span_of(text));
	free(path);
}

static void make_dir(const char *dir, const char *name)
{
	char *path = support_path(dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static struct render begin(const char *ini)
{
	struct render r = { .dir = support_tmpdir() };

	r.ini = support_path(r.dir, "chatmail.ini");
	r.templates = support_path(r.dir, "templates");
	r.out = support_path(r.dir, "out");
	r.said = support_path(r.dir, "said");
	support_write_file(r.ini, span_of(ini));
	make_dir(r.dir, "templates");
	make_dir(r.templates, "postfix");
	make_dir(r.templates, "postfix/etc");
	make_dir(r.templates, "nginx");
	return r;
}

static void end(struct render *r)
{
	free(r->ini);
	free(r->templates);
	free(r->out);
	free(r->said);
	support_tmpdir_remove(r->dir);
}

/* Runs the command with stderr and stdout in a file. */
static int run_args(struct render *r, int argc, const char *const *args)
{
	int fd = open(r->said, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	int err = dup(STDERR_FILENO), out = dup(STDOUT_FILENO), status;

	assert_true(fd >= 0 && err >= 0 && out >= 0);
	fflush(stdout);
	dup2(fd, STDERR_FILENO);
	dup2(fd, STDOUT_FILENO);
	optind = 0; /* start over: getopt(3) */
	status = render_command.run(argc, (char **)args);
	fflush(stdout);
	dup2(err, STDERR_FILENO);
	dup2(out, STDOUT_FILENO);
	close(fd);
	close(err);
	close(out);
	return status;
}

static int run(struct render *r)
{
	const char *args[] = { "render", "--templates", r->templates, r->ini, r->out,
		NULL };

	return run_args(r, 5, args);
}

static void assert_file(const struct render *r, const char *name, const char *want)
{
	char *path = support_path(r->out, name);
	struct support_text got = support_read_file(path);

	assert_string_equal(got.data, want);
	free(got.data);
	free(path);
}

static bool exists(const struct render *r, const char *name)
{
	char *path = support_path(r->out, name);
	bool found = access(path, F_OK) == 0;

	free(path);
	return found;
}

static void assert_said(const struct render *r, const char *part)
{
	struct support_text said = support_read_file(r->said);

	if (!strstr(said.data, part))
		fail_msg("'%s' does not say '%s'", said.data, part);
	free(said.data);
}

static void assert_silent(const struct render *r)
{
	struct support_text said = support_read_file(r->said);

	assert_string_equal(said.data, "");
	free(said.data);
}

#define MINIMAL "[params]\nmail_domain = chat.example.org\n"

static mode_t mode_of(const char *dir, const char *name)
{
	char *path = support_path(dir, name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	free(path);
	return st.st_mode & 07777;
}

static void files_and_modes(void **state)
{
	struct render r = begin(MINIMAL);
	char *script = support_path(r.templates, "postfix/etc/script");

	make_file(&r, "README", "{{not rendered");
	make_file(&r, "postfix/etc/main.cf", "myorigin = {{mail_domain}}\n");
	make_file(&r, "postfix/etc/main.cf~", "{{not rendered");
	make_file(&r, "postfix/etc/script", "#!/bin/sh\n");
	make_file(&r, "nginx/top", "{{max_mailbox_size}}");
	assert_int_equal(chmod(script, 0700), 0);
	assert_int_equal(run(&r), COMMAND_OK);
	assert_silent(&r);
	assert_file(&r, "etc/main.cf", "myorigin = chat.example.org\n");
	assert_file(&r, "top", "500");
	assert_int_equal(mode_of(r.out, "etc/main.cf"), 0644);
	assert_int_equal(mode_of(r.out, "etc/script"), 0755);
	assert_false(exists(&r, "README"));
	assert_false(exists(&r, "etc/main.cf~"));

	/* Again, over what is there. */
	make_file(&r, "postfix/etc/main.cf", "changed\n");
	assert_int_equal(run(&r), COMMAND_OK);
	assert_file(&r, "etc/main.cf", "changed\n");
	free(script);
	end(&r);
}

static void all_mistakes_are_shown(void **state)
{
	struct render r = begin(MINIMAL);

	make_file(&r, "nginx/a", "good");
	make_file(&r, "postfix/etc/b", "\n\n{{bogus}}");
	make_file(&r, "postfix/etc/c", "{{#mail_domain}}\n");
	assert_int_equal(run(&r), COMMAND_FAILED);
	assert_said(&r, "postfix/etc/b:3: unknown variable 'bogus'\n");
	assert_said(&r, "postfix/etc/c:1: section 'mail_domain' is not closed\n");
	assert_file(&r, "a", "good");
	assert_false(exists(&r, "etc/b"));
	end(&r);
}

static void no_regular_file(void **state)
{
	struct render r = begin(MINIMAL);
	char *link = support_path(r.templates, "nginx/link");

	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_int_equal(run(&r), COMMAND_FAILED);
	assert_said(&r, "nginx/link: no regular file\n");
	assert_false(exists(&r, "link"));
	free(link);
	end(&r);
}

static void too_large_a_template(void **state)
{
	struct render r = begin(MINIMAL);
	size_t len = (1 << 20) + 1;
	char *text = calloc(1, len), *path = support_path(r.templates, "nginx/a");

	assert_non_null(text);
	support_write_file(path, span_make(text, len));
	assert_int_equal(run(&r), COMMAND_FAILED);
	assert_said(&r, "nginx/a: larger than 1 MiB\n");
	free(text);
	free(path);
	end(&r);
}

static void output_in_the_way(void **state)
{
	struct render r = begin(MINIMAL);

	make_file(&r, "postfix/etc/a", "x");
	support_write_file(r.out, span_of("a file"));
	assert_int_equal(run(&r), COMMAND_FAILED);
	assert_said(&r, "Not a directory\n");
	end(&r);
}

static void bad_ini(void **state)
{
	struct render r = begin("[params]\nmail_domain = a b\n");

	assert_int_equal(run(&r), COMMAND_FAILED);
	assert_said(&r, "chatmail.ini:2: mail_domain: it is no domain name");
	assert_int_equal(unlink(r.ini), 0);
	assert_int_equal(run(&r), COMMAND_FAILED);
	assert_said(&r, "chatmail.ini: No such file or directory\n");
	assert_false(exists(&r, ""));
	end(&r);
}

static void no_templates(void **state)
{
	struct render r = begin(MINIMAL);
	const char *args[] = { "render", "--templates", "/nonexistent", r.ini, r.out,
		NULL };

	assert_int_equal(run_args(&r, 5, args), COMMAND_FAILED);
	assert_said(&r, "/nonexistent: No such file or directory\n");
	end(&r);
}

static void options(void **state)
{
	struct render r = begin(MINIMAL);
	const char *set[] = { "render", r.ini, "--set", "smtp_port=2525", "--templates",
		r.templates, r.out, NULL };
	const char *bogus[] = { "render", "--set", "bogus=1", r.ini, r.out, NULL };
	const char *unknown[] = { "render", "--frobnicate", r.ini, r.out, NULL };
	const char *few[] = { "render", r.ini, NULL };
	const char *many[] = { "render", r.ini, r.out, r.out, NULL };
	const char *nowhere[] = { "render", r.ini, "", NULL };
	const char *help[] = { "render", "--help", NULL };

	make_file(&r, "postfix/etc/a", "{{smtp_port}}");
	assert_int_equal(run_args(&r, 7, set), COMMAND_OK);
	assert_file(&r, "etc/a", "2525");
	assert_int_equal(run_args(&r, 5, bogus), COMMAND_FAILED);
	assert_said(&r, "--set bogus=1: no variable has this name");
	assert_int_equal(run_args(&r, 4, unknown), COMMAND_USAGE);
	assert_int_equal(run_args(&r, 2, few), COMMAND_USAGE);
	assert_said(&r, "Usage: cmdeploy render");
	assert_int_equal(run_args(&r, 4, many), COMMAND_USAGE);
	assert_int_equal(run_args(&r, 3, nowhere), COMMAND_USAGE);
	assert_int_equal(run_args(&r, 2, help), COMMAND_OK);
	assert_said(&r, "queue_directory=/var/spool/postfix\n");
	end(&r);
}

/* The templates that come along, for every kind of relay. */
static const struct relay_case {
	const char *name, *ini;
} relay_cases[] = {
	{ "usual", MINIMAL },
	{ "IPv4 only", MINIMAL "disable_ipv6 = true\n" },
	{ "of an address", "[params]\nmail_domain = 192.0.2.1\n" },
	{ "self-signed", "[params]\nmail_domain = _chat.example.org\n" },
	{ "compressing", MINIMAL "imap_compress = true\nimap_rawlog = true\n" },
	{ "with a contact", MINIMAL "privacy_mail = a@b.example\n" },
	{ "on ports", MINIMAL
	    "filtermail_smtp_port = 10080\nfiltermail_smtp_port_incoming = 10081\n"
	    "postfix_reinject_port = 10025\n"
	    "postfix_reinject_port_incoming = 10026\n" },
};

static void our_templates(void **state)
{
	const struct relay_case *c = *state;
	struct render r = begin(c->ini);
	char *ours = support_path(getenv("CHATMAIL_TEST_DATA"), "../../templates");
	const char *args[] = { "render", "--templates", ours, r.ini, r.out, NULL };

	if (run_args(&r, 5, args) != COMMAND_OK) {
		struct support_text said = support_read_file(r.said);

		fail_msg("%s", said.data);
	}
	assert_true(exists(&r, "etc/postfix/main.cf"));
	assert_true(exists(&r, "etc/dovecot/dovecot.conf"));
	assert_true(exists(&r, "etc/opendkim/sign.conf"));
	free(ours);
	end(&r);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(files_and_modes) },
		{ SUPPORT_TEST(all_mistakes_are_shown) },
		{ SUPPORT_TEST(no_regular_file) },
		{ SUPPORT_TEST(too_large_a_template) },
		{ SUPPORT_TEST(output_in_the_way) },
		{ SUPPORT_TEST(bad_ini) },
		{ SUPPORT_TEST(no_templates) },
		{ SUPPORT_TEST(options) },
		{ SUPPORT_TABLE(our_templates, relay_cases) },
	};

	return support_run("cmd_render", tests, ARRAY_LEN(tests));
}
