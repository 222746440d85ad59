#include "milter/message.h"

#include <stdio.h>
#include <stdlib.h>

#include "milter/header.h"
#include "test/support.h"

#define TEXT(s)                                                                        \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}
#define FROM "From: a@x.example\r\n"

#define PLAIN_PART "--b\r\nContent-Type: text/plain\r\n\r\nSecure-Join: vc-request\r\n"
#define PGP_CONTROL                                                                    \
	"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
#define PGP_DATA                                                                       \
	"--b\r\nContent-Type: application/octet-stream\r\n\r\n"                        \
	"-----BEGIN PGP MESSAGE-----\r\n\r\n0gQBqrvM\r\n-----END PGP MESSAGE-----\r\n"
#define PGP_BODY  PGP_CONTROL PGP_DATA "\r\n--b--\r\n"
#define ENCRYPTED "Content-Type: multipart/encrypted; boundary=b\r\n"
#define MIXED     "Content-Type: multipart/mixed; boundary=b\r\n"
#define REPORT    "Content-Type: multipart/report; boundary=b\r\n"
#define ASKING    "Secure-Join: vc-request\r\n"
#define DAEMON    "From: MAILER-DAEMON@y.example (Mail Delivery System)\r\n"
#define SETUP     "Subject: Autocrypt Setup Message\r\n"
#define REPLIED   "Auto-Submitted: auto-replied \r\n"

struct expectation {
	enum mail_kind kind;
	enum mail_proof proof; /* at the end */
	const char *reason;    /* of a refutation; NULL: any */
};

struct reader {
	enum mail_direction direction;
	const struct expectation *want;
	const char *broken;
	struct message *m;
	bool classified; /* was, before the last bytes */
	enum mail_kind kind;
	bool refuted;
};

static void mail_begin(void *arg)
{
	struct reader *r = arg;

	r->m = message_create(r->direction);
	r->classified = r->refuted = false;
}

/* An answer once given never changes. */
static void mail_feed(void *arg, const char *bytes, size_t len)
{
	struct reader *r = arg;

	message_feed(r->m, span_make(bytes, len));
	if (r->classified)
		assert_int_equal(message_kind(r->m), r->kind);
	if (r->refuted)
		assert_int_equal(message_proof(r->m), MAIL_PROOF_REFUTED);
	r->classified = message_classified(r->m);
	r->kind = message_kind(r->m);
	r->refuted = message_proof(r->m) == MAIL_PROOF_REFUTED;
	if (!r->classified)
		assert_int_equal(message_proof(r->m), MAIL_PROOF_MORE);
}

static void mail_end(void *arg, const char *cut)
{
	struct reader *r = arg;
	const char *reason;

	message_end(r->m);
	reason = message_reason(r->m);
	assert_true(message_classified(r->m));
	if (r->broken) {
		assert_string_equal(
		    message_broken(r->m) ? message_broken(r->m) : cut, r->broken);
		assert_int_equal(message_proof(r->m), MAIL_PROOF_REFUTED);
	} else {
		assert_null(message_broken(r->m));
		assert_int_equal(message_kind(r->m), r->want->kind);
		if (message_proof(r->m) != r->want->proof)
			fail_msg("%s: %s", cut, reason ? reason : "accepted");
		if (r->want->reason)
			assert_string_equal(reason, r->want->reason);
	}
	message_destroy(r->m);
}

static const struct support_feeder mail_feeder = { mail_begin, mail_feed, mail_end };

static const struct file_case {
	const char *name; /* in test/data, without .eml */
	struct expectation out, in;
} file_cases[] = {
	{ "encrypted_gnupg", { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL },
	    { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL } },
	{ "encrypted_gnupg_partial", { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL },
	    { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL } },
	{ "encrypted_gnupg_password", { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL },
	    { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL } },
	{ "encrypted_gnupg_version",
	    { MAIL_ENCRYPTED, MAIL_PROOF_REFUTED, "packet: no tag" },
	    { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL } },
	{ "encrypted_deltachat", { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL },
	    { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL } },
	{ "encrypted_deltachat_partial", { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL },
	    { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL } },
	{ "encrypted_skesk6", { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL },
	    { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL } },
	{ "literal_packet",
	    { MAIL_ENCRYPTED, MAIL_PROOF_REFUTED,
		"packet: neither session key nor encrypted data" },
	    { MAIL_ENCRYPTED, MAIL_PROOF_REFUTED,
		"packet: neither session key nor encrypted data" } },
	{ "cleartext", { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" },
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "cleartext_armor_words", { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" },
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "securejoin", { MAIL_SECUREJOIN, MAIL_PROOF_PROVEN, NULL },
	    { MAIL_SECUREJOIN, MAIL_PROOF_PROVEN, NULL } },
	{ "receipt", { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" },
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "bounce", { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" },
	    { MAIL_BOUNCE, MAIL_PROOF_PROVEN, NULL } },
	{ "setup_message", { MAIL_SETUP_MESSAGE, MAIL_PROOF_PROVEN, NULL },
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
};

static void file(void **state)
{
	const struct file_case *c = *state;
	char name[64];
	struct support_text mail;
	struct reader r = { .direction = MAIL_OUTGOING, .want = &c->out };

	snprintf(name, sizeof(name), "%s.eml", c->name);
	mail = support_read_data(name);
	support_every_cut(&mail_feeder, &r, mail.data, mail.len);
	r.direction = MAIL_INCOMING;
	r.want = &c->in;
	support_every_cut(&mail_feeder, &r, mail.data, mail.len);
	free(mail.data);
}

static const struct text_case {
	const char *name;
	enum mail_direction direction;
	struct span in;
	struct expectation want;
} text_cases[] = {
	{ "encrypted", MAIL_OUTGOING, TEXT(FROM ENCRYPTED "\r\n" PGP_BODY),
	    { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL } },
	{ "encrypted, other fields do not matter", MAIL_OUTGOING,
	    TEXT(FROM "Subject: Any text\r\nTo: \"hidden-recipients\": ;\r\n"
		      "Autocrypt: addr=a@x.example; keydata=AAAA\r\n"
		      "Content-Transfer-Encoding: 7bit\r\n" ENCRYPTED "\r\n" PGP_BODY),
	    { MAIL_ENCRYPTED, MAIL_PROOF_PROVEN, NULL } },
	{ "encrypted, cut off", MAIL_OUTGOING, TEXT(FROM ENCRYPTED "\r\n" PGP_CONTROL),
	    { MAIL_ENCRYPTED, MAIL_PROOF_REFUTED, "pgp/mime: not two parts" } },
	{ "encrypted, without a body", MAIL_OUTGOING, TEXT(FROM ENCRYPTED),
	    { MAIL_ENCRYPTED, MAIL_PROOF_REFUTED, "pgp/mime: not two parts" } },
	{ "encrypted, without a boundary", MAIL_OUTGOING,
	    TEXT(FROM "Content-Type: multipart/encrypted\r\n\r\n" PGP_BODY),
	    { MAIL_ENCRYPTED, MAIL_PROOF_REFUTED,
		"mime: boundary too short or too long" } },
	{ "encrypted, boundary over 70 bytes", MAIL_OUTGOING,
	    TEXT(
		FROM "Content-Type: multipart/encrypted; boundary=012345678901234567890"
		     "12345678901234567890123456789012345678901234567890\r\n\r\n"),
	    { MAIL_ENCRYPTED, MAIL_PROOF_REFUTED,
		"mime: boundary too short or too long" } },
	{ "encrypted, boundary ends in a blank", MAIL_OUTGOING,
	    TEXT(FROM
		"Content-Type: multipart/encrypted; boundary=\"b \"\r\n\r\n" PGP_BODY),
	    { MAIL_ENCRYPTED, MAIL_PROOF_REFUTED,
		"mime: odd character in the boundary" } },
	{ "encrypted, two types", MAIL_OUTGOING,
	    TEXT(FROM ENCRYPTED "Content-Type: text/plain\r\n\r\n" PGP_BODY),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "mime: two Content-Type fields" } },
	{ "encrypted, the same type twice", MAIL_INCOMING,
	    TEXT(FROM ENCRYPTED ENCRYPTED "\r\n" PGP_BODY),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "mime: two Content-Type fields" } },
	{ "encrypted, two boundaries", MAIL_OUTGOING,
	    TEXT(FROM "Content-Type: multipart/encrypted; boundary=b; boundary=c\r\n"
		      "\r\n" PGP_BODY),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED,
		"mime: Content-Type has no one reading" } },
	{ "encrypted, comment in the type", MAIL_OUTGOING,
	    TEXT(FROM "Content-Type: multipart/encrypted (hi); boundary=b\r\n"
		      "\r\n" PGP_BODY),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED,
		"mime: Content-Type has no one reading" } },
	{ "encrypted, the whole of it encoded", MAIL_OUTGOING,
	    TEXT(FROM ENCRYPTED "Content-Transfer-Encoding: base64\r\n\r\n" PGP_BODY),
	    { MAIL_ENCRYPTED, MAIL_PROOF_REFUTED, "mime: encoded multipart" } },
	{ "encrypted, two encodings", MAIL_OUTGOING,
	    TEXT(FROM ENCRYPTED "Content-Transfer-Encoding: 7bit\r\n"
				"Content-Transfer-Encoding: 7bit\r\n\r\n" PGP_BODY),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED,
		"mime: two Content-Transfer-Encoding fields" } },
	{ "encrypted data as the mail itself", MAIL_OUTGOING,
	    TEXT(FROM "Content-Type: application/octet-stream\r\n\r\n"
		      "-----BEGIN PGP MESSAGE-----\r\n\r\n0gQBqrvM\r\n"
		      "-----END PGP MESSAGE-----\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "encrypted below another multipart", MAIL_OUTGOING,
	    TEXT(FROM
		"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" ENCRYPTED
		"\r\n" PGP_BODY "\r\n--c--\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "no type", MAIL_OUTGOING, TEXT(FROM "\r\nHi!\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "secure-join", MAIL_OUTGOING,
	    TEXT(FROM ASKING MIXED "\r\n" PLAIN_PART "--b--\r\n"),
	    { MAIL_SECUREJOIN, MAIL_PROOF_PROVEN, NULL } },
	{ "secure-join, header and body differ", MAIL_INCOMING,
	    TEXT(
		FROM "Secure-Join: vg-request\r\n" MIXED "\r\n" PLAIN_PART "--b--\r\n"),
	    { MAIL_SECUREJOIN, MAIL_PROOF_PROVEN, NULL } },
	{ "secure-join, any multipart", MAIL_OUTGOING,
	    TEXT(FROM ASKING "Content-Type: multipart/alternative; boundary=b\r\n"
			     "\r\n" PLAIN_PART "--b--\r\n"),
	    { MAIL_SECUREJOIN, MAIL_PROOF_PROVEN, NULL } },
	{ "secure-join, advert", MAIL_OUTGOING,
	    TEXT(FROM ASKING MIXED "\r\n--b\r\n\r\nBuy more!\r\n--b--\r\n"),
	    { MAIL_SECUREJOIN, MAIL_PROOF_REFUTED, "secure-join: other text" } },
	{ "secure-join, no header", MAIL_OUTGOING,
	    TEXT(FROM MIXED "\r\n" PLAIN_PART "--b--\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "secure-join, two headers", MAIL_OUTGOING,
	    TEXT(FROM ASKING ASKING MIXED "\r\n" PLAIN_PART "--b--\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "secure-join, header in upper case", MAIL_OUTGOING,
	    TEXT(
		FROM "Secure-Join: VC-REQUEST\r\n" MIXED "\r\n" PLAIN_PART "--b--\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "secure-join, another step", MAIL_OUTGOING,
	    TEXT(FROM "Secure-Join: vc-auth-required\r\n" MIXED "\r\n" PLAIN_PART
		      "--b--\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "secure-join, no multipart", MAIL_OUTGOING,
	    TEXT(FROM ASKING "\r\nSecure-Join: vc-request\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "bounce", MAIL_INCOMING, TEXT(DAEMON REPLIED REPORT "\r\nany\r\n"),
	    { MAIL_BOUNCE, MAIL_PROOF_PROVEN, NULL } },
	{ "bounce, Auto-Submitted: no", MAIL_INCOMING,
	    TEXT(DAEMON "Auto-Submitted: no\r\n" REPORT "\r\nany\r\n"),
	    { MAIL_BOUNCE, MAIL_PROOF_PROVEN, NULL } },
	{ "bounce, outgoing", MAIL_OUTGOING, TEXT(DAEMON REPLIED REPORT "\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "bounce, empty Auto-Submitted", MAIL_INCOMING,
	    TEXT(DAEMON "Auto-Submitted: \r\n" REPORT "\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "bounce, no Auto-Submitted", MAIL_INCOMING, TEXT(DAEMON REPORT "\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "bounce, another sender", MAIL_INCOMING, TEXT(FROM REPLIED REPORT "\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "bounce, a name like the daemon's", MAIL_INCOMING,
	    TEXT("From: \"mailer-daemon@y\" <a@x.example>\r\n" REPLIED REPORT "\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "bounce, no report", MAIL_INCOMING, TEXT(DAEMON REPLIED MIXED "\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "setup message", MAIL_OUTGOING, TEXT(FROM SETUP MIXED "\r\nany"),
	    { MAIL_SETUP_MESSAGE, MAIL_PROOF_PROVEN, NULL } },
	{ "setup message, encoded subject", MAIL_OUTGOING,
	    TEXT(FROM "Subject: =?utf-8?q?Autocrypt?= Setup\r\n Message\r\n" MIXED
		      "\r\n"),
	    { MAIL_SETUP_MESSAGE, MAIL_PROOF_PROVEN, NULL } },
	{ "setup message, longer subject", MAIL_OUTGOING,
	    TEXT(FROM "Subject: Autocrypt Setup Messages\r\n" MIXED "\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "setup message, subject in lower case", MAIL_OUTGOING,
	    TEXT(FROM "Subject: autocrypt setup message\r\n" MIXED "\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "setup message, two subjects", MAIL_OUTGOING,
	    TEXT(FROM SETUP "Subject: hello\r\n" MIXED "\r\n"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
	{ "setup message, another type", MAIL_OUTGOING, TEXT(FROM SETUP "\r\nany"),
	    { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" } },
};

static void text(void **state)
{
	const struct text_case *c = *state;
	struct reader r = { .direction = c->direction, .want = &c->want };

	support_every_cut(&mail_feeder, &r, c->in.data, c->in.len);
}

static const struct broken_case {
	const char *name;
	struct span in;
} broken_cases[] = {
	{ "empty", TEXT("") },
	{ "a dot", TEXT(".\r\n") },
	{ "blank line first", TEXT("\r\n" FROM "\r\nHi!\r\n") },
	{ "no field", TEXT("Hi!\r\n\r\n") },
	{ "text among the fields", TEXT(FROM "Hi!\r\nTo: b\r\n\r\n") },
	{ "no final line end", TEXT(FROM "To: b") },
	{ "bare LF", TEXT(FROM "To: b\nSubject: x\r\n\r\nHi!\r\n") },
	{ "setup message with bare LF",
	    TEXT("From: a@x\nTo: a@x\nSubject: Autocrypt Setup Message\n"
		 "Content-Type: multipart/mixed; boundary=b\n\n--b\n") },
	{ "bare CR", TEXT(FROM "To: b\rSubject: x\r\n\r\nHi!\r\n") },
	{ "NUL", TEXT(FROM "To: b\0\r\n\r\nHi!\r\n") },
	{ "blank before a colon", TEXT("From : a@x\r\n\r\nHi!\r\n") },
};

static void broken(void **state)
{
	const struct broken_case *c = *state;
	struct reader r = { .broken = "500 Invalid DATA" };
	struct message *m = message_create(MAIL_INCOMING);
	const char *why = NULL;

	support_every_cut(&mail_feeder, &r, c->in.data, c->in.len);

	message_feed(m, c->in);
	message_end(m);
	assert_null(message_from(m, &why));
	assert_string_equal(why, "");
	message_destroy(m);
}

/* A header block of len bytes, blank line included, then a body. */
static char *long_header(size_t len, const char *body)
{
	char *text = malloc(len + strlen(body) + 1);
	size_t at = strlen(FROM);

	memset(text, 'x', len);
	memcpy(text, FROM, at);
	for (; at + 100 < len; at += 70) {
		memcpy(text + at, "A:", 2);
		memcpy(text + at + 68, "\r\n", 2);
	}
	memcpy(text + at, "B:", 2);
	memcpy(text + len - 4, "\r\n\r\n", 4);
	memcpy(text + len, body, strlen(body) + 1);
	return text;
}

static void header_bound(void **state)
{
	struct expectation want = { MAIL_CLEARTEXT, MAIL_PROOF_REFUTED, "cleartext" };
	struct reader r = { .direction = MAIL_INCOMING, .want = &want };
	char *mail = long_header(HEADER_MAX, "Hi!\r\n");

	support_every_cut(&mail_feeder, &r, mail, HEADER_MAX + 5);
	free(mail);

	mail = long_header(HEADER_MAX + 1, "Hi!\r\n");
	r.broken = "552 5.3.4 Header too long";
	support_every_cut(&mail_feeder, &r, mail, HEADER_MAX + 6);
	free(mail);
}

/* The header block is kept until it is stolen; the body never joins it. */
static const struct head_case {
	const char *name;
	struct span mail;
	size_t head; /* bytes of it that are the header block */
} head_cases[] = {
#define HEAD_CASE(name, head, body)                                                    \
	{                                                                              \
		name, TEXT(head body), sizeof(head) - 1                                \
	}
	HEAD_CASE("with a body", FROM ".X: .y\r\n .\r\n\r\n", ".\r\nFrom: b\r\n\r\n"),
	HEAD_CASE("ends at the blank line", FROM "\r\n", ""),
	HEAD_CASE("no blank line", FROM "X: y\r\n", ""),
	HEAD_CASE("encrypted", FROM ENCRYPTED "\r\n", PGP_BODY),
};

struct head_reader {
	const struct head_case *row;
	struct message *m;
	size_t head;
};

static void head_begin(void *arg)
{
	struct head_reader *r = arg;

	r->m = message_create(MAIL_INCOMING);
	r->head = 0;
}

static void head_feed(void *arg, const char *bytes, size_t len)
{
	struct head_reader *r = arg;
	size_t used = message_feed(r->m, span_make(bytes, len));

	r->head += used;
	assert_true(used == len || message_classified(r->m));
	support_assert_span(message_head(r->m), span_make(r->row->mail.data, r->head));
}

static void head_end(void *arg, const char *cut)
{
	struct head_reader *r = arg;

	message_end(r->m);
	assert_int_equal(r->head, r->row->head);
	support_assert_span(message_head(r->m), span_make(r->row->mail.data, r->head));
	free(message_steal_head(r->m));
	assert_int_equal(message_head(r->m).len, 0);
	assert_null(message_steal_head(r->m));
	message_destroy(r->m);
}

static void head(void **state)
{
	static const struct support_feeder feeder = { head_begin, head_feed, head_end };
	struct head_reader r = { .row = *state };

	support_every_cut(&feeder, &r, r.row->mail.data, r.row->mail.len);
}

/* One field without end: refused at the bound, long before it is all there. */
static void endless_header(void **state)
{
	struct message *m = message_create(MAIL_OUTGOING);
	char piece[1000];
	size_t fed = 0;

	memset(piece, 'a', sizeof(piece));
	while (!message_classified(m)) {
		assert_true(fed <= HEADER_MAX);
		message_feed(m, span_make(piece, sizeof(piece)));
		fed += sizeof(piece);
	}
	assert_string_equal(message_broken(m), "552 5.3.4 Header too long");
	message_feed(m, span_make(piece, sizeof(piece)));
	message_end(m);
	assert_string_equal(message_broken(m), "552 5.3.4 Header too long");
	message_destroy(m);
}

/* A refuted mail is so as soon as it is sure, not at its end. */
static void refuted_early(void **state)
{
	struct message *m = message_create(MAIL_OUTGOING);

	message_feed(m, span_of(FROM ENCRYPTED "\r\n"));
	assert_true(message_classified(m));
	assert_int_equal(message_kind(m), MAIL_ENCRYPTED);
	assert_int_equal(message_proof(m), MAIL_PROOF_MORE);
	assert_null(message_reason(m));
	message_feed(m, span_of("Hello\r\n"));
	assert_int_equal(message_proof(m), MAIL_PROOF_REFUTED);
	message_feed(m, span_of(PGP_BODY));
	message_end(m);
	assert_int_equal(message_proof(m), MAIL_PROOF_REFUTED);
	assert_string_equal(message_reason(m), "mime: text before the first boundary");
	message_destroy(m);
}

static void never_fed(void **state)
{
	message_destroy(message_create(MAIL_OUTGOING));
	message_destroy(NULL);
}

static const struct from_case {
	const char *name;
	const char *mail;
	const char *from;
	const char *why;
} from_cases[] = {
	{ "as it came", "From: \"N\" <A@X.Example>\r\n\r\n", "A@X.Example", NULL },
	{ "missing", "To: a@x\r\n\r\n", NULL, "" },
	{ "two", "From: a@x\r\nFrom: b@y\r\n\r\n", NULL, "more than one From field" },
	{ "two in one", "From: <a@x>, <b@y>\r\n\r\n", NULL, "more than one mailbox" },
};

static void from(void **state)
{
	const struct from_case *c = *state;
	struct message *m = message_create(MAIL_INCOMING);
	const char *why = NULL;
	const char *from;

	message_feed(m, span_of(c->mail));
	from = message_from(m, &why);
	if (c->from) {
		assert_string_equal(from, c->from);
		assert_null(why);
	} else {
		assert_null(from);
		assert_string_equal(why, c->why);
	}
	message_destroy(m);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(file, file_cases) },
		{ SUPPORT_TABLE(text, text_cases) },
		{ SUPPORT_TABLE(broken, broken_cases) },
		{ SUPPORT_TEST(header_bound) },
		{ SUPPORT_TABLE(head, head_cases) },
		{ SUPPORT_TEST(endless_header) },
		{ SUPPORT_TEST(refuted_early) },
		{ SUPPORT_TEST(never_fed) },
		{ SUPPORT_TABLE(from, from_cases) },
	};

	return support_run("message", tests, ARRAY_LEN(tests));
}
