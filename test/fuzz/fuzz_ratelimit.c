/* The rate limit against a plain list: each octet is a sender and a step of time. */
#include "milter/ratelimit.h"
#include "test/fuzz/fuzz.h"

#define SENDERS     8
#define PER_MINUTE  60
#define BURST       3
#define INTERVAL_US INT64_C(1000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Room for all: then the table's answers are exact. */
	struct ratelimit *r = ratelimit_create(SENDERS);
	/* And one too small, which forgets: only its bounds hold. */
	struct ratelimit *small = ratelimit_create(SENDERS / 4);
	int64_t tat[SENDERS] = { 0 }, now = 0;

	ratelimit_configure(r, PER_MINUTE, BURST);
	ratelimit_configure(small, PER_MINUTE, BURST);
	for (size_t i = 0; i < size; i++) {
		unsigned who = data[i] % SENDERS;
		char name[] = { 'a', (char)((data[i] & 8 ? 'A' : 'a') + who) };
		struct span sender = span_make(name, sizeof(name));
		int64_t wait = -1;
		bool taken;

		now += (data[i] >> 4) * (INTERVAL_US / 8);
		if (tat[who] < now)
			tat[who] = now;
		taken = ratelimit_take(r, sender, now, &wait);
		FUZZ_CHECK(taken == (tat[who] - now <= (BURST - 1) * INTERVAL_US));
		FUZZ_CHECK(taken || wait == tat[who] - (BURST - 1) * INTERVAL_US - now);
		FUZZ_CHECK(ratelimit_take(small, sender, now, &wait) ||
			   (wait > 0 && wait <= INTERVAL_US));
		if (taken)
			tat[who] += INTERVAL_US;
	}
	ratelimit_destroy(r);
	ratelimit_destroy(small);
	return 0;
}
