/*
 * The second step of expansion. Follows the tags of the HTML just far enough to know
 * what stands around a mark (HTML, 13.2.5 "Tokenization"); the HTML itself is the page's
 * author's and passes unchanged.
 */
#include "deploy/page_expression.h"

#include <stdio.h>

enum place {
	PLACE_TEXT,
	PLACE_TAG,
	PLACE_DOUBLE, /* an attribute's value in double quotes */
	PLACE_SINGLE,
	PLACE_COMMENT,
	PLACE_TITLE, /* text without markup: <title>, <textarea> */
	PLACE_RAW,   /* <script>, <style> */
};

struct filler {
	struct span html;
	size_t at;
	enum place place;
	struct span element; /* the tag's name */
	bool value_follows;  /* in a tag: "=" was the last that was not blank */
};

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool starts_at(const struct filler *f, const char *what)
{
	return span_starts_nocase(span_skip(f->html, f->at), what);
}

/* At a "<" in text. */
static void enter_tag(struct filler *f)
{
	struct span name = span_skip(f->html, f->at + 1);
	size_t len = 0;

	if (starts_at(f, "<!--")) {
		f->place = PLACE_COMMENT;
		return;
	}
	while (len < name.len && is_letter(name.data[len]))
		len++;
	if (len == 0 && (name.len == 0 || (name.data[0] != '/' && name.data[0] != '!')))
		return;
	f->element = span_make(name.data, len);
	f->place = PLACE_TAG;
	f->value_follows = false;
}

/* What follows the ">" of a tag. */
static enum place inside(struct span element)
{
	if (span_is_nocase(element, "script") || span_is_nocase(element, "style"))
		return PLACE_RAW;
	if (span_is_nocase(element, "title") || span_is_nocase(element, "textarea"))
		return PLACE_TITLE;
	return PLACE_TEXT;
}

static void step_tag(struct filler *f, char c)
{
	if (c == '>')
		f->place = inside(f->element);
	else if (f->value_follows && c == '"')
		f->place = PLACE_DOUBLE;
	else if (f->value_follows && c == '\'')
		f->place = PLACE_SINGLE;
	else if (!span_blank(c))
		f->value_follows = c == '=';
}

/* In an element that only its own end tag ends. */
static void step_raw(struct filler *f, char c)
{
	struct span rest = span_skip(f->html, f->at + 2);

	if (c == '<' && starts_at(f, "</") && rest.len >= f->element.len &&
	    span_equal_nocase(span_make(rest.data, f->element.len), f->element))
		enter_tag(f);
}

/* Go over one byte. */
static void step(struct filler *f)
{
	char c = f->html.data[f->at];

	switch (f->place) {
	case PLACE_TEXT:
		if (c == '<')
			enter_tag(f);
		break;
	case PLACE_TAG:
		step_tag(f, c);
		break;
	case PLACE_DOUBLE:
	case PLACE_SINGLE:
		if (c == (f->place == PLACE_DOUBLE ? '"' : '\'')) {
			f->place = PLACE_TAG;
			f->value_follows = false;
		}
		break;
	case PLACE_COMMENT:
		if (c == '>' && f->at >= 2 && f->html.data[f->at - 1] == '-' &&
		    f->html.data[f->at - 2] == '-')
			f->place = PLACE_TEXT;
		break;
	case PLACE_TITLE:
	case PLACE_RAW:
		step_raw(f, c);
		break;
	}
	f->at++;
}

static void escape_byte(struct text *out, const char *c)
{
	switch (*c) {
	case '&':
		text_add(out, "&amp;");
		break;
	case '<':
		text_add(out, "&lt;");
		break;
	case '>':
		text_add(out, "&gt;");
		break;
	case '"':
		text_add(out, "&quot;");
		break;
	case '\'':
		text_add(out, "&#39;");
		break;
	default:
		text_add_span(out, span_make(c, 1));
	}
}

static void add_value(struct text *out, struct span value, enum place place)
{
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] == '\n' && place == PLACE_TEXT)
			text_add(out, "<br>"); /* alone, for <pre> */
		else if (value.data[i] == '\n')
			text_add(out, " ");
		else
			escape_byte(out, &value.data[i]);
	}
}

/* What is wrong with a value here, or NULL. */
static const char *refuse(const struct page_slot *slot, enum place place)
{
	if (place == PLACE_TAG)
		return "an expression within a tag must stand in quotes";
	if (place == PLACE_RAW)
		return "no expression can stand in a script or style sheet; let the "
		       "script read an attribute of its element";
	if (slot->html && place != PLACE_TEXT)
		return "this variable is markup and cannot stand within a tag";
	return NULL;
}

/* The slot whose mark begins at f->at, and how long the mark is; or NULL. */
static const struct page_slot *find_slot(
    const struct filler *f, const struct page_slots *slots, size_t *len)
{
	struct span rest = span_skip(f->html, f->at);
	size_t i = strlen(slots->mark), number = 0;

	if (slots->n == 0 || !span_starts(rest, slots->mark))
		return NULL;
	for (; i < rest.len && rest.data[i] >= '0' && rest.data[i] <= '9'; i++) {
		number = number * 10 + (size_t)(rest.data[i] - '0');
		if (number >= slots->n)
			return NULL;
	}
	if (i == rest.len || rest.data[i] != 'Q' || i == strlen(slots->mark))
		return NULL;
	*len = i + 1;
	return &slots->slot[number];
}

bool page_fill(const char *name, struct span html, const struct page_slots *slots,
    struct text *out, char error[PAGE_ERROR_MAX])
{
	struct filler f = { .html = html };
	size_t copied = 0, len = 0;

	error[0] = '\0';
	while (f.at < html.len) {
		const struct page_slot *slot = find_slot(&f, slots, &len);
		const char *why;

		if (!slot) {
			step(&f);
			continue;
		}
		why = refuse(slot, f.place);
		if (why) {
			snprintf(
			    error, PAGE_ERROR_MAX, "%s:%u: %s", name, slot->line, why);
			return false;
		}
		text_add_span(out, span_make(html.data + copied, f.at - copied));
		if (slot->html)
			text_add_span(out, text_span(&slot->value));
		else
			add_value(out, text_span(&slot->value), f.place);
		f.at += len;
		copied = f.at;
	}
	text_add_span(out, span_skip(html, copied));
	return true;
}

void page_escape(struct text *out, struct span s)
{
	add_value(out, s, PLACE_DOUBLE);
}
