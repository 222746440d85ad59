/* Helpers of the tests; see support.h. */
#include "test/support.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CUT_IN_TWO_MAX  512 /* bytes: longer inputs have too many places to cut */
#define CUT_RANDOM      8   /* random cuts tried */
#define LOOP_DEADLINE_S 60  /* a hang, not a slow machine */

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *format(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	assert_true(n >= 0);
	return text;
}

/* A row's first member is its name. */
static struct CMUnitTest row_test(const struct support_test *t, size_t row)
{
	const char *at = t->rows;
	struct CMUnitTest unit = { .test_func = t->run };
	char *name;

	if (!at) {
		unit.name = strdup(t->name);
		return unit;
	}
	at += row * t->row_size;
	if (asprintf(&name, "%s: %s", t->name, *(const char *const *)(const void *)at) <
	    0)
		abort();
	unit.name = name;
	unit.initial_state = (void *)(uintptr_t)at;
	return unit;
}

int support_run(const char *group, const struct support_test *tests, size_t ntests)
{
	struct CMUnitTest *units;
	size_t total = 0, n = 0;
	int failed;

	for (size_t i = 0; i < ntests; i++)
		total += tests[i].nrows;
	units = calloc(total, sizeof(*units));
	if (!units)
		abort();
	for (size_t i = 0; i < ntests; i++)
		for (size_t row = 0; row < tests[i].nrows; row++)
			units[n++] = row_test(&tests[i], row);

	failed = _cmocka_run_group_tests(group, units, total, NULL, NULL);
	for (size_t i = 0; i < total; i++)
		free((void *)(uintptr_t)units[i].name);
	free(units);
	return failed > 255 ? 255 : failed;
}

uint32_t support_random(uint64_t *seed, uint32_t n)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15U; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return (uint32_t)(((z ^ (z >> 31)) >> 32) % n);
}

static void feed_piece(
    const struct support_feeder *feeder, void *arg, const char *bytes, size_t len)
{
	char *piece;

	if (len == 0)
		return;
	piece = malloc(len);
	assert_non_null(piece);
	memcpy(piece, bytes, len);
	feeder->feed(arg, piece, len);
	free(piece);
}

/* Pieces of 1 to max bytes; max 1 is byte by byte. */
static void feed_pieces(const struct support_feeder *feeder, void *arg,
    const char *bytes, size_t len, uint32_t max, uint64_t seed)
{
	size_t at = 0;

	while (at < len) {
		size_t n = 1 + support_random(&seed, max);

		if (n > len - at)
			n = len - at;
		feed_piece(feeder, arg, bytes + at, n);
		at += n;
	}
}

static void feed_begin(const struct support_feeder *feeder, void *arg)
{
	if (feeder->begin)
		feeder->begin(arg);
}

void support_every_cut(
    const struct support_feeder *feeder, void *arg, const char *bytes, size_t len)
{
	char cut[64];

	feed_begin(feeder, arg);
	feed_piece(feeder, arg, bytes, len);
	feeder->end(arg, "whole");

	feed_begin(feeder, arg);
	feed_pieces(feeder, arg, bytes, len, 1, 0);
	feeder->end(arg, "byte by byte");

	for (size_t at = 1; at < len && len <= CUT_IN_TWO_MAX; at++) {
		feed_begin(feeder, arg);
		feed_piece(feeder, arg, bytes, at);
		feed_piece(feeder, arg, bytes + at, len - at);
		snprintf(cut, sizeof(cut), "in two at %zu", at);
		feeder->end(arg, cut);
	}
	for (unsigned i = 0; i < CUT_RANDOM; i++) {
		/* Small pieces find the states, large ones the runs between them. */
		uint32_t max = 3U << i;

		feed_begin(feeder, arg);
		feed_pieces(feeder, arg, bytes, len, max, i);
		snprintf(cut, sizeof(cut), "random, up to %u", max);
		feeder->end(arg, cut);
	}
}

char *support_tmpdir(void)
{
	const char *base = getenv("TMPDIR");
	char *path = format("%s/chatmail-test-XXXXXX", base ? base : "/tmp");

	assert_non_null(mkdtemp(path));
	return path;
}

static int remove_entry(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

void support_tmpdir_remove(char *path)
{
	if (!path)
		return;
	assert_int_equal(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(path);
}

char *support_path(const char *dir, const char *name)
{
	return format("%s/%s", dir, name);
}

void support_write_file(const char *path, struct span text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while (text.len) {
		ssize_t n = write(fd, text.data, text.len);

		assert_true(n > 0);
		text = span_skip(text, (size_t)n);
	}
	assert_int_equal(close(fd), 0);
}

struct support_text support_read_file(const char *path)
{
	struct support_text t = { NULL, 0 };
	FILE *f = fopen(path, "re");
	size_t size = 4096, n;

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	do {
		size *= 2;
		t.data = realloc(t.data, size);
		assert_non_null(t.data);
		n = fread(t.data + t.len, 1, size - t.len - 1, f);
		t.len += n;
	} while (n > 0);
	assert_false(ferror(f));
	fclose(f);
	t.data[t.len] = '\0';
	return t;
}

struct support_text support_read_data(const char *name)
{
	const char *dir = getenv("CHATMAIL_TEST_DATA");
	struct support_text t;
	char *path;

	if (!dir)
		fail_msg(
		    "CHATMAIL_TEST_DATA is not set; run the tests by 'meson test'");
	path = support_path(dir, name);
	t = support_read_file(path);
	free(path);
	return t;
}

static void print_span(const char *what, struct span s)
{
	print_error("%s: \"", what);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c == '"' || c == '\\')
			print_error("\\%c", c);
		else if (c >= ' ' && c < 0x7f)
			print_error("%c", c);
		else
			print_error("\\%03o", c);
	}
	print_error("\" (%zu bytes)\n", s.len);
}

void support_assert_span(struct span got, struct span want)
{
	if (span_equal(got, want))
		return;
	print_span("got ", got);
	print_span("want", want);
	fail();
}

void support_socketpair(int fd[2])
{
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

void support_loop(struct event_base *base, bool (*done)(void *arg), void *arg)
{
	const struct timeval deadline = { .tv_sec = LOOP_DEADLINE_S };
	bool late = false;
	struct event *timer = evtimer_new(base, on_deadline, &late);

	assert_non_null(timer);
	evtimer_add(timer, &deadline);
	while (!done(arg) && !late)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(timer);
	if (late)
		fail_msg("not done after %d seconds", LOOP_DEADLINE_S);
}
