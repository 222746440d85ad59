/*
 * What fuzz targets share. A target is one function, LLVMFuzzerTestOneInput(), in a
 * file fuzz_NAME.c; it runs under libFuzzer (scripts/fuzz), and in every build over its
 * seeds (replay.c).
 */
#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns 0; aborts when an invariant does not hold. data may be NULL if size is 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): a target must find its bugs in every kind of build. */
#define FUZZ_CHECK(condition)                                                          \
	do {                                                                           \
		if (!(condition)) {                                                    \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__,         \
			    __LINE__, #condition);                                     \
			abort();                                                       \
		}                                                                      \
	} while (0)

/* A copy of its own size, so that the sanitizers see a read past its end; free() it. */
static inline char *fuzz_copy(const void *data, size_t size)
{
	char *copy = malloc(size ? size : 1);

	FUZZ_CHECK(copy);
	if (size)
		memcpy(copy, data, size);
	return copy;
}

/* Pseudo-random, below n, n > 0. Any seed starts a sequence. */
static inline size_t fuzz_random(uint64_t *seed, size_t n)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15U; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return (size_t)((z ^ (z >> 31)) % n);
}

/* A seed that depends on the input alone, so that a crash is a crash again. */
static inline uint64_t fuzz_seed(const uint8_t *data, size_t size)
{
	uint64_t seed = size;

	for (size_t i = 0; i < size && i < 64; i++)
		seed = seed * 31 + data[i];
	return seed;
}

/*
 * How many of the left bytes to feed next, to see the same events in any cut: mostly a
 * few, at times many. left > 0.
 */
static inline size_t fuzz_piece(uint64_t *seed, size_t left)
{
	size_t n = 1 + fuzz_random(seed, fuzz_random(seed, 4) ? 4 : 300);

	return n < left ? n : left;
}

#endif
