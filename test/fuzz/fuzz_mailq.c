/* Postfix's queue: whatever the lines hold, no message and no recipient is lost. */
#include "chatmaild/ctl_mailq.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct mailq q = { 0 };
	size_t lines = 0;

	for (size_t at = 0, len; at < size; at += len) {
		const char *eol = memchr(text + at, '\n', size - at);

		len = eol ? (size_t)(eol + 1 - (text + at)) : size - at;
		mailq_take(&q, text + at, len);
		lines++;
	}
	mailq_sort(&q);
	FUZZ_CHECK(q.messages <= lines);
	FUZZ_CHECK(q.n <= MAILQ_GROUPS_MAX);
	for (size_t i = 0; i < q.n; i++) {
		FUZZ_CHECK(q.group[i].recipients > 0);
		FUZZ_CHECK(
		    i == 0 || q.group[i].recipients <= q.group[i - 1].recipients);
		FUZZ_CHECK(!strchr(q.group[i].destination, '@'));
	}
	mailq_deinit(&q);
	free(text);
	return 0;
}
