/*
 * Commands on this machine, and on one behind a real ssh and sshd. The sshd is started by
 * ssh itself (ProxyCommand), so no port is taken; ssh finds the test's config because a
 * wrapper of its name comes first in $PATH.
 */
#include "deploy/host.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deploy/host_impl.h"
#include "test/support.h"

#define SSHD_DIRECTORY "/run/sshd" /* root's sshd wants it; else its service makes it */

static char *dir; /* of all tests; made and removed by main() */

static const char ssh_config[] =
    "Host *\n"
    "  BatchMode yes\n"
    "  IdentitiesOnly yes\n"
    "  HostKeyAlias relay\n"
    "  GlobalKnownHostsFile none\n"
    "  RemoteCommand false\n"
    "Host unknown\n  UserKnownHostsFile @/nothing\n"
    "Host changed\n  UserKnownHostsFile @/known_wrong\n"
    "Host stranger\n  IdentityFile @/key_wrong\n"
    "Host * !stranger\n  IdentityFile @/key\n"
    "Host refused\n  HostName 127.0.0.1\n  Port 1\n"
    "Host nowhere\n  HostName nowhere.invalid\n"
    "Host noisy short user password\n"
    "  ProxyCommand sh -c 'echo $$ >@/pid; exec @SSHD -i -f @/sshd_config "
    "-o ForceCommand=@/%n'\n"
    "Host good unknown changed stranger\n"
    "  ProxyCommand sh -c 'echo $$ >@/pid; exec @SSHD -i -f @/sshd_config'\n"
    "Host *\n"
    "  UserKnownHostsFile @/known\n"
    "  User @USER\n";

static const char sshd_config[] = "HostKey @/hostkey\n"
				  "AuthorizedKeysFile @/key.pub\n"
				  "StrictModes no\n"
				  "PermitRootLogin yes\n"
				  "PasswordAuthentication no\n"
				  "KbdInteractiveAuthentication no\n"
				  "UsePAM no\n"
				  "PidFile none\n";

/* Login shells of some hosts. */
static const char noisy[] = "#!/bin/sh\necho Welcome to this fine server\n"
			    "echo And mind the step >&2\n"
			    "exec sh -c \"$SSH_ORIGINAL_COMMAND\"\n";
static const char cuts_input[] = "#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in\n"
				 "*ready*) exec sh -c \"$SSH_ORIGINAL_COMMAND\" ;;\n"
				 "esac\n"
				 "head -c 40 | sh -c \"$SSH_ORIGINAL_COMMAND\"\n";
static const char user[] = "#!/bin/sh\nPATH=@/fake:$PATH\n"
			   "exec sh -c \"$SSH_ORIGINAL_COMMAND\"\n";
static const char password[] = "#!/bin/sh\nPATH=@/fake_password:@/fake:$PATH\n"
			       "exec sh -c \"$SSH_ORIGINAL_COMMAND\"\n";
static const char fake_id[] = "#!/bin/sh\necho 1000\n";
static const char fake_sudo[] =
    "#!/bin/sh\n[ \"$1\" = -n ] || exit 9\nshift\necho x >>@/sudo_used\nexec \"$@\"\n";
static const char fake_sudo_password[] =
    "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n";

static const char wrapper[] = "#!/bin/sh\nPATH=@PATH\nexec ssh -F @/config \"$@\"\n";

/* Put the values in: "@/" is the folder. */
static void write_from(const char *name, const char *text, mode_t mode)
{
	const struct passwd *me = getpwuid(getuid());
	struct span rest = span_of(text), part;
	struct text out = { 0 };
	char *path = support_path(dir, name);

	while (span_cut(&rest, '@', &part)) {
		text_add_span(&out, part);
		if (!rest.data)
			break;
		if (span_starts(rest, "/")) {
			text_add(&out, dir);
		} else if (span_starts(rest, "SSHD")) {
			text_add(&out, "/usr/sbin/sshd");
			rest = span_skip(rest, 4);
		} else if (span_starts(rest, "USER")) {
			text_add(&out, me->pw_name);
			rest = span_skip(rest, 4);
		} else if (span_starts(rest, "PATH")) {
			text_add(&out, getenv("PATH"));
			rest = span_skip(rest, 4);
		} else {
			text_add(&out, "@");
		}
	}
	support_write_file(path, text_span(&out));
	chmod(path, mode);
	free(path);
	text_free(&out);
}

static void shell(const char *command)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (chdir(dir) == 0)
			execl("/bin/sh", "sh", "-euc", command, (char *)NULL);
		_exit(99);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "test_host: failed: %s\n", command);
		abort();
	}
}

/* Returns whether root's sshd had no directory, and now has. */
static bool prepare(void)
{
	bool made = getuid() == 0 && mkdir(SSHD_DIRECTORY, 0755) == 0;
	struct text path = { 0 };

	dir = support_tmpdir();
	chmod(dir, 0755);
	shell("mkdir bin fake fake_password\n"
	      "for f in key key_wrong hostkey hostkey_wrong; do\n"
	      "  ssh-keygen -q -t ed25519 -N '' -C test -f $f; done\n"
	      "sed 's/^/relay /' hostkey.pub >known\n"
	      "sed 's/^/relay /' hostkey_wrong.pub >known_wrong");
	write_from("config", ssh_config, 0600);
	write_from("sshd_config", sshd_config, 0600);
	write_from("noisy", noisy, 0755);
	write_from("short", cuts_input, 0755);
	write_from("user", user, 0755);
	write_from("password", password, 0755);
	write_from("fake/id", fake_id, 0755);
	write_from("fake/sudo", fake_sudo, 0755);
	write_from("fake_password/sudo", fake_sudo_password, 0755);
	write_from("bin/ssh", wrapper, 0755);
	text_printf(&path, "%s/bin:%s", dir, getenv("PATH"));
	setenv("PATH", path.data, 1);
	unsetenv("SSH_AUTH_SOCK");
	text_free(&path);
	return made;
}

static struct host *open_good(const char *name)
{
	char error[HOST_ERROR_MAX] = "";
	struct host *h = host_open(name, false, error);

	if (!h)
		print_error("%s: %s\n", name, error);
	assert_non_null(h);
	assert_string_equal(host_name(h), name);
	return h;
}

static void expect(struct host *h, const char *script, struct span in, int status,
    struct span out, const char *err)
{
	char error[HOST_ERROR_MAX] = "";
	struct host_reply reply;

	if (!host_run(h, script, in, NULL, NULL, &reply, error))
		fail_msg("%s: %s", script, error);
	support_assert_span(text_span(&reply.out), out);
	if (err)
		support_assert_span(text_span(&reply.err), span_of(err));
	assert_int_equal(reply.status, status);
	host_reply_free(&reply);
}

/* The same everywhere. */
static const struct script_case {
	const char *name, *script, *in;
	int status;
	const char *out, *err;
} script_cases[] = {
	{ "nothing", "", "", 0, "", "" },
	{ "comment", "# nothing", "", 0, "", "" },
	{ "words", "echo one; echo two >&2", "", 0, "one\n", "two\n" },
	{ "no line break", "printf one; printf two >&2", "", 0, "one", "two" },
	{ "status", "echo x; exit 7; echo y", "", 7, "x\n", "" },
	{ "status 255 is ssh's own", "exit 255", "", 254, "", "" },
	{ "stops at a failure", "echo x\nfalse\necho y", "", 1, "x\n", "" },
	{ "unset variable", "echo x; echo $nothing; echo y", "", 2, "x\n", NULL },
	{ "mistake at the end: nothing runs", "echo x\necho 'y", "", 2, "", NULL },
	{ "input", "cat; echo end", "in\nput", 0, "in\nputend\n", "" },
	{ "input is not the script", "read a; echo \"<$a>\"", "line\n", 0, "<line>\n",
	    "" },
	{ "input not read", "echo x", "input", 0, "x\n", "" },
	{ "here-document", "cat <<'E'\n$a '\nE\necho end", "", 0, "$a '\nend\n", "" },
	{ "quotes", "echo \"it's\" '\"$x\"' \\\\!", "", 0, "it's \"$x\" \\!\n", "" },
	{ "root directory, umask", "pwd; umask", "", 0, "/\n0022\n", "" },
	{ "signal", "(sh -c 'kill -9 $$'); echo y", "", 137, "", NULL },
	{ "trap", "trap 'echo bye' EXIT; exit 3", "", 3, "bye\n", "" },
};

static void run_case(struct host *h, const struct script_case *c)
{
	expect(h, c->script, span_of(c->in), c->status, span_of(c->out), c->err);
}

static void local_script(void **state)
{
	struct host *h = open_good("localhost");

	assert_true(host_is_local(h));
	run_case(h, *state);
	host_close(h);
}

static void ssh_scripts(void **state)
{
	struct host *h = open_good("good");

	assert_false(host_is_local(h));
	for (size_t i = 0; i < ARRAY_LEN(script_cases); i++)
		run_case(h, &script_cases[i]);
	assert_int_equal(host_round_trips(h), 1 + ARRAY_LEN(script_cases));
	host_close(h);
}

/* All bytes, more than any pipe holds, in both directions at once. */
static void check_binary(const char *name)
{
	size_t len = 3 << 20;
	char *bytes = malloc(len);
	struct host *h = open_good(name);
	uint64_t seed = 1;

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)support_random(&seed, 256);
	expect(h, "cat", span_make(bytes, len), 0, span_make(bytes, len), "");
	expect(
	    h, "cat >/dev/null; echo x", span_make(bytes, len), 0, span_of("x\n"), "");
	expect(h, "echo x", span_make(bytes, len), 0, span_of("x\n"), "");
	host_close(h);
	free(bytes);
}

static void binary(void **state)
{
	check_binary("@local");
	check_binary("good");
}

static void long_script(void **state)
{
	struct text script = { 0 };
	struct host *h = open_good("good");

	while (script.len < 300000)
		text_add(
		    &script, ": a line of a script that is longer than arguments\n");
	text_add(&script, "echo end; cat");
	expect(h, script.data, span_of("input"), 0, span_of("end\ninput"), "");
	host_close(h);
	text_free(&script);
}

static void too_much(void **state)
{
	char error[HOST_ERROR_MAX];
	struct host_reply reply;
	struct host *h = open_good("localhost");

	assert_false(
	    host_run(h, "cat /dev/zero", span_of(""), NULL, NULL, &reply, error));
	assert_non_null(strstr(error, "64 MiB"));
	host_reply_free(&reply);
	host_close(h);
}

struct flow_seen {
	size_t len, max; /* bytes that came, and at which they are refused */
	uint64_t sum;
};

static bool flow_take(void *arg, struct span bytes)
{
	struct flow_seen *f = arg;

	for (size_t i = 0; i < bytes.len; i++)
		f->sum = f->sum * 31 + (unsigned char)bytes.data[i];
	f->len += bytes.len;
	return f->len < f->max;
}

/* More than a reply may be, from a file, there and back. */
static void check_flow(const char *name)
{
	struct flow_seen seen = { .max = SIZE_MAX }, wanted = { .max = SIZE_MAX };
	char *path = support_path(dir, "flow"), error[HOST_ERROR_MAX], bytes[4096];
	struct host_flow flow = { .take = flow_take, .arg = &seen };
	struct host *h = open_good(name);
	struct host_reply reply;
	uint64_t seed = 7;
	FILE *file = fopen(path, "we");

	flow_take(&wanted, span_of("first\n"));
	for (int i = 0; i < 1500; i++) {
		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (char)support_random(&seed, 256);
		assert_int_equal(fwrite(bytes, 1, sizeof(bytes), file), sizeof(bytes));
		flow_take(&wanted, span_make(bytes, sizeof(bytes)));
	}
	fclose(file);
	flow.from = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(host_stream(h, "cat; echo end >&2; exit 3", span_of("first\n"),
	    &flow, NULL, NULL, &reply, error));
	assert_int_equal(reply.status, 3);
	assert_int_equal(reply.out.len, 0);
	support_assert_span(text_span(&reply.err), span_of("end\n"));
	assert_int_equal(seen.len, wanted.len);
	assert_int_equal(seen.sum, wanted.sum);
	host_reply_free(&reply);

	/* Input that is not read does not matter. */
	assert_int_equal(lseek(flow.from, 0, SEEK_SET), 0);
	seen = (struct flow_seen){ .max = SIZE_MAX };
	assert_true(
	    host_stream(h, "echo x", span_of(""), &flow, NULL, NULL, &reply, error));
	assert_int_equal(reply.status, 0);
	assert_int_equal(seen.len, 2);
	host_reply_free(&reply);
	close(flow.from);

	/* Output without end, refused. */
	flow.from = -1;
	seen = (struct flow_seen){ .max = 100 << 20 };
	assert_true(host_stream(
	    h, "cat /dev/zero", span_of(""), &flow, NULL, NULL, &reply, error));
	assert_in_range(seen.len, 100 << 20, (100 << 20) + (1 << 20));
	host_reply_free(&reply);
	host_close(h);
	unlink(path);
	free(path);
}

static void flows(void **state)
{
	check_flow("@local");
	check_flow("good");
}

struct lines {
	struct text seen;
	size_t longest;
};

static void on_line(void *arg, const char *line)
{
	struct lines *l = arg;

	if (!line)
		return;
	text_printf(&l->seen, "<%.20s>", line);
	if (strlen(line) > l->longest)
		l->longest = strlen(line);
}

static void stderr_lines(void **state)
{
	char error[HOST_ERROR_MAX];
	struct host_reply reply;
	struct lines l = { 0 };
	struct host *h = open_good("localhost");

	assert_true(host_run(h,
	    "echo one >&2; echo >&2; printf 'tw' >&2; printf 'o\\nthree' >&2",
	    span_of(""), on_line, &l, &reply, error));
	assert_string_equal(l.seen.data, "<one><two><three>");
	host_reply_free(&reply);
	text_free(&l.seen);

	assert_true(
	    host_run(h, "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo end >&2",
		span_of(""), on_line, &l, &reply, error));
	assert_true(l.longest >= 1000 && l.longest <= 4096);
	assert_int_equal(reply.err.len, 16 * 1024);
	assert_string_equal(reply.err.data + reply.err.len - 6, "xxend\n");
	host_reply_free(&reply);
	text_free(&l.seen);
	host_close(h);
}

/* A program that a script leaves running holds its pipes: nobody waits for that. */
static void left_running(void **state)
{
	char error[HOST_ERROR_MAX];
	struct host_reply reply;
	struct host *h = open_good("localhost");

	assert_true(host_run(
	    h, "sleep 1000 & echo $!", span_of(""), NULL, NULL, &reply, error));
	assert_int_equal(reply.status, 0);
	assert_int_equal(kill((pid_t)atoi(reply.out.data), SIGKILL), 0);
	host_reply_free(&reply);
	host_close(h);
}

/* Trouble while a command runs, made by the command's own line. */
static void on_go_kill_sshd(void *arg, const char *line)
{
	struct support_text pid;
	char *path;

	if (!line || strcmp(line, "go") != 0)
		return;
	path = support_path(dir, "pid");
	pid = support_read_file(path);
	assert_int_equal(kill((pid_t)atoi(pid.data), SIGKILL), 0);
	free(pid.data);
	free(path);
}

static void broken_connection(void **state)
{
	char error[HOST_ERROR_MAX];
	struct host_reply reply;
	struct host *h = open_good("good");

	/* Nobody is left to end the command: it must do so itself. */
	assert_false(host_run(h, "echo out; echo go >&2; sleep 30", span_of(""),
	    on_go_kill_sshd, NULL, &reply, error));
	assert_non_null(strstr(error, "the connection to good broke"));
	assert_non_null(strstr(error, "run the command again"));
	support_assert_span(text_span(&reply.out), span_of("out\n"));
	host_reply_free(&reply);
	/* And no new connection is made behind our back. */
	assert_false(host_run(h, "echo x", span_of(""), NULL, NULL, &reply, error));
	assert_non_null(strstr(error, "the connection to good broke"));
	assert_int_equal(reply.out.len, 0);
	assert_false(host_interrupted(h));
	host_reply_free(&reply);
	host_close(h);
}

static volatile sig_atomic_t signals_seen;

static void count_signal(int sig)
{
	signals_seen++;
}

static void on_go_interrupt(void *arg, const char *line)
{
	if (line && strcmp(line, "go") == 0)
		kill(getpid(), SIGINT);
}

static void check_interrupt(const char *name)
{
	struct sigaction action = { .sa_handler = count_signal }, former;
	char error[HOST_ERROR_MAX];
	struct host_reply reply;
	struct host *h;

	sigaction(SIGINT, &action, &former);
	signals_seen = 0;
	h = open_good(name);
	assert_false(host_run(h, "echo go >&2; exec sleep 1000", span_of(""),
	    on_go_interrupt, NULL, &reply, error));
	assert_string_equal(error, "interrupted");
	assert_true(host_interrupted(h));
	assert_int_equal(signals_seen, 0);
	host_reply_free(&reply);
	host_close(h);
	assert_int_equal(signals_seen, 1);
	sigaction(SIGINT, &former, NULL);
}

static void interrupted(void **state)
{
	check_interrupt("localhost");
	check_interrupt("good");
}

static void noisy_login(void **state)
{
	struct host *h = open_good("noisy");

	expect(h, "echo x", span_of(""), 0, span_of("x\n"), "And mind the step\n");
	host_close(h);
}

/* Of a script that came only in part nothing runs. */
static void cut_script(void **state)
{
	char error[HOST_ERROR_MAX];
	struct host_reply reply;
	struct host *h = open_good("short");

	assert_true(host_run(h, "echo one\necho two\necho three\necho four\necho five",
	    span_of(""), NULL, NULL, &reply, error));
	assert_int_equal(reply.status, 2);
	assert_int_equal(reply.out.len, 0);
	host_reply_free(&reply);
	expect(h, "echo one", span_of(""), 0, span_of("one\n"), "");
	host_close(h);
}

static void by_sudo(void **state)
{
	char *path = support_path(dir, "sudo_used");
	struct host *h = open_good("user");
	struct support_text used;

	expect(h, "cat", span_of("input"), 0, span_of("input"), "");
	used = support_read_file(path);
	assert_string_equal(used.data, "x\nx\n");
	free(used.data);
	free(path);
	host_close(h);
}

static const struct refusal_case {
	const char *name;
	const char *cause, *help;
} refusal_cases[] = {
	{ "unknown", "host key is not known", "unknown\" once by hand" },
	{ "changed", "host key is another one", "ssh-keygen -R changed" },
	{ "stranger", "accepts none of your keys", "ssh-add" },
	{ "refused", "no SSH server answers", "another port" },
	{ "nowhere", "does not resolve", "A record" },
	{ "password", "without a password", "NOPASSWD" },
	{ "-oProxyCommand=x", "cannot be the name", "" },
	{ "", "cannot be the name", "" },
	{ "a b", "cannot be the name", "" },
	{ "a\nb", "cannot be the name", "" },
};

static void refusal(void **state)
{
	const struct refusal_case *c = *state;
	char error[HOST_ERROR_MAX] = "";
	struct host *h = host_open(c->name, false, error);

	assert_null(h);
	if (!strstr(error, c->cause) || !strstr(error, c->help))
		fail_msg("%s", error);
}

static void no_ssh(void **state)
{
	char error[HOST_ERROR_MAX] = "";
	char *path = strdup(getenv("PATH"));
	struct host *h;

	setenv("PATH", dir, 1);
	h = host_open("good", false, error);
	setenv("PATH", path, 1);
	free(path);
	assert_null(h);
	assert_non_null(strstr(error, "openssh-client"));
}

static const struct remedy_case {
	const char *name, *said;
	bool root_user;
	const char *error;
} remedy_cases[] = {
	{ "unknown key, root by default", "Host key verification failed.\r\n", true,
	    "relay: its host key is not known yet (Host key verification failed.); run "
	    "\"ssh root@relay\" once by hand and compare the fingerprint" },
	{ "no route", "ssh: connect to host relay port 22: No route to host", false,
	    "relay: there is no way to it (ssh: connect to host relay port 22: No "
	    "route to "
	    "host); is it up, are you online?" },
	{ "something else", "a\nstrange \001 thing\n\n", false,
	    "relay: ssh could not log in: strange ? thing; try \"ssh relay\" by hand" },
	{ "nothing", "", true,
	    "relay: ssh could not log in: it says nothing; try \"ssh root@relay\" by "
	    "hand" },
};

static void remedy(void **state)
{
	const struct remedy_case *c = *state;
	char error[HOST_ERROR_MAX];

	host_remedy("relay", c->root_user, span_of(c->said), error);
	assert_string_equal(error, c->error);
}

/* Every remedy with names and texts of any length. */
static void long_remedy(void **state)
{
	char name[2000], said[3000], error[HOST_ERROR_MAX];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memset(said, 's', sizeof(said) - 1);
	said[sizeof(said) - 1] = '\0';
	memcpy(said + 2000, "Host key verification failed", 28);
	host_remedy(name, true, span_of(said), error);
	assert_true(strlen(error) < HOST_ERROR_MAX);
	assert_non_null(strstr(error, "is not known yet"));
}

/* Sockets and directories are gone when a connection is closed. */
static void tidy(void **state)
{
	struct host *h = open_good("good");
	char *directory = strdup(h->directory);

	assert_int_equal(access(directory, F_OK), 0);
	host_close(h);
	assert_int_equal(access(directory, F_OK), -1);
	free(directory);
	host_close(NULL);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(local_script, script_cases) },
		{ SUPPORT_TEST(ssh_scripts) },
		{ SUPPORT_TEST(binary) },
		{ SUPPORT_TEST(long_script) },
		{ SUPPORT_TEST(too_much) },
		{ SUPPORT_TEST(flows) },
		{ SUPPORT_TEST(stderr_lines) },
		{ SUPPORT_TEST(left_running) },
		{ SUPPORT_TEST(broken_connection) },
		{ SUPPORT_TEST(interrupted) },
		{ SUPPORT_TEST(noisy_login) },
		{ SUPPORT_TEST(cut_script) },
		{ SUPPORT_TEST(by_sudo) },
		{ SUPPORT_TABLE(refusal, refusal_cases) },
		{ SUPPORT_TEST(no_ssh) },
		{ SUPPORT_TABLE(remedy, remedy_cases) },
		{ SUPPORT_TEST(long_remedy) },
		{ SUPPORT_TEST(tidy) },
	};
	bool made = prepare();
	int failed;

	failed = support_run("host", tests, ARRAY_LEN(tests));
	support_tmpdir_remove(dir);
	if (made)
		rmdir(SSHD_DIRECTORY);
	return failed;
}
