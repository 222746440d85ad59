/*
 * Memory that is freed all at once.
 */
#ifndef DEPLOY_FACTS_POOL_H
#define DEPLOY_FACTS_POOL_H

#include <stddef.h>

struct facts_pool {
	struct facts_block *blocks;
};

/* n items of size bytes, all zero; n may be 0. */
void *facts_pool_take(struct facts_pool *pool, size_t n, size_t size);
char *facts_pool_copy(struct facts_pool *pool, const char *data, size_t len);
void facts_pool_free(struct facts_pool *pool);

#endif
