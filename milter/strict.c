/*
 * Strict readings of Content-Type and From. Not a full parser of RFC 5322: what this
 * does not understand is refused.
 */
#include "milter/strict.h"

#include <stdint.h>

#define PARAMETERS_MAX 32

static bool printable(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct span *s)
{
	while (s->len && is_blank(s->data[0]))
		*s = span_skip(*s, 1);
}

/* RFC 2045 section 5.1: printable ASCII but for the tspecials. */
static bool is_token(char c)
{
	return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

static bool cut_token(struct span *rest, struct span *token)
{
	size_t n = 0;

	while (n < rest->len && is_token(rest->data[n]))
		n++;
	*token = span_make(rest->data, n);
	*rest = span_skip(*rest, n);
	return n > 0;
}

/* What stands between the quotes, escapes and all. */
static bool cut_quoted(struct span *rest, struct span *text)
{
	size_t n = 1;

	while (n < rest->len && rest->data[n] != '"')
		n += rest->data[n] == '\\' ? 2 : 1;
	if (n >= rest->len)
		return false;
	*text = span_make(rest->data + 1, n - 1);
	*rest = span_skip(*rest, n + 1);
	return true;
}

static bool copy(char *buf, size_t size, struct span s, bool lower)
{
	if (s.len >= size)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bool upper = s.data[i] >= 'A' && s.data[i] <= 'Z';

		buf[i] = (char)(lower && upper ? s.data[i] | 0x20 : s.data[i]);
	}
	buf[s.len] = '\0';
	return true;
}

static bool seen_before(const struct span *names, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++)
		if (span_equal_nocase(names[i], name))
			return true;
	return false;
}

/* One "attribute=value", blanks around it gone. */
static bool cut_parameter(struct span *rest, struct span *name, struct span *value)
{
	if (!cut_token(rest, name) || rest->len == 0 || rest->data[0] != '=')
		return false;
	*rest = span_skip(*rest, 1);
	if (rest->len && rest->data[0] == '"')
		return cut_quoted(rest, value);
	return cut_token(rest, value);
}

bool strict_content_type(struct content_type *ct, struct span value)
{
	struct span name[PARAMETERS_MAX], type, subtype, text;
	struct span rest = value;

	ct->boundary[0] = '\0';
	skip_blanks(&rest);
	if (!printable(value) || !cut_token(&rest, &type) || !span_starts(rest, "/"))
		return false;
	rest = span_skip(rest, 1);
	if (!cut_token(&rest, &subtype) ||
	    !copy(ct->type, sizeof(ct->type), type, true) ||
	    !copy(ct->subtype, sizeof(ct->subtype), subtype, true))
		return false;
	for (size_t n = 0;; n++) {
		skip_blanks(&rest);
		if (rest.len == 0)
			return true;
		if (rest.data[0] != ';' || n == PARAMETERS_MAX)
			return false;
		rest = span_skip(rest, 1);
		skip_blanks(&rest);
		if (rest.len == 0)
			return true;
		if (!cut_parameter(&rest, &name[n], &text) ||
		    seen_before(name, n, name[n]) ||
		    span_starts_nocase(name[n], "boundary*"))
			return false;
		if (!span_is_nocase(name[n], "boundary"))
			continue;
		if ((text.len && memchr(text.data, '\\', text.len)) ||
		    !copy(ct->boundary, sizeof(ct->boundary), text, false))
			return false;
	}
}

/* Blanks and comments, which may nest; false if a comment stays open. */
static bool skip_comments(struct span *rest)
{
	size_t depth = 0;

	for (; rest->len; *rest = span_skip(*rest, 1)) {
		char c = rest->data[0];

		if (depth && c == '\\')
			*rest = span_skip(*rest, 1);
		else if (c == '(')
			depth++;
		else if (depth && c == ')')
			depth--;
		else if (!depth && !is_blank(c))
			break;
	}
	return depth == 0;
}

/* An atom's byte in a display name: dots are common there though obsolete, and names in
 * raw UTF-8 too. In an address '.' and '@' join the same set. */
static bool is_atom(char c)
{
	return (unsigned char)c >= 0x80 ||
	       (c > ' ' && c < 0x7f && !strchr("()<>[]:;@\\,\"", c));
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]", RFC 5321 section 4.1.3. */
static bool is_literal(struct span domain)
{
	if (domain.len < 3 || domain.data[0] != '[' ||
	    domain.data[domain.len - 1] != ']')
		return false;
	for (size_t i = 1; i < domain.len - 1; i++)
		if (!is_atom(domain.data[i]) && domain.data[i] != ':')
			return false;
	return true;
}

static bool is_address(struct span address)
{
	const char *at = address.len ? memchr(address.data, '@', address.len) : NULL;
	struct span domain;

	if (!at || at == address.data)
		return false;
	/* Some readers decode RFC 2047 before they look for addresses. */
	for (const char *p = address.data; p < at; p++)
		if (!is_atom(*p) || (p[0] == '=' && p[1] == '?'))
			return false;
	domain = span_skip(address, (size_t)(at - address.data) + 1);
	if (is_literal(domain))
		return true;
	for (size_t i = 0; i < domain.len; i++)
		if (!is_atom(domain.data[i]))
			return false;
	return domain.len > 0;
}

/* Words and quoted strings up to the '<' or the end. */
static bool skip_phrase(struct span *rest)
{
	struct span quoted;

	while (skip_comments(rest) && rest->len && rest->data[0] != '<') {
		if (rest->data[0] == '"') {
			if (!cut_quoted(rest, &quoted))
				return false;
		} else if (is_atom(rest->data[0])) {
			*rest = span_skip(*rest, 1);
		} else {
			return false;
		}
	}
	return rest->len > 0;
}

const char *strict_mailbox(struct span *address, struct span value)
{
	struct span rest = value;
	size_t n = 0;

	if (!printable(value))
		return "control byte";
	if (!skip_comments(&rest))
		return "open comment";
	while (n < rest.len && !is_blank(rest.data[n]) && rest.data[n] != '(')
		n++;
	*address = span_make(rest.data, n);
	if (is_address(*address)) {
		rest = span_skip(rest, n);
	} else {
		const char *end;

		if (!skip_phrase(&rest))
			return "not one mailbox";
		end = memchr(rest.data, '>', rest.len);
		if (!end)
			return "not one mailbox";
		*address = span_make(rest.data + 1, (size_t)(end - rest.data) - 1);
		*address = span_trim(*address);
		rest = span_skip(rest, (size_t)(end - rest.data) + 1);
	}
	if (!is_address(*address))
		return "not an address";
	if (!skip_comments(&rest))
		return "open comment";
	return rest.len ? "more than one mailbox" : NULL;
}
