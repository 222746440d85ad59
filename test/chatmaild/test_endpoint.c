/* Socket addresses as the file writes them. */
#include "chatmaild/endpoint.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/support.h"

#define LETTERS50 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"

static const struct good_case {
	const char *name, *text;
	int family;
	const char *path; /* NULL: none */
	unsigned port;
} good_cases[] = {
	{ "path", "unix:/run/a.sock", AF_UNIX, "/run/a.sock", 0 },
	{ "longest path", "unix:/" LETTERS50 LETTERS50 "123456", AF_UNIX,
	    "/" LETTERS50 LETTERS50 "123456", 0 },
	{ "path with colons", "unix:/run/a:b", AF_UNIX, "/run/a:b", 0 },
	{ "IPv4", "inet:127.0.0.1:10080", AF_INET, NULL, 10080 },
	{ "IPv6", "inet:[::1]:1", AF_INET6, NULL, 1 },
	{ "long IPv6", "inet:[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
	    AF_INET6, NULL, 65535 },
	{ "localhost", "inet:localhost:25", AF_INET, NULL, 25 },
	{ "every address", "inet:0.0.0.0:25", AF_INET, NULL, 25 },
};

static void good(void **state)
{
	const struct good_case *c = *state;
	struct endpoint ep;

	assert_null(endpoint_parse(&ep, span_of(c->text)));
	assert_string_equal(ep.text, c->text);
	assert_int_equal(ep.addr.ss_family, c->family);
	if (c->path) {
		assert_string_equal(endpoint_path(&ep), c->path);
		assert_int_equal(ep.len,
		    offsetof(struct sockaddr_un, sun_path) + strlen(c->path) + 1);
	} else if (c->family == AF_INET) {
		assert_null(endpoint_path(&ep));
		assert_int_equal(ep.len, sizeof(struct sockaddr_in));
		assert_int_equal(
		    ntohs(((struct sockaddr_in *)&ep.addr)->sin_port), c->port);
	} else {
		assert_null(endpoint_path(&ep));
		assert_int_equal(ep.len, sizeof(struct sockaddr_in6));
		assert_int_equal(
		    ntohs(((struct sockaddr_in6 *)&ep.addr)->sin6_port), c->port);
	}
}

static void inet_may_be_left_out(void **state)
{
	static const char *const rows[][2] = {
		{ "127.0.0.1:3905", "inet:127.0.0.1:3905" },
		{ "[::1]:3905", "inet:[::1]:3905" },
		{ "localhost:25", "inet:localhost:25" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint brief, full;

		assert_null(endpoint_parse(&brief, span_of(rows[i][0])));
		assert_null(endpoint_parse(&full, span_of(rows[i][1])));
		assert_string_equal(brief.text, rows[i][1]);
		assert_int_equal(brief.len, full.len);
		assert_memory_equal(&brief.addr, &full.addr, full.len);
	}
}

static void localhost_is_ipv4_loopback(void **state)
{
	struct endpoint ep;

	assert_null(endpoint_parse(&ep, span_of("inet:localhost:25")));
	assert_int_equal(
	    ntohl(((struct sockaddr_in *)&ep.addr)->sin_addr.s_addr), INADDR_LOOPBACK);
}

#define EMPTY "it is empty; write unix:/path or inet:HOST:PORT"
#define SCHEME                                                                         \
	"it starts neither with unix: nor with inet:; write unix:/path or "            \
	"inet:HOST:PORT"
#define BLANK                                                                          \
	"it holds a blank or control character; write unix:/path or inet:HOST:PORT"
#define ABSOLUTE  "the path of a UNIX socket must start with /; write unix:/path"
#define DIRECTORY "a UNIX socket is a file, not a directory; write unix:/path/name"
#define TOO_LONG  "the path of a UNIX socket has at most 107 bytes; write a shorter one"
#define NO_PORT   "the port is missing; write inet:HOST:PORT"
#define PORT      "the port must be a number from 1 to 65535; write inet:HOST:PORT"
#define HOST                                                                           \
	"the host must be an IPv4 address, an IPv6 address in [] or localhost; write " \
	"e.g. inet:127.0.0.1:10080"

static const struct bad_case {
	const char *name, *text, *why;
} bad_cases[] = {
	{ "nothing", "", EMPTY },
	{ "path alone", "/run/a.sock", SCHEME },
	{ "port alone", "10080", SCHEME },
	{ "name alone", "mail.example:25", SCHEME },
	{ "address alone", "127.0.0.1", SCHEME },
	{ "address and no number", "127.0.0.1:http", PORT },
	{ "short address alone", "127.1:25", HOST },
	{ "IPv6 alone, without its port", "[::1]", PORT },
	{ "scheme in capitals", "INET:127.0.0.1:1", SCHEME },
	{ "other scheme", "tcp:127.0.0.1:1", SCHEME },
	{ "no path", "unix:", ABSOLUTE },
	{ "relative path", "unix:a.sock", ABSOLUTE },
	{ "directory", "unix:/run/", DIRECTORY },
	{ "path too long", "unix:/" LETTERS50 LETTERS50 "1234567", TOO_LONG },
	{ "text too long", "unix:/" LETTERS50 LETTERS50 LETTERS50 LETTERS50,
	    "it is too long; write unix:/path or inet:HOST:PORT" },
	{ "blank", "unix:/run/a b", BLANK },
	{ "line break", "unix:/run/a\nb", BLANK },
	{ "no host, no port", "inet:", NO_PORT },
	{ "host alone", "inet:localhost", NO_PORT },
	{ "port 0", "inet:127.0.0.1:0", PORT },
	{ "port 65536", "inet:127.0.0.1:65536", PORT },
	{ "port of many digits", "inet:127.0.0.1:000080", PORT },
	{ "port empty", "inet:127.0.0.1:", PORT },
	{ "port negative", "inet:127.0.0.1:-1", PORT },
	{ "port of letters", "inet:127.0.0.1:smtp", PORT },
	{ "name", "inet:mail.example:25", HOST },
	{ "no host", "inet::25", HOST },
	{ "IPv6 bare", "inet:::1:25", HOST },
	{ "IPv6 half open", "inet:[::1:25", HOST },
	{ "IPv4 in brackets", "inet:[127.0.0.1]:25", HOST },
	{ "empty brackets", "inet:[]:25", HOST },
	{ "short IPv4", "inet:127.1:25", HOST },
	{ "IPv6 scope", "inet:[fe80::1%eth0]:25", HOST },
	{ "long host", "inet:" LETTERS50 LETTERS50 ":25", HOST },
};

static void bad(void **state)
{
	const struct bad_case *c = *state;
	struct endpoint ep = { .len = 77 };

	assert_string_equal(endpoint_parse(&ep, span_of(c->text)), c->why);
	assert_int_equal(ep.len, 77); /* untouched */
}

static void bad_nul(void **state)
{
	struct endpoint ep;

	assert_string_equal(endpoint_parse(&ep, span_make("unix:/a\0b", 9)), BLANK);
}

static struct endpoint parse(const char *text)
{
	struct endpoint ep;

	assert_null(endpoint_parse(&ep, span_of(text)));
	return ep;
}

static void bound_to_a_path(void **state)
{
	char *dir = support_tmpdir(), text[128];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct endpoint ep, other, longer;

	snprintf(text, sizeof(text), "unix:%s/a", dir);
	ep = parse(text);
	snprintf(text, sizeof(text), "unix:%s/b", dir);
	other = parse(text);
	snprintf(text, sizeof(text), "unix:%s/ab", dir);
	longer = parse(text);
	assert_false(endpoint_is_bound(&ep, fd));
	assert_int_equal(bind(fd, (struct sockaddr *)&ep.addr, ep.len), 0);
	assert_true(endpoint_is_bound(&ep, fd));
	assert_false(endpoint_is_bound(&other, fd));
	assert_false(endpoint_is_bound(&longer, fd));
	close(fd);

	/* Bound without the final NUL, as other programs do. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&other.addr, other.len - 1), 0);
	assert_true(endpoint_is_bound(&other, fd));
	close(fd);
	support_tmpdir_remove(dir);
}

/* Binds to a free port of host, and gives its endpoint text. */
static int bind_free_port(const char *host, char *text, size_t size)
{
	struct endpoint ep;
	socklen_t len = sizeof(ep.addr);
	in_port_t port;
	int fd;

	snprintf(text, size, "inet:%s:1", host);
	ep = parse(text);
	fd = socket(ep.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* sin_port and sin6_port lie at the same place. */
	((struct sockaddr_in *)&ep.addr)->sin_port = 0;
	if (fd < 0 || bind(fd, (struct sockaddr *)&ep.addr, ep.len) < 0)
		return -1;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ep.addr, &len), 0);
	port = ((struct sockaddr_in *)&ep.addr)->sin_port;
	snprintf(text, size, "inet:%s:%u", host, ntohs(port));
	return fd;
}

static void bound_to_ipv4(void **state)
{
	char text[128];
	int fd = bind_free_port("127.0.0.1", text, sizeof(text));
	struct endpoint ep = parse(text), other;

	assert_true(fd >= 0);
	assert_true(endpoint_is_bound(&ep, fd));
	memcpy(text, "inet:127.0.0.2", strlen("inet:127.0.0.2"));
	other = parse(text);
	assert_false(endpoint_is_bound(&other, fd));
	other = parse("inet:127.0.0.1:1");
	assert_false(endpoint_is_bound(&other, fd));
	other = parse("unix:/run/a.sock");
	assert_false(endpoint_is_bound(&other, fd));
	close(fd);
}

static void bound_to_ipv6(void **state)
{
	char text[128];
	int fd = bind_free_port("[::1]", text, sizeof(text));
	struct endpoint ep, other = parse("inet:[::1]:1");

	if (fd < 0)
		skip(); /* a machine without IPv6 */
	ep = parse(text);
	assert_true(endpoint_is_bound(&ep, fd));
	assert_false(endpoint_is_bound(&other, fd));
	close(fd);
}

static void bound_to_nothing(void **state)
{
	struct endpoint unset = { .len = 0 }, ep = parse("inet:127.0.0.1:1");
	int fd[2];

	support_socketpair(fd);
	assert_false(endpoint_is_bound(&unset, fd[0]));
	assert_false(endpoint_is_bound(&ep, fd[0]));
	close(fd[0]);
	close(fd[1]);
	assert_false(endpoint_is_bound(&ep, -1));
	assert_null(endpoint_path(&unset));
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(good, good_cases) },
		{ SUPPORT_TEST(inet_may_be_left_out) },
		{ SUPPORT_TEST(localhost_is_ipv4_loopback) },
		{ SUPPORT_TABLE(bad, bad_cases) },
		{ SUPPORT_TEST(bad_nul) },
		{ SUPPORT_TEST(bound_to_a_path) },
		{ SUPPORT_TEST(bound_to_ipv4) },
		{ SUPPORT_TEST(bound_to_ipv6) },
		{ SUPPORT_TEST(bound_to_nothing) },
	};

	return support_run("endpoint", tests, ARRAY_LEN(tests));
}
