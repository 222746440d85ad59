/*
 * A leaky bucket for the relay, a small hash table for the networks.
 */
#include "chatmaild/guard.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define WAYS      8 /* networks of one place */
#define PLACES    (GUARD_NETWORKS / WAYS)
#define MINUTE_US 60000000
#define KEY_SIZE  32

struct network {
	uint64_t hash; /* 0: free */
	uint32_t accounts;
};

struct guard {
	/* When the bucket would be empty, microseconds: GCRA, a minute's worth at once. */
	int64_t empty_us;
	int64_t key_ms; /* when the key was made; 0: none yet */
	unsigned char key[KEY_SIZE];
	struct network network[PLACES][WAYS];
};

struct guard *guard_create(void)
{
	struct guard *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	return g;
}

void guard_destroy(struct guard *g)
{
	if (g)
		explicit_bzero(g->key, sizeof(g->key));
	free(g);
}

static int64_t interval_us(int per_minute)
{
	return MINUTE_US / per_minute;
}

bool guard_is_full(const struct guard *g, int per_minute, int64_t now_ms)
{
	return per_minute > 0 &&
	       g->empty_us - now_ms * 1000 > MINUTE_US - interval_us(per_minute);
}

static void take_rate(struct guard *g, int per_minute, int64_t now_ms)
{
	int64_t now_us = now_ms * 1000;

	if (g->empty_us < now_us)
		g->empty_us = now_us;
	g->empty_us += interval_us(per_minute);
}

/* The network of an address: its kind, then 3 or 8 bytes. Their number, 0 if it is none. */
static size_t network_of(struct span client, unsigned char out[9])
{
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff,
		0xff }; /* ::ffff:0:0/96, RFC 4291 section 2.5.5.2 */
	char text[GUARD_CLIENT_MAX + 1];
	struct in6_addr six;
	struct in_addr four;

	if (client.len == 0 || client.len > GUARD_CLIENT_MAX)
		return 0;
	memcpy(text, client.data, client.len);
	text[client.len] = '\0';
	out[0] = 4;
	if (inet_pton(AF_INET, text, &four) == 1) {
		memcpy(out + 1, &four, 3);
		return 4;
	}
	if (inet_pton(AF_INET6, text, &six) != 1)
		return 0;
	if (memcmp(&six, mapped, sizeof(mapped)) == 0) {
		memcpy(out + 1, six.s6_addr + sizeof(mapped), 3);
		return 4;
	}
	out[0] = 6;
	memcpy(out + 1, &six, 8);
	return 9;
}

static void renew_key(struct guard *g, int64_t now_ms)
{
	if (g->key_ms && now_ms - g->key_ms < GUARD_HOUR_MS)
		return;
	memset(g->network, 0, sizeof(g->network));
	if (RAND_bytes(g->key, sizeof(g->key)) != 1)
		abort(); /* a machine without randomness runs no TLS either */
	g->key_ms = now_ms > 0 ? now_ms : 1;
}

/* The place of a network, made if it is new; NULL if client is no address. */
static struct network *find_network(struct guard *g, struct span client)
{
	unsigned char name[9], digest[EVP_MAX_MD_SIZE];
	size_t len = network_of(client, name);
	struct network *place, *fewest;
	unsigned digest_len;
	uint64_t hash;

	if (len == 0)
		return NULL;
	if (!HMAC(EVP_sha256(), g->key, KEY_SIZE, name, len, digest, &digest_len))
		abort();
	memcpy(&hash, digest, sizeof(hash));
	hash |= !hash; /* 0 means free */
	place = fewest = g->network[hash % PLACES];
	for (size_t i = 0; i < WAYS; i++) {
		if (place[i].hash == hash)
			return &place[i];
		if (place[i].accounts < fewest->accounts)
			fewest = &place[i];
	}
	*fewest = (struct network){ .hash = hash };
	return fewest;
}

enum guard_answer guard_take(struct guard *g, int per_minute, int per_network,
    struct span client, int64_t now_ms)
{
	struct network *network = NULL;

	if (guard_is_full(g, per_minute, now_ms))
		return GUARD_RATE;
	if (per_network > 0) {
		renew_key(g, now_ms);
		network = find_network(g, client);
	}
	if (network && network->accounts >= (uint32_t)per_network)
		return GUARD_NETWORK;
	if (network)
		network->accounts++;
	if (per_minute > 0)
		take_rate(g, per_minute, now_ms);
	return GUARD_OK;
}
