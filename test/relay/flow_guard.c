/*
 * Who may make an account, with real logins: Dovecot tells the daemon where a client is;
 * an invite works with a client that only logs in; and no log has a password.
 */
#include <stdio.h>
#include <stdlib.h>
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
	char answer[512], command[256];

	for (unsigned i = 0; i < ALLOWED; i++) {
		users[i] = new_address();
		log_in(users[i], PASSWORD, answer, sizeof(answer));
		assert_begins(answer, "OK ");
	}
	users[ALLOWED] = new_address();
	log_in(users[ALLOWED], PASSWORD, answer, sizeof(answer));
	assert_begins(answer, "NO [AUTHENTICATIONFAILED]");

	/* Those that are there come in, and are told if their password is wrong. */
	log_in(users[0], PASSWORD, answer, sizeof(answer));
	assert_begins(answer, "OK ");
	log_in(users[0], "wrong-horse", answer, sizeof(answer));
	assert_begins(answer, "NO [AUTHENTICATIONFAILED]");

	/* Sending makes accounts too: Postfix passes the address on. */
	c = smtp_open(relay.submissions, CLIENT_TLS, users[ALLOWED], PASSWORD);
	assert_null(c);

	/* Dovecot would write the whole key of a lookup that failed. */
	snprintf(command, sizeof(command), "! grep -qr %s %s/log", PASSWORD, relay.dir);
	assert_int_equal(system(command), 0);
}

/* A text member of a JSON line, unescaped. */
static void get_member(const char *line, const char *name, char *value, size_t size)
{
	char key[64];
	const char *at;
	size_t n = 0;

	snprintf(key, sizeof(key), "\"%s\":\"", name);
	at = strstr(line, key);
	assert_non_null(at);
	for (at += strlen(key); *at && *at != '"' && n + 1 < size; at++) {
		if (*at == '\\')
			at++;
		value[n++] = *at;
	}
	value[n] = '\0';
}

/* As the operator hands it to somebody. */
static void get_invite(char *email, char *password, size_t size)
{
	char command[256], line[2048];
	FILE *in;

	snprintf(command, sizeof(command),
	    "%s/bin/chatmailctl -c %s/etc/chatmail.ini --json invite", relay.dir,
	    relay.dir);
	in = popen(command, "r");
	assert_non_null(in);
	assert_non_null(fgets(line, sizeof(line), in));
	assert_int_equal(pclose(in), 0);
	get_member(line, "email", email, size);
	get_member(line, "password", password, size);
}

static void by_invite(void **state)
{
	char email[256], password[256], answer[512];
	struct client *c;

	log_in(new_address(), PASSWORD, answer, sizeof(answer));
	assert_begins(answer, "NO [AUTHENTICATIONFAILED]");

	do /* the client here quotes nothing */
		get_invite(email, password, sizeof(email));
	while (strpbrk(password, "\"\\"));
	c = imap_open(relay.imaps, email, password);
	assert_non_null(c);
	client_close(c);
	c = imap_open(relay.imaps, email, password); /* again */
	assert_non_null(c);
	client_close(c);
	c = smtp_open(relay.submissions, CLIENT_TLS, email, password);
	assert_non_null(c);
	client_close(c);
	assert_null(imap_open(relay.imaps, new_address(), password)); /* used */
}

static int run_with(const char *options, const struct support_test *tests, size_t n)
{
	int failed;

	private_up(&relay, options);
	failed = support_run("guard", tests, n);
	private_down(&relay);
	return failed;
}

int main(void)
{
	static const struct support_test limits[] = { { SUPPORT_TEST(
	    network_is_full) } };
	static const struct support_test invites[] = { { SUPPORT_TEST(by_invite) } };

	if (!private_possible())
		return PRIVATE_SKIPPED;
	return run_with("--ini 'max_new_accounts_per_network = 2'", limits, 1) +
	       run_with("--ini 'registration = invite'", invites, 1);
}
