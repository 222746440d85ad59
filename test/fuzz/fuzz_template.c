/*
 * Templates: a result or a message, never both, never more than the bounds. A text without
 * tags comes out as it went in; what came out without tags is its own result.
 */
#include <stdlib.h>

#include "deploy/template.h"
#include "test/fuzz/fuzz.h"

static json_t *make_context(void)
{
	return json_loads(
	    "{ \"a\": \"x\", \"b\": \"one\\ntwo\", \"t\": true, \"f\": false,"
	    "  \"n\": 7, \"l\": [\"p\", \"q\"], \"e\": [],"
	    "  \"o\": { \"a\": \"y\", \"l\": [{ \"a\": 1 }, { \"a\": 2 }] } }",
	    0, NULL);
}

static char *render(struct span text, const json_t *context, size_t *len)
{
	char error[TEMPLATE_ERROR_MAX];
	char *result = template_render("t", text, context, NULL, len, error);

	if (result) {
		FUZZ_CHECK(error[0] == '\0');
		FUZZ_CHECK(result[*len] == '\0');
	} else {
		FUZZ_CHECK(strncmp(error, "t:", 2) == 0);
		FUZZ_CHECK(memchr(error, '\0', sizeof(error)) != NULL);
	}
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_make((const char *)data, size);
	json_t *context = make_context();
	size_t len, again_len;
	char *result = render(text, context, &len), *again;

	if (size > 0 && !memmem(data, size, "{{", 2)) {
		FUZZ_CHECK(result != NULL);
		FUZZ_CHECK(span_equal(span_make(result, len), text));
	}
	if (result && len > 0 && !memmem(result, len, "{{", 2)) {
		again = render(span_make(result, len), context, &again_len);
		FUZZ_CHECK(again != NULL);
		FUZZ_CHECK(
		    span_equal(span_make(again, again_len), span_make(result, len)));
		free(again);
	}
	free(result);
	json_decref(context);
	return 0;
}
