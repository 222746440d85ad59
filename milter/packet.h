/*
 * The framing of OpenPGP packets, RFC 9580 section 4: is this an encrypted message,
 * that is, any number of session key packets (PKESK, SKESK), then one SEIPD packet that
 * ends with the last octet? Nothing inside the packets is looked at.
 */
#ifndef MILTER_PACKET_H
#define MILTER_PACKET_H

#include <stdbool.h>
#include <stdint.h>

struct packet_walk {
	int state;       /* packet.c's own */
	unsigned type;   /* of the packet being walked, 0 before the first */
	unsigned rest;   /* octets of its length that are missing */
	uint64_t length; /* of its body, as far as known */
	unsigned added;  /* to the length, of the two-octet form */
	/* Octets of a body still to come: the caller takes them off here instead of
	 * feeding them, which is why this is fast. */
	uint64_t body;
};

void packet_init(struct packet_walk *w);

/* The next octet; only while body is 0. Returns NULL, or why not: a literal. */
const char *packet_octet(struct packet_walk *w, uint8_t octet);

/* After the last octet. */
const char *packet_end(const struct packet_walk *w);

#endif
