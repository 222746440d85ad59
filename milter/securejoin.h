/*
 * Is the body of a mail the one cleartext step of a Secure-Join handshake? A multipart
 * with exactly one text/plain part, whose decoded text is "Secure-Join: vc-request" or
 * "Secure-Join: vg-request" in any letter case and nothing more. Source: what Delta
 * Chat clients before SecureJoin v3 send.
 */
#ifndef MILTER_SECUREJOIN_H
#define MILTER_SECUREJOIN_H

#include "milter/parts.h"

struct securejoin {
	struct parts parts;
	struct part_text text;
};

/* Does the value of a Secure-Join field ask for it? Letter case counts here. */
bool securejoin_asked(struct span value);

/* As pgpmime.h's functions of the same names. */
const char *securejoin_init(struct securejoin *s, struct span boundary);
void securejoin_deinit(struct securejoin *s);
const char *securejoin_feed(struct securejoin *s, struct span text);
const char *securejoin_end(struct securejoin *s);

#endif
