/*
 * The built daemon between Dovecot's hook and a notification service: a message makes
 * the POST arrive, over a connection that was there before, and after any death of the
 * daemon in between.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
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

#include "test/flow/h2_server.h"
#include "test/support.h"

#define DOMAIN      "chat.example"
#define USER        "somebody1@" DOMAIN
#define GUID        "0123456789abcdef0123456789abcdef"
#define HELLO       "H3\t2\t0\t" USER "\tmetadata\n"
#define DEADLINE_MS 20000 /* never waited for by a test that passes */
#define NGHTTPD     "/usr/sbin/nghttpd"

struct flow {
	char *dir;
	struct event_base *base;
	struct tls_authority *authority;
	struct h2_server_script script;
	struct h2_server *server;
	const struct h2_server_seen *seen;
	pid_t pid;
	const char *metric; /* for has_metric() */
};

static void write_config(const struct flow *f, uint16_t port, const char *more)
{
	const struct passwd *pw = getpwuid(geteuid());
	char *path = support_path(f->dir, "chatmail.ini");
	char *text;
	int len;

	assert_non_null(pw);
	len = asprintf(&text,
	    "[params]\nmail_domain = " DOMAIN "\nmail_user = %s\n"
	    "push_url = https://localhost:%u/notify\npush_ca_file = %s/ca.pem\n%s"
	    "mailboxes_dir = %s/mail\nstate_dir = %s/state\n"
	    "auth_socket = unix:%s/auth\nmetadata_socket = unix:%s/metadata\n"
	    "lastlogin_socket = unix:%s/lastlogin\nhttp_socket = unix:%s/http\n"
	    "admin_socket = unix:%s/admin\n"
	    "filter_outgoing_socket = unix:%s/outgoing\n"
	    "filter_incoming_socket = unix:%s/incoming\n"
	    "reinject_outgoing = unix:%s/sink\nreinject_incoming = unix:%s/sink\n",
	    pw->pw_name, port, f->dir, more, f->dir, f->dir, f->dir, f->dir, f->dir,
	    f->dir, f->dir, f->dir, f->dir, f->dir, f->dir);
	assert_true(len > 0);
	support_write_file(path, span_make(text, (size_t)len));
	free(text);
	free(path);
}

static void make_dir(const struct flow *f, const char *name)
{
	char *path = support_path(f->dir, name);

	assert_return_code(mkdir(path, 0700), errno);
	free(path);
}

static int connect_to(const struct flow *f, const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_true(snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", f->dir,
			name) < (int)sizeof(sun.sun_path));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Run program; it ends with us. Its stdout goes to a file of this name, if any. */
static pid_t run(const struct flow *f, char *const *argv, const char *output)
{
	char *path = output ? support_path(f->dir, output) : NULL;
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (path)
			dup2(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600),
			    STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	free(path);
	return pid;
}

/* Start the daemon; it listens when this returns. */
static void start(struct flow *f)
{
	char *ini = support_path(f->dir, "chatmail.ini");
	char *argv[] = { getenv("CHATMAILD"), (char *)"-c", ini, NULL };
	int fd;

	if (!argv[0])
		fail_msg("CHATMAILD is not set; run the tests by 'meson test'");
	f->pid = run(f, argv, NULL);
	free(ini);
	/* The last one of those we need. */
	while ((fd = connect_to(f, "http")) < 0) {
		assert_int_equal(waitpid(f->pid, NULL, WNOHANG), 0);
		usleep(1000);
	}
	close(fd);
}

static void stop(struct flow *f, int signo)
{
	int status;

	assert_return_code(kill(f->pid, signo), errno);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	if (signo == SIGTERM)
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* What a dead daemon left behind would be taken for one that listens. */
static void kill_it(struct flow *f)
{
	char *path = support_path(f->dir, "http");

	stop(f, SIGKILL);
	unlink(path);
	free(path);
}

static void flow_init(struct flow *f)
{
	char *ca, *password;

	signal(SIGPIPE, SIG_IGN);
	*f = (struct flow){ .dir = support_tmpdir(), .script = { .nsteps = 1 } };
	make_dir(f, "state");
	make_dir(f, "mail");
	make_dir(f, "mail/" USER);
	password = support_path(f->dir, "mail/" USER "/password");
	support_write_file(password, span_of("{SHA512-CRYPT}$6$salt$hash"));
	free(password);
	ca = support_path(f->dir, "ca.pem");
	f->base = event_base_new();
	f->authority = tls_authority_create();
	tls_authority_write(f->authority, ca);
	free(ca);
	f->server = h2_server_create(f->base, f->authority, &f->script);
	f->seen = h2_server_seen(f->server);
	write_config(f, f->seen->port, "");
}

static void flow_deinit(struct flow *f)
{
	h2_server_destroy(f->server);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	event_base_free(f->base);
	tls_authority_destroy(f->authority);
	support_tmpdir_remove(f->dir);
}

/* Ask on a socket and read to the end, or to the first line's end. */
static void ask(const struct flow *f, const char *socket_name, const char *request,
    bool line, char *answer, size_t size)
{
	int fd = connect_to(f, socket_name);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n = 1;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while (n > 0 && !(line && memchr(answer, '\n', len))) {
		if (poll(&p, 1, DEADLINE_MS) != 1)
			fail_msg("no answer to %s", request);
		n = read(fd, answer + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	answer[len] = '\0';
	close(fd);
}

/* One dict transaction of Dovecot's; its "O" means that all is on disk. */
static void commit(const struct flow *f, const char *set)
{
	char request[512], answer[64];

	snprintf(request, sizeof(request), HELLO "B1\t" USER "\n%sC1\n", set);
	ask(f, "metadata", request, true, answer, sizeof(answer));
	assert_string_equal(answer, "O\n");
}

static void register_device(const struct flow *f, const char *token)
{
	char set[256];

	snprintf(set, sizeof(set), "S1\tpriv/" GUID "/devicetoken\t%s\n", token);
	commit(f, set);
}

static void message(const struct flow *f)
{
	commit(f, "S1\tpriv/" GUID "/messagenew\t\n");
}

static bool has_metric(void *arg)
{
	struct flow *f = arg;
	char page[65536];

	ask(f, "http", "GET /metrics HTTP/1.0\r\n\r\n", false, page, sizeof(page));
	return strstr(page, f->metric) != NULL;
}

static void on_look_again(evutil_socket_t fd, short what, void *arg)
{
}

/* Nothing tells us that a metric changed: look a hundred times a second. */
static void wait_metric(struct flow *f, const char *line)
{
	static const struct timeval interval = { .tv_usec = 10000 };
	struct event *timer = event_new(f->base, -1, EV_PERSIST, on_look_again, NULL);

	event_add(timer, &interval);
	f->metric = line;
	support_loop(f->base, has_metric, f);
	event_free(timer);
}

static bool got_request(void *arg)
{
	return ((struct flow *)arg)->seen->requests > 0;
}

static bool got_two(void *arg)
{
	return ((struct flow *)arg)->seen->requests > 1;
}

static void message_rings(void **state)
{
	struct flow f;

	flow_init(&f);
	start(&f);
	register_device(&f, "device-1");
	message(&f);
	support_loop(f.base, got_request, &f);
	assert_string_equal(f.seen->body[0], "device-1");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	message(&f);
	support_loop(f.base, got_two, &f);
	assert_int_equal(f.seen->accepted, 1);
	assert_int_equal(f.seen->bad, 0);
	stop(&f, SIGTERM);
	flow_deinit(&f);
}

/* Killed after the hook was answered and before the service was reached. */
static void killed_before_the_post(void **state)
{
	struct flow f;

	flow_init(&f);
	start(&f);
	register_device(&f, "device-1");
	f.script.stop = H2_SERVER_STALL_TCP;
	message(&f);
	kill_it(&f);
	assert_int_equal(f.seen->requests, 0);
	f.script.stop = H2_SERVER_SERVE;
	start(&f);
	support_loop(f.base, got_request, &f);
	assert_string_equal(f.seen->body[0], "device-1");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	stop(&f, SIGTERM);
	flow_deinit(&f);
}

/* Whether killed or told to stop: an unanswered one is sent again. */
static const struct death_case {
	const char *name;
	int signo;
} death_cases[] = {
	{ "killed", SIGKILL },
	{ "told to stop", SIGTERM },
};

static void dies_in_flight(void **state)
{
	const struct death_case *c = *state;
	struct flow f;

	flow_init(&f);
	f.script.step[0].act = H2_ACT_STALL;
	f.script.nsteps = 2;
	start(&f);
	register_device(&f, "device-1");
	message(&f);
	support_loop(f.base, got_request, &f);
	if (c->signo == SIGKILL)
		kill_it(&f);
	else
		stop(&f, SIGTERM);
	start(&f);
	support_loop(f.base, got_two, &f);
	assert_string_equal(f.seen->body[1], "device-1");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	stop(&f, SIGTERM);
	flow_deinit(&f);
}

static void dead_token_goes(void **state)
{
	char answer[256];
	struct flow f;

	flow_init(&f);
	f.script.step[0].status = 410;
	start(&f);
	register_device(&f, "device-1");
	message(&f);
	wait_metric(
	    &f, "chatmail_push_answers_total{service=\"notify\",code=\"410\"} 1\n");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	ask(&f, "metadata", HELLO "Lpriv/" GUID "/devicetoken\t" USER "\n", true,
	    answer, sizeof(answer));
	assert_string_equal(answer, "O\n"); /* an empty list */
	stop(&f, SIGTERM);
	flow_deinit(&f);
}

/* SIGHUP leads to another service. */
static void reload_moves_it(void **state)
{
	struct h2_server *other;
	struct flow f;

	flow_init(&f);
	f.script.stop = H2_SERVER_STALL_TCP;
	start(&f);
	register_device(&f, "device-1");
	message(&f);
	f.script.stop = H2_SERVER_SERVE;
	other = h2_server_create(f.base, f.authority, &f.script);
	write_config(&f, h2_server_seen(other)->port, "push_max_streams = 3\n");
	assert_return_code(kill(f.pid, SIGHUP), errno);
	f.seen = h2_server_seen(other);
	support_loop(f.base, got_request, &f);
	assert_string_equal(f.seen->body[0], "device-1");
	stop(&f, SIGTERM);
	h2_server_destroy(other);
	flow_deinit(&f);
}

static uint16_t free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(sin);

	assert_return_code(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&sin, &len), errno);
	close(fd);
	return ntohs(sin.sin_port);
}

/* A server that is not of our making: it serves a file for the path. */
static pid_t start_nghttpd(const struct flow *f, uint16_t port)
{
	char *cert = support_path(f->dir, "cert.pem");
	char *key = support_path(f->dir, "key.pem");
	char *file = support_path(f->dir, "notify");
	char port_text[8];
	char *argv[] = { (char *)NGHTTPD, (char *)"-a", (char *)"127.0.0.1",
		(char *)"-d", f->dir, (char *)"-v", port_text, key, cert, NULL };
	pid_t pid;

	snprintf(port_text, sizeof(port_text), "%u", port);
	support_write_file(file, span_of("ok\n"));
	tls_authority_write_server(f->authority, cert, key);
	pid = run(f, argv, "nghttpd.log");
	free(file);
	free(cert);
	free(key);
	return pid;
}

static void nghttpd_takes_it(void **state)
{
	uint16_t port = free_port();
	struct support_text log;
	struct flow f;
	char *path;
	pid_t pid;

	if (access(NGHTTPD, X_OK) < 0)
		skip();
	flow_init(&f);
	pid = start_nghttpd(&f, port);
	write_config(&f, port, "");
	start(&f);
	register_device(&f, "device-1");
	message(&f);
	wait_metric(
	    &f, "chatmail_push_answers_total{service=\"notify\",code=\"200\"} 1\n");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	stop(&f, SIGTERM);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	path = support_path(f.dir, "nghttpd.log");
	log = support_read_file(path);
	assert_non_null(strstr(log.data, ":method: POST"));
	assert_non_null(strstr(log.data, ":path: /notify"));
	assert_non_null(strstr(log.data, "recv DATA frame <length=8,"));
	free(log.data);
	free(path);
	flow_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(message_rings) },
		{ SUPPORT_TEST(killed_before_the_post) },
		{ SUPPORT_TABLE(dies_in_flight, death_cases) },
		{ SUPPORT_TEST(dead_token_goes) },
		{ SUPPORT_TEST(reload_moves_it) },
		{ SUPPORT_TEST(nghttpd_takes_it) },
	};

	return support_run("push", tests, ARRAY_LEN(tests));
}
