/*
 * The rules. Read decide_outgoing() and decide_incoming() top to bottom: the first row
 * that fits decides.
 */
#include "milter/verdict.h"

#include <stdio.h>

#include "proto/address.h"

static void pass(struct verdict *v, enum verdict_reason reason)
{
	v->action = VERDICT_PASS;
	v->reason = reason;
}

static void refuse(struct verdict *v, enum verdict_reason reason)
{
	v->action = VERDICT_REFUSE;
	v->reason = reason;
	if (reason == VERDICT_NOT_ENCRYPTED)
		snprintf(v->reply, sizeof(v->reply), "%s", VERDICT_UNENCRYPTED);
}

/* What a stranger wrote, fit for a reply line: bounded, printable ASCII. */
static const char *quotable(char buf[ADDRESS_MAX + 1], struct span s)
{
	size_t n = s.len < ADDRESS_MAX ? s.len : ADDRESS_MAX;

	for (size_t i = 0; i < n; i++)
		buf[i] = s.data[i];
	for (size_t i = 0; i < n; i++)
		if (buf[i] < ' ' || buf[i] > '~')
			buf[i] = '?';
	buf[n] = '\0';
	return buf;
}

static void refuse_from(struct verdict *v, struct span from, struct span mail_from)
{
	char theirs[ADDRESS_MAX + 1], envelope[ADDRESS_MAX + 1];

	refuse(v, VERDICT_WRONG_FROM);
	snprintf(v->reply, sizeof(v->reply), "500 Invalid FROM <%s> for <%s>",
	    quotable(theirs, from), quotable(envelope, mail_from));
}

static bool listed(const char *const *list, struct span address)
{
	for (; list && *list; list++)
		if (span_is_nocase(address, *list))
			return true;
	return false;
}

/* Does the local part name somebody, and no route to somebody elsewhere ("a%x.y@ours")? */
static bool is_plain(struct span address)
{
	struct span local, domain;

	if (!address_split(address, &local, &domain) || local.len == 0)
		return false;
	for (size_t i = 0; i < local.len; i++)
		if (!local.data[i] || strchr("\"()<>[]\\,;:!% ", local.data[i]))
			return false;
	return true;
}

/* An item is an address, or "@domain" for all of that domain but not its subdomains. */
static bool covered(const char *const *list, struct span address)
{
	bool plain = is_plain(address);

	for (; list && *list; list++) {
		struct span item = span_of(*list);

		if (span_equal_nocase(address, item))
			return true;
		if (plain && span_starts(item, "@") && address.len >= item.len &&
		    span_equal_nocase(span_skip(address, address.len - item.len), item))
			return true;
	}
	return false;
}

static bool all_covered(const char *const *list, const struct envelope *e)
{
	for (size_t i = 0; i < e->nrcpt; i++)
		if (!covered(list, e->rcpt_to[i]))
			return false;
	return e->nrcpt > 0;
}

/* Encrypted or a handshake: true if the claim decides, or will when more was read. */
static bool decide_claim(struct verdict *v, const struct message *m)
{
	enum mail_kind kind = message_kind(m);

	if (kind != MAIL_ENCRYPTED && kind != MAIL_SECUREJOIN)
		return false;
	if (message_proof(m) == MAIL_PROOF_MORE)
		v->action = VERDICT_WAIT;
	else if (message_proof(m) == MAIL_PROOF_PROVEN)
		pass(v, VERDICT_IS_ENCRYPTED);
	return message_proof(m) != MAIL_PROOF_REFUTED;
}

static void decide_outgoing(struct verdict *v, const struct envelope *e,
    struct span from, const struct message *m, const struct verdict_policy *p)
{
	if (!span_equal_nocase(from, e->mail_from))
		refuse_from(v, from, e->mail_from);
	else if (decide_claim(v, m))
		return;
	else if (listed(p->passthrough_senders, e->mail_from))
		pass(v, VERDICT_IS_ALLOWED);
	else if (message_kind(m) == MAIL_SETUP_MESSAGE && e->nrcpt == 1 &&
		 span_equal_nocase(e->rcpt_to[0], from))
		pass(v, VERDICT_IS_ALLOWED);
	else if (all_covered(p->passthrough_recipients, e))
		pass(v, VERDICT_IS_ALLOWED);
	else
		refuse(v, VERDICT_NOT_ENCRYPTED);
}

static void decide_incoming(struct verdict *v, const struct envelope *e,
    struct span from, const struct message *m)
{
	/* Forwarders and SRS write another sender. Nobody has shown that it is theirs,
	 * so a bounce of ours must not go there. */
	v->null_sender = e->mail_from.len && !span_equal_nocase(from, e->mail_from);
	if (decide_claim(v, m))
		return;
	if (message_kind(m) == MAIL_BOUNCE)
		pass(v, VERDICT_IS_BOUNCE);
	else if (!e->enforced)
		pass(v, VERDICT_IS_ALLOWED);
	else
		refuse(v, VERDICT_NOT_ENCRYPTED);
}

void verdict_decide(struct verdict *v, const struct envelope *e,
    const struct message *m, const struct verdict_policy *p)
{
	const char *why = NULL, *from;

	v->action = VERDICT_WAIT;
	v->reason = VERDICT_NOT_ENCRYPTED;
	v->null_sender = false;
	v->reply[0] = '\0';
	if (!message_classified(m))
		return;
	from = message_from(m, &why);
	if (message_broken(m)) {
		refuse(v, VERDICT_BROKEN);
		snprintf(v->reply, sizeof(v->reply), "%s", message_broken(m));
	} else if (!from) {
		refuse(v, VERDICT_NO_FROM);
		snprintf(
		    v->reply, sizeof(v->reply), "500 Invalid FROM header: %s", why);
	} else if (e->direction == MAIL_OUTGOING) {
		decide_outgoing(v, e, span_of(from), m, p);
	} else {
		decide_incoming(v, e, span_of(from), m);
	}
}
