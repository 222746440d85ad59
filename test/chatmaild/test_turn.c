/* chatmaild/turn.c: a scripted TURN helper on a socket; credentials by known values. */
#include "chatmaild/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/support.h"

struct helper {
	struct event_base *base;
	char *dir, *path;
	int listening;
};

struct answer {
	bool done;
	char line[TURN_LINE_MAX + 1];
	char why[128];
};

static void init(struct helper *h)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	*h = (struct helper){ .base = event_base_new(), .dir = support_tmpdir() };
	h->path = support_path(h->dir, "turn.socket");
	assert_true(strlen(h->path) < sizeof(un.sun_path));
	memcpy(un.sun_path, h->path, strlen(h->path));
	h->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(
	    bind(h->listening, (struct sockaddr *)&un, sizeof(un)), errno);
	assert_return_code(listen(h->listening, 1), errno);
}

static void deinit(struct helper *h)
{
	close(h->listening);
	free(h->path);
	support_tmpdir_remove(h->dir);
	event_base_free(h->base);
}

static void on_answer(void *arg, struct span line, const char *why)
{
	struct answer *a = arg;

	assert_false(a->done);
	a->done = true;
	assert_true(line.len <= TURN_LINE_MAX);
	assert_true((line.len == 0) == (why != NULL));
	memcpy(a->line, line.data, line.len);
	if (why)
		strncpy(a->why, why, sizeof(a->why) - 1);
}

static bool is_done(void *arg)
{
	return ((const struct answer *)arg)->done;
}

#define LONG_512                                                                       \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"             \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"             \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"             \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"             \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"             \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"             \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"             \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct answer_case {
	const char *name;
	const char *sent;
	bool stays_open; /* the helper does not close */
	const char *line, *why;
} answer_cases[] = {
	{ "a line", "1795878000:secret\n", false, "1795878000:secret", "" },
	{ "the connection stays", "user:pass\n", true, "user:pass", "" },
	{ "no line end", "user:pass", false, "user:pass", "" },
	{ "blanks around", "  user:pass \r\n", false, "user:pass", "" },
	{ "only the first line", "user:pass\nmore\n", true, "user:pass", "" },
	{ "nothing", "", false, "", "an empty answer" },
	{ "an empty line", "\nuser:pass\n", false, "", "an empty answer" },
	{ "longest", LONG_512 "\n", true, LONG_512, "" },
	{ "longest, no line end", LONG_512, false, LONG_512, "" },
	{ "too long", LONG_512 "x\n", true, "", "too long an answer" },
	{ "too long, no line end", LONG_512 "x", true, "", "too long an answer" },
	{ "too long, closed", LONG_512 "x", false, "", "too long an answer" },
};

/* sent byte by byte or as a whole, the loop turning in between. */
static void ask(const struct answer_case *c, size_t step)
{
	struct answer a = { .done = false };
	size_t len = strlen(c->sent);
	struct helper h;
	int fd;

	init(&h);
	assert_non_null(turn_ask(h.base, h.path, on_answer, &a));
	fd = accept(h.listening, NULL, NULL);
	assert_return_code(fd, errno);
	for (size_t at = 0; at < len && !a.done; at += step) {
		size_t n = len - at < step ? len - at : step;

		assert_int_equal(send(fd, c->sent + at, n, MSG_NOSIGNAL), n);
		event_base_loop(h.base, EVLOOP_NONBLOCK);
	}
	if (!c->stays_open)
		close(fd);
	support_loop(h.base, is_done, &a);
	if (c->stays_open)
		close(fd);
	assert_string_equal(a.line, c->line);
	assert_string_equal(a.why, c->why);
	deinit(&h);
}

static void answer_whole(void **state)
{
	ask(*state, 4096);
}

static void answer_by_bytes(void **state)
{
	ask(*state, 1);
}

static void no_helper(void **state)
{
	struct answer a = { .done = false };
	struct helper h;

	init(&h);
	assert_return_code(unlink(h.path), errno);
	assert_non_null(turn_ask(h.base, h.path, on_answer, &a));
	assert_false(a.done);
	support_loop(h.base, is_done, &a);
	assert_string_equal(a.why, strerror(ENOENT));
	deinit(&h);
}

static void refused(void **state)
{
	struct answer a = { .done = false };
	struct helper h;

	init(&h);
	close(h.listening);
	assert_non_null(turn_ask(h.base, h.path, on_answer, &a));
	support_loop(h.base, is_done, &a);
	assert_string_equal(a.why, strerror(ECONNREFUSED));
	h.listening = open("/dev/null", O_RDONLY | O_CLOEXEC);
	deinit(&h);
}

/* It accepts, and says nothing for five seconds. */
static void silent(void **state)
{
	struct answer a = { .done = false };
	struct helper h;

	init(&h);
	assert_non_null(turn_ask(h.base, h.path, on_answer, &a));
	support_loop(h.base, is_done, &a);
	assert_string_equal(a.why, "no answer in time");
	deinit(&h);
}

static void cancelled(void **state)
{
	struct answer a = { .done = false };
	struct helper h;

	init(&h);
	turn_cancel(turn_ask(h.base, h.path, on_answer, &a));
	turn_cancel(NULL);
	assert_int_equal(event_base_get_num_events(h.base, EVENT_BASE_COUNT_ADDED), 0);
	assert_false(a.done);
	deinit(&h);
}

static void path_too_long(void **state)
{
	char path[200];

	memset(path, '/', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_null(turn_ask(NULL, path, on_answer, NULL));
}

/* printf 1800432000 | openssl dgst -sha1 -hmac KEY -binary | base64 */
static const struct credentials_case {
	const char *name, *secret;
	int64_t now;
	const char *want;
} credentials_cases[] = {
	{ "a secret", "north", 1800000000, "1800432000:KOWEbuniLZJfbV55J4BRILbUWPI=" },
	{ "a longer one",
	    "a secret that is much longer than the 64 bytes of a block of SHA-1, so "
	    "it is hashed",
	    1800000000, "1800432000:vBQBOWrdRsJhvifLpXpEBkpXiPI=" },
	{ "beyond 2038", "north", 4000000000,
	    "4000432000:eRC1gDoqaZOeIfG+riBT4I/MEdM=" },
};

static void credentials(void **state)
{
	const struct credentials_case *c = *state;
	char buf[TURN_LINE_MAX];
	size_t len = turn_credentials(buf, c->secret, c->now);

	support_assert_span(span_make(buf, len), span_of(c->want));
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(answer_whole, answer_cases) },
		{ SUPPORT_TABLE(answer_by_bytes, answer_cases) },
		{ SUPPORT_TEST(no_helper) },
		{ SUPPORT_TEST(refused) },
		{ SUPPORT_TEST(silent) },
		{ SUPPORT_TEST(cancelled) },
		{ SUPPORT_TEST(path_too_long) },
		{ SUPPORT_TABLE(credentials, credentials_cases) },
	};

	return support_run("turn", tests, ARRAY_LEN(tests));
}
