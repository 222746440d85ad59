/*
 * Packet headers, both formats. Lengths are 64 bits wide, so that no sum of a
 * five-octet length and a position can wrap.
 */
#include "milter/packet.h"

#include <stddef.h>

enum {
	TAG,
	LENGTH, /* new format, first octet; behind a partial body too */
	LENGTH_REST,
};

enum packet_type {
	PKESK = 1,
	SKESK = 3,
	SEIPD = 18,
};

void packet_init(struct packet_walk *w)
{
	*w = (struct packet_walk){ .state = TAG };
}

/* RFC 9580 section 4.2. */
static const char *tag(struct packet_walk *w, uint8_t octet)
{
	bool legacy = !(octet & 0x40);

	if (!(octet & 0x80))
		return "packet: no tag";
	if (w->type == SEIPD)
		return "packet: octets behind the encrypted data";
	w->type = legacy ? octet >> 2 & 0xf : octet & 0x3f;
	w->length = w->added = 0;
	if (w->type != PKESK && w->type != SKESK && w->type != SEIPD)
		return "packet: neither session key nor encrypted data";
	w->state = LENGTH;
	if (legacy) {
		if ((octet & 3) == 3)
			return "packet: indeterminate length";
		w->rest = 1u << (octet & 3);
		w->state = LENGTH_REST;
	}
	return NULL;
}

/* RFC 9580 section 4.2.1. */
static const char *first_length(struct packet_walk *w, uint8_t octet)
{
	if (octet < 192) {
		w->body = octet;
		w->state = TAG;
	} else if (octet < 224) {
		w->length = octet - 192u;
		w->added = 192;
		w->rest = 1;
		w->state = LENGTH_REST;
	} else if (octet == 255) {
		w->length = w->added = 0;
		w->rest = 4;
		w->state = LENGTH_REST;
	} else {
		if (w->type != SEIPD)
			return "packet: partial length of a session key";
		w->body = UINT64_C(1) << (octet & 31);
	}
	return NULL;
}

const char *packet_octet(struct packet_walk *w, uint8_t octet)
{
	switch (w->state) {
	case TAG:
		return tag(w, octet);
	case LENGTH:
		return first_length(w, octet);
	default:
		w->length = w->length << 8 | octet;
		if (--w->rest == 0) {
			w->body = w->length + w->added;
			w->state = TAG;
		}
		return NULL;
	}
}

const char *packet_end(const struct packet_walk *w)
{
	if (w->type == 0)
		return "packet: none";
	if (w->state != TAG || w->body)
		return "packet: cut short";
	return w->type == SEIPD ? NULL : "packet: no encrypted data";
}
