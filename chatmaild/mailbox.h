/*
 * An account's directory, MAILBOXES_DIR/ADDRESS/: the operator's interface and the
 * truth about which accounts exist. An account is a usable file "password" in it, whose
 * mtime is the day of the last login. Addresses must be address_is_path().
 */
#ifndef CHATMAILD_MAILBOX_H
#define CHATMAILD_MAILBOX_H

#include <stdint.h>
#include <time.h>

#include "chatmaild/password.h"

#define MAILBOX_PATH_MAX 4096
#define MAILBOX_DAY      86400 /* seconds; last logins are known to the day only */

/* What tells a password file from a later one: not the mtime, which is the last login.
 */
struct mailbox_stamp {
	uint64_t inode;
	int64_t size;
	int64_t ctime_ns;
};

enum mailbox_state {
	MAILBOX_USABLE,
	MAILBOX_ABSENT,  /* no password file, whatever else is there */
	MAILBOX_BLOCKED, /* password file empty, unparsable, not a regular file */
	MAILBOX_TROUBLE, /* it cannot be read: errno tells */
};

static inline bool mailbox_stamp_equal(
    const struct mailbox_stamp *a, const struct mailbox_stamp *b)
{
	return a->inode == b->inode && a->size == b->size && a->ctime_ns == b->ctime_ns;
}

/*
 * One stat() of the password file. USABLE means a regular file of a likely size, its
 * contents are not looked at; stamp is set only then.
 */
enum mailbox_state mailbox_stat(
    const char *dir, const char *address, struct mailbox_stamp *stamp);

/*
 * Read it: hash gets the file's contents, one final LF cut, NUL-terminated; last_login
 * (may be NULL) its mtime in seconds. Never blocks on a FIFO or follows a symbolic
 * link.
 */
enum mailbox_state mailbox_read(const char *dir, const char *address,
    char hash[PASSWORD_HASH_MAX], struct mailbox_stamp *stamp, int64_t *last_login);

/*
 * The same below an open mailboxes directory, for walks: an address that is a symbolic
 * link counts as absent.
 */
enum mailbox_state mailbox_read_at(int dirfd, const char *address,
    char hash[PASSWORD_HASH_MAX], struct mailbox_stamp *stamp, int64_t *last_login);

/*
 * mailbox_stat() of an account's open directory, for walks. last_login is the mtime in
 * seconds, 0 of an account that is seen to be blocked.
 */
enum mailbox_state mailbox_stat_at(int mailbox, int64_t *last_login);

/*
 * Make the account on disk: directories 0700 (with parents), enforceE2EEincoming,
 * password file 0600 by a temporary name, fsync and rename; directories fsynced.
 * Blocks: for workers. 0 and stamp, or -1 with errno and nothing left behind that was
 * not there before. An existing password file is never replaced: -1 with EEXIST.
 */
int mailbox_make(const char *dir, const char *address, const char *hash,
    struct mailbox_stamp *stamp);

/*
 * The mailboxes directory, open, for a walk that makes accounts; made if it is not there.
 * -1 with errno.
 */
int mailbox_open_all(const char *dir);

/*
 * For a whole relay at once: the account with this text in its password file, whatever was
 * in it, unless it is blocked; last_login in seconds, 0 if unknown. Nothing is durable
 * before the caller's syncfs(). 1 if it was written, 0 if not, -1 with errno.
 */
int mailbox_import_at(
    int dirfd, const char *address, const char *text, int64_t last_login);

/* Undo mailbox_make() of this stamp: a directory with anything else in it stays.
 * Blocks. */
void mailbox_unmake(
    const char *dir, const char *address, const struct mailbox_stamp *stamp);

/*
 * Keep the last login as the password file's times: seconds floored to the UTC day. 1
 * if that was written, 0 if it is that day already, -1 with errno; ENOENT: no such
 * account.
 */
int mailbox_touch(const char *dir, const char *address, int64_t seconds);

/* Is enforceE2EEincoming there? Errors other than absence count as yes. */
bool mailbox_enforces(const char *dir, const char *address);

/*
 * Give an account that exists another hash, in the same durable way: for an account that is
 * ours. It gets enforceE2EEincoming if it had none. Blocks. 0, or -1 with errno: the old
 * hash may be in force then, or the new one.
 */
int mailbox_rewrite(const char *dir, const char *address, const char *hash);

#endif
