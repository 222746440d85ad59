/* The built daemon below a temporary folder. */
#include "test/flow/built.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HASH "{SHA512-CRYPT}$6$salt$hash"

char *built_path(const struct built *b, const char *name)
{
	return support_path(b->dir, name);
}

bool built_has(const struct built *b, const char *name)
{
	char *path = built_path(b, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static struct sockaddr_un address_of(const struct built *b, const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	assert_true(snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", b->dir, name) <
		    (int)sizeof(un.sun_path));
	return un;
}

static int bind_to(const struct built *b, const char *name, int type)
{
	const struct sockaddr_un un = address_of(b, name);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_return_code(fd, errno);
	assert_return_code(bind(fd, (const struct sockaddr *)&un, sizeof(un)), errno);
	return fd;
}

int built_listen(const struct built *b, const char *name)
{
	int fd = bind_to(b, name, SOCK_STREAM);

	assert_return_code(listen(fd, 8), errno);
	return fd;
}

/* The limits that depend on the machine are out of the way. */
static FILE *open_config(const struct built *b)
{
	static const char *const sockets[] = { "auth", "lastlogin", "metadata", "http",
		"admin" };
	static const char *const directions[] = { "outgoing", "incoming" };
	const struct passwd *pw = getpwuid(geteuid());
	char *path = built_path(b, "chatmail.ini");
	FILE *ini = fopen(path, "we");

	assert_non_null(pw);
	assert_non_null(ini);
	free(path);
	fprintf(ini,
	    "[params]\nmail_domain = " BUILT_DOMAIN "\nmail_user = %s\n"
	    "max_load_1m = 100000\nmin_available_memory = 1M\n"
	    "min_free_disk_space = 1M\n"
	    "mailboxes_dir = %s/mail\nstate_dir = %s/state\n"
	    "passdb_path = %s/passdb.sqlite\n",
	    pw->pw_name, b->dir, b->dir, b->dir);
	for (size_t i = 0; i < ARRAY_LEN(sockets); i++)
		fprintf(ini, "%s_socket = unix:%s/%s.sock\n", sockets[i], b->dir,
		    sockets[i]);
	for (size_t i = 0; i < ARRAY_LEN(directions); i++)
		fprintf(ini,
		    "filter_%s_socket = unix:%s/%s.sock\n"
		    "reinject_%s = unix:%s/postfix.sock\n",
		    directions[i], b->dir, directions[i], directions[i], b->dir);
	return ini;
}

void built_configure(const struct built *b, const char *format, ...)
{
	FILE *ini = open_config(b);
	va_list args;

	va_start(args, format);
	vfprintf(ini, format, args);
	va_end(args);
	assert_return_code(fclose(ini), errno);
}

void built_init(struct built *b)
{
	*b = (struct built){ .dir = support_tmpdir(), .pidfd = -1, .pid = -1 };
	b->notify = bind_to(b, "notify.sock", SOCK_DGRAM);
	assert_return_code(fclose(open_config(b)), errno);
}

void built_deinit(struct built *b)
{
	assert_int_equal(b->pid, -1);
	close(b->notify);
	support_tmpdir_remove(b->dir);
}

static void make_dir(const struct built *b, const char *name)
{
	char *path = built_path(b, name);

	if (mkdir(path, 0700) < 0)
		assert_int_equal(errno, EEXIST);
	free(path);
}

void built_add_account(const struct built *b, const char *address)
{
	char name[320], *path;

	make_dir(b, "mail");
	snprintf(name, sizeof(name), "mail/%s", address);
	make_dir(b, name);
	snprintf(name, sizeof(name), "mail/%s/password", address);
	path = built_path(b, name);
	support_write_file(path, span_of(HASH));
	free(path);
}

static pid_t fork_bound(void)
{
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

pid_t built_run(const struct built *b, char *const *argv, const char *output)
{
	char *path = built_path(b, output);
	pid_t pid = fork_bound();

	if (pid == 0) {
		dup2(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	free(path);
	return pid;
}

static void set_number(const char *name, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", value);
	setenv(name, text, 1);
}

/* In the child. Inherited sockets must be 3 and 4, so they are moved out of the way first. */
static void inherit(const int *fd)
{
	int high[BUILT_INHERITED_MAX];

	for (int i = 0; i < BUILT_INHERITED_MAX; i++)
		high[i] = fcntl(fd[i], F_DUPFD, 100);
	for (int i = 0; i < BUILT_INHERITED_MAX; i++) {
		dup2(high[i], 3 + i);
		close(high[i]);
	}
	set_number("LISTEN_PID", getpid());
	set_number("LISTEN_FDS", BUILT_INHERITED_MAX);
}

static void run_daemon(
    const struct built *b, const char *program, const struct built_start *how)
{
	const struct rlimit limit = { how->descriptors, how->descriptors };
	const struct sockaddr_un notify = address_of(b, "notify.sock");
	const char *ini = built_path(b, "chatmail.ini");

	setenv("NOTIFY_SOCKET", notify.sun_path, 1);
	if (how->watchdog_us)
		setenv("WATCHDOG_USEC", how->watchdog_us, 1);
	if (how->inherited)
		inherit(how->inherited);
	if (how->descriptors && setrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(126);
	execl(program, "chatmaild", "-c", ini, how->option, (char *)NULL);
	_exit(127);
}

/* What one that was killed had still to say is not the next one's. */
static void forget_notifications(const struct built *b)
{
	char byte;

	while (recv(b->notify, &byte, 1, MSG_DONTWAIT) > 0)
		;
}

void built_launch(struct built *b, const struct built_start *how)
{
	const char *program = getenv("CHATMAILD");

	if (!program)
		fail_msg("CHATMAILD is not set; run the tests by 'meson test'");
	forget_notifications(b);
	b->pid = fork_bound();
	if (b->pid == 0)
		run_daemon(b, program, how);
	b->pidfd = pidfd_open(b->pid, 0);
	assert_return_code(b->pidfd, errno);
}

static void next_notification(const struct built *b, char *message, size_t size)
{
	struct pollfd p[] = { { .fd = b->notify, .events = POLLIN },
		{ .fd = b->pidfd, .events = POLLIN } };
	ssize_t n;

	if (poll(p, ARRAY_LEN(p), BUILT_DEADLINE_MS) < 1)
		fail_msg("the daemon says nothing");
	/* What it said before its end is read before the end is seen. */
	n = recv(b->notify, message, size - 1, MSG_DONTWAIT);
	if (n < 0)
		fail_msg("the daemon has ended");
	message[n] = '\0';
}

void built_expect(const struct built *b, const char *text)
{
	char message[512];

	do
		next_notification(b, message, sizeof(message));
	while (span_starts(span_of(message), "STATUS=") ||
	       span_starts(span_of(message), "EXTEND_TIMEOUT_USEC="));
	if (!strstr(message, text))
		fail_msg("expected %s, got %s", text, message);
}

void built_start(struct built *b)
{
	built_launch(b, &(struct built_start){ .option = NULL });
	built_expect(b, "READY=1\nSTATUS=0 connections");
}

void built_reload(const struct built *b)
{
	assert_return_code(kill(b->pid, SIGHUP), errno);
	built_expect(b, "RELOADING=1\nMONOTONIC_USEC=");
	built_expect(b, "READY=1\nSTATUS=");
}

int built_wait(struct built *b)
{
	struct pollfd p = { .fd = b->pidfd, .events = POLLIN };
	int status;

	if (poll(&p, 1, BUILT_DEADLINE_MS) != 1) {
		kill(b->pid, SIGKILL);
		fail_msg("the daemon does not end");
	}
	assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
	close(b->pidfd);
	b->pidfd = b->pid = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void built_stop(struct built *b)
{
	assert_return_code(kill(b->pid, SIGTERM), errno);
	built_expect(b, "STOPPING=1");
	assert_int_equal(built_wait(b), 0);
}

void built_kill(struct built *b)
{
	assert_return_code(kill(b->pid, SIGKILL), errno);
	assert_int_equal(built_wait(b), -SIGKILL);
}

int built_try_connect(const struct built *b, const char *name)
{
	const struct sockaddr_un un = address_of(b, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_return_code(fd, errno);
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return -1;
}

int built_connect(const struct built *b, const char *name)
{
	int fd = built_try_connect(b, name);

	if (fd < 0)
		fail_msg("%s: nobody listens", name);
	return fd;
}

int built_send(const struct built *b, const char *name, const char *text)
{
	int fd = built_connect(b, name);

	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return fd;
}

void built_read(int fd, const char *text, char *got, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	got[0] = '\0';
	while (!(text && strstr(got, text))) {
		ssize_t n;

		if (poll(&p, 1, BUILT_DEADLINE_MS) != 1)
			fail_msg("no answer");
		n = recv(fd, got + len, size - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
		got[len] = '\0';
	}
}

void built_scrape(const struct built *b, const char *accept, struct built_page *page)
{
	char request[128];
	int fd;

	snprintf(request, sizeof(request),
	    "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: %s\r\n\r\n", accept);
	fd = built_send(b, "http.sock", request);
	built_read(fd, NULL, page->text, sizeof(page->text));
	close(fd);
}

unsigned long built_metric(const struct built *b, const char *name)
{
	struct built_page page;
	char line[128];
	const char *at;

	snprintf(line, sizeof(line), "\n%s ", name);
	built_scrape(b, "*/*", &page);
	at = strstr(page.text, line);
	if (!at)
		fail_msg("no %s in %s", name, page.text);
	return strtoul(at + strlen(line), NULL, 10);
}
