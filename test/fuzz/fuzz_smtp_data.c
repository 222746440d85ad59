/* The DATA stream: the same events in any cut, and no end but the true one. */
#include "proto/smtp_data.h"
#include "test/fuzz/fuzz.h"

struct seen {
	char *text, *wire;
	size_t len, wire_len;
	size_t used;
	uint64_t bytes;
	const char *bad;
	bool end;
};

/* seed NULL: whole. */
static struct seen feed(const uint8_t *data, size_t size, uint64_t *seed)
{
	struct seen s = { .text = fuzz_copy(data, size),
		.wire = fuzz_copy(data, size) };
	struct smtp_data d;

	smtp_data_init(&d);
	while (s.used < size && !s.end) {
		size_t n = seed ? fuzz_piece(seed, size - s.used) : size - s.used;
		char *piece = fuzz_copy(data + s.used, n);

		for (size_t at = 0; at < n && !s.end;) {
			struct smtp_data_run run;
			size_t used = smtp_data_feed(&d, piece + at, n - at, &run);

			FUZZ_CHECK(used > 0 && used <= n - at);
			FUZZ_CHECK(run.text.len <= used);
			FUZZ_CHECK(s.wire_len + run.dot + run.text.len <= size);
			if (run.dot)
				s.wire[s.wire_len++] = '.';
			memcpy(s.wire + s.wire_len, run.text.data, run.text.len);
			memcpy(s.text + s.len, run.text.data, run.text.len);
			s.wire_len += run.text.len;
			s.len += run.text.len;
			s.used += used;
			s.end = run.end;
			at += used;
		}
		free(piece);
	}
	s.bytes = d.bytes;
	s.bad = d.bad;
	return s;
}

static void seen_free(struct seen *s)
{
	free(s->text);
	free(s->wire);
}

/* The end by the book; size + 1 if there is none. */
static size_t true_end(const uint8_t *data, size_t size)
{
	const uint8_t *at;

	if (size >= 3 && memcmp(data, ".\r\n", 3) == 0)
		return 3;
	at = size ? memmem(data, size, "\r\n.\r\n", 5) : NULL;
	return at ? (size_t)(at - data) + 5 : size + 1;
}

static bool well_formed(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		bool cr = i > 0 && data[i - 1] == '\r';

		if (data[i] == '\0' || (data[i] == '\n') != cr)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t seed = fuzz_seed(data, size);
	struct seen whole = feed(data, size, NULL), cut = feed(data, size, &seed);
	size_t end = true_end(data, size);

	FUZZ_CHECK(whole.end == (end <= size));
	FUZZ_CHECK(whole.used == (whole.end ? end : size));
	FUZZ_CHECK(!whole.bad == well_formed(data, whole.used));
	if (whole.end)
		FUZZ_CHECK(whole.bytes == end - 3);
	if (whole.end && !whole.bad) {
		FUZZ_CHECK(whole.wire_len == end - 3);
		FUZZ_CHECK(memcmp(whole.wire, data, whole.wire_len) == 0);
	}

	FUZZ_CHECK(whole.end == cut.end && whole.used == cut.used);
	FUZZ_CHECK(whole.bad == cut.bad && whole.bytes == cut.bytes);
	FUZZ_CHECK(whole.len == cut.len && whole.wire_len == cut.wire_len);
	FUZZ_CHECK(memcmp(whole.text, cut.text, whole.len) == 0);
	FUZZ_CHECK(memcmp(whole.wire, cut.wire, whole.wire_len) == 0);
	seen_free(&whole);
	seen_free(&cut);
	return 0;
}
