#include "chatmaild/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/un.h>

#define WRITE "write unix:/path or inet:HOST:PORT"

static bool has_blank_or_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c <= 0x20 || c == 0x7f)
			return true;
	}
	return false;
}

static const char *parse_unix(struct endpoint *ep, struct span path)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)&ep->addr;

	if (path.len == 0 || path.data[0] != '/')
		return "the path of a UNIX socket must start with /; write unix:/path";
	if (path.data[path.len - 1] == '/')
		return "a UNIX socket is a file, not a directory; write "
		       "unix:/path/name";
	if (path.len >= sizeof(sun->sun_path))
		return "the path of a UNIX socket has at most 107 bytes; write a "
		       "shorter one";
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path.data, path.len);
	ep->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
	return NULL;
}

static bool parse_port(struct span s, uint16_t *port)
{
	unsigned value = 0;

	if (s.len == 0 || s.len > 5)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		value = value * 10 + (unsigned)(s.data[i] - '0');
	}
	if (value < 1 || value > 65535)
		return false;
	*port = (uint16_t)value;
	return true;
}

static bool set_inet4(struct endpoint *ep, const char *host, uint16_t port)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&ep->addr;

	if (inet_pton(AF_INET, host, &sin->sin_addr) != 1)
		return false;
	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	ep->len = sizeof(*sin);
	return true;
}

static bool set_inet6(struct endpoint *ep, const char *host, uint16_t port)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&ep->addr;

	if (inet_pton(AF_INET6, host, &sin6->sin6_addr) != 1)
		return false;
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(port);
	ep->len = sizeof(*sin6);
	return true;
}

static const char *parse_inet(struct endpoint *ep, struct span rest)
{
	const char *colon = rest.len ? memrchr(rest.data, ':', rest.len) : NULL;
	char name[INET6_ADDRSTRLEN + 2]; /* with the brackets */
	struct span host;
	uint16_t port;

	if (!colon)
		return "the port is missing; write inet:HOST:PORT";
	host = span_make(rest.data, (size_t)(colon - rest.data));
	if (!parse_port(span_skip(rest, host.len + 1), &port))
		return "the port must be a number from 1 to 65535; write "
		       "inet:HOST:PORT";
	if (span_is(host, "localhost"))
		host = span_of("127.0.0.1");
	if (host.len < sizeof(name)) {
		bool bracketed = host.len > 2 && host.data[0] == '[' &&
				 host.data[host.len - 1] == ']';

		if (bracketed)
			host = span_make(host.data + 1, host.len - 2);
		memcpy(name, host.data, host.len);
		name[host.len] = '\0';
		if (bracketed ? set_inet6(ep, name, port) : set_inet4(ep, name, port))
			return NULL;
	}
	return "the host must be an IPv4 address, an IPv6 address in [] or localhost; "
	       "write e.g. inet:127.0.0.1:10080";
}

/* HOST:PORT and no more? A scheme that is misspelt is not taken for a host. */
static bool is_host_and_port(struct span text)
{
	bool digit = text.data[0] >= '0' && text.data[0] <= '9';

	return span_starts(text, "localhost:") ||
	       ((digit || text.data[0] == '[') && memchr(text.data, ':', text.len));
}

const char *endpoint_parse(struct endpoint *ep, struct span text)
{
	struct endpoint parsed = { .len = 0 };
	const char *why, *scheme = "";

	if (text.len == 0)
		return "it is empty; " WRITE;
	if (has_blank_or_control(text))
		return "it holds a blank or control character; " WRITE;
	if (text.len >= sizeof(parsed.text) - strlen("inet:"))
		return "it is too long; " WRITE;
	if (span_starts(text, "unix:")) {
		why = parse_unix(&parsed, span_skip(text, strlen("unix:")));
	} else if (span_starts(text, "inet:")) {
		why = parse_inet(&parsed, span_skip(text, strlen("inet:")));
	} else if (is_host_and_port(text)) {
		scheme = "inet:";
		why = parse_inet(&parsed, text);
	} else {
		return "it starts neither with unix: nor with inet:; " WRITE;
	}
	if (why)
		return why;
	snprintf(parsed.text, sizeof(parsed.text), "%s%.*s", scheme, SPAN_ARG(text));
	*ep = parsed;
	return NULL;
}

const char *endpoint_path(const struct endpoint *ep)
{
	if (ep->len == 0 || ep->addr.ss_family != AF_UNIX)
		return NULL;
	return ((const struct sockaddr_un *)&ep->addr)->sun_path;
}

/* A UNIX address as the kernel gives it need not end in NUL. */
static bool same_path(
    const struct endpoint *ep, const struct sockaddr_un *sun, size_t len)
{
	size_t head = offsetof(struct sockaddr_un, sun_path);

	if (len <= head)
		return false; /* not bound to a path */
	len = strnlen(sun->sun_path, len - head);
	return span_is(span_make(sun->sun_path, len), endpoint_path(ep));
}

bool endpoint_is_bound(const struct endpoint *ep, int fd)
{
	struct sockaddr_storage found;
	socklen_t len = sizeof(found);

	if (ep->len == 0 || getsockname(fd, (struct sockaddr *)&found, &len) < 0 ||
	    found.ss_family != ep->addr.ss_family)
		return false;
	if (found.ss_family == AF_UNIX)
		return same_path(ep, (const struct sockaddr_un *)&found, len);
	if (found.ss_family == AF_INET) {
		const struct sockaddr_in *a = (const struct sockaddr_in *)&ep->addr;
		const struct sockaddr_in *b = (const struct sockaddr_in *)&found;

		return a->sin_port == b->sin_port &&
		       a->sin_addr.s_addr == b->sin_addr.s_addr;
	} else {
		const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&ep->addr;
		const struct sockaddr_in6 *b = (const struct sockaddr_in6 *)&found;

		return a->sin6_port == b->sin6_port &&
		       memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) == 0;
	}
}
