/* cmdeploy webdev: its server, its watch, and the command. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deploy/command.h"
#include "deploy/page.h"
#include "deploy/webdev_server.h"
#include "deploy/webdev_watch.h"
#include "test/support.h"

#define PATIENCE_MS 10000

static struct config *make_config(const char *domain)
{
	struct config *config;
	char *text;
	int len = asprintf(&text, "[params]\nmail_domain = %s\n", domain);

	assert_true(len > 0);
	config = config_parse("chatmail.ini", text, (size_t)len, stderr);
	assert_non_null(config);
	free(text);
	return config;
}

/* --- the server --------------------------------------------------------------------- */

struct answer {
	bool done;
	int code;
	char *body, *type, *location, *policy, *cache;
};

static char *header(struct evhttp_request *req, const char *name)
{
	const char *value =
	    evhttp_find_header(evhttp_request_get_input_headers(req), name);

	return strdup(value ? value : "");
}

static void on_answer(struct evhttp_request *req, void *arg)
{
	struct answer *a = arg;
	struct evbuffer *body;
	size_t len;

	a->done = true;
	if (!req)
		return;
	body = evhttp_request_get_input_buffer(req);
	len = evbuffer_get_length(body);
	a->code = evhttp_request_get_response_code(req);
	a->body = calloc(1, len + 1);
	evbuffer_remove(body, a->body, len);
	a->type = header(req, "Content-Type");
	a->location = header(req, "Location");
	a->policy = header(req, "Content-Security-Policy");
	a->cache = header(req, "Cache-Control");
}

static bool is_done(void *arg)
{
	return ((const struct answer *)arg)->done;
}

static void answer_free(struct answer *a)
{
	free(a->body);
	free(a->type);
	free(a->location);
	free(a->policy);
	free(a->cache);
}

static const struct request_case {
	const char *name, *domain;
	enum evhttp_cmd_type method;
	const char *path, *language;
	const char *error; /* shown instead of pages */
	int code;
	const char *type, *body; /* body: a part of it */
	const char *location, *policy;
} request_cases[] = {
	{ "home", "chat.example.org", EVHTTP_REQ_GET, "/", NULL, NULL, 200,
	    "text/html; charset=utf-8", "<html lang=\"en\">", "",
	    "default-src 'none'" },
	{ "in German", "chat.example.org", EVHTTP_REQ_GET, "/index.html", "de-CH, en",
	    NULL, 200, "text/html; charset=utf-8", "<html lang=\"de\">", "",
	    "style-src" },
	{ "it reloads itself", "chat.example.org", EVHTTP_REQ_GET, "/", NULL, NULL, 200,
	    "text/html; charset=utf-8", "http-equiv=\"refresh\"", "", "" },
	{ "a picture", "chat.example.org", EVHTTP_REQ_GET, "/logo.svg?x", NULL, NULL,
	    200, "image/svg+xml", "<svg", "", "" },
	{ "a name with an escape", "chat.example.org", EVHTTP_REQ_GET, "/%6cogo.svg",
	    NULL, NULL, 200, "image/svg+xml", "<svg", "", "" },
	{ "only the head", "chat.example.org", EVHTTP_REQ_HEAD, "/main.css", NULL, NULL,
	    200, "text/css", "", "", "" },
	{ "nothing", "chat.example.org", EVHTTP_REQ_GET, "/nothing", NULL, NULL, 404,
	    "text/plain; charset=utf-8", "no such page", "", "" },
	{ "above the site", "chat.example.org", EVHTTP_REQ_GET, "/../../etc/passwd",
	    NULL, NULL, 404, "text/plain; charset=utf-8", "no such page", "", "" },
	{ "a page is not posted to", "chat.example.org", EVHTTP_REQ_POST, "/", NULL,
	    NULL, 405, "text/html", "", "", "" },
	{ "no other method", "chat.example.org", EVHTTP_REQ_DELETE, "/", NULL, NULL,
	    501, "text/html", "", "", "" },
	{ "a new address", "chat.example.org", EVHTTP_REQ_POST, "/new", NULL, NULL, 200,
	    "application/json", "@chat.example.org\", \"password\"", "", "" },
	{ "by a browser", "chat.example.org", EVHTTP_REQ_GET, "/new", NULL, NULL, 301,
	    "text/plain; charset=utf-8", "", "dcaccount:https://chat.example.org/new",
	    "" },
	{ "of a self-signed relay", "_chat.example.org", EVHTTP_REQ_GET, "/new", NULL,
	    NULL, 200, "application/json", "\"dclogin_url\": \"dclogin:", "",
	    "script-src 'self'" },
	{ "the echo bot", "chat.example.org", EVHTTP_REQ_GET, "/echobot", NULL, NULL,
	    503, "text/plain; charset=utf-8", "leads to the echo bot", "", "" },
	{ "a mistake", "chat.example.org", EVHTTP_REQ_GET, "/", NULL,
	    "a.md:1: '<b>' is not", 500, "text/html; charset=utf-8",
	    "a.md:1: &#39;&lt;b&gt;&#39; is not", "", "" },
};

static void request(void **state)
{
	const struct request_case *c = *state;
	struct event_base *base = event_base_new();
	struct config *config = make_config(c->domain);
	struct webdev_server *server = webdev_server_create(base, 0);
	struct evhttp_connection *conn;
	struct evhttp_request *req;
	struct answer a = { 0 };
	struct page_files site;
	char error[PAGE_ERROR_MAX];

	assert_non_null(server);
	assert_int_equal(page_make(config, true, &site, error), PAGE_MADE);
	webdev_server_show(server, config, &site, c->error);
	conn = evhttp_connection_base_new(
	    base, NULL, "127.0.0.1", webdev_server_port(server));
	req = evhttp_request_new(on_answer, &a);
	if (c->language)
		evhttp_add_header(evhttp_request_get_output_headers(req),
		    "Accept-Language", c->language);
	assert_int_equal(evhttp_make_request(conn, req, c->method, c->path), 0);
	support_loop(base, is_done, &a);
	assert_int_equal(a.code, c->code);
	assert_string_equal(a.type, c->type);
	assert_string_equal(a.location, c->location);
	if (!strstr(a.body, c->body))
		assert_string_equal(a.body, c->body);
	assert_non_null(strstr(a.policy, c->policy));
	if (c->code == 200)
		assert_string_equal(a.cache, "no-store");
	answer_free(&a);
	evhttp_connection_free(conn);
	webdev_server_free(server);
	page_files_deinit(&site);
	config_free(config);
	event_base_free(base);
}

static void taken_port(void **state)
{
	struct event_base *base = event_base_new();
	struct webdev_server *server = webdev_server_create(base, 0);

	assert_non_null(server);
	assert_null(webdev_server_create(base, webdev_server_port(server)));
	assert_int_equal(errno, EADDRINUSE);
	webdev_server_free(server);
	event_base_free(base);
}

/* --- the watch ---------------------------------------------------------------------- */

static void count_change(void *arg)
{
	++*(unsigned *)arg;
}

static bool has_changed(void *arg)
{
	return *(const unsigned *)arg > 0;
}

static const struct change_case {
	const char *name, *path; /* written, below the folder */
	bool noticed;
} change_cases[] = {
	{ "a page", "www/index.md", true },
	{ "a new one", "www/new.md", true },
	{ "one below", "www/src/a.md", true },
	{ "the config", "chatmail.ini", true },
	{ "what is beside the config", "other.ini", false },
	{ "an editor's backup", "www/index.md~", false },
	{ "an editor's swap file", "www/src/a.swp", false },
	{ "a hidden file", "www/.index.md.new", false },
};

static void change(void **state)
{
	const struct change_case *c = *state;
	char *dir = support_tmpdir(), *www = support_path(dir, "www");
	char *src = support_path(www, "src"), *ini = support_path(dir, "chatmail.ini");
	char *path = support_path(dir, c->path);
	struct event_base *base = event_base_new();
	unsigned changes = 0;
	struct webdev_watch *w = webdev_watch_create(base, count_change, &changes);

	assert_int_equal(mkdir(www, 0700), 0);
	assert_int_equal(mkdir(src, 0700), 0);
	assert_int_equal(webdev_watch_set(w, www, ini), 0);
	support_write_file(path, span_of("x"));
	event_base_loop(base, EVLOOP_NONBLOCK);
	/* One event is for reading; the other is there once a change has to settle. */
	assert_int_equal(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED),
	    c->noticed ? 2 : 1);
	if (c->noticed)
		support_loop(base, has_changed, &changes);
	assert_int_equal(changes, c->noticed);
	webdev_watch_free(w);
	event_base_free(base);
	free(path);
	free(ini);
	free(src);
	free(www);
	support_tmpdir_remove(dir);
}

/* --- the command -------------------------------------------------------------------- */

struct child {
	pid_t pid;
	int out; /* its stdout and stderr */
	char said[16384];
	size_t len;
};

static struct child start(const char *ini, const char *option, const char *value)
{
	const char *args[] = { "webdev", "--config", ini, option, value, NULL };
	struct child child = { 0 };
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	fflush(stdout);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		dup2(fd[1], STDOUT_FILENO);
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		command_catch_interrupt();
		_exit(webdev_command.run(5, (char **)args));
	}
	close(fd[1]);
	child.out = fd[0];
	return child;
}

/* Until it has said what, or at its end. */
static bool wait_for(struct child *c, const char *what)
{
	struct pollfd p = { .fd = c->out, .events = POLLIN };

	while (!strstr(c->said, what) && c->len + 1 < sizeof(c->said)) {
		ssize_t n;

		if (poll(&p, 1, PATIENCE_MS) != 1)
			fail_msg("no '%s' in: %s", what, c->said);
		n = read(c->out, c->said + c->len, sizeof(c->said) - 1 - c->len);
		if (n <= 0)
			break;
		c->len += (size_t)n;
		c->said[c->len] = '\0';
	}
	return strstr(c->said, what) != NULL;
}

static void forget(struct child *c)
{
	c->len = 0;
	c->said[0] = '\0';
}

static int end(struct child *c)
{
	int status;

	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	close(c->out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* An ini file and a folder with pages. */
static char *make_workplace(char **ini, char **page)
{
	char *dir = support_tmpdir(), *www = support_path(dir, "www");
	char *src = support_path(www, "src"), *layout, *text;

	assert_int_equal(mkdir(www, 0700), 0);
	assert_int_equal(mkdir(src, 0700), 0);
	*ini = support_path(dir, "chatmail.ini");
	*page = support_path(src, "index.md");
	layout = support_path(src, "page-layout.html");
	assert_true(asprintf(&text,
			"[params]\nmail_domain = chat.example.org\nwww_folder = %s\n",
			www) > 0);
	support_write_file(*ini, span_of(text));
	support_write_file(*page, span_of("one"));
	support_write_file(layout, span_of("{{ markdown_html }}"));
	free(text);
	free(layout);
	free(src);
	free(www);
	return dir;
}

static void live(void **state)
{
	char *ini, *page, *dir = make_workplace(&ini, &page);
	struct child c = start(ini, "--port", "0");

	assert_true(wait_for(&c, "Ctrl-C ends."));
	assert_non_null(strstr(c.said, "http://127.0.0.1:"));
	support_write_file(page, span_of("two"));
	assert_true(wait_for(&c, "Build 2:\n  index.html\n"));
	support_write_file(page, span_of("{{ foo }}"));
	assert_true(wait_for(&c, "index.md:1: there is no variable 'foo'"));
	support_write_file(ini, span_of("[params]\nmail_domain =\n"));
	assert_true(wait_for(&c, "cannot be used"));
	/* Perhaps in time for the same build, perhaps for one more. */
	forget(&c);
	support_write_file(page, span_of("three"));
	assert_true(wait_for(&c, ":\n  index.html\n"));
	assert_int_equal(kill(c.pid, SIGINT), 0);
	assert_true(wait_for(&c, "Interrupted."));
	assert_int_equal(end(&c), COMMAND_INTERRUPTED);
	free(ini);
	free(page);
	support_tmpdir_remove(dir);
}

static void as_files(void **state)
{
	char *ini, *page, *dir = make_workplace(&ini, &page);
	char *out = support_path(dir, "a/b"), *path = support_path(out, "index.html");
	struct child c = start(ini, "--build", out);
	struct support_text text;

	assert_false(wait_for(&c, "http://"));
	assert_int_equal(end(&c), COMMAND_OK);
	text = support_read_file(path);
	assert_string_equal(text.data, "<p>one</p>\n");
	free(text.data);

	support_write_file(page, span_of("{{ foo }}"));
	c = start(ini, "--build", out);
	assert_true(wait_for(&c, "there is no variable 'foo'"));
	assert_int_equal(end(&c), COMMAND_FAILED);
	free(path);
	free(out);
	free(ini);
	free(page);
	support_tmpdir_remove(dir);
}

static const struct usage_case {
	const char *name, *option, *value;
	int status;
} usage_cases[] = {
	{ "no number", "--port", "http", COMMAND_USAGE },
	{ "too high", "--port", "65536", COMMAND_USAGE },
	{ "below zero", "--port", "-1", COMMAND_USAGE },
	{ "no such option", "--foo", "1", COMMAND_USAGE },
	{ "a folder that cannot be made", "--build", "/dev/null/x", COMMAND_FAILED },
	{ "no config", "--config", "/nowhere/chatmail.ini", COMMAND_FAILED },
};

static void usage(void **state)
{
	const struct usage_case *u = *state;
	char *ini, *page, *dir = make_workplace(&ini, &page);
	struct child c = start(ini, u->option, u->value);

	assert_false(wait_for(&c, "Ctrl-C ends."));
	assert_int_equal(end(&c), u->status);
	assert_true(c.len > 0);
	free(ini);
	free(page);
	support_tmpdir_remove(dir);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(request, request_cases) },
		{ SUPPORT_TEST(taken_port) },
		{ SUPPORT_TABLE(change, change_cases) },
		{ SUPPORT_TEST(live) },
		{ SUPPORT_TEST(as_files) },
		{ SUPPORT_TABLE(usage, usage_cases) },
	};

	return support_run("webdev", tests, ARRAY_LEN(tests));
}
