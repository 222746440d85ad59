/*
 * Mail addresses as a chatmail relay needs them: split at the one @, compared without
 * regard to ASCII case, fit to be a directory name. Not a parser of RFC 5322 (that is
 * GMime's, in milter/header.c).
 */
#ifndef PROTO_ADDRESS_H
#define PROTO_ADDRESS_H

#include "proto/span.h"

#define ADDRESS_MAX 320 /* bytes: 64 + @ + 255, RFC 5321 section 4.5.3.1, rounded */

/* True if there is exactly one @; both parts may be empty. */
bool address_split(struct span address, struct span *local, struct span *domain);

/* True if address is "<local>@<domain>" for this domain, compared byte by byte. */
bool address_in_domain(struct span address, const char *domain);

/*
 * Fit to be the name of a directory below the mailboxes: not empty, at most ADDRESS_MAX
 * bytes, holds an @, no '/', no NUL or other control byte, does not start with '.'.
 */
bool address_is_path(struct span address);

/* May a new account have this local part: [a-z0-9._-]+ with a letter or digit in it. */
bool address_local_creatable(struct span local);

/*
 * The mailbox that Postfix and Dovecot deliver a recipient to: lower-cased, "+detail" cut
 * from the local part. Writes a NUL-terminated string; returns its length, or -1 if it
 * does not fit size or address holds NUL.
 */
int address_mailbox(struct span address, char *buf, size_t size);

#endif
