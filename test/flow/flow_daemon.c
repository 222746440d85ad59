/*
 * The built daemon as its supervisor sees it: start, notifications, reload, inherited
 * sockets, a predecessor's leavings, no descriptors left, the end.
 */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/support.h"

#define DEADLINE_MS   20000 /* never waited for by a test that passes */
#define INHERITED_MAX 2

struct flow {
	char *dir, *ini, *notify_path;
	int notify; /* where the daemon's sd_notify messages arrive */
	pid_t pid;
};

/* How the child differs from a plain start. */
struct start {
	const int *inherited; /* listening sockets, INHERITED_MAX, or NULL */
	const char *watchdog_us;
	rlim_t descriptors; /* 0: as they are */
	const char *option; /* one more argument, or NULL */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void path_of(const struct flow *f, const char *name, struct sockaddr_un *sun)
{
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	assert_true(snprintf(sun->sun_path, sizeof(sun->sun_path), "%s/%s", f->dir,
			name) < (int)sizeof(sun->sun_path));
}

static void write_config(const struct flow *f, const char *more)
{
	const struct passwd *pw = getpwuid(geteuid());
	char *text;
	int len;

	assert_non_null(pw);
	len = asprintf(&text,
	    "[params]\n"
	    "mail_domain = chat.example\n"
	    "mail_user = %s\n"
	    "mailboxes_dir = %s/mail\n"
	    "state_dir = %s/state\n"
	    "auth_socket = unix:%s/auth.sock\n"
	    "metadata_socket = unix:%s/metadata.sock\n"
	    "lastlogin_socket = unix:%s/lastlogin.sock\n"
	    "http_socket = unix:%s/http.sock\n"
	    "admin_socket = unix:%s/admin.sock\n"
	    "filter_outgoing_socket = unix:%s/outgoing.sock\n"
	    "filter_incoming_socket = unix:%s/incoming.sock\n"
	    "reinject_outgoing = unix:%s/reinject-out\n"
	    "reinject_incoming = unix:%s/reinject-in\n"
	    "%s",
	    pw->pw_name, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir,
	    f->dir, f->dir, f->dir, more);
	assert_true(len > 0);
	support_write_file(f->ini, span_make(text, (size_t)len));
	free(text);
}

static void make_dir(const struct flow *f, const char *name)
{
	char *path = support_path(f->dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static void flow_init(struct flow *f)
{
	struct sockaddr_un sun;

	*f = (struct flow){ .dir = support_tmpdir(), .pid = -1 };
	f->ini = support_path(f->dir, "chatmail.ini");
	f->notify_path = support_path(f->dir, "notify.sock");
	make_dir(f, "mail");
	make_dir(f, "state");
	write_config(f, "");
	path_of(f, "notify.sock", &sun);
	f->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
	    bind(f->notify, (const struct sockaddr *)&sun, sizeof(sun)), 0);
}

static void flow_deinit(struct flow *f)
{
	close(f->notify);
	free(f->notify_path);
	free(f->ini);
	support_tmpdir_remove(f->dir);
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
	int high[INHERITED_MAX];

	for (int i = 0; i < INHERITED_MAX; i++)
		high[i] = fcntl(fd[i], F_DUPFD, 100);
	for (int i = 0; i < INHERITED_MAX; i++) {
		dup2(high[i], 3 + i);
		close(high[i]);
	}
	set_number("LISTEN_PID", getpid());
	set_number("LISTEN_FDS", INHERITED_MAX);
}

static void run_child(const struct flow *f, const struct start *s)
{
	const char *daemon = getenv("CHATMAILD");
	const struct rlimit limit = { s->descriptors, s->descriptors };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("NOTIFY_SOCKET", f->notify_path, 1);
	if (s->watchdog_us)
		setenv("WATCHDOG_USEC", s->watchdog_us, 1);
	if (s->inherited)
		inherit(s->inherited);
	if (s->descriptors && setrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(126);
	execl(daemon, "chatmaild", "-c", f->ini, s->option, (char *)NULL);
	_exit(127);
}

static void start_daemon(struct flow *f, const struct start *s)
{
	if (!getenv("CHATMAILD"))
		fail_msg("CHATMAILD is not set; run the tests by 'meson test'");
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0)
		run_child(f, s);
}

/* The next notification; it must hold text. */
static void expect_notification(struct flow *f, const char *text)
{
	struct pollfd p = { .fd = f->notify, .events = POLLIN };
	char message[512];
	ssize_t n;

	if (poll(&p, 1, DEADLINE_MS) != 1)
		fail_msg("no notification, expected %s", text);
	n = recv(f->notify, message, sizeof(message) - 1, 0);
	assert_true(n > 0);
	message[n] = '\0';
	if (!strstr(message, text))
		fail_msg("expected %s, got %s", text, message);
}

/* The exit code, or minus the signal. */
static int wait_exit(struct flow *f)
{
	struct pollfd p = { .fd = pidfd_open(f->pid, 0), .events = POLLIN };
	int status;

	assert_true(p.fd >= 0);
	if (poll(&p, 1, DEADLINE_MS) != 1) {
		kill(f->pid, SIGKILL);
		fail_msg("the daemon does not end");
	}
	close(p.fd);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	f->pid = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void start_and_wait(struct flow *f)
{
	start_daemon(f, &(struct start){ .option = NULL });
	expect_notification(f, "READY=1\nSTATUS=0 connections");
}

static void stop_and_wait(struct flow *f)
{
	kill(f->pid, SIGTERM);
	expect_notification(f, "STOPPING=1");
	assert_int_equal(wait_exit(f), 0);
}

static bool file_exists(const struct flow *f, const char *name)
{
	char *path = support_path(f->dir, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

/* -1 if nobody listens. */
static int try_connect(const struct flow *f, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sun;

	assert_true(fd >= 0);
	path_of(f, name, &sun);
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connect_to(const struct flow *f, const char *name)
{
	int fd = try_connect(f, name);

	if (fd < 0)
		fail_msg("%s: %s", name, strerror(errno));
	return fd;
}

/* Read to the end, or until text has come. */
static void read_until(int fd, const char *text, char *got, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (poll(&p, 1, DEADLINE_MS) != 1)
			fail_msg("no answer");
		n = read(fd, got + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		got[len] = '\0';
		if (text && strstr(got, text))
			break;
	}
	got[len] = '\0';
}

struct page {
	char text[65536];
};

static void scrape(const struct flow *f, const char *accept, struct page *page)
{
	int fd = connect_to(f, "http.sock");

	dprintf(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: %s\r\n\r\n", accept);
	read_until(fd, NULL, page->text, sizeof(page->text));
	close(fd);
}

static unsigned long metric(const struct flow *f, const char *name)
{
	struct page page;
	const char *at;

	scrape(f, "*/*", &page);
	at = strstr(page.text, name);
	if (!at)
		fail_msg("no %s in %s", name, page.text);
	return strtoul(at + strlen(name), NULL, 10);
}

/* A dict connection that lives: its lookup of a foreign name is answered "N". */
static void assert_dict_answers(int fd)
{
	char got[64];

	dprintf(fd, "H3\t2\t0\t\tauth\nLshared/userdb/nobody@chat.example\tnobody\n");
	read_until(fd, "\n", got, sizeof(got));
	assert_string_equal(got, "N\n");
}

static void starts_and_stops(void **state)
{
	struct flow f;
	int fd;

	flow_init(&f);
	start_and_wait(&f);
	assert_true(file_exists(&f, "auth.sock"));
	fd = connect_to(&f, "auth.sock");
	assert_dict_answers(fd);
	stop_and_wait(&f);
	close(fd);
	assert_false(file_exists(&f, "auth.sock"));
	assert_false(file_exists(&f, "outgoing.sock"));
	assert_false(file_exists(&f, "http.sock"));
	flow_deinit(&f);
}

/* An SMTP session whose mail has begun and not ended. */
static int begin_mail(const struct flow *f)
{
	static const struct {
		const char *send, *expect;
	} steps[] = {
		{ "", "220 " },
		{ "EHLO test\r\n", "250 " },
		{ "MAIL FROM:<alice@chat.example>\r\n", "250 " },
		{ "RCPT TO:<bob@chat.example>\r\n", "250 " },
		{ "DATA\r\n", "354 " },
	};
	int fd = connect_to(f, "outgoing.sock");
	char got[1024];

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		dprintf(fd, "%s", steps[i].send);
		read_until(fd, steps[i].expect, got, sizeof(got));
		if (!strstr(got, steps[i].expect))
			fail_msg("%s: %s", steps[i].send, got);
	}
	dprintf(fd, "From: alice@chat.example\r\n");
	return fd;
}

static void mail_in_flight_is_answered(void **state)
{
	struct flow f;
	char got[256];
	int fd;

	flow_init(&f);
	start_and_wait(&f);
	fd = begin_mail(&f);
	kill(f.pid, SIGTERM);
	expect_notification(&f, "STOPPING=1");
	dprintf(fd, "\r\ncleartext\r\n.\r\n");
	read_until(fd, "\n", got, sizeof(got));
	assert_int_equal(got[0], '5');
	assert_int_equal(wait_exit(&f), 0);
	close(fd);
	flow_deinit(&f);
}

static void told_twice_it_waits_for_nobody(void **state)
{
	struct flow f;
	int64_t began;
	int fd;

	flow_init(&f);
	start_and_wait(&f);
	fd = begin_mail(&f);
	began = now_ms();
	kill(f.pid, SIGINT);
	expect_notification(&f, "STOPPING=1");
	kill(f.pid, SIGTERM);
	assert_int_equal(wait_exit(&f), 0);
	assert_true(now_ms() - began < 5000); /* what the mail would have had */
	close(fd);
	flow_deinit(&f);
}

static void mail_that_never_ends_is_left(void **state)
{
	struct flow f;
	char got[256];
	int fd;

	flow_init(&f);
	start_and_wait(&f);
	fd = begin_mail(&f);
	kill(f.pid, SIGTERM);
	expect_notification(&f, "STOPPING=1");
	assert_int_equal(wait_exit(&f), 0);
	read_until(fd, NULL, got, sizeof(got));
	assert_int_not_equal(got[0], '2'); /* not acknowledged */
	close(fd);
	flow_deinit(&f);
}

static void reload_keeps_connections(void **state)
{
	struct flow f;
	int fd;

	flow_init(&f);
	start_and_wait(&f);
	fd = connect_to(&f, "auth.sock");

	write_config(&f, "max_user_send_per_minute = 7\nusername_min_length = 1\n");
	kill(f.pid, SIGHUP);
	expect_notification(&f, "RELOADING=1\nMONOTONIC_USEC=");
	expect_notification(&f, "READY=1\nSTATUS=");
	assert_dict_answers(fd);
	close(fd);
	stop_and_wait(&f);
	flow_deinit(&f);
}

static void bad_reload_changes_nothing(void **state)
{
	struct flow f;
	int fd;

	flow_init(&f);
	start_and_wait(&f);
	support_write_file(f.ini, span_of("[params]\nmax_message_size = huge\n"));
	kill(f.pid, SIGHUP);
	expect_notification(&f, "RELOADING=1");
	expect_notification(&f, "READY=1");
	fd = connect_to(&f, "auth.sock");
	assert_dict_answers(fd);
	close(fd);

	/* And what needs a restart waits for one. */
	write_config(&f, "metrics_address = inet:127.0.0.1:9\n");
	kill(f.pid, SIGHUP);
	expect_notification(&f, "RELOADING=1");
	expect_notification(&f, "READY=1");
	close(connect_to(&f, "http.sock"));
	stop_and_wait(&f);
	flow_deinit(&f);
}

static void watchdog_is_fed(void **state)
{
	struct flow f;

	flow_init(&f);
	start_daemon(&f, &(struct start){ .watchdog_us = "50000" });
	expect_notification(&f, "READY=1");
	expect_notification(&f, "WATCHDOG=1");
	expect_notification(&f, "WATCHDOG=1");
	kill(f.pid, SIGTERM);
	assert_int_equal(wait_exit(&f), 0);
	flow_deinit(&f);
}

static void second_one_is_refused(void **state)
{
	struct flow first, second;

	flow_init(&first);
	start_and_wait(&first);
	second = first;
	start_daemon(&second, &(struct start){ .option = NULL });
	assert_int_equal(wait_exit(&second), 1);
	close(connect_to(&first, "auth.sock"));
	stop_and_wait(&first);
	flow_deinit(&first);
}

static void leavings_of_a_killed_one(void **state)
{
	struct flow f;

	flow_init(&f);
	start_and_wait(&f);
	kill(f.pid, SIGKILL);
	assert_int_equal(wait_exit(&f), -SIGKILL);
	assert_true(file_exists(&f, "auth.sock"));
	start_and_wait(&f);
	close(connect_to(&f, "auth.sock"));
	stop_and_wait(&f);
	flow_deinit(&f);
}

static int listen_at(const struct flow *f, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sun;

	path_of(f, name, &sun);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void sockets_are_inherited(void **state)
{
	int inherited[INHERITED_MAX], early, late;
	struct flow f;

	flow_init(&f);
	/* The order proves nothing: the foreign one comes first. */
	inherited[0] = listen_at(&f, "foreign.sock");
	inherited[1] = listen_at(&f, "auth.sock");
	early = connect_to(&f, "auth.sock"); /* waits for the daemon to come */
	start_daemon(&f, &(struct start){ .inherited = inherited });
	close(inherited[0]);
	close(inherited[1]);
	expect_notification(&f, "READY=1");

	assert_dict_answers(early);
	late = connect_to(&f, "auth.sock");
	assert_dict_answers(late);
	assert_int_equal(try_connect(&f, "foreign.sock"), -1);
	close(early);
	close(late);
	stop_and_wait(&f);
	assert_true(file_exists(&f, "auth.sock")); /* it is systemd's */
	flow_deinit(&f);
}

static void out_of_descriptors(void **state)
{
	enum { LIMIT = 48, CLIENTS = 64 };
	unsigned long tries;
	int fd[CLIENTS];
	struct flow f;
	int64_t began;
	char got[64];

	flow_init(&f);
	start_daemon(&f, &(struct start){ .descriptors = LIMIT });
	expect_notification(&f, "READY=1");
	began = now_ms();
	for (unsigned i = 0; i < CLIENTS; i++)
		fd[i] = connect_to(&f, "auth.sock");
	assert_dict_answers(fd[0]); /* those inside go on */

	/* The last one is served once others leave room. */
	dprintf(fd[CLIENTS - 1], "H3\t2\t0\t\tauth\nLshared/userdb/a@b\ta\n");
	for (unsigned i = 0; i < CLIENTS - 1; i++)
		close(fd[i]);
	read_until(fd[CLIENTS - 1], "\n", got, sizeof(got));
	assert_string_equal(got, "N\n");
	close(fd[CLIENTS - 1]);

	tries = metric(&f, "chatmail_connections_refused_total{service=\"auth\"} ");
	assert_true(tries >= 1);
	/* One failed try each 100 ms; a loop that spins makes thousands. */
	assert_true((int64_t)tries <= 2 + (now_ms() - began) / 100);
	stop_and_wait(&f);
	flow_deinit(&f);
}

static void metrics_in_both_formats(void **state)
{
	struct flow f;
	struct page page;

	flow_init(&f);
	start_and_wait(&f);
	scrape(&f, "*/*", &page);
	assert_non_null(strstr(page.text, "text/plain; version=0.0.4"));
	assert_non_null(
	    strstr(page.text, "# TYPE chatmail_connections_accepted_total counter\n"));
	assert_null(strstr(page.text, "# EOF"));
	scrape(&f, "application/openmetrics-text; version=1.0.0", &page);
	assert_non_null(strstr(page.text, "application/openmetrics-text"));
	assert_non_null(
	    strstr(page.text, "# TYPE chatmail_connections_accepted counter\n"));
	assert_non_null(strstr(page.text, "\n# EOF\n"));
	stop_and_wait(&f);
	flow_deinit(&f);
}

/* Is the name in text, in backquotes as the documentation writes it? */
static bool documented(const char *text, const char *name, size_t len)
{
	char quoted[128];

	snprintf(quoted, sizeof(quoted), "`%.*s`", (int)len, name);
	return strstr(text, quoted) != NULL;
}

static void every_metric_is_documented(void **state)
{
	static const char type[] = "\n# TYPE ", name_starts[] = "`chatmail_";
	const char *path = getenv("CHATMAIL_METRICS_DOC");
	struct support_text doc;
	struct page page;
	struct flow f;

	assert_non_null(path);
	doc = support_read_file(path);
	flow_init(&f);
	start_and_wait(&f);
	scrape(&f, "*/*", &page);
	stop_and_wait(&f);
	for (char *at = page.text; (at = strstr(at, type));) {
		at += strlen(type);
		if (!documented(doc.data, at, strcspn(at, " ")))
			fail_msg("not documented: %.40s", at);
	}
	/* And nothing is documented that is not there. */
	for (char *at = doc.data; (at = strstr(at, name_starts)); at++) {
		char line[160];

		snprintf(line, sizeof(line), "# TYPE %.*s ", (int)strcspn(at + 1, "`"),
		    at + 1);
		if (!strstr(page.text, line))
			fail_msg("documented, but not there: %s", line);
	}
	free(doc.data);
	flow_deinit(&f);
}

static const struct check_case {
	const char *name;
	const char *config; /* NULL: the good one */
	const char *option;
	int code;
} check_cases[] = {
	{ "good config", NULL, "--check-config", 0 },
	{ "bad config", "[params]\nmail_domain = a b\n", "--check-config", 1 },
	{ "no file", "", "--check-config", 1 },
	{ "unknown option", NULL, "--bogus", 1 },
	{ "an argument too many", NULL, "stop", 1 },
	{ "version", NULL, "--version", 0 },
	{ "help", NULL, "--help", 0 },
	{ "bad config at start", "[params]\n", NULL, 1 },
};

static void exit_codes(void **state)
{
	const struct check_case *c = *state;
	struct flow f;

	flow_init(&f);
	if (c->config && *c->config)
		support_write_file(f.ini, span_of(c->config));
	else if (c->config)
		assert_int_equal(unlink(f.ini), 0);
	start_daemon(&f, &(struct start){ .option = c->option });
	assert_int_equal(wait_exit(&f), c->code);
	assert_false(file_exists(&f, "auth.sock"));
	flow_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(exit_codes, check_cases) },
		{ SUPPORT_TEST(starts_and_stops) },
		{ SUPPORT_TEST(mail_in_flight_is_answered) },
		{ SUPPORT_TEST(mail_that_never_ends_is_left) },
		{ SUPPORT_TEST(told_twice_it_waits_for_nobody) },
		{ SUPPORT_TEST(reload_keeps_connections) },
		{ SUPPORT_TEST(bad_reload_changes_nothing) },
		{ SUPPORT_TEST(watchdog_is_fed) },
		{ SUPPORT_TEST(second_one_is_refused) },
		{ SUPPORT_TEST(leavings_of_a_killed_one) },
		{ SUPPORT_TEST(sockets_are_inherited) },
		{ SUPPORT_TEST(out_of_descriptors) },
		{ SUPPORT_TEST(metrics_in_both_formats) },
		{ SUPPORT_TEST(every_metric_is_documented) },
	};

	return support_run("daemon", tests, ARRAY_LEN(tests));
}
