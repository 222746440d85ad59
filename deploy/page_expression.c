/*
 * The first step of expansion. A loop over the tags of the text with a stack of open
 * "if"s; the values are looked up here, where the line is known.
 */
#include "deploy/page_expression.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct branch {
	unsigned line;
	bool outer; /* what is around it is kept */
	bool truth; /* of its condition */
	bool in_else;
};

struct expander {
	const char *name;
	struct span text;
	size_t at;
	unsigned line;
	const struct page_scope *scope;
	struct branch branch[PAGE_DEPTH_MAX];
	size_t depth;
	struct page_slots *slots;
	struct text *out;
	char *error;
};

/* A name or a quoted text, looked up. */
struct operand {
	struct text text;
	struct page_value value;
};

__attribute__((format(printf, 3, 4))) static bool fail(
    struct expander *x, unsigned line, const char *fmt, ...)
{
	int n = snprintf(x->error, PAGE_ERROR_MAX, "%s:%u: ", x->name, line);
	va_list ap;

	va_start(ap, fmt);
	if (n > 0 && n < PAGE_ERROR_MAX)
		vsnprintf(x->error + n, PAGE_ERROR_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	for (char *c = x->error; *c; c++) {
		if (span_control(*c))
			*c = '?';
	}
	return false;
}

/* The tag at x->at is none that we know. */
static bool fail_tag(struct expander *x)
{
	struct span tag = span_skip(x->text, x->at);
	size_t len = 0;

	while (len < tag.len && len < 60 && tag.data[len] != '\n' &&
	       (len < 3 || tag.data[len - 1] != '}' || tag.data[len] == '}'))
		len++;
	return fail(x, x->line,
	    "'%.*s' is not understood; there are {{ NAME }}, {%% if NAME %%}, "
	    "{%% if NAME == \"text\" %%}, !=, {%% else %%} and {%% endif %%}",
	    (int)len, tag.data);
}

static bool kept(const struct expander *x)
{
	const struct branch *b;

	if (x->depth == 0)
		return true;
	b = &x->branch[x->depth - 1];
	return b->outer && b->truth != b->in_else;
}

static void advance(struct expander *x, size_t to)
{
	for (; x->at < to; x->at++)
		x->line += x->text.data[x->at] == '\n';
}

static void copy_text(struct expander *x, size_t to)
{
	if (kept(x))
		text_add_span(x->out, span_make(x->text.data + x->at, to - x->at));
	advance(x, to);
}

static void skip_blanks(struct span *rest)
{
	while (rest->len > 0 && span_blank(rest->data[0]))
		*rest = span_skip(*rest, 1);
}

/* Take token off rest, and blanks before it. */
static bool take(struct span *rest, const char *token)
{
	skip_blanks(rest);
	if (!span_starts(*rest, token))
		return false;
	*rest = span_skip(*rest, strlen(token));
	return true;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '.';
}

static struct span take_word(struct span *rest)
{
	struct span word;
	size_t len = 0;

	skip_blanks(rest);
	while (len < rest->len && is_word(rest->data[len]))
		len++;
	word = span_make(rest->data, len);
	*rest = span_skip(*rest, len);
	return word;
}

/* Read a name or a quoted text; it is the caller's to free in both cases. */
static bool take_operand(struct expander *x, struct span *rest, struct operand *o)
{
	struct span word;

	*o = (struct operand){ .value.truth = true };
	skip_blanks(rest);
	if (rest->len > 0 && (rest->data[0] == '"' || rest->data[0] == '\'')) {
		char quote = rest->data[0];

		*rest = span_skip(*rest, 1);
		if (rest->len == 0 || !memchr(rest->data, quote, rest->len))
			return fail_tag(x);
		span_cut(rest, quote, &word);
		text_add_span(&o->text, word);
		o->value.truth = word.len > 0;
		return true;
	}
	word = take_word(rest);
	if (word.len == 0)
		return fail_tag(x);
	if (!page_value_find(x->scope, word, &o->text, &o->value))
		return fail(x, x->line, "there is no variable '%.*s'",
		    (int)(word.len < 60 ? word.len : 60), word.data);
	return true;
}

/* Put a mark where the value goes; takes the operand's text. */
static bool add_slot(struct expander *x, struct operand *o)
{
	struct page_slots *s = x->slots;

	if (s->n == PAGE_SLOTS_MAX)
		return fail(x, x->line, "more than %d expressions", PAGE_SLOTS_MAX);
	if (s->n == s->size) {
		s->size = s->size ? s->size * 2 : 16;
		s->slot = reallocarray(s->slot, s->size, sizeof(*s->slot));
		if (!s->slot)
			abort();
	}
	s->slot[s->n] = (struct page_slot){
		.value = o->text, .html = o->value.html, .line = x->line
	};
	o->text = (struct text){ 0 };
	text_printf(x->out, "%s%zuQ", s->mark, s->n++);
	return true;
}

static bool run_value(struct expander *x, struct span *rest)
{
	struct operand o;
	bool good = take_operand(x, rest, &o);

	if (good && !take(rest, "}}"))
		good = fail_tag(x);
	if (good && kept(x))
		good = add_slot(x, &o);
	text_free(&o.text);
	return good;
}

static bool take_condition(struct expander *x, struct span *rest, bool *truth)
{
	struct operand a, b = { 0 };
	bool good = take_operand(x, rest, &a), equal;

	*truth = a.value.truth;
	if (good && ((equal = take(rest, "==")) || take(rest, "!="))) {
		good = take_operand(x, rest, &b);
		*truth = span_equal(text_span(&a.text), text_span(&b.text)) == equal;
	}
	text_free(&a.text);
	text_free(&b.text);
	return good;
}

static bool open_branch(struct expander *x, struct span *rest)
{
	struct branch b = { .line = x->line, .outer = kept(x) };

	if (!take_condition(x, rest, &b.truth))
		return false;
	if (x->depth == PAGE_DEPTH_MAX)
		return fail(x, x->line, "more than %d {%% if %%} inside each other",
		    PAGE_DEPTH_MAX);
	x->branch[x->depth++] = b;
	return true;
}

static bool run_statement(struct expander *x, struct span *rest)
{
	struct span word = take_word(rest);

	if (span_is(word, "if")) {
		if (!open_branch(x, rest))
			return false;
	} else if (span_is(word, "else")) {
		if (x->depth == 0 || x->branch[x->depth - 1].in_else)
			return fail(x, x->line, "{%% else %%} without {%% if %%}");
		x->branch[x->depth - 1].in_else = true;
	} else if (span_is(word, "endif")) {
		if (x->depth == 0)
			return fail(x, x->line, "{%% endif %%} without {%% if %%}");
		x->depth--;
	} else {
		return fail_tag(x);
	}
	return take(rest, "%}") || fail_tag(x);
}

static bool run_comment(struct expander *x, struct span *rest)
{
	const char *end = memmem(rest->data, rest->len, "#}", 2);

	if (!end)
		return fail(x, x->line, "{# without #}");
	*rest = span_skip(*rest, (size_t)(end - rest->data) + 2);
	return true;
}

/*
 * Where the text goes on after a tag that ends at end: behind the line if nothing else is
 * on it. What stood before the tag on the line, blanks only, was copied: take it back.
 */
static size_t after_line(struct expander *x, size_t begin, size_t end, bool copied)
{
	size_t line = begin;

	while (line > 0 &&
	       (x->text.data[line - 1] == ' ' || x->text.data[line - 1] == '\t'))
		line--;
	if (line > 0 && x->text.data[line - 1] != '\n')
		return end;
	for (size_t i = end;; i++) {
		if (i < x->text.len && x->text.data[i] != '\n') {
			if (!span_blank(x->text.data[i]))
				return end;
			continue;
		}
		if (copied && begin > line) {
			x->out->len -= begin - line;
			x->out->data[x->out->len] = '\0';
		}
		return i < x->text.len ? i + 1 : i;
	}
}

/* The tag at x->at. */
static bool run_tag(struct expander *x)
{
	struct span rest = span_skip(x->text, x->at + 2);
	char kind = x->text.data[x->at + 1];
	bool copied = kept(x), good;
	size_t end;

	if (kind == '{')
		good = run_value(x, &rest);
	else if (kind == '%')
		good = run_statement(x, &rest);
	else
		good = run_comment(x, &rest);
	if (!good)
		return false;
	end = x->text.len - rest.len;
	if (kind != '{')
		end = after_line(x, x->at, end, copied);
	advance(x, end);
	return true;
}

/* Where the next tag begins, or the end of the text. */
static size_t next_tag(const struct expander *x)
{
	struct span rest = span_skip(x->text, x->at);

	while (rest.len > 1) {
		const char *brace = memchr(rest.data, '{', rest.len - 1);

		if (!brace)
			break;
		if (brace[1] == '{' || brace[1] == '%' || brace[1] == '#')
			return (size_t)(brace - x->text.data);
		rest = span_skip(rest, (size_t)(brace - rest.data) + 1);
	}
	return x->text.len;
}

/* A beginning of marks that is nowhere in the text, the same for the same text. */
static void choose_mark(struct page_slots *slots, struct span text)
{
	unsigned n = 0;

	do {
		snprintf(slots->mark, sizeof(slots->mark), "Qx%ux", n++);
	} while (memmem(text.data, text.len, slots->mark, strlen(slots->mark)));
}

bool page_expand(const char *name, struct span text, const struct page_scope *scope,
    struct page_slots *slots, struct text *out, char error[PAGE_ERROR_MAX])
{
	struct expander x = {
		.name = name,
		.text = text,
		.line = 1,
		.scope = scope,
		.slots = slots,
		.out = out,
		.error = error,
	};

	error[0] = '\0';
	choose_mark(slots, text);
	for (;;) {
		copy_text(&x, next_tag(&x));
		if (x.at == text.len)
			break;
		if (!run_tag(&x))
			return false;
	}
	if (x.depth > 0)
		return fail(
		    &x, x.branch[x.depth - 1].line, "{%% if %%} without {%% endif %%}");
	return true;
}

void page_slots_deinit(struct page_slots *slots)
{
	for (size_t i = 0; i < slots->n; i++)
		text_free(&slots->slot[i].value);
	free(slots->slot);
	*slots = (struct page_slots){ 0 };
}
