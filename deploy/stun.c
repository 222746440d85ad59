#include "deploy/stun.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define HEADER_SIZE    20
#define COOKIE         0x2112a442u
#define INTEGRITY_SIZE 20 /* of HMAC-SHA1 */
#define KEY_SIZE       16 /* of MD5 */

#define CLASS_SUCCESS 0x0100
#define CLASS_ERROR   0x0110

#define UDP 17 /* as a protocol of IP */

enum attribute {
	USERNAME = 0x0006,
	MESSAGE_INTEGRITY = 0x0008,
	ERROR_CODE = 0x0009,
	LIFETIME = 0x000d,
	REALM = 0x0014,
	NONCE = 0x0015,
	XOR_RELAYED_ADDRESS = 0x0016,
	REQUESTED_TRANSPORT = 0x0019,
};

/* A packet while it is written; n beyond STUN_MAX: it does not fit. */
struct writer {
	uint8_t *packet;
	size_t n;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	if (len > 0 && w->n + len <= STUN_MAX)
		memcpy(w->packet + w->n, bytes, len);
	w->n += len;
}

static void put_16(struct writer *w, unsigned value)
{
	const uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	put(w, bytes, sizeof(bytes));
}

static void put_32(struct writer *w, uint32_t value)
{
	put_16(w, value >> 16);
	put_16(w, value & 0xffff);
}

/* Padded to four bytes, which the length does not count. */
static void put_attribute(struct writer *w, enum attribute type, struct span value)
{
	static const uint8_t zeros[3];

	put_16(w, type);
	put_16(w, (unsigned)value.len);
	put(w, value.data, value.len);
	put(w, zeros, (4 - value.len % 4) % 4);
}

/* The length in the header, of what stands behind it and of len bytes more. */
static void set_length(struct writer *w, size_t len)
{
	size_t all = w->n - HEADER_SIZE + len;

	w->packet[2] = (uint8_t)(all >> 8);
	w->packet[3] = (uint8_t)all;
}

/* MD5(user ":" realm ":" password), RFC 8489 section 9.2.2. */
static bool make_key(const struct stun_credentials *c, uint8_t key[KEY_SIZE])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool good = md && EVP_DigestInit_ex(md, EVP_md5(), NULL) == 1 &&
		    EVP_DigestUpdate(md, c->user.data, c->user.len) == 1 &&
		    EVP_DigestUpdate(md, ":", 1) == 1 &&
		    EVP_DigestUpdate(md, c->realm.data, c->realm.len) == 1 &&
		    EVP_DigestUpdate(md, ":", 1) == 1 &&
		    EVP_DigestUpdate(md, c->password.data, c->password.len) == 1 &&
		    EVP_DigestFinal_ex(md, key, NULL) == 1;

	EVP_MD_CTX_free(md);
	return good;
}

/* Over all that is written, with the length as if it stood there already: section 14.5. */
static bool put_integrity(struct writer *w, const struct stun_credentials *c)
{
	uint8_t key[KEY_SIZE], mac[INTEGRITY_SIZE];
	unsigned len = sizeof(mac);

	if (w->n + 4 + INTEGRITY_SIZE > STUN_MAX || !make_key(c, key))
		return false;
	set_length(w, 4 + INTEGRITY_SIZE);
	if (!HMAC(EVP_sha1(), key, sizeof(key), w->packet, w->n, mac, &len))
		return false;
	put_attribute(w, MESSAGE_INTEGRITY, span_make((const char *)mac, sizeof(mac)));
	return true;
}

size_t stun_write(uint8_t packet[STUN_MAX], enum stun_method method,
    const uint8_t id[STUN_ID_SIZE], const struct stun_credentials *c)
{
	static const char transport[4] = { UDP }, lifetime[4];
	struct writer w = { .packet = packet };

	put_16(&w, method);
	put_16(&w, 0);
	put_32(&w, COOKIE);
	put(&w, id, STUN_ID_SIZE);
	if (method == STUN_ALLOCATE)
		put_attribute(
		    &w, REQUESTED_TRANSPORT, span_make(transport, sizeof(transport)));
	else
		put_attribute(&w, LIFETIME, span_make(lifetime, sizeof(lifetime)));
	if (c) {
		put_attribute(&w, USERNAME, c->user);
		put_attribute(&w, REALM, c->realm);
		put_attribute(&w, NONCE, c->nonce);
	}
	if (w.n > STUN_MAX || (c && !put_integrity(&w, c)))
		return 0;
	set_length(&w, 0);
	return w.n;
}

static unsigned read_16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static const char *take_attribute(
    struct stun_reply *reply, unsigned type, struct span value)
{
	const uint8_t *p = (const uint8_t *)value.data;

	switch (type) {
	case ERROR_CODE:
		if (value.len < 4 || (p[2] & 7) < 3 || (p[2] & 7) > 6 || p[3] > 99)
			return "a broken error code";
		reply->error = 100 * (p[2] & 7u) + p[3];
		break;
	case REALM:
		reply->realm = value;
		break;
	case NONCE:
		reply->nonce = value;
		break;
	case XOR_RELAYED_ADDRESS:
		reply->relayed = value.len == 8 || value.len == 20;
		break;
	default:
		break;
	}
	return NULL;
}

static const char *take_attributes(struct stun_reply *reply, struct span rest)
{
	const char *why = NULL;

	while (rest.len > 0 && !why) {
		const uint8_t *p = (const uint8_t *)rest.data;
		size_t len = rest.len < 4 ? 0 : read_16(p + 2);
		size_t padded = 4 + (len + 3) / 4 * 4;

		if (rest.len < 4 || padded > rest.len)
			return "an attribute that is cut off";
		why = take_attribute(reply, read_16(p), span_make(rest.data + 4, len));
		rest = span_skip(rest, padded);
	}
	return why;
}

const char *stun_parse(struct stun_reply *reply, struct span packet,
    enum stun_method method, const uint8_t id[STUN_ID_SIZE])
{
	static const uint8_t cookie[4] = { 0x21, 0x12, 0xa4, 0x42 };
	const uint8_t *p = (const uint8_t *)packet.data;
	const char *why;

	*reply = (struct stun_reply){ .realm = span_of(""), .nonce = span_of("") };
	if (packet.len < HEADER_SIZE || memcmp(p + 4, cookie, sizeof(cookie)) != 0)
		return "no STUN";
	if (memcmp(p + 8, id, STUN_ID_SIZE) != 0)
		return "the answer to something else";
	if (read_16(p + 2) != packet.len - HEADER_SIZE)
		return "a wrong length";
	if (read_16(p) == ((unsigned)method | CLASS_SUCCESS))
		reply->success = true;
	else if (read_16(p) != ((unsigned)method | CLASS_ERROR))
		return "no answer";
	why = take_attributes(reply, span_skip(packet, HEADER_SIZE));
	if (!why && !reply->success && reply->error == 0)
		return "an error without its code";
	return why;
}
