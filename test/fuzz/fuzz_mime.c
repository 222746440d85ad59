/* The multipart walker: the first line of the input is the boundary. The same parts come
 * in any cut, and no part's body holds the boundary. */
#include "milter/mime.h"
#include "test/fuzz/fuzz.h"

struct seen {
	char *bytes;      /* headers and bodies, with a mark before each */
	size_t len, body; /* where the current body begins */
	unsigned parts;
	const char *why;
};

static void on_event(struct seen *s, const struct mime *m, const struct mime_event *ev)
{
	static const char marks[] = { [MIME_HEADER] = 'h', [MIME_PART_END] = 'e' };

	if (ev->type == MIME_BAD)
		s->why = ev->why;
	if (ev->type == MIME_HEADER || ev->type == MIME_PART_END) {
		struct span body = span_make(s->bytes + s->body, s->len - s->body);

		if (ev->type == MIME_PART_END)
			FUZZ_CHECK(!memmem(
			    body.data, body.len, m->delimiter, m->delimiter_len));
		s->bytes[s->len++] = marks[ev->type];
	}
	memcpy(s->bytes + s->len, ev->text.data ? ev->text.data : "", ev->text.len);
	s->len += ev->text.len;
	if (ev->type == MIME_HEADER)
		s->body = s->len;
}

/* seed NULL: whole. */
static struct seen walk(
    struct span boundary, const uint8_t *data, size_t size, uint64_t *seed)
{
	struct seen s = { .bytes = malloc(2 * size + 2) };
	struct mime_event ev = { .type = MIME_NOTHING };
	struct mime m;

	FUZZ_CHECK(s.bytes && mime_init(&m, boundary) == NULL);
	for (size_t at = 0; !s.why && at < size;) {
		size_t n = seed ? fuzz_piece(seed, size - at) : size - at;
		char *piece = fuzz_copy(data + at, n);
		struct span text = span_make(piece, n);

		while (!s.why && text.len) {
			text = span_skip(text, mime_feed(&m, text, &ev));
			on_event(&s, &m, &ev);
		}
		free(piece);
		at += n;
	}
	while (!s.why && ev.type != MIME_DONE) {
		mime_end(&m, &ev);
		on_event(&s, &m, &ev);
	}
	s.parts = m.parts;
	mime_deinit(&m);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *lf = size ? memchr(data, '\n', size) : NULL;
	struct span boundary;
	struct seen whole, cut;
	uint64_t seed = size;
	struct mime m;

	if (!lf)
		return 0;
	boundary = span_make((const char *)data, (size_t)(lf - data));
	if (mime_init(&m, boundary))
		return 0;
	size -= boundary.len + 1;
	whole = walk(boundary, lf + 1, size, NULL);
	cut = walk(boundary, lf + 1, size, &seed);
	FUZZ_CHECK(whole.why == cut.why && whole.parts == cut.parts);
	FUZZ_CHECK(whole.len == cut.len);
	FUZZ_CHECK(memcmp(whole.bytes, cut.bytes, whole.len) == 0);
	free(whole.bytes);
	free(cut.bytes);
	return 0;
}
