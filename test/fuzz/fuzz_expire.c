/* A message's file name: what is read of it is what it says. */
#include <inttypes.h>

#include "chatmaild/expire.h"
#include "test/fuzz/fuzz.h"

/* Does text begin with that number, but for leading zeros? */
static const char *skip_number(const char *text, int64_t n)
{
	char digits[32];
	size_t len;

	while (*text == '0' && text[1] >= '0' && text[1] <= '9')
		text++;
	len = (size_t)snprintf(digits, sizeof(digits), "%" PRId64, n);
	FUZZ_CHECK(strncmp(text, digits, len) == 0);
	FUZZ_CHECK(text[len] < '0' || text[len] > '9');
	return text + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = malloc(size + 1);
	int64_t when = -1, bytes = -1;
	const char *rest, *field;

	FUZZ_CHECK(name);
	if (size > 0)
		memcpy(name, data, size);
	name[size] = '\0';
	if (expire_parse_name(name, &when, &bytes)) {
		FUZZ_CHECK(when >= 0 && bytes >= 0);
		rest = skip_number(name, when);
		FUZZ_CHECK(*rest == '.');
		field = strstr(rest, ",S=");
		FUZZ_CHECK(field && field > rest + 1);
		skip_number(field + 3, bytes);
	}
	free(name);
	return 0;
}
