/*
 * Each set is one allocation, its texts behind it; a commit sees them as one array.
 */
#include "chatmaild/dict_transactions.h"

#include <stdlib.h>

#define SETS_FIRST 2 /* Dovecot sends one, nearly always */

struct transaction {
	struct dict_transaction t; /* first: what callers see */
	struct dict_set *sets;
	size_t room;                /* in sets */
	char *texts[DICT_SETS_MAX]; /* owned: key and value of each set */
	char text[];                /* id, user */
};

static char *put(char *at, struct span *copy, struct span text)
{
	if (text.len)
		memcpy(at, text.data, text.len);
	*copy = span_make(at, text.len);
	return at + text.len;
}

static struct dict_transaction **find(struct dict_transactions *all, struct span id)
{
	struct dict_transaction **at = &all->first;

	while (*at && !span_equal((*at)->id, id))
		at = &(*at)->next;
	return at;
}

static bool has_room(const struct dict_transactions *all, size_t cost)
{
	return cost <= DICT_PENDING_MAX && all->bytes <= DICT_PENDING_MAX - cost;
}

int dict_transaction_begin(
    struct dict_transactions *all, struct span id, struct span user)
{
	size_t cost = sizeof(struct transaction) + id.len + user.len;
	struct transaction *t;

	dict_transaction_free(dict_transaction_take(all, id));
	if (all->count == DICT_TRANSACTIONS_MAX || !has_room(all, cost))
		return -1;
	t = calloc(1, cost);
	if (!t)
		abort();
	put(put(t->text, &t->t.id, id), &t->t.user, user);
	t->t.cost = cost;
	t->t.next = all->first;
	all->first = &t->t;
	all->count++;
	all->bytes += cost;
	return 0;
}

static void grow(struct transaction *t)
{
	t->room = t->room ? t->room * 2 : SETS_FIRST;
	t->sets = realloc(t->sets, t->room * sizeof(t->sets[0]));
	if (!t->sets)
		abort();
	t->t.set = t->sets;
}

int dict_transaction_set(
    struct dict_transactions *all, struct span id, struct span key, struct span value)
{
	size_t cost = key.len + value.len + 2 * sizeof(struct dict_set);
	struct transaction *t = (struct transaction *)*find(all, id);
	struct dict_set *set;
	char *text;

	if (!t)
		return -1;
	if (t->t.nsets == DICT_SETS_MAX || !has_room(all, cost)) {
		t->t.failed = true;
		return -1;
	}
	text = malloc(key.len + value.len + 1);
	if (!text)
		abort();
	if (t->t.nsets == t->room)
		grow(t);
	t->texts[t->t.nsets] = text;
	set = &t->sets[t->t.nsets++];
	put(put(text, &set->key, key), &set->value, value);
	t->t.cost += cost;
	all->bytes += cost;
	return 0;
}

struct dict_transaction *dict_transaction_take(
    struct dict_transactions *all, struct span id)
{
	struct dict_transaction **at = find(all, id);
	struct dict_transaction *t = *at;

	if (!t)
		return NULL;
	*at = t->next;
	all->count--;
	all->bytes -= t->cost;
	return t;
}

void dict_transaction_free(struct dict_transaction *transaction)
{
	struct transaction *t = (struct transaction *)transaction;

	if (!t)
		return;
	for (size_t i = 0; i < t->t.nsets; i++)
		free(t->texts[i]);
	free(t->sets);
	free(t);
}

void dict_transactions_clear(struct dict_transactions *all)
{
	while (all->first)
		dict_transaction_free(dict_transaction_take(all, all->first->id));
}
