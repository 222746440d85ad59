/*
 * STUN and TURN as far as it takes to see whether a relay for calls gives out addresses:
 * Allocate and Refresh with long-term credentials. RFC 8489 sections 5, 9.2, 14; RFC 8656
 * section 7. Bytes in, values out.
 */
#ifndef DEPLOY_STUN_H
#define DEPLOY_STUN_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/span.h"

#define STUN_MAX     1280 /* bytes of a packet that is sent or taken */
#define STUN_ID_SIZE 12

enum stun_method {
	STUN_ALLOCATE = 3,
	STUN_REFRESH = 4, /* as asked here: give the address back */
};

/* All but user and password come from the answer to a request without credentials. */
struct stun_credentials {
	struct span user, password, realm, nonce;
};

/* Write a request, at most STUN_MAX bytes. c NULL: without credentials. Its length; 0 if it
 * would be longer. */
size_t stun_write(uint8_t packet[STUN_MAX], enum stun_method method,
    const uint8_t id[STUN_ID_SIZE], const struct stun_credentials *c);

struct stun_reply {
	bool success;
	unsigned error;           /* 300 to 699; 0 if it is none */
	struct span realm, nonce; /* borrowed from the packet; empty if not there */
	bool relayed;             /* an address was given out */
};

/* NULL, or why it is no answer to the request with this method and id: a literal. */
const char *stun_parse(struct stun_reply *reply, struct span packet,
    enum stun_method method, const uint8_t id[STUN_ID_SIZE]);

#endif
