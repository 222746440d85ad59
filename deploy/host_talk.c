/* Talking with a program until it ends. */
#include "deploy/host_talk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "deploy/host_signal.h"

#define END_STEP_MS                                                                    \
	5 /* between looks for the end of a program that closed its output */

enum { IN, OUT, ERR, ASIDE, SOURCE, NFDS };

size_t talk_read(int *fd, struct text *to)
{
	char bytes[65536];
	ssize_t n = read(*fd, bytes, sizeof(bytes));

	if (n > 0) {
		text_add_span(to, span_make(bytes, (size_t)n));
		return (size_t)n;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		child_close(fd);
	return 0;
}

void talk_trim(struct text *err)
{
	size_t extra;

	if (err->len <= TALK_ERR_MAX)
		return;
	extra = err->len - TALK_ERR_MAX;
	memmove(err->data, err->data + extra, TALK_ERR_MAX + 1);
	err->len = TALK_ERR_MAX;
}

static void send_input(struct talk *t)
{
	int *fd = &t->child->in;

	while (t->in[0].len + t->in[1].len > 0) {
		struct span *part = t->in[0].len > 0 ? &t->in[0] : &t->in[1];
		ssize_t n = write(*fd, part->data, part->len);

		if (n > 0) {
			*part = span_skip(*part, (size_t)n);
		} else {
			/* A program need not read all. */
			if (errno != EAGAIN && errno != EINTR) {
				child_close(fd);
				t->source = NULL;
			}
			return;
		}
	}
	if (!t->answer && !t->source)
		child_close(fd);
}

/* Called when all is sent that was read before. */
static void read_source(struct talk *t)
{
	ssize_t n;

	if (!t->chunk && !(t->chunk = malloc(TALK_CHUNK)))
		abort();
	n = read(*t->source, t->chunk, TALK_CHUNK);
	if (n > 0) {
		t->in[1] = span_make(t->chunk, (size_t)n);
	} else if (n == 0) {
		t->source = NULL;
		child_close(&t->child->in);
	} else if (errno != EAGAIN && errno != EINTR) {
		t->source_error = errno;
		t->refused = true;
	}
}

static void read_out(struct talk *t)
{
	if (talk_read(&t->child->out, t->out) > 0 && t->drain &&
	    !t->drain(t->drain_arg, t->out))
		t->refused = true;
}

static void end_line(struct talk *t)
{
	if (t->partial.len == 0)
		return;
	if (t->line)
		t->line(t->arg, t->partial.data);
	text_free(&t->partial);
}

static void split_lines(struct talk *t, struct span bytes)
{
	struct span line;

	while (bytes.len > 0 && span_cut(&bytes, '\n', &line)) {
		while (t->partial.len + line.len > TALK_LINE_MAX) {
			size_t room = TALK_LINE_MAX - t->partial.len;

			text_add_span(&t->partial, span_make(line.data, room));
			line = span_skip(line, room);
			end_line(t);
		}
		text_add_span(&t->partial, line);
		if (bytes.data)
			end_line(t);
	}
}

static void read_err(struct talk *t)
{
	size_t n = talk_read(&t->child->err, t->err);

	if (n > 0)
		split_lines(t, span_make(t->err->data + t->err->len - n, n));
	talk_trim(t->err);
}

static int wait_for_events(struct talk *t, struct pollfd *fds)
{
	const struct child *c = t->child;
	bool sending = t->in[0].len + t->in[1].len > 0;
	bool silent = c->out < 0 && c->err < 0;

	fds[IN] = (struct pollfd){ sending ? c->in : -1, POLLOUT, 0 };
	fds[OUT] = (struct pollfd){ c->out, POLLIN, 0 };
	fds[ERR] = (struct pollfd){ c->err, POLLIN, 0 };
	fds[ASIDE] = (struct pollfd){ t->aside ? *t->aside : -1, POLLIN, 0 };
	fds[SOURCE] =
	    (struct pollfd){ t->source && !sending ? *t->source : -1, POLLIN, 0 };
	return poll(fds, NFDS, silent ? END_STEP_MS : TALK_TICK_MS);
}

static void serve_events(struct talk *t, const struct pollfd *fds)
{
	if (fds[IN].revents)
		send_input(t);
	if (fds[SOURCE].revents)
		read_source(t);
	if (fds[OUT].revents)
		read_out(t);
	if (fds[ERR].revents)
		read_err(t);
	if (fds[ASIDE].revents) {
		talk_read(t->aside, t->aside_err);
		talk_trim(t->aside_err);
	}
}

static bool is_answered(const struct talk *t)
{
	return t->answer && t->out->data && strstr(t->out->data, t->answer);
}

/* True if it is over, and how. */
static bool is_over(struct talk *t, bool silence, enum talk_end *end)
{
	const struct child *c = t->child;

	if (host_signals_caught()) {
		*end = TALK_INTERRUPTED;
	} else if (t->refused) {
		*end = TALK_REFUSED;
	} else if (t->out->len > HOST_OUTPUT_MAX) {
		*end = TALK_TOO_MUCH;
	} else if (is_answered(t)) {
		*end = TALK_ANSWERED;
	} else if (silence || (c->out < 0 && c->err < 0)) {
		/* What it left running may hold the pipes open: that does not matter. */
		*end = TALK_ENDED;
		return child_ended(t->child);
	} else {
		return false;
	}
	return true;
}

enum talk_end talk(struct talk *t)
{
	struct pollfd fds[NFDS];
	enum talk_end end;
	int n = 1;

	if (t->in[0].len + t->in[1].len == 0 && !t->answer && !t->source)
		child_close(&t->child->in);
	while (!is_over(t, n == 0, &end)) {
		n = wait_for_events(t, fds);
		if (n > 0)
			serve_events(t, fds);
		else if (n == 0 && t->line)
			t->line(t->arg, NULL);
	}
	end_line(t);
	text_free(&t->partial);
	free(t->chunk);
	if (end == TALK_ENDED)
		child_finish(t->child);
	else if (end != TALK_ANSWERED)
		child_stop(t->child);
	return end;
}
