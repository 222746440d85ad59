/*
 * The built daemon is killed (SIGKILL) again and again while logins make accounts: every
 * account that a login was told of is there after the next start, with the same hash, and
 * so it is after the database was damaged or lost.
 */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support.h"

#define DOMAIN      "chat.example"
#define DEADLINE_MS 20000 /* never waited for by a test that passes */
#define LOGINS      40    /* at once, in each life of the daemon */
#define LIVES       5
#define ACCOUNTS    (LOGINS * LIVES)
#define REPLY_MAX   1024

struct flow {
	char *dir;
	int notify; /* the daemon's sd_notify messages */
	pid_t pid;
	char told[ACCOUNTS][REPLY_MAX]; /* the O lines that logins got; "" if none */
};

static void path_of(const struct flow *f, const char *name, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	assert_true(snprintf(un->sun_path, sizeof(un->sun_path), "%s/%s", f->dir,
			name) < (int)sizeof(un->sun_path));
}

static void flow_init(struct flow *f)
{
	const struct passwd *pw = getpwuid(geteuid());
	struct sockaddr_un un;
	char *ini, *text;
	int len;

	memset(f, 0, sizeof(*f));
	f->dir = support_tmpdir();
	assert_non_null(pw);
	len = asprintf(&text,
	    "[params]\nmail_domain = " DOMAIN "\nmail_user = %s\n"
	    "max_load_1m = 100000\nmin_available_memory = 1M\nmin_free_disk_space = "
	    "1M\n"
	    "mailboxes_dir = %s/mail\nstate_dir = %s/state\n"
	    "auth_socket = unix:%s/auth.sock\nlastlogin_socket = "
	    "unix:%s/lastlogin.sock\n"
	    "metadata_socket = unix:%s/metadata.sock\nhttp_socket = unix:%s/http.sock\n"
	    "admin_socket = unix:%s/admin.sock\n"
	    "filter_outgoing_socket = unix:%s/outgoing.sock\n"
	    "filter_incoming_socket = unix:%s/incoming.sock\n"
	    "reinject_outgoing = unix:%s/out\nreinject_incoming = unix:%s/in\n",
	    pw->pw_name, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir,
	    f->dir, f->dir, f->dir);
	assert_true(len > 0);
	ini = support_path(f->dir, "chatmail.ini");
	support_write_file(ini, span_make(text, (size_t)len));
	free(text);
	free(ini);
	path_of(f, "notify.sock", &un);
	f->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(f->notify, (struct sockaddr *)&un, sizeof(un)), errno);
}

static void flow_deinit(struct flow *f)
{
	close(f->notify);
	support_tmpdir_remove(f->dir);
}

static void run_child(const struct flow *f)
{
	const char *program = getenv("CHATMAILD");
	struct sockaddr_un un;
	char *ini = support_path(f->dir, "chatmail.ini");

	path_of(f, "notify.sock", &un);
	setenv("NOTIFY_SOCKET", un.sun_path, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(program, program, "-c", ini, (char *)NULL);
	_exit(127);
}

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
}

static void start(struct flow *f)
{
	char message[512] = "";

	f->pid = fork();
	assert_return_code(f->pid, errno);
	if (f->pid == 0)
		run_child(f);
	while (!strstr(message, "READY=1")) {
		ssize_t n;

		wait_readable(f->notify);
		n = recv(f->notify, message, sizeof(message) - 1, 0);
		assert_true(n >= 0);
		message[n] = '\0';
	}
}

static void stop(struct flow *f, int sig)
{
	int status;

	assert_return_code(kill(f->pid, sig), errno);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	if (sig == SIGKILL)
		assert_true(WIFSIGNALED(status));
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	while (recv(f->notify, &status, sizeof(status), MSG_DONTWAIT) > 0)
		;
}

/* A connection with the request of a login on it. */
static int login(const struct flow *f, unsigned account)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un un;
	char request[256];
	int len;

	path_of(f, "auth.sock", &un);
	assert_return_code(connect(fd, (struct sockaddr *)&un, sizeof(un)), errno);
	len = snprintf(request, sizeof(request),
	    "H3\t2\t0\t\tauth\nLshared/passdb/a long password\"number%03u@" DOMAIN
	    "\tnumber%03u@" DOMAIN "\n",
	    account, account);
	assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
	return fd;
}

/* The line that came, or "" if the connection ended before it was whole. */
static void read_reply(int fd, char reply[REPLY_MAX])
{
	size_t len = 0;

	for (;;) {
		ssize_t n;

		wait_readable(fd);
		n = recv(fd, reply + len, REPLY_MAX - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
		if (reply[len - 1] == '\n')
			break;
	}
	if (len == 0 || reply[len - 1] != '\n')
		len = 0;
	reply[len] = '\0';
	close(fd);
}

static void expect_all_told(struct flow *f)
{
	char reply[REPLY_MAX];

	for (unsigned i = 0; i < ACCOUNTS; i++) {
		if (f->told[i][0] == '\0')
			continue;
		read_reply(login(f, i), reply);
		assert_string_equal(reply, f->told[i]);
	}
}

/* One life: logins all at once, the kill when some are answered. */
static unsigned live_and_die(struct flow *f, unsigned life)
{
	unsigned first = life * LOGINS, told = 0;
	int fd[LOGINS];

	for (unsigned i = 0; i < LOGINS; i++)
		fd[i] = login(f, first + i);
	for (unsigned i = 0; i < LOGINS; i++) {
		if (i == 3 + 5 * life)
			stop(f, SIGKILL);
		read_reply(fd[i], f->told[first + i]);
		told += f->told[first + i][0] == 'O';
	}
	return told;
}

/* Nothing half: a directory has a whole password file or none. */
static void expect_nothing_half(const struct flow *f)
{
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		char name[64];
		struct stat st;
		char *path;

		snprintf(name, sizeof(name), "mail/number%03u@" DOMAIN "/password", i);
		path = support_path(f->dir, name);
		if (stat(path, &st) == 0)
			assert_int_equal(st.st_size, 120);
		free(path);
	}
}

static void killed_while_making(void **state)
{
	struct flow *f = malloc(sizeof(*f));

	assert_non_null(f);
	flow_init(f);
	for (unsigned life = 0; life < LIVES; life++) {
		start(f);
		expect_all_told(f);
		assert_true(live_and_die(f, life) >= 3);
		expect_nothing_half(f);
	}
	start(f);
	expect_all_told(f);
	stop(f, SIGTERM);
	flow_deinit(f);
	free(f);
}

static void lose_file(const char *path)
{
	assert_return_code(unlink(path), errno);
}

static void spoil_file(const char *path)
{
	support_write_file(
	    path, span_of("not a database at all, and longer than a header "
			  "of one: 16 bytes and 84 more of them follow"));
}

static const struct damage_case {
	const char *name;
	void (*damage)(const char *path);
} damage_cases[] = {
	{ "lost", lose_file },
	{ "spoilt", spoil_file },
};

/* The mailbox directories are enough. */
static void database_damaged(void **state)
{
	const struct damage_case *c = *state;
	struct flow *f = malloc(sizeof(*f));
	char *path;

	assert_non_null(f);
	flow_init(f);
	start(f);
	for (unsigned i = 0; i < LOGINS; i++) {
		read_reply(login(f, i), f->told[i]);
		assert_int_equal(f->told[i][0], 'O');
	}
	stop(f, SIGTERM);
	path = support_path(f->dir, "state/chatmaild.sqlite");
	c->damage(path);
	free(path);
	start(f);
	expect_all_told(f);
	stop(f, SIGTERM);
	flow_deinit(f);
	free(f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(killed_while_making) },
		{ SUPPORT_TABLE(database_damaged, damage_cases) },
	};

	return support_run("flow_accounts", tests, ARRAY_LEN(tests));
}
