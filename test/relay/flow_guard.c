/*
 * The limits on new accounts, with real logins: Dovecot tells the daemon where a client is,
 * and tells the client that it is to come later, not that its password is wrong.
 */
#include <stdio.h>
#include <string.h>

#include "test/relay/steps.h"
#include "test/support.h"

#define ALLOWED 2

static struct private_relay relay;

/* The answer to a login, without its tag. */
static void log_in(const char *user, const char *password, char *answer, size_t size)
{
	struct client *c = client_open(relay.imaps, CLIENT_TLS);
	char command[128];
	const char *line;

	assert_non_null(c);
	assert_begins(imap_told(c), "* OK");
	snprintf(command, sizeof(command), "g LOGIN %s %s\r\n", user, password);
	client_write(c, command, strlen(command));
	client_flush(c);
	while ((line = imap_told(c)) && strncmp(line, "g ", 2) != 0)
		;
	assert_non_null(line);
	snprintf(answer, size, "%s", line + 2);
	client_close(c);
}

static void network_is_full(void **state)
{
	const char *users[ALLOWED + 1];
	struct client *c;
	char answer[512];

	for (unsigned i = 0; i < ALLOWED; i++) {
		users[i] = new_address();
		log_in(users[i], PASSWORD, answer, sizeof(answer));
		assert_begins(answer, "OK ");
	}
	users[ALLOWED] = new_address();
	log_in(users[ALLOWED], PASSWORD, answer, sizeof(answer));
	assert_begins(answer, "NO [UNAVAILABLE]");

	/* Those that are there come in, and are told if their password is wrong. */
	log_in(users[0], PASSWORD, answer, sizeof(answer));
	assert_begins(answer, "OK ");
	log_in(users[0], "wrong-horse", answer, sizeof(answer));
	assert_begins(answer, "NO [AUTHENTICATIONFAILED]");

	/* Sending makes accounts too: Postfix passes the address on. */
	c = smtp_open(relay.submissions, CLIENT_TLS, users[ALLOWED], PASSWORD);
	assert_null(c);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(network_is_full) },
	};
	int failed;

	if (!private_possible())
		return PRIVATE_SKIPPED;
	private_up(&relay, "--ini 'max_new_accounts_per_network = 2'");
	failed = support_run("guard", tests, ARRAY_LEN(tests));
	private_down(&relay);
	return failed;
}
