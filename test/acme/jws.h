/*
 * Signed requests of ACME: JSON Web Signatures in the flattened serialization with the
 * algorithms that clients use, ES256 and RS256, and keys as JSON Web Keys.
 * Source: RFC 8555 section 6.2, RFC 7515, RFC 7517, RFC 7518 section 3, RFC 7638.
 */
#ifndef TEST_ACME_JWS_H
#define TEST_ACME_JWS_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

struct jws {
	json_t *header;           /* the protected one, owned */
	json_t *payload;          /* owned; NULL: empty, a POST-as-GET */
	char *signing;            /* what was signed, NUL-terminated, owned */
	unsigned char *signature; /* owned */
	size_t signature_len;
};

/* Take body apart. false if it is no JWS; jws_free() is due in both cases. */
bool jws_parse(struct jws *j, const char *body, size_t len);

/* Is the signature key's, by the algorithm that the header names? */
bool jws_verify(const struct jws *j, EVP_PKEY *key);
void jws_free(struct jws *j);

/* The public key, EVP_PKEY_free() it; NULL if jwk is none of the kinds above. */
EVP_PKEY *jwk_key(const json_t *jwk);

/* Base64url of the SHA-256 thumbprint, free() it; NULL if jwk is none. */
char *jwk_thumbprint(const json_t *jwk);

/* Base64url without padding, free() it. */
char *base64url(const unsigned char *bytes, size_t len);

/* Its reverse; NULL if text is not that. The result ends with a NUL beyond *len. */
unsigned char *base64url_decode(const char *text, size_t *len);

#endif
