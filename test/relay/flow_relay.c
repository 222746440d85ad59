/*
 * The whole relay from outside: a real Postfix, Dovecot and two OpenDKIMs around the
 * daemon, spoken to as clients and other servers do. What each part must do by itself
 * is tested elsewhere; here is what only all of them together can show.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/relay/client.h"
#include "test/relay/mail.h"
#include "test/relay/private.h"
#include "test/support.h"

#define PASSWORD     "correct-horse"
#define CLEARTEXT    "523 Encryption Needed: Invalid Unencrypted Mail"
#define NO_SIGNATURE "554 5.7.1 No valid DKIM signature found"
#define SMALL        2000          /* bytes of cipher text, held by the filter */
#define LARGE        (1024 * 1024) /* streamed */
#define BURST        10
#define SKIPPED      77 /* meson's exit status for a test that cannot run here */

/* More domains than ours: two with keys in the DNS, one the DNS has trouble with. */
#define RELAY_OPTIONS                                                                  \
	"--remote remote.example --remote other.example --refuse trouble.example "     \
	"--ini 'max_user_send_burst_size = 10'"

static struct private_relay relay;

/* --- small steps ---------------------------------------------------------------- */

/* An address that no other test uses, so that mailboxes and rates are fresh. */
static const char *new_address(void)
{
	static char address[4][64];
	static unsigned count;
	char *text = address[count % 4];

	snprintf(text, sizeof(address[0]), "u%08u@relay.example", count++);
	return text;
}

static struct client *open_inbox(const char *address)
{
	struct client *c = imap_open(relay.imaps, address, PASSWORD);

	assert_non_null(c);
	return c;
}

/* Make an account by logging in. */
static const char *new_account(void)
{
	const char *address = new_address();

	client_close(open_inbox(address));
	return address;
}

static struct client *open_submission(const char *address)
{
	struct client *c = smtp_open(relay.submissions, CLIENT_TLS, address, PASSWORD);

	assert_non_null(c);
	return c;
}

static struct client *open_port_25(void)
{
	struct client *c = smtp_open(relay.smtp, CLIENT_PLAIN, NULL, NULL);

	assert_non_null(c);
	return c;
}

/* A small encrypted message out of account from. */
static int send_out(
    struct client *c, const char *from, const char *to, const char *marker)
{
	const struct mail m = { from, to, "secret plans", marker };
	size_t len;
	char *text = mail_encrypted(&m, SMALL, &len);
	int code = smtp_send(c, from, to, text, len);

	free(text);
	return code;
}

/* A small encrypted message from elsewhere, well signed. */
static int send_in(struct client *c, const char *to, const char *marker)
{
	const struct mail m = { "sender@remote.example", to, "[...]", marker };
	size_t len;
	char *text = mail_encrypted(&m, SMALL, &len);
	char *sealed =
	    private_sign(&relay, "remote.example", "remote.example", text, &len);
	int code = smtp_send(c, "sender@remote.example", to, sealed, len);

	free(text);
	free(sealed);
	return code;
}

static void assert_begins(const char *text, const char *prefix)
{
	if (strncmp(text, prefix, strlen(prefix)) != 0)
		fail_msg("got \"%s\" instead of \"%s...\"", text, prefix);
}

/* --- what is refused, and how --------------------------------------------------- */

enum content {
	CLEAR,
	ENCRYPTED,
	HALF_ENCRYPTED,
};

static char *make_mail(
    enum content content, const struct mail *m, size_t bytes, size_t *len)
{
	if (content == CLEAR)
		return mail_clear(m, len);
	return content == ENCRYPTED ? mail_encrypted(m, bytes, len)
				    : mail_half_encrypted(m, bytes, len);
}

static const struct outgoing_case {
	const char *name;
	bool forged_sender, forged_from;
	enum content content;
	size_t bytes;
	const char *reply; /* how it begins */
} outgoing_cases[] = {
	{ "encrypted", false, false, ENCRYPTED, SMALL, "250 " },
	{ "large", false, false, ENCRYPTED, LARGE, "250 " },
	{ "clear text", false, false, CLEAR, 0, CLEARTEXT },
	{ "clear at the end", false, false, HALF_ENCRYPTED, SMALL, CLEARTEXT },
	{ "large, clear at the end", false, false, HALF_ENCRYPTED, LARGE, CLEARTEXT },
	{ "forged From", false, true, ENCRYPTED, SMALL, "500 Invalid FROM <" },
	{ "forged From, clear text", false, true, CLEAR, 0, "500 Invalid FROM <" },
	{ "sender is not the login", true, false, ENCRYPTED, SMALL, "553 5.7.1 " },
};

static void outgoing(void **state)
{
	const struct outgoing_case *c = *state;
	const char *login = new_account(), *to = new_account(), *other = new_address();
	const struct mail m = { c->forged_from ? other : login, to, "x", c->name };
	struct client *smtp = open_submission(login), *inbox = open_inbox(to);
	size_t len;
	char *text = make_mail(c->content, &m, c->bytes, &len);
	int code = smtp_send(smtp, c->forged_sender ? other : login, to, text, len);

	assert_begins(client_text(smtp), c->reply);
	if (code == 250)
		assert_true(imap_wait(inbox, 1));
	else
		assert_int_equal(imap_count(inbox), 0);
	free(text);
	client_close(smtp);
	client_close(inbox);
}

static const struct incoming_case {
	const char *name;
	const char *from;
	const char *signer, *key; /* NULL: not signed */
	enum content content;
	const char *reply;
	bool broken; /* changed after signing */
} incoming_cases[] = {
	{ "signed", "a@remote.example", "remote.example", "remote.example", ENCRYPTED,
	    "250 ", false },
	{ "From in capitals", "A@REMOTE.EXAMPLE", "remote.example", "remote.example",
	    ENCRYPTED, "250 ", false },
	{ "not signed", "a@remote.example", NULL, NULL, ENCRYPTED, NO_SIGNATURE,
	    false },
	{ "changed on the way", "a@remote.example", "remote.example", "remote.example",
	    ENCRYPTED, NO_SIGNATURE, true },
	{ "signed by another domain", "a@remote.example", "other.example",
	    "other.example", ENCRYPTED, NO_SIGNATURE, false },
	{ "signed by the parent domain", "a@sub.remote.example", "remote.example",
	    "remote.example", ENCRYPTED, NO_SIGNATURE, false },
	{ "a key the DNS does not know", "a@none.example", "none.example",
	    "other.example", ENCRYPTED, NO_SIGNATURE, false },
	{ "the key of another", "a@remote.example", "remote.example", "other.example",
	    ENCRYPTED, NO_SIGNATURE, false },
	{ "trouble in the DNS", "a@trouble.example", "trouble.example", "other.example",
	    ENCRYPTED, "451 4.7.5 ", false },
	{ "trouble in the DNS, again", "a@trouble.example", "trouble.example",
	    "other.example", ENCRYPTED, "451 4.7.5 ", false },
	{ "our own domain, from outside", "a@relay.example", NULL, NULL, ENCRYPTED,
	    NO_SIGNATURE, false },
	{ "clear text", "a@remote.example", "remote.example", "remote.example", CLEAR,
	    CLEARTEXT, false },
};

static void incoming(void **state)
{
	const struct incoming_case *c = *state;
	const char *to = new_account();
	const struct mail m = { c->from, to, "x", c->name };
	struct client *smtp = open_port_25(), *inbox = open_inbox(to);
	size_t len;
	char *text = make_mail(c->content, &m, SMALL, &len), *sealed = NULL, *at;
	int code;

	if (c->signer)
		sealed = private_sign(&relay, c->signer, c->key, text, &len);
	at = sealed && c->broken ? strstr(sealed, "PGP MESSAGE-----\r\n\r\n") : NULL;
	if (at) /* in the cipher text */
		at[100] = at[100] == 'A' ? 'B' : 'A';
	code = smtp_send(smtp, c->from, to, sealed ? sealed : text, len);
	assert_begins(client_text(smtp), c->reply);
	if (code == 250)
		assert_true(imap_wait(inbox, 1));
	else
		assert_int_equal(imap_count(inbox), 0);
	free(text);
	free(sealed);
	client_close(smtp);
	client_close(inbox);
}

static void too_many_messages(void **state)
{
	const char *from = new_account(), *to = new_account();
	struct client *smtp = open_submission(from);
	int sent = 0;

	while (sent < 3 * BURST && send_out(smtp, from, to, "burst") == 250)
		sent++;
	assert_in_range(sent, BURST, 3 * BURST - 1);
	assert_begins(client_text(smtp), "450 4.7.1: Too much mail from");
	client_close(smtp);
}

/* --- what arrives --------------------------------------------------------------- */

/* The text behind the header. */
static const char *body_of(const char *message)
{
	const char *blank = strstr(message, "\r\n\r\n");

	assert_non_null(blank);
	return blank + 4;
}

static void nothing_tells_of_the_sender(void **state)
{
	static const char *const telltales[] = { "Received:", "198.51.100.7",
		"127.0.0.1", "localhost", "telltale", "X-Mailer", "User-Agent",
		"X-Originating-IP", "DKIM-Signature", "secret plans" };
	const char *from = new_account(), *to = new_account();
	const struct mail m = { from, to, "secret plans", "privacy" };
	struct client *smtp = open_submission(from), *inbox = open_inbox(to);
	size_t len;
	char *text = mail_encrypted(&m, LARGE, &len), *got;

	assert_int_equal(smtp_send(smtp, from, to, text, len), 250);
	assert_true(imap_wait(inbox, 1));
	got = imap_fetch(inbox, 1);
	assert_non_null(got);
	assert_non_null(strstr(got, "\r\nSubject: [...]\r\n"));
	for (size_t i = 0; i < ARRAY_LEN(telltales); i++) {
		if (strstr(got, telltales[i]))
			fail_msg("the message tells %s", telltales[i]);
	}
	assert_string_equal(body_of(got), body_of(text));
	free(got);
	free(text);
	client_close(smtp);
	client_close(inbox);
}

/* --- two messages in one -------------------------------------------------------- */

static const struct smuggle_case {
	const char *name;
	const char *end; /* not an end of data, though some take it for one */
} smuggle_cases[] = {
	{ "LF dot LF", "\n.\n" },
	{ "LF dot CRLF", "\n.\r\n" },
	{ "CRLF dot LF", "\r\n.\n" },
	{ "CR dot CR", "\r.\r" },
	{ "CRLF dot CR", "\r\n.\r" },
	{ "CRLF dot CR CRLF", "\r\n.\r\r\n" },
	{ "CRLF NUL dot CRLF", "\r\n\0.\r\n" },
};

/* A first message, an end that is none, and a second one as only its inside. */
static void write_two(
    struct client *smtp, const struct smuggle_case *c, const char *from, const char *to)
{
	const struct mail m = { from, to, "x", "outer" };
	size_t end = strncmp(c->name, "CRLF NUL", 8) == 0 ? 6 : strlen(c->end), len;
	char *text = mail_encrypted(&m, SMALL, &len), command[256];

	client_write(smtp, text, len);
	client_write(smtp, c->end, end);
	snprintf(command, sizeof(command), "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n",
	    from, to);
	client_write(smtp, command, strlen(command));
	client_write(smtp, text, len);
	client_write(smtp, ".\r\n", 3);
	free(text);
}

static void begin_data(struct client *smtp, const char *from, const char *to)
{
	assert_int_equal(client_command(smtp, "MAIL FROM:<%s>", from), 250);
	assert_int_equal(client_command(smtp, "RCPT TO:<%s>", to), 250);
	assert_int_equal(client_command(smtp, "DATA"), 354);
}

/* One reply, a refusal: were any of it taken for an end, there would be more. */
static void smuggled(
    struct client *smtp, const struct smuggle_case *c, const char *from, const char *to)
{
	struct client *inbox = open_inbox(to);
	int code;

	begin_data(smtp, from, to);
	write_two(smtp, c, from, to);
	code = client_reply(smtp);
	assert_in_range(code, 500, 599);
	/* The session is over, or knows of no other message. */
	if (client_command(smtp, "DATA") != 0)
		assert_begins(client_text(smtp), "503 ");
	assert_int_equal(imap_count(inbox), 0);
	client_close(inbox);
	client_close(smtp);
}

static void smuggled_to_25(void **state)
{
	smuggled(open_port_25(), *state, "a@remote.example", new_account());
}

static void smuggled_to_465(void **state)
{
	const char *from = new_account();

	smuggled(open_submission(from), *state, from, new_account());
}

static void smuggled_to_587(void **state)
{
	const char *from = new_account();
	struct client *c = smtp_open(relay.submission, CLIENT_PLAIN, from, PASSWORD);

	assert_non_null(c);
	smuggled(c, *state, from, new_account());
}

/* --- parts that are down -------------------------------------------------------- */

static const struct down_case {
	const char *name; /* of the part */
	bool submission;  /* else port 25 */
	const char *reply;
} down_cases[] = {
	{ "sign", true, "451 4." },
	{ "verify", false, "451 4." },
	{ "chatmaild", false, "451 4.3.0 " },
};

/* Mail waits at its sender, and goes through as soon as the part is back. */
static void part_is_down(void **state)
{
	const struct down_case *c = *state;
	const char *from = new_account(), *to = new_account();
	struct client *inbox = open_inbox(to);
	struct client *smtp = c->submission ? open_submission(from) : open_port_25();

	private_part(&relay, "stop", c->name);
	if (c->submission)
		send_out(smtp, from, to, "down");
	else
		send_in(smtp, to, "down");
	assert_begins(client_text(smtp), c->reply);
	client_command(smtp, "RSET");
	private_part(&relay, "start", c->name);
	assert_int_equal(imap_count(inbox), 0);
	assert_int_equal(
	    c->submission ? send_out(smtp, from, to, "up") : send_in(smtp, to, "up"),
	    250);
	assert_true(imap_wait(inbox, 1));
	client_close(smtp);
	client_close(inbox);
}

static void dovecot_is_down(void **state)
{
	const char *to = new_account();
	struct client *smtp = open_port_25(), *inbox;

	private_part(&relay, "stop", "dovecot");
	assert_int_equal(send_in(smtp, to, "waiting"), 250);
	private_part(&relay, "start", "dovecot");
	inbox = open_inbox(to);
	private_flush(&relay);
	assert_true(imap_wait(inbox, 1));
	client_close(smtp);
	client_close(inbox);
}

/* --- the daemon dies ------------------------------------------------------------ */

#define RUN_LENGTH 24

/* Where in a transaction it dies. */
enum stage {
	BEFORE_MAIL,
	AFTER_RCPT,
	IN_DATA,
	BEFORE_DOT,
	AFTER_DOT, /* the reply is on its way, or not */
	NEVER,
	STAGES,
};

static void die_at(enum stage wanted, enum stage now)
{
	if (now == wanted) {
		private_part(&relay, "kill", "chatmaild");
		private_part(&relay, "start", "chatmaild");
	}
}

/* One message, during which the daemon dies. Returns the code of the last reply. */
static int send_dying(
    struct client *c, const char *to, const char *text, size_t len, enum stage stage)
{
	int code;

	die_at(stage, BEFORE_MAIL);
	code = client_command(c, "MAIL FROM:<sender@remote.example>");
	if (code == 250)
		code = client_command(c, "RCPT TO:<%s>", to);
	die_at(stage, AFTER_RCPT);
	if (code == 250)
		code = client_command(c, "DATA");
	if (code != 354)
		return code;
	client_write(c, text, len / 2);
	die_at(stage, IN_DATA);
	client_write(c, text + len / 2, len - len / 2);
	die_at(stage, BEFORE_DOT);
	client_write(c, ".\r\n", 3);
	if (stage == AFTER_DOT)
		client_flush(c);
	die_at(stage, AFTER_DOT);
	return client_reply(c);
}

/* A run of messages from elsewhere; acknowledged[i] tells of message i. */
static unsigned send_run(const char *to, bool acknowledged[RUN_LENGTH])
{
	struct client *smtp = open_port_25();
	unsigned count = 0;

	for (unsigned i = 0; i < RUN_LENGTH; i++) {
		char marker[32];
		const struct mail m = { "sender@remote.example", to, "x", marker };
		size_t len;
		char *text, *sealed;

		snprintf(marker, sizeof(marker), "run-%u-", i);
		text = mail_encrypted(&m, SMALL, &len);
		sealed = private_sign(
		    &relay, "remote.example", "remote.example", text, &len);
		acknowledged[i] =
		    send_dying(smtp, to, sealed, len, (enum stage)(i % STAGES)) == 250;
		count += acknowledged[i];
		free(text);
		free(sealed);
		client_command(smtp, "RSET");
	}
	client_close(smtp);
	return count;
}

/* Which message of the run this is. */
static unsigned run_number(const char *message)
{
	const char *marker = strstr(message, "run-");

	assert_non_null(marker);
	return (unsigned)strtoul(marker + 4, NULL, 10);
}

/* Those of one run that are in the mailbox, each once. */
static void read_run(struct client *inbox, bool arrived[RUN_LENGTH])
{
	for (int n = imap_count(inbox); n > 0; n--) {
		char *message = imap_fetch(inbox, n);
		unsigned i;

		assert_non_null(message);
		i = run_number(message);
		assert_true(i < RUN_LENGTH);
		assert_false(arrived[i]);
		arrived[i] = true;
		free(message);
	}
}

static void no_acknowledged_message_is_lost(void **state)
{
	bool acknowledged[RUN_LENGTH] = { false }, arrived[RUN_LENGTH] = { false };
	const char *to = new_account();
	struct client *inbox = open_inbox(to);
	unsigned count = send_run(to, acknowledged);

	/* At the least those during which it did not die; at the most not those it did
	 * before it had them whole. */
	assert_in_range(count, RUN_LENGTH / STAGES, RUN_LENGTH - RUN_LENGTH / STAGES);
	assert_true(imap_wait(inbox, (int)count));
	read_run(inbox, arrived);
	for (unsigned i = 0; i < RUN_LENGTH; i++) {
		if (acknowledged[i] && !arrived[i])
			fail_msg("message %u was acknowledged and is lost", i);
	}
	client_close(inbox);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(outgoing, outgoing_cases) },
		{ SUPPORT_TABLE(incoming, incoming_cases) },
		{ SUPPORT_TEST(too_many_messages) },
		{ SUPPORT_TEST(nothing_tells_of_the_sender) },
		{ SUPPORT_TABLE(smuggled_to_25, smuggle_cases) },
		{ SUPPORT_TABLE(smuggled_to_465, smuggle_cases) },
		{ SUPPORT_TABLE(smuggled_to_587, smuggle_cases) },
		{ SUPPORT_TABLE(part_is_down, down_cases) },
		{ SUPPORT_TEST(dovecot_is_down) },
		{ SUPPORT_TEST(no_acknowledged_message_is_lost) },
	};
	int failed;

	if (geteuid() != 0 || access("/usr/sbin/postfix", X_OK) < 0) {
		fputs("needs root and the packages of scripts/packages.sh\n", stderr);
		return SKIPPED;
	}
	private_up(&relay, RELAY_OPTIONS);
	failed = support_run("relay", tests, ARRAY_LEN(tests));
	private_down(&relay);
	return failed;
}
