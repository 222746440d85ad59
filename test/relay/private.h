/*
 * The private relay of a test run: laid out by the script test/relay/relay in a
 * directory of its own, which the environment's CHATMAIL_RELAY names, from the build
 * that CHATMAIL_BUILD names. Failures of the machine end the program with their reason.
 */
#ifndef TEST_RELAY_PRIVATE_H
#define TEST_RELAY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#define PRIVATE_SKIPPED 77 /* meson's exit status for a test that cannot run here */

struct private_relay {
	char dir[64];
	unsigned smtp, submission, submissions, imaps, https; /* ports */
};

/* Whether this machine and user can run one; says on stderr what is missing. */
bool private_possible(void);

/* Lay out and start. options are appended to "relay up DIR"; shell syntax. */
void private_up(struct private_relay *r, const char *options);

/* Stop everything and remove the directory. */
void private_down(struct private_relay *r);

/* "start", "stop" or "kill" a part: dns, push, sign, verify, chatmaild, dovecot, postfix,
 * web. */
void private_part(const struct private_relay *r, const char *verb, const char *part);

/* Have Postfix try all that waits in its queue now. */
void private_flush(const struct private_relay *r);

/*
 * message with a DKIM signature of domain in front, by the key of key_domain, one of
 * the relay's --remote domains. malloc()ed, *len its length.
 */
char *private_sign(const struct private_relay *r, const char *domain,
    const char *key_domain, const char *message, size_t *len);

#endif
