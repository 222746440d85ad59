#include "deploy/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD       "cmdeploy-manifest 1\n"
#define FIELDS_MAX (2 + WANTED_TEXTS_MAX + 2)

/* Where the file lies on the machine that deploys is of no meaning to any other. */
static bool is_local(const struct wanted_thing *t, unsigned i)
{
	return t->kind == WANTED_DEB && wanted_text(t, i) == t->deb.path;
}

static void write_text(struct text *to, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		char escape[] = { '%', hex[c >> 4], hex[c & 15] };
		bool special = c == '%' || span_control(*text);

		text_add_span(to, special ? span_make(escape, 3) : span_make(text, 1));
	}
}

void manifest_begin(struct text *to)
{
	text_add(to, HEAD);
}

void manifest_write_thing(struct text *to, const struct wanted_thing *t)
{
	const struct wanted_shape *shape = &wanted_shapes[t->kind];

	text_printf(to, "%s\t", shape->name);
	write_text(to, t->component);
	for (unsigned i = 0; i < shape->ntexts; i++) {
		const char *text = wanted_text(t, i);

		text_add(to, "\t");
		if (text && !is_local(t, i))
			write_text(to, text);
	}
	for (unsigned i = 0; i < shape->nnumbers; i++)
		text_printf(to, "\t%o", wanted_number(t, i));
	text_add(to, "\n");
}

void manifest_write(struct text *to, const struct wanted *w)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(w, &n);

	manifest_begin(to);
	for (size_t i = 0; i < n; i++)
		manifest_write_thing(to, &list[i]);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Unescape in place and end with a NUL, where the TAB or LF was. */
static bool read_text(struct span field)
{
	char *to = (char *)field.data;

	for (size_t i = 0; i < field.len; i++) {
		char c = field.data[i];

		if (c == '%') {
			bool whole = i + 2 < field.len;
			int high = whole ? hex_digit(field.data[i + 1]) : -1;
			int low = whole ? hex_digit(field.data[i + 2]) : -1;

			if (high < 0 || low < 0 || high + low == 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (span_control(c)) {
			return false;
		}
		*to++ = c;
	}
	*to = '\0';
	return true;
}

static bool read_number(const char *text, unsigned max, unsigned *value)
{
	char *end;
	unsigned long n = strtoul(text, &end, 8);

	*value = (unsigned)n;
	return *text >= '0' && *text <= '7' && *end == '\0' && n <= max;
}

/* It names a step, in comments of scripts too. */
static bool is_component(const char *text)
{
	return *text &&
	       text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_")] == '\0';
}

static bool is_hash(const char *text)
{
	return text && strlen(text) == WANTED_SHA256_SIZE - 1 &&
	       strspn(text, "0123456789abcdef") == WANTED_SHA256_SIZE - 1;
}

/* Is what stands in the thing fit to be acted upon? */
static bool is_sound(const struct wanted_thing *t)
{
	switch (t->kind) {
	case WANTED_DEB:
		return !t->deb.path && is_hash(t->deb.sha256);
	case WANTED_BINARY:
		return t->binary.path[0] == '/' && is_hash(t->binary.sha256);
	case WANTED_ABSENT:
		return t->absent.path[0] == '/' && t->absent.path[1];
	case WANTED_DIRECTORY:
		return t->directory.path[0] == '/';
	case WANTED_FILE:
		return t->file.path[0] == '/' && is_hash(t->file.sha256) &&
		       *t->file.owner && *t->file.group;
	default:
		return true;
	}
}

static unsigned number_max(enum wanted_kind kind, unsigned i)
{
	switch (kind) {
	case WANTED_DIRECTORY:
		return 07777;
	case WANTED_FILE:
		return i == 0 ? 07777 : FILE_KEEP | FILE_SECRET;
	case WANTED_STATE:
		return STAGE_ALL;
	default:
		return UNIT_PRESENT;
	}
}

/* Texts that are not there rather than empty. */
static bool is_optional(const struct wanted_thing *t, unsigned i)
{
	size_t at = wanted_shapes[t->kind].texts[i];

	return (t->kind == WANTED_DEB &&
		   at == offsetof(struct wanted_thing, deb.path)) ||
	       (t->kind == WANTED_BINARY &&
		   at == offsetof(struct wanted_thing, binary.member));
}

static bool find_kind(const char *name, enum wanted_kind *kind)
{
	for (int i = 0; i < WANTED_KINDS; i++) {
		if (strcmp(wanted_shapes[i].name, name) == 0) {
			*kind = (enum wanted_kind)i;
			return true;
		}
	}
	return false;
}

static const char *read_fields(struct wanted_thing *t, char *const *field, size_t n)
{
	const struct wanted_shape *shape;

	if (n < 2 || !find_kind(field[0], &t->kind))
		return "an unknown kind of thing";
	shape = &wanted_shapes[t->kind];
	if (n != 2 + shape->ntexts + shape->nnumbers)
		return "not as many fields as it should have";
	if (!is_component(field[1]))
		return "no name of a component";
	t->component = field[1];
	for (unsigned i = 0; i < shape->ntexts; i++) {
		char *text = field[2 + i];

		if (!*text && i < (shape->nkeys ? shape->nkeys : 1))
			return "an empty name";
		*(char **)((char *)t + shape->texts[i]) =
		    !*text && is_optional(t, i) ? NULL : text;
	}
	for (unsigned i = 0; i < shape->nnumbers; i++) {
		if (!read_number(field[2 + shape->ntexts + i], number_max(t->kind, i),
			(unsigned *)((char *)t + shape->numbers[i])))
			return "a number that cannot be";
	}
	return is_sound(t) ? NULL : "a path or a hash that cannot be";
}

/* Returns NULL, or what is wrong with the line. */
static const char *read_line(struct wanted *w, struct span line, const char **component)
{
	struct wanted_thing t = { 0 };
	char *field[FIELDS_MAX];
	size_t n = 0;
	struct span part;
	const char *why;

	while (n < FIELDS_MAX && span_cut(&line, '\t', &part)) {
		if (!read_text(part))
			return "a byte that cannot be";
		field[n++] = (char *)part.data;
	}
	if (line.data)
		return "not as many fields as it should have";
	why = read_fields(&t, field, n);
	if (why)
		return why;
	if (!*component || strcmp(*component, t.component) != 0)
		wanted_component(w, t.component);
	*component = t.component;
	if (wanted_refuses(w, &t))
		return "it contradicts another line";
	want_thing(w, &t);
	return NULL;
}

static const char *read_lines(struct wanted *w, struct span text, size_t *number)
{
	const char *component = NULL, *why = NULL;
	struct span line;

	*number = 1;
	if (!span_starts(text, HEAD))
		return "not a manifest that this version reads";
	if (text.data[text.len - 1] != '\n')
		return "the end is missing";
	text = span_skip(text, strlen(HEAD));
	while (!why && text.len > 0 && span_cut(&text, '\n', &line)) {
		if (++*number > MANIFEST_THINGS_MAX)
			why = "too many lines";
		else
			why = read_line(w, line, &component);
	}
	return why;
}

struct wanted *manifest_parse(struct span text, char error[MANIFEST_ERROR_MAX])
{
	struct wanted *w = wanted_create();
	char *copy = malloc(text.len + 1);
	const char *why;
	size_t number;

	if (!copy)
		abort();
	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	why = read_lines(w, span_make(copy, text.len), &number);
	free(copy);
	if (!why)
		return w;
	snprintf(error, MANIFEST_ERROR_MAX, "line %zu: %s", number, why);
	wanted_free(w);
	return NULL;
}
