/* See stream.h. */
#include "chatmaild/stream.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* No event is lost: the loop calls again as long as there is something to do. */
static bool is_passing(int error)
{
	return error == EAGAIN || error == EINTR;
}

/* What was not used outlives the stack it lies on. */
static void keep_input(struct stream *s)
{
	if (s->input.len == 0 || s->kept)
		return;
	s->kept = malloc(s->input.len);
	if (!s->kept)
		abort();
	memcpy(s->kept, s->input.data, s->input.len);
	s->input.data = s->kept;
}

/*
 * Receive behind the unused input, into room of STREAM_INPUT_MAX bytes where all of it
 * lies then. As recv().
 */
static ssize_t receive(struct stream *s, char *room)
{
	size_t len = s->input.len;
	ssize_t n;

	assert(len < STREAM_INPUT_MAX); /* or 0 would not mean the end */
	n = recv(s->fd, room + len, STREAM_INPUT_MAX - len, 0);
	if (n <= 0)
		return n;
	if (len > 0)
		memcpy(room, s->input.data, len);
	free(s->kept);
	s->kept = NULL;
	s->input = span_make(room, len + (size_t)n);
	return n;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	char room[STREAM_INPUT_MAX];
	bool gone = false;
	ssize_t n;

	if (what == EV_TIMEOUT) { /* alone: what comes late comes */
		s->events->on_break(s->arg, STREAM_LATE);
		return;
	}
	n = receive(s, room);
	if (n <= 0) {
		if (n == 0 || !is_passing(errno))
			s->events->on_break(
			    s->arg, n == 0 ? STREAM_CLOSED : STREAM_UNREAD);
		return;
	}
	s->gone = &gone;
	s->events->on_input(s->arg);
	if (gone)
		return;
	s->gone = NULL;
	keep_input(s);
}

/* Nothing is written any more; the loop tells. */
static void fail_writing(struct stream *s, int error)
{
	s->error = error;
	if (s->out)
		evbuffer_drain(s->out, evbuffer_get_length(s->out));
	event_del(&s->writable);
	event_active(&s->writable, EV_WRITE, 0);
}

/* There is something in out. */
static void await_room(struct stream *s)
{
	if (!event_pending(&s->writable, EV_WRITE, NULL))
		event_add(&s->writable, s->write_timeout);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	if (s->error) {
		errno = s->error;
		s->events->on_break(s->arg, STREAM_UNWRITTEN);
		return;
	}
	if (what == EV_TIMEOUT) {
		s->events->on_break(s->arg, STREAM_LATE);
		return;
	}
	if (evbuffer_write(s->out, fd) < 0 && !is_passing(errno)) {
		fail_writing(s, errno);
		return;
	}
	if (stream_waiting(s) == 0)
		event_del(&s->writable);
	if (stream_waiting(s) <= s->few)
		s->events->on_written(s->arg);
}

static struct evbuffer *out_of(struct stream *s)
{
	if (!s->out)
		s->out = evbuffer_new();
	if (!s->out)
		abort();
	return s->out;
}

void stream_init(struct stream *s, struct event_base *base, evutil_socket_t fd,
    const struct stream_events *events, void *arg)
{
	*s = (struct stream){ .events = events, .arg = arg, .fd = fd };
	event_assign(&s->readable, base, fd, EV_READ | EV_PERSIST, on_readable, s);
	event_assign(&s->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable, s);
}

void stream_deinit(struct stream *s)
{
	if (s->gone)
		*s->gone = true;
	stream_stop(s);
	close(s->fd);
	free(s->kept);
	if (s->out)
		evbuffer_free(s->out);
}

void stream_resume(struct stream *s)
{
	if (s->reading)
		return;
	s->reading = true;
	event_add(&s->readable, s->read_timeout);
}

void stream_pause(struct stream *s)
{
	if (!s->reading)
		return;
	s->reading = false;
	event_del(&s->readable);
}

void stream_stop(struct stream *s)
{
	stream_pause(s);
	event_del(&s->writable);
}

struct span stream_input(const struct stream *s)
{
	return s->input;
}

void stream_use(struct stream *s, size_t n)
{
	assert(n <= s->input.len);
	if (n == 0)
		return;
	s->input = span_skip(s->input, n);
	if (s->input.len > 0)
		return;
	free(s->kept);
	s->kept = NULL;
}

bool stream_read_now(struct stream *s)
{
	char room[STREAM_INPUT_MAX];

	if (s->input.len == STREAM_INPUT_MAX || receive(s, room) <= 0)
		return false;
	keep_input(s);
	return true;
}

void stream_send(struct stream *s, struct span text)
{
	ssize_t n = 0;

	if (s->error)
		return;
	if (stream_waiting(s) == 0)
		n = send(s->fd, text.data, text.len, MSG_NOSIGNAL);
	if (n < 0 && !is_passing(errno)) {
		fail_writing(s, errno);
		return;
	}
	text = span_skip(text, n < 0 ? 0 : (size_t)n);
	if (text.len == 0)
		return;
	if (evbuffer_add(out_of(s), text.data, text.len) < 0)
		abort();
	await_room(s);
}

void stream_write(struct stream *s, struct evbuffer *data)
{
	if (!s->error && stream_waiting(s) == 0 && evbuffer_get_length(data) > 0 &&
	    evbuffer_write(data, s->fd) < 0 && !is_passing(errno))
		fail_writing(s, errno);
	stream_queue(s, data);
}

void stream_queue(struct stream *s, struct evbuffer *data)
{
	if (s->error)
		evbuffer_drain(data, evbuffer_get_length(data));
	if (evbuffer_get_length(data) == 0)
		return;
	evbuffer_add_buffer(out_of(s), data);
	await_room(s);
}

size_t stream_waiting(const struct stream *s)
{
	return s->out ? evbuffer_get_length(s->out) : 0;
}

bool stream_all_written(const struct stream *s)
{
	return !s->error && stream_waiting(s) == 0;
}
