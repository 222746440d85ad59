/*
 * Does a mail of the relay's carry a signature that others can verify? With OpenDKIM's
 * library, which many of them verify by.
 */
#ifndef DEPLOY_DOCTOR_DKIM_H
#define DEPLOY_DOCTOR_DKIM_H

#include "proto/span.h"

#define DOCTOR_WHY_MAX 160

enum doctor_signature {
	SIGNATURE_GOOD,
	SIGNATURE_NONE, /* none of this domain */
	SIGNATURE_BAD,
	SIGNATURE_UNKNOWN, /* the library could not begin */
};

/*
 * message: whole, lines that end in CRLF. record: the key as the DNS has it, "v=DKIM1; ...".
 * RFC 6376 section 6.1. why tells what is bad.
 */
enum doctor_signature doctor_verify(struct span message, const char *domain,
    const char *record, char why[DOCTOR_WHY_MAX]);

/*
 * The header of the message that a report of non-delivery returns, RFC 3464, without the line
 * that ends it; borrowed. False if there is none.
 */
bool doctor_returned(struct span report, struct span *header);

/* The text of a TXT record in the form of a zone file ("TXT \"a\" \"b\"", as dns_result's
 * found): what is between quotes, put together. free() it. */
char *doctor_join_text(const char *found);

#endif
