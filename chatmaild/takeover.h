/*
 * Rebuild the users table from the mailbox directories, which are enough: the password
 * file is the account, its mtime the last login. Also how a relay that ran the Python
 * services is taken over: device tokens and waiting notifications are read from their
 * files too, which stay as they are. Walks on a worker, batch by
 * batch, in the background: logins are answered from the directories meanwhile.
 * Symbolic links are not followed.
 */
#ifndef CHATMAILD_TAKEOVER_H
#define CHATMAILD_TAKEOVER_H

#include "chatmaild/daemon.h"

struct takeover;

/*
 * progress is called on the loop after each batch with the accounts stored so far, the
 * last time with finished set: complete tells whether the table is. An incomplete
 * rebuild is redone at the next start. The takeover is freed after that call.
 */
typedef void takeover_progress(
    void *arg, uint64_t accounts, bool finished, bool complete);
struct takeover *takeover_start(
    struct daemon *d, takeover_progress *progress, void *arg);

/* Stop after the batch under way; progress is not called any more. */
void takeover_cancel(struct takeover *t);

#endif
