/*
 * A password file's text: what is taken for a hash is one line of printable ASCII behind its
 * scheme, so that Dovecot reads nothing else out of it.
 */
#include "chatmaild/password.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	const char *end = memchr(text, '}', size);
	struct span span = span_make(text, size);

	FUZZ_CHECK(password_length(span) <= size);
	if (password_is_hash(span)) {
		FUZZ_CHECK(size < PASSWORD_HASH_MAX);
		FUZZ_CHECK(text[0] == '{' && end && end > text + 1);
		FUZZ_CHECK(end + 1 < text + size);
		for (size_t i = 0; i < size; i++)
			FUZZ_CHECK(text[i] >= ' ' && text[i] <= '~');
		FUZZ_CHECK(password_length(span) == size);
	}
	free(text);
	return 0;
}
