#include "deploy/doctor_mail.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "deploy/doctor_calls.h"
#include "deploy/doctor_dkim.h"
#include "deploy/imap_talk.h"
#include "deploy/mail.h"
#include "deploy/quote.h"
#include "deploy/smtp_talk.h"

#define NAME_LENGTH     9     /* as those that /new makes */
#define NAME_PREFIX     "ci-" /* of automatic tests */
#define PASSWORD_LENGTH 24
#define DELETED_SECONDS 120 /* after the account was made, if we cannot */

#define OPEN_MS    8000 /* to get in */
#define STEP_MS    8000 /* for an answer */
#define ARRIVE_MS  8000
#define RETURN_MS  8000
#define SLOW_MS    3000 /* of a round trip */
#define MAIL_BYTES 2000

/* A domain that there is never: RFC 6761 section 6.4. */
#define NOBODY "doctor@nobody.invalid"

static bool random_text(char *text, size_t len)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char bytes[64];

	if (len >= sizeof(bytes) || RAND_bytes(bytes, (int)len) != 1)
		return false;
	for (size_t i = 0; i < len; i++)
		text[i] = letters[bytes[i] % 32];
	text[len] = '\0';
	return true;
}

static int clamp(int n, int min, int max)
{
	return n < min ? min : n > max ? max : n;
}

bool doctor_account_init(struct doctor_account *a, const struct config *c)
{
	int length = clamp(NAME_LENGTH, c->username_min_length, c->username_max_length);
	int secret = clamp(PASSWORD_LENGTH, c->password_min_length, 63);
	const char *prefix = length > 6 ? NAME_PREFIX : "";
	char name[64], unit[17];

	if (length > 63 || secret < c->password_min_length ||
	    !random_text(name, (size_t)length - strlen(prefix)) ||
	    !random_text(a->password, (size_t)secret) || !random_text(unit, 16))
		return false;
	snprintf(
	    a->address, sizeof(a->address), "%s%s@%s", prefix, name, c->mail_domain);
	snprintf(a->timer, sizeof(a->timer), "cmdeploy-doctor-%s", unit);
	snprintf(a->script, sizeof(a->script), "/run/%s.sh", a->timer);
	return true;
}

/* Its mail goes first, for what is in the queue would come back. Ends with the condition
 * that the account is gone. */
static void add_delete(struct text *t, const struct doctor_account *a)
{
	quote_command(t,
	    "address=%s\n"
	    "postqueue -j 2>/dev/null | grep -F \"\\\"$address\\\"\" |\n"
	    "	sed -n 's/.*\"queue_id\": \"\\([A-Za-z0-9]*\\)\".*/\\1/p' |\n"
	    "	postsuper -d - 2>/dev/null || :\n"
	    "chatmailctl --yes -- users delete \"$address\"",
	    a->address);
}

char *doctor_guard_script(const struct doctor_account *a, bool made)
{
	struct text t = { 0 }, later = { 0 };

	add_delete(&later, a);
	quote_command(&later, " || :\nrm -f %s\n", a->script);
	/* Not as an argument: a transient unit is not read back as it was given. */
	quote_command(&t,
	    "# an account that goes by itself\n"
	    "printf %%s %s >%s\n"
	    "systemd-run -q --collect --on-active=%u --unit=%s sh %s\n",
	    later.data, a->script, (unsigned)DELETED_SECONDS, a->timer, a->script);
	if (made)
		quote_command(&t, "chatmailctl --password-stdin -- users create %s\n",
		    a->address);
	text_free(&later);
	return text_take(&t);
}

char *doctor_delete_script(const struct doctor_account *a)
{
	struct text t = { 0 };

	text_add(&t, "# the account goes\n");
	add_delete(&t, a);
	/* Else it may come yet: a daemon that is down finds the login when it starts. */
	quote_command(&t,
	    " || exit 0\nsystemctl stop %s.timer 2>/dev/null || :\nrm -f %s\n",
	    a->timer, a->script);
	return text_take(&t);
}

/* A run of the probes of mail. */
struct trial {
	struct doctor *doctor;
	const struct doctor_mail *m;
	struct imap_talk imap;
	struct text sent; /* the last mail */
};

static struct dial *dial_door(const struct trial *t, uint16_t port, enum dial_tls tls)
{
	const char *address = doors_address(t->m->doors, port);
	const struct dial_target target = {
		.host = address ? address : t->m->config->mail_domain_bare,
		.port = port,
		.tls = tls,
		.name = t->m->config->mail_domain_bare,
		.any_certificate = true, /* it is judged elsewhere */
	};

	return dial_open(&target, OPEN_MS);
}

/* What was said in the end, by the server or of the connection. */
static const char *said(const struct dial *dial, const char *answer)
{
	return dial_error(dial) ? dial_error(dial) : *answer ? answer : "nothing";
}

/* The same for SMTP, whose answers are no strings: the first line. */
static void say_reply(const struct smtp_talk *smtp, char answer[DIAL_ERROR_MAX])
{
	struct span rest = span_make(smtp->reply.text, smtp->reply.len), line;

	if (dial_error(smtp->dial) || !span_cut(&rest, '\n', &line))
		line = span_of(said(smtp->dial, ""));
	snprintf(answer, DIAL_ERROR_MAX, "%.*s", SPAN_ARG(line));
}

/* METADATA of the server, RFC 5464: the value of an entry; false if there is none. */
static bool metadata(struct imap_talk *imap, const char *entry, struct text *value)
{
	struct text answer = { 0 };
	const char *start, *end;
	bool found = false;

	if (imap_talk_command(imap, &answer, "GETMETADATA \"\" %s", entry) &&
	    answer.data && (start = strstr(answer.data, entry))) {
		start += strlen(entry);
		start += strspn(start, " ");
		if (*start == '"' && (end = strchr(start + 1, '"'))) {
			text_add_span(
			    value, span_make(start + 1, (size_t)(end - start - 1)));
			found = true;
		} else if (*start == '{' && (start = strchr(start, '\n'))) {
			size_t len = strcspn(start + 1, ")\n");

			text_add_span(value, span_make(start + 1, len));
			found = len > 0;
		}
	}
	text_free(&answer);
	return found;
}

static void try_metadata(struct trial *t)
{
	const struct config *c = t->m->config;
	struct text turn = { 0 };

	dial_allow(t->imap.dial, STEP_MS);
	if (metadata(&t->imap, "/shared/vendor/deltachat/turn", &turn)) {
		doctor_note(t->doctor, DOCTOR_SOUND, "mail metadata", NULL,
		    "clients are told of a TURN server");
		doctor_try_turn(
		    t->doctor, text_span(&turn), doors_address(t->m->doors, 993));
	} else if (*c->turn_secret || *c->turn_socket_path) {
		doctor_note(t->doctor, DOCTOR_TROUBLE, "mail metadata",
		    "see journalctl -u chatmaild -u turnserver",
		    "clients are told of no TURN server, so calls fail: %s",
		    said(t->imap.dial, t->imap.result));
	}
	text_free(&turn);
}

static bool log_in(struct trial *t)
{
	const struct doctor_account *a = t->m->account;
	int64_t began = dial_now_ms();

	t->imap.dial = dial_door(t, 993, DIAL_FROM_START);
	if (imap_talk_begin(&t->imap) &&
	    imap_talk_login(&t->imap, a->address, a->password) &&
	    imap_talk_command(&t->imap, NULL, "SELECT INBOX")) {
		doctor_note(t->doctor, DOCTOR_SOUND, "mail login", NULL,
		    "an account was made by its first login in %" PRId64 " ms",
		    dial_now_ms() - began);
		return true;
	}
	doctor_note(t->doctor, DOCTOR_TROUBLE, "mail login",
	    "see journalctl -u dovecot -u chatmaild",
	    "an account cannot be made by a first login: %s",
	    said(t->imap.dial, t->imap.result));
	return false;
}

static char *make_mail(
    const struct trial *t, const char *to, bool encrypted, size_t *len)
{
	char marker[17];
	const struct mail mail = {
		.from = t->m->account->address,
		.to = to,
		.subject = "[...]",
		.marker = marker,
	};

	if (!random_text(marker, 16))
		abort();
	return encrypted ? mail_encrypted(&mail, MAIL_BYTES, len)
			 : mail_clear(&mail, len);
}

/* Log in at a port of submission and send one: the code of the first refusal, or of the end. */
static unsigned submit(struct trial *t, uint16_t port, const char *to, bool encrypted,
    char answer[DIAL_ERROR_MAX])
{
	const struct doctor_account *a = t->m->account;
	bool starttls = port == 587;
	struct smtp_talk smtp = {
		.dial = dial_door(t, port, starttls ? DIAL_PLAIN : DIAL_FROM_START),
	};
	unsigned code = smtp_talk_begin(&smtp, "doctor.invalid", starttls);
	size_t len;
	char *mail;

	if (code == 250) {
		dial_allow(smtp.dial, STEP_MS);
		code = smtp_talk_login(&smtp, a->address, a->password);
	}
	if (code == 235) {
		mail = make_mail(t, to, encrypted, &len);
		code = smtp_talk_send(&smtp, a->address, to, span_make(mail, len));
		text_free(&t->sent);
		text_add_span(&t->sent, span_make(mail, len));
		free(mail);
	}
	say_reply(&smtp, answer);
	dial_close(smtp.dial);
	return code;
}

/* Idle until another message is there, at most so long; false if none came. */
static bool await_mail(struct trial *t, uint32_t before, unsigned ms)
{
	bool came;

	dial_allow(t->imap.dial, ms + STEP_MS);
	if (!imap_talk_idle(&t->imap))
		return false;
	came = imap_talk_wait(&t->imap, before, ms);
	return imap_talk_idle_end(&t->imap) && came;
}

/* An encrypted message to oneself, there and back; false if it does not come. */
static bool try_round_trip(struct trial *t)
{
	char answer[DIAL_ERROR_MAX];
	int64_t began = dial_now_ms(), ms;
	uint32_t before = t->imap.exists;
	unsigned code = submit(t, 465, t->m->account->address, true, answer);

	if (code != 250) {
		doctor_note(t->doctor, DOCTOR_TROUBLE, "mail send",
		    "see cmdeploy logs postfix and journalctl -u chatmaild",
		    "an encrypted message is not taken: %u %s", code, answer);
		return false;
	}
	doctor_note(t->doctor, DOCTOR_SOUND, "mail send", NULL, "is taken");
	if (!await_mail(t, before, ARRIVE_MS)) {
		doctor_note(t->doctor, DOCTOR_TROUBLE, "mail arrive",
		    "cmdeploy queue tells where it waits",
		    "a message to oneself does not arrive in %d s", ARRIVE_MS / 1000);
		return false;
	}
	ms = dial_now_ms() - began;
	doctor_note(t->doctor, ms > SLOW_MS ? DOCTOR_WARNING : DOCTOR_SOUND,
	    "mail arrive", ms > SLOW_MS ? "see the load by cmdeploy status" : NULL,
	    "a message to oneself takes %" PRId64 " ms with its logins", ms);
	return true;
}

static void try_cleartext(struct trial *t)
{
	char answer[DIAL_ERROR_MAX];
	unsigned code = submit(t, 587, t->m->account->address, false, answer);

	if (code == 523)
		doctor_note(t->doctor, DOCTOR_SOUND, "mail cleartext", NULL,
		    "is refused by 523");
	else if (code == 250)
		doctor_note(t->doctor, DOCTOR_TROUBLE, "mail cleartext",
		    "cmdeploy run, for master.cf does not lead through the filter",
		    "mail in clear text is taken");
	else
		doctor_note(t->doctor, DOCTOR_TROUBLE, "mail cleartext",
		    "see cmdeploy logs postfix and journalctl -u chatmaild",
		    "mail in clear text is not refused as it should be: %u %s", code,
		    answer);
}

/*
 * The mail as it would have left: its header as it was returned, and the body, which nobody
 * may change on the way. False if the report does not have it.
 */
static bool put_together(struct trial *t, struct span report, struct text *mail)
{
	const char *body = t->sent.len > 0 ? strstr(t->sent.data, "\r\n\r\n") : NULL;
	struct span header;

	if (!body || !doctor_returned(report, &header))
		return false;
	text_add_span(mail, header);
	text_add(mail, body + strlen("\r\n"));
	return true;
}

static void judge_signature(struct trial *t, struct span mail)
{
	const struct config *c = t->m->config;
	char why[DOCTOR_WHY_MAX];

	switch (doctor_verify(mail, c->mail_domain_bare, t->m->dkim_record, why)) {
	case SIGNATURE_GOOD:
		doctor_note(t->doctor, DOCTOR_SOUND, "mail dkim", NULL,
		    "a mail was signed, and the key in the DNS verifies it");
		break;
	case SIGNATURE_NONE:
		doctor_note(t->doctor, DOCTOR_TROUBLE, "mail dkim",
		    "see journalctl -u chatmail-opendkim@sign",
		    "mail leaves without a signature");
		break;
	case SIGNATURE_BAD:
		doctor_note(t->doctor, DOCTOR_TROUBLE, "mail dkim",
		    "cmdeploy dns shows the record for the key that the server has; "
		    "set "
		    "it",
		    "the key in the DNS does not verify a mail that was signed here: "
		    "%s",
		    why);
		break;
	case SIGNATURE_UNKNOWN:
		doctor_note(t->doctor, DOCTOR_UNTRIED, "mail dkim", NULL,
		    "could not be verified on this machine");
		break;
	}
}

/* A mail to nobody comes back as it would have left. */
static void try_signature(struct trial *t)
{
	char answer[DIAL_ERROR_MAX];
	struct text report = { 0 }, mail = { 0 };
	uint32_t before = t->imap.exists;
	unsigned code = submit(t, 465, NOBODY, true, answer);

	if (code == 250 && await_mail(t, before, RETURN_MS) &&
	    imap_talk_fetch(&t->imap, t->imap.exists, &report) &&
	    put_together(t, text_span(&report), &mail))
		judge_signature(t, text_span(&mail));
	else if (code == 250)
		doctor_note(t->doctor, DOCTOR_WARNING, "mail dkim",
		    "cmdeploy queue and cmdeploy logs postfix tell more",
		    "a mail to a domain that there is not does not come back as it "
		    "should, so its signature was not seen");
	else
		doctor_note(t->doctor, DOCTOR_TROUBLE, "mail dkim",
		    "see cmdeploy logs postfix", "mail to others is not taken: %u %s",
		    code, answer);
	text_free(&report);
	text_free(&mail);
}

void doctor_try_mail(struct doctor *d, const struct doctor_mail *m)
{
	struct trial t = { .doctor = d, .m = m };

	if (log_in(&t)) {
		try_metadata(&t);
		if (try_round_trip(&t)) {
			if (m->signs && m->dkim_record)
				try_signature(&t);
		}
		try_cleartext(&t);
	}
	dial_close(t.imap.dial);
	text_free(&t.sent);
}
