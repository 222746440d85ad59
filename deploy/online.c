/* What the tests of a deployed relay share. */
#include "deploy/online.h"

#include <stdarg.h>
#include <stdio.h>

#define DELIVERY_MS 60000

enum online_result online_fail(struct online *o, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(o->why, sizeof(o->why), format, ap);
	va_end(ap);
	return ONLINE_FAILED;
}

enum online_result online_skip(struct online *o, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(o->why, sizeof(o->why), format, ap);
	va_end(ap);
	return ONLINE_SKIPPED;
}

bool online_ask(struct online *o, const char *script, struct text *out)
{
	struct host_reply reply = { 0 };
	char error[HOST_ERROR_MAX];
	bool good;

	if (!o->host)
		o->host =
		    host_open(trial_relay(o->trial, 0)->ssh_host, o->verbose, error);
	good = o->host &&
	       host_run(o->host, script, span_of(""), NULL, NULL, &reply, error);
	if (!good)
		online_fail(o, "%s", error);
	else if (reply.status != 0)
		online_fail(o, "the server answers with %d: %.*s", reply.status,
		    SPAN_ARG(text_span(&reply.err)));
	else
		text_add_span(out, text_span(&reply.out));
	good = good && reply.status == 0;
	host_reply_free(&reply);
	return good;
}

static bool imap_failed(
    struct online *o, const struct imap_talk *talk, const char *what)
{
	const char *error = dial_error(talk->dial);

	online_fail(o, "%s: %s", what, error ? error : talk->result);
	return false;
}

bool online_inbox(struct online *o, size_t relay, const struct trial_guest *guest,
    struct imap_talk *talk)
{
	return trial_imap(o->trial, relay, guest, talk, o->why) &&
	       (imap_talk_command(talk, NULL, "SELECT INBOX") ||
		   imap_failed(o, talk, "SELECT INBOX"));
}

bool online_receive(struct online *o, struct imap_talk *talk, struct text *message)
{
	uint32_t before = talk->exists;
	bool came;

	if (!imap_talk_idle(talk))
		return imap_failed(o, talk, "IDLE");
	came = imap_talk_wait(talk, before, DELIVERY_MS);
	if (!came && !dial_error(talk->dial))
		return online_fail(o, "no message came within %d seconds",
			   DELIVERY_MS / 1000) == ONLINE_PASSED;
	dial_allow(talk->dial, TRIAL_TIMEOUT_MS);
	return (came && imap_talk_idle_end(talk) &&
		   imap_talk_fetch(talk, before + 1, message)) ||
	       imap_failed(o, talk, "a new message");
}
