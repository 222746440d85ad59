/*
 * Service notify between a real push queue and a scripted notification service over
 * real TLS: what each answer does to a notification, what a restart and a reload do.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/h2.h"
#include "chatmaild/log.h"
#include "chatmaild/push_queue.h"
#include "test/chatmaild/accounts.h"
#include "test/flow/h2_server.h"

#define USER  "somebody1@" DOMAIN
#define OTHER "somebody2@" DOMAIN

struct relay {
	struct accounts a;
	struct tls_authority *authority;
	struct h2_server_script script;
	struct h2_server *server;
	const struct h2_server_seen *seen;
	char *ca_file, *log_file;
	char url[64];
	int saved_stderr;
	void *service;
	unsigned stored; /* acts of the store that are done */
};

static void relay_start(struct relay *r)
{
	r->a.d.pushes = push_queue_create(r->a.d.base, r->a.d.store, r->a.mailboxes);
	assert_non_null(r->a.d.pushes);
	r->service = notify_service.start(&r->a.d, &notify_service);
	assert_non_null(r->service);
}

/* Lives in the loop of the daemon it serves, and so does not survive it. */
static void server_start(struct relay *r)
{
	r->server = h2_server_create(r->a.d.base, r->authority, &r->script);
	r->seen = h2_server_seen(r->server);
	snprintf(r->url, sizeof(r->url), "https://localhost:%u/notify", r->seen->port);
}

static void log_to_file(struct relay *r)
{
	int fd = open(r->log_file, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

	r->saved_stderr = dup(STDERR_FILENO);
	assert_true(fd >= 0 && r->saved_stderr >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	log_set_level(LOG_LEVEL_INFO);
}

static unsigned logged(const struct relay *r, const char *text)
{
	struct support_text log = support_read_file(r->log_file);
	unsigned n = 0;

	for (const char *at = log.data; (at = strstr(at, text)); at++)
		n++;
	free(log.data);
	return n;
}

static void relay_init(struct relay *r)
{
	signal(SIGPIPE, SIG_IGN);
	memset(r, 0, sizeof(*r));
	accounts_init(&r->a);
	accounts_write(&r->a, USER, "");
	accounts_write(&r->a, OTHER, "");
	r->ca_file = support_path(r->a.dir, "ca.pem");
	r->log_file = support_path(r->a.dir, "log");
	log_to_file(r);
	r->authority = tls_authority_create();
	tls_authority_write(r->authority, r->ca_file);
	r->script.nsteps = 1;
	server_start(r);
	r->a.config.push_url = r->url;
	r->a.config.push_ca_file = r->ca_file;
	r->a.config.push_max_streams = 10;
	relay_start(r);
}

static void relay_stop(struct relay *r)
{
	notify_service.stop(r->service);
	h2_server_destroy(r->server);
	event_base_loop(r->a.d.base, EVLOOP_NONBLOCK);
	accounts_stop(&r->a);
}

static void relay_restart(struct relay *r)
{
	relay_stop(r);
	accounts_start(&r->a);
	server_start(r);
	relay_start(r);
}

static void relay_deinit(struct relay *r)
{
	relay_stop(r);
	tls_authority_destroy(r->authority);
	dup2(r->saved_stderr, STDERR_FILENO);
	close(r->saved_stderr);
	accounts_start(&r->a);
	free(r->ca_file);
	free(r->log_file);
	accounts_deinit(&r->a);
}

static void on_stored(void *arg, int result)
{
	struct relay *r = arg;

	assert_int_equal(result, 0);
	r->stored++;
}

static bool is_stored(void *arg)
{
	return ((struct relay *)arg)->stored > 0;
}

static void add_token(struct relay *r, const char *address, const char *text)
{
	struct span token = span_of(text);

	r->stored = 0;
	tokens_add(r->a.d.store, span_of(address), &token, 1, time(NULL), on_stored, r);
	support_loop(r->a.d.base, is_stored, r);
}

/* A message came, and the queue's row is on disk. */
static void message(struct relay *r, const char *address)
{
	r->stored = 0;
	push_queue_add(r->a.d.pushes, span_of(address), time(NULL), on_stored, r);
	support_loop(r->a.d.base, is_stored, r);
}

static const struct push_counters *queue(const struct relay *r)
{
	return push_queue_counters(r->a.d.pushes);
}

static void assert_sql(struct relay *r, const char *sql, const char *want)
{
	char *got = accounts_sql(&r->a, sql);

	assert_string_equal(got, want);
	free(got);
}

/* All that was taken is finished, and something was. */
static bool is_settled(void *arg)
{
	const struct relay *r = arg;
	const struct push_counters *c = queue(r);

	return c->in_flight == 0 && c->sent + c->dead_tokens + c->failed > 0;
}

static bool is_empty(void *arg)
{
	return queue(arg)->queued == 0;
}

static bool is_tried(void *arg)
{
	char *tries =
	    accounts_sql(&((struct relay *)arg)->a, "SELECT max(tries) FROM pushes");
	bool tried = atoi(tries) > 0;

	free(tries);
	return tried;
}

static unsigned long metric(struct relay *r, const char *name, const char *labels)
{
	const void *counters = notify_service.counters(r->service);

	for (size_t i = 0; i < notify_service.nmetrics; i++) {
		const struct metric_def *def = &notify_service.metrics[i];
		uint64_t value;

		if (strcmp(def->name, name) != 0 ||
		    strcmp(def->labels ? def->labels : "", labels) != 0)
			continue;
		memcpy(&value, (const char *)counters + def->offset, sizeof(value));
		return value;
	}
	fail_msg("no %s{%s}", name, labels);
	return 0;
}

static const struct answer_case {
	const char *name;
	struct h2_server_step step;
	enum { GONE, GONE_WITH_TOKEN, TRIED } fate;
	const char *metric, *labels;
	const char *warning;
} answer_cases[] = {
	{ "200", { H2_ACT_ANSWER, 200 }, GONE, "chatmail_push_answers_total",
	    "code=\"200\"", NULL },
	{ "410", { H2_ACT_ANSWER, 410 }, GONE_WITH_TOKEN, "chatmail_push_answers_total",
	    "code=\"410\"", NULL },
	{ "201", { H2_ACT_ANSWER, 201 }, TRIED, "chatmail_push_answers_total",
	    "code=\"other\"", "status 201" },
	{ "redirect", { H2_ACT_ANSWER, 301 }, TRIED, "chatmail_push_answers_total",
	    "code=\"other\"", "status 301" },
	{ "404", { H2_ACT_ANSWER, 404 }, TRIED, "chatmail_push_answers_total",
	    "code=\"4xx\"", "status 404" },
	{ "429", { H2_ACT_ANSWER, 429 }, TRIED, "chatmail_push_answers_total",
	    "code=\"429\"", "status 429" },
	{ "500", { H2_ACT_ANSWER, 500 }, TRIED, "chatmail_push_answers_total",
	    "code=\"5xx\"", "status 500" },
	{ "reset", { H2_ACT_RESET, 0 }, TRIED, "chatmail_push_unanswered_total",
	    "reason=\"reset\"", "no answer" },
	{ "lost", { H2_ACT_CLOSE, 0 }, TRIED, "chatmail_push_connections_total",
	    "event=\"lost\"", "no answer" },
};

static void answers(void **state)
{
	const struct answer_case *c = *state;
	struct relay r;

	relay_init(&r);
	r.script.step[0] = c->step;
	add_token(&r, USER, "a-token");
	message(&r, USER);
	support_loop(r.a.d.base, c->fate == TRIED ? is_tried : is_empty, &r);
	assert_string_equal(r.seen->body[0], "a-token");
	assert_string_equal(r.seen->path, "/notify");
	assert_sql(&r, "SELECT count(*) FROM pushes", c->fate == TRIED ? "1" : "0");
	assert_sql(&r, "SELECT group_concat(token) FROM tokens",
	    c->fate == GONE_WITH_TOKEN ? "" : "a-token");
	assert_int_equal(metric(&r, c->metric, c->labels), 1);
	assert_int_equal(logged(&r, "Notification request failed: "), c->warning != 0);
	if (c->warning)
		assert_int_equal(logged(&r, c->warning), 1);
	assert_int_equal(logged(&r, "a-token"), 0);
	relay_deinit(&r);
}

/* Refused before it was looked at: sent again, and no try counted. */
static void refused_is_sent_again(void **state)
{
	struct relay r;

	relay_init(&r);
	r.script.step[0].act = H2_ACT_REFUSE;
	r.script.nsteps = 2;
	add_token(&r, USER, "a-token");
	message(&r, USER);
	support_loop(r.a.d.base, is_empty, &r);
	assert_int_equal(r.seen->requests, 2);
	assert_int_equal(queue(&r)->unsent, 1);
	assert_int_equal(queue(&r)->failed, 0);
	assert_int_equal(logged(&r, "Notification request failed: "), 0);
	relay_deinit(&r);
}

static void every_device_is_told(void **state)
{
	struct relay r;

	relay_init(&r);
	r.script.step[0].status = 410;
	r.script.nsteps = 2;
	add_token(&r, USER, "first");
	add_token(&r, USER, "second");
	message(&r, USER);
	support_loop(r.a.d.base, is_empty, &r);
	assert_string_equal(r.seen->body[0], "first");
	assert_string_equal(r.seen->body[1], "second");
	assert_sql(&r, "SELECT group_concat(token) FROM tokens", "second");
	relay_deinit(&r);
}

/* Streams on one connection, as many as the config allows and no more. */
static void many_share_a_connection(void **state)
{
	struct relay r;
	char token[32];

	relay_init(&r);
	for (int i = 0; i < 30; i++) {
		snprintf(token, sizeof(token), "token-%d", i);
		add_token(&r, USER, token);
	}
	message(&r, USER);
	support_loop(r.a.d.base, is_empty, &r);
	assert_int_equal(r.seen->requests, 30);
	assert_int_equal(r.seen->accepted, 1);
	assert_int_equal(r.seen->most_in_flight, 10);
	assert_int_equal(metric(&r, "chatmail_push_connected", ""), 1);
	assert_int_equal(
	    metric(&r, "chatmail_push_connections_total", "event=\"made\""), 1);
	relay_deinit(&r);
}

/* A hundred failures are one line, or a few if a minute ends meanwhile. */
static void warnings_are_few(void **state)
{
	struct relay r;
	char token[32];

	relay_init(&r);
	r.script.step[0].status = 500;
	for (int i = 0; i < 20; i++) {
		snprintf(token, sizeof(token), "token-%d", i);
		add_token(&r, USER, token);
	}
	message(&r, USER);
	support_loop(r.a.d.base, is_settled, &r);
	assert_int_equal(queue(&r)->failed, 20);
	assert_true(logged(&r, "Notification request failed: ") <= 2);
	assert_int_equal(logged(&r, "token-"), 0);
	relay_deinit(&r);
}

static bool has_failed_to_connect(void *arg)
{
	return metric(arg, "chatmail_push_connections_total", "event=\"failed\"") > 0;
}

/* Nothing is tried, so no try is counted; the service's return is found by itself. */
static void service_is_away(void **state)
{
	struct relay r;

	relay_init(&r);
	r.script.stop = H2_SERVER_CLOSE_TCP;
	add_token(&r, USER, "a-token");
	message(&r, USER);
	support_loop(r.a.d.base, has_failed_to_connect, &r);
	assert_int_equal(queue(&r)->in_flight, 0);
	message(&r, USER);                     /* the same row */
	assert_int_equal(r.seen->accepted, 1); /* nor is the back-off cut short */
	assert_sql(&r, "SELECT group_concat(token || tries) FROM pushes", "a-token0");
	r.script.stop = H2_SERVER_SERVE;
	support_loop(r.a.d.base, is_empty, &r);
	assert_int_equal(r.seen->requests, 1);
	relay_deinit(&r);
}

static bool one_in_flight(void *arg)
{
	const struct relay *r = arg;

	return r->seen->requests > 0 && queue(r)->in_flight > 0;
}

static void in_flight_survives_a_restart(void **state)
{
	struct relay r;

	relay_init(&r);
	r.script.step[0].act = H2_ACT_STALL;
	add_token(&r, USER, "a-token");
	add_token(&r, OTHER, "b-token");
	message(&r, USER);
	message(&r, OTHER);
	support_loop(r.a.d.base, one_in_flight, &r);
	r.script.step[0].act = H2_ACT_ANSWER;
	relay_restart(&r);
	assert_sql(&r, "SELECT count(*) || max(tries) FROM pushes", "20");
	support_loop(r.a.d.base, is_empty, &r);
	assert_int_equal(r.seen->requests, 2);
	relay_deinit(&r);
}

/* To another service; what was in flight is not lost. */
static void reload_changes_the_service(void **state)
{
	struct h2_server_script script = { .nsteps = 1 };
	struct h2_server *other;
	const struct h2_server_seen *seen;
	struct relay r;
	char url[64];

	relay_init(&r);
	r.script.step[0].act = H2_ACT_REFUSE;
	add_token(&r, USER, "a-token");
	message(&r, USER);
	other = h2_server_create(r.a.d.base, r.authority, &script);
	seen = h2_server_seen(other);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/other", seen->port);
	r.a.config.push_url = url;
	notify_service.reload(r.service);
	support_loop(r.a.d.base, is_empty, &r);
	assert_int_equal(seen->requests, 1);
	assert_string_equal(seen->path, "/other");
	assert_string_equal(seen->body[0], "a-token");
	notify_service.stop(r.service);
	h2_server_destroy(other);
	r.service = notify_service.start(&r.a.d, &notify_service);
	relay_deinit(&r);
}

static void bad_reload_changes_nothing(void **state)
{
	struct relay r;

	relay_init(&r);
	r.a.config.push_ca_file = (char *)"/nonexistent/ca.pem";
	notify_service.reload(r.service);
	assert_int_equal(logged(&r, "cannot read certificates"), 1);
	add_token(&r, USER, "a-token");
	message(&r, USER);
	support_loop(r.a.d.base, is_empty, &r);
	assert_int_equal(r.seen->requests, 1);
	relay_deinit(&r);
}

static void bad_config_does_not_start(void **state)
{
	struct relay r;

	relay_init(&r);
	r.a.config.push_ca_file = (char *)"/nonexistent/ca.pem";
	assert_null(notify_service.start(&r.a.d, &notify_service));
	assert_int_equal(logged(&r, "cannot read certificates"), 1);
	relay_deinit(&r);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(answers, answer_cases) },
		{ SUPPORT_TEST(refused_is_sent_again) },
		{ SUPPORT_TEST(every_device_is_told) },
		{ SUPPORT_TEST(many_share_a_connection) },
		{ SUPPORT_TEST(warnings_are_few) },
		{ SUPPORT_TEST(service_is_away) },
		{ SUPPORT_TEST(in_flight_survives_a_restart) },
		{ SUPPORT_TEST(reload_changes_the_service) },
		{ SUPPORT_TEST(bad_reload_changes_nothing) },
		{ SUPPORT_TEST(bad_config_does_not_start) },
	};

	return support_run("notify", tests, ARRAY_LEN(tests));
}
