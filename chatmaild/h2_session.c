/*
 * nghttp2 over a bufferevent; see h2_session.h.
 *
 * nghttp2's callbacks only note what happened. What the owner must hear is told by
 * session_report(), the last thing each event of the loop does, since it may end all.
 */
#include "chatmaild/h2_session.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event_struct.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#define OUTPUT_HIGH  (64 * 1024) /* bytes not yet written: nghttp2 keeps the rest */
#define OUTPUT_LOW   (16 * 1024)
#define INPUT_HIGH   (64 * 1024) /* bytes read ahead */
#define HEADER_MAX   (16 * 1024) /* bytes of a response's header, RFC 9113 6.5.2 */
#define BODY_MAX     (64 * 1024) /* bytes of a response that we let come and drop */
#define ACKS_MAX     200         /* replies to PING and SETTINGS that wait */
#define CHATTER_MAX  5000        /* frames within CHATTER_MS that bring no answer */
#define CHATTER_MS   10000
#define FRAME_HEADER 9 /* bytes, RFC 9113 section 4.1 */

struct stream {
	TAILQ_ENTRY(stream) entry;
	int32_t id;
	char *body; /* a copy */
	size_t len, sent;
	uint64_t end; /* what session->put is once all of it is out; 0: not yet known */
	int64_t begun_ms;
	unsigned head_status; /* of the header block that is coming in */
	size_t head_bytes, body_bytes;
	unsigned status; /* the answer; 0: none yet */
	enum h2_outcome outcome;
	h2_done *done;
	void *arg;
};
TAILQ_HEAD(streams, stream);

struct h2_session {
	struct h2_session_options options;
	const struct h2_session_events *events;
	void *arg;
	struct bufferevent *bev;
	nghttp2_session *ng;
	struct evbuffer *out; /* gathers what goes to bev in one piece */
	uint64_t put;         /* bytes given to bev so far */
	struct event flush;   /* something is to be sent */
	struct event tick;    /* the next moment something is late */

	struct streams open;  /* in flight, oldest first */
	struct streams ended; /* done is to be called */
	unsigned nopen;
	uint32_t posted;
	uint64_t answered;

	/* Monotonic, ms; 0: not so. */
	int64_t begun_ms, heard_ms, answered_ms;
	int64_t pinged_ms;        /* a PING waits for its answer */
	int64_t refused_until_ms; /* the peer was overloaded */
	int64_t chatter_since_ms;
	unsigned chatter;

	bool ready, leaving;
	bool tell_ready, tell_room, tell_leaving; /* by session_report() */
	const char *lost;                         /* why, or NULL */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Everything below that finds fault ends here; session_report() does the rest. */
static void session_lose(struct h2_session *s, const char *why)
{
	if (!s->lost)
		s->lost = why;
}

static void session_send_soon(struct h2_session *s)
{
	event_active(&s->flush, EV_TIMEOUT, 0);
}

/* Did all of the request leave for the peer, as far as we can see? */
static bool stream_is_out(const struct h2_session *s, const struct stream *st)
{
	size_t waiting = evbuffer_get_length(bufferevent_get_output(s->bev));

	return st->end > 0 && s->put - waiting >= st->end;
}

/* The status is the answer, however the rest of the response fares. */
static void stream_end(
    struct h2_session *s, struct stream *st, enum h2_outcome without_status)
{
	if (st->status) {
		st->outcome = H2_ANSWERED;
		s->answered++;
		s->answered_ms = now_ms();
		s->chatter = 0;
	} else {
		st->outcome = without_status;
	}
	TAILQ_REMOVE(&s->open, st, entry);
	TAILQ_INSERT_TAIL(&s->ended, st, entry);
	s->nopen--;
	nghttp2_session_set_stream_user_data(s->ng, st->id, NULL);
	s->tell_room = true;
}

/* We end it; what still comes for it is dropped by nghttp2. */
static void stream_cancel(
    struct h2_session *s, struct stream *st, enum h2_outcome without_status)
{
	nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_CANCEL);
	stream_end(s, st, without_status);
	session_send_soon(s);
}

static void end_all(struct h2_session *s)
{
	struct stream *st;

	while ((st = TAILQ_FIRST(&s->open)))
		stream_end(s, st, stream_is_out(s, st) ? H2_FAILED : H2_UNSENT);
}

static void call_done(struct h2_session *s)
{
	struct stream *st;

	while ((st = TAILQ_FIRST(&s->ended))) {
		TAILQ_REMOVE(&s->ended, st, entry);
		s->options.counters->in_flight--;
		st->done(st->arg, st->outcome, st->status);
		free(st->body);
		free(st);
	}
}

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When something will be late or has to be asked, monotonic. */
static int64_t session_next_ms(const struct h2_session *s)
{
	const struct h2_timing *t = s->options.timing;
	const struct stream *oldest = TAILQ_FIRST(&s->open);
	int64_t next;

	if (!s->ready)
		return s->begun_ms + t->connect;
	if (s->pinged_ms)
		next = s->pinged_ms + t->ping_answer;
	else
		next = s->heard_ms + (oldest ? t->ping_busy : t->ping_idle);
	if (oldest)
		next = min64(next, oldest->begun_ms + t->request);
	if (s->refused_until_ms)
		next = min64(next, s->refused_until_ms);
	return next;
}

static void session_arm(struct h2_session *s)
{
	int64_t wait = session_next_ms(s) - now_ms();
	struct timeval tv;

	if (wait < 0)
		wait = 0;
	tv.tv_sec = (time_t)(wait / 1000);
	tv.tv_usec = (suseconds_t)(wait % 1000 * 1000);
	event_add(&s->tick, &tv);
}

/* Tell the owner what came of it. On the caller's last line: s may be gone after. */
static void session_report(struct h2_session *s)
{
	bool leaving = s->tell_leaving, ready = s->tell_ready, room = s->tell_room;

	if (s->lost)
		end_all(s);
	else
		session_arm(s);
	s->tell_leaving = s->tell_ready = s->tell_room = false;
	call_done(s);
	if (leaving && !s->lost)
		s->events->on_leaving(s->arg, s);
	if (ready && !s->lost)
		s->events->on_ready(s->arg, s);
	else if (room && !s->lost && s->ready)
		s->events->on_room(s->arg, s);
	if (s->lost || (s->leaving && s->nopen == 0))
		s->events->on_end(s->arg, s, s->lost);
}

static void session_leave(struct h2_session *s)
{
	if (s->leaving)
		return;
	s->leaving = true;
	s->tell_leaving = true;
}

static ssize_t on_body_wanted(nghttp2_session *ng, int32_t id, uint8_t *buf,
    size_t size, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2_session *s = arg;
	struct stream *st = nghttp2_session_get_stream_user_data(ng, id);
	size_t n;

	if (!st) /* cancelled meanwhile */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = st->len - st->sent < size ? st->len - st->sent : size;
	memcpy(buf, st->body + st->sent, n);
	st->sent += n;
	if (st->sent == st->len) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		st->end = s->put + evbuffer_get_length(s->out) + FRAME_HEADER + n;
	}
	return (ssize_t)n;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame,
    const uint8_t *name, size_t namelen, const uint8_t *value, size_t valuelen,
    uint8_t flags, void *arg)
{
	struct stream *st =
	    nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);

	if (!st)
		return 0;
	st->head_bytes += namelen + valuelen + 32; /* as section 6.5.2 counts them */
	if (st->head_bytes > HEADER_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
	if (span_is(span_make((const char *)name, namelen), ":status") && valuelen == 3)
		/* nghttp2 made sure that these are digits */
		st->head_status = (unsigned)((value[0] - '0') * 100 +
					     (value[1] - '0') * 10 + value[2] - '0');
	return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
    size_t len, void *arg)
{
	struct h2_session *s = arg;
	struct stream *st = nghttp2_session_get_stream_user_data(ng, id);

	if (!st)
		return 0;
	st->body_bytes += len;
	if (st->body_bytes > BODY_MAX)
		stream_cancel(s, st, H2_FAILED);
	return 0;
}

/* Frames that no stream needs may come now and then, not all the time. */
static void count_chatter(struct h2_session *s)
{
	int64_t now = now_ms();

	if (now - s->chatter_since_ms > CHATTER_MS) {
		s->chatter_since_ms = now;
		s->chatter = 0;
	}
	if (++s->chatter > CHATTER_MAX)
		session_lose(s, "floods us with frames");
}

static int on_frame_begun(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg)
{
	count_chatter(arg);
	return 0;
}

/* A frame of a response is complete; 1xx is none yet. */
static void on_response_frame(struct h2_session *s, const nghttp2_frame_hd *hd)
{
	struct stream *st = nghttp2_session_get_stream_user_data(s->ng, hd->stream_id);

	if (!st)
		return;
	if (hd->type == NGHTTP2_HEADERS && st->head_status >= 200)
		st->status = st->head_status;
	/* Answered before it heard all: nobody waits for the rest, section 8.1. */
	if ((hd->flags & NGHTTP2_FLAG_END_STREAM) && st->sent < st->len)
		stream_cancel(s, st, H2_FAILED);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_session *s = arg;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		on_response_frame(s, &frame->hd);
		break;
	case NGHTTP2_SETTINGS:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			break;
		if (!s->ready)
			s->tell_ready = true;
		s->ready = true;
		s->tell_room = true;
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			s->pinged_ms = 0;
		break;
	case NGHTTP2_GOAWAY:
		if (!s->leaving)
			s->options.counters->goaway++;
		session_leave(s);
		break;
	default:
		break;
	}
	return 0;
}

/*
 * Answered, or reset by the peer, or refused. A GOAWAY refuses too: what it does not
 * cover, and what we had not begun to send.
 */
static int on_stream_closed(nghttp2_session *ng, int32_t id, uint32_t error, void *arg)
{
	struct h2_session *s = arg;
	struct stream *st = nghttp2_session_get_stream_user_data(ng, id);
	bool refused = error == NGHTTP2_REFUSED_STREAM;

	if (!st)
		return 0;
	if (!st->status && !s->leaving) {
		s->options.counters->resets++;
		if (refused) /* else the same ones would come back at once */
			s->refused_until_ms = now_ms() + s->options.timing->refused;
	}
	refused = refused || (s->leaving && st->sent == 0);
	stream_end(s, st, refused ? H2_UNSENT : H2_FAILED);
	return 0;
}

/* Hand over what nghttp2 wants to send, as far as the peer reads. */
static void session_flush(struct h2_session *s)
{
	struct evbuffer *to = bufferevent_get_output(s->bev);
	ssize_t n = 1;

	while (n > 0 &&
	       evbuffer_get_length(to) + evbuffer_get_length(s->out) < OUTPUT_HIGH) {
		const uint8_t *bytes;

		n = nghttp2_session_mem_send(s->ng, &bytes);
		if (n < 0)
			session_lose(s, nghttp2_strerror((int)n));
		else if (n > 0)
			evbuffer_add(s->out, bytes, (size_t)n);
	}
	s->put += evbuffer_get_length(s->out);
	evbuffer_add_buffer(to, s->out);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct h2_session *s = arg;

	if (!s->lost)
		session_flush(s);
	session_report(s);
}

static void on_input(struct bufferevent *bev, void *arg)
{
	struct h2_session *s = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len;

	s->heard_ms = now_ms();
	while (!s->lost && (len = evbuffer_get_contiguous_space(in)) > 0) {
		ssize_t n = nghttp2_session_mem_recv(
		    s->ng, evbuffer_pullup(in, (ssize_t)len), len);

		if (n < 0)
			session_lose(s, nghttp2_strerror((int)n));
		else
			evbuffer_drain(in, (size_t)n);
	}
	if (!s->lost)
		session_flush(s);
	/* nghttp2 answered nonsense with a GOAWAY of its own. */
	if (!s->lost && !(s->leaving && s->nopen == 0) &&
	    !nghttp2_session_want_read(s->ng) && !nghttp2_session_want_write(s->ng))
		session_lose(s, "broke the protocol");
	session_report(s);
}

static void on_drained(struct bufferevent *bev, void *arg)
{
	struct h2_session *s = arg;

	if (nghttp2_session_want_write(s->ng))
		session_send_soon(s);
}

static void on_broken(struct bufferevent *bev, short what, void *arg)
{
	struct h2_session *s = arg;

	session_lose(
	    s, what & BEV_EVENT_EOF ? "closed the connection" : "connection lost");
	session_report(s);
}

/*
 * A request that has no answer in time is given up. If nothing else was answered since
 * it began, the whole connection is.
 */
static void check_requests(struct h2_session *s, int64_t now)
{
	struct stream *st;

	while ((st = TAILQ_FIRST(&s->open)) &&
	       now - st->begun_ms >= s->options.timing->request) {
		s->options.counters->timeouts++;
		if (s->answered_ms < st->begun_ms)
			session_lose(s, "no answer in time");
		stream_cancel(s, st, H2_FAILED);
	}
}

static void check_peer(struct h2_session *s, int64_t now)
{
	const struct h2_timing *t = s->options.timing;
	int64_t silent = now - s->heard_ms;

	if (!s->ready) {
		if (now - s->begun_ms >= t->connect)
			session_lose(s, "no SETTINGS in time");
	} else if (s->pinged_ms) {
		if (now - s->pinged_ms >= t->ping_answer)
			session_lose(s, "does not answer any more");
	} else if (silent >= (s->nopen ? t->ping_busy : t->ping_idle)) {
		s->pinged_ms = now;
		nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, NULL);
		session_flush(s);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct h2_session *s = arg;
	int64_t now = now_ms();

	check_requests(s, now);
	check_peer(s, now);
	if (s->refused_until_ms && now >= s->refused_until_ms) {
		s->refused_until_ms = 0;
		s->tell_room = true;
	}
	session_report(s);
}

static void create_nghttp2(struct h2_session *s)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;

	if (nghttp2_session_callbacks_new(&callbacks) != 0 ||
	    nghttp2_option_new(&option) != 0)
		abort();
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_begin_frame_callback(
	    callbacks, on_frame_begun);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(
	    callbacks, on_stream_closed);
	nghttp2_option_set_max_outbound_ack(option, ACKS_MAX);
	nghttp2_option_set_no_closed_streams(option, 1);
	if (nghttp2_session_client_new2(&s->ng, callbacks, s, option) != 0)
		abort();
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
}

static void send_preface(struct h2_session *s)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_MAX },
	};

	if (nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, settings,
		sizeof(settings) / sizeof(settings[0])) != 0)
		abort();
	session_send_soon(s);
}

struct h2_session *h2_session_create(struct event_base *base, struct bufferevent *bev,
    const struct h2_session_options *o, const struct h2_session_events *events,
    void *arg)
{
	struct h2_session *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->options = *o;
	s->events = events;
	s->arg = arg;
	s->bev = bev;
	s->out = evbuffer_new();
	if (!s->out)
		abort();
	TAILQ_INIT(&s->open);
	TAILQ_INIT(&s->ended);
	s->begun_ms = s->heard_ms = s->chatter_since_ms = now_ms();
	create_nghttp2(s);
	evtimer_assign(&s->flush, base, on_flush, s);
	evtimer_assign(&s->tick, base, on_tick, s);
	bufferevent_setcb(bev, on_input, on_drained, on_broken, s);
	bufferevent_setwatermark(bev, EV_READ, 0, INPUT_HIGH);
	bufferevent_setwatermark(bev, EV_WRITE, OUTPUT_LOW, 0);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	send_preface(s);
	session_arm(s);
	return s;
}

/* Be polite to a peer that is still there. Past bev, which writes in the next turn only. */
static void say_goodbye(struct h2_session *s)
{
	SSL *ssl = bufferevent_openssl_get_ssl(s->bev);
	const uint8_t *bytes;
	ssize_t n;

	if (s->lost || evbuffer_get_length(bufferevent_get_output(s->bev)) > 0 ||
	    nghttp2_session_terminate_session(s->ng, NGHTTP2_NO_ERROR) != 0)
		return;
	do
		n = nghttp2_session_mem_send(s->ng, &bytes);
	while (n > 0 && SSL_write(ssl, bytes, (int)n) == n);
	SSL_shutdown(ssl);
}

void h2_session_destroy(struct h2_session *s)
{
	if (!s)
		return;
	end_all(s);
	call_done(s);
	say_goodbye(s);
	event_del(&s->flush);
	event_del(&s->tick);
	nghttp2_session_del(s->ng);
	evbuffer_free(s->out);
	bufferevent_free(s->bev);
	free(s);
}

unsigned h2_session_room(const struct h2_session *s)
{
	uint32_t peers = nghttp2_session_get_remote_settings(
	    s->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	unsigned max = s->options.max_streams, left;

	if (!s->ready || s->leaving || s->lost || s->refused_until_ms)
		return 0;
	if (peers < max)
		max = peers;
	max = s->nopen < max ? max - s->nopen : 0;
	left = s->options.requests_max - s->posted;
	return left < max ? left : max;
}

/* A name or value that outlives the call, so that nghttp2 copies as little as it can. */
static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name),
		strlen(value), NGHTTP2_NV_FLAG_NO_COPY_NAME };
}

static void submit(struct h2_session *s, struct stream *st)
{
	const nghttp2_data_provider body = { .read_callback = on_body_wanted };
	char length[24];
	nghttp2_nv headers[5];

	snprintf(length, sizeof(length), "%zu", st->len);
	headers[0] = header(":method", "POST");
	headers[1] = header(":scheme", "https");
	headers[2] = header(":authority", s->options.authority);
	headers[3] = header(":path", s->options.path);
	headers[4] = header("content-length", length);
	st->id = nghttp2_submit_request(s->ng, NULL, headers, 5, &body, st);
	if (st->id < 0) /* without memory, or room was not asked for */
		abort();
}

void h2_session_post(struct h2_session *s, struct span body, h2_done *done, void *arg)
{
	struct stream *st = calloc(1, sizeof(*st));

	assert(h2_session_room(s) > 0);
	if (!st || !(st->body = malloc(body.len + 1)))
		abort();
	memcpy(st->body, body.data, body.len);
	st->len = body.len;
	st->begun_ms = now_ms();
	st->done = done;
	st->arg = arg;
	submit(s, st);
	TAILQ_INSERT_TAIL(&s->open, st, entry);
	s->options.counters->in_flight++;
	if (++s->posted == s->options.requests_max)
		session_leave(s);
	if (s->nopen++ == 0)
		session_arm(s);
	session_send_soon(s);
}

struct h2_session_life h2_session_life(const struct h2_session *s)
{
	return (struct h2_session_life){
		.ready = s->ready,
		.posted = s->posted,
		.answered = s->answered,
		.ms = now_ms() - s->begun_ms,
	};
}
