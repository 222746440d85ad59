#include "test/relay/steps.h"
#include "deploy/mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/support.h"

const char *new_address(void)
{
	static char address[4][64];
	static unsigned count;
	char *text = address[count % 4];

	snprintf(text, sizeof(address[0]), "u%08u@relay.example", count++);
	return text;
}

struct client *open_inbox(const struct private_relay *r, const char *address)
{
	struct client *c = imap_open(r->imaps, address, PASSWORD);

	assert_non_null(c);
	return c;
}

const char *new_account(const struct private_relay *r)
{
	const char *address = new_address();

	client_close(open_inbox(r, address));
	return address;
}

struct client *open_submission(const struct private_relay *r, const char *address)
{
	struct client *c = smtp_open(r->submissions, CLIENT_TLS, address, PASSWORD);

	assert_non_null(c);
	return c;
}

struct client *open_port_25(const struct private_relay *r)
{
	struct client *c = smtp_open(r->smtp, CLIENT_PLAIN, NULL, NULL);

	assert_non_null(c);
	return c;
}

int send_out(struct client *c, const char *from, const char *to, const char *marker)
{
	const struct mail m = { from, to, "secret plans", marker };
	size_t len;
	char *text = mail_encrypted(&m, SMALL, &len);
	int code = smtp_send(c, from, to, text, len);

	free(text);
	return code;
}

int send_in(
    const struct private_relay *r, struct client *c, const char *to, const char *marker)
{
	const struct mail m = { "sender@remote.example", to, "[...]", marker };
	size_t len;
	char *text = mail_encrypted(&m, SMALL, &len);
	char *sealed = private_sign(r, "remote.example", "remote.example", text, &len);
	int code = smtp_send(c, "sender@remote.example", to, sealed, len);

	free(text);
	free(sealed);
	return code;
}

void assert_begins(const char *text, const char *prefix)
{
	if (strncmp(text, prefix, strlen(prefix)) != 0)
		fail_msg("got \"%s\" instead of \"%s...\"", text, prefix);
}
