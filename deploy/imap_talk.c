#include "deploy/imap_talk.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>

#define DIGITS_MAX 10 /* of a 32-bit number */

/* Digits in front of s, which is moved behind them; false if there are none, or too many. */
static bool cut_number(struct span *s, uint32_t *number)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s->len && i < DIGITS_MAX; i++) {
		if (s->data[i] < '0' || s->data[i] > '9')
			break;
		n = n * 10 + (uint64_t)(s->data[i] - '0');
	}
	if (i == 0 || n > UINT32_MAX)
		return false;
	*s = span_skip(*s, i);
	*number = (uint32_t)n;
	return true;
}

static void note_exists(struct imap_talk *t, struct span untagged)
{
	uint32_t n;

	if (cut_number(&untagged, &n) && span_is_nocase(untagged, " EXISTS"))
		t->exists = n;
}

/* The length of the literal that follows a line, "... {123}"; false if none does. */
static bool ends_in_literal(struct span line, uint32_t *len)
{
	const char *brace = line.len > 0 ? memrchr(line.data, '{', line.len) : NULL;
	struct span rest;

	if (!brace)
		return false;
	rest = span_skip(line, (size_t)(brace + 1 - line.data));
	return cut_number(&rest, len) && span_is(rest, "}");
}

/* Read a literal to the end of to. */
static bool take_literal(struct imap_talk *t, struct text *to, uint32_t len)
{
	char piece[4096];

	if (to->len + len > IMAP_TALK_ANSWER_MAX)
		return dial_fail(t->dial, DIAL_NONSENSE, "an answer that is too long");
	while (len > 0) {
		size_t n = len < sizeof(piece) ? len : sizeof(piece);

		if (!dial_read(t->dial, piece, n))
			return false;
		text_add_span(to, span_make(piece, n));
		len -= (uint32_t)n;
	}
	return true;
}

/* The answer that begins with line, and goes on behind each literal. */
static bool take_untagged(struct imap_talk *t, struct span line, struct text *to)
{
	uint32_t literal;

	note_exists(t, line);
	for (;;) {
		if (to->len + line.len >= IMAP_TALK_ANSWER_MAX)
			return dial_fail(
			    t->dial, DIAL_NONSENSE, "an answer that is too long");
		text_add_span(to, line);
		text_add(to, "\n");
		if (!ends_in_literal(line, &literal))
			return true;
		if (!take_literal(t, to, literal) || !dial_line(t->dial, &line))
			return false;
	}
}

/* Note what a tagged line says; was it OK? */
static bool take_result(struct imap_talk *t, struct span result)
{
	snprintf(t->result, sizeof(t->result), "%.*s", SPAN_ARG(result));
	return span_starts_nocase(result, "OK");
}

/* Answers up to the one with the last tag. */
static bool finish(struct imap_talk *t, struct text *untagged)
{
	struct text ignored = { 0 };
	struct text *to = untagged ? untagged : &ignored;
	struct span line;
	char tag[16];
	bool ok = false;

	snprintf(tag, sizeof(tag), "a%u ", t->tag);
	t->result[0] = '\0';
	while (dial_line(t->dial, &line)) {
		if (span_starts(line, tag)) {
			ok = take_result(t, span_skip(line, strlen(tag)));
			break;
		}
		if (!untagged)
			text_free(&ignored);
		if (span_starts(line, "* ") &&
		    !take_untagged(t, span_skip(line, 2), to))
			break;
	}
	text_free(&ignored);
	return ok;
}

bool imap_talk_begin(struct imap_talk *t)
{
	struct span line;

	if (!dial_line(t->dial, &line))
		return false;
	if (!span_starts_nocase(line, "* "))
		return dial_fail(t->dial, DIAL_NONSENSE, "what answers is not IMAP");
	return take_result(t, span_skip(line, 2));
}

bool imap_talk_command(
    struct imap_talk *t, struct text *untagged, const char *format, ...)
{
	char tag[16];
	va_list ap;

	if (untagged)
		text_free(untagged);
	snprintf(tag, sizeof(tag), "a%u ", ++t->tag);
	va_start(ap, format);
	dial_vline(t->dial, tag, format, ap);
	va_end(ap);
	return finish(t, untagged);
}

static void quote(struct text *to, const char *s)
{
	text_add(to, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			text_add(to, "\\");
		text_add_span(to, span_make(s, 1));
	}
	text_add(to, "\"");
}

bool imap_talk_login(struct imap_talk *t, const char *user, const char *password)
{
	struct text words = { 0 };
	bool ok;

	quote(&words, user);
	text_add(&words, " ");
	quote(&words, password);
	ok = imap_talk_command(t, NULL, "LOGIN %s", words.data);
	OPENSSL_cleanse(words.data, words.len);
	text_free(&words);
	return ok;
}

/* What the literal in the answers to FETCH holds. */
static bool find_literal(struct span untagged, struct text *message)
{
	struct span line;
	uint32_t len;

	while (span_cut(&untagged, '\n', &line)) {
		if (!ends_in_literal(line, &len) || len > untagged.len)
			continue;
		text_add_span(message, span_make(untagged.data, len));
		return true;
	}
	return false;
}

bool imap_talk_fetch(struct imap_talk *t, uint32_t number, struct text *message)
{
	struct text untagged = { 0 };
	bool ok;

	text_free(message);
	ok = imap_talk_command(t, &untagged, "FETCH %u BODY.PEEK[]", number) &&
	     find_literal(text_span(&untagged), message);
	text_free(&untagged);
	return ok;
}

bool imap_talk_idle(struct imap_talk *t)
{
	struct text ignored = { 0 };
	struct span line;
	char idle[24];

	t->result[0] = '\0';
	snprintf(idle, sizeof(idle), "a%u IDLE\r\n", ++t->tag);
	dial_write(t->dial, span_of(idle));
	while (!t->idling && dial_line(t->dial, &line)) {
		if (span_starts(line, "+"))
			t->idling = true;
		else if (span_starts(line, "* "))
			take_untagged(t, span_skip(line, 2), &ignored);
		else
			break;
	}
	text_free(&ignored);
	return t->idling;
}

bool imap_talk_wait(struct imap_talk *t, uint32_t before, unsigned ms)
{
	int64_t until = dial_now_ms() + ms, left;
	struct span line;

	while (t->exists <= before) {
		left = until - dial_now_ms();
		if (left <= 0 || !dial_ready(t->dial, (unsigned)left) ||
		    !dial_line(t->dial, &line))
			return false;
		if (span_starts(line, "* "))
			note_exists(t, span_skip(line, 2));
	}
	return true;
}

bool imap_talk_idle_end(struct imap_talk *t)
{
	if (!t->idling)
		return true;
	t->idling = false;
	dial_write(t->dial, span_of("DONE\r\n"));
	return finish(t, NULL);
}
