/*
 * One mail as it streams by: its header block, what it claims to be, and whether its
 * body proves the claim. Pure: bytes in, answers out, memory bounded by HEADER_MAX plus
 * a constant whatever the size of the mail.
 *
 * Classify first, verify while streaming: the header block decides the kind once, the
 * recognizer of that kind then only accepts or rejects what follows.
 */
#ifndef MILTER_MESSAGE_H
#define MILTER_MESSAGE_H

#include "proto/span.h"

enum mail_direction {
	MAIL_OUTGOING,
	MAIL_INCOMING,
};

enum mail_kind {
	MAIL_CLEARTEXT,     /* whatever is none of the others */
	MAIL_ENCRYPTED,     /* RFC 3156 PGP/MIME */
	MAIL_SECUREJOIN,    /* the one cleartext step of that handshake */
	MAIL_BOUNCE,        /* incoming delivery report, by its header block */
	MAIL_SETUP_MESSAGE, /* outgoing Autocrypt Setup Message, by its header block */
};

struct message;

struct message *message_create(enum mail_direction direction);
void message_destroy(struct message *m);

/*
 * Unstuffed bytes of the mail, in any cut. Returns how many of them, the first ones,
 * went to the header block; those behind it are looked at and not kept. message_end()
 * once, after the last byte.
 */
size_t message_feed(struct message *m, struct span text);
void message_end(struct message *m);

/*
 * The header block as far as it came, blank line included, for who sends the mail on
 * and need not hold a second one. Borrowed until the next bytes are fed, or given away
 * by message_steal_head(), which may be called once it is message_classified(): for
 * free(), NULL if there is none. None is there once it was stolen, or if
 * message_broken().
 */
struct span message_head(const struct message *m);
char *message_steal_head(struct message *m);

/* The header block is complete (or will never be): the questions below have answers. */
bool message_classified(const struct message *m);

/*
 * NULL, or what is wrong with the mail whatever the policy says, an SMTP reply with its
 * code: "552 5.3.4 Header too long", "500 Invalid DATA" (no header block that all
 * readers see alike, or none at all). Only ever set before message_classified() turns
 * true.
 */
const char *message_broken(const struct message *m);

/* What the header block claims. */
enum mail_kind message_kind(const struct message *m);

/*
 * Does the body hold what message_kind() claims? MORE while undecided, and until
 * message_end() at the least for kinds that have a recognizer; REFUTED as soon as it is
 * sure. Kinds without a body rule are PROVEN once classified; MAIL_CLEARTEXT is
 * REFUTED.
 */
enum mail_proof {
	MAIL_PROOF_MORE,
	MAIL_PROOF_PROVEN,
	MAIL_PROOF_REFUTED,
};
enum mail_proof message_proof(const struct message *m);

/* Why it was refuted, a literal for the debug log ("armor: text behind the end"). */
const char *message_reason(const struct message *m);

/* The From address as it came, or NULL and *why: a literal, "" if there is none. */
const char *message_from(const struct message *m, const char **why);

#endif
