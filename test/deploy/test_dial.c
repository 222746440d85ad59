/* Connections, and the dialogues over them, with servers that say what a script has. */
#include "deploy/dial.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "deploy/imap_talk.h"
#include "deploy/smtp_talk.h"
#include "test/flow/tls_cert.h"
#include "test/support.h"

#define WAIT_MS 10000

/* A server of one connection. It says each line of the script at once; "?" waits for a line,
 * "TLS" shakes hands, "..." stays silent. */
struct server {
	const char *const *script;
	SSL_CTX *tls; /* owned; NULL: without */
	bool from_start;
	bool dripping; /* byte by byte */
	int listener;
	uint16_t port;
	pthread_t thread;
	char heard[4096];
};

struct session {
	int fd;
	SSL *ssl;
};

static void session_write(struct session *s, const char *text, size_t len)
{
	if (s->ssl)
		SSL_write(s->ssl, text, (int)len);
	else if (send(s->fd, text, len, MSG_NOSIGNAL) < 0)
		return;
}

static bool session_byte(struct session *s, char *byte)
{
	return s->ssl ? SSL_read(s->ssl, byte, 1) == 1 : read(s->fd, byte, 1) == 1;
}

static void session_hear(struct session *s, char *heard, size_t size)
{
	size_t n = strlen(heard);
	char byte = 0;

	while (n + 1 < size && byte != '\n' && session_byte(s, &byte))
		heard[n++] = byte;
	heard[n] = '\0';
}

static void session_tls(struct session *s, SSL_CTX *context)
{
	s->ssl = SSL_new(context);
	SSL_set_fd(s->ssl, s->fd);
	if (SSL_accept(s->ssl) != 1) {
		SSL_free(s->ssl);
		s->ssl = NULL;
	}
}

static void play(struct server *server, struct session *s, const char *line)
{
	size_t piece = server->dripping ? 1 : strlen(line);

	if (strcmp(line, "?") == 0) {
		session_hear(s, server->heard, sizeof(server->heard));
	} else if (strcmp(line, "TLS") == 0) {
		session_tls(s, server->tls);
	} else if (strcmp(line, "...") == 0) {
		char byte;

		session_byte(s, &byte); /* until the peer gives up */
	} else {
		for (size_t at = 0; at < strlen(line); at += piece)
			session_write(s, line + at, piece);
	}
}

static void *serve(void *arg)
{
	struct server *server = arg;
	struct session s = { .fd = accept(server->listener, NULL, NULL) };

	if (s.fd < 0)
		return NULL;
	if (server->from_start)
		session_tls(&s, server->tls);
	for (size_t i = 0; server->script[i]; i++)
		play(server, &s, server->script[i]);
	if (s.ssl)
		SSL_shutdown(s.ssl);
	SSL_free(s.ssl);
	close(s.fd);
	return NULL;
}

static void server_start(struct server *server)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(server->listener, 1), 0);
	assert_int_equal(
	    getsockname(server->listener, (struct sockaddr *)&in, &len), 0);
	server->port = ntohs(in.sin_port);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_end(struct server *server)
{
	pthread_join(server->thread, NULL);
	close(server->listener);
	SSL_CTX_free(server->tls);
}

static struct dial *dial_server(
    const struct server *server, enum dial_tls tls, unsigned ms)
{
	static struct dial_target target;

	target = (struct dial_target){
		.host = "127.0.0.1",
		.port = server->port,
		.tls = tls,
		.name = "localhost",
	};
	return dial_open(&target, ms);
}

static const struct line_case {
	const char *name;
	const char *const script[4];
	const char *lines[3];
	enum dial_failure end;
} line_cases[] = {
	{ "lines", { "a\r\nb\n", "\r\n" }, { "a", "b", "" }, DIAL_CLOSED },
	{ "cut off", { "a\r\nb" }, { "a" }, DIAL_CLOSED },
	{ "nothing", { "" }, { NULL }, DIAL_CLOSED },
};

static void read_lines(const struct line_case *c, bool dripping)
{
	struct server server = { .script = c->script, .dripping = dripping };
	struct span line;
	struct dial *d;

	server_start(&server);
	d = dial_server(&server, DIAL_PLAIN, WAIT_MS);
	for (size_t i = 0; i < 3 && c->lines[i]; i++) {
		assert_true(dial_line(d, &line));
		assert_true(span_is(line, c->lines[i]));
	}
	assert_false(dial_line(d, &line));
	assert_int_equal(dial_failure(d), c->end);
	assert_false(dial_write(d, span_of("x"))); /* what failed fails for good */
	dial_close(d);
	server_end(&server);
}

static void lines(void **state)
{
	read_lines(*state, false);
	read_lines(*state, true);
}

static void endless_line(void **state)
{
	char *long_line = malloc(DIAL_LINE_MAX + 2);
	const char *const script[] = { long_line, "...", NULL };
	struct server server = { .script = script };
	struct span line;
	struct dial *d;

	memset(long_line, 'x', DIAL_LINE_MAX + 1);
	long_line[DIAL_LINE_MAX + 1] = '\0';
	server_start(&server);
	d = dial_server(&server, DIAL_PLAIN, WAIT_MS);
	assert_false(dial_line(d, &line));
	assert_int_equal(dial_failure(d), DIAL_NONSENSE);
	dial_close(d);
	server_end(&server);
	free(long_line);
}

static void silence(void **state)
{
	static const char *const script[] = { "...", NULL };
	struct server server = { .script = script };
	struct span line;
	struct dial *d;

	server_start(&server);
	d = dial_server(&server, DIAL_PLAIN, 100);
	assert_false(dial_ready(d, 1));
	assert_null(dial_error(d));
	assert_false(dial_line(d, &line));
	assert_int_equal(dial_failure(d), DIAL_SILENT);
	dial_close(d);
	server_end(&server);
}

static void nobody_there(void **state)
{
	static const char *const script[] = { NULL };
	struct server server = { .script = script };
	struct dial *d;

	server_start(&server);
	dial_close(dial_server(&server, DIAL_PLAIN, WAIT_MS));
	server_end(&server);
	d = dial_server(&server, DIAL_PLAIN, WAIT_MS);
	assert_int_equal(dial_failure(d), DIAL_REFUSED);
	dial_close(d);
}

static struct tls_authority *authority;
static char trusted[] = "/tmp/test_dial-XXXXXX";

static const struct tls_case {
	const char *name;
	enum tls_cert kind;
	enum dial_failure failure;
} tls_cases[] = {
	{ "good", TLS_CERT_GOOD, DIAL_FINE },
	{ "expired", TLS_CERT_EXPIRED, DIAL_CERTIFICATE },
	{ "another name", TLS_CERT_OTHER_NAME, DIAL_CERTIFICATE },
	{ "another authority", TLS_CERT_OTHER_CA, DIAL_CERTIFICATE },
};

static void tls(void **state)
{
	static const char *const script[] = { "hello\r\n", NULL };
	const struct tls_case *c = *state;
	struct server server = {
		.script = script,
		.tls = tls_authority_serve(authority, c->kind),
		.from_start = true,
	};
	struct span line;
	struct dial *d;

	server_start(&server);
	d = dial_server(&server, DIAL_FROM_START, WAIT_MS);
	assert_int_equal(dial_failure(d), c->failure);
	assert_int_equal(dial_line(d, &line), c->failure == DIAL_FINE);
	assert_non_null(dial_ssl(d));
	dial_close(d);
	server_end(&server);
}

static void bytes_before_tls_are_refused(void **state)
{
	static const char *const script[] = { "220 go\r\n250 injected\r\n", "...",
		NULL };
	struct server server = { .script = script };
	struct span line;
	struct dial *d;

	server_start(&server);
	d = dial_server(&server, DIAL_PLAIN, WAIT_MS);
	assert_true(dial_line(d, &line));
	assert_false(dial_start_tls(d));
	assert_int_equal(dial_failure(d), DIAL_NONSENSE);
	dial_close(d);
	server_end(&server);
}

static void sends_a_mail(void **state)
{
	static const char *const script[] = { "220 hi\r\n", "?",
		"250-a\r\n250 AUTH PLAIN\r\n", "?", "220 go\r\n", "TLS", "?",
		"250 AUTH PLAIN\r\n", "?", "235 ok\r\n", "?", "250 ok\r\n", "?",
		"250 ok\r\n", "?", "354 go\r\n", "?", "?", "?", "523 no\r\n", NULL };
	struct server server = { .script = script,
		.tls = tls_authority_serve(authority, TLS_CERT_GOOD) };
	struct smtp_talk t = { 0 };

	server_start(&server);
	t.dial = dial_server(&server, DIAL_PLAIN, WAIT_MS);
	assert_int_equal(smtp_talk_begin(&t, "me.example", true), 250);
	assert_true(smtp_talk_offers(&t, "auth"));
	assert_false(smtp_talk_offers(&t, "au"));
	assert_int_equal(smtp_talk_login(&t, "u", "p"), 235);
	assert_int_equal(smtp_talk_send(&t, "a@b", "c@d", span_of("x\r\n.y\r\n")), 523);
	assert_null(dial_error(t.dial));
	dial_close(t.dial);
	server_end(&server);
	assert_non_null(strstr(server.heard,
	    "AUTH PLAIN AHUAcA==\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
	    "x\r\n..y\r\n.\r\n"));
}

static void reads_a_mailbox(void **state)
{
	static const char *const script[] = { "* OK hi\r\n", "?", "a1 OK in\r\n", "?",
		"* 1 EXISTS\r\na2 OK selected\r\n", "?",
		"* 1 FETCH (BODY[] {11}\r\nA: b\r\n\r\n{9}",
		" FLAGS ())\r\na3 OK done\r\n", "?", "+ idling\r\n", "* 2 EXISTS\r\n",
		"?", "a4 OK done\r\n", "?", "a5 NO not so\r\n", NULL };
	struct server server = { .script = script };
	struct imap_talk t = { 0 };
	struct text mail = { 0 };

	server_start(&server);
	t.dial = dial_server(&server, DIAL_PLAIN, WAIT_MS);
	assert_true(imap_talk_begin(&t));
	assert_true(imap_talk_login(&t, "u\"", "p\\"));
	assert_true(imap_talk_command(&t, NULL, "SELECT INBOX"));
	assert_int_equal(t.exists, 1);
	assert_true(imap_talk_fetch(&t, 1, &mail));
	assert_string_equal(mail.data, "A: b\r\n\r\n{9}");
	assert_true(imap_talk_idle(&t));
	assert_true(imap_talk_wait(&t, 1, WAIT_MS));
	assert_true(imap_talk_idle_end(&t));
	assert_false(imap_talk_command(&t, NULL, "NOOP"));
	assert_string_equal(t.result, "NO not so");
	dial_close(t.dial);
	server_end(&server);
	assert_true(
	    span_starts(span_of(server.heard), "a1 LOGIN \"u\\\"\" \"p\\\\\"\r\n"));
	text_free(&mail);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(lines, line_cases) },
		{ SUPPORT_TEST(endless_line) },
		{ SUPPORT_TEST(silence) },
		{ SUPPORT_TEST(nobody_there) },
		{ SUPPORT_TABLE(tls, tls_cases) },
		{ SUPPORT_TEST(bytes_before_tls_are_refused) },
		{ SUPPORT_TEST(sends_a_mail) },
		{ SUPPORT_TEST(reads_a_mailbox) },
	};
	int status, fd;

	signal(SIGPIPE, SIG_IGN);
	fd = mkstemp(trusted);
	if (fd < 0)
		return 1;
	close(fd);
	authority = tls_authority_create();
	tls_authority_write(authority, trusted);
	setenv("SSL_CERT_FILE", trusted, 1);
	status = support_run("dial", tests, ARRAY_LEN(tests));
	unlink(trusted);
	tls_authority_destroy(authority);
	return status;
}
