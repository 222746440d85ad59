/*
 * The open transactions of one dict connection: what B and S brought, until C or R.
 * Knows neither sockets nor what the keys mean. Dovecot numbers transactions anew on
 * every connection, so they must never be shared between connections.
 */
#ifndef CHATMAILD_DICT_TRANSACTIONS_H
#define CHATMAILD_DICT_TRANSACTIONS_H

#include "proto/span.h"

#define DICT_TRANSACTIONS_MAX 16           /* open on one connection */
#define DICT_SETS_MAX         64           /* in one transaction */
#define DICT_PENDING_MAX      (512 * 1024) /* bytes of all of one connection's */

struct dict_set {
	struct span key, value;
};

struct dict_transaction {
	struct dict_transaction *next;
	size_t cost; /* bytes of memory */
	bool failed; /* a set did not fit: the commit must fail */
	struct span id;
	struct span user; /* from B */
	const struct dict_set *set;
	size_t nsets;
};

/* All zero: none open. */
struct dict_transactions {
	struct dict_transaction *first;
	size_t count, bytes;
};

/* B. An open one of this id is replaced. -1 if there is no room: its C finds nothing.
 */
int dict_transaction_begin(
    struct dict_transactions *all, struct span id, struct span user);

/* S. -1 if the id is unknown, or there is no room: then its commit must fail. */
int dict_transaction_set(
    struct dict_transactions *all, struct span id, struct span key, struct span value);

/* C or R: take it out, NULL if unknown. The caller frees it. */
struct dict_transaction *dict_transaction_take(
    struct dict_transactions *all, struct span id);
void dict_transaction_free(struct dict_transaction *t); /* accepts NULL */

void dict_transactions_clear(struct dict_transactions *all);

#endif
