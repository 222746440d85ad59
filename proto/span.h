/*
 * A borrowed run of bytes: where it starts and how long it is. It owns nothing, may
 * hold NUL, and is valid as long as the memory it points into.
 */
#ifndef PROTO_SPAN_H
#define PROTO_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *data;
	size_t len;
};

/* For printf's "%.*s". */
#define SPAN_ARG(s) (int)(s).len, (s).data

static inline struct span span_of(const char *text)
{
	return (struct span){ text, strlen(text) };
}

static inline struct span span_make(const char *data, size_t len)
{
	return (struct span){ data, len };
}

/* The bytes in memory of their own, NUL behind them; free() it. NULL without memory. Unlike
 * strndup() this never looks beyond the run. */
static inline char *span_dup(struct span s)
{
	char *copy = (char *)malloc(s.len + 1);

	if (!copy)
		return NULL;
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
	return span_equal(a, span_of(text));
}

/* ASCII letters only, whatever the locale: the daemon never calls setlocale(). */
static inline bool span_equal_nocase(struct span a, struct span b)
{
	return a.len == b.len &&
	       (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

static inline bool span_is_nocase(struct span a, const char *text)
{
	return span_equal_nocase(a, span_of(text));
}

static inline bool span_starts(struct span a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.len >= n && memcmp(a.data, prefix, n) == 0;
}

static inline bool span_starts_nocase(struct span a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.len >= n && strncasecmp(a.data, prefix, n) == 0;
}

static inline bool span_ends(struct span a, struct span suffix)
{
	return a.len >= suffix.len &&
	       span_equal(span_make(a.data + a.len - suffix.len, suffix.len), suffix);
}

static inline struct span span_skip(struct span a, size_t n)
{
	return n >= a.len ? span_make(a.data + a.len, 0)
			  : span_make(a.data + n, a.len - n);
}

/*
 * Take from rest what stands before the first sep, sep itself is dropped. Without a sep
 * all of rest is taken. False once rest is used up; "a," gives "a", then "", then
 * false.
 */
static inline bool span_cut(struct span *rest, char sep, struct span *out)
{
	const char *at;

	if (!rest->data)
		return false;
	at = rest->len ? memchr(rest->data, sep, rest->len) : NULL;
	if (!at) {
		*out = *rest;
		*rest = span_make(NULL, 0);
		return true;
	}
	*out = span_make(rest->data, (size_t)(at - rest->data));
	*rest = span_make(at + 1, rest->len - out->len - 1);
	return true;
}

static inline bool span_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' ||
	       c == '\v';
}

/* An ASCII control character: NUL, TAB and DEL too. */
static inline bool span_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static inline struct span span_trim(struct span a)
{
	while (a.len && span_blank(a.data[0]))
		a = span_make(a.data + 1, a.len - 1);
	while (a.len && span_blank(a.data[a.len - 1]))
		a.len--;
	return a;
}

#endif
