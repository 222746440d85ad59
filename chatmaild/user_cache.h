/*
 * The bounded memory of accounts: address -> hash and stamp of its password file. Knows
 * neither files nor the store. One allocation per account, found through a keyed hash
 * (so nobody can choose addresses that collide), evicted by second chance.
 */
#ifndef CHATMAILD_USER_CACHE_H
#define CHATMAILD_USER_CACHE_H

#include <stdint.h>

#include "chatmaild/mailbox.h"

struct user_cache;

struct cached_user {
	struct cached_user *next; /* in its bucket */
	struct mailbox_stamp stamp;
	uint16_t address_len, hash_len;
	bool used;   /* since the clock hand came by */
	char text[]; /* address, NUL, hash, NUL */
};

static inline const char *cached_user_address(const struct cached_user *e)
{
	return e->text;
}

static inline const char *cached_user_hash(const struct cached_user *e)
{
	return e->text + e->address_len + 1;
}

/* limit in bytes, all overhead included but for the table itself (limit / 32 at most).
 */
struct user_cache *user_cache_create(size_t limit);
void user_cache_destroy(struct user_cache *c);

/* A smaller limit takes effect bit by bit, with the entries that are added. */
void user_cache_resize(struct user_cache *c, size_t limit);

/* NULL if not there. Valid until the next put or drop; the caller may change the stamp.
 */
struct cached_user *user_cache_get(struct user_cache *c, struct span address);

/* Add or replace. address is at most ADDRESS_MAX bytes, hash below PASSWORD_HASH_MAX.
 */
struct cached_user *user_cache_put(struct user_cache *c, struct span address,
    struct span hash, const struct mailbox_stamp *stamp);

void user_cache_drop(struct user_cache *c, struct span address);

/* An entry as large as any fits without evicting another. */
bool user_cache_has_room(const struct user_cache *c);

size_t user_cache_count(const struct user_cache *c);
size_t user_cache_bytes(const struct user_cache *c);

#endif
