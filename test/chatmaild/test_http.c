/* What HTTP serves over a real UNIX socket, and what it refuses. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chatmaild/stall.h"
#include "test/chatmaild/accounts.h"

#define PLACES 32 /* connections served at once */

struct house {
	struct accounts a;
};

static void house_init(struct house *h)
{
	static const struct service *const table[] = { &http_service,
		&metrics_service };
	struct accounts *a = &h->a;
	char text[160];

	accounts_init(a);
	a->config.mail_domain_bare = (char *)DOMAIN;
	a->config.public_metrics = true;
	snprintf(text, sizeof(text), "unix:%s/http.sock", a->dir);
	assert_null(endpoint_parse(&a->config.http_socket, span_of(text)));
	snprintf(text, sizeof(text), "unix:%s/metrics.sock", a->dir);
	assert_null(endpoint_parse(&a->config.metrics_address, span_of(text)));
	a->d.stall = stall_create(a->d.base);
	a->d.services = services_start(&a->d, table, ARRAY_LEN(table));
	assert_non_null(a->d.services);
}

static void house_deinit(struct house *h)
{
	services_stop(h->a.d.services);
	stall_destroy(h->a.d.stall);
	accounts_deinit(&h->a);
}

static int connect_to(const struct endpoint *ep)
{
	int fd = socket(ep->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&ep->addr, ep->len), 0);
	evutil_make_socket_nonblocking(fd);
	return fd;
}

struct answer {
	int fd;
	char text[65536];
	size_t len;
	bool ended;
};

static bool read_answer(void *arg)
{
	struct answer *a = arg;
	ssize_t n;

	while ((n = read(a->fd, a->text + a->len, sizeof(a->text) - 1 - a->len)) > 0)
		a->len += (size_t)n;
	a->text[a->len] = '\0';
	a->ended = n == 0 || (n < 0 && errno != EAGAIN);
	return a->ended;
}

static void send_all(int fd, const char *text, size_t len)
{
	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* The whole answer, to the end of the connection. */
static void ask_at(struct house *h, const struct endpoint *where, const char *request,
    struct answer *a)
{
	*a = (struct answer){ .fd = connect_to(where) };
	send_all(a->fd, request, strlen(request));
	support_loop(h->a.d.base, read_answer, a);
	close(a->fd);
}

static void ask(struct house *h, const char *request, struct answer *a)
{
	ask_at(h, &h->a.config.http_socket, request, a);
}

static const struct ask_case {
	const char *name, *request;
	const char *status; /* how the answer starts */
	const char *has[4]; /* what it holds */
	const char *lacks[2];
} ask_cases[] = {
	{ "old format", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ",
	    { "Content-Type: text/plain; version=0.0.4", "Connection: close",
		"# TYPE chatmail_connections_accepted_total counter\n",
		"chatmail_connections{service=\"http\"} 1\n" },
	    { "# EOF", "Server:" } },
	{ "OpenMetrics",
	    "GET /metrics HTTP/1.1\r\nHost: x\r\n"
	    "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n"
	    "\r\n",
	    "HTTP/1.1 200 ",
	    { "Content-Type: application/openmetrics-text; version=1.0.0",
		"# TYPE chatmail_connections_accepted counter\n", "\n# EOF\n",
		"chatmail_http_requests_total{service=\"http\",code=\"200\"} 1\n" },
	    { NULL } },
	{ "HTTP/1.0", "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.0 200 ",
	    { "chatmail_build_info{version=\"",
		"chatmail_worker_queue{threads=\"hash\"} 0\n",
		"chatmail_loop_stall_seconds ", "chatmail_open_fds " },
	    { NULL } },
	{ "query is no other place", "GET /metrics?x=1 HTTP/1.0\r\n\r\n",
	    "HTTP/1.0 200 ", { "chatmail_start_time_seconds " }, { NULL } },
	{ "HEAD", "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 ",
	    { "Content-Type: text/plain", "Content-Length: " },
	    { "chatmail_", "Content-Length: 0" } },
	{ "keep-alive is not kept",
	    "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
	    "HTTP/1.1 200 ", { "Connection: close" }, { NULL } },
	{ "another place", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ",
	    { "Connection: close" }, { NULL } },
	{ "path below", "GET /metrics/x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ",
	    { NULL }, { NULL } },
	{ "POST", "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
	    "HTTP/1.1 405 ", { "Allow: GET, HEAD" }, { NULL } },
	{ "DELETE", "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 ",
	    { "Allow: GET, HEAD" }, { NULL } },
	{ "body too large",
	    "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n",
	    "HTTP/1.1 413 ", { NULL }, { NULL } },
	{ "healthy", "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200 ",
	    { "\r\n\r\nok\n" }, { NULL } },
	{ "ready", "GET /readyz HTTP/1.0\r\n\r\n", "HTTP/1.0 200 ", { "ok\n" },
	    { NULL } },
	{ "nine lines for everybody", "GET /metrics/public HTTP/1.0\r\n\r\n",
	    "HTTP/1.0 200 ",
	    { "Content-Type: text/plain\r\n",
		"\r\n\r\n# HELP total number of accounts\n# TYPE accounts gauge\n"
		"accounts 0\n# HELP number of CI accounts\n"
		"# TYPE ci_accounts gauge\nci_accounts 0\n"
		"# HELP number of non-CI accounts\n# TYPE nonci_accounts gauge\n"
		"nonci_accounts 0\n" },
	    { NULL } },
	{ "new address", "POST /new HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 200 ",
	    { "Content-Type: application/json\r\n", "Cache-Control: no-store\r\n",
		"\r\n\r\n{\"email\": \"", "@" DOMAIN "\", \"password\": \"" },
	    { "dclogin_url" } },
	{ "new address, what is sent does not matter",
	    "POST /new?x=y HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b",
	    "HTTP/1.1 200 ", { "{\"email\": \"" }, { NULL } },
	{ "its old place",
	    "POST /cgi-bin/newemail.py HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 0\r\n\r\n",
	    "HTTP/1.1 200 ", { "{\"email\": \"" }, { NULL } },
	{ "a browser is handed to the app", "GET /new HTTP/1.1\r\nHost: x\r\n\r\n",
	    "HTTP/1.1 301 ", { "Location: dcaccount:https://" DOMAIN "/new\r\n" },
	    { "email" } },
	{ "no newsletter", "POST /newsletter HTTP/1.0\r\n\r\n", "HTTP/1.0 404 ",
	    { NULL }, { NULL } },
	{ "DELETE of a new address", "DELETE /new HTTP/1.1\r\nHost: x\r\n\r\n",
	    "HTTP/1.1 405 ", { "Allow: GET, HEAD, POST" }, { NULL } },
	{ "no HTTP", "hello\r\n\r\n", "", { NULL }, { "chatmail_" } },
};

static void answers(void **state)
{
	const struct ask_case *c = *state;
	struct answer a;
	struct house h;

	house_init(&h);
	ask(&h, c->request, &a);
	if (strncmp(a.text, c->status, strlen(c->status)) != 0)
		fail_msg("not \"%s\": %s", c->status, a.text);
	for (size_t i = 0; i < ARRAY_LEN(c->has) && c->has[i]; i++)
		if (!strstr(a.text, c->has[i]))
			fail_msg("no \"%s\": %s", c->has[i], a.text);
	for (size_t i = 0; i < ARRAY_LEN(c->lacks) && c->lacks[i]; i++)
		if (strstr(a.text, c->lacks[i]))
			fail_msg("has \"%s\": %s", c->lacks[i], a.text);
	house_deinit(&h);
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

/*
 * Requests that evhttp and what stands before it might read differently. The web server
 * takes none of them; here they do no harm, since a connection has one request.
 */
static const struct shape_case {
	const char *name, *headers;
} shape_cases[] = {
	{ "two lengths", "Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello" },
	{ "the second length hides a request",
	    "Content-Length: 0\r\nContent-Length: 33\r\n\r\n"
	    "POST /new HTTP/1.1\r\nHost: x\r\n\r\n\r\n\r\n" },
	{ "another request behind",
	    "Content-Length: 0\r\n\r\nPOST /new HTTP/1.1\r\n\r\n" },
	{ "length with a plus", "Content-Length: +3\r\n\r\nabc" },
	{ "negative length", "Content-Length: -1\r\n\r\n" },
	{ "hexadecimal length", "Content-Length: 0x3\r\n\r\nabc" },
	{ "huge length", "Content-Length: 99999999999999999999\r\n\r\n" },
	{ "a list of lengths", "Content-Length: 3, 3\r\n\r\nabc" },
	{ "space before the colon", "Content-Length : 3\r\n\r\nabc" },
	{ "length and chunks",
	    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	    "POST /new HTTP/1.1\r\n\r\n" },
	{ "broken chunk", "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" },
	{ "chunks with a plus",
	    "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n" },
	{ "two hosts", "Host: y\r\nContent-Length: 0\r\n\r\n" },
	{ "bare LF", "Content-Length: 0\n\nPOST /new HTTP/1.1\nHost: x\n\n" },
	{ "folded header", "X: a\r\n b\r\nContent-Length: 0\r\n\r\n" },
	{ "no name", ": x\r\nContent-Length: 0\r\n\r\n" },
	{ "no colon", "nonsense\r\n\r\n" },
};

static void one_answer_to_any_shape(void **state)
{
	const struct shape_case *c = *state;
	struct answer a;
	struct house h;
	char request[512];

	house_init(&h);
	snprintf(request, sizeof(request), "POST /new HTTP/1.1\r\nHost: x\r\n%s",
	    c->headers);
	ask(&h, request, &a);
	assert_int_equal(count(a.text, "HTTP/1."), 1);
	assert_int_equal(count(a.text, "\"email\""), count(a.text, "HTTP/1.1 200 OK"));
	if (!strstr(a.text, " 200 ") && !strstr(a.text, " 400 ") &&
	    !strstr(a.text, " 413 "))
		fail_msg("%s", a.text);
	house_deinit(&h);
}

static void self_signed_relay_gives_login_links(void **state)
{
	struct answer a;
	struct house h;

	house_init(&h);
	h.a.config.tls_mode = TLS_SELF;
	ask(&h, "GET /new HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	assert_non_null(strstr(a.text, " 200 "));
	assert_non_null(strstr(a.text, "Cache-Control: no-store\r\n"));
	assert_non_null(strstr(a.text, "\"dclogin_url\": \"dclogin:"));
	house_deinit(&h);
}

static void closed_registration_tells_why(void **state)
{
	struct answer a;
	struct house h;

	house_init(&h);
	support_write_file(h.a.closed_file, span_of(""));
	ask(&h, "POST /new HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", &a);
	assert_non_null(strstr(a.text, "HTTP/1.1 503 "));
	assert_non_null(strstr(a.text, "Content-Type: application/json\r\n"));
	assert_non_null(
	    strstr(a.text, "\r\n\r\n{\"reason\": \"This server does not take "
			   "new profiles at the moment.\"}\n"));
	assert_null(strstr(a.text, "password"));
	house_deinit(&h);
}

static void busy_machine_tells_why(void **state)
{
	struct answer a;
	struct house h;

	house_init(&h);
	h.a.config.min_free_disk_space = INT64_MAX;
	ask(&h, "POST /new HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", &a);
	assert_non_null(strstr(a.text, "HTTP/1.1 503 "));
	assert_non_null(strstr(a.text, "{\"reason\": \"This server is too busy "));
	house_deinit(&h);
}

static void ask_new(struct house *h, const char *query, struct answer *a)
{
	char request[256];

	snprintf(request, sizeof(request),
	    "POST /new%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", query);
	ask(h, request, a);
}

/* The invite that is asked with is what the password begins with. */
static void invited_only(void **state)
{
	char invite[INVITE_LEN + 1], query[64], want[64];
	struct answer a;
	struct house h;

	house_init(&h);
	h.a.config.invites = true;
	ask_new(&h, "", &a);
	assert_non_null(strstr(a.text, "HTTP/1.1 503 "));
	assert_non_null(
	    strstr(a.text, "{\"reason\": \"This server takes new profiles by "
			   "invitation only"));
	users_invite(h.a.d.users, 1, invite);
	snprintf(query, sizeof(query), "?invite=%s", invite);
	snprintf(want, sizeof(want), "\"password\": \"%s", invite);
	ask_new(&h, query, &a);
	assert_non_null(strstr(a.text, "HTTP/1.1 200 "));
	assert_non_null(strstr(a.text, want));
	query[9] = query[9] == 'A' ? 'B' : 'A';
	ask_new(&h, query, &a);
	assert_non_null(strstr(a.text, "HTTP/1.1 503 "));
	assert_null(strstr(a.text, "password"));
	ask_new(&h, "?invite=&invite=%00&x", &a);
	assert_non_null(strstr(a.text, "HTTP/1.1 503 "));
	house_deinit(&h);
}

static void public_page_counts_and_can_be_turned_off(void **state)
{
	static const char request[] = "GET /metrics/public HTTP/1.0\r\n\r\n";
	static const char *const names[] = { "ci-asllkj@" DOMAIN, "ac_12l3kj@" DOMAIN,
		"qweqweqwe@" DOMAIN, "ci-l1k2j3@" DOMAIN };
	char hash[PASSWORD_HASH_MAX];
	struct answer a;
	struct house h;

	house_init(&h);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(accounts_make(&h.a, names[i], "secret-password", hash),
		    USERS_FOUND);
	ask(&h, request, &a);
	assert_non_null(strstr(a.text, "\naccounts 4\n"));
	assert_non_null(strstr(a.text, "\nci_accounts 3\n"));
	assert_non_null(strstr(a.text, "\nnonci_accounts 1\n"));
	h.a.config.public_metrics = false;
	ask(&h, request, &a);
	assert_non_null(strstr(a.text, " 404 "));
	house_deinit(&h);
}

static void prometheus_gets_metrics_only(void **state)
{
	static const struct {
		const char *request, *status;
	} rows[] = {
		{ "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.0 200 " },
		{ "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200 " },
		{ "GET /metrics/public HTTP/1.0\r\n\r\n", "HTTP/1.0 404 " },
		{ "POST /new HTTP/1.0\r\n\r\n", "HTTP/1.0 404 " },
	};
	struct answer a;
	struct house h;

	house_init(&h);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ask_at(&h, &h.a.config.metrics_address, rows[i].request, &a);
		assert_memory_equal(a.text, rows[i].status, strlen(rows[i].status));
	}
	house_deinit(&h);
}

static void not_ready_while_it_stops(void **state)
{
	struct answer a;
	struct house h;

	house_init(&h);
	h.a.d.draining = true;
	ask(&h, "GET /readyz HTTP/1.0\r\n\r\n", &a);
	assert_non_null(strstr(a.text, " 503 "));
	ask(&h, "GET /healthz HTTP/1.0\r\n\r\n", &a);
	assert_non_null(strstr(a.text, " 200 "));
	house_deinit(&h);
}

static void header_too_long(void **state)
{
	char request[9000];
	struct answer a;
	struct house h;

	house_init(&h);
	memset(request, 'a', sizeof(request));
	memcpy(request, "GET /metrics HTTP/1.1\r\nX: ", 26);
	a = (struct answer){ .fd = connect_to(&h.a.config.http_socket) };
	send_all(a.fd, request, sizeof(request));
	support_loop(h.a.d.base, read_answer, &a);
	assert_null(strstr(a.text, "chatmail_"));
	assert_null(strstr(a.text, " 200 "));
	close(a.fd);
	house_deinit(&h);
}

static const struct listener *http_listener(const struct house *h)
{
	size_t n;

	return services_list(h->a.d.services, &n)[0].listener;
}

static bool all_places_taken(void *arg)
{
	return listener_connections(http_listener(arg)) == PLACES;
}

static void connections_are_bounded_and_given_back(void **state)
{
	struct answer last;
	struct house h;
	int silent[PLACES];

	house_init(&h);
	for (unsigned i = 0; i < PLACES; i++)
		silent[i] = connect_to(&h.a.config.http_socket);
	support_loop(h.a.d.base, all_places_taken, &h);
	last = (struct answer){ .fd = connect_to(&h.a.config.http_socket) };
	send_all(last.fd, "GET /metrics HTTP/1.0\r\n\r\n", 25);
	for (unsigned i = 0; i < 100; i++)
		event_base_loop(h.a.d.base, EVLOOP_NONBLOCK);
	assert_false(read_answer(&last)); /* waits its turn */
	assert_int_equal(last.len, 0);

	for (unsigned i = 0; i < PLACES; i++)
		close(silent[i]);
	support_loop(h.a.d.base, read_answer, &last);
	assert_non_null(strstr(last.text, " 200 "));
	close(last.fd);
	house_deinit(&h);
}

static void many_one_after_another(void **state)
{
	struct answer a;
	struct house h;

	house_init(&h);
	for (unsigned i = 0; i < 200; i++) {
		ask(&h, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", &a);
		assert_non_null(strstr(a.text, " 200 "));
	}
	assert_int_equal(listener_accepted(http_listener(&h)), 200);
	house_deinit(&h);
}

static bool was_refused(void *arg)
{
	return listener_refused(http_listener(arg)) > 0;
}

/* The machine has no descriptor left: who comes waits until there is one. */
static void waits_for_a_descriptor(void **state)
{
	struct rlimit limit, none;
	struct answer a;
	struct house h;

	house_init(&h);
	a = (struct answer){ .fd = connect_to(&h.a.config.http_socket) };
	send_all(a.fd, "GET /healthz HTTP/1.0\r\n\r\n", 25);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)a.fd, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	support_loop(h.a.d.base, was_refused, &h);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	support_loop(h.a.d.base, read_answer, &a);
	assert_non_null(strstr(a.text, " 200 "));
	close(a.fd);
	house_deinit(&h);
}

static void stops_with_connections_open(void **state)
{
	struct house h;
	int fd[3];

	house_init(&h);
	for (unsigned i = 0; i < 3; i++)
		fd[i] = connect_to(&h.a.config.http_socket);
	send_all(fd[0], "GET /metr", 9);
	send_all(fd[1], "GET /metrics HTTP/1.0\r\n\r\n", 25);
	for (unsigned i = 0; i < 10; i++)
		event_base_loop(h.a.d.base, EVLOOP_NONBLOCK);
	house_deinit(&h);
	for (unsigned i = 0; i < 3; i++)
		close(fd[i]);
}

static const struct invitation_case {
	const char *name;
	bool on;
	const char *link; /* NULL: none is known */
	const char *status;
} invitation_cases[] = {
	{ "known", true, "https://i.delta.chat/#AB&v=3", "HTTP/1.1 302 " },
	{ "not yet known", true, NULL, "HTTP/1.1 503 " },
	{ "no echo bot", false, NULL, "HTTP/1.1 404 " },
};

static void invitation(void **state)
{
	const struct invitation_case *c = *state;
	struct answer a;
	struct house h;

	house_init(&h);
	h.a.config.echobot = c->on;
	h.a.d.invite_link = (char *)(uintptr_t)c->link;
	ask(&h, "GET /echobot HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	assert_int_equal(strncmp(a.text, c->status, strlen(c->status)), 0);
	assert_non_null(strstr(a.text, "\r\nCache-Control: no-store\r\n"));
	if (c->link)
		assert_non_null(
		    strstr(a.text, "\r\nLocation: https://i.delta.chat/#AB&v=3\r\n"));
	else
		assert_null(strstr(a.text, "Location"));
	ask(&h, "POST /echobot HTTP/1.1\r\nHost: x\r\n\r\n", &a);
	assert_int_equal(strncmp(a.text, "HTTP/1.1 405 ", 13), 0);
	house_deinit(&h);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(answers, ask_cases) },
		{ SUPPORT_TABLE(invitation, invitation_cases) },
		{ SUPPORT_TABLE(one_answer_to_any_shape, shape_cases) },
		{ SUPPORT_TEST(self_signed_relay_gives_login_links) },
		{ SUPPORT_TEST(closed_registration_tells_why) },
		{ SUPPORT_TEST(busy_machine_tells_why) },
		{ SUPPORT_TEST(invited_only) },
		{ SUPPORT_TEST(public_page_counts_and_can_be_turned_off) },
		{ SUPPORT_TEST(prometheus_gets_metrics_only) },
		{ SUPPORT_TEST(not_ready_while_it_stops) },
		{ SUPPORT_TEST(header_too_long) },
		{ SUPPORT_TEST(connections_are_bounded_and_given_back) },
		{ SUPPORT_TEST(many_one_after_another) },
		{ SUPPORT_TEST(waits_for_a_descriptor) },
		{ SUPPORT_TEST(stops_with_connections_open) },
	};

	return support_run("http", tests, ARRAY_LEN(tests));
}
