/*
 * GCRA over a hash table and a heap. The heap's top is the entry with the earliest
 * theoretical arrival time: its budget is whole again (then it tells nothing and goes),
 * or it is the one whose loss gives the least away.
 */
#include "milter/ratelimit.h"

#include <stdlib.h>
#include <sys/random.h>

#define MINUTE_US INT64_C(60000000)

/* Whole budgets dropped in passing, per mail: twice what a mail can add. */
#define SWEEP 2

/*
 * A sender is known by a keyed 64-bit hash of its address only, so entries are small
 * and of one size; nobody without the key can make two of them meet.
 */
struct entry {
	struct entry *next; /* in its bucket */
	uint64_t sender;
	int64_t tat_us; /* theoretical arrival time: when the budget is whole again */
	size_t at;      /* in the heap */
};

struct ratelimit {
	uint64_t key[2];
	int64_t interval_us;
	int64_t tolerance_us; /* how early a mail may come: (burst - 1) intervals */
	size_t max_entries, nentries;
	size_t room;           /* of heap and bucket; a power of two */
	struct entry **heap;   /* owned, and the entries in it */
	struct entry **bucket; /* owned */
};

static uint64_t rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012) of the lower-cased address. */
static uint64_t hash(const uint64_t key[2], struct span s)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
	uint64_t word = 0;

	for (size_t i = 0; i <= s.len; i++) {
		unsigned char c = i < s.len ? (unsigned char)s.data[i] : 0;

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (i == s.len)
			word |= (uint64_t)s.len << 56;
		else
			word |= (uint64_t)c << (i % 8 * 8);
		if (i % 8 == 7 || i == s.len) {
			v[3] ^= word;
			sip_round(v);
			sip_round(v);
			v[0] ^= word;
			word = 0;
		}
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct ratelimit *ratelimit_create(size_t max_entries)
{
	struct ratelimit *r = calloc(1, sizeof(*r));

	if (!r || getrandom(r->key, sizeof(r->key), 0) != sizeof(r->key))
		abort();
	r->max_entries = max_entries ? max_entries : 1;
	ratelimit_configure(r, 60, 10);
	return r;
}

void ratelimit_destroy(struct ratelimit *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nentries; i++)
		free(r->heap[i]);
	free(r->heap);
	free(r->bucket);
	free(r);
}

void ratelimit_configure(struct ratelimit *r, unsigned per_minute, unsigned burst)
{
	r->interval_us = MINUTE_US / (per_minute ? per_minute : 1);
	if (r->interval_us == 0)
		r->interval_us = 1;
	r->tolerance_us = r->interval_us * (burst ? burst - 1 : 0);
}

static struct entry **bucket_of(const struct ratelimit *r, uint64_t sender)
{
	return &r->bucket[sender & (r->room - 1)];
}

/* Let e rise or sink to its place; at is a free place in the heap. */
static void place(struct ratelimit *r, struct entry *e, size_t at)
{
	size_t child;

	while (at && r->heap[(at - 1) / 2]->tat_us > e->tat_us) {
		r->heap[at] = r->heap[(at - 1) / 2];
		r->heap[at]->at = at;
		at = (at - 1) / 2;
	}
	while ((child = 2 * at + 1) < r->nentries) {
		if (child + 1 < r->nentries &&
		    r->heap[child + 1]->tat_us < r->heap[child]->tat_us)
			child++;
		if (r->heap[child]->tat_us >= e->tat_us)
			break;
		r->heap[at] = r->heap[child];
		r->heap[at]->at = at;
		at = child;
	}
	r->heap[at] = e;
	e->at = at;
}

static void drop_first(struct ratelimit *r)
{
	struct entry *e = r->heap[0];
	struct entry **link = bucket_of(r, e->sender);

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	r->nentries--;
	if (r->nentries)
		place(r, r->heap[r->nentries], 0);
	free(e);
}

static void grow(struct ratelimit *r)
{
	r->room = r->room ? 2 * r->room : 64;
	r->heap = realloc(r->heap, r->room * sizeof(struct entry *));
	free(r->bucket);
	r->bucket = calloc(r->room, sizeof(struct entry *));
	if (!r->heap || !r->bucket)
		abort();
	for (size_t i = 0; i < r->nentries; i++) {
		struct entry **link = bucket_of(r, r->heap[i]->sender);

		r->heap[i]->next = *link;
		*link = r->heap[i];
	}
}

static struct entry *find(const struct ratelimit *r, uint64_t sender)
{
	struct entry *e = r->room ? *bucket_of(r, sender) : NULL;

	while (e && e->sender != sender)
		e = e->next;
	return e;
}

static void add(struct ratelimit *r, uint64_t sender, int64_t tat_us)
{
	struct entry *e = calloc(1, sizeof(*e));
	struct entry **link;

	if (!e)
		abort();
	if (r->nentries == r->max_entries)
		drop_first(r);
	if (r->nentries == r->room)
		grow(r);
	e->sender = sender;
	e->tat_us = tat_us;
	link = bucket_of(r, sender);
	e->next = *link;
	*link = e;
	r->nentries++;
	place(r, e, r->nentries - 1);
}

bool ratelimit_take(
    struct ratelimit *r, struct span sender, int64_t now_us, int64_t *wait_us)
{
	uint64_t id = hash(r->key, sender);
	struct entry *e;
	int64_t tat_us;

	for (int i = 0; i < SWEEP && r->nentries && r->heap[0]->tat_us <= now_us; i++)
		drop_first(r);
	e = find(r, id);
	tat_us = e && e->tat_us > now_us ? e->tat_us : now_us;
	if (tat_us - r->tolerance_us > now_us) {
		*wait_us = tat_us - r->tolerance_us - now_us;
		return false;
	}
	tat_us += r->interval_us;
	if (e) {
		e->tat_us = tat_us;
		place(r, e, e->at);
	} else {
		add(r, id, tat_us);
	}
	return true;
}
