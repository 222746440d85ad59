/* Mailboxes made the same; both hosts are this machine, with directories of their own. */
#include "deploy/sync.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

static char *dir;

static void shell(const char *command)
{
	char *line;

	assert_true(
	    asprintf(&line, "cd %s && sh -eu <<'EOF'\n%s\nEOF\n", dir, command) > 0);
	assert_int_equal(system(line), 0);
	free(line);
}

/* From dir/old to dir/new; true if it went well. */
static bool run(uint64_t *sent, char error[SYNC_ERROR_MAX])
{
	char *from = support_path(dir, "old"), *to = support_path(dir, "new");
	struct sync s = { .from_directory = from, .to_directory = to };
	bool good;

	s.from = host_open("@local", false, error);
	s.to = host_open("@local", false, error);
	assert_non_null(s.from);
	assert_non_null(s.to);
	s.progress = progress_create(false);
	good = sync_run(&s, error);
	*sent = s.sent;
	progress_free(s.progress);
	host_close(s.to);
	host_close(s.from);
	free(from);
	free(to);
	return good;
}

static uint64_t run_good(void)
{
	char error[SYNC_ERROR_MAX] = "";
	uint64_t sent;

	if (!run(&sent, error))
		fail_msg("%s", error);
	return sent;
}

static const char make_old[] =
    "rm -rf old new; mkdir -p old/a@b/cur old/a@b/new old/a@b/tmp old/empty@b/cur new\n"
    "cd old\n"
    "echo hash >a@b/password; touch -d '2026-01-02 03:04:05.678' a@b/password\n"
    "head -c 300000 /dev/urandom >a@b/cur/big\n"
    "echo x >'a@b/cur/with blank\n"
    "and line'\n"
    "echo x >a@b/cur/-dash; echo x >a@b/tmp/half; echo x >a@b/dovecot.index.log\n"
    "echo '3 V1 N2' >a@b/dovecot-uidlist\n"
    "ln a@b/cur/big a@b/new/link; chmod 600 a@b/password; chmod 700 a@b\n";

/* All but what is left out is the same: names, times, modes, owners, texts. */
static const char same[] =
    "see() { (cd \"$1\"; find . -path '*/tmp/*' -prune -o -name '*.index*' -prune -o "
    "-type f \\\n"
    "	-printf '%P %s %T@ %m %u %n\\n' -o -type d -printf '%P/ %m %u\\n' | sort); }\n"
    "see old >was; see new >is; diff was is\n"
    "diff -r -x tmp -x '*.index*' old new\n"
    "[ ! -e new/a@b/tmp/half ]; [ ! -e new/a@b/dovecot.index.log ]\n";

static void first_copy(void **state)
{
	shell(make_old);
	/* A hard link is sent once. */
	assert_in_range(run_good(), 300000, 400000);
	shell(same);
}

static void only_what_changed(void **state)
{
	shell(make_old);
	run_good();
	shell("cd old/a@b; mv cur/-dash cur/-dash:2,S; echo y >>dovecot-uidlist\n"
	      "echo new >new/one; rm -f cur/with*; touch -d '2026-01-03' password\n"
	      "mkdir ../c@b; echo h >../c@b/password; rm -r ../empty@b");
	assert_in_range(run_good(), 1000, 30000);
	shell(same);
	assert_in_range(run_good(), 0, 10240);
	shell(same);
}

static void deletes_all_else(void **state)
{
	shell(make_old);
	shell("mkdir -p new/x@b/cur; echo x >'new/x@b/cur/$(touch oops)'; echo x "
	      ">new/-rf");
	run_good();
	shell(same);
	shell("[ ! -e new/x@b ]; [ ! -e new/-rf ]");
}

static void no_directory(void **state)
{
	char error[SYNC_ERROR_MAX] = "";
	uint64_t sent;

	shell("rm -rf old new; mkdir old");
	assert_false(run(&sent, error));
	assert_non_null(strstr(error, "/new: prepare the server"));
	shell("rm -rf old; mkdir new; echo x >new/kept");
	assert_false(run(&sent, error));
	shell("[ -e new/kept ]");
}

/* Who fails is told of, whichever of the two it is; and the other one does not hang. */
static const struct pipe_case {
	const char *name, *from, *to, *error;
} pipe_cases[] = {
	{ "both well", "head -c 1000000 /dev/zero", "[ $(wc -c) -eq 1000000 ]", NULL },
	{ "sender fails", "echo x; echo dead >&2; exit 3", "cat >/dev/null; exit 4",
	    "dead" },
	{ "sender fails late", "head -c 1000000 /dev/zero; echo dead >&2; exit 3",
	    "cat >/dev/null", "dead" },
	{ "receiver fails", "cat /dev/zero", "echo full >&2; exit 3", "full" },
	{ "receiver reads not all", "cat /dev/zero", "echo enough >&2", "enough" },
};

static void pipes(void **state)
{
	const struct pipe_case *c = *state;
	char error[SYNC_ERROR_MAX] = "";
	struct host *from = host_open("@local", false, error);
	struct host *to = host_open("@local", false, error);
	struct progress *progress = progress_create(false);
	uint64_t sent = 0;
	bool good = sync_pipe(from, c->from, -1, to, c->to, progress, &sent, error);

	assert_int_equal(good, c->error == NULL);
	if (c->error && !strstr(error, c->error))
		fail_msg("%s", error);
	progress_free(progress);
	host_close(to);
	host_close(from);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(first_copy) },
		{ SUPPORT_TEST(only_what_changed) },
		{ SUPPORT_TEST(deletes_all_else) },
		{ SUPPORT_TEST(no_directory) },
		{ SUPPORT_TABLE(pipes, pipe_cases) },
	};
	int failed;

	dir = support_tmpdir();
	failed = support_run("sync", tests, ARRAY_LEN(tests));
	support_tmpdir_remove(dir);
	return failed;
}
