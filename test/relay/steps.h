/*
 * What most tests with a private relay do. Each fails the running test when the relay does
 * not play along.
 */
#ifndef TEST_RELAY_STEPS_H
#define TEST_RELAY_STEPS_H

#include "test/relay/client.h"
#include "test/relay/private.h"

#define PASSWORD "correct-horse"
#define SMALL    2000 /* bytes of cipher text, held by the filter */

/* An address that no other test uses, so that mailboxes and rates are fresh. The fourth
 * call from now overwrites it. */
const char *new_address(void);

/* The same, with its account made by logging in. */
const char *new_account(const struct private_relay *r);

struct client *open_inbox(const struct private_relay *r, const char *address);

/* Where mail is taken from our users, and from other servers. */
struct client *open_submission(const struct private_relay *r, const char *address);
struct client *open_port_25(const struct private_relay *r);

/*
 * A small encrypted message out of account from, or from elsewhere and well signed (by
 * remote.example, which must be a --remote of r). The code of the last reply.
 */
int send_out(struct client *c, const char *from, const char *to, const char *marker);
int send_in(const struct private_relay *r, struct client *c, const char *to,
    const char *marker);

void assert_begins(const char *text, const char *prefix);

#endif
