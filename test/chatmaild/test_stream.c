/* A stream on a loop, the other end of its socket pair in the test's hand. */
#include "chatmaild/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/support.h"

#define LARGE (1024 * 1024) /* more than a socket takes */

struct fixture {
	struct event_base *base;
	struct stream stream;
	int peer; /* -1: closed */
	bool open;
	size_t use; /* bytes of input to use at most each time */
	bool close_on_input, close_on_written;
	struct evbuffer *got; /* what was used */
	unsigned inputs, writtens, breaks;
	enum stream_break what;
	int error;
};

static void end(struct fixture *f)
{
	stream_deinit(&f->stream);
	f->open = false;
}

static void on_input(void *arg)
{
	struct fixture *f = arg;
	struct span in = stream_input(&f->stream);
	size_t n = in.len < f->use ? in.len : f->use;

	f->inputs++;
	evbuffer_add(f->got, in.data, n);
	stream_use(&f->stream, n);
	if (stream_input(&f->stream).len == STREAM_INPUT_MAX)
		stream_pause(&f->stream);
	if (f->close_on_input)
		end(f);
}

static void on_written(void *arg)
{
	struct fixture *f = arg;

	f->writtens++;
	assert_true(stream_waiting(&f->stream) <= f->stream.few);
	if (f->close_on_written)
		end(f);
}

static void on_break(void *arg, enum stream_break what)
{
	struct fixture *f = arg;

	f->error = errno;
	f->breaks++;
	f->what = what;
	stream_stop(&f->stream);
}

static const struct stream_events events = { on_input, on_written, on_break };

static void fixture_init(struct fixture *f)
{
	int fd[2];

	support_socketpair(fd);
	*f = (struct fixture){ .base = event_base_new(),
		.peer = fd[1],
		.open = true,
		.use = SIZE_MAX,
		.got = evbuffer_new() };
	stream_init(&f->stream, f->base, fd[0], &events, f);
}

static void hang_up(struct fixture *f)
{
	close(f->peer);
	f->peer = -1;
}

static void fixture_deinit(struct fixture *f)
{
	if (f->open)
		stream_deinit(&f->stream);
	if (f->peer >= 0)
		close(f->peer);
	evbuffer_free(f->got);
	event_base_free(f->base);
}

static void turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(write(f->peer, text, strlen(text)), strlen(text));
}

static struct span got(const struct fixture *f)
{
	size_t len = evbuffer_get_length(f->got);

	return span_make((const char *)evbuffer_pullup(f->got, -1), len);
}

/* Not used is not lost, and comes once more before what is new. */
static void unused_input_stays(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.use = 2;
	stream_resume(&f.stream);
	stream_resume(&f.stream);
	say(&f, "abcdef");
	turn(&f);
	assert_int_equal(f.inputs, 1);
	support_assert_span(got(&f), span_of("ab"));
	support_assert_span(stream_input(&f.stream), span_of("cdef"));
	stream_use(&f.stream, 0);
	stream_use(&f.stream, 1);
	support_assert_span(stream_input(&f.stream), span_of("def"));
	say(&f, "gh");
	turn(&f);
	support_assert_span(got(&f), span_of("abde"));
	support_assert_span(stream_input(&f.stream), span_of("fgh"));
	stream_use(&f.stream, 3);
	assert_int_equal(stream_input(&f.stream).len, 0);
	fixture_deinit(&f);
}

/* As much as fits, in one go; the rest waits in the socket for who paused. */
static void full_input_pauses(void **state)
{
	char *text = calloc(1, STREAM_INPUT_MAX + 5);
	struct fixture f;

	fixture_init(&f);
	f.use = 0;
	stream_resume(&f.stream);
	memset(text, 'x', STREAM_INPUT_MAX + 4);
	say(&f, text);
	turn(&f);
	assert_int_equal(f.inputs, 1);
	assert_int_equal(stream_input(&f.stream).len, STREAM_INPUT_MAX);
	assert_false(stream_read_now(&f.stream));
	turn(&f);
	assert_int_equal(f.inputs, 1);
	stream_use(&f.stream, STREAM_INPUT_MAX - 1);
	f.use = SIZE_MAX;
	stream_resume(&f.stream);
	turn(&f);
	support_assert_span(got(&f), span_of("xxxxx"));
	fixture_deinit(&f);
	free(text);
}

/* Without being told to, it reads nothing; then what is there, behind what was. */
static void read_now(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_false(stream_read_now(&f.stream));
	say(&f, "ab");
	turn(&f);
	assert_int_equal(f.inputs, 0);
	assert_true(stream_read_now(&f.stream));
	say(&f, "cd");
	assert_true(stream_read_now(&f.stream));
	support_assert_span(stream_input(&f.stream), span_of("abcd"));
	hang_up(&f);
	assert_false(stream_read_now(&f.stream));
	assert_int_equal(f.inputs, 0);
	fixture_deinit(&f);
}

static void peer_closes(void **state)
{
	struct fixture f;

	fixture_init(&f);
	stream_resume(&f.stream);
	say(&f, "ab");
	hang_up(&f);
	turn(&f);
	turn(&f);
	turn(&f); /* stopped: told once */
	support_assert_span(got(&f), span_of("ab"));
	assert_int_equal(f.breaks, 1);
	assert_int_equal(f.what, STREAM_CLOSED);
	fixture_deinit(&f);
}

/* Its end inside a callback: nothing of it is touched behind. */
static void ends_in_callbacks(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.use = 1;
	f.close_on_input = true;
	stream_resume(&f.stream);
	say(&f, "ab");
	turn(&f);
	assert_false(f.open);
	fixture_deinit(&f);

	fixture_init(&f);
	f.close_on_written = true;
	evbuffer_add(f.got, "ab", 2);
	stream_queue(&f.stream, f.got);
	turn(&f);
	assert_false(f.open);
	fixture_deinit(&f);
}

static void nothing_comes(void **state)
{
	static const struct timeval soon = { .tv_usec = 1000 };
	struct fixture f;

	fixture_init(&f);
	f.stream.read_timeout = &soon;
	stream_resume(&f.stream);
	event_base_loop(f.base, EVLOOP_ONCE);
	assert_int_equal(f.breaks, 1);
	assert_int_equal(f.what, STREAM_LATE);
	fixture_deinit(&f);
}

static void nothing_goes(void **state)
{
	static const struct timeval soon = { .tv_usec = 1000 };
	char *text = calloc(1, LARGE);
	struct fixture f;

	fixture_init(&f);
	f.stream.write_timeout = &soon;
	stream_send(&f.stream, span_make(text, LARGE));
	assert_true(stream_waiting(&f.stream) > 0);
	event_base_loop(f.base, EVLOOP_ONCE);
	assert_int_equal(f.breaks, 1);
	assert_int_equal(f.what, STREAM_LATE);
	fixture_deinit(&f);
	free(text);
}

static void read_peer(struct fixture *f, struct evbuffer *to)
{
	while (evbuffer_read(to, f->peer, LARGE) > 0)
		;
}

/* What does not go at once goes in order, whichever function it came by. */
static void order_of_writing(void **state)
{
	struct evbuffer *data = evbuffer_new(), *arrived = evbuffer_new();
	char *want = malloc(3 * LARGE);
	struct fixture f;

	fixture_init(&f);
	f.stream.few = 1000;
	memset(want, 'a', LARGE);
	memset(want + LARGE, 'b', LARGE);
	memset(want + 2 * LARGE, 'c', LARGE);
	evbuffer_add(data, want, LARGE);
	stream_write(&f.stream, data);
	assert_int_equal(evbuffer_get_length(data), 0);
	stream_send(&f.stream, span_make(want + LARGE, LARGE));
	evbuffer_add(data, want + 2 * LARGE, LARGE);
	stream_queue(&f.stream, data);
	assert_true(stream_waiting(&f.stream) > 2 * LARGE);
	assert_false(stream_all_written(&f.stream));
	while (evbuffer_get_length(arrived) < 3 * LARGE) {
		turn(&f);
		assert_int_equal(
		    f.writtens > 0, stream_waiting(&f.stream) <= f.stream.few);
		read_peer(&f, arrived);
	}
	assert_int_equal(f.writtens, 1);
	assert_true(stream_all_written(&f.stream));
	assert_memory_equal(evbuffer_pullup(arrived, -1), want, 3 * LARGE);
	stream_send(&f.stream, span_of("at once"));
	assert_int_equal(stream_waiting(&f.stream), 0);
	turn(&f);
	assert_int_equal(f.writtens, 1);
	fixture_deinit(&f);
	evbuffer_free(data);
	evbuffer_free(arrived);
	free(want);
}

/* How the writing may go on once the peer is gone. */
static const struct gone_case {
	const char *name;
	bool waiting; /* some of it waits already */
} gone_cases[] = {
	{ "found when sending", false },
	{ "found by the loop", true },
};

/* Told from the loop; no byte goes or waits behind the gap. */
static void peer_is_gone(void **state)
{
	const struct gone_case *c = *state;
	struct evbuffer *data = evbuffer_new();
	char *text = calloc(1, LARGE);
	struct fixture f;

	fixture_init(&f);
	if (c->waiting)
		stream_send(&f.stream, span_make(text, LARGE));
	assert_int_equal(stream_waiting(&f.stream) > 0, c->waiting);
	hang_up(&f);
	stream_send(&f.stream, span_of("into the void"));
	assert_int_equal(f.breaks, 0);
	turn(&f);
	turn(&f);
	assert_int_equal(f.breaks, 1);
	assert_int_equal(f.what, STREAM_UNWRITTEN);
	assert_int_equal(f.error, EPIPE);
	stream_send(&f.stream, span_of("more"));
	evbuffer_add(data, "more", 4);
	stream_write(&f.stream, data);
	assert_int_equal(evbuffer_get_length(data), 0);
	evbuffer_add(data, "more", 4);
	stream_queue(&f.stream, data);
	assert_int_equal(evbuffer_get_length(data), 0);
	assert_int_equal(stream_waiting(&f.stream), 0);
	assert_false(stream_all_written(&f.stream));
	fixture_deinit(&f);
	evbuffer_free(data);
	free(text);
}

/* What it said before is still to be had. */
static void last_words(void **state)
{
	struct fixture f;

	fixture_init(&f);
	say(&f, "452 no");
	hang_up(&f);
	stream_send(&f.stream, span_of("DATA\r\n"));
	turn(&f);
	assert_int_equal(f.what, STREAM_UNWRITTEN);
	assert_true(stream_read_now(&f.stream));
	support_assert_span(stream_input(&f.stream), span_of("452 no"));
	fixture_deinit(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(unused_input_stays) },
		{ SUPPORT_TEST(full_input_pauses) },
		{ SUPPORT_TEST(read_now) },
		{ SUPPORT_TEST(peer_closes) },
		{ SUPPORT_TEST(ends_in_callbacks) },
		{ SUPPORT_TEST(nothing_comes) },
		{ SUPPORT_TEST(nothing_goes) },
		{ SUPPORT_TEST(order_of_writing) },
		{ SUPPORT_TABLE(peer_is_gone, gone_cases) },
		{ SUPPORT_TEST(last_words) },
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	return support_run("stream", tests, ARRAY_LEN(tests));
}
