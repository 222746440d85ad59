/*
 * "chatmailctl top" on a terminal of tmux: what it draws of the built daemon, in any size, and
 * how it leaves.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/flow/built.h"

#define TMUX       "/usr/bin/tmux"
#define SKIPPED    77
#define SCREEN_MAX 16384
#define PAUSE_US   20000

struct house {
	struct built b;
	pid_t tmux;
	char *socket;
	char screen[SCREEN_MAX];
};

/* What a command of tmux says. False if it fails. */
static bool tmux(struct house *h, const char *command, char *said, size_t size)
{
	char line[1024];
	size_t len;
	FILE *in;

	snprintf(
	    line, sizeof(line), "%s -S %s %s 2>/dev/null", TMUX, h->socket, command);
	in = popen(line, "r");
	assert_non_null(in);
	len = fread(said, 1, size - 1, in);
	said[len] = '\0';
	return pclose(in) == 0;
}

static void order(struct house *h, const char *command)
{
	char said[256];

	if (!tmux(h, command, said, sizeof(said)))
		fail_msg("tmux %s: %s", command, said);
}

static void look(struct house *h)
{
	if (!tmux(h, "capture-pane -p", h->screen, sizeof(h->screen)))
		h->screen[0] = '\0';
}

static bool shows(struct house *h, const char *text)
{
	look(h);
	return strstr(h->screen, text) != NULL;
}

static void expect(struct house *h, const char *text)
{
	time_t end = time(NULL) + BUILT_DEADLINE_MS / 1000;

	while (!shows(h, text)) {
		if (time(NULL) > end)
			fail_msg("not \"%s\" but \"%s\"", text, h->screen);
		usleep(PAUSE_US);
	}
}

/* A shell that runs top, tells how that ended, and then shows what is typed. */
static void open_terminal(struct house *h)
{
	char *ini = built_path(&h->b, "chatmail.ini"), command[900], said[8];
	time_t end = time(NULL) + BUILT_DEADLINE_MS / 1000;

	snprintf(command, sizeof(command),
	    "new-session -d -x 90 -y 45 \"echo before; '%s' -c '%s' top; "
	    "echo left with \\$?; exec cat\"",
	    getenv("CHATMAILCTL"), ini);
	while (!tmux(h, command, said, sizeof(said))) {
		assert_true(time(NULL) < end);
		usleep(PAUSE_US);
	}
	free(ini);
}

static void house_init(struct house *h, bool daemon)
{
	char *argv[] = { (char *)TMUX, (char *)"-S", NULL, (char *)"-f",
		(char *)"/dev/null", (char *)"-D", NULL };

	built_init(&h->b);
	if (daemon)
		built_start(&h->b);
	h->socket = argv[2] = built_path(&h->b, "tmux.sock");
	h->tmux = built_run(&h->b, argv, "tmux.log");
	open_terminal(h);
}

static void house_deinit(struct house *h)
{
	int status;

	order(h, "kill-server");
	assert_int_equal(waitpid(h->tmux, &status, 0), h->tmux);
	if (h->b.pid > 0)
		built_stop(&h->b);
	free(h->socket);
	built_deinit(&h->b);
}

/* It has gone, and the terminal is as it was before. */
static void expect_left(struct house *h, unsigned code)
{
	char text[32], state[32];

	snprintf(text, sizeof(text), "left with %u", code);
	expect(h, text);
	assert_non_null(strstr(h->screen, "before\n"));
	assert_null(strstr(h->screen, "milliseconds"));
	assert_true(tmux(h, "display-message -p '#{alternate_on} #{cursor_flag}'",
	    state, sizeof(state)));
	assert_string_equal(state, "0 1\n");
	/* What is typed is seen at once, by the terminal's own doing. */
	order(h, "send-keys typed");
	expect(h, "typed");
}

static void is_told_without_a_daemon(void **state)
{
	struct house h;

	house_init(&h, false);
	expect(&h, "systemctl start chatmaild");
	expect_left(&h, 1);
	house_deinit(&h);
}

static const struct leave_case {
	const char *name, *keys;
} leave_cases[] = {
	{ "q", "send-keys q" },
	{ "Q", "send-keys Q" },
	{ "Ctrl-C", "send-keys C-c" },
	{ "other keys do not matter", "send-keys x Enter Up q" },
};

static void leaves(void **state)
{
	const struct leave_case *c = *state;
	struct house h;

	house_init(&h, true);
	expect(&h, "nothing was refused");
	assert_null(strstr(h.screen, "before"));
	order(&h, c->keys);
	expect_left(&h, 0);
	house_deinit(&h);
}

static const struct shown_case {
	const char *name;
} shown_cases[] = {
	{ BUILT_DOMAIN },
	{ " up " },
	{ "0 notifications waiting" },
	{ "logins" },
	{ "accounts made" },
	{ "mail out" },
	{ "mail in" },
	{ "notifications sent" },
	{ "half below" },
	{ "lookup" },
	{ "new account" },
	{ "re-injection" },
};

/* A login that makes an account, and one that is refused. */
static void log_in_twice(struct house *h)
{
	char got[1024];
	int fd = built_send(&h->b, "auth.sock",
	    "H3\t2\t0\t\tauth\nLshared/passdb/a long password\"someone12@" BUILT_DOMAIN
	    "\tx\n");

	built_read(fd, "\n", got, sizeof(got));
	assert_int_equal(got[0], 'O');
	close(fd);
	fd = built_send(&h->b, "auth.sock",
	    "H3\t2\t0\t\tauth\nLshared/passdb/short\"someone13@" BUILT_DOMAIN "\tx\n");
	built_read(fd, "\n", got, sizeof(got));
	assert_int_equal(got[0], 'N');
	close(fd);
}

static void shows_what_happens(void **state)
{
	struct house h;

	house_init(&h, true);
	expect(&h, "0 accounts ");
	for (size_t i = 0; i < ARRAY_LEN(shown_cases); i++)
		expect(&h, shown_cases[i].name);
	log_in_twice(&h);
	expect(&h, "1 accounts ");
	expect(&h, "refused\n  account ");
	assert_null(strstr(h.screen, "nothing was refused"));
	order(&h, "send-keys q");
	expect_left(&h, 0);
	house_deinit(&h);
}

/* Does the picture fill the terminal as it is now: from its first line, and none too long? */
static bool fills(struct house *h, unsigned columns, unsigned rows)
{
	char *line, *rest = h->screen;
	unsigned n = 0;

	if (!shows(h, " connections") || !span_starts(span_of(h->screen), BUILT_DOMAIN))
		return false;
	while ((line = strsep(&rest, "\n")) && rest) {
		if (strlen(line) > columns)
			return false;
		n++;
	}
	return n == rows;
}

/* Waits until it does: what is seen right after may be the picture of before. More: whether
 * there is room for the last lines. */
static void expect_size(struct house *h, unsigned columns, unsigned rows, bool more)
{
	char command[64];
	time_t end = time(NULL) + BUILT_DEADLINE_MS / 1000;

	snprintf(command, sizeof(command), "resize-window -x %u -y %u", columns, rows);
	order(h, command);
	while (shows(h, "nothing was refused") != more || !fills(h, columns, rows)) {
		if (time(NULL) > end)
			fail_msg("not as %u x %u: \"%s\"", columns, rows, h->screen);
		usleep(PAUSE_US);
	}
}

static void follows_the_terminal(void **state)
{
	struct house h;

	house_init(&h, true);
	expect(&h, "nothing was refused");
	expect_size(&h, 60, 8, false);
	expect_size(&h, 120, 50, true);
	expect_size(&h, 40, 3, false);
	order(&h, "send-keys q");
	order(&h, "resize-window -x 90 -y 45");
	expect_left(&h, 0);
	house_deinit(&h);
}

static void waits_for_the_next_daemon(void **state)
{
	struct house h;

	house_init(&h, true);
	expect(&h, " up ");
	built_stop(&h.b);
	expect(&h, "does not answer since");
	assert_non_null(strstr(h.screen, "systemctl start chatmaild"));
	built_start(&h.b);
	expect(&h, " up ");
	built_kill(&h.b);
	expect(&h, "does not answer since");
	built_start(&h.b);
	expect(&h, " up ");
	log_in_twice(&h);
	expect(&h, "1 accounts ");
	order(&h, "send-keys q");
	expect_left(&h, 0);
	house_deinit(&h);
}

static void leaves_a_daemon_that_hangs(void **state)
{
	struct house h;

	house_init(&h, true);
	expect(&h, " up ");
	assert_return_code(kill(h.b.pid, SIGSTOP), errno);
	expect(&h, "does not answer since");
	order(&h, "send-keys q");
	expect_left(&h, 0);
	assert_return_code(kill(h.b.pid, SIGCONT), errno);
	house_deinit(&h);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(is_told_without_a_daemon) },
		{ SUPPORT_TABLE(leaves, leave_cases) },
		{ SUPPORT_TEST(shows_what_happens) },
		{ SUPPORT_TEST(follows_the_terminal) },
		{ SUPPORT_TEST(waits_for_the_next_daemon) },
		{ SUPPORT_TEST(leaves_a_daemon_that_hangs) },
	};

	if (access(TMUX, X_OK) < 0)
		return SKIPPED;
	return support_run("flow_top", tests, ARRAY_LEN(tests));
}
