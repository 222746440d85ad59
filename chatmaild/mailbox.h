/*
 * An account's directory, MAILBOXES_DIR/ADDRESS/: the operator's interface and the truth
 * about which accounts exist (lifecycle.md 1). Addresses must be address_is_path().
 */
#ifndef CHATMAILD_MAILBOX_H
#define CHATMAILD_MAILBOX_H

#include <stdint.h>
#include <time.h>

#include "chatmaild/password.h"

#define MAILBOX_PATH_MAX 4096

/* What tells a password file from a later one: not the mtime, which is the last login. */
struct mailbox_stamp {
	uint64_t inode;
	int64_t size;
	int64_t ctime_ns;
};

enum mailbox_state {
	MAILBOX_USABLE,
	MAILBOX_ABSENT,	 /* no password file, whatever else is there */
	MAILBOX_BLOCKED, /* password file empty, unparsable, not a regular file */
	MAILBOX_TROUBLE, /* it cannot be read: errno tells */
};

/* One stat() of the password file; usable, absent, or trouble. */
enum mailbox_state mailbox_stat(const char *dir, const char *address,
    struct mailbox_stamp *stamp, int64_t *last_login);

/* Read it: hash gets the file's contents, one final LF cut, NUL-terminated. */
enum mailbox_state mailbox_read(const char *dir, const char *address,
    char hash[PASSWORD_HASH_MAX], struct mailbox_stamp *stamp, int64_t *last_login);

/*
 * Make the account on disk: directory 0700, password file 0600 by a temporary name, fsync
 * and rename, enforceE2EEincoming, directories fsynced. Blocks: for workers. 0 and stamp,
 * or -1 with errno and nothing left behind that was not there before.
 */
int mailbox_make(
    const char *dir, const char *address, const char *hash, struct mailbox_stamp *stamp);

/* Undo mailbox_make() of this stamp: a directory with anything else in it stays. */
void mailbox_unmake(
    const char *dir, const char *address, const struct mailbox_stamp *stamp);

/* Keep the last login as the password file's times: seconds floored to the UTC day. No
 * write when it is that day already. 0, or -1 with errno. */
int mailbox_touch(const char *dir, const char *address, int64_t seconds);

/* Is enforceE2EEincoming there? Errors other than absence count as yes. */
bool mailbox_enforces(const char *dir, const char *address);

#endif
