/* Tests of a deployed relay: accounts and logins. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "deploy/online.h"

#define CONCURRENT 10 /* logins */

static bool has_word(struct span text, const char *word)
{
	struct span line, found;

	while (text.len > 0 && span_cut(&text, '\n', &line)) {
		while (line.len > 0 && span_cut(&line, ' ', &found)) {
			if (span_is_nocase(found, word))
				return true;
		}
	}
	return false;
}

static enum online_result capabilities(struct online *o)
{
	struct imap_talk talk = { .dial =
				      trial_dial(o->trial, 0, 993, DIAL_FROM_START) };
	struct text said = { 0 };
	enum online_result result = ONLINE_PASSED;

	if (!imap_talk_begin(&talk) || !imap_talk_command(&talk, &said, "CAPABILITY"))
		result = online_fail(o, "CAPABILITY: %s",
		    dial_error(talk.dial) ? dial_error(talk.dial) : talk.result);
	else if (!has_word(text_span(&said), "XCHATMAIL") ||
		 !has_word(text_span(&said), "XDELTAPUSH"))
		result =
		    online_fail(o, "there is only %.*s", SPAN_ARG(text_span(&said)));
	text_free(&said);
	dial_close(talk.dial);
	return result;
}

static bool logs_in_by_imap(struct online *o, const struct trial_guest *guest)
{
	return trial_login(o->trial, 0, TRIAL_IMAP, guest, o->why);
}

static bool logs_in_by_smtp(struct online *o, const struct trial_guest *guest)
{
	return trial_login(o->trial, 0, TRIAL_SMTP, guest, o->why);
}

static enum online_result imap_creates(struct online *o)
{
	struct trial_guest guest;

	trial_invent(o->trial, 0, &guest);
	return logs_in_by_imap(o, &guest) && logs_in_by_smtp(o, &guest) ? ONLINE_PASSED
									: ONLINE_FAILED;
}

static enum online_result smtp_creates(struct online *o)
{
	struct trial_guest guest;

	trial_invent(o->trial, 0, &guest);
	return logs_in_by_smtp(o, &guest) && logs_in_by_imap(o, &guest) ? ONLINE_PASSED
									: ONLINE_FAILED;
}

/* Neither by IMAP nor by SMTP, and for no other reason. */
static enum online_result is_refused(struct online *o, const struct trial_guest *guest)
{
	if (logs_in_by_imap(o, guest) || logs_in_by_smtp(o, guest))
		return online_fail(o, "a login is accepted");
	/* Both were tried; the last one told why. */
	if (!strstr(o->why, ": 535 "))
		return ONLINE_FAILED;
	logs_in_by_imap(o, guest);
	return strstr(o->why, "[AUTHENTICATIONFAILED]") ? ONLINE_PASSED : ONLINE_FAILED;
}

static enum online_result wrong_password(struct online *o)
{
	struct trial_guest guest;

	trial_invent(o->trial, 0, &guest);
	if (!logs_in_by_imap(o, &guest))
		return ONLINE_FAILED;
	guest.password[0] = guest.password[0] == 'a' ? 'b' : 'a';
	return is_refused(o, &guest);
}

static enum online_result short_password(struct online *o)
{
	struct trial_guest guest;

	if (o->config->password_min_length <= 1)
		return online_skip(o, "password_min_length = %d: none is too short",
		    o->config->password_min_length);
	trial_invent(o->trial, 0, &guest);
	guest.password[o->config->password_min_length - 1] = '\0';
	return is_refused(o, &guest);
}

static enum online_result same_password(struct online *o)
{
	struct trial_guest one, other;

	trial_invent(o->trial, 0, &one);
	trial_invent(o->trial, 0, &other);
	memcpy(other.password, one.password, sizeof(other.password));
	return logs_in_by_imap(o, &one) && logs_in_by_imap(o, &other) ? ONLINE_PASSED
								      : ONLINE_FAILED;
}

/* One of those who come at once. */
struct login {
	const struct trial *trial;
	const struct trial_guest *guest;
	enum trial_door door;
	bool good;
	char why[TRIAL_ERROR_MAX];
};

static void *log_in(void *arg)
{
	struct login *l = arg;

	l->good = trial_login(l->trial, 0, l->door, l->guest, l->why);
	return NULL;
}

/* As clients do, which try IMAP and SMTP at the same time: one account, and all are in. */
static enum online_result concurrent(struct online *o)
{
	struct login login[CONCURRENT];
	enum online_result result = ONLINE_PASSED;
	pthread_t thread[CONCURRENT];
	struct trial_guest guest;
	size_t n = 0;

	trial_invent(o->trial, 0, &guest);
	for (; n < CONCURRENT; n++) {
		login[n] = (struct login){
			.trial = o->trial,
			.guest = &guest,
			.door = n % 2 == 0 ? TRIAL_IMAP : TRIAL_SMTP,
		};
		if (pthread_create(&thread[n], NULL, log_in, &login[n]) != 0)
			break;
	}
	for (size_t i = 0; i < n; i++) {
		pthread_join(thread[i], NULL);
		if (!login[i].good)
			result = online_fail(
			    o, "login %zu of %zu: %s", i + 1, n, login[i].why);
	}
	if (n < CONCURRENT)
		result = online_fail(o, "this machine has no more threads");
	return result;
}

static enum online_result web_account(struct online *o)
{
	struct trial_guest guest;

	return trial_take_account(o->trial, 0, &guest, o->why) &&
		       logs_in_by_imap(o, &guest)
		   ? ONLINE_PASSED
		   : ONLINE_FAILED;
}

/* Of two devices, RFC 5464 sections 4.2 and 4.3. */
static enum online_result device_tokens(struct online *o)
{
	enum online_result result = ONLINE_FAILED;
	struct text said = { 0 };
	struct trial_guest guest;
	struct imap_talk talk;

	trial_invent(o->trial, 0, &guest);
	if (!online_inbox(o, 0, &guest, &talk))
		goto out;
	if (imap_talk_command(
		&talk, NULL, "SETMETADATA INBOX (/private/devicetoken \"1111\")") &&
	    imap_talk_command(
		&talk, NULL, "SETMETADATA INBOX (/private/devicetoken \"2222\")") &&
	    imap_talk_command(&talk, &said, "GETMETADATA INBOX (/private/devicetoken)"))
		result =
		    memmem(said.data, said.len, "1111 2222", 9)
			? ONLINE_PASSED
			: online_fail(o, "kept are: %.*s", SPAN_ARG(text_span(&said)));
	else
		online_fail(o, "%s",
		    dial_error(talk.dial) ? dial_error(talk.dial) : talk.result);
out:
	text_free(&said);
	dial_close(talk.dial);
	return result;
}

const struct online_test online_login_tests[] = {
	{ "capabilities", "IMAP tells of XCHATMAIL and XDELTAPUSH before a login",
	    capabilities, false },
	{ "imap_creates", "the first login by IMAP makes the account", imap_creates,
	    false },
	{ "smtp_creates", "the first login by SMTP makes the account", smtp_creates,
	    false },
	{ "wrong_password", "a wrong password is refused", wrong_password, false },
	{ "short_password", "a password that is too short makes no account",
	    short_password, false },
	{ "same_password", "two accounts may have the same password", same_password,
	    false },
	{ "concurrent", "10 first logins at the same time are all accepted", concurrent,
	    false },
	{ "web_account", "POST /new gives an account", web_account, false },
	{ "device_tokens", "the tokens of several devices are kept", device_tokens,
	    false },
	{ 0 },
};
