/* Guests: their names, and what deletes them on the server. */
#include "deploy/trial.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support.h"

/* A server's chatmailctl: it knows a@x and b@x, and has no luck with c@x. */
#define CONTROL                                                                        \
	"#!/bin/sh\n"                                                                  \
	"[ \"$*\" != 'registration status' ] || { echo \"$STATE\"; exit 0; }\n"        \
	"[ \"$1 $2 $3 $4\" = '--yes -- users delete' ] || exit 9\n"                    \
	"case $5 in\n"                                                                 \
	"a@x | b@x) echo \"$5\" >>\"$DELETED\" ;;\n"                                   \
	"c@x) echo 'chatmailctl: the disk is full' >&2; exit 1 ;;\n"                   \
	"*) echo 'chatmailctl: there is no such account' >&2; exit 1 ;;\n"             \
	"esac\n"

struct server {
	char *dir, *control, *deleted, *said;
};

static struct server begin(void)
{
	struct server s = { .dir = support_tmpdir() };

	s.control = support_path(s.dir, "chatmailctl");
	s.deleted = support_path(s.dir, "deleted");
	s.said = support_path(s.dir, "said");
	support_write_file(s.control, span_of(CONTROL));
	assert_int_equal(chmod(s.control, 0700), 0);
	assert_int_equal(setenv("DELETED", s.deleted, 1), 0);
	return s;
}

static void end(struct server *s)
{
	free(s->control);
	free(s->deleted);
	free(s->said);
	support_tmpdir_remove(s->dir);
}

/* As host_run() does it; its exit code. */
static int run_there(
    struct server *s, const char *path, const char *script, const char *addresses)
{
	char *input = support_path(s->dir, "input");
	int status;
	pid_t pid;

	support_write_file(input, span_of(addresses));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(open(input, O_RDONLY | O_CLOEXEC), STDIN_FILENO);
		dup2(open(s->said, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600),
		    STDERR_FILENO);
		setenv("PATH", path, 1);
		execl("/bin/sh", "sh", "-euc", script, (char *)NULL);
		_exit(127);
	}
	free(input);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void assert_file(const char *path, const char *content)
{
	struct support_text text = support_read_file(path);

	assert_string_equal(text.data, content);
	free(text.data);
}

static void removes(void **state)
{
	struct server s = begin();
	char *path;

	assert_true(asprintf(&path, "%s:/usr/bin:/bin", s.dir) > 0);
	assert_int_equal(run_there(&s, path, trial_remove_script, ""), 0);
	assert_int_equal(access(s.deleted, F_OK), -1);
	assert_int_equal(
	    run_there(&s, path, trial_remove_script, "a@x\nnever-there@x\nb@x\n"), 0);
	assert_file(s.deleted, "a@x\nb@x\n");
	assert_file(s.said, "");
	/* One that stays does not keep the others. */
	assert_int_equal(run_there(&s, path, trial_remove_script, "c@x\nb@x\n"), 1);
	assert_file(s.deleted, "a@x\nb@x\nb@x\n");
	assert_file(s.said, "c@x: chatmailctl: the disk is full\n");
	free(path);
	end(&s);
}

static void needs_a_relay(void **state)
{
	struct server s = begin();

	assert_int_equal(run_there(&s, "/nowhere", trial_remove_script, "a@x\n"), 1);
	assert_file(s.said, "there is no chatmailctl: is this server deployed to?\n");
	end(&s);
}

static void needs_open_doors(void **state)
{
	struct server s = begin();
	char *path;

	assert_true(asprintf(&path, "%s:/usr/bin:/bin", s.dir) > 0);
	assert_int_equal(setenv("STATE", "open", 1), 0);
	assert_int_equal(run_there(&s, path, trial_ask_script, ""), 0);
	assert_file(s.said, "");
	assert_int_equal(setenv("STATE", "by invite", 1), 0);
	assert_int_equal(run_there(&s, path, trial_ask_script, ""), 1);
	assert_file(s.said, "guests are not let in, registration is by invite\n");
	free(path);
	end(&s);
}

static void names_are_random(void **state)
{
	char one[23], other[23];

	trial_random(one, 22);
	trial_random(other, 22);
	assert_int_equal(strlen(one), 22);
	assert_int_equal(strspn(one, "abcdefghijklmnopqrstuvwxyz234567"), 22);
	assert_string_not_equal(one, other);
	trial_random(one, 0);
	assert_string_equal(one, "");
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(removes) },
		{ SUPPORT_TEST(needs_a_relay) },
		{ SUPPORT_TEST(needs_open_doors) },
		{ SUPPORT_TEST(names_are_random) },
	};

	return support_run("trial", tests, ARRAY_LEN(tests));
}
