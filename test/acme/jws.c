#include "test/acme/jws.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define P256_BYTES 32 /* of a coordinate, and of each half of a signature */

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

char *base64url(const unsigned char *bytes, size_t len)
{
	char *text = need(malloc(len / 3 * 4 + 5)), *p = text;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		unsigned group = (unsigned)bytes[i] << 16 |
				 (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
				 (left > 2 ? bytes[i + 2] : 0);

		*p++ = digits[group >> 18];
		*p++ = digits[group >> 12 & 63];
		if (left > 1)
			*p++ = digits[group >> 6 & 63];
		if (left > 2)
			*p++ = digits[group & 63];
	}
	*p = '\0';
	return text;
}

unsigned char *base64url_decode(const char *text, size_t *len)
{
	unsigned char *bytes = need(malloc(strlen(text) + 1));
	unsigned group = 0, bits = 0;
	size_t n = 0;

	for (; *text; text++) {
		const char *digit = strchr(digits, *text);

		if (!digit) {
			free(bytes);
			return NULL;
		}
		group = (group << 6 | (unsigned)(digit - digits)) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[n++] = (unsigned char)(group >> bits);
		}
	}
	bytes[n] = '\0';
	*len = n;
	return bytes;
}

/* Base64url of a JSON object; NULL if it is something else. */
static json_t *decode_object(const char *text)
{
	size_t len;
	unsigned char *bytes = base64url_decode(text, &len);
	json_t *object = bytes ? json_loadb((char *)bytes, len, 0, NULL) : NULL;

	free(bytes);
	if (object && !json_is_object(object)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

bool jws_parse(struct jws *j, const char *body, size_t len)
{
	json_t *whole = json_loadb(body, len, 0, NULL);
	const char *header, *payload, *signature;
	bool good = false;

	memset(j, 0, sizeof(*j));
	if (json_unpack(whole, "{s:s, s:s, s:s}", "protected", &header, "payload",
		&payload, "signature", &signature) == 0) {
		size_t size = strlen(header) + strlen(payload) + 2;

		j->signing = need(malloc(size));
		snprintf(j->signing, size, "%s.%s", header, payload);
		j->header = decode_object(header);
		j->payload = decode_object(payload);
		j->signature = base64url_decode(signature, &j->signature_len);
		good = j->header && j->signature && (j->payload || !*payload);
	}
	json_decref(whole);
	return good;
}

void jws_free(struct jws *j)
{
	json_decref(j->header);
	json_decref(j->payload);
	free(j->signing);
	free(j->signature);
	memset(j, 0, sizeof(*j));
}

/* RFC 7518 section 3.4: two numbers side by side; OpenSSL wants them in DER. */
static unsigned char *ecdsa_der(const struct jws *j, size_t *len)
{
	ECDSA_SIG *pair = need(ECDSA_SIG_new());
	BIGNUM *r = BN_bin2bn(j->signature, P256_BYTES, NULL);
	BIGNUM *s = BN_bin2bn(j->signature + P256_BYTES, P256_BYTES, NULL);
	unsigned char *der = NULL;
	int n;

	need(r);
	need(s);
	ECDSA_SIG_set0(pair, r, s); /* takes both */
	n = i2d_ECDSA_SIG(pair, &der);
	ECDSA_SIG_free(pair);
	if (n <= 0)
		abort();
	*len = (size_t)n;
	return der;
}

static bool verify(
    EVP_PKEY *key, const char *text, const unsigned char *signature, size_t len)
{
	EVP_MD_CTX *ctx = need(EVP_MD_CTX_new());
	bool good = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, signature, len, (const unsigned char *)text,
			strlen(text)) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

bool jws_verify(const struct jws *j, EVP_PKEY *key)
{
	const char *alg = json_string_value(json_object_get(j->header, "alg"));
	unsigned char *der;
	size_t len;
	bool good;

	if (!alg)
		return false;
	if (strcmp(alg, "RS256") == 0 && EVP_PKEY_is_a(key, "RSA"))
		return verify(key, j->signing, j->signature, j->signature_len);
	if (strcmp(alg, "ES256") != 0 || !EVP_PKEY_is_a(key, "EC") ||
	    j->signature_len != 2 * P256_BYTES)
		return false;
	der = ecdsa_der(j, &len);
	good = verify(key, j->signing, der, len);
	OPENSSL_free(der);
	return good;
}

static EVP_PKEY *key_of_params(const char *type, OSSL_PARAM_BLD *build)
{
	EVP_PKEY_CTX *ctx = need(EVP_PKEY_CTX_new_from_name(NULL, type, NULL));
	OSSL_PARAM *params = need(OSSL_PARAM_BLD_to_param(build));
	EVP_PKEY *key = NULL;

	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *ec_key(const char *x, const char *y)
{
	unsigned char point[1 + 2 * P256_BYTES] = { POINT_CONVERSION_UNCOMPRESSED };
	size_t nx = 0, ny = 0;
	unsigned char *bx = base64url_decode(x, &nx), *by = base64url_decode(y, &ny);
	OSSL_PARAM_BLD *build;
	EVP_PKEY *key = NULL;

	if (bx && by && nx == P256_BYTES && ny == P256_BYTES) {
		memcpy(point + 1, bx, nx);
		memcpy(point + 1 + nx, by, ny);
		build = need(OSSL_PARAM_BLD_new());
		OSSL_PARAM_BLD_push_utf8_string(
		    build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
		OSSL_PARAM_BLD_push_octet_string(
		    build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point));
		key = key_of_params("EC", build);
		OSSL_PARAM_BLD_free(build);
	}
	free(bx);
	free(by);
	return key;
}

static BIGNUM *number(const char *text)
{
	size_t len;
	unsigned char *bytes = base64url_decode(text, &len);
	BIGNUM *n = bytes && len <= 1024 ? BN_bin2bn(bytes, (int)len, NULL) : NULL;

	free(bytes);
	return n;
}

static EVP_PKEY *rsa_key(const char *n, const char *e)
{
	BIGNUM *bn = number(n), *be = number(e);
	OSSL_PARAM_BLD *build;
	EVP_PKEY *key = NULL;

	if (bn && be) {
		build = need(OSSL_PARAM_BLD_new());
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn);
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be);
		key = key_of_params("RSA", build);
		OSSL_PARAM_BLD_free(build);
	}
	BN_free(bn);
	BN_free(be);
	return key;
}

/* The members that make a key, in the order of RFC 7638 section 3.2; others may follow. */
struct jwk_members {
	const char *type, *crv, *x, *y, *n, *e;
};

static bool jwk_members(const json_t *jwk, struct jwk_members *m)
{
	memset(m, 0, sizeof(*m));
	if (json_unpack((json_t *)jwk, "{s:s, s?s, s?s, s?s, s?s, s?s}", "kty",
		&m->type, "crv", &m->crv, "x", &m->x, "y", &m->y, "n", &m->n, "e",
		&m->e) < 0)
		return false;
	if (strcmp(m->type, "EC") == 0)
		return m->crv && strcmp(m->crv, "P-256") == 0 && m->x && m->y;
	return strcmp(m->type, "RSA") == 0 && m->n && m->e;
}

EVP_PKEY *jwk_key(const json_t *jwk)
{
	struct jwk_members m;

	if (!jwk_members(jwk, &m))
		return NULL;
	return m.crv ? ec_key(m.x, m.y) : rsa_key(m.n, m.e);
}

char *jwk_thumbprint(const json_t *jwk)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct jwk_members m;
	char text[4096];
	int n;

	if (!jwk_members(jwk, &m))
		return NULL;
	if (m.crv)
		n = snprintf(text, sizeof(text),
		    "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", m.x,
		    m.y);
	else
		n = snprintf(text, sizeof(text),
		    "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", m.e, m.n);
	if (n < 0 || (size_t)n >= sizeof(text))
		return NULL;
	SHA256((const unsigned char *)text, (size_t)n, digest);
	return base64url(digest, sizeof(digest));
}
