/*
 * The built daemon between Dovecot's hook and a notification service: a message makes
 * the POST arrive, over a connection that was there before, and after any death of the
 * daemon in between.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/flow/built.h"
#include "test/flow/h2_server.h"

#define USER    "somebody1@" BUILT_DOMAIN
#define GUID    "0123456789abcdef0123456789abcdef"
#define HELLO   "H3\t2\t0\t" USER "\tmetadata\n"
#define NGHTTPD "/usr/sbin/nghttpd"

struct flow {
	struct built built;
	struct event_base *base;
	struct tls_authority *authority;
	struct h2_server_script script;
	struct h2_server *server;
	const struct h2_server_seen *seen;
	const char *metric; /* for has_metric() */
};

static void configure(const struct flow *f, uint16_t port, const char *more)
{
	built_configure(&f->built,
	    "push_url = https://localhost:%u/notify\npush_ca_file = %s/ca.pem\n%s",
	    port, f->built.dir, more);
}

static void flow_init(struct flow *f)
{
	char *ca;

	signal(SIGPIPE, SIG_IGN);
	*f = (struct flow){ .base = event_base_new(), .script = { .nsteps = 1 } };
	built_init(&f->built);
	built_add_account(&f->built, USER);
	ca = built_path(&f->built, "ca.pem");
	f->authority = tls_authority_create();
	tls_authority_write(f->authority, ca);
	free(ca);
	f->server = h2_server_create(f->base, f->authority, &f->script);
	f->seen = h2_server_seen(f->server);
	configure(f, f->seen->port, "");
}

static void flow_deinit(struct flow *f)
{
	h2_server_destroy(f->server);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	event_base_free(f->base);
	tls_authority_destroy(f->authority);
	built_deinit(&f->built);
}

/* Dovecot asks, and this is the line that comes back. */
static void ask(const struct flow *f, const char *request, char *answer, size_t size)
{
	int fd = built_send(&f->built, "metadata.sock", request);

	built_read(fd, "\n", answer, size);
	close(fd);
}

/* One dict transaction of Dovecot's; its "O" means that all is on disk. */
static void commit(const struct flow *f, const char *set)
{
	char request[512], answer[64];

	snprintf(request, sizeof(request), HELLO "B1\t" USER "\n%sC1\n", set);
	ask(f, request, answer, sizeof(answer));
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
	struct built_page page;

	built_scrape(&f->built, "*/*", &page);
	return strstr(page.text, f->metric) != NULL;
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
	built_start(&f.built);
	register_device(&f, "device-1");
	message(&f);
	support_loop(f.base, got_request, &f);
	assert_string_equal(f.seen->body[0], "device-1");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	message(&f);
	support_loop(f.base, got_two, &f);
	assert_int_equal(f.seen->accepted, 1);
	assert_int_equal(f.seen->bad, 0);
	built_stop(&f.built);
	flow_deinit(&f);
}

/* Killed after the hook was answered and before the service was reached. */
static void killed_before_the_post(void **state)
{
	struct flow f;

	flow_init(&f);
	built_start(&f.built);
	register_device(&f, "device-1");
	f.script.stop = H2_SERVER_STALL_TCP;
	message(&f);
	built_kill(&f.built);
	assert_int_equal(f.seen->requests, 0);
	f.script.stop = H2_SERVER_SERVE;
	built_start(&f.built);
	support_loop(f.base, got_request, &f);
	assert_string_equal(f.seen->body[0], "device-1");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	built_stop(&f.built);
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
	built_start(&f.built);
	register_device(&f, "device-1");
	message(&f);
	support_loop(f.base, got_request, &f);
	if (c->signo == SIGKILL)
		built_kill(&f.built);
	else
		built_stop(&f.built);
	built_start(&f.built);
	support_loop(f.base, got_two, &f);
	assert_string_equal(f.seen->body[1], "device-1");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	built_stop(&f.built);
	flow_deinit(&f);
}

static void dead_token_goes(void **state)
{
	char answer[256];
	struct flow f;

	flow_init(&f);
	f.script.step[0].status = 410;
	built_start(&f.built);
	register_device(&f, "device-1");
	message(&f);
	wait_metric(
	    &f, "chatmail_push_answers_total{service=\"notify\",code=\"410\"} 1\n");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	ask(&f, HELLO "Lpriv/" GUID "/devicetoken\t" USER "\n", answer, sizeof(answer));
	assert_string_equal(answer, "O\n"); /* an empty list */
	built_stop(&f.built);
	flow_deinit(&f);
}

/* SIGHUP leads to another service. */
static void reload_moves_it(void **state)
{
	struct h2_server *other;
	struct flow f;

	flow_init(&f);
	f.script.stop = H2_SERVER_STALL_TCP;
	built_start(&f.built);
	register_device(&f, "device-1");
	message(&f);
	f.script.stop = H2_SERVER_SERVE;
	other = h2_server_create(f.base, f.authority, &f.script);
	configure(&f, h2_server_seen(other)->port, "push_max_streams = 3\n");
	built_reload(&f.built);
	f.seen = h2_server_seen(other);
	support_loop(f.base, got_request, &f);
	assert_string_equal(f.seen->body[0], "device-1");
	built_stop(&f.built);
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
	char *cert = built_path(&f->built, "cert.pem");
	char *key = built_path(&f->built, "key.pem");
	char *file = built_path(&f->built, "notify");
	char port_text[8];
	char *argv[] = { (char *)NGHTTPD, (char *)"-a", (char *)"127.0.0.1",
		(char *)"-d", f->built.dir, (char *)"-v", port_text, key, cert, NULL };
	pid_t pid;

	snprintf(port_text, sizeof(port_text), "%u", port);
	support_write_file(file, span_of("ok\n"));
	tls_authority_write_server(f->authority, cert, key);
	pid = built_run(&f->built, argv, "nghttpd.log");
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
		fail_msg("no " NGHTTPD ": install Debian's nghttp2-server");
	flow_init(&f);
	pid = start_nghttpd(&f, port);
	configure(&f, port, "");
	built_start(&f.built);
	register_device(&f, "device-1");
	message(&f);
	wait_metric(
	    &f, "chatmail_push_answers_total{service=\"notify\",code=\"200\"} 1\n");
	wait_metric(&f, "chatmail_push_waiting{service=\"metadata\"} 0\n");
	built_stop(&f.built);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	path = built_path(&f.built, "nghttpd.log");
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
