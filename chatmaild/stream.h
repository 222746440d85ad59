/*
 * A connected socket on the loop, for SMTP: a mail is ten short turns of talk, so each
 * is to cost little. What comes is read with one system call and handed over where it
 * lies; what goes is written at once, and only what the socket does not take waits for
 * the loop.
 */
#ifndef CHATMAILD_STREAM_H
#define CHATMAILD_STREAM_H

#include <event2/buffer.h>
#include <event2/event_struct.h>
#include <stdbool.h>

#include "proto/span.h"

/* Bytes of input not yet used; then reading must pause. */
#define STREAM_INPUT_MAX (16 * 1024 - 256)

enum stream_break {
	STREAM_LATE,      /* nothing came, or nothing went, for too long */
	STREAM_CLOSED,    /* by the peer */
	STREAM_UNREAD,    /* reading failed; errno tells */
	STREAM_UNWRITTEN, /* writing failed, nothing was written since; errno tells */
};

/* All come from the loop, and stream_deinit() is welcome in each. */
struct stream_events {
	void (*on_input)(void *arg); /* stream_input() grew */
	/* Of what waited to be written, few bytes are left, or none. */
	void (*on_written)(void *arg);
	/* The end: it will come again unless the stream is stopped. */
	void (*on_break)(void *arg, enum stream_break what);
};

/* Embedded by its owner, who sets the first ones between init and resume. */
struct stream {
	const struct timeval *read_timeout, *write_timeout; /* borrowed; NULL: none */
	size_t few; /* bytes waiting at which on_written() comes; 0 at first */

	/* stream.c's own */
	const struct stream_events *events;
	void *arg;
	evutil_socket_t fd;
	bool reading;
	int error; /* of writing, an errno; 0 while all is well */
	struct event readable, writable;
	struct span input;    /* in kept, or on the stack of who reads */
	char *kept;           /* owned, or NULL */
	bool *gone;           /* to be set when it ends while it is called back */
	struct evbuffer *out; /* waits to be written, NULL if nothing ever did */
};

/* fd is non-blocking and taken. Nothing is read before stream_resume(). */
void stream_init(struct stream *s, struct event_base *base, evutil_socket_t fd,
    const struct stream_events *events, void *arg);

/* Closes it at once: what waits is lost. */
void stream_deinit(struct stream *s);

void stream_resume(struct stream *s); /* read; it may be reading already */
void stream_pause(struct stream *s);  /* read no more for now */
void stream_stop(struct stream *s);   /* neither read nor write any more */

/* What was read and not used. Borrowed until the stream's next function or event. */
struct span stream_input(const struct stream *s);

/* The first n bytes of it are done with. */
void stream_use(struct stream *s, size_t n);

/* Read what is there without waiting for the loop. False if nothing came. */
bool stream_read_now(struct stream *s);

/*
 * Write in order: text is copied, data moved out of it. A failure is told by on_break()
 * from the loop, and nothing is written behind the gap.
 */
void stream_send(struct stream *s, struct span text);
void stream_write(struct stream *s, struct evbuffer *data);

/* The same, but all of it by the loop, so that on_written() will come. */
void stream_queue(struct stream *s, struct evbuffer *data);

/* Bytes that wait to be written; none if writing failed. */
size_t stream_waiting(const struct stream *s);

/* None wait, and writing did not fail. */
bool stream_all_written(const struct stream *s);

#endif
