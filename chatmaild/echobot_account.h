/*
 * The files of the echo bot's account. Its password lies in STATE_DIR/echobot/password, its
 * hash in the mailbox echo@DOMAIN as any account's: written here, since no login makes that
 * address. Its invite link lies in STATE_DIR/echobot/invite-link.txt, for who asks next.
 */
#ifndef CHATMAILD_ECHOBOT_ACCOUNT_H
#define CHATMAILD_ECHOBOT_ACCOUNT_H

#include "chatmaild/admission.h"
#include "chatmaild/echobot_message.h"
#include "chatmaild/mailbox.h"
#include "chatmaild/worker.h"
#include "proto/address.h"

#define ECHOBOT_PASSWORD 32 /* letters and digits: 190 bits */

struct echobot_account {
	struct job job; /* for whom it is embedded in */

	/* Copies, in. */
	char *mailboxes_dir, *state_dir; /* owned */
	char address[ADDRESS_MAX + 1];

	/* Out. */
	const char *why; /* NULL, or what went wrong, a literal; then error */
	int error;       /* an errno, or 0 */
	bool blocked;    /* by hand, as an operator blocks any account */
	bool written;    /* the mailbox had no hash, or another password's */
	char password[ECHOBOT_PASSWORD + 1];
	char hash[PASSWORD_HASH_MAX];
	char link[ECHOBOT_LINK_MAX]; /* "" if none is known */
};

void echobot_account_init(struct echobot_account *a, const struct config *config);
void echobot_account_deinit(struct echobot_account *a);

/*
 * Find the password or make one, see to it that the mailbox has its hash, read the link.
 * Blocks: for a worker.
 */
void echobot_account_prepare(struct echobot_account *a);

/* Keep the link: its file is readable to all that may enter state_dir. -1 with errno.
 * Blocks. */
int echobot_account_keep_link(const char *state_dir, const char *link);

#endif
