/*
 * Accounts: a bounded cache over the mailbox directories (the truth) and the store (the
 * memory). A lookup costs one stat() of the password file; inode, size and ctime decide
 * whether what is cached still holds. Everything here is called on the loop.
 */
#ifndef CHATMAILD_USERS_H
#define CHATMAILD_USERS_H

#include "chatmaild/admission.h"
#include "chatmaild/census.h"
#include "chatmaild/daemon.h"
#include "chatmaild/histogram.h"
#include "chatmaild/invites.h"
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
	uint64_t hits, misses;       /* of the cache */
	uint64_t known, cache_bytes; /* gauges: accounts in the cache, their memory */
	uint64_t created;
	struct histogram creation; /* of those */
	uint64_t refused_closed, refused_password, refused_name, refused_load,
	    refused_memory, refused_disk, refused_rate, refused_network,
	    refused_invite; /* creations */
	uint64_t create_failed;
	uint64_t creating;   /* gauge: creations under way */
	uint64_t rebuilt;    /* accounts read from the directories at start */
	uint64_t rebuilding; /* gauge: 1 while that goes on */
};

/*
 * Needs d->base, config, hashers, workers and store. fresh: rebuild the users table from the
 * directories, in the background; else the cache is warmed from it, bit by bit.
 */
struct users *users_create(struct daemon *d, bool fresh);

/*
 * Creations under way belong to workers and store, whose done functions come back here.
 * So the order at the end is: users_stop, workers_destroy of d->hashers, then of
 * d->workers (and d->workers = NULL), store_close (and d->store = NULL), users_destroy.
 */
void users_stop(struct users *u); /* starts nothing new in the background */
void users_destroy(struct users *u);
void users_reload(struct users *u); /* d->config is new */

/* An account whose creation is under way is absent until its file and row are durable.
 */
enum users_answer users_find(struct users *u, struct span address, struct user *user);

/*
 * True if all accounts are in memory and this one is not: it is new, most likely. To ask
 * users_find() for a name that is not there may take long, as the kernel lets it wait
 * while others are made in the same directory; users_make() looks without the loop.
 */
bool users_is_unseen(const struct users *u, struct span address);

/* Who wants an account. */
struct users_applicant {
	bool is_operator;   /* who may choose any name, whatever strangers hear now */
	struct span client; /* IP address as text; empty: not known */
};

/*
 * Make an account, or find it if it is there after all; address is address_is_path(); by
 * may be NULL: a login that nothing is known of.
 * done is called on the loop, maybe before this returns, maybe much later: USERS_FOUND
 * with the account (its file and row durable), or why not. Calls for one address while its creation runs share it: the
 * first one's password counts, all get the same hash.
 */
typedef void users_done(void *arg, enum users_answer answer, const struct user *user);
void users_make(struct users *u, struct span address, struct span password,
    const struct users_applicant *by, users_done *done, void *arg);

/*
 * Last login; seconds since 1970, floored to the day. FOUND, ABSENT, or TROUBLE
 * (logged). The password file's time is set now, the row follows without waiting.
 */
enum users_answer users_login(struct users *u, struct span address, int64_t seconds);

const struct users_counters *users_counters(struct users *u);

/* The account's directory was removed: forget it, with its device tokens, unless it has
 * been made anew. */
void users_removed(struct users *u, struct span address);

/* Rows on their way to the store that nobody waits for; beyond USERS_REMEMBER_MAX only
 * those of accounts that went are not dropped. */
#define USERS_REMEMBER_MAX 4096
unsigned users_remembering(const struct users *u);

/* Whether a stranger's account may be made now, as far as it does not depend on him: OK,
 * CLOSED, LOAD, MEMORY, DISK or RATE. */
enum admission users_registration(struct users *u);

/* An invite (invites.h) that is good for so many days; whether one would be taken now. */
void users_invite(struct users *u, int days, char invite[INVITE_LEN + 1]);
bool users_takes_invite(struct users *u, struct span invite);

/* How many accounts there are. */
struct census *users_census(struct users *u);

/* For tests: where the switch and the machine's readings are. */
struct admission_control *users_admission(struct users *u);

#endif
