/*
 * Files of the Python relay, told apart by their first byte: whatever they hold, only tokens
 * come out that we could have taken from a client, for addresses that can be accounts, with
 * times that count.
 */
#include <string.h>

#include "chatmaild/push_queue.h"
#include "chatmaild/python_files.h"
#include "chatmaild/tokens.h"
#include "proto/address.h"
#include "test/fuzz/fuzz.h"

#define NOW     1800000000
#define ADDRESS "somebody1@chat.example"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct python_items items = { .n = 0 };
	struct span text;
	size_t n = 0;
	bool tokens;

	if (size == 0)
		return 0;
	tokens = data[0] == '{';
	text = span_make((const char *)data, size);
	if (tokens)
		python_parse_tokens(text, ADDRESS, NOW, &items);
	else
		FUZZ_CHECK(python_parse_push(text, NOW, &items) || items.n == 0);
	for (const struct python_item *i = items.first; i; i = i->next, n++) {
		FUZZ_CHECK(token_is_valid(span_of(i->token)));
		FUZZ_CHECK(address_is_path(span_of(i->address)));
		if (tokens)
			FUZZ_CHECK(token_is_current(i->when, NOW));
		else
			FUZZ_CHECK(
			    i->when <= NOW && i->when >= NOW - PUSH_DEADLINE_SECONDS);
		FUZZ_CHECK((i->next == NULL) == (i == items.last));
	}
	FUZZ_CHECK(n == items.n);
	python_items_free(&items);
	return 0;
}
