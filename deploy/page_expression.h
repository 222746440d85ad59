/*
 * Expressions in the sources of web pages, a strict subset of Jinja:
 *
 *	{{ NAME }}  {{ "text" }}                 the value, as text
 *	{% if A %}  {% if A == B %}  {% if A != B %}  {% else %}  {% endif %}
 *	{# text #}                               nothing
 *
 * A and B are names (page_value.h) or quoted texts. Anything else is an error, also in a
 * branch that is not taken. A line that holds nothing but {% %} or {# #} vanishes whole.
 *
 * Expansion has two steps, with Markdown between them: the first takes the branches and
 * puts a mark, letters and digits only, for each value; the second puts the values in. So a
 * value never becomes Markdown, markup or an expression.
 */
#ifndef DEPLOY_PAGE_EXPRESSION_H
#define DEPLOY_PAGE_EXPRESSION_H

#include "deploy/page_files.h"
#include "deploy/page_value.h"

#define PAGE_DEPTH_MAX 16    /* "if" inside each other */
#define PAGE_SLOTS_MAX 10000 /* values in one text */

/* Where a value goes. */
struct page_slot {
	struct text value;
	bool html;
	unsigned line; /* of the source, for messages */
};

/* The values of one text. All zero is an empty one. */
struct page_slots {
	char mark[24]; /* how a mark begins; its number and a Q follow */
	struct page_slot *slot;
	size_t n, size;
};

void page_slots_deinit(struct page_slots *slots);

/*
 * The first step: add the expanded text to out and the values to slots. name stands in
 * messages. false with "NAME:LINE: what is wrong" in error; out and slots are then half
 * made.
 */
bool page_expand(const char *name, struct span text, const struct page_scope *scope,
    struct page_slots *slots, struct text *out, char error[PAGE_ERROR_MAX]);

/*
 * The second step: add html to out with the values in the places of their marks, escaped
 * for where they stand. Line breaks become <br> between tags. A place that no escaping
 * makes safe (within a tag outside of quotes, in <script> and <style>) is an error, as above.
 */
bool page_fill(const char *name, struct span html, const struct page_slots *slots,
    struct text *out, char error[PAGE_ERROR_MAX]);

/* Add s as text of HTML, fit for attributes in quotes too. */
void page_escape(struct text *out, struct span s);

#endif
