/*
 * JSON-RPC 2.0 as deltachat-rpc-server speaks it, the client's half: one object a line.
 * Knows bytes, no process.
 */
#ifndef DEPLOY_RPC_H
#define DEPLOY_RPC_H

#include <jansson.h>
#include <stdint.h>

#include "deploy/text.h"

#define RPC_LINE_MAX (16 * 1024 * 1024) /* bytes; a longer answer is not one */

/* What came for one request: result, or why there is none. */
struct rpc_answer {
	uint64_t id;     /* of the request, not 0 */
	json_t *result;  /* owned; JSON null if there is none; NULL: refused */
	char *complaint; /* owned; NULL if there is a result */
};
void rpc_answer_deinit(struct rpc_answer *a);

/* The line of a request, its LF included, free()d by the caller. Takes params, an array. */
char *rpc_request(uint64_t id, const char *method, json_t *params);

enum rpc_event {
	RPC_MORE,    /* nothing is whole yet */
	RPC_ANSWER,  /* *a is one, to be deinitialised */
	RPC_ENDLESS, /* a line is longer than RPC_LINE_MAX */
};

/*
 * Take the first answer off what came so far. Lines that are none, such as what a library
 * prints, are left out.
 */
enum rpc_event rpc_take(struct text *came, struct rpc_answer *a);

#endif
