/*
 * The renderer is a loop over the tags of the text with a stack of open sections; the
 * end tag of a list's section jumps back to its begin until the items are used up.
 */
#include "deploy/template.h"

#include <stdarg.h>
#include <stdlib.h>

enum tag_type {
	TAG_VARIABLE,
	TAG_VERBATIM,
	TAG_SECTION,
	TAG_INVERTED,
	TAG_END,
	TAG_COMMENT,
};

struct tag {
	enum tag_type type;
	struct span name;
	size_t begin, end; /* in the text; of the whole line if it stands alone there */
};

/* An open section. */
struct frame {
	struct span name;
	unsigned line;
	bool kept;  /* false: read on for its end, print nothing */
	bool known; /* every name in it can be looked up, even if it is not kept */
	const json_t *item; /* its scope, NULL if it adds none */
	const json_t *list; /* item is member index of it, NULL if none */
	size_t index;
	size_t body; /* where the next round starts */
	unsigned body_line;
};

struct renderer {
	const char *name;
	struct span text;
	size_t at;
	unsigned line;
	struct frame frame[TEMPLATE_DEPTH_MAX + 1]; /* [0] is the whole text */
	size_t depth;
	unsigned tags;
	template_escape *escape;
	FILE *out;
	char *error;
};

__attribute__((format(printf, 3, 4))) static bool fail(
    struct renderer *r, unsigned line, const char *fmt, ...)
{
	int n = snprintf(r->error, TEMPLATE_ERROR_MAX, "%s:%u: ", r->name, line);
	va_list ap;

	va_start(ap, fmt);
	if (n > 0 && n < TEMPLATE_ERROR_MAX)
		vsnprintf(r->error + n, TEMPLATE_ERROR_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	for (char *c = r->error; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	return false;
}

static unsigned count_lines(struct span s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += s.data[i] == '\n';
	return n;
}

/* Go on to offset to. */
static void advance(struct renderer *r, size_t to)
{
	r->line += count_lines(span_make(r->text.data + r->at, to - r->at));
	r->at = to;
}

/* Print the text up to offset to, unless the section is not kept. */
static void print_text(struct renderer *r, size_t to)
{
	if (r->frame[r->depth].kept)
		fwrite(r->text.data + r->at, 1, to - r->at, r->out);
	advance(r, to);
}

static bool valid_name(struct span name)
{
	if (span_is(name, "."))
		return true;
	if (name.len == 0 || name.data[0] == '.' || name.data[name.len - 1] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '_' || c == '-';

		if (!word && !(c == '.' && name.data[i - 1] != '.'))
			return false;
	}
	return true;
}

static bool is_indent(char c)
{
	return c == ' ' || c == '\t';
}

/* A tag with nothing but blanks around it takes the whole line with it. */
static void widen_to_line(const struct renderer *r, struct tag *tag)
{
	size_t begin = tag->begin, end = tag->end;

	while (begin > r->at && is_indent(r->text.data[begin - 1]))
		begin--;
	if (begin > 0 && r->text.data[begin - 1] != '\n')
		return;
	while (end < r->text.len && is_indent(r->text.data[end]))
		end++;
	if (end + 1 < r->text.len && r->text.data[end] == '\r' &&
	    r->text.data[end + 1] == '\n')
		end++;
	if (end < r->text.len && r->text.data[end++] != '\n')
		return;
	tag->begin = begin;
	tag->end = end;
}

static enum tag_type tag_type(char sigil)
{
	switch (sigil) {
	case '#':
		return TAG_SECTION;
	case '^':
		return TAG_INVERTED;
	case '/':
		return TAG_END;
	case '!':
		return TAG_COMMENT;
	case '{':
		return TAG_VERBATIM;
	default:
		return TAG_VARIABLE;
	}
}

/* Read the tag whose "{{" is at begin. */
static bool read_tag(struct renderer *r, size_t begin, struct tag *tag)
{
	unsigned line =
	    r->line + count_lines(span_make(r->text.data + r->at, begin - r->at));
	struct span rest = span_skip(r->text, begin + 2), close;
	const char *end;

	tag->type = tag_type(rest.len ? rest.data[0] : '\0');
	close = span_of(tag->type == TAG_VERBATIM ? "}}}" : "}}");
	end = rest.len ? memmem(rest.data, rest.len, close.data, close.len) : NULL;
	if (!end)
		return fail(r, line, "tag without %s", close.data);
	tag->begin = begin;
	tag->end = (size_t)(end - r->text.data) + close.len;
	tag->name = span_make(rest.data, (size_t)(end - rest.data));
	if (tag->type != TAG_VARIABLE)
		tag->name = span_skip(tag->name, 1);
	tag->name = span_trim(tag->name);
	if (tag->type != TAG_COMMENT && !valid_name(tag->name))
		return fail(r, line, "malformed tag {{%.*s}}",
		    (int)(tag->name.len < 60 ? tag->name.len : 60), tag->name.data);
	if (tag->type != TAG_VARIABLE && tag->type != TAG_VERBATIM)
		widen_to_line(r, tag);
	return true;
}

/* The first part of a name, in the innermost scope that has it. */
static const json_t *lookup_first(const struct renderer *r, struct span part)
{
	for (size_t i = r->depth + 1; i-- > 0;) {
		const json_t *found =
		    json_object_getn(r->frame[i].item, part.data, part.len);

		if (found)
			return found;
	}
	return NULL;
}

static const json_t *lookup(const struct renderer *r, struct span name)
{
	struct span part = { NULL, 0 };
	const json_t *value;

	if (span_is(name, ".")) {
		for (size_t i = r->depth + 1; i-- > 0;) {
			if (r->frame[i].item)
				return r->frame[i].item;
		}
		return NULL;
	}
	span_cut(&name, '.', &part);
	value = lookup_first(r, part);
	while (value && span_cut(&name, '.', &part))
		value = json_object_getn(value, part.data, part.len);
	return value;
}

static bool is_true(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return json_string_length(value) > 0;
	case JSON_INTEGER:
		return json_integer_value(value) != 0;
	case JSON_REAL:
		return json_real_value(value) < 0 || json_real_value(value) > 0;
	case JSON_ARRAY:
		return json_array_size(value) > 0;
	case JSON_FALSE:
	case JSON_NULL:
		return false;
	default:
		return true;
	}
}

static bool single_line(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool print_string(struct renderer *r, const struct tag *tag, struct span value)
{
	if (tag->type == TAG_VARIABLE && r->escape) {
		r->escape(r->out, value);
		return true;
	}
	if (tag->type == TAG_VARIABLE && !single_line(value))
		return fail(r, r->line,
		    "the value of '%.*s' is more than one line of text; write "
		    "{{{%.*s}}} "
		    "if that is meant",
		    SPAN_ARG(tag->name), SPAN_ARG(tag->name));
	fwrite(value.data, 1, value.len, r->out);
	return true;
}

static bool print_variable(struct renderer *r, const struct tag *tag)
{
	const struct frame *f = &r->frame[r->depth];
	const json_t *value;

	if (!f->kept && !f->known)
		return true;
	value = lookup(r, tag->name);
	if (!value)
		return fail(r, r->line, "unknown variable '%.*s'", SPAN_ARG(tag->name));
	if (!f->kept)
		return true;
	switch (json_typeof(value)) {
	case JSON_STRING:
		return print_string(r, tag,
		    span_make(json_string_value(value), json_string_length(value)));
	case JSON_INTEGER:
		fprintf(r->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return true;
	case JSON_REAL:
		fprintf(r->out, "%.15g", json_real_value(value));
		return true;
	default:
		return fail(r, r->line, "'%.*s' is no text; use it as a section",
		    SPAN_ARG(tag->name));
	}
}

/* The scope of a kept section, for the item it is at. */
static void set_item(struct frame *f, const json_t *value)
{
	f->item = json_is_boolean(value) || json_is_null(value) ? NULL : value;
}

static bool open_section(struct renderer *r, const struct tag *tag, unsigned line)
{
	const struct frame *parent = &r->frame[r->depth];
	const json_t *value = parent->known ? lookup(r, tag->name) : NULL;
	struct frame f = { .name = tag->name, .line = line, .body = r->at };

	if (r->depth == TEMPLATE_DEPTH_MAX)
		return fail(r, line, "more than %d sections inside each other",
		    TEMPLATE_DEPTH_MAX);
	if (parent->known && !value)
		return fail(r, line, "unknown section '%.*s'", SPAN_ARG(tag->name));
	if (value) {
		bool inverted = tag->type == TAG_INVERTED;

		f.kept = parent->kept && is_true(value) != inverted;
		/* What the items of an empty list would hold is anybody's guess. */
		f.known = f.kept || inverted ||
			  !(json_is_array(value) || json_is_object(value));
		if (f.kept && !inverted && json_is_array(value)) {
			f.list = value;
			set_item(&f, json_array_get(value, 0));
		} else if (f.kept && !inverted) {
			set_item(&f, value);
		}
	}
	f.body_line = r->line;
	r->frame[++r->depth] = f;
	return true;
}

static bool close_section(struct renderer *r, const struct tag *tag, unsigned line)
{
	struct frame *f = &r->frame[r->depth];

	if (r->depth == 0)
		return fail(
		    r, line, "{{/%.*s}} closes no section", SPAN_ARG(tag->name));
	if (!span_equal(f->name, tag->name))
		return fail(r, line, "{{/%.*s}} does not close '%.*s' of line %u",
		    SPAN_ARG(tag->name), SPAN_ARG(f->name), f->line);
	if (f->list && ++f->index < json_array_size(f->list)) {
		set_item(f, json_array_get(f->list, f->index));
		r->at = f->body;
		r->line = f->body_line;
	} else {
		r->depth--;
	}
	return true;
}

static bool run_tag(struct renderer *r, const struct tag *tag)
{
	unsigned line;

	print_text(r, tag->begin);
	line = r->line;
	if (++r->tags > TEMPLATE_TAGS_MAX || ftello(r->out) > TEMPLATE_OUTPUT_MAX)
		return fail(r, line, "the text becomes too long");
	if (tag->type == TAG_VARIABLE || tag->type == TAG_VERBATIM) {
		if (!print_variable(r, tag))
			return false;
		advance(r, tag->end);
		return true;
	}
	advance(r, tag->end);
	switch (tag->type) {
	case TAG_SECTION:
	case TAG_INVERTED:
		return open_section(r, tag, line);
	case TAG_END:
		return close_section(r, tag, line);
	default:
		return true;
	}
}

static bool render(struct renderer *r)
{
	while (r->at < r->text.len) {
		struct span rest = span_skip(r->text, r->at);
		const char *found = memmem(rest.data, rest.len, "{{", 2);
		struct tag tag = { .type = TAG_COMMENT };

		if (!found) {
			print_text(r, r->text.len);
			break;
		}
		if (!read_tag(r, (size_t)(found - r->text.data), &tag) ||
		    !run_tag(r, &tag))
			return false;
	}
	if (r->depth > 0) {
		const struct frame *f = &r->frame[r->depth];

		return fail(
		    r, f->line, "section '%.*s' is not closed", SPAN_ARG(f->name));
	}
	return true;
}

char *template_render(const char *name, struct span text, const json_t *context,
    template_escape *escape, size_t *len, char error[TEMPLATE_ERROR_MAX])
{
	struct renderer r = {
		.name = name,
		.text = text,
		.line = 1,
		.frame = { { .kept = true, .known = true, .item = context } },
		.escape = escape,
		.error = error,
	};
	char *result = NULL;
	bool good;

	error[0] = '\0';
	r.out = open_memstream(&result, len);
	if (!r.out) {
		fail(&r, 1, "no memory");
		return NULL;
	}
	good = render(&r);
	if (fclose(r.out) != 0 && good)
		good = fail(&r, 1, "no memory");
	if (!good) {
		free(result);
		return NULL;
	}
	return result;
}
