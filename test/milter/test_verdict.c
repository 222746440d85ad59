#include "milter/verdict.h"

#include <stdlib.h>

#include "test/support.h"

#define ENCRYPTED_TYPE "Content-Type: multipart/encrypted; boundary=b\r\n"
#define ENCRYPTED_BODY                                                                 \
	"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"         \
	"--b\r\nContent-Type: application/octet-stream\r\n\r\n"                        \
	"-----BEGIN PGP MESSAGE-----\r\n\r\n0gQBqrvM\r\n"                              \
	"-----END PGP MESSAGE-----\r\n--b--\r\n"
#define ENCRYPTED ENCRYPTED_TYPE "\r\n" ENCRYPTED_BODY
#define FAKE      ENCRYPTED_TYPE "\r\nHi!\r\n"
#define HANDSHAKE                                                                      \
	"Secure-Join: vc-request\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" \
	"--b\r\n\r\nSecure-Join: vc-request\r\n--b--\r\n"
#define ADVERT                                                                         \
	"Secure-Join: vc-request\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" \
	"--b\r\n\r\nBuy more!\r\n--b--\r\n"
#define PLAIN "Content-Type: text/plain\r\n\r\nHi!\r\n"
#define SETUP                                                                          \
	"Subject: Autocrypt Setup Message\r\n"                                         \
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define RECEIPT                                                                        \
	"Auto-Submitted: auto-replied\r\nContent-Type: multipart/report; "             \
	"report-type=disposition-notification; boundary=b\r\n\r\n--b\r\n\r\n"
#define BOUNCE                                                                         \
	"Auto-Submitted: auto-replied \r\n"                                            \
	"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\n"
#define REFUSED "523 Encryption Needed: Invalid Unencrypted Mail"

static const char *const nobody[] = { NULL };

struct want {
	enum verdict_action action;
	enum verdict_reason reason;
	const char *reply; /* of a refusal */
	bool null_sender;
};

static void judge(enum mail_direction direction, const char *mail_from,
    const char *const *rcpt_to, bool enforced, const struct verdict_policy *policy,
    const char *mail, const struct want *want)
{
	struct span rcpts[4];
	struct envelope e = { .direction = direction,
		.mail_from = span_of(mail_from),
		.rcpt_to = rcpts,
		.enforced = enforced };
	struct message *m = message_create(direction);
	struct verdict v;

	for (; *rcpt_to; rcpt_to++)
		rcpts[e.nrcpt++] = span_of(*rcpt_to);
	message_feed(m, span_of(mail));
	message_end(m);
	verdict_decide(&v, &e, m, policy);
	assert_int_equal(v.action, want->action);
	assert_int_equal(v.reason, want->reason);
	assert_string_equal(v.reply, want->reply ? want->reply : "");
	assert_int_equal(v.null_sender, want->null_sender);
	message_destroy(m);
}

#define IS_ENCRYPTED                                                                   \
	{                                                                              \
		VERDICT_PASS, VERDICT_IS_ENCRYPTED, NULL, false                        \
	}
#define IS_ALLOWED                                                                     \
	{                                                                              \
		VERDICT_PASS, VERDICT_IS_ALLOWED, NULL, false                          \
	}
#define IS_BOUNCE                                                                      \
	{                                                                              \
		VERDICT_PASS, VERDICT_IS_BOUNCE, NULL, false                           \
	}
#define IS_CLEAR                                                                       \
	{                                                                              \
		VERDICT_REFUSE, VERDICT_NOT_ENCRYPTED, REFUSED, false                  \
	}
#define IS_BROKEN                                                                      \
	{                                                                              \
		VERDICT_REFUSE, VERDICT_BROKEN, "500 Invalid DATA", false              \
	}
#define WRONG_FROM(reply)                                                              \
	{                                                                              \
		VERDICT_REFUSE, VERDICT_WRONG_FROM, "500 Invalid FROM " reply, false   \
	}
#define NO_FROM(why)                                                                   \
	{                                                                              \
		VERDICT_REFUSE, VERDICT_NO_FROM, "500 Invalid FROM header: " why,      \
		    false                                                              \
	}

static const struct out_case {
	const char *name;
	const char *mail_from;
	const char *rcpt_to[4];
	const char *senders[2], *recipients[3]; /* that may pass */
	const char *mail;
	struct want want;
} out_cases[] = {
	{ "encrypted", "a@x", { "b@y" }, { 0 }, { 0 }, "From: a@x\r\n" ENCRYPTED,
	    IS_ENCRYPTED },
	{ "encrypted, any subject", "a@x", { "b@y" }, { 0 }, { 0 },
	    "From: a@x\r\nSubject: Weekend plans\r\n" ENCRYPTED, IS_ENCRYPTED },
	{ "encrypted, many recipients", "a@x", { "b@y", "c@z", "d@x" }, { 0 }, { 0 },
	    "From: a@x\r\n" ENCRYPTED, IS_ENCRYPTED },
	{ "letter case of the sender", "a@X.Example", { "b@y" }, { 0 }, { 0 },
	    "From: A@x.exAMPLE\r\n" ENCRYPTED, IS_ENCRYPTED },
	{ "another local From", "a@x", { "b@y" }, { 0 }, { 0 },
	    "From: c@x\r\n" ENCRYPTED, WRONG_FROM("<c@x> for <a@x>") },
	{ "another foreign From", "a@x", { "b@y" }, { 0 }, { 0 },
	    "From: C@z.example\r\n" ENCRYPTED, WRONG_FROM("<C@z.example> for <a@x>") },
	{ "another From, handshake", "a@x", { "b@y" }, { 0 }, { 0 },
	    "From: c@x\r\n" HANDSHAKE, WRONG_FROM("<c@x> for <a@x>") },
	{ "another From, sender may pass", "a@x", { "b@y" }, { "a@x" }, { 0 },
	    "From: c@x\r\n" PLAIN, WRONG_FROM("<c@x> for <a@x>") },
	{ "another From, recipient may pass", "a@x", { "b@y" }, { 0 }, { "b@y" },
	    "From: c@x\r\n" PLAIN, WRONG_FROM("<c@x> for <a@x>") },
	{ "another From, setup message", "a@x", { "c@x" }, { 0 }, { 0 },
	    "From: c@x\r\n" SETUP, WRONG_FROM("<c@x> for <a@x>") },
	{ "bounce of a user", "", { "b@y" }, { 0 }, { 0 },
	    "From: MAILER-DAEMON@x\r\n" BOUNCE,
	    WRONG_FROM("<MAILER-DAEMON@x> for <>") },
	{ "no From", "a@x", { "b@y" }, { 0 }, { 0 }, "To: b@y\r\n" ENCRYPTED,
	    NO_FROM("") },
	{ "empty From", "a@x", { "b@y" }, { 0 }, { 0 }, "From:\r\n" ENCRYPTED,
	    NO_FROM("") },
	{ "two From fields", "a@x", { "b@y" }, { 0 }, { 0 },
	    "From: a@x\r\nFrom: c@y\r\n" ENCRYPTED,
	    NO_FROM("more than one From field") },
	{ "two mailboxes", "a@x", { "b@y" }, { 0 }, { 0 },
	    "From: <a@x>, <c@y>\r\n" ENCRYPTED, NO_FROM("more than one mailbox") },
	{ "group", "a@x", { "b@y" }, { 0 }, { 0 }, "From: g: a@x;\r\n" ENCRYPTED,
	    NO_FROM("not one mailbox") },
	{ "handshake", "a@x", { "b@y" }, { 0 }, { 0 }, "From: a@x\r\n" HANDSHAKE,
	    IS_ENCRYPTED },
	{ "handshake, advert", "a@x", { "b@y" }, { 0 }, { 0 }, "From: a@x\r\n" ADVERT,
	    IS_CLEAR },
	{ "cleartext", "a@x", { "b@y" }, { 0 }, { 0 }, "From: a@x\r\n" PLAIN,
	    IS_CLEAR },
	{ "cleartext to a local user", "a@x", { "b@x" }, { 0 }, { 0 },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "fake", "a@x", { "b@y" }, { 0 }, { 0 }, "From: a@x\r\n" FAKE, IS_CLEAR },
	{ "receipt", "a@x", { "b@y" }, { 0 }, { 0 }, "From: a@x\r\n" RECEIPT,
	    IS_CLEAR },
	{ "sender may pass", "a@x", { "b@y" }, { "a@x" }, { 0 }, "From: a@x\r\n" PLAIN,
	    IS_ALLOWED },
	{ "sender may pass, fake", "a@x", { "b@y" }, { "a@x" }, { 0 },
	    "From: a@x\r\n" FAKE, IS_ALLOWED },
	{ "another sender may pass", "a@x", { "b@y" }, { "c@x" }, { 0 },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "a domain is no sender", "a@x", { "b@y" }, { "@x" }, { 0 },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "setup message", "a@x", { "a@x" }, { 0 }, { 0 }, "From: a@x\r\n" SETUP,
	    IS_ALLOWED },
	{ "setup message, letter case", "a@x", { "A@X" }, { 0 }, { 0 },
	    "From: a@x\r\n" SETUP, IS_ALLOWED },
	{ "setup message to another", "a@x", { "b@x" }, { 0 }, { 0 },
	    "From: a@x\r\n" SETUP, IS_CLEAR },
	{ "setup message to oneself and another", "a@x", { "a@x", "b@x" }, { 0 }, { 0 },
	    "From: a@x\r\n" SETUP, IS_CLEAR },
	{ "setup message, twice to oneself", "a@x", { "a@x", "a@x" }, { 0 }, { 0 },
	    "From: a@x\r\n" SETUP, IS_CLEAR },
	{ "recipient may pass", "a@x", { "b@y" }, { 0 }, { "b@y" },
	    "From: a@x\r\n" PLAIN, IS_ALLOWED },
	{ "recipient may pass, second item", "a@x", { "b@y" }, { 0 }, { "c@y", "B@Y" },
	    "From: a@x\r\n" PLAIN, IS_ALLOWED },
	{ "one of two recipients may pass", "a@x", { "b@y", "c@y" }, { 0 }, { "b@y" },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "domain may pass", "a@x", { "privacy@x.y.z" }, { 0 }, { "@x.y.z" },
	    "From: a@x\r\n" PLAIN, IS_ALLOWED },
	{ "domain may pass, another is there", "a@x",
	    { "privacy@x.y.z", "something@x.y" }, { 0 }, { "@x.y.z" },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "subdomain does not pass", "a@x", { "a@s.x.y.z" }, { 0 }, { "@x.y.z" },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "a route by % does not pass", "a@x", { "b%y@x" }, { 0 }, { "@x" },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "a route by ! does not pass", "a@x", { "y!b@x" }, { 0 }, { "@x" },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "a quoted route does not pass", "a@x", { "\"b@y\"@x" }, { 0 }, { "@x" },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "a route by @ does not pass", "a@x", { "b@y@x" }, { 0 }, { "@x" },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "a comment does not pass", "a@x", { "b(y)@x" }, { 0 }, { "@x" },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "longer domain does not pass", "a@x", { "a@x.y" }, { 0 }, { "@x.y.z" },
	    "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "nobody to pass", "a@x", { 0 }, { 0 }, { "@x" }, "From: a@x\r\n" PLAIN,
	    IS_CLEAR },
	{ "no header block", "a@x", { "b@y" }, { "a@x" }, { 0 }, "Hi!\r\n", IS_BROKEN },
	{ "control bytes of the envelope", "\x1b\r\n\x7f\xc3@x", { "b@y" }, { 0 },
	    { 0 }, "From: a@x\r\n" PLAIN, WRONG_FROM("<a@x> for <?????@x>") },
};

static void out(void **state)
{
	const struct out_case *c = *state;
	struct verdict_policy policy = { c->senders, c->recipients };

	judge(
	    MAIL_OUTGOING, c->mail_from, c->rcpt_to, false, &policy, c->mail, &c->want);
	/* The flag is for incoming mail. */
	judge(
	    MAIL_OUTGOING, c->mail_from, c->rcpt_to, true, &policy, c->mail, &c->want);
}

static const struct in_case {
	const char *name;
	const char *mail_from;
	bool enforced;
	const char *mail;
	struct want want;
} in_cases[] = {
	{ "encrypted", "a@x", true, "From: a@x\r\n" ENCRYPTED, IS_ENCRYPTED },
	{ "encrypted, not enforced", "a@x", false, "From: a@x\r\n" ENCRYPTED,
	    IS_ENCRYPTED },
	{ "handshake", "a@x", true, "From: a@x\r\n" HANDSHAKE, IS_ENCRYPTED },
	{ "letter case of the sender", "A@X", true, "From: a@x\r\n" ENCRYPTED,
	    IS_ENCRYPTED },
	{ "another From", "SRS1=x@fwd.example", true, "From: a@x\r\n" ENCRYPTED,
	    { VERDICT_PASS, VERDICT_IS_ENCRYPTED, NULL, true } },
	{ "another From, cleartext", "list@y", false, "From: a@x\r\n" PLAIN,
	    { VERDICT_PASS, VERDICT_IS_ALLOWED, NULL, true } },
	{ "null sender", "", true, "From: a@x\r\n" ENCRYPTED, IS_ENCRYPTED },
	{ "cleartext", "a@x", true, "From: a@x\r\n" PLAIN, IS_CLEAR },
	{ "cleartext, not enforced", "a@x", false, "From: a@x\r\n" PLAIN, IS_ALLOWED },
	{ "fake", "a@x", true, "From: a@x\r\n" FAKE, IS_CLEAR },
	{ "fake, not enforced", "a@x", false, "From: a@x\r\n" FAKE, IS_ALLOWED },
	{ "advert", "a@x", true, "From: a@x\r\n" ADVERT, IS_CLEAR },
	{ "bounce", "", true, "From: MAILER-DAEMON@y\r\n" BOUNCE, IS_BOUNCE },
	{ "bounce, with a sender", "mailer-daemon@Y", true,
	    "From: MAILER-DAEMON@y\r\n" BOUNCE, IS_BOUNCE },
	{ "receipt", "a@x", true, "From: a@x\r\n" RECEIPT, IS_CLEAR },
	{ "setup message is for outgoing only", "a@x", true, "From: a@x\r\n" SETUP,
	    IS_CLEAR },
	{ "no From", "a@x", false, "To: b@y\r\n" ENCRYPTED, NO_FROM("") },
	{ "two From fields", "a@x", false, "From: a@x\r\nFrom: a@x\r\n" PLAIN,
	    NO_FROM("more than one From field") },
	{ "no header block", "a@x", false, "Hi!\r\n", IS_BROKEN },
};

static void in(void **state)
{
	static const char *const passing[] = { "a@x", "b@y", NULL };
	static const char *const rcpt_to[] = { "b@y", NULL };
	static const struct verdict_policy policy = { passing, passing };
	const struct in_case *c = *state;
	struct want want = c->want;

	/* The lists are for outgoing mail. A refusal says nothing of the sender. */
	if (want.action == VERDICT_REFUSE)
		want.null_sender = false;
	judge(
	    MAIL_INCOMING, c->mail_from, rcpt_to, c->enforced, &policy, c->mail, &want);
}

/* What can be told before the body is there. */
static const struct early_case {
	const char *name;
	enum mail_direction direction;
	bool enforced;
	const char *head;
	enum verdict_action action;
} early_cases[] = {
	{ "nothing known", MAIL_INCOMING, false, "From: a@x\r\n", VERDICT_WAIT },
	{ "claims to be encrypted", MAIL_OUTGOING, false,
	    "From: a@x\r\n" ENCRYPTED_TYPE "\r\n", VERDICT_WAIT },
	{ "claims, and nobody would mind", MAIL_INCOMING, false,
	    "From: a@x\r\n" ENCRYPTED_TYPE "\r\n", VERDICT_WAIT },
	{ "claims, with another From", MAIL_OUTGOING, false,
	    "From: c@x\r\n" ENCRYPTED_TYPE "\r\n", VERDICT_REFUSE },
	{ "cleartext", MAIL_OUTGOING, false, "From: a@x\r\n\r\n", VERDICT_REFUSE },
	{ "incoming cleartext", MAIL_INCOMING, false, "From: a@x\r\n\r\n",
	    VERDICT_PASS },
	{ "incoming cleartext, enforced", MAIL_INCOMING, true, "From: a@x\r\n\r\n",
	    VERDICT_REFUSE },
	{ "refuted", MAIL_OUTGOING, false, "From: a@x\r\n" FAKE, VERDICT_REFUSE },
	{ "all there but the end", MAIL_OUTGOING, false, "From: a@x\r\n" ENCRYPTED,
	    VERDICT_WAIT },
	{ "incoming bounce", MAIL_INCOMING, true, "From: mailer-daemon@y\r\n" BOUNCE,
	    VERDICT_PASS },
};

static void early(void **state)
{
	const struct early_case *c = *state;
	static const struct verdict_policy policy = { nobody, nobody };
	struct span rcpt = span_of("b@y");
	struct envelope e = { .direction = c->direction,
		.mail_from = span_of("a@x"),
		.rcpt_to = &rcpt,
		.nrcpt = 1,
		.enforced = c->enforced };
	struct message *m = message_create(c->direction);
	struct verdict v;

	message_feed(m, span_of(c->head));
	verdict_decide(&v, &e, m, &policy);
	assert_int_equal(v.action, c->action);
	message_destroy(m);
}

static void no_lists(void **state)
{
	static const char *const rcpt_to[] = { "b@y", NULL };
	static const struct verdict_policy policy = { NULL, NULL };
	static const struct want want = IS_CLEAR;

	judge(MAIL_OUTGOING, "a@x", rcpt_to, false, &policy, "From: a@x\r\n" PLAIN,
	    &want);
}

static void header_too_long(void **state)
{
	static const struct verdict_policy policy = { nobody, nobody };
	struct envelope e = { .direction = MAIL_INCOMING };
	struct message *m = message_create(MAIL_INCOMING);
	struct verdict v;

	while (!message_classified(m))
		message_feed(m, span_of("Received: once more\r\n"));
	verdict_decide(&v, &e, m, &policy);
	assert_int_equal(v.action, VERDICT_REFUSE);
	assert_int_equal(v.reason, VERDICT_BROKEN);
	assert_string_equal(v.reply, "552 5.3.4 Header too long");
	message_destroy(m);
}

/* Addresses as long as they come do not overflow the reply. */
static void long_addresses(void **state)
{
	static const struct verdict_policy policy = { nobody, nobody };
	char mail[2100], sender[2000];
	struct span rcpt = span_of("b@y");
	struct envelope e = { .rcpt_to = &rcpt, .nrcpt = 1 };
	struct message *m = message_create(MAIL_OUTGOING);
	struct verdict v;

	memset(sender, 's', sizeof(sender));
	e.mail_from = span_make(sender, sizeof(sender));
	memset(mail, 'f', sizeof(mail));
	memcpy(mail, "From: a@", 8);
	memcpy(mail + 1900, "\r\n\r\n", 4);
	message_feed(m, span_make(mail, 1904));
	verdict_decide(&v, &e, m, &policy);
	assert_int_equal(v.reason, VERDICT_WRONG_FROM);
	assert_true(strlen(v.reply) < 700);
	assert_memory_equal(v.reply, "500 Invalid FROM <a@ff", 22);
	message_destroy(m);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(out, out_cases) },
		{ SUPPORT_TABLE(in, in_cases) },
		{ SUPPORT_TABLE(early, early_cases) },
		{ SUPPORT_TEST(no_lists) },
		{ SUPPORT_TEST(header_too_long) },
		{ SUPPORT_TEST(long_addresses) },
	};

	return support_run("verdict", tests, ARRAY_LEN(tests));
}
