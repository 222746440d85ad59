/*
 * The echo bot of a whole relay, met by a real client: the invitation from the daemon's web
 * page leads to it, it sends back what it is sent, and it comes back when its client died.
 * CHATMAIL_CLIENT names the program of both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "deploy/deltachat.h"
#include "test/relay/private.h"
#include "test/support.h"

#define PICTURE_BYTES 300000 /* clients fetch it as a second message */
#define TEXT_BYTES    900000
#define ONLINE_S      60

static struct private_relay relay;
static const char *client_program;
static struct deltachat *guest;
static uint32_t chat;

/* Ask the daemon as its web server would; the answer is whole when it hangs up. */
static void get(const char *path, char *answer, size_t size)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = 0;
	ssize_t n;

	snprintf(
	    at.sun_path, sizeof(at.sun_path), "%s/run/chatmaild/http.sock", relay.dir);
	if (access(at.sun_path, F_OK) != 0)
		snprintf(at.sun_path, sizeof(at.sun_path), "%s/run/http/http.sock",
		    relay.dir);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_true(dprintf(fd, "GET %s HTTP/1.0\r\n\r\n", path) > 0);
	while ((n = read(fd, answer + len, size - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	close(fd);
}

/* Until the daemon says that the bot is online. */
static void await_online(void)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	static char page[256 * 1024];

	for (unsigned i = 0; i < ONLINE_S * 10; i++) {
		get("/metrics", page, sizeof(page));
		if (strstr(page, "chatmail_echobot_online{service=\"echobot\"} 1"))
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("the bot is not online within %d s", ONLINE_S);
}

#define assert_done(act)                                                               \
	do {                                                                           \
		if (!(act))                                                            \
			fail_msg("%s: %s", #act, deltachat_error(guest));              \
	} while (0)

static void meets_by_the_link(void **state)
{
	const struct deltachat_relay at = { "relay.example", "127.0.0.1", relay.imaps,
		relay.submissions };
	const struct deltachat_program program = { .server = client_program };
	char answer[8192], *link;

	await_online();
	get("/echobot", answer, sizeof(answer));
	assert_int_equal(strncmp(answer, "HTTP/1.0 302 ", 13), 0);
	link = strstr(answer, "\r\nLocation: ");
	assert_non_null(link);
	link += strlen("\r\nLocation: ");
	link[strcspn(link, "\r\n")] = '\0';

	guest = deltachat_start(&program, relay.dir, "guest");
	assert_non_null(guest);
	assert_done(deltachat_login(
			guest, &at, "guest1234@relay.example", "a-long-password") == 0);
	chat = deltachat_join(guest, link);
	assert_done(chat > 0);
	assert_done(deltachat_joined(guest) == 0);
}

static void expect_text(const char *say, const char *want)
{
	struct deltachat_message m;

	assert_done(deltachat_send(guest, chat, say, NULL) > 0);
	assert_done(deltachat_receive(guest, &m) == 0);
	assert_string_equal(m.text, want);
	assert_true(m.encrypted);
	assert_null(m.file);
	deltachat_message_deinit(&m);
}

static void sends_text_back(void **state)
{
	expect_text(
	    "Is \xc3\xa4nybody there?\nI am.", "Is \xc3\xa4nybody there?\nI am.");
}

static void helps(void **state)
{
	expect_text("/help", "Send me any message and I will echo it back");
}

/* A file that nobody can compress. */
static void write_picture(const char *path, size_t len)
{
	char *bytes = malloc(len);
	uint64_t seed = len;

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)support_random(&seed, 256);
	support_write_file(path, span_make(bytes, len));
	free(bytes);
}

static const struct picture_case {
	const char *name;
	size_t len;
} picture_cases[] = {
	{ "small", 2000 },
	{ "large", PICTURE_BYTES },
};

static void sends_a_picture_back(void **state)
{
	const struct picture_case *c = *state;
	char *path = support_path(relay.dir, "picture.bin");
	struct support_text sent, got;
	struct deltachat_message m;

	write_picture(path, c->len);
	assert_done(deltachat_send(guest, chat, "look", path) > 0);
	assert_done(deltachat_receive(guest, &m) == 0);
	assert_done(deltachat_fetch(guest, &m) == 0);
	assert_string_equal(m.text, "look");
	assert_true(m.encrypted);
	assert_non_null(m.file);
	sent = support_read_file(path);
	got = support_read_file(m.file);
	support_assert_span(
	    span_make(got.data, got.len), span_make(sent.data, sent.len));
	free(sent.data);
	free(got.data);
	free(path);
	deltachat_message_deinit(&m);
}

/* The bot's program tells it in one line of JSON, which nobody wants to read. */
static void bears_a_text_without_measure(void **state)
{
	char *text = malloc(TEXT_BYTES + 1);

	assert_non_null(text);
	memset(text, 'a', TEXT_BYTES);
	text[TEXT_BYTES] = '\0';
	assert_done(deltachat_send(guest, chat, text, NULL) > 0);
	free(text);
	expect_text("and now?", "and now?");
}

static void comes_back(void **state)
{
	private_part(&relay, "kill", "bot");
	private_part(&relay, "start", "bot");
	expect_text("still there?", "still there?");
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(meets_by_the_link) },
		{ SUPPORT_TEST(sends_text_back) },
		{ SUPPORT_TEST(helps) },
		{ SUPPORT_TABLE(sends_a_picture_back, picture_cases) },
		{ SUPPORT_TEST(bears_a_text_without_measure) },
		{ SUPPORT_TEST(comes_back) },
	};
	char options[1024];
	int failed;

	if (!private_possible())
		return PRIVATE_SKIPPED;
	client_program = getenv("CHATMAIL_CLIENT");
	if (!client_program) {
		fputs("CHATMAIL_CLIENT is not set: run me by with_client\n", stderr);
		return PRIVATE_SKIPPED;
	}
	snprintf(options, sizeof(options), "--bot '%s'", client_program);
	private_up(&relay, options);
	failed = support_run("echobot", tests, ARRAY_LEN(tests));
	deltachat_stop(guest);
	private_down(&relay);
	return failed;
}
