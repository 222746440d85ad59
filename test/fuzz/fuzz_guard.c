/*
 * Where a client is: an address is good for so many accounts in an hour, and any other text
 * for as many as are asked for.
 */
#include "chatmaild/guard.h"
#include "test/fuzz/fuzz.h"

#define LIMIT 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct span client = span_make(text, size);
	struct guard *g = guard_create();
	bool is_place = false;

	for (unsigned i = 0; i < 2 * LIMIT; i++) {
		enum guard_answer a = guard_take(g, 0, LIMIT, client, 1);

		if (i == LIMIT)
			is_place = a == GUARD_NETWORK;
		FUZZ_CHECK(a == (i >= LIMIT && is_place ? GUARD_NETWORK : GUARD_OK));
	}
	if (is_place) {
		FUZZ_CHECK(size <= GUARD_CLIENT_MAX);
		FUZZ_CHECK(memchr(text, '.', size) || memchr(text, ':', size));
	}
	FUZZ_CHECK(
	    guard_take(g, 0, LIMIT, client, 2 * (int64_t)GUARD_HOUR_MS) == GUARD_OK);
	guard_destroy(g);
	free(text);
	return 0;
}
