/* The syntax of chatmail.ini; see ini.h. */
#include "proto/ini.h"

#include <stdlib.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* some editors begin a file with it */

/*
 * White space and line ends as Python's str.strip() and str.splitlines() know them. A
 * sequence is given by its first and last code point, all of one length in UTF-8.
 */
static const struct white {
	const char *first, *last;
	bool ends_line;
} whites[] = {
	{ "\t", "\t", false }, { "\n", "\r", true }, /* LF, VT, FF, CR */
	{ "\x1c", "\x1e", true }, { "\x1f", " ", false },
	{ "\xc2\x85", "\xc2\x85", true },          /* next line */
	{ "\xc2\xa0", "\xc2\xa0", false },         /* no-break space */
	{ "\xe1\x9a\x80", "\xe1\x9a\x80", false }, /* ogham space */
	{ "\xe2\x80\x80", "\xe2\x80\x8a", false }, /* en quad to hair space */
	{ "\xe2\x80\xa8", "\xe2\x80\xa9", true },  /* line, paragraph separator */
	{ "\xe2\x80\xaf", "\xe2\x80\xaf", false }, /* narrow no-break space */
	{ "\xe2\x81\x9f", "\xe2\x81\x9f", false }, /* mathematical space */
	{ "\xe3\x80\x80", "\xe3\x80\x80", false }, /* ideographic space */
};

/* The white space at the start of s, and its length, or NULL. */
static const struct white *white_at(struct span s, size_t *len)
{
	for (size_t i = 0; i < sizeof(whites) / sizeof(whites[0]); i++) {
		const struct white *w = &whites[i];

		*len = strlen(w->first);
		if (s.len >= *len && memcmp(s.data, w->first, *len) >= 0 &&
		    memcmp(s.data, w->last, *len) <= 0)
			return w;
	}
	return NULL;
}

static struct span trim_left(struct span s)
{
	size_t n;

	while (s.len && white_at(s, &n))
		s = span_skip(s, n);
	return s;
}

static struct span trim_right(struct span s)
{
	bool again = true;

	/* UTF-8 read backwards: try the last byte, the last two, the last three. */
	while (again) {
		again = false;
		for (size_t n = 1; n <= 3 && n <= s.len && !again; n++) {
			size_t len;

			if (white_at(span_make(s.data + s.len - n, n), &len) &&
			    len == n) {
				s.len -= n;
				again = true;
			}
		}
	}
	return s;
}

static struct span trim(struct span s)
{
	return trim_right(trim_left(s));
}

/* Take the next line without its end. False when all are taken. */
static bool next_line(struct span *rest, struct span *line)
{
	const struct white *w;
	size_t i, n;

	if (rest->len == 0)
		return false;
	for (i = 0; i < rest->len; i++) {
		w = white_at(span_skip(*rest, i), &n);
		if (w && w->ends_line)
			break;
	}
	*line = span_make(rest->data, i);
	*rest = span_skip(*rest, i);
	if (rest->len)
		*rest = span_skip(*rest, span_starts(*rest, "\r\n") ? 2 : n);
	return true;
}

/* The length of the UTF-8 character at the start of s, or 0. RFC 3629 section 4. */
static size_t utf8_length(struct span s)
{
	const unsigned char *u = (const unsigned char *)s.data;
	size_t n = u[0] < 0x80   ? 1
		   : u[0] < 0xc2 ? 0
		   : u[0] < 0xe0 ? 2
		   : u[0] < 0xf0 ? 3
				 : 4;

	if (n == 0 || n > s.len || u[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than need be, a surrogate, beyond the last code point. */
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
	    (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	return n;
}

static bool is_utf8(struct span s)
{
	while (s.len) {
		size_t n = utf8_length(s);

		if (n == 0)
			return false;
		s = span_skip(s, n);
	}
	return true;
}

static bool is_comment(struct span line)
{
	line = trim_left(line);
	return line.len == 0 || line.data[0] == '#' || line.data[0] == ';';
}

/* "[name] # comment". False if it ends in no ']'. */
static bool parse_section(struct span line, struct span *name)
{
	const char *cut;

	for (const char *mark = "#;"; *mark; mark++) {
		cut = memchr(line.data, *mark, line.len);
		if (cut)
			line.len = (size_t)(cut - line.data);
		line = trim_right(line);
	}
	if (line.data[line.len - 1] != ']')
		return false;
	*name = span_make(line.data + 1, line.len - 2);
	return true;
}

/* "key = value" or "key: value". False if there is neither sign. */
static bool parse_item(struct span line, struct span *key, struct span *value)
{
	const char *at = memchr(line.data, '=', line.len);
	const char *colon = memchr(line.data, ':', line.len);

	if (colon && (!at || colon < at))
		at = colon;
	if (!at)
		return false;
	*key = trim(span_make(line.data, (size_t)(at - line.data)));
	*value = trim(span_skip(line, (size_t)(at - line.data) + 1));
	return true;
}

struct parser {
	struct ini *ini;
	char *text; /* the same bytes as the spans', to be written to */
	size_t room;
	struct span section; /* data is NULL before the first */
	unsigned line;
};

static int fail(struct parser *p, unsigned line, const char *error)
{
	p->ini->line = line;
	p->ini->error = error;
	return -1;
}

/* A section is kept as an item whose key has no data, until the duplicates are found.
 */
static int append(struct parser *p, struct span key, struct span value)
{
	struct ini *ini = p->ini;

	if (ini->nitems == INI_ITEMS_MAX)
		return fail(p, p->line, "too many keys");
	if (ini->nitems == p->room) {
		p->room = p->room ? p->room * 2 : 64;
		ini->item = reallocarray(ini->item, p->room, sizeof(*ini->item));
		if (!ini->item)
			abort();
	}
	ini->item[ini->nitems++] = (struct ini_item){ p->section, key, value, p->line };
	return 0;
}

/*
 * Join by moving data down behind the value: the line end between them, one byte at
 * least, leaves room for the LF.
 */
static int continue_value(struct parser *p, struct span data)
{
	struct ini_item *last;
	char *end;

	if (p->ini->nitems == 0 || !p->ini->item[p->ini->nitems - 1].key.data)
		return fail(p, p->line, "unexpected value continuation");
	last = &p->ini->item[p->ini->nitems - 1];
	if (last->value.len == 0) {
		last->value = data;
		return 0;
	}
	end = p->text + (last->value.data + last->value.len - p->text);
	*end = '\n';
	memmove(end + 1, data.data, data.len);
	last->value.len += 1 + data.len;
	return 0;
}

static int parse_line(struct parser *p, struct span line)
{
	struct span key, value;
	size_t n;

	if (is_comment(line))
		return 0;
	line = trim_right(line);
	if (line.data[0] == '[') {
		if (!parse_section(line, &value))
			return continue_value(p, line);
		if (value.len == 0)
			return fail(p, p->line, "empty section name");
		p->section = value;
		return append(p, span_make(NULL, 0), value);
	}
	if (white_at(line, &n))
		return continue_value(p, trim_left(line));
	if (!parse_item(line, &key, &value))
		return fail(p, p->line, "unexpected line");
	return append(p, key, value);
}

/* Sections and keys must be unlike all before them, and keys stand in a section. */
static int check_item(struct parser *p, const struct ini_item *item)
{
	if (!item->section.data)
		return fail(p, item->line, "no section header defined");
	for (const struct ini_item *i = p->ini->item; i < item; i++) {
		if (!i->key.data != !item->key.data ||
		    !span_equal(i->section, item->section) ||
		    !span_equal(i->key, item->key))
			continue;
		return fail(p, item->line,
		    item->key.data ? "duplicate name" : "duplicate section");
	}
	return 0;
}

static int check_items(struct parser *p)
{
	for (size_t i = 0; i < p->ini->nitems; i++)
		if (check_item(p, &p->ini->item[i]) != 0)
			return -1;
	return 0;
}

static void drop_sections(struct ini *ini)
{
	size_t n = 0;

	for (size_t i = 0; i < ini->nitems; i++)
		if (ini->item[i].key.data)
			ini->item[n++] = ini->item[i];
	ini->nitems = n;
}

/* Every line first, then what lines say together: an error is told as Python tells it.
 */
static int parse_text(struct parser *p, struct span rest)
{
	struct span line;

	if (span_starts(rest, BYTE_ORDER_MARK))
		rest = span_skip(rest, strlen(BYTE_ORDER_MARK));
	while (next_line(&rest, &line)) {
		p->line++;
		if (line.len && memchr(line.data, '\0', line.len))
			return fail(p, p->line, "NUL byte");
		if (!is_utf8(line))
			return fail(p, p->line, "not UTF-8");
		if (parse_line(p, line) != 0)
			return -1;
	}
	return check_items(p);
}

int ini_parse(struct ini *ini, char *text, size_t len)
{
	struct parser p = { .ini = ini, .text = text };

	*ini = (struct ini){ 0 };
	if (parse_text(&p, span_make(text, len)) != 0) {
		free(ini->item);
		ini->item = NULL;
		ini->nitems = 0;
		return -1;
	}
	drop_sections(ini);
	return 0;
}

void ini_deinit(struct ini *ini)
{
	free(ini->item);
	*ini = (struct ini){ 0 };
}

const struct ini_item *ini_find(
    const struct ini *ini, const char *section, const char *key)
{
	for (size_t i = 0; i < ini->nitems; i++)
		if (span_is(ini->item[i].section, section) &&
		    span_is(ini->item[i].key, key))
			return &ini->item[i];
	return NULL;
}
