/*
 * Archives of backups: the same in any cut; what passes is part of what came, and sealed it
 * is whole.
 */
#include <stdint.h>
#include <stdlib.h>

#include "deploy/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct archive *feed(struct span bytes, size_t step, struct text *out)
{
	struct archive *a = archive_create();

	while (bytes.len > 0) {
		size_t n = bytes.len < step ? bytes.len : step;

		archive_feed(a, span_make(bytes.data, n), out);
		bytes = span_skip(bytes, n);
	}
	return a;
}

static void check(bool good)
{
	if (!good)
		abort();
}

/* Its end came, but no manifest. */
static bool is_unsealed(const struct archive *a)
{
	const char *wrong = archive_verify(a);

	return wrong && span_starts(span_of(wrong), "it is cut");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_make((const char *)data, size);
	struct text whole = { 0 }, parts = { 0 };
	struct archive *one = feed(all, size ? size : 1, &whole);
	struct archive *two = feed(all, 3, &parts);

	check(whole.len <= size && span_equal(text_span(&whole), text_span(&parts)));
	check(archive_ended(one) == archive_ended(two));
	check((archive_verify(one) == NULL) == (archive_verify(two) == NULL));
	if (archive_ended(one) && is_unsealed(one)) {
		struct archive *again;

		archive_seal(one, &parts);
		again = feed(text_span(&parts), 512, NULL);
		check(archive_verify(again) == NULL);
		archive_free(again);
	}
	archive_free(one);
	archive_free(two);
	text_free(&whole);
	text_free(&parts);
	return 0;
}
