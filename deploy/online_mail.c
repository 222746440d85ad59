/* Tests of a deployed relay: what it takes, refuses and delivers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/mail.h"
#include "deploy/online.h"

#define BYTES     2000 /* of what looks encrypted */
#define SUBJECT   "secret plans"
#define CLEARTEXT "Encryption Needed: Invalid Unencrypted Mail"
#define STRANGER  "somebody@" TRIAL_HELO
#define BURST_MORE                                                                     \
	65 /* messages over the burst; those that a slow line lets trickle through */

/* A message out of a submission: what differs from the honest one. */
struct submission {
	const char *mail_from, *header_from; /* NULL: the guest's */
	bool clear;
};

static void make_pair(struct online *o, struct trial_guest pair[2])
{
	trial_invent(o->trial, 0, &pair[0]);
	trial_invent(o->trial, 0, &pair[1]);
}

/* Written out, free()d by the caller. */
static char *write_mail(const char *from, const char *to, bool clear, size_t *len)
{
	const struct mail m = { from, to, SUBJECT, "cmdeploy-test" };

	return clear ? mail_clear(&m, len) : mail_encrypted(&m, BYTES, len);
}

/* The code of the reply, which is in talk; 0 with the reason if there is none. */
static unsigned submit(struct online *o, size_t relay, const struct trial_guest *from,
    const char *to, const struct submission *s, struct smtp_talk *talk)
{
	size_t len;
	char *text;
	unsigned code = 0;

	if (trial_smtp(o->trial, relay, from, talk, o->why)) {
		text = write_mail(s->header_from ? s->header_from : from->address, to,
		    s->clear, &len);
		code = smtp_talk_send(talk, s->mail_from ? s->mail_from : from->address,
		    to, span_make(text, len));
		free(text);
		if (code == 0)
			online_fail(o, "sending: %s", dial_error(talk->dial));
	}
	return code;
}

/* Is the reply of that code, and has it that text? */
static enum online_result expect(struct online *o, const struct smtp_talk *talk,
    unsigned code, unsigned wanted, const char *text)
{
	if (code == 0)
		return ONLINE_FAILED; /* and it was said why */
	if (code == wanted && (!text || strstr(talk->reply.text, text)))
		return ONLINE_PASSED;
	return online_fail(
	    o, "the answer is %u %s, not %u", code, talk->reply.text, wanted);
}

/* A guest sends to another, or tries: the answer must be this one. */
static enum online_result expect_submission(
    struct online *o, const struct submission *s, unsigned code, const char *text)
{
	struct trial_guest pair[2];
	struct smtp_talk talk;
	enum online_result result;

	make_pair(o, pair);
	result = expect(
	    o, &talk, submit(o, 0, &pair[0], pair[1].address, s, &talk), code, text);
	dial_close(talk.dial);
	return result;
}

static enum online_result forged_from(struct online *o)
{
	struct trial_guest victim;

	trial_invent(o->trial, 0, &victim);
	return expect_submission(
	    o, &(struct submission){ .header_from = victim.address }, 500, NULL);
}

static enum online_result forged_envelope(struct online *o)
{
	struct trial_guest victim;

	trial_invent(o->trial, 0, &victim);
	return expect_submission(
	    o, &(struct submission){ .mail_from = victim.address }, 553, NULL);
}

static enum online_result clear_out(struct online *o)
{
	return expect_submission(
	    o, &(struct submission){ .clear = true }, 523, CLEARTEXT);
}

/* As another server. False and a result if it cannot be reached. */
static bool dial_25(
    struct online *o, struct smtp_talk *talk, enum online_result *result)
{
	unsigned code;

	*talk = (struct smtp_talk){ .dial = trial_dial(o->trial, 0, 25, DIAL_PLAIN) };
	switch (dial_failure(talk->dial)) {
	case DIAL_FINE:
		break;
	case DIAL_SILENT:
	case DIAL_NO_ROUTE:
		*result = online_skip(o,
		    "port 25 cannot be reached from here, as is usual at home: %s",
		    dial_error(talk->dial));
		return false;
	default:
		*result = online_fail(o, "port 25: %s", dial_error(talk->dial));
		return false;
	}
	code = smtp_talk_begin(talk, TRIAL_HELO, true);
	if (code == 250)
		return true;
	*result = code ? online_fail(o, "port 25: %u %s", code, talk->reply.text)
		       : online_fail(o, "port 25: %s", dial_error(talk->dial));
	return false;
}

/* Somebody sends to a guest from elsewhere, without any signature. */
static enum online_result expect_incoming(
    struct online *o, bool clear, unsigned code, const char *text)
{
	struct trial_guest guest;
	enum online_result result = ONLINE_FAILED;
	struct imap_talk inbox;
	struct smtp_talk talk = { 0 };
	size_t len;
	char *mail;

	trial_invent(o->trial, 0, &guest);
	if (trial_imap(o->trial, 0, &guest, &inbox, o->why) &&
	    dial_25(o, &talk, &result)) {
		mail = write_mail(STRANGER, guest.address, clear, &len);
		result = expect(o, &talk,
		    smtp_talk_send(
			&talk, STRANGER, guest.address, span_make(mail, len)),
		    code, text);
		free(mail);
	}
	dial_close(talk.dial);
	dial_close(inbox.dial);
	return result;
}

static enum online_result clear_in(struct online *o)
{
	return expect_incoming(o, true, 523, CLEARTEXT);
}

static enum online_result unsigned_in(struct online *o)
{
	return expect_incoming(o, false, 554, "5.7.1");
}

/* Whoever asks does not learn who is there: 252, or that the command is not for him. */
static enum online_result vrfy(struct online *o)
{
	struct trial_guest there, nowhere;
	enum online_result result = ONLINE_FAILED;
	struct imap_talk inbox;
	struct smtp_talk talk = { 0 };
	unsigned one, other;

	trial_invent(o->trial, 0, &there);
	trial_invent(o->trial, 0, &nowhere);
	if (trial_imap(o->trial, 0, &there, &inbox, o->why) &&
	    dial_25(o, &talk, &result)) {
		one = smtp_talk_command(&talk, "VRFY %s", there.address);
		other = smtp_talk_command(&talk, "VRFY %s", nowhere.address);
		if (one == other && (one == 252 || one == 502))
			result = ONLINE_PASSED;
		else
			result = online_fail(
			    o, "%u for who is there, %u for others", one, other);
	}
	dial_close(talk.dial);
	dial_close(inbox.dial);
	return result;
}

/* From a guest of one relay to one of another: what arrives. sent: what was submitted. */
static bool deliver(
    struct online *o, size_t from, size_t to, struct text *sent, struct text *got)
{
	static const struct submission honest = { 0 };
	struct trial_guest alice, bob;
	struct smtp_talk talk = { 0 };
	struct imap_talk inbox;
	bool good = false;
	size_t len;
	char *text;

	trial_invent(o->trial, from, &alice);
	trial_invent(o->trial, to, &bob);
	if (online_inbox(o, to, &bob, &inbox)) {
		unsigned code = submit(o, from, &alice, bob.address, &honest, &talk);

		good = expect(o, &talk, code, 250, NULL) == ONLINE_PASSED &&
		       online_receive(o, &inbox, got);
	}
	text = write_mail(alice.address, bob.address, false, &len);
	text_add_span(sent, span_make(text, len));
	free(text);
	dial_close(talk.dial);
	dial_close(inbox.dial);
	return good;
}

/* What is behind the header. */
static struct span body_of(const struct text *message)
{
	const char *blank =
	    message->len ? memmem(message->data, message->len, "\r\n\r\n", 4) : NULL;
	size_t at = blank ? (size_t)(blank - message->data) : message->len;

	return span_skip(text_span(message), at);
}

static enum online_result arrives(struct online *o, size_t from, size_t to)
{
	struct text sent = { 0 }, got = { 0 };
	enum online_result result = ONLINE_FAILED;

	if (deliver(o, from, to, &sent, &got))
		result = span_equal(body_of(&sent), body_of(&got))
			     ? ONLINE_PASSED
			     : online_fail(o, "the body differs from what was sent");
	text_free(&sent);
	text_free(&got);
	return result;
}

static enum online_result round_trip(struct online *o)
{
	return arrives(o, 0, 0);
}

static enum online_result to_second(struct online *o)
{
	return arrives(o, 0, 1);
}

static enum online_result from_second(struct online *o)
{
	return arrives(o, 1, 0);
}

static struct span header_of(const struct text *message)
{
	return span_make(text_span(message).data, message->len - body_of(message).len);
}

static bool has(struct span s, const char *what)
{
	return s.len > 0 && memmem(s.data, s.len, what, strlen(what));
}

static enum online_result subject(struct online *o)
{
	struct text sent = { 0 }, got = { 0 };
	enum online_result result = ONLINE_FAILED;

	if (deliver(o, 0, 0, &sent, &got)) {
		if (has(header_of(&got), SUBJECT))
			result = online_fail(o, "the subject arrived as it was sent");
		else if (!has(header_of(&got), "\r\nSubject: [...]\r\n"))
			result = online_fail(o, "there is no subject [...]");
		else
			result = ONLINE_PASSED;
	}
	text_free(&sent);
	text_free(&got);
	return result;
}

/* None of these may be in a header that arrives. */
static enum online_result lacks(
    struct online *o, const char *const telltales[], size_t n)
{
	struct text sent = { 0 }, got = { 0 };
	enum online_result result = ONLINE_FAILED;

	if (deliver(o, 0, 0, &sent, &got)) {
		result = ONLINE_PASSED;
		for (size_t i = 0; i < n; i++) {
			if (has(header_of(&got), telltales[i]))
				result =
				    online_fail(o, "what arrives has %s", telltales[i]);
		}
	}
	text_free(&sent);
	text_free(&got);
	return result;
}

static enum online_result client_hidden(struct online *o)
{
	static const char *const telltales[] = { "Received:", MAIL_ADDRESS, MAIL_CLIENT,
		"X-Originating-IP" };

	return lacks(o, telltales, sizeof(telltales) / sizeof(telltales[0]));
}

static enum online_result signatures_stripped(struct online *o)
{
	static const char *const telltales[] = { "DKIM-Signature",
		"Authentication-Results" };

	return lacks(o, telltales, sizeof(telltales) / sizeof(telltales[0]));
}

/* More than a user may send at once, in one session. */
static enum online_result rate_limit(struct online *o)
{
	int most = o->config->max_user_send_burst_size + BURST_MORE;
	struct trial_guest pair[2];
	struct smtp_talk talk;
	enum online_result result = ONLINE_FAILED;
	unsigned code = 250;
	int sent = 0;
	size_t len;
	char *text;

	make_pair(o, pair);
	text = write_mail(pair[0].address, pair[1].address, false, &len);
	if (trial_smtp(o->trial, 0, &pair[0], &talk, o->why)) {
		while (code == 250 && sent < most && !trial_interrupted(o->trial)) {
			dial_allow(talk.dial, TRIAL_TIMEOUT_MS);
			code = smtp_talk_send(&talk, pair[0].address, pair[1].address,
			    span_make(text, len));
			sent += code == 250;
		}
		if (code == 250)
			result = online_fail(o, "all %d messages are taken", sent);
		else if (code == 0)
			result = online_fail(o, "%s", dial_error(talk.dial));
		else if (sent < o->config->max_user_send_burst_size)
			result = online_fail(o, "only %d messages are taken: %u %s",
			    sent, code, talk.reply.text);
		else
			result = expect(o, &talk, code, 450, "4.7.1");
	}
	free(text);
	dial_close(talk.dial);
	return result;
}

/* A guest writes to nobody at a relay, and is told so. */
static enum online_result bounced(struct online *o, size_t relay)
{
	static const struct submission honest = { 0 };
	struct trial_guest guest, nobody;
	struct smtp_talk talk = { 0 };
	enum online_result result = ONLINE_FAILED;
	struct text got = { 0 };
	struct imap_talk inbox;

	trial_invent(o->trial, 0, &guest);
	trial_invent(o->trial, relay, &nobody);
	if (online_inbox(o, 0, &guest, &inbox)) {
		unsigned code = submit(o, 0, &guest, nobody.address, &honest, &talk);

		if (expect(o, &talk, code, 250, NULL) == ONLINE_PASSED &&
		    online_receive(o, &inbox, &got))
			result =
			    has(text_span(&got), "report-type=delivery-status") &&
				    has(text_span(&got), "\r\nAction: failed\r\n")
				? ONLINE_PASSED
				: online_fail(o, "what came is no delivery report");
	}
	text_free(&got);
	dial_close(talk.dial);
	dial_close(inbox.dial);
	return result;
}

static enum online_result bounce(struct online *o)
{
	return bounced(o, 0);
}

static enum online_result bounce_of_second(struct online *o)
{
	return bounced(o, 1);
}

/*
 * Where it arrives, the signature is taken off; so OpenDKIM is asked whether it signed the
 * report, whose queue id Postfix tells. The times are of the server's clock.
 */
static enum online_result bounce_signed(struct online *o)
{
	struct text since = { 0 }, script = { 0 }, said = { 0 };
	enum online_result result = ONLINE_FAILED;

	if (o->config->mail_domain[0] == '[')
		return online_skip(o, "a relay without a name signs nothing");
	if (!online_ask(o, "date +%s", &since) || bounced(o, 0) != ONLINE_PASSED)
		goto out;
	text_printf(&script,
	    "journalctl --sync || :\n"
	    "since=@%.*s\n"
	    "journalctl -q -o cat --since $since -t postfix/bounce |\n"
	    "	sed -n 's/.*sender non-delivery notification: //p' |\n"
	    "	while read -r id; do\n"
	    "		journalctl -q -o cat --since $since -t opendkim |\n"
	    "			grep -F \"$id: DKIM-Signature field added\" || :\n"
	    "	done\n",
	    (int)since.len - 1, since.data);
	if (online_ask(o, script.data, &said))
		result = said.len > 0 ? ONLINE_PASSED
				      : online_fail(o, "OpenDKIM signed no report");
out:
	text_free(&since);
	text_free(&script);
	text_free(&said);
	return result;
}

const struct online_test online_mail_tests[] = {
	{ "round_trip", "an encrypted message arrives as it was sent", round_trip,
	    false },
	{ "subject", "the subject is replaced", subject, false },
	{ "client_hidden", "neither address nor program of the sender is told",
	    client_hidden, false },
	{ "signatures_stripped", "what arrives has no signatures of servers",
	    signatures_stripped, false },
	{ "clear_out", "clear text is not taken from users", clear_out, false },
	{ "clear_in", "clear text is not taken from other servers", clear_in, false },
	{ "unsigned_in", "mail without a valid signature is not taken", unsigned_in,
	    false },
	{ "forged_from", "no user writes in another's name", forged_from, false },
	{ "forged_envelope", "nor with another's envelope", forged_envelope, false },
	{ "vrfy", "nobody learns by VRFY who has an account", vrfy, false },
	{ "rate_limit", "who sends too much is held back", rate_limit, false },
	{ "bounce", "the sender is told of an address that is not there", bounce,
	    false },
	{ "bounce_signed", "such reports are signed", bounce_signed, false },
	{ "to_second", "messages arrive at the second relay", to_second, true },
	{ "from_second", "and from there", from_second, true },
	{ "bounce_of_second", "so does what is said of an unknown address there",
	    bounce_of_second, true },
	{ 0 },
};
