/*
 * The HTTP/2 client against a scripted server over real TLS: what answers mean, what a
 * peer may do, how connections are lost, refused and made again.
 */
#include "chatmaild/h2.h"

#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chatmaild/log.h"
#include "test/flow/h2_server.h"
#include "test/support.h"

#define POSTS_MAX 4096

struct fixture {
	char *dir, *ca_file, *log_file;
	int saved_stderr;
	struct event_base *base;
	struct tls_authority *authority;
	struct h2_server_script script;
	struct h2_server *server;
	const struct h2_server_seen *seen;
	struct h2_timing timing;
	struct h2_options options;
	char url[256];
	struct h2 *h2;
	const struct h2_counters *counters;
	unsigned ready, rooms, downs;

	/* What became of each POST. */
	struct post {
		struct fixture *f;
		unsigned ends;
		enum h2_outcome outcome;
		unsigned status;
	} posts[POSTS_MAX];
	unsigned nposts, ended, answered, unsent, failed;
	unsigned to_post; /* more of them, whenever there is room */
	size_t body;      /* bytes of each, or 0 for a few */
};

static void on_done(void *arg, enum h2_outcome outcome, unsigned status)
{
	struct post *p = arg;

	p->ends++;
	p->outcome = outcome;
	p->status = status;
	p->f->ended++;
	p->f->answered += outcome == H2_ANSWERED;
	p->f->unsent += outcome == H2_UNSENT;
	p->f->failed += outcome == H2_FAILED;
}

static void post(struct fixture *f)
{
	struct post *p = &f->posts[f->nposts++];
	char few[32], *body = few;
	size_t len = f->body;

	assert_true(f->nposts <= POSTS_MAX);
	p->f = f;
	if (len == 0) {
		len = (size_t)snprintf(few, sizeof(few), "token %u", f->nposts);
	} else {
		body = malloc(len);
		memset(body, 'b', len);
	}
	h2_post(f->h2, span_make(body, len), on_done, p);
	assert_int_equal(p->ends, 0);
	if (body != few)
		free(body);
}

static void pump(struct fixture *f)
{
	while (f->to_post > 0 && h2_room(f->h2) > 0) {
		f->to_post--;
		post(f);
	}
}

static void on_ready(void *arg)
{
	struct fixture *f = arg;

	f->ready++;
	assert_int_equal(f->counters->connected, 1);
	pump(f);
}

static void on_room(void *arg)
{
	struct fixture *f = arg;

	f->rooms++;
	pump(f);
}

static void on_down(void *arg)
{
	struct fixture *f = arg;

	f->downs++;
	assert_int_equal(h2_room(f->h2), 0);
	assert_int_equal(f->counters->connected, 0);
}

static const struct h2_events events = { on_ready, on_room, on_down };

static void log_to_file(struct fixture *f)
{
	int fd = open(f->log_file, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

	f->saved_stderr = dup(STDERR_FILENO);
	assert_true(fd >= 0 && f->saved_stderr >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	log_set_level(LOG_LEVEL_INFO);
}

/* How often text is in the log so far. */
static unsigned logged(const struct fixture *f, const char *text)
{
	struct support_text log = support_read_file(f->log_file);
	unsigned n = 0;

	for (const char *at = log.data; (at = strstr(at, text)); at++)
		n++;
	free(log.data);
	return n;
}

/* A server that answers 200, and no client yet. */
static void fixture_init(struct fixture *f)
{
	signal(SIGPIPE, SIG_IGN);
	*f = (struct fixture){ .dir = support_tmpdir() };
	f->ca_file = support_path(f->dir, "ca.pem");
	f->log_file = support_path(f->dir, "log");
	log_to_file(f);
	f->base = event_base_new();
	f->authority = tls_authority_create();
	tls_authority_write(f->authority, f->ca_file);
	f->script.nsteps = 1;
	f->server = h2_server_create(f->base, f->authority, &f->script);
	f->seen = h2_server_seen(f->server);
	f->timing = h2_timing;
	f->timing.retry_min = 20;
	f->timing.retry_max = 200;
	f->timing.refused = 20;
	f->options = (struct h2_options){ .url = f->url,
		.ca_file = f->ca_file,
		.max_streams = 100,
		.timing = &f->timing };
	snprintf(f->url, sizeof(f->url), "https://localhost:%u/notify", f->seen->port);
}

static void connect_it(struct fixture *f)
{
	const char *why = NULL;

	f->h2 = h2_create(f->base, &f->options, &events, f, &why);
	if (!f->h2)
		fail_msg("%s", why);
	f->counters = h2_counters(f->h2);
	assert_int_equal(h2_room(f->h2), 0);
	h2_want(f->h2);
	assert_int_equal(f->ready + f->downs, 0);
}

static void fixture_deinit(struct fixture *f)
{
	h2_destroy(f->h2);
	assert_int_equal(f->ended, f->nposts);
	for (unsigned i = 0; i < f->nposts; i++)
		assert_int_equal(f->posts[i].ends, 1);
	h2_server_destroy(f->server);
	event_base_loop(f->base, EVLOOP_NONBLOCK); /* what is freed by the loop */
	event_base_free(f->base);
	tls_authority_destroy(f->authority);
	dup2(f->saved_stderr, STDERR_FILENO);
	close(f->saved_stderr);
	free(f->ca_file);
	free(f->log_file);
	support_tmpdir_remove(f->dir);
}

static bool all_ended(void *arg)
{
	const struct fixture *f = arg;

	return f->to_post == 0 && f->ended == f->nposts;
}

static bool is_ready(void *arg)
{
	return ((struct fixture *)arg)->counters->connected;
}

static bool is_down(void *arg)
{
	return ((struct fixture *)arg)->downs > 0;
}

static void post_all(struct fixture *f, unsigned n)
{
	f->to_post = n;
	pump(f);
	support_loop(f->base, all_ended, f);
}

/* What the server does with the first request, and what comes of it. */
static const struct answer_case {
	const char *name;
	struct h2_server_step step;
	enum h2_outcome outcome;
	unsigned status;
	enum { STAYS, GOES } connection;
} answer_cases[] = {
	{ "200", { H2_ACT_ANSWER, 200 }, H2_ANSWERED, 200, STAYS },
	{ "204", { H2_ACT_ANSWER, 204 }, H2_ANSWERED, 204, STAYS },
	{ "redirect", { H2_ACT_ANSWER, 301 }, H2_ANSWERED, 301, STAYS },
	{ "410", { H2_ACT_ANSWER, 410 }, H2_ANSWERED, 410, STAYS },
	{ "429", { H2_ACT_ANSWER, 429 }, H2_ANSWERED, 429, STAYS },
	{ "500", { H2_ACT_ANSWER, 500 }, H2_ANSWERED, 500, STAYS },
	{ "103 first", { H2_ACT_INTERIM, 200 }, H2_ANSWERED, 200, STAYS },
	{ "body of a MiB", { H2_ACT_BODY, 200 }, H2_ANSWERED, 200, STAYS },
	{ "status, then reset", { H2_ACT_HEADERS_RESET, 200 }, H2_ANSWERED, 200,
	    STAYS },
	{ "status, and no end", { H2_ACT_HEADERS, 410 }, H2_ANSWERED, 410, GOES },
	{ "header of 40 KB", { H2_ACT_BIG_HEADER, 200 }, H2_FAILED, 0, STAYS },
	{ "reset", { H2_ACT_RESET, 0 }, H2_FAILED, 0, STAYS },
	{ "refused", { H2_ACT_REFUSE, 0 }, H2_UNSENT, 0, STAYS },
	{ "no answer", { H2_ACT_STALL, 0 }, H2_FAILED, 0, GOES },
	{ "freezes", { H2_ACT_FREEZE, 0 }, H2_FAILED, 0, GOES },
	{ "closes", { H2_ACT_CLOSE, 0 }, H2_FAILED, 0, GOES },
	{ "answers and leaves", { H2_ACT_GOAWAY, 200 }, H2_ANSWERED, 200, GOES },
	{ "leaves before it", { H2_ACT_GOAWAY_UNTIL, 0 }, H2_UNSENT, 0, GOES },
	{ "empty frames", { H2_ACT_EMPTY, 200 }, H2_ANSWERED, 200, GOES },
	{ "PING flood", { H2_ACT_PINGS, 0 }, H2_FAILED, 0, GOES },
	{ "SETTINGS flood", { H2_ACT_SETTINGS, 0 }, H2_FAILED, 0, GOES },
};

static void answers(void **state)
{
	const struct answer_case *c = *state;
	struct fixture f;

	fixture_init(&f);
	f.timing.request = 1000;
	f.script.step[0] = c->step;
	f.script.nsteps = 2; /* the next ones are answered */
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	assert_int_equal(h2_room(f.h2), 100);
	post_all(&f, 1);
	assert_int_equal(f.posts[0].outcome, c->outcome);
	assert_int_equal(f.posts[0].status, c->status);
	assert_string_equal(f.seen->body[0], "token 1");
	assert_string_equal(f.seen->path, "/notify");

	/* And it goes on, over the same connection or another. */
	post_all(&f, 2);
	assert_int_equal(f.posts[2].outcome, H2_ANSWERED);
	assert_int_equal(f.posts[2].status, 200);
	assert_int_equal(f.seen->greeted, c->connection == GOES ? 2 : 1);
	assert_int_equal(f.counters->in_flight, 0);
	assert_int_equal(f.seen->bad, 0);
	fixture_deinit(&f);
}

/* No connection comes of it, and the log says why, once. */
static const struct refuse_case {
	const char *name;
	enum tls_cert cert;
	const char *alpn;
	enum h2_server_stop stop;
	const char *host; /* NULL: localhost */
	const char *why;
} refuse_cases[] = {
	{ "expired", TLS_CERT_EXPIRED, NULL, H2_SERVER_SERVE, NULL,
	    "certificate refused: certificate has expired" },
	{ "other name", TLS_CERT_OTHER_NAME, NULL, H2_SERVER_SERVE, NULL,
	    "certificate refused: hostname mismatch" },
	{ "other address", TLS_CERT_OTHER_NAME, NULL, H2_SERVER_SERVE, "127.0.0.1",
	    "certificate refused: IP address mismatch" },
	{ "other authority", TLS_CERT_OTHER_CA, NULL, H2_SERVER_SERVE, NULL,
	    "certificate refused: " },
	{ "no ALPN", TLS_CERT_GOOD, "", H2_SERVER_SERVE, NULL,
	    "the server does not speak HTTP/2" },
	{ "ALPN of HTTP/1.1", TLS_CERT_GOOD, "http/1.1", H2_SERVER_SERVE, NULL,
	    "TLS handshake: bad extension" },
	{ "closes TCP", TLS_CERT_GOOD, NULL, H2_SERVER_CLOSE_TCP, NULL,
	    "TLS handshake: connection " },
	{ "slow TCP", TLS_CERT_GOOD, NULL, H2_SERVER_STALL_TCP, NULL,
	    "TLS handshake: no answer in time" },
	{ "closes TLS", TLS_CERT_GOOD, NULL, H2_SERVER_CLOSE_TLS, NULL, "connection" },
	{ "slow with SETTINGS", TLS_CERT_GOOD, NULL, H2_SERVER_STALL_TLS, NULL,
	    "no SETTINGS in time" },
	{ "HTTP/1.1 anyway", TLS_CERT_GOOD, NULL, H2_SERVER_HTTP_1, NULL,
	    "broke the protocol" },
	{ "closes after SETTINGS", TLS_CERT_GOOD, NULL, H2_SERVER_CLOSE_SETTINGS, NULL,
	    "closed the connection" },
	{ "leaves after SETTINGS", TLS_CERT_GOOD, NULL, H2_SERVER_GOAWAY_SETTINGS, NULL,
	    "at once" },
	{ "name not found", TLS_CERT_GOOD, NULL, H2_SERVER_SERVE, "nowhere.invalid",
	    "no address found for its name" },
	{ "nobody listens", TLS_CERT_GOOD, NULL, H2_SERVER_SERVE, "127.0.0.9",
	    "Connection refused" },
};

static bool third_time_down(void *arg)
{
	return ((struct fixture *)arg)->downs >= 3;
}

static void refused(void **state)
{
	const struct refuse_case *c = *state;
	struct fixture f;

	fixture_init(&f);
	f.timing.connect = 300;
	f.script.cert = c->cert;
	f.script.alpn = c->alpn;
	f.script.stop = c->stop;
	if (c->host)
		snprintf(f.url, sizeof(f.url), "https://%s:%u/", c->host, f.seen->port);
	connect_it(&f);
	support_loop(f.base, third_time_down, &f);
	if (logged(&f, c->why) != 1) {
		struct support_text log = support_read_file(f.log_file);

		fail_msg("not once \"%s\": %s", c->why, log.data);
	}
	assert_int_equal(logged(&f, "trying again"), 1);
	assert_int_equal(f.seen->requests, 0);
	fixture_deinit(&f);
}

/* What was wrong is put right, without anybody telling the client. */
static void comes_back(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.script.cert = TLS_CERT_EXPIRED;
	connect_it(&f);
	support_loop(f.base, third_time_down, &f);
	f.script.cert = TLS_CERT_GOOD;
	support_loop(f.base, is_ready, &f);
	assert_true(f.counters->connect_failures >= 3);
	assert_int_equal(f.counters->connects, 1);
	post_all(&f, 1);
	assert_int_equal(logged(&f, "answers again"), 1);

	/* The next episode is told as well. */
	f.script.stop = H2_SERVER_CLOSE_TCP;
	f.downs = 0;
	h2_server_close_all(f.server);
	support_loop(f.base, third_time_down, &f);
	assert_int_equal(logged(&f, "trying again"), 2);
	fixture_deinit(&f);
}

static const struct host_case {
	const char *name, *host, *sni;
} host_cases[] = {
	{ "name", "localhost", "localhost" },
	{ "IPv4 address", "127.0.0.1", "" },
	{ "IPv6 address", "[::1]", "" },
};

static bool have_ipv6(void)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool works =
	    fd >= 0 && bind(fd, (const struct sockaddr *)&sin6, sizeof(sin6)) == 0;

	if (fd >= 0)
		close(fd);
	return works;
}

static void hosts(void **state)
{
	const struct host_case *c = *state;
	char authority[64];
	struct fixture f;

	if (*c->host == '[' && !have_ipv6())
		skip();
	fixture_init(&f);
	snprintf(f.url, sizeof(f.url), "https://%s:%u/a/b?c=d", c->host, f.seen->port);
	snprintf(authority, sizeof(authority), "%s:%u", c->host, f.seen->port);
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 1);
	assert_int_equal(f.posts[0].outcome, H2_ANSWERED);
	assert_string_equal(f.seen->sni, c->sni);
	assert_string_equal(f.seen->authority, authority);
	assert_string_equal(f.seen->path, "/a/b?c=d");
	fixture_deinit(&f);
}

static const struct url_case {
	const char *name, *url, *why;
} url_cases[] = {
	{ "empty", "", "it is no https URL" },
	{ "no TLS", "http://localhost/", "it is no https URL" },
	{ "no host", "https:///notify", "it names no host" },
	{ "user", "https://me@localhost/", "it names no host" },
	{ "port 0", "https://localhost:0/", "its port is out of range" },
	{ "port 65536", "https://localhost:65536/", "it is no URL" },
	{ "blank", "https://local host/", "it is no URL" },
	{ "line end", "https://localhost/\r\nX: y", "it is no URL" },
};

static void bad_urls(void **state)
{
	const struct url_case *c = *state;
	const char *why = NULL;
	struct fixture f;

	fixture_init(&f);
	f.options.url = c->url;
	assert_null(h2_create(f.base, &f.options, &events, &f, &why));
	assert_string_equal(why, c->why);
	fixture_deinit(&f);
}

static void bad_ca_files(void **state)
{
	const char *why = NULL;
	struct fixture f;

	fixture_init(&f);
	f.options.ca_file = "/nonexistent/ca.pem";
	assert_null(h2_create(f.base, &f.options, &events, &f, &why));
	assert_string_equal(why, "cannot read certificates");
	f.options.ca_file = f.log_file; /* it is there, and no PEM */
	assert_null(h2_create(f.base, &f.options, &events, &f, &why));
	/* The system's know nothing of our authority. */
	f.options.ca_file = "";
	connect_it(&f);
	support_loop(f.base, is_down, &f);
	assert_int_equal(logged(&f, "certificate refused: "), 1);
	fixture_deinit(&f);
}

/* max_streams of ours, and the peer's. */
static const struct stream_case {
	const char *name;
	unsigned ours;
	bool limit;
	uint32_t peers;
	unsigned most;
} stream_cases[] = {
	{ "ours", 50, false, 0, 50 },
	{ "the peer's", 50, true, 7, 7 },
	{ "one", 50, true, 1, 1 },
	{ "the lower one", 5, true, 100, 5 },
};

static void streams_are_limited(void **state)
{
	const struct stream_case *c = *state;
	struct fixture f;

	fixture_init(&f);
	f.options.max_streams = c->ours;
	f.script.limit_streams = c->limit;
	f.script.max_streams = c->peers;
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	assert_int_equal(h2_room(f.h2), c->most);
	post_all(&f, 1000);
	assert_int_equal(f.answered, 1000);
	assert_int_equal(f.seen->most_in_flight, c->most);
	assert_int_equal(f.seen->greeted, 1);
	assert_int_equal(h2_room(f.h2), c->most);
	fixture_deinit(&f);
}

/* Bodies go out piece by piece as the peer allows. */
static void windows_are_obeyed(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.script.limit_window = true;
	f.script.window = 100;
	f.body = 4096;
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 50);
	assert_int_equal(f.answered, 50);
	assert_int_equal(f.seen->requests, 50);
	fixture_deinit(&f);
}

/* A peer that stopped reading and then is gone saw some of it, but never the rest. */
static void unsent_is_told_from_failed(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.script.step[0].act = H2_ACT_FREEZE;
	f.options.max_streams = 200;
	f.timing.ping_busy = 50;
	f.timing.ping_answer = 50;
	f.body = 4096;
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 200);
	assert_int_equal(f.answered, 0);
	assert_int_equal(f.unsent + f.failed, 200);
	/* The connection's window of 64 KiB holds fifteen of these. */
	assert_int_equal(f.failed, 15);
	assert_int_equal(f.posts[0].outcome, H2_FAILED);
	assert_int_equal(f.posts[199].outcome, H2_UNSENT);
	assert_int_equal(f.counters->lost, 1);
	fixture_deinit(&f);
}

static bool pinged_thrice(void *arg)
{
	return ((struct fixture *)arg)->seen->pings >= 3;
}

static void idle_connection_is_kept(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.timing.ping_idle = 10;
	connect_it(&f);
	support_loop(f.base, pinged_thrice, &f);
	post_all(&f, 1);
	assert_int_equal(f.answered, 1);
	assert_int_equal(f.seen->greeted, 1);
	assert_int_equal(f.downs, 0);
	fixture_deinit(&f);
}

static bool greeted_twice(void *arg)
{
	return ((struct fixture *)arg)->seen->greeted >= 2;
}

static void dead_connection_is_noticed(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.script.deaf = true;
	f.timing.ping_idle = 10;
	f.timing.ping_answer = 30;
	connect_it(&f);
	support_loop(f.base, is_down, &f);
	assert_int_equal(f.counters->lost, 1);
	assert_int_equal(f.seen->pings, 1);
	f.script.deaf = false;
	support_loop(f.base, greeted_twice, &f);
	fixture_deinit(&f);
}

/* Nobody asks for it: the next push shall find a connection. */
static void lost_one_is_replaced(void **state)
{
	struct fixture f;

	fixture_init(&f);
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 1);
	h2_server_close_all(f.server);
	support_loop(f.base, greeted_twice, &f);
	assert_int_equal(f.downs, 1);
	assert_int_equal(f.counters->lost, 1);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 1);
	assert_int_equal(f.answered, 2);
	assert_int_equal(logged(&f, "trying again"), 0); /* it was of use */
	fixture_deinit(&f);
}

static bool has_none(void *arg)
{
	return !is_ready(arg);
}

/* A peer that wants no idle connections gets none before there is something to send. */
static void unused_one_may_be_closed(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.timing.retry_min = 1;
	f.timing.retry_max = 60000;
	connect_it(&f);
	post_all(&f, 1);
	h2_server_leave_all(f.server);
	support_loop(f.base, greeted_twice, &f);
	support_loop(f.base, is_ready, &f);
	h2_server_leave_all(f.server);
	support_loop(f.base, has_none, &f);
	for (int turns = 0; turns < 50; turns++)
		event_base_loop(f.base, EVLOOP_NONBLOCK);
	assert_int_equal(f.seen->accepted, 2);
	assert_int_equal(f.downs, 0);
	h2_want(f.h2);
	post_all(&f, 1);
	assert_int_equal(f.answered, 2);
	assert_int_equal(f.seen->accepted, 3);
	assert_int_equal(f.counters->lost, 0);
	assert_int_equal(logged(&f, "trying again"), 0);
	fixture_deinit(&f);
}

static void peer_that_leaves_is_replaced(void **state)
{
	struct fixture f;

	fixture_init(&f);
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 1);
	h2_server_leave_all(f.server);
	support_loop(f.base, greeted_twice, &f);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 1);
	assert_int_equal(f.answered, 2);
	assert_int_equal(f.downs, 0);
	assert_int_equal(f.counters->goaway, 1);
	assert_int_equal(f.counters->lost, 0);
	fixture_deinit(&f);
}

/* A peer that leaves with some unanswered: they end on the old connection. */
static void leaving_one_finishes(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.script.step[0].act = H2_ACT_STALL;
	f.script.step[1].act = H2_ACT_GOAWAY;
	f.script.nsteps = 3;
	f.timing.request = 300;
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 10);
	assert_int_equal(f.answered + f.unsent + f.failed, 10);
	assert_int_equal(f.failed, 1); /* the first, when its time was up */
	assert_int_equal(f.posts[0].outcome, H2_FAILED);
	assert_true(f.unsent > 0);
	assert_int_equal(f.seen->greeted, 2);
	fixture_deinit(&f);
}

static void stream_ids_run_out(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.options.requests_max = 3;
	f.timing.retry_min = 1;
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	assert_int_equal(h2_room(f.h2), 3);
	for (int i = 0; i < 7; i++)
		post_all(&f, 1);
	assert_int_equal(f.answered, 7);
	assert_int_equal(f.seen->greeted, 3);
	assert_int_equal(f.downs, 0);
	assert_true(f.seen->goaways >= 2); /* we say goodbye */
	fixture_deinit(&f);
}

/* Refusals must not make a loop of resending. */
static void refusing_peer_is_spared(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.script.step[0].act = H2_ACT_REFUSE;
	f.timing.refused = 5000;
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 100);
	assert_int_equal(f.unsent, 100);
	assert_int_equal(h2_room(f.h2), 0);
	assert_int_equal(f.counters->resets, 100);
	fixture_deinit(&f);
}

/* One stalls, the others are answered: the connection stays. */
static void late_one_is_given_up(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.script.step[0].act = H2_ACT_STALL;
	f.script.nsteps = 2;
	f.timing.request = 100;
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	post_all(&f, 20);
	assert_int_equal(f.answered, 19);
	assert_int_equal(f.posts[0].outcome, H2_FAILED);
	assert_int_equal(f.counters->timeouts, 1);
	post_all(&f, 1);
	assert_int_equal(f.seen->greeted, 1);
	assert_int_equal(f.seen->resets, 1);
	fixture_deinit(&f);
}

static bool one_is_there(void *arg)
{
	return ((struct fixture *)arg)->seen->requests > 0;
}

static void destroyed_in_flight(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.script.step[0].act = H2_ACT_STALL;
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	f.to_post = 2;
	pump(&f);
	support_loop(f.base, one_is_there, &f);
	f.to_post = 1;
	pump(&f);
	h2_destroy(f.h2);
	f.h2 = NULL;
	assert_int_equal(f.posts[0].outcome, H2_FAILED);
	assert_int_equal(f.posts[2].outcome, H2_UNSENT);
	fixture_deinit(&f);
}

/* At any moment of connecting. */
static void destroyed_early(void **state)
{
	static const struct h2_server_stop_at {
		enum h2_server_stop stop;
	} stops[] = { { H2_SERVER_STALL_TCP }, { H2_SERVER_STALL_TLS } };
	struct fixture f;

	for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
		fixture_init(&f);
		f.script.stop = stops[i].stop;
		connect_it(&f);
		for (int turns = 0; turns < 20; turns++)
			event_base_loop(f.base, EVLOOP_NONBLOCK);
		fixture_deinit(&f);
	}
	fixture_init(&f);
	connect_it(&f);
	fixture_deinit(&f);
}

/* A nameserver for one name. */
struct nameserver {
	int fd;
	struct evdns_server_port *port;
	char *resolv_conf;
	const char *four[3]; /* its addresses, in order */
	bool six;            /* ::1 as well */
	bool mute;           /* never answers */
	unsigned asked;
};

static void on_dns(struct evdns_server_request *req, void *arg)
{
	struct nameserver *n = arg;
	bool known = false;

	n->asked++;
	if (n->mute) {
		evdns_server_request_drop(req);
		return;
	}
	for (int i = 0; i < req->nquestions; i++) {
		const struct evdns_server_question *q = req->questions[i];

		if (strcasecmp(q->name, "push.example") != 0)
			continue;
		known = true;
		for (size_t a = 0; a < ARRAY_LEN(n->four) && n->four[a]; a++) {
			struct in_addr addr;

			if (q->type != EVDNS_TYPE_A)
				continue;
			evutil_inet_pton(AF_INET, n->four[a], &addr);
			evdns_server_request_add_a_reply(req, q->name, 1, &addr, 60);
		}
		if (q->type == EVDNS_TYPE_AAAA && n->six)
			evdns_server_request_add_aaaa_reply(
			    req, q->name, 1, &in6addr_loopback, 60);
	}
	evdns_server_request_respond(req, known ? 0 : DNS_ERR_NOTEXIST);
}

static void nameserver_init(struct nameserver *n, struct fixture *f)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	char line[64];

	n->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(n->fd, (const struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(n->fd, (struct sockaddr *)&sin, &len), 0);
	n->port = evdns_add_server_port_with_base(f->base, n->fd, 0, on_dns, n);
	assert_non_null(n->port);
	n->resolv_conf = support_path(f->dir, "resolv.conf");
	snprintf(line, sizeof(line), "nameserver 127.0.0.1:%u\n", ntohs(sin.sin_port));
	support_write_file(n->resolv_conf, span_of(line));
	f->options.resolv_conf = n->resolv_conf;
	snprintf(f->url, sizeof(f->url), "https://push.example:%u/", f->seen->port);
}

static void nameserver_deinit(struct nameserver *n)
{
	evdns_close_server_port(n->port);
	close(n->fd);
	free(n->resolv_conf);
}

static const struct name_case {
	const char *name;
	const char *four[3];
	bool six, ipv4_only, connects;
} name_cases[] = {
	{ "IPv4 only", { "127.0.0.1" }, false, false, true },
	{ "both families", { "127.0.0.1" }, true, false, true },
	{ "IPv6 works only", { "127.0.0.9" }, true, false, true },
	{ "IPv6 only", { NULL }, true, false, true },
	{ "the second one", { "127.0.0.9", "127.0.0.1" }, false, false, true },
	{ "the last one", { "127.0.0.9", "127.0.0.8", "127.0.0.1" }, false, false,
	    true },
	{ "no address", { NULL }, false, false, false },
	{ "IPv6 not wanted", { NULL }, true, true, false },
};

static void names(void **state)
{
	const struct name_case *c = *state;
	struct nameserver n = { .six = c->six };
	struct fixture f;

	if (c->six && !c->four[0] && !have_ipv6())
		skip();
	memcpy(n.four, c->four, sizeof(n.four));
	fixture_init(&f);
	nameserver_init(&n, &f);
	f.options.ipv4_only = c->ipv4_only;
	connect_it(&f);
	support_loop(f.base, c->connects ? is_ready : is_down, &f);
	assert_int_equal(f.downs, c->connects ? 0 : 1);
	if (c->connects)
		assert_string_equal(f.seen->sni, "push.example");
	nameserver_deinit(&n);
	fixture_deinit(&f);
}

/* An address that takes connections and says nothing costs a moment, not the whole. */
static void silent_address_is_passed_over(void **state)
{
	struct nameserver n = { .four = { "127.0.0.7", "127.0.0.1" } };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct fixture f;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fixture_init(&f);
	nameserver_init(&n, &f);
	sin.sin_port = htons(f.seen->port);
	evutil_inet_pton(AF_INET, "127.0.0.7", &sin.sin_addr);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, 8), 0);
	f.timing.handshake = 50;
	connect_it(&f);
	support_loop(f.base, is_ready, &f);
	assert_int_equal(f.downs, 0);
	close(fd);
	nameserver_deinit(&n);
	fixture_deinit(&f);
}

static bool nameserver_asked(void *arg)
{
	return ((struct nameserver *)arg)->asked > 0;
}

static void silent_nameserver(void **state)
{
	struct nameserver n = { .mute = true };
	struct fixture f;

	fixture_init(&f);
	nameserver_init(&n, &f);
	f.timing.connect = 100;
	connect_it(&f);
	support_loop(f.base, is_down, &f);
	assert_int_equal(logged(&f, "its name was not found in time"), 1);
	/* And in the middle of a lookup all is taken down. */
	n.asked = 0;
	support_loop(f.base, nameserver_asked, &n);
	nameserver_deinit(&n);
	fixture_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(answers, answer_cases) },
		{ SUPPORT_TABLE(refused, refuse_cases) },
		{ SUPPORT_TEST(comes_back) },
		{ SUPPORT_TABLE(hosts, host_cases) },
		{ SUPPORT_TABLE(bad_urls, url_cases) },
		{ SUPPORT_TEST(bad_ca_files) },
		{ SUPPORT_TABLE(streams_are_limited, stream_cases) },
		{ SUPPORT_TEST(windows_are_obeyed) },
		{ SUPPORT_TEST(unsent_is_told_from_failed) },
		{ SUPPORT_TEST(idle_connection_is_kept) },
		{ SUPPORT_TEST(dead_connection_is_noticed) },
		{ SUPPORT_TEST(lost_one_is_replaced) },
		{ SUPPORT_TEST(unused_one_may_be_closed) },
		{ SUPPORT_TEST(peer_that_leaves_is_replaced) },
		{ SUPPORT_TEST(leaving_one_finishes) },
		{ SUPPORT_TEST(stream_ids_run_out) },
		{ SUPPORT_TEST(refusing_peer_is_spared) },
		{ SUPPORT_TEST(late_one_is_given_up) },
		{ SUPPORT_TEST(destroyed_in_flight) },
		{ SUPPORT_TEST(destroyed_early) },
		{ SUPPORT_TABLE(names, name_cases) },
		{ SUPPORT_TEST(silent_address_is_passed_over) },
		{ SUPPORT_TEST(silent_nameserver) },
	};

	return support_run("h2", tests, ARRAY_LEN(tests));
}
