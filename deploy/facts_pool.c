/* Memory that is freed all at once. */
#include "deploy/facts_pool.h"

#include <stdlib.h>
#include <string.h>

struct facts_block {
	struct facts_block *next;
	_Alignas(max_align_t) char data[];
};

void *facts_pool_take(struct facts_pool *pool, size_t n, size_t size)
{
	struct facts_block *block;
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof(*block), &bytes))
		abort();
	block = calloc(1, bytes);
	if (!block)
		abort();
	block->next = pool->blocks;
	pool->blocks = block;
	return block->data;
}

char *facts_pool_copy(struct facts_pool *pool, const char *data, size_t len)
{
	char *copy = facts_pool_take(pool, len + 1, 1);

	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

void facts_pool_free(struct facts_pool *pool)
{
	while (pool->blocks) {
		struct facts_block *block = pool->blocks;

		pool->blocks = block->next;
		free(block);
	}
}
