/*
 * What is deleted because its time has come: old mail, large mail, mail over the quota,
 * accounts that nobody uses. Knows the mailbox directories only; when it runs and who is
 * told is others'. Everything here blocks: for workers and for tools.
 *
 * An account is removed by one rename to a name that no address has: after a crash it is
 * there whole, or not at all. Memory is bounded however many messages a mailbox holds.
 */
#ifndef CHATMAILD_EXPIRE_H
#define CHATMAILD_EXPIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define EXPIRE_LARGE         200000 /* bytes on disk; more is a large message */
#define EXPIRE_PROTECTED     86400  /* seconds in which the quota pass takes nothing */
#define EXPIRE_QUOTA_PERCENT 70     /* of max_mailbox_size: what that pass leaves */

struct expire_rules {
	int64_t now; /* seconds since 1970 */

	/* Days; what is older goes. Negative: that rule is off. */
	int inactive; /* account without login */
	int mails;    /* message */
	int large;    /* message of more than EXPIRE_LARGE bytes, in a directory cur */

	int64_t quota; /* bytes that may stay; negative: that rule is off */
	bool dry_run;  /* only count and tell */
};

struct expire_totals {
	uint64_t mailboxes, mailboxes_removed;
	uint64_t files;         /* messages in mailboxes that stay, seen */
	uint64_t files_removed; /* messages, their maildirsize, strays */
	uint64_t bytes_removed; /* on disk */
	uint64_t quota_removed; /* messages; in files_removed too */
	uint64_t foreign, vanished, errors;
};

enum expire_event {
	EXPIRE_CHECKING,   /* a mailbox; when is its last login, 0: none */
	EXPIRE_MAILBOX,    /* goes, or would in a dry run; path is its directory */
	EXPIRE_FILE,       /* goes, or would; when is its age's beginning, 0: unknown */
	EXPIRE_OVER_QUOTA, /* n messages went, or would; path is the mailbox */
	EXPIRE_NOT_EMPTY,  /* no password file, yet not empty: left alone */
	EXPIRE_FOREIGN,    /* a link, or what else no mailbox has: left alone */
	EXPIRE_VANISHED,   /* file or directory was gone */
	EXPIRE_ERROR,      /* error is an errno */
};

struct expire_note {
	enum expire_event event;
	const char *why;  /* of MAILBOX and FILE: "old", "large", "over quota", ... */
	const char *path; /* absolute */
	int64_t when;
	uint64_t n;
	int error;
};
typedef void expire_tell(void *arg, const struct expire_note *note);

struct expire {
	const char *dir; /* mailboxes_dir, absolute */
	int dirfd;       /* the same, open */
	struct expire_rules rules;
	struct expire_totals totals; /* add up over all calls */
	expire_tell *tell;           /* may be NULL */
	void *arg;

	/* Another thread sets it: leave the mailbox as it is now. May be NULL. */
	const atomic_bool *stop;
};

enum expire_answer {
	EXPIRE_KEPT,
	EXPIRE_REMOVED, /* the account is gone, or would be */
};

/*
 * One mailbox by the rules, in this order: the account without login; mail by its age, in
 * cur, new and tmp at any depth; then by the quota, oldest first, in cur and new at the
 * top. name is an entry of dir that holds an '@'. An account that is blocked (an empty or
 * unparsable password file) stays, for else anybody could take its name.
 */
enum expire_answer expire_mailbox(struct expire *e, const char *name);

/*
 * The quota rule alone, for name below dir or, with dir "/", for any path. The number of
 * messages that went.
 */
uint64_t expire_trim(struct expire *e, const char *name);

/* Remove what an ended run left of accounts it had renamed. */
void expire_clean(struct expire *e);

/* Take the account away by a rename, then delete it. 0, or -1 with errno: it is there still,
 * or never was (ENOENT). */
int expire_remove(struct expire *e, const char *name);

/*
 * What Dovecot writes into a message's file name: the time it came and its size, from
 * "1700000000.M1P2.host,S=1234:2,S". False if name is another. Exported for its fuzz target.
 */
bool expire_parse_name(const char *name, int64_t *when, int64_t *size);

#endif
