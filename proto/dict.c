/* Dovecot's dict protocol; see dict.h. */
#include "proto/dict.h"

#include "proto/out.h"

#define ESCAPE '\001'

static const struct {
	char letter;
	enum dict_command command;
} dict_commands[] = {
	{ 'H', DICT_HELLO },
	{ 'L', DICT_LOOKUP },
	{ 'I', DICT_ITERATE },
	{ 'B', DICT_BEGIN },
	{ 'S', DICT_SET },
	{ 'U', DICT_UNSET },
	{ 'A', DICT_ADD },
	{ 'T', DICT_TIMESTAMP },
	{ 'V', DICT_HIDE_VALUES },
	{ 'C', DICT_COMMIT },
	{ 'D', DICT_COMMIT_ASYNC },
	{ 'R', DICT_ROLLBACK },
};

static enum dict_command command_of(char letter)
{
	for (size_t i = 0; i < sizeof(dict_commands) / sizeof(dict_commands[0]); i++)
		if (dict_commands[i].letter == letter)
			return dict_commands[i].command;
	return DICT_UNKNOWN;
}

static char unescape_char(char c)
{
	switch (c) {
	case '0':
		return '\0';
	case '1':
		return ESCAPE;
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case 'n':
		return '\n';
	default:
		return c;
	}
}

/* In place; returns the new length. Most fields hold nothing to unescape. */
static size_t unescape(char *text, size_t len)
{
	const char *first = len ? memchr(text, ESCAPE, len) : NULL;
	size_t out;

	if (!first)
		return len;
	out = (size_t)(first - text);
	for (size_t in = out; in < len; in++) {
		if (text[in] != ESCAPE)
			text[out++] = text[in];
		else if (++in < len)
			text[out++] = unescape_char(text[in]);
	}
	return out;
}

const char *dict_parse(struct dict_request *req, char *line, size_t len)
{
	char *at, *tab, *end;
	size_t n;

	*req = (struct dict_request){ .command = DICT_NONE };
	if (len && line[len - 1] == '\r')
		len--;
	if (len == 0)
		return NULL;
	req->letter = line[0];
	req->command = command_of(line[0]);

	if (len == 1)
		return NULL;

	end = line + len;
	for (at = line + 1; at; at = tab ? tab + 1 : NULL) {
		tab = memchr(at, '\t', (size_t)(end - at));
		if (req->nfields == DICT_FIELDS_MAX)
			return "too many fields";
		n = unescape(at, (size_t)((tab ? tab : end) - at));
		req->field[req->nfields++] = span_make(at, n);
	}
	return NULL;
}

/* What stands behind ESCAPE for c, or NUL if c goes as it is. */
static char escape_letter(char c)
{
	switch (c) {
	case '\0':
		return '0';
	case ESCAPE:
		return '1';
	case '\t':
		return 't';
	case '\r':
		return 'r';
	case '\n':
		return 'n';
	default:
		return '\0';
	}
}

static void put_escaped(struct out *o, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		char letter = escape_letter(value.data[i]);

		if (letter)
			out_char(o, ESCAPE);
		out_char(o, letter ? letter : value.data[i]);
	}
}

size_t dict_format_reply(char *buf, size_t size, char status, struct span value)
{
	struct out o = { buf, size, 0 };

	out_char(&o, status);
	put_escaped(&o, value);
	out_char(&o, '\n');
	return o.len;
}

size_t dict_format_row(char *buf, size_t size, struct span key, struct span value)
{
	struct out o = { buf, size, 0 };

	out_char(&o, 'O');
	put_escaped(&o, key);
	out_char(&o, '\t');
	put_escaped(&o, value);
	out_char(&o, '\n');
	return o.len;
}

int dict_split_quoted(char *args, size_t len, struct span *field, size_t max)
{
	size_t nfields = 0, out = 0, start = 0;

	for (size_t in = 0; in < len; in++) {
		if (args[in] == '"') {
			if (nfields == max)
				return -1;
			field[nfields++] = span_make(args + start, out - start);
			start = out;
			continue;
		}
		if (args[in] == '\\' && ++in == len)
			return -1;
		args[out++] = args[in];
	}
	if (nfields == max)
		return -1;
	field[nfields++] = span_make(args + start, out - start);
	return (int)nfields;
}
