/*
 * Blocking an address: its password file is made one that no password fits, and can be
 * given back. Blocked addresses can neither log in nor get mail, and nobody can take their
 * name. Goes to the disk and blocks: for workers and for tools.
 */
#ifndef CHATMAILD_BLOCK_H
#define CHATMAILD_BLOCK_H

/* Stands before the hash of a blocked account, as in /etc/shadow. */
#define BLOCK_MARK '!'

/*
 * By a temporary file and a rename, with the times (the last login) as they were; durable
 * when it returns. address is address_is_path(). 0, or -1 with errno: ENOENT, there is no
 * such account; EALREADY, it is blocked (or is not) already; EINVAL, unblocking only: the
 * file holds no hash that could be given back.
 */
int block_account(const char *mailboxes_dir, const char *address);
int unblock_account(const char *mailboxes_dir, const char *address);

#endif
