/* Text that grows. No memory is a broken machine: abort(). */
#include "deploy/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for n more bytes and the NUL. */
static void text_grow(struct text *t, size_t n)
{
	size_t size = t->size ? t->size : 256;

	if (n >= SIZE_MAX / 2 - t->len)
		abort();
	while (size <= t->len + n)
		size *= 2;
	if (size == t->size)
		return;
	t->data = realloc(t->data, size);
	if (!t->data)
		abort();
	t->size = size;
}

void text_add_span(struct text *t, struct span s)
{
	text_grow(t, s.len);
	if (s.len > 0)
		memcpy(t->data + t->len, s.data, s.len);
	t->len += s.len;
	t->data[t->len] = '\0';
}

void text_add(struct text *t, const char *s)
{
	text_add_span(t, span_of(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	text_grow(t, (size_t)n);
	va_start(ap, fmt);
	vsnprintf(t->data + t->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->len += (size_t)n;
}

/* How many bytes of s are one printable character of UTF-8 (RFC 3629); 0: none. */
static size_t printable(struct span s, const char *keep)
{
	unsigned char c = (unsigned char)s.data[0];
	size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (len == 1)
		return span_control((char)c) && (c == 0 || !strchr(keep, c)) ? 0 : 1;
	if (c < 0xc2 || c > 0xf4 || s.len < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (((unsigned char)s.data[i] & 0xc0) != 0x80)
			return 0;
	}
	return c == 0xc2 && (unsigned char)s.data[1] < 0xa0 ? 0 : len;
}

void text_write_visible(FILE *out, struct span s, const char *keep)
{
	while (s.len > 0) {
		size_t n = printable(s, keep);

		if (n > 0)
			fwrite(s.data, 1, n, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)s.data[0]);
		s = span_skip(s, n ? n : 1);
	}
}

struct span text_span(const struct text *t)
{
	return span_make(t->data ? t->data : "", t->len);
}

char *text_take(struct text *t)
{
	char *data;

	if (!t->data)
		text_add(t, "");
	data = t->data;
	*t = (struct text){ 0 };
	return data;
}

void text_free(struct text *t)
{
	free(t->data);
	*t = (struct text){ 0 };
}
