/*
 * Hash table with chains and a clock hand. The number of buckets is fixed by the limit
 * at the start: no rehash ever stops the loop, and buckets not yet used are untouched
 * pages.
 */
#include "chatmaild/user_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#include "proto/address.h"

#define ENTRY_TYPICAL 256 /* bytes of memory per bucket's worth of entries */
#define BUCKETS_MIN   1024
#define MALLOC_COST   16 /* bytes the allocator adds to an entry, about */
#define EVICT_MAX     64 /* entries evicted per put: bounds what a shrunk limit costs */
#define SWEEP_MAX     64 /* buckets of one put that give a second chance */
#define ENTRY_MAX                                                                      \
	(sizeof(struct cached_user) + ADDRESS_MAX + PASSWORD_HASH_MAX + 2 + MALLOC_COST)

struct user_cache {
	uint64_t key[2];
	size_t limit, bytes, count;
	size_t mask; /* buckets - 1, buckets being a power of two */
	size_t hand; /* bucket that the clock hand points at */
	struct cached_user *bucket[];
};

static inline uint64_t rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). */
static uint64_t siphash(const uint64_t key[2], struct span in)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
	uint64_t word, last = (uint64_t)in.len << 56;
	size_t i = 0;

	for (; i + 8 <= in.len; i += 8) {
		memcpy(&word, in.data + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	for (int shift = 0; i < in.len; i++, shift += 8)
		last |= (uint64_t)(unsigned char)in.data[i] << shift;
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static size_t entry_bytes(const struct cached_user *e)
{
	return sizeof(*e) + e->address_len + e->hash_len + 2 + MALLOC_COST;
}

static struct cached_user **find(struct user_cache *c, struct span address)
{
	struct cached_user **at = &c->bucket[siphash(c->key, address) & c->mask];

	while (*at && !span_equal(span_make((*at)->text, (*at)->address_len), address))
		at = &(*at)->next;
	return at;
}

static void unlink_entry(struct user_cache *c, struct cached_user **at)
{
	struct cached_user *e = *at;

	*at = e->next;
	c->bytes -= entry_bytes(e);
	c->count--;
	free(e);
}

/* Move the hand over one bucket: who was not used since its last visit goes, without
 * mercy the others, too. */
static unsigned sweep_bucket(struct user_cache *c, bool mercy)
{
	struct cached_user **at = &c->bucket[c->hand];
	unsigned evicted = 0;

	while (*at) {
		if ((*at)->used && mercy) {
			(*at)->used = false;
			at = &(*at)->next;
		} else {
			unlink_entry(c, at);
			evicted++;
		}
	}
	c->hand = (c->hand + 1) & c->mask;
	return evicted;
}

/* Where everybody was used, no put may go all the way round to find out. */
static void make_room(struct user_cache *c, size_t need)
{
	unsigned evicted = 0, swept = 0;

	while (c->count && c->bytes + need > c->limit && evicted < EVICT_MAX)
		evicted += sweep_bucket(c, swept++ < SWEEP_MAX);
}

struct user_cache *user_cache_create(size_t limit)
{
	size_t buckets = BUCKETS_MIN;
	struct user_cache *c;

	while (buckets < limit / ENTRY_TYPICAL)
		buckets *= 2;
	/* calloc() maps zero pages for a table of this size: free until used. */
	c = calloc(1, sizeof(*c) + buckets * sizeof(c->bucket[0]));
	if (!c || getrandom(c->key, sizeof(c->key), 0) != sizeof(c->key))
		abort();
	c->mask = buckets - 1;
	c->limit = limit;
	return c;
}

void user_cache_destroy(struct user_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i <= c->mask && c->count; i++)
		while (c->bucket[i])
			unlink_entry(c, &c->bucket[i]);
	free(c);
}

void user_cache_resize(struct user_cache *c, size_t limit)
{
	c->limit = limit;
}

struct cached_user *user_cache_get(struct user_cache *c, struct span address)
{
	struct cached_user *e = *find(c, address);

	if (e)
		e->used = true;
	return e;
}

struct cached_user *user_cache_put(struct user_cache *c, struct span address,
    struct span hash, const struct mailbox_stamp *stamp)
{
	struct cached_user *e, **at;

	assert(address.len <= ADDRESS_MAX && hash.len < PASSWORD_HASH_MAX);
	e = malloc(sizeof(*e) + address.len + hash.len + 2);
	if (!e)
		abort();
	e->stamp = *stamp;
	e->used = true;
	e->address_len = (uint16_t)address.len;
	e->hash_len = (uint16_t)hash.len;
	memcpy(e->text, address.data, address.len);
	e->text[address.len] = '\0';
	memcpy(e->text + address.len + 1, hash.data, hash.len);
	e->text[address.len + 1 + hash.len] = '\0';

	user_cache_drop(c, address); /* after the copy: hash may be the old entry's */
	make_room(c, entry_bytes(e));
	at = find(c, address);
	e->next = *at;
	*at = e;
	c->bytes += entry_bytes(e);
	c->count++;
	return e;
}

void user_cache_drop(struct user_cache *c, struct span address)
{
	struct cached_user **at = find(c, address);

	if (*at)
		unlink_entry(c, at);
}

bool user_cache_has_room(const struct user_cache *c)
{
	return c->bytes + ENTRY_MAX <= c->limit;
}

size_t user_cache_count(const struct user_cache *c)
{
	return c->count;
}

size_t user_cache_bytes(const struct user_cache *c)
{
	return c->bytes;
}
