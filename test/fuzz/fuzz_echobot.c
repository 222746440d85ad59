/*
 * What the echo bot's client may write: lines, in any cut the same answers; and whatever
 * their results are as a message or as a chat, there is a verdict.
 */
#include <event2/buffer.h>

#include "chatmaild/echobot_message.h"
#include "chatmaild/rpc.h"
#include "test/fuzz/fuzz.h"

/* What came of a run: a hash over the answers, in order. */
struct digest {
	uint64_t sum;
	struct rpc_reader reader;
	enum rpc_input last;
};

static void add(struct digest *d, uint64_t value)
{
	d->sum = (d->sum ^ value) * 0x100000001b3U;
}

static void add_text(struct digest *d, const char *text)
{
	for (; *text; text++)
		add(d, (unsigned char)*text);
	add(d, 256);
}

static void judge(struct digest *d, const json_t *result, bool patient)
{
	struct echobot_message m;
	enum echobot_verdict verdict = echobot_judge(result, patient, &m);
	bool answers = verdict == ECHOBOT_ECHO || verdict == ECHOBOT_SAY_HELP;

	FUZZ_CHECK(answers == (m.answer != NULL));
	FUZZ_CHECK(!answers || (m.chat > 0 && m.sender > 9));
	FUZZ_CHECK(!answers || json_object_size(m.answer) > 0);
	FUZZ_CHECK(patient || (verdict != ECHOBOT_AWAIT && verdict != ECHOBOT_FETCH));
	add(d, verdict);
	add(d, (uint64_t)m.chat);
	echobot_message_deinit(&m);
	FUZZ_CHECK(!m.answer);
}

static void take(struct digest *d, const struct rpc_reply *reply)
{
	FUZZ_CHECK(reply->id > 0);
	add(d, reply->id);
	add(d, reply->result != NULL);
	add(d, reply->too_long);
	FUZZ_CHECK(!reply->too_long || !reply->result);
	if (!reply->result) {
		for (const char *p = reply->why; *p; p++)
			FUZZ_CHECK(*p >= ' ' && *p <= '~');
		FUZZ_CHECK(strlen(reply->why) < RPC_WHY_MAX);
		add_text(d, reply->why);
		return;
	}
	judge(d, reply->result, true);
	judge(d, reply->result, false);
	add(d, echobot_chat_is_ours(reply->result));
	if (json_is_string(reply->result))
		add(d, echobot_is_link(json_string_value(reply->result)));
}

static void drain(struct digest *d, struct evbuffer *in)
{
	struct rpc_reply reply;

	while (d->last != RPC_BROKEN &&
	       (d->last = rpc_read(&d->reader, in, &reply)) == RPC_REPLY) {
		take(d, &reply);
		rpc_reply_deinit(&reply);
	}
}

static struct digest run(const uint8_t *data, size_t size, uint64_t *seed)
{
	struct digest d = { .last = RPC_MORE };
	struct evbuffer *in = evbuffer_new();

	FUZZ_CHECK(in);
	while (size > 0 && d.last != RPC_BROKEN) {
		size_t n = seed ? fuzz_piece(seed, size) : size;

		FUZZ_CHECK(evbuffer_add(in, data, n) == 0);
		data += n;
		size -= n;
		drain(&d, in);
	}
	evbuffer_free(in);
	return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t seed = fuzz_seed(data, size);
	struct digest whole = run(data, size, NULL), cut = run(data, size, &seed);

	FUZZ_CHECK(whole.last == cut.last);
	FUZZ_CHECK(whole.sum == cut.sum);
	return 0;
}
