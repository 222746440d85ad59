/*
 * The built daemon as its supervisor sees it: start, notifications, reload, inherited
 * sockets, a predecessor's leavings, no descriptors left, the end.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "test/flow/built.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A dict connection that lives: its lookup of a foreign name is answered "N". */
static void assert_dict_answers(int fd)
{
	char got[64];

	dprintf(fd, "H3\t2\t0\t\tauth\nLshared/userdb/nobody@chat.example\tnobody\n");
	built_read(fd, "\n", got, sizeof(got));
	assert_string_equal(got, "N\n");
}

static void starts_and_stops(void **state)
{
	struct built b;
	int fd;

	built_init(&b);
	built_start(&b);
	assert_true(built_has(&b, "auth.sock"));
	fd = built_connect(&b, "auth.sock");
	assert_dict_answers(fd);
	built_stop(&b);
	close(fd);
	assert_false(built_has(&b, "auth.sock"));
	assert_false(built_has(&b, "outgoing.sock"));
	assert_false(built_has(&b, "http.sock"));
	built_deinit(&b);
}

/* An SMTP session whose mail has begun and not ended. */
static int begin_mail(const struct built *b)
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
	int fd = built_connect(b, "outgoing.sock");
	char got[1024];

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		dprintf(fd, "%s", steps[i].send);
		built_read(fd, steps[i].expect, got, sizeof(got));
		if (!strstr(got, steps[i].expect))
			fail_msg("%s: %s", steps[i].send, got);
	}
	dprintf(fd, "From: alice@chat.example\r\n");
	return fd;
}

static void mail_in_flight_is_answered(void **state)
{
	struct built b;
	char got[256];
	int fd;

	built_init(&b);
	built_start(&b);
	fd = begin_mail(&b);
	kill(b.pid, SIGTERM);
	built_expect(&b, "STOPPING=1");
	dprintf(fd, "\r\ncleartext\r\n.\r\n");
	built_read(fd, "\n", got, sizeof(got));
	assert_int_equal(got[0], '5');
	assert_int_equal(built_wait(&b), 0);
	close(fd);
	built_deinit(&b);
}

static void told_twice_it_waits_for_nobody(void **state)
{
	struct built b;
	int64_t began;
	int fd;

	built_init(&b);
	built_start(&b);
	fd = begin_mail(&b);
	began = now_ms();
	kill(b.pid, SIGINT);
	built_expect(&b, "STOPPING=1");
	kill(b.pid, SIGTERM);
	assert_int_equal(built_wait(&b), 0);
	assert_true(now_ms() - began < 5000); /* what the mail would have had */
	close(fd);
	built_deinit(&b);
}

static void mail_that_never_ends_is_left(void **state)
{
	struct built b;
	char got[256];
	int fd;

	built_init(&b);
	built_start(&b);
	fd = begin_mail(&b);
	kill(b.pid, SIGTERM);
	built_expect(&b, "STOPPING=1");
	assert_int_equal(built_wait(&b), 0);
	built_read(fd, NULL, got, sizeof(got));
	assert_int_not_equal(got[0], '2'); /* not acknowledged */
	close(fd);
	built_deinit(&b);
}

static void reload_keeps_connections(void **state)
{
	struct built b;
	int fd;

	built_init(&b);
	built_start(&b);
	fd = built_connect(&b, "auth.sock");

	built_configure(&b, "max_user_send_per_minute = 7\nusername_min_length = 1\n");
	built_reload(&b);
	assert_dict_answers(fd);
	close(fd);
	built_stop(&b);
	built_deinit(&b);
}

/* Another chatmail.ini, or none at all if text is empty. */
static void write_ini(const struct built *b, const char *text)
{
	char *path = built_path(b, "chatmail.ini");

	if (*text)
		support_write_file(path, span_of(text));
	else
		assert_int_equal(unlink(path), 0);
	free(path);
}

static void bad_reload_changes_nothing(void **state)
{
	struct built b;
	int fd;

	built_init(&b);
	built_start(&b);
	write_ini(&b, "[params]\nmax_message_size = huge\n");
	built_reload(&b);
	fd = built_connect(&b, "auth.sock");
	assert_dict_answers(fd);
	close(fd);

	/* And what needs a restart waits for one. */
	built_configure(&b, "metrics_address = inet:127.0.0.1:9\n");
	built_reload(&b);
	close(built_connect(&b, "http.sock"));
	built_stop(&b);
	built_deinit(&b);
}

static void watchdog_is_fed(void **state)
{
	struct built b;

	built_init(&b);
	built_launch(&b, &(struct built_start){ .watchdog_us = "50000" });
	built_expect(&b, "READY=1");
	built_expect(&b, "WATCHDOG=1");
	built_expect(&b, "WATCHDOG=1");
	kill(b.pid, SIGTERM);
	assert_int_equal(built_wait(&b), 0);
	built_deinit(&b);
}

static void second_one_is_refused(void **state)
{
	struct built first, second;

	built_init(&first);
	built_start(&first);
	second = first;
	built_launch(&second, &(struct built_start){ .option = NULL });
	assert_int_equal(built_wait(&second), 1);
	close(built_connect(&first, "auth.sock"));
	built_stop(&first);
	built_deinit(&first);
}

static void leavings_of_a_killed_one(void **state)
{
	struct built b;

	built_init(&b);
	built_start(&b);
	built_kill(&b);
	assert_true(built_has(&b, "auth.sock"));
	built_start(&b);
	close(built_connect(&b, "auth.sock"));
	built_stop(&b);
	built_deinit(&b);
}

static void sockets_are_inherited(void **state)
{
	int inherited[BUILT_INHERITED_MAX], early, late;
	struct built b;

	built_init(&b);
	/* The order proves nothing: the foreign one comes first. */
	inherited[0] = built_listen(&b, "foreign.sock");
	inherited[1] = built_listen(&b, "auth.sock");
	early = built_connect(&b, "auth.sock"); /* waits for the daemon to come */
	built_launch(&b, &(struct built_start){ .inherited = inherited });
	close(inherited[0]);
	close(inherited[1]);
	built_expect(&b, "READY=1");

	assert_dict_answers(early);
	late = built_connect(&b, "auth.sock");
	assert_dict_answers(late);
	assert_int_equal(built_try_connect(&b, "foreign.sock"), -1);
	close(early);
	close(late);
	built_stop(&b);
	assert_true(built_has(&b, "auth.sock")); /* it is systemd's */
	built_deinit(&b);
}

static void out_of_descriptors(void **state)
{
	enum { LIMIT = 48, CLIENTS = 64 };
	unsigned long tries;
	int fd[CLIENTS];
	struct built b;
	int64_t began;
	char got[64];

	built_init(&b);
	built_launch(&b, &(struct built_start){ .descriptors = LIMIT });
	built_expect(&b, "READY=1");
	began = now_ms();
	for (unsigned i = 0; i < CLIENTS; i++)
		fd[i] = built_connect(&b, "auth.sock");
	assert_dict_answers(fd[0]); /* those inside go on */

	/* The last one is served once others leave room. */
	dprintf(fd[CLIENTS - 1], "H3\t2\t0\t\tauth\nLshared/userdb/a@b\ta\n");
	for (unsigned i = 0; i < CLIENTS - 1; i++)
		close(fd[i]);
	built_read(fd[CLIENTS - 1], "\n", got, sizeof(got));
	assert_string_equal(got, "N\n");
	close(fd[CLIENTS - 1]);

	tries =
	    built_metric(&b, "chatmail_connections_refused_total{service=\"auth\"}");
	assert_true(tries >= 1);
	/* One failed try each 100 ms; a loop that spins makes thousands. */
	assert_true((int64_t)tries <= 2 + (now_ms() - began) / 100);
	built_stop(&b);
	built_deinit(&b);
}

static void metrics_in_both_formats(void **state)
{
	struct built b;
	struct built_page page;

	built_init(&b);
	built_start(&b);
	built_scrape(&b, "*/*", &page);
	assert_non_null(strstr(page.text, "text/plain; version=0.0.4"));
	assert_non_null(
	    strstr(page.text, "# TYPE chatmail_connections_accepted_total counter\n"));
	assert_null(strstr(page.text, "# EOF"));
	built_scrape(&b, "application/openmetrics-text; version=1.0.0", &page);
	assert_non_null(strstr(page.text, "application/openmetrics-text"));
	assert_non_null(
	    strstr(page.text, "# TYPE chatmail_connections_accepted counter\n"));
	assert_non_null(strstr(page.text, "\n# EOF\n"));
	built_stop(&b);
	built_deinit(&b);
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
	struct built_page page;
	struct built b;

	assert_non_null(path);
	doc = support_read_file(path);
	built_init(&b);
	built_start(&b);
	built_scrape(&b, "*/*", &page);
	built_stop(&b);
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
	built_deinit(&b);
}

static const struct check_case {
	const char *name;
	const char *config; /* NULL: the good one; "": none */
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
	struct built b;

	built_init(&b);
	if (c->config)
		write_ini(&b, c->config);
	built_launch(&b, &(struct built_start){ .option = c->option });
	assert_int_equal(built_wait(&b), c->code);
	assert_false(built_has(&b, "auth.sock"));
	built_deinit(&b);
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
