/* Mail addresses; see address.h. */
#include "proto/address.h"

#include <limits.h>

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool address_split(struct span address, struct span *local, struct span *domain)
{
	const char *at = address.len ? memchr(address.data, '@', address.len) : NULL;
	struct span rest;
	size_t n;

	if (!at)
		return false;
	n = (size_t)(at - address.data);
	rest = span_skip(address, n + 1);
	if (rest.len && memchr(rest.data, '@', rest.len))
		return false;
	*local = span_make(address.data, n);
	*domain = rest;
	return true;
}

bool address_in_domain(struct span address, const char *domain)
{
	struct span d = span_of(domain);

	return address.len > d.len && span_ends(address, d) &&
	       address.data[address.len - d.len - 1] == '@';
}

bool address_is_path(struct span address)
{
	bool at = false;

	if (address.len == 0 || address.len > ADDRESS_PATH_MAX ||
	    address.data[0] == '.')
		return false;
	for (size_t i = 0; i < address.len; i++) {
		char c = address.data[i];

		if (c == '/' || span_control(c))
			return false;
		at |= c == '@';
	}
	return at;
}

bool address_local_creatable(struct span local)
{
	bool alnum = false;

	for (size_t i = 0; i < local.len; i++) {
		char c = local.data[i];

		if (is_lower_alnum(c))
			alnum = true;
		else if (c != '.' && c != '_' && c != '-')
			return false;
	}
	return alnum;
}

/* Where the local part ends: at the last @, since a quoted local part may hold some. */
static size_t local_length(struct span address)
{
	const char *at = address.len ? memrchr(address.data, '@', address.len) : NULL;

	return at ? (size_t)(at - address.data) : address.len;
}

/* The local part without its quotes. Its length, or -1 when the quote does not end. */
static int unquote(struct span local, char *buf)
{
	int n = 0;

	if (local.len == 0 || local.data[0] != '"') {
		for (size_t i = 0; i < local.len; i++)
			buf[n++] = lower(local.data[i]);
		return n;
	}
	for (size_t i = 1; i < local.len; i++) {
		char c = local.data[i];

		if (c == '"')
			return i + 1 == local.len ? n : -1;
		if (c == '\\' && ++i < local.len)
			c = local.data[i];
		buf[n++] = lower(c);
	}
	return -1;
}

int address_mailbox(struct span address, char *buf, size_t size)
{
	size_t local = local_length(address);
	struct span domain = span_skip(address, local);
	const char *plus;
	int n;

	if (address.len >= size || address.len > INT_MAX ||
	    (address.len && memchr(address.data, '\0', address.len)))
		return -1;
	n = unquote(span_make(address.data, local), buf);
	if (n < 0)
		return -1;
	/* Postfix splits at the first '+', but never leaves an empty name. */
	plus = n > 0 ? memchr(buf, '+', (size_t)n) : NULL;
	if (plus && plus != buf)
		n = (int)(plus - buf);
	if (domain.len > 2 && span_ends(domain, span_of(".")))
		domain.len--;
	for (size_t i = 0; i < domain.len; i++)
		buf[n++] = lower(domain.data[i]);
	buf[n] = '\0';
	return n;
}
