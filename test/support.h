/*
 * What every test may use: tables of named cases, bytes in every cut, temporary
 * folders, test data, a connected socket pair, a loop with a deadline. Helpers fail the
 * running test when the machine does not play along, so callers check nothing.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

/* cmocka.h asks for the first four. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "proto/span.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Tables of cases. Every row is a test of its own: the report names it, and a row that
 * fails does not hide the next one.
 *
 *	static const struct split_case {
 *		const char *name;           first member of every row
 *		const char *input, *local;
 *	} split_cases[] = { { "plain", "a@b", "a" }, ... };
 *
 *	static void split(void **state)
 *	{
 *		const struct split_case *c = *state;
 *		...
 *	}
 *
 *	int main(void)
 *	{
 *		static const struct support_test tests[] = {
 *			{ SUPPORT_TABLE(split, split_cases) },
 *			{ SUPPORT_TEST(split_of_nothing) },
 *		};
 *		return support_run("address", tests, ARRAY_LEN(tests));
 *	}
 */
struct support_test {
	const char *name;
	CMUnitTestFunction run;
	const void *rows; /* NULL: one test without a row, *state is NULL */
	size_t nrows;
	size_t row_size;
};

#define SUPPORT_TEST(run)        #run, run, NULL, 1, 0
#define SUPPORT_TABLE(run, rows) #run, run, rows, ARRAY_LEN(rows), sizeof((rows)[0])

/* Run them all; returns what main() should: the number of failures, at most 255. */
int support_run(const char *group, const struct support_test *tests, size_t ntests);

/*
 * Bytes in every cut, for stream codecs: whole, byte by byte, every cut in two (short
 * inputs only), and some random ones, the same in every run. Each piece lies in memory
 * of its own size that is gone after feed(), so that the sanitizers see a read past its
 * end and a borrowed pointer kept too long.
 */
struct support_feeder {
	void (*begin)(void *arg); /* start over; may be NULL */
	void (*feed)(void *arg, const char *bytes, size_t len);
	/* All fed: compare. cut tells how it was cut ("whole", "in two at 7", ...). */
	void (*end)(void *arg, const char *cut);
};

void support_every_cut(
    const struct support_feeder *feeder, void *arg, const char *bytes, size_t len);

/* A pseudo-random number below n, n > 0; *seed is the state, any value starts a run. */
uint32_t support_random(uint64_t *seed, uint32_t n);

/* A new empty folder; the caller gives its path back to support_tmpdir_remove(). */
char *support_tmpdir(void);

/* Remove the folder with all that is in it, and free path. NULL does nothing. */
void support_tmpdir_remove(char *path);

/* "dir/name" in malloc()ed memory. */
char *support_path(const char *dir, const char *name);

/* Write a file, making or replacing it (mode 0600). */
void support_write_file(const char *path, struct span text);

/* A whole file; a NUL that len does not count follows its bytes. free(data) after use.
 */
struct support_text {
	char *data;
	size_t len;
};
struct support_text support_read_file(const char *path);

/* The same of test/data/NAME, found by the environment variable CHATMAIL_TEST_DATA. */
struct support_text support_read_data(const char *name);

/* Assert that both hold the same bytes; what failed is printed in full. */
void support_assert_span(struct span got, struct span want);

/* Two connected UNIX stream sockets, non-blocking and closed on exec. */
void support_socketpair(int fd[2]);

/*
 * Turn the loop until done() says so. Fails the test after ten seconds: long enough for
 * a busy machine, and never waited for by a test that passes.
 */
struct event_base;
void support_loop(struct event_base *base, bool (*done)(void *arg), void *arg);

#endif
