/* Armor: runs and single octets agree, and what is accepted keeps the grammar. */
#include "milter/openpgp.h"
#include "test/fuzz/fuzz.h"

/* seed NULL: whole; step: pieces of one byte. */
static const char *feed(
    const uint8_t *data, size_t size, bool version, uint64_t *seed, bool step)
{
	struct openpgp o;
	const char *why = NULL;

	openpgp_init(&o, version);
	for (size_t at = 0; !why && at < size;) {
		size_t n = seed ? fuzz_piece(seed, size - at) : step ? 1 : size - at;
		char *piece = fuzz_copy(data + at, n);

		why = openpgp_feed(&o, span_make(piece, n));
		free(piece);
		at += n;
	}
	return why ? why : openpgp_end(&o);
}

/* Nothing but base64, the two lines and CRLF can be in an accepted text. */
static void check_accepted(const uint8_t *data, size_t size)
{
	static const char begin[] = "-----BEGIN PGP MESSAGE-----\r\n";
	static const char end[] = "\r\n-----END PGP MESSAGE-----";
	char *text = fuzz_copy(data, size), *tail;
	size_t n = size;

	while (n >= 2 && memcmp(text + n - 2, "\r\n", 2) == 0)
		n -= 2;
	FUZZ_CHECK(n > strlen(begin) + strlen(end));
	FUZZ_CHECK(memcmp(text, begin, strlen(begin)) == 0);
	tail = text + n - strlen(end);
	FUZZ_CHECK(memcmp(tail, end, strlen(end)) == 0);
	for (const char *p = text + strlen(begin); p < tail; p++)
		FUZZ_CHECK(
		    *p && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789+/=\r\n",
			      *p));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t seed = size;

	for (int version = 0; version < 2; version++) {
		const char *whole = feed(data, size, version, NULL, false);

		FUZZ_CHECK(feed(data, size, version, NULL, true) == whole);
		FUZZ_CHECK(feed(data, size, version, &seed, false) == whole);
		if (!whole && !version) {
			check_accepted(data, size);
			/* Who accepts versions accepts no less. */
			FUZZ_CHECK(feed(data, size, true, NULL, false) == NULL);
		}
	}
	return 0;
}
