/*
 * JSON-RPC 2.0, the calling half, over a socket: one object a line, as deltachat-rpc-server
 * speaks it on its standard input and output. Source: jsonrpc.org/specification, section 4
 * and 5.
 *
 * The other end is not trusted. Its lines are bounded; each must be the answer to an open
 * call, and each call is answered in time: else the connection is over, and with it all of
 * its calls. So it cannot make us work more than we asked for.
 *
 * What it hands on is trusted even less: strangers write it. A long answer is no fault of
 * the other end, so only its call fails; which one it is, stands at the beginning.
 */
#ifndef CHATMAILD_RPC_H
#define CHATMAILD_RPC_H

#include <event2/buffer.h>
#include <jansson.h>

#include "chatmaild/endpoint.h"

#define RPC_LINE_MAX  (256 * 1024) /* bytes of an answer that is read, LF included */
#define RPC_SKIP_MAX  (64 << 20)   /* bytes of one that is passed over */
#define RPC_CALLS_MAX 64           /* open at once */
#define RPC_WHY_MAX   256

/* The place within a stream of lines. All zero: its beginning. */
struct rpc_reader {
	uint64_t long_id; /* of the answer that is being passed over, or 0 */
	size_t skipped;   /* bytes of it */
};

/* A line of the other end. Texts in a result may hold NUL. */
struct rpc_reply {
	uint64_t id;
	json_t *result;        /* owned; NULL: an error */
	bool too_long;         /* the error: it was passed over */
	char why[RPC_WHY_MAX]; /* of an error: printable ASCII, for the log */
};

enum rpc_input {
	RPC_MORE,   /* no whole line yet */
	RPC_REPLY,  /* *reply is filled in; rpc_reply_deinit() it */
	RPC_BROKEN, /* no line of this protocol: nothing after it can be trusted */
};

/* Take the next line off in. Knows bytes, not sockets. */
enum rpc_input rpc_read(
    struct rpc_reader *r, struct evbuffer *in, struct rpc_reply *reply);
void rpc_reply_deinit(struct rpc_reply *reply);

struct rpc;

struct rpc_events {
	void (*on_open)(void *arg);
	/*
	 * It is over, or could not be made: the last that is heard of it, for
	 * rpc_destroy(). None of the open calls is answered any more. why is fit for
	 * the log and valid during the call.
	 */
	void (*on_down)(void *arg, const char *why);
};

/* Why there is no result, where it was longer than RPC_LINE_MAX: this very literal. */
extern const char rpc_too_long[];

/*
 * The answer: a borrowed result, or NULL and why not, as the other end said. A result of
 * null is JSON null, not NULL.
 */
typedef void rpc_done(void *arg, const json_t *result, const char *why);

/* Connects. One of the events comes from the loop, never from within. */
struct rpc *rpc_create(struct event_base *base, const struct endpoint *to,
    const struct rpc_events *events, void *arg);

/* Closes it; welcome in every callback. Accepts NULL. */
void rpc_destroy(struct rpc *r);

/*
 * Call method; takes params, an array or an object. timeout_s 0: it may take for ever. Only
 * while it is open; the caller has at most RPC_CALLS_MAX calls open.
 */
void rpc_call(struct rpc *r, const char *method, json_t *params, unsigned timeout_s,
    rpc_done *done, void *arg);

#endif
