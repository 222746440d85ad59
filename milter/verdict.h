/*
 * What the relay does with a mail: rules on facts that others found. Pure, so every
 * rule is one row of a test.
 */
#ifndef MILTER_VERDICT_H
#define MILTER_VERDICT_H

#include "milter/message.h"

#define VERDICT_REPLY_MAX   1024
#define VERDICT_UNENCRYPTED "523 Encryption Needed: Invalid Unencrypted Mail"

struct envelope {
	enum mail_direction direction;
	struct span mail_from; /* as it came, empty for <> */
	const struct span *rcpt_to;
	size_t nrcpt;
	/* Incoming: does one of the recipients insist on encryption (the caller looked
	 * for enforceE2EEincoming)? */
	bool enforced;
};

struct verdict_policy {
	/* NULL-terminated lists of config keys passthrough_*, or NULL: senders by their
	 * whole address, recipients also as "@domain". Letter case does not count. */
	const char *const *passthrough_senders;
	const char *const *passthrough_recipients;
};

enum verdict_action {
	VERDICT_WAIT, /* the body must be read on */
	VERDICT_PASS,
	VERDICT_REFUSE,
};

/* Why, for counters and the log lines that monitoring reads. */
enum verdict_reason {
	VERDICT_IS_ENCRYPTED, /* secure-join included */
	VERDICT_IS_BOUNCE,
	VERDICT_IS_ALLOWED,    /* cleartext that a rule lets through */
	VERDICT_NO_FROM,       /* 500 Invalid FROM header */
	VERDICT_WRONG_FROM,    /* 500 Invalid FROM <> for <> */
	VERDICT_NOT_ENCRYPTED, /* 523 */
	VERDICT_BROKEN,        /* message_broken() */
	VERDICT_REASONS,
};

struct verdict {
	enum verdict_action action;
	enum verdict_reason reason;
	/* For re-injection: drop the envelope sender, because From is another address.
	 * Only incoming, where forwarders are welcome; it never refuses a mail. */
	bool null_sender;
	char reply[VERDICT_REPLY_MAX]; /* of a refusal: code and text, no line end */
};

/* Ask at any time once message_classified(), and at the end. */
void verdict_decide(struct verdict *v, const struct envelope *e,
    const struct message *m, const struct verdict_policy *p);

#endif
