/*
 * Mail addresses as a chatmail relay needs them: split at the one @, put into the one
 * form that names a mailbox, fit to be a directory name. Not a parser of RFC 5322 (that
 * is GMime's, in milter/header.c). An IPv4 relay's domain is a literal, "[192.0.2.1]".
 */
#ifndef PROTO_ADDRESS_H
#define PROTO_ADDRESS_H

#include "proto/span.h"

#define ADDRESS_MAX      320 /* bytes: 64 + @ + 255, RFC 5321 section 4.5.3.1 */
#define ADDRESS_PATH_MAX 255 /* bytes: NAME_MAX of every Linux file system */

/* True if there is exactly one @; both parts may be empty. */
bool address_split(struct span address, struct span *local, struct span *domain);

/*
 * True if address ends in "@<domain>", compared byte by byte. What stands before it may
 * be anything; whoever creates accounts also asks address_split().
 */
bool address_in_domain(struct span address, const char *domain);

/*
 * Fit to be the name of a directory below the mailboxes: not empty, at most
 * ADDRESS_PATH_MAX bytes, holds an @, no '/', no NUL or other control byte, does not
 * start with '.'.
 */
bool address_is_path(struct span address);

/* May a new account have this local part: [a-z0-9._-]+ with a letter or digit in it. */
bool address_local_creatable(struct span local);

/*
 * The mailbox that Postfix and Dovecot deliver a recipient to, so that no spelling of
 * an address gets around a rule of its mailbox: the local part unquoted (RFC 5321
 * section 4.1.2) and its "+detail" cut, ASCII letters lower-cased, a dot at the end of
 * the domain dropped. The result may hold anything else; address_is_path() tells if it
 * names one.
 *
 * Writes a NUL-terminated string; size of address.len + 1 is always enough. Returns its
 * length, or -1 if it does not fit, address holds NUL, or a quote does not end.
 */
int address_mailbox(struct span address, char *buf, size_t size);

#endif
