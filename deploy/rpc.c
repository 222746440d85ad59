/* JSON-RPC, line by line. */
#include "deploy/rpc.h"

#include <stdlib.h>

void rpc_answer_deinit(struct rpc_answer *a)
{
	json_decref(a->result);
	free(a->complaint);
	*a = (struct rpc_answer){ 0 };
}

char *rpc_request(uint64_t id, const char *method, json_t *params)
{
	json_t *o = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id",
	    (json_int_t)id, "method", method, "params", params);
	char *object = json_dumps(o, JSON_COMPACT);
	struct text line = { 0 };

	if (!object)
		abort();
	text_add(&line, object);
	text_add(&line, "\n");
	free(object);
	json_decref(o);
	return text_take(&line);
}

static bool read_answer(struct span line, struct rpc_answer *a)
{
	json_t *o = json_loadb(line.data, line.len, 0, NULL);
	json_int_t id = json_integer_value(json_object_get(o, "id"));
	const json_t *error = json_object_get(o, "error");
	json_t *result = json_object_get(o, "result");

	*a = (struct rpc_answer){ .id = id > 0 ? (uint64_t)id : 0 };
	if (a->id != 0 && error) {
		const char *why = json_string_value(json_object_get(error, "message"));

		a->complaint = span_dup(span_of(why ? why : "refused"));
	} else if (a->id != 0) {
		a->result = result ? json_incref(result) : json_null();
	}
	json_decref(o);
	return a->id != 0;
}

/* The bytes up to at are done with. */
static void drop(struct text *came, size_t at)
{
	came->len -= at;
	memmove(came->data, came->data + at, came->len);
}

enum rpc_event rpc_take(struct text *came, struct rpc_answer *a)
{
	struct span rest = text_span(came), line;
	size_t done = 0;
	bool found = false;

	while (!found && rest.len > 0 && memchr(rest.data, '\n', rest.len)) {
		span_cut(&rest, '\n', &line);
		done += line.len + 1;
		found = line.len < RPC_LINE_MAX && read_answer(line, a);
	}
	if (done > 0)
		drop(came, done);
	if (found)
		return RPC_ANSWER;
	return came->len >= RPC_LINE_MAX ? RPC_ENDLESS : RPC_MORE;
}
