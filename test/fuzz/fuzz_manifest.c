/*
 * Manifests: what is read is written again as the same list; or there is a message. Nothing
 * that is read asks for a file outside of an absolute path.
 */
#include "deploy/manifest.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[MANIFEST_ERROR_MAX] = "", *copy = fuzz_copy(data, size);
	struct wanted *w = manifest_parse(span_make(copy, size), error), *again;
	struct text first = { 0 }, second = { 0 };
	const struct wanted_thing *list;
	size_t n;

	free(copy);
	if (!w) {
		FUZZ_CHECK(strncmp(error, "line ", 5) == 0);
		return 0;
	}
	list = wanted_list(w, &n);
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(list[i].kind != WANTED_FILE || list[i].file.path[0] == '/');
	manifest_write(&first, w);
	again = manifest_parse(text_span(&first), error);
	FUZZ_CHECK(again);
	manifest_write(&second, again);
	FUZZ_CHECK(span_equal(text_span(&first), text_span(&second)));
	text_free(&first);
	text_free(&second);
	wanted_free(w);
	wanted_free(again);
	return 0;
}
