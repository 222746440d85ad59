/* The journal of the relay's units. */
#include "deploy/logs.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>

#include "deploy/quote.h"

#define LINES_LAST   "1000" /* without --since */
#define LINES_FOLLOW "20"   /* before those that come */

static const struct logs_component components[] = {
	{ "chatmaild", "chatmaild.service", "accounts, mail policy, notifications" },
	{ "dovecot", "dovecot.service", "logins, IMAP, delivery" },
	{ "postfix", "postfix@-.service postfix.service", "mail in and out" },
	{ "dkim", "chatmail-opendkim@sign.service chatmail-opendkim@verify.service",
	    "signatures" },
	{ "web", "nginx.service", "the web server" },
	{ "tls",
	    "acmetool-reconcile.service acmetool-redirector.service "
	    "tls-cert-reload.service",
	    "certificates" },
	{ "dns", "unbound.service", "the resolver" },
	{ "calls", "turnserver.service iroh-relay.service", "TURN and iroh" },
	{ "mtail", "mtail.service", "metrics out of logs" },
	{ "echobot", "chatmail-echobot@*.service", "the echo bot" },
};
#define NCOMPONENTS (sizeof(components) / sizeof(components[0]))

const struct logs_component *logs_components(size_t *n)
{
	*n = NCOMPONENTS;
	return components;
}

static void add_units(struct text *script, const char *units)
{
	struct span rest = span_of(units), unit;

	while (span_cut(&rest, ' ', &unit)) {
		text_add(script, " -u ");
		quote_shell(script, unit);
	}
}

char *logs_script(const struct logs_question *q)
{
	struct text script = { 0 };
	bool found = false;

	text_add(&script,
	    "# journalctl\n"
	    "set -- journalctl --quiet --no-pager --no-hostname -o short-iso");
	for (size_t i = 0; i < NCOMPONENTS; i++) {
		if (!q->component || strcmp(q->component, components[i].name) == 0) {
			add_units(&script, components[i].units);
			found = true;
		}
	}
	if (q->since)
		quote_command(&script, " --since %s", q->since);
	else
		quote_command(&script, " -n %s", q->follow ? LINES_FOLLOW : LINES_LAST);
	if (q->grep)
		quote_command(&script, " --grep %s", q->grep);
	/* It would only note at its next line that nobody listens any more. */
	if (q->follow)
		text_add(
		    &script, " -f\n\"$@\" &\ntrap 'kill $!' EXIT\ncat >/dev/null\n");
	else
		text_add(&script, "\nexec \"$@\"\n");
	if (!found)
		text_free(&script);
	return found ? text_take(&script) : NULL;
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

/* Of the part before "@" (RFC 5321 section 4.1.2, RFC 6531 section 3.3). */
static bool is_local(char c)
{
	return is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static bool is_name(char c)
{
	return is_alnum(c) || c == '-' || c == '.' || c == '_' ||
	       (unsigned char)c >= 0x80;
}

static bool is_address(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
	       (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

static size_t run_of(struct span s, bool (*is)(char))
{
	size_t n = 0;

	while (n < s.len && is(s.data[n]))
		n++;
	return n;
}

static bool parse_address(struct span s, bool *own)
{
	unsigned char bytes[16];
	char text[INET6_ADDRSTRLEN];

	if (s.len >= sizeof(text))
		return false;
	memcpy(text, s.data, s.len);
	text[s.len] = '\0';
	if (inet_pton(AF_INET, text, bytes) == 1) {
		*own = bytes[0] == 127 || strcmp(text, "0.0.0.0") == 0;
		return true;
	}
	*own = strcmp(text, "::1") == 0 || strcmp(text, "::") == 0;
	return inet_pton(AF_INET6, text, bytes) == 1;
}

/*
 * The length of the IP address that s begins with, 0: none. What follows it may look like a
 * part of it: the port in "192.0.2.1:25", the end of a sentence.
 */
static size_t address_at(struct span s, bool *own)
{
	size_t n = run_of(s, is_address);

	for (; n >= 2; n--) {
		char c = n < s.len ? s.data[n] : ' ';
		char after = n + 1 < s.len ? s.data[n + 1] : ' ';
		bool ends = !is_alnum(c) && !(c == '.' && is_alnum(after));

		if (ends && parse_address(span_make(s.data, n), own))
			return n;
	}
	return 0;
}

/* "*" instead of what was written last and belongs to the address whose "@" comes. */
static void hide_local(struct text *to, size_t start)
{
	size_t n = to->len;

	if (n > start && to->data[n - 1] == '"') {
		n--;
		while (n > start && to->data[n - 1] != '"')
			n--;
		n -= n > start;
	}
	while (n > start && is_local(to->data[n - 1]))
		n--;
	if (n == to->len)
		return;
	to->len = n;
	text_add(to, "*");
}

/* Is the client's name before its "[IP" that comes? Then it is hidden. */
static void hide_client(struct text *to, size_t start)
{
	static const char *const before[] = { "from ", "client=" };
	size_t n = to->len;

	while (n > start && is_name(to->data[n - 1]))
		n--;
	for (size_t i = 0; n < to->len && i < sizeof(before) / sizeof(before[0]); i++) {
		struct span front = span_make(to->data + start, n - start);

		if (span_ends(front, span_of(before[i]))) {
			to->len = n;
			text_add(to, "*");
		}
	}
}

/* "postfix@-.service" is no mail address. */
static bool is_unit(struct span domain)
{
	static const char *const ends[] = { ".service", ".socket", ".slice" };
	struct span name = span_make(domain.data, run_of(domain, is_name));

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (span_ends(name, span_of(ends[i])))
			return true;
	}
	return false;
}

void logs_mask(struct text *to, struct span line)
{
	size_t start = to->len, n;
	char last = ' ';
	bool own;

	text_add(to, "");
	while (line.len > 0) {
		char c = line.data[0];
		struct span next = span_skip(line, 1);

		n = 0;
		if (c == '@' && !is_unit(next))
			hide_local(to, start);
		else if (c == '[' && address_at(next, &own) > 0 && !own)
			hide_client(to, start);
		else if (is_address(c) && !is_alnum(last) && last != '.')
			n = address_at(line, &own);
		if (n > 0 && !own) {
			text_add(to, "IP");
		} else {
			n = n > 0 ? n : 1;
			text_add_span(to, span_make(line.data, n));
		}
		last = line.data[n - 1];
		line = span_skip(line, n);
	}
}
