/*
 * A mail as it streams by. Collects the header block and classifies it once; then hands
 * the body to the one recognizer that the claim needs.
 */
#include "milter/message.h"

#include <stdlib.h>

#include "milter/gather.h"
#include "milter/header.h"
#include "milter/part.h"
#include "milter/pgpmime.h"
#include "milter/securejoin.h"

#define SETUP_SUBJECT "Autocrypt Setup Message"
#define BOUNCE_SENDER "mailer-daemon@"

struct message {
	enum mail_direction direction;
	bool classified;
	enum mail_kind kind;
	enum mail_proof proof;
	const char *broken;
	const char *reason;
	char *from; /* owned, or NULL and from_why */
	const char *from_why;
	struct gather head; /* the header block until it is stolen */
	size_t line;        /* where its last line begins */
	union {
		struct pgpmime pgpmime;
		struct securejoin securejoin;
	} body; /* by kind */
};

struct message *message_create(enum mail_direction direction)
{
	struct message *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->direction = direction;
	return m;
}

static void forget_body(struct message *m)
{
	if (m->kind == MAIL_ENCRYPTED)
		pgpmime_deinit(&m->body.pgpmime);
	else if (m->kind == MAIL_SECUREJOIN)
		securejoin_deinit(&m->body.securejoin);
}

void message_destroy(struct message *m)
{
	if (!m)
		return;
	forget_body(m);
	free(m->from);
	gather_deinit(&m->head);
	free(m);
}

static void refute(struct message *m, const char *why)
{
	m->proof = MAIL_PROOF_REFUTED;
	m->reason = why;
}

/* Nothing will be asked of this mail but why. */
static void break_off(struct message *m, const char *reply, const char *why)
{
	m->broken = reply;
	m->kind = MAIL_CLEARTEXT;
	m->classified = true;
	m->from_why = "";
	refute(m, why);
	gather_deinit(&m->head);
}

static void read_from(struct message *m, const struct header *h)
{
	char address[HEADER_ADDRESS_MAX];

	m->from_why = header_from(h, address, sizeof(address));
	if (m->from_why)
		return;
	m->from = strdup(address);
	if (!m->from)
		abort();
}

/* RFC 3834 says who sends these; what they quote is not looked at. */
static bool is_bounce(
    const struct message *m, const struct header *h, const struct content_type *ct)
{
	struct span submitted = header_get(h, "Auto-Submitted", 0);

	return m->direction == MAIL_INCOMING && m->from &&
	       span_starts_nocase(span_of(m->from), BOUNCE_SENDER) && submitted.data &&
	       span_trim(submitted).len && content_type_is(ct, "multipart", "report");
}

/* Autocrypt level 1, section 4.4: what a client sends to its own second device. */
static bool is_setup_message(
    const struct message *m, const struct header *h, const struct content_type *ct)
{
	char subject[sizeof(SETUP_SUBJECT) + 1];

	if (m->direction != MAIL_OUTGOING || header_count(h, "Subject") != 1 ||
	    !content_type_is(ct, "multipart", "mixed"))
		return false;
	header_decode(header_get(h, "Subject", 0), subject, sizeof(subject));
	return strcmp(subject, SETUP_SUBJECT) == 0;
}

static enum mail_kind claim(
    const struct message *m, const struct header *h, const struct content_type *ct)
{
	if (content_type_is(ct, "multipart", "encrypted"))
		return MAIL_ENCRYPTED;
	if (strcmp(ct->type, "multipart") == 0 && header_count(h, "Secure-Join") == 1 &&
	    securejoin_asked(header_get(h, "Secure-Join", 0)))
		return MAIL_SECUREJOIN;
	if (is_bounce(m, h, ct))
		return MAIL_BOUNCE;
	if (is_setup_message(m, h, ct))
		return MAIL_SETUP_MESSAGE;
	return MAIL_CLEARTEXT;
}

/* The kind is decided: begin its proof. */
static void begin_proof(struct message *m, const struct part *top)
{
	bool incoming = m->direction == MAIL_INCOMING;
	struct span boundary = span_of(top->type.boundary);
	const char *why = NULL;

	m->proof = MAIL_PROOF_MORE;
	switch (m->kind) {
	case MAIL_CLEARTEXT:
		why = "cleartext";
		break;
	case MAIL_ENCRYPTED:
		why = pgpmime_init(&m->body.pgpmime, boundary, incoming);
		break;
	case MAIL_SECUREJOIN:
		why = securejoin_init(&m->body.securejoin, boundary);
		break;
	case MAIL_BOUNCE:
	case MAIL_SETUP_MESSAGE:
		m->proof = MAIL_PROOF_PROVEN;
		break;
	}
	/* RFC 2045 section 6.4: a multipart is never encoded as a whole. */
	if (!why && top->encoding != TRANSFER_IDENTITY)
		why = "mime: encoded multipart";
	if (why)
		refute(m, why);
}

static void classify(struct message *m)
{
	struct header h;
	struct part top;
	const char *why = header_parse(&h, gather_span(&m->head));

	if (why) {
		break_off(m, "500 Invalid DATA", why);
		return;
	}
	read_from(m, &h);
	why = part_read(&top, &h);
	m->kind = why ? MAIL_CLEARTEXT : claim(m, &h, &top.type);
	header_deinit(&h);
	if (why)
		refute(m, why);
	else
		begin_proof(m, &top);
	m->classified = true;
}

/* One line of the header block, or what there is of it. Returns how many were used. */
static size_t feed_head(struct message *m, struct span text)
{
	const char *lf = memchr(text.data, '\n', text.len);
	size_t n = lf ? (size_t)(lf - text.data) + 1 : text.len;
	bool blank;

	if (m->head.len + n > HEADER_MAX) {
		break_off(m, "552 5.3.4 Header too long", "header: too long");
		return n;
	}
	gather_add(&m->head, span_make(text.data, n));
	if (lf) {
		blank = span_is(span_skip(gather_span(&m->head), m->line), "\r\n");
		m->line = m->head.len;
		if (blank)
			classify(m);
	}
	return n;
}

/* Bytes behind the header block. */
static void feed_body(struct message *m, struct span text)
{
	const char *why = NULL;

	if (m->proof != MAIL_PROOF_MORE || text.len == 0)
		return;
	if (m->kind == MAIL_ENCRYPTED)
		why = pgpmime_feed(&m->body.pgpmime, text);
	else
		why = securejoin_feed(&m->body.securejoin, text);
	if (why)
		refute(m, why);
}

size_t message_feed(struct message *m, struct span text)
{
	size_t head = 0;

	while (!m->classified && head < text.len)
		head += feed_head(m, span_skip(text, head));
	feed_body(m, span_skip(text, head));
	return head;
}

void message_end(struct message *m)
{
	const char *why = NULL;

	if (!m->classified)
		classify(m);
	if (m->proof != MAIL_PROOF_MORE)
		return;
	if (m->kind == MAIL_ENCRYPTED)
		why = pgpmime_end(&m->body.pgpmime);
	else
		why = securejoin_end(&m->body.securejoin);
	if (why)
		refute(m, why);
	else
		m->proof = MAIL_PROOF_PROVEN;
}

struct span message_head(const struct message *m)
{
	return gather_span(&m->head);
}

char *message_steal_head(struct message *m)
{
	char *head = m->head.data;

	m->head = (struct gather){ .len = 0 };
	return head;
}

bool message_classified(const struct message *m)
{
	return m->classified;
}

const char *message_broken(const struct message *m)
{
	return m->broken;
}

enum mail_kind message_kind(const struct message *m)
{
	return m->kind;
}

enum mail_proof message_proof(const struct message *m)
{
	return m->proof;
}

const char *message_reason(const struct message *m)
{
	return m->reason;
}

const char *message_from(const struct message *m, const char **why)
{
	*why = m->from_why;
	return m->from;
}
