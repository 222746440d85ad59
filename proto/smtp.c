/* SMTP lines, both halves; see smtp.h. */
#include "proto/smtp.h"

#include "proto/out.h"

static const struct {
	const char *name;
	enum smtp_verb verb;
} smtp_verbs[] = {
	{ "HELO", SMTP_HELO },
	{ "EHLO", SMTP_EHLO },
	{ "LHLO", SMTP_LHLO },
	{ "MAIL", SMTP_MAIL },
	{ "RCPT", SMTP_RCPT },
	{ "DATA", SMTP_DATA },
	{ "RSET", SMTP_RSET },
	{ "NOOP", SMTP_NOOP },
	{ "VRFY", SMTP_VRFY },
	{ "QUIT", SMTP_QUIT },
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

enum smtp_verb smtp_parse_command(struct span line, struct span *arg)
{
	struct span name = line;
	size_t n = 0;

	while (n < line.len && !is_blank(line.data[n]))
		n++;
	name.len = n;
	*arg = span_trim(span_skip(line, n));
	for (size_t i = 0; i < sizeof(smtp_verbs) / sizeof(smtp_verbs[0]); i++)
		if (span_is_nocase(name, smtp_verbs[i].name))
			return smtp_verbs[i].verb;
	return SMTP_UNKNOWN;
}

/*
 * How long the quoted string at the start of path is, its quotes included; 0 if there
 * is none. *why is set if it does not end, or if it is not the whole local part.
 */
static size_t quoted_length(struct span path, const char **why)
{
	size_t i;

	if (path.len == 0 || path.data[0] != '"')
		return 0;
	for (i = 1; i < path.len && path.data[i] != '"'; i++) {
		if (path.data[i] == '\\')
			i++;
		if (i < path.len && span_control(path.data[i]))
			break;
	}
	if (i >= path.len || path.data[i] != '"')
		*why = "bad quoted string in address";
	else if (i + 1 < path.len && path.data[i + 1] != '@' && path.data[i + 1] != '>')
		*why = "text behind quoted local part";
	return i + 1;
}

/* "@a,@b:" before the mailbox: obsolete since RFC 2821, to be accepted and ignored. */
static const char *skip_source_route(struct span *path)
{
	size_t i = 0;

	if (path->len == 0 || path->data[0] != '@')
		return NULL;
	for (; i < path->len && path->data[i] != ':'; i++)
		if (span_control(path->data[i]) || strchr(" <>\"\\", path->data[i]))
			return "bad source route in address";
	*path = span_skip(*path, i + 1);
	/* Handed on, "@a" would be read as the start of another route. */
	if (path->len == 0 || path->data[0] == '>' || path->data[0] == '@')
		return "no address behind source route";
	return NULL;
}

/* Cut path at its '>'; rest is what follows. */
static const char *cut_path(struct span *path, struct span *rest)
{
	const char *why = NULL;
	size_t i = quoted_length(*path, &why);

	if (why)
		return why;
	for (; i < path->len && path->data[i] != '>'; i++)
		if (span_control(path->data[i]) || strchr(" <\"\\", path->data[i]))
			return "bad character in address";
	if (i >= path->len)
		return "no > behind address";
	*rest = span_skip(*path, i + 1);
	path->len = i;
	return path->len > SMTP_PATH_MAX ? "address too long" : NULL;
}

const char *smtp_parse_path(struct span arg, const char *keyword, struct span *address)
{
	struct span path, rest;
	const char *why;
	bool null;

	if (!span_starts_nocase(arg, keyword))
		return "keyword missing";
	arg = span_skip(arg, strlen(keyword));
	if (!span_starts(arg, ":"))
		return "colon missing";
	path = span_skip(arg, 1);
	while (path.len && is_blank(path.data[0]))
		path = span_skip(path, 1);
	if (!span_starts(path, "<"))
		return "no < before address";
	path = span_skip(path, 1);

	null = span_starts(path, ">");
	if (null && strcasecmp(keyword, "FROM") != 0)
		return "empty address";
	why = skip_source_route(&path);
	if (!why)
		why = cut_path(&path, &rest);
	if (why)
		return why;
	if (rest.len && !is_blank(rest.data[0]))
		return "text behind address";
	*address = path;
	return NULL;
}

void smtp_reply_init(struct smtp_reply *r)
{
	r->code = 0;
	r->len = 0;
	r->begun = false;
}

/* 200 to 599; 0 for anything else. */
static unsigned parse_code(struct span line)
{
	unsigned code = 0;

	if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5')
		return 0;
	for (size_t i = 0; i < 3; i++) {
		if (line.data[i] < '0' || line.data[i] > '9')
			return 0;
		code = code * 10 + (unsigned)(line.data[i] - '0');
	}
	return code;
}

static void reply_append(struct smtp_reply *r, struct span text)
{
	size_t room = sizeof(r->text) - r->len;
	size_t n = text.len < room ? text.len : room;

	if (n)
		memcpy(r->text + r->len, text.data, n);
	r->len += n;
}

enum smtp_reply_state smtp_reply_feed(struct smtp_reply *r, struct span line)
{
	unsigned code = parse_code(line);
	char separator = line.len > 3 ? line.data[3] : ' ';

	if (code == 0 || (separator != ' ' && separator != '-'))
		return SMTP_REPLY_BROKEN;
	if (r->begun && code != r->code)
		return SMTP_REPLY_BROKEN;
	if (r->begun)
		reply_append(r, span_of("\n"));
	r->begun = true;
	r->code = code;
	reply_append(r, span_skip(line, 4));
	return separator == ' ' ? SMTP_REPLY_COMPLETE : SMTP_REPLY_MORE;
}

static void put_line(struct out *o, unsigned code, bool last, struct span text)
{
	out_char(o, (char)('0' + code / 100 % 10));
	out_char(o, (char)('0' + code / 10 % 10));
	out_char(o, (char)('0' + code % 10));
	if (!last)
		out_char(o, '-');
	else if (text.len)
		out_char(o, ' ');
	for (size_t i = 0; i < text.len; i++)
		out_char(o, span_control(text.data[i]) ? '?' : text.data[i]);
	out_char(o, '\r');
	out_char(o, '\n');
}

size_t smtp_format_reply(char *buf, size_t size, unsigned code, struct span text)
{
	struct out o = { buf, size, 0 };
	struct span line;

	if (!text.data)
		text = span_of("");
	while (span_cut(&text, '\n', &line))
		put_line(&o, code, !text.data, line); /* nothing left: the last */
	return o.len;
}
