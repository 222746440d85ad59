/*
 * Rebuild the users table from the mailbox directories, which are enough: the password
 * file is the account, its mtime the last login. Also how a relay that ran the Python
 * services is taken over; their files stay as they are. Walks on a worker, in the
 * background: logins are answered from the directories meanwhile.
 */
#ifndef CHATMAILD_TAKEOVER_H
#define CHATMAILD_TAKEOVER_H

#include "chatmaild/daemon.h"

/* done(arg, accounts) on the loop when finished; stops early when the daemon does. */
struct takeover;
struct takeover *takeover_start(
    struct daemon *d, void (*done)(void *arg, uint64_t accounts), void *arg);
void takeover_cancel(struct takeover *t);

#endif
