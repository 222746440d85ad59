/* A whole mail, both directions: the same answers in any cut, none of them taken back. */
#include "milter/message.h"
#include "milter/verdict.h"
#include "test/fuzz/fuzz.h"

struct answers {
	const char *broken, *reason;
	enum mail_kind kind;
	enum mail_proof proof;
	struct verdict verdict;
};

/* Returns how many of them were of the header block. */
static size_t feed(struct message *m, const char *text, size_t size)
{
	enum mail_proof proof = message_proof(m);
	enum mail_kind kind = message_kind(m);
	bool classified = message_classified(m);
	size_t head = message_feed(m, span_make(text, size));

	FUZZ_CHECK(head <= size && (head == 0 || !classified));
	FUZZ_CHECK(head == size || message_classified(m));
	FUZZ_CHECK(!classified || (message_classified(m) && message_kind(m) == kind));
	FUZZ_CHECK(proof == MAIL_PROOF_MORE || message_proof(m) == proof);
	return head;
}

/* seed NULL: whole. */
static struct answers read_mail(
    enum mail_direction direction, const uint8_t *data, size_t size, uint64_t *seed)
{
	static const char *const nobody[] = { NULL };
	static const struct verdict_policy policy = { nobody, nobody };
	struct span rcpt = span_of("b@y");
	struct envelope e = { .direction = direction,
		.mail_from = span_of("a@x"),
		.rcpt_to = &rcpt,
		.nrcpt = 1,
		.enforced = true };
	struct message *m = message_create(direction);
	struct answers a = { 0 };
	size_t head = 0;

	for (size_t at = 0; at < size;) {
		size_t n = seed ? fuzz_piece(seed, size - at) : size - at;
		char *piece = fuzz_copy(data + at, n);

		head += feed(m, piece, n);
		free(piece);
		at += n;
	}
	message_end(m);
	a.broken = message_broken(m);
	a.reason = message_reason(m);
	a.kind = message_kind(m);
	a.proof = message_proof(m);
	verdict_decide(&a.verdict, &e, m, &policy);
	FUZZ_CHECK(a.broken ? message_head(m).len == 0
			    : span_equal(message_head(m),
				  span_make((const char *)data, head)));
	FUZZ_CHECK(a.proof != MAIL_PROOF_MORE);
	FUZZ_CHECK((a.proof == MAIL_PROOF_REFUTED) == (a.reason != NULL));
	FUZZ_CHECK(!a.broken || a.proof == MAIL_PROOF_REFUTED);
	FUZZ_CHECK(a.verdict.action != VERDICT_WAIT);
	for (const char *p = a.verdict.reply; *p; p++)
		FUZZ_CHECK(*p >= ' ' && *p <= '~');
	message_destroy(m);
	return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t seed = size;

	for (int direction = MAIL_OUTGOING; direction <= MAIL_INCOMING; direction++) {
		struct answers whole = read_mail(direction, data, size, NULL);
		struct answers cut = read_mail(direction, data, size, &seed);

		FUZZ_CHECK(whole.broken == cut.broken && whole.reason == cut.reason);
		FUZZ_CHECK(whole.kind == cut.kind && whole.proof == cut.proof);
		FUZZ_CHECK(whole.verdict.action == cut.verdict.action);
		FUZZ_CHECK(strcmp(whole.verdict.reply, cut.verdict.reply) == 0);
	}
	return 0;
}
