/*
 * Is a text exactly one OpenPGP encrypted message in ASCII armor? RFC 9580 section 6.2,
 * in a grammar so strict that no text fits in beside the message:
 *
 *   "-----BEGIN PGP MESSAGE-----" CRLF
 *   ["Version: " printable CRLF]             only when versions are accepted
 *   *CRLF
 *   1*(1*base64 CRLF)                        padding at the end of the last line only
 *   ["=" 4base64 CRLF]                       checksum, not compared (RFC 9580 6.1)
 *   "-----END PGP MESSAGE-----" *CRLF
 *
 * The base64 decodes to what packet.h accepts. Streams with constant memory; the bodies
 * of packets are checked for their alphabet and counted, not decoded.
 */
#ifndef MILTER_OPENPGP_H
#define MILTER_OPENPGP_H

#include "milter/packet.h"
#include "proto/span.h"

#define OPENPGP_VERSION_MAX 128 /* bytes of a version's text */

struct openpgp {
	int state; /* openpgp.c's own */
	bool version_accepted;
	bool checksum;      /* its line was seen */
	unsigned char last; /* byte fed before this one; LF at the start of a line */
	size_t at; /* bytes of the current literal, or of its like, that were seen */
	unsigned phase; /* base64 characters of the current quad, 0 to 3 */
	unsigned bits;  /* the lowest bits are those not yet in a whole octet */
	struct packet_walk packets;
};

/* A "Version: " line as of GnuPG is good from others; no client of ours writes one. */
void openpgp_init(struct openpgp *o, bool version_accepted);

/* Returns NULL, or why the text is refused (then feed no more): a literal. */
const char *openpgp_feed(struct openpgp *o, struct span text);

/* After the last byte: NULL if the text was an encrypted message. */
const char *openpgp_end(const struct openpgp *o);

#endif
