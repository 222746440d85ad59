/* Answers of a TURN server: what is taken from one lies within it, and can be sent back. */
#include "deploy/stun.h"
#include "test/fuzz/fuzz.h"

static void check_within(struct span s, struct span packet)
{
	FUZZ_CHECK(s.len == 0 || (s.data >= packet.data &&
				     s.data + s.len <= packet.data + packet.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t id[STUN_ID_SIZE] = "abcdefghijkl";
	char *copy = fuzz_copy(data, size);
	struct span packet = span_make(copy, size);
	struct stun_credentials c = { span_of("user"), span_of("password"), span_of(""),
		span_of("") };
	uint8_t request[STUN_MAX];
	struct stun_reply reply;

	if (!stun_parse(&reply, packet, STUN_ALLOCATE, id)) {
		FUZZ_CHECK(reply.success || (reply.error >= 300 && reply.error < 700));
		check_within(reply.realm, packet);
		check_within(reply.nonce, packet);
		c.realm = reply.realm;
		c.nonce = reply.nonce;
		FUZZ_CHECK(stun_write(request, STUN_REFRESH, id, &c) <= STUN_MAX);
	}
	free(copy);
	return 0;
}
