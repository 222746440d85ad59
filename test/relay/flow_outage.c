/*
 * A whole relay of which parts are down, or die: mail waits, and what was acknowledged is
 * never lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/mail.h"
#include "test/relay/steps.h"
#include "test/support.h"

static struct private_relay relay;

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
	const char *from = new_account(&relay), *to = new_account(&relay);
	struct client *inbox = open_inbox(&relay, to);
	struct client *smtp =
	    c->submission ? open_submission(&relay, from) : open_port_25(&relay);

	private_part(&relay, "stop", c->name);
	if (c->submission)
		send_out(smtp, from, to, "down");
	else
		send_in(&relay, smtp, to, "down");
	assert_begins(client_text(smtp), c->reply);
	client_command(smtp, "RSET");
	private_part(&relay, "start", c->name);
	assert_int_equal(imap_count(inbox), 0);
	assert_int_equal(c->submission ? send_out(smtp, from, to, "up")
				       : send_in(&relay, smtp, to, "up"),
	    250);
	assert_true(imap_wait(inbox, 1));
	client_close(smtp);
	client_close(inbox);
}

static void dovecot_is_down(void **state)
{
	const char *to = new_account(&relay);
	struct client *smtp = open_port_25(&relay), *inbox;

	private_part(&relay, "stop", "dovecot");
	assert_int_equal(send_in(&relay, smtp, to, "waiting"), 250);
	private_part(&relay, "start", "dovecot");
	inbox = open_inbox(&relay, to);
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
	struct client *smtp = open_port_25(&relay);
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
	const char *to = new_account(&relay);
	struct client *inbox = open_inbox(&relay, to);
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
		{ SUPPORT_TABLE(part_is_down, down_cases) },
		{ SUPPORT_TEST(dovecot_is_down) },
		{ SUPPORT_TEST(no_acknowledged_message_is_lost) },
	};
	int failed;

	if (!private_possible())
		return PRIVATE_SKIPPED;
	private_up(&relay, "--remote remote.example");
	failed = support_run("outage", tests, ARRAY_LEN(tests));
	private_down(&relay);
	return failed;
}
