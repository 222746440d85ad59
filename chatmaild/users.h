/*
 * Accounts: a bounded cache over the mailbox directories (the truth) and the store (the
 * memory). A lookup costs one stat() of the password file; inode, size and ctime decide
 * whether what is cached still holds.
 */
#ifndef CHATMAILD_USERS_H
#define CHATMAILD_USERS_H

#include "chatmaild/daemon.h"
#include "chatmaild/password.h"

struct users;

/* An account as found; valid until the next call into users. */
struct user {
	const char *address;
	const char *hash; /* "{SCHEME}..." */
};

enum users_answer {
	USERS_FOUND,
	USERS_ABSENT,
	USERS_BLOCKED, /* password file empty or unparsable: never re-created */
	USERS_TROUBLE, /* disk trouble, answer temporarily; logged */
	USERS_REFUSED, /* creation only: policy says no */
};

struct users_counters {
	uint64_t hits, misses;	       /* of the cache */
	uint64_t known, cache_bytes;   /* gauges */
	uint64_t created;
	uint64_t refused_closed, refused_password, refused_name, refused_load,
	    refused_memory, refused_disk; /* creations */
	uint64_t create_failed;
	uint64_t rebuilt; /* accounts read from the directories at start */
};

/* fresh: rebuild the users table from the directories, in the background. */
struct users *users_create(struct daemon *d, bool fresh);
void users_destroy(struct users *u);
void users_reload(struct users *u); /* d->config is new */

enum users_answer users_find(struct users *u, struct span address, struct user *user);

/*
 * Make an account, dict.md 3.3 steps 4 to 12. done is called on the loop, maybe before this
 * returns, maybe much later: USERS_FOUND with the account (its file and row durable), or
 * why not. Calls for one address while its creation runs share it.
 */
typedef void users_done(void *arg, enum users_answer answer, const struct user *user);
void users_make(
    struct users *u, struct span address, struct span password, users_done *done, void *arg);

/* Last login; seconds are floored to the day. 0, or -1 if there is no such account. */
int users_login(struct users *u, struct span address, int64_t seconds);

const struct users_counters *users_counters(struct users *u);

#endif
