/*
 * Differences: who applies them to the old text gets the new one. And whatever the bytes,
 * no control character comes out.
 */
#include <stdlib.h>

#include "deploy/diff.h"
#include "test/fuzz/fuzz.h"

struct output {
	char *data;
	size_t len;
};

static struct output run(struct span old, struct span new)
{
	struct output o = { 0 };
	FILE *out = open_memstream(&o.data, &o.len);

	FUZZ_CHECK(out);
	diff_write(out, "f", old, new, false);
	FUZZ_CHECK(fclose(out) == 0);
	return o;
}

static void check_visible(struct output o)
{
	for (size_t i = 0; i < o.len; i++)
		FUZZ_CHECK(
		    !span_control(o.data[i]) || o.data[i] == '\n' || o.data[i] == '\t');
}

/* Take a line, with its LF, from s. */
static struct span take_line(struct span *s)
{
	const char *end = s->len ? memchr(s->data, '\n', s->len) : NULL;
	size_t len = end ? (size_t)(end - s->data) + 1 : s->len;
	struct span line = span_make(s->data, len);

	*s = span_skip(*s, len);
	return line;
}

static void append(struct output *to, struct span line)
{
	if (line.len > 0)
		memcpy(to->data + to->len, line.data, line.len);
	to->len += line.len;
}

/* One line of a hunk. */
static void apply_line(struct span line, struct span *old, struct output *made)
{
	struct span text = span_skip(line, 1), there;

	FUZZ_CHECK(line.len > 0);
	if (line.data[0] == '+') {
		append(made, text);
		return;
	}
	FUZZ_CHECK(line.data[0] == '-' || line.data[0] == ' ');
	there = take_line(old);
	FUZZ_CHECK(span_equal(there, text));
	if (line.data[0] == ' ')
		append(made, there);
}

/* What becomes of old by the difference, for printable lines that end in LF. */
static struct output apply(struct span diff, struct span old)
{
	struct output made = { malloc(old.len + diff.len + 1), 0 };
	size_t at = 0, from;
	char *end;

	FUZZ_CHECK(made.data);
	FUZZ_CHECK(span_starts(diff, "--- f\n+++ f\n"));
	diff = span_skip(diff, strlen("--- f\n+++ f\n"));
	while (diff.len > 0) {
		struct span line = take_line(&diff);

		if (span_starts(line, "@@ -")) {
			from = strtoul(line.data + 4, &end, 10);
			if (strncmp(end, ",0 ", 3) != 0)
				from--;
			for (; at < from; at++)
				append(&made, take_line(&old));
		} else {
			at += line.data[0] != '+';
			apply_line(line, &old, &made);
		}
	}
	append(&made, old);
	return made;
}

/* Few different lines, so that some are the same; each ends in LF. */
static void make_plain(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		text[i] = i % 2 || i + 1 == len ? '\n' : (char)('a' + (text[i] & 3));
}

static void check_applied(char *old, size_t old_len, char *new, size_t new_len)
{
	struct span a, b;
	struct output o, made;

	make_plain(old, old_len);
	make_plain(new, new_len);
	a = span_make(old, old_len);
	b = span_make(new, new_len);
	o = run(a, b);
	FUZZ_CHECK((o.len == 0) == span_equal(a, b));
	if (o.len > 0) {
		made = apply(span_make(o.data, o.len), a);
		FUZZ_CHECK(span_equal(span_make(made.data, made.len), b));
		free(made.data);
	}
	free(o.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *middle = size ? memchr(data, '|', size) : NULL;
	size_t old_len = middle ? (size_t)(middle - data) : size / 2;
	size_t skip = middle ? 1 : 0;
	char *old = fuzz_copy(data, old_len);
	char *new =
	    fuzz_copy(size ? data + old_len + skip : data, size - old_len - skip);
	struct output o =
	    run(span_make(old, old_len), span_make(new, size - old_len - skip));

	check_visible(o);
	free(o.data);
	check_applied(old, old_len, new, size - old_len - skip);
	free(old);
	free(new);
	return 0;
}
