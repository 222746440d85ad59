/* JSON-RPC: the same answers however the bytes are cut; each has a result or a complaint. */
#include "deploy/rpc.h"
#include "test/fuzz/fuzz.h"

static void take_all(struct text *came, struct text *said)
{
	struct rpc_answer a;

	while (rpc_take(came, &a) == RPC_ANSWER) {
		char *result = a.result ? json_dumps(a.result, JSON_ENCODE_ANY) : NULL;

		FUZZ_CHECK(a.id != 0);
		FUZZ_CHECK(!a.result != !a.complaint);
		text_printf(said, "%llu:%s\n", (unsigned long long)a.id,
		    result ? result : a.complaint);
		free(result);
		rpc_answer_deinit(&a);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text whole = { 0 }, piece = { 0 }, said = { 0 }, again = { 0 };
	uint64_t seed = fuzz_seed(data, size);

	text_add_span(&whole, span_make((const char *)data, size));
	take_all(&whole, &said);
	for (size_t at = 0, n; at < size; at += n) {
		n = fuzz_piece(&seed, size - at);
		text_add_span(&piece, span_make((const char *)data + at, n));
		take_all(&piece, &again);
	}
	FUZZ_CHECK(span_equal(text_span(&said), text_span(&again)));
	FUZZ_CHECK(span_equal(text_span(&whole), text_span(&piece)));
	text_free(&whole);
	text_free(&piece);
	text_free(&said);
	text_free(&again);
	return 0;
}
