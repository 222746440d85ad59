/*
 * The whole relay from outside: a real Postfix, Dovecot and two OpenDKIMs around the
 * daemon, spoken to as clients and other servers do. What each part must do by itself is
 * tested elsewhere; here is what only all of them together can show.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/mail.h"
#include "test/relay/steps.h"
#include "test/support.h"

#define CLEARTEXT    "523 Encryption Needed: Invalid Unencrypted Mail"
#define NO_SIGNATURE "554 5.7.1 No valid DKIM signature found"
#define LARGE        (1024 * 1024) /* bytes of cipher text, streamed */
#define BURST        10

/* More domains than ours: two with keys in the DNS, one the DNS has trouble with. */
#define RELAY_OPTIONS                                                                  \
	"--remote remote.example --remote other.example --refuse trouble.example "     \
	"--ini 'max_user_send_burst_size = 10'"

static struct private_relay relay;

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
	const char *login = new_account(&relay), *to = new_account(&relay),
		   *other = new_address();
	const struct mail m = { c->forged_from ? other : login, to, "x", c->name };
	struct client *smtp = open_submission(&relay, login),
		      *inbox = open_inbox(&relay, to);
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
	{ "a relay without a name has no key", "a@[192.0.2.7]", NULL, NULL, ENCRYPTED,
	    "250 ", false },
	{ "but clear text is clear text", "a@[192.0.2.7]", NULL, NULL, CLEAR, CLEARTEXT,
	    false },
};

static void incoming(void **state)
{
	const struct incoming_case *c = *state;
	const char *to = new_account(&relay);
	const struct mail m = { c->from, to, "x", c->name };
	struct client *smtp = open_port_25(&relay), *inbox = open_inbox(&relay, to);
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

/*
 * Spellings of one mailbox that Postfix reads, or may read, as routes to it: clear text
 * gets to it by none of them.
 */
static const struct route_case {
	const char *name;
	const char *to; /* "NAME" stands for the mailbox's name */
} route_cases[] = {
	{ "plain", "NAME@relay.example" },
	{ "in capitals", "NAME@RELAY.EXAMPLE" },
	{ "detail", "NAME+x@relay.example" },
	{ "quoted", "\"NAME\"@relay.example" },
	{ "quoted detail", "\"NAME+x\"@relay.example" },
	{ "escaped", "\"\\NAME\"@relay.example" },
	{ "no domain", "NAME" },
	{ "dot behind the domain", "NAME@relay.example." },
	{ "percent", "NAME%relay.example@relay.example" },
	{ "percent, no @", "NAME%relay.example" },
	{ "bang", "relay.example!NAME@relay.example" },
	{ "bang, no @", "relay.example!NAME" },
	{ "quoted bang", "\"relay.example!NAME\"@relay.example" },
	{ "quoted address", "\"NAME@relay.example\"@relay.example" },
	{ "quoted address, no domain", "\"NAME@relay.example\"" },
	{ "two @", "NAME@relay.example@relay.example" },
	{ "source route", "@relay.example,@b.example:NAME@relay.example" },
	{ "address literal", "NAME@[127.0.0.1]" },
	{ "comment before", "(x)NAME@relay.example" },
	{ "comment behind", "NAME(x)@relay.example" },
	{ "comment in the domain", "NAME@(x)relay.example" },
};

static void routes(void **state)
{
	const struct route_case *c = *state;
	const char *alice = new_account(&relay), *from = "a@remote.example";
	const struct mail m = { from, alice, "x", c->name };
	struct client *smtp = open_port_25(&relay), *inbox = open_inbox(&relay, alice);
	size_t len;
	char *text = mail_clear(&m, &len), *at, to[256];
	char *sealed =
	    private_sign(&relay, "remote.example", "remote.example", text, &len);

	at = strstr(c->to, "NAME");
	snprintf(to, sizeof(to), "%.*s%.*s%s", (int)(at - c->to), c->to,
	    (int)strcspn(alice, "@"), alice, at + strlen("NAME"));
	assert_in_range(smtp_send(smtp, from, to, sealed, len), 500, 599);
	assert_int_equal(imap_count(inbox), 0);
	free(text);
	free(sealed);
	client_close(smtp);
	client_close(inbox);
}

/* Dovecot's LMTP has no SMTPUTF8, and needs none for a header. */
static void header_beyond_ascii(void **state)
{
	const char *from = new_account(&relay), *to = new_account(&relay);
	char named[96];
	const struct mail out = { named, to, "\xc3\xa4", "out" };
	const struct mail in = { "\xc3\xa4 <a@remote.example>", to, "\xe4\xff", "in" };
	struct client *submission = open_submission(&relay, from);
	struct client *smtp = open_port_25(&relay), *inbox = open_inbox(&relay, to);
	size_t out_len, in_len;
	char *text, *plain, *sealed;

	snprintf(named, sizeof(named), "\xc3\xa4 <%s>", from);
	text = mail_encrypted(&out, SMALL, &out_len);
	plain = mail_encrypted(&in, SMALL, &in_len);
	sealed =
	    private_sign(&relay, "remote.example", "remote.example", plain, &in_len);
	assert_int_equal(smtp_send(submission, from, to, text, out_len), 250);
	assert_int_equal(smtp_send(smtp, "a@remote.example", to, sealed, in_len), 250);
	assert_true(imap_wait(inbox, 2));
	free(text);
	free(plain);
	free(sealed);
	client_close(submission);
	client_close(smtp);
	client_close(inbox);
}

/* Those of others that forwarders put in front do not matter. */
static void the_last_of_many_signatures(void **state)
{
	static const char foreign[] =
	    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=other.example;"
	    " s=test; h=from; bh=AAAA; b=AAAA\r\n";
	const char *to = new_account(&relay), *from = "a@remote.example";
	const struct mail m = { from, to, "x", "signatures" };
	struct client *smtp = open_port_25(&relay), *inbox = open_inbox(&relay, to);
	size_t len, all_len;
	char *text = mail_encrypted(&m, SMALL, &len), *all;
	char *sealed =
	    private_sign(&relay, "remote.example", "remote.example", text, &len);
	FILE *out = open_memstream(&all, &all_len);

	for (int i = 0; i < 8; i++)
		fputs(foreign, out);
	fwrite(sealed, 1, len, out);
	fclose(out);
	assert_int_equal(smtp_send(smtp, from, to, all, all_len), 250);
	assert_true(imap_wait(inbox, 1));
	free(text);
	free(sealed);
	free(all);
	client_close(smtp);
	client_close(inbox);
}

static void too_many_messages(void **state)
{
	const char *from = new_account(&relay), *to = new_account(&relay);
	struct client *smtp = open_submission(&relay, from);
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
	const char *from = new_account(&relay), *to = new_account(&relay);
	const struct mail m = { from, to, "secret plans", "privacy" };
	struct client *smtp = open_submission(&relay, from),
		      *inbox = open_inbox(&relay, to);
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

/* Small, and with what a client needs to find its message (RFC 3464). */
static void unknown_recipient_bounces(void **state)
{
	const char *from = new_account(&relay), *nobody = new_address();
	struct client *smtp = open_submission(&relay, from);
	struct client *inbox = open_inbox(&relay, from);
	char *got;

	assert_int_equal(send_out(smtp, from, nobody, "bouncing"), 250);
	assert_true(imap_wait(inbox, 1));
	got = imap_fetch(inbox, 1);
	assert_non_null(got);
	assert_non_null(strstr(got, "report-type=delivery-status"));
	assert_non_null(strstr(got, "\r\nAction: failed\r\n"));
	assert_non_null(strstr(got, "User doesn't exist"));
	assert_non_null(strstr(got, "\r\nMessage-ID: <bouncing@"));
	assert_null(strstr(got, "BEGIN PGP MESSAGE"));
	free(got);
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
	struct client *inbox = open_inbox(&relay, to);
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
	smuggled(open_port_25(&relay), *state, "a@remote.example", new_account(&relay));
}

static void smuggled_to_465(void **state)
{
	const char *from = new_account(&relay);

	smuggled(open_submission(&relay, from), *state, from, new_account(&relay));
}

static void smuggled_to_587(void **state)
{
	const char *from = new_account(&relay);
	struct client *c = smtp_open(relay.submission, CLIENT_PLAIN, from, PASSWORD);

	assert_non_null(c);
	smuggled(c, *state, from, new_account(&relay));
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(outgoing, outgoing_cases) },
		{ SUPPORT_TABLE(incoming, incoming_cases) },
		{ SUPPORT_TABLE(routes, route_cases) },
		{ SUPPORT_TEST(header_beyond_ascii) },
		{ SUPPORT_TEST(the_last_of_many_signatures) },
		{ SUPPORT_TEST(too_many_messages) },
		{ SUPPORT_TEST(nothing_tells_of_the_sender) },
		{ SUPPORT_TEST(unknown_recipient_bounces) },
		{ SUPPORT_TABLE(smuggled_to_25, smuggle_cases) },
		{ SUPPORT_TABLE(smuggled_to_465, smuggle_cases) },
		{ SUPPORT_TABLE(smuggled_to_587, smuggle_cases) },
	};
	int failed;

	if (!private_possible())
		return PRIVATE_SKIPPED;
	private_up(&relay, RELAY_OPTIONS);
	failed = support_run("relay", tests, ARRAY_LEN(tests));
	private_down(&relay);
	return failed;
}
