/*
 * How fast message_feed() recognizes PGP/MIME: one large mail, fed again and again in
 *the pieces a socket gives.
 *
 *	bench_recognize [BYTES [PIECE_BYTES [ROUNDS]]]
 *
 * The limit is 1 GB of message bytes per second of CPU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "milter/message.h"
#include "test/bench/mail.h"

#define LIMIT_BYTES_PER_SECOND 1e9

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool recognize(struct span mail, size_t piece)
{
	struct message *m = message_create(MAIL_OUTGOING);
	bool proven;

	while (mail.len) {
		size_t n = mail.len < piece ? mail.len : piece;

		message_feed(m, span_make(mail.data, n));
		mail = span_skip(mail, n);
	}
	message_end(m);
	proven = message_proof(m) == MAIL_PROOF_PROVEN;
	if (!proven)
		fprintf(stderr, "refuted: %s\n", message_reason(m));
	message_destroy(m);
	return proven;
}

static unsigned long argument(int argc, char **argv, int n, unsigned long otherwise)
{
	unsigned long value = argc > n ? strtoul(argv[n], NULL, 10) : 0;

	return value ? value : otherwise;
}

int main(int argc, char **argv)
{
	size_t size = argument(argc, argv, 1, 30000000);
	size_t piece = argument(argc, argv, 2, 4096);
	unsigned long rounds = argument(argc, argv, 3, 50);
	size_t len;
	char *mail = mail_make("alice@example.org", size, &len);
	double start, seconds, rate;

	len -= strlen(".\r\n"); /* the end of data */
	start = cpu_seconds();
	for (unsigned long i = 0; i < rounds; i++)
		if (!recognize(span_make(mail, len), piece))
			return 1;
	seconds = cpu_seconds() - start;
	rate = (double)len * (double)rounds / seconds;
	printf("%zu bytes in pieces of %zu: %.2f GB/s (limit %.2f), %.1f us each\n",
	    len, piece, rate / 1e9, LIMIT_BYTES_PER_SECOND / 1e9,
	    seconds / (double)rounds * 1e6);
	free(mail);
	return rate < LIMIT_BYTES_PER_SECOND;
}
