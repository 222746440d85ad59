#include "test/acme/issuer.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/span.h"

#define DAY            (24 * 3600L)
#define LEAF_DAYS      90
#define AUTHORITY_DAYS 365

struct authority {
	EVP_PKEY *key;
	X509 *cert;
};

struct issuer {
	struct authority root, intermediate;
};

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	need(e && X509_add_ext(cert, e, -1));
	X509_EXTENSION_free(e);
}

/* Not yet signed; names are for a leaf. */
static X509 *new_cert(const char *name, EVP_PKEY *key, long days)
{
	unsigned char serial[8];
	BIGNUM *number;
	X509 *cert = X509_new();

	need(cert && RAND_bytes(serial, sizeof(serial)) == 1);
	serial[0] &= 0x7f;
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	need(number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)));
	BN_free(number);
	X509_set_version(cert, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), days * DAY);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	return cert;
}

static void sign(X509 *cert, const struct authority *by)
{
	X509_set_issuer_name(cert, X509_get_subject_name(by->cert));
	need(X509_sign(cert, by->key, EVP_sha256()) > 0);
}

static void authority_make(
    struct authority *a, const char *name, const struct authority *by)
{
	a->key = EVP_EC_gen("P-256");
	need(a->key);
	a->cert = new_cert(name, a->key, AUTHORITY_DAYS);
	add_extension(a->cert, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(a->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	sign(a->cert, by ? by : a);
}

static bool write_cert(const char *path, X509 *cert)
{
	FILE *f = fopen(path, "w");
	bool good = f && PEM_write_X509(f, cert) == 1;

	return f && fclose(f) == 0 && good;
}

struct issuer *issuer_create(const char *path)
{
	struct issuer *i = calloc(1, sizeof(*i));

	need(i);
	authority_make(&i->root, "Test Root", NULL);
	authority_make(&i->intermediate, "Test Intermediate", &i->root);
	if (write_cert(path, i->root.cert))
		return i;
	issuer_destroy(i);
	return NULL;
}

void issuer_destroy(struct issuer *i)
{
	if (!i)
		return;
	EVP_PKEY_free(i->root.key);
	X509_free(i->root.cert);
	EVP_PKEY_free(i->intermediate.key);
	X509_free(i->intermediate.cert);
	free(i);
}

static X509 *leaf(
    const struct issuer *i, EVP_PKEY *key, const char *name, const char *alt)
{
	X509 *cert = new_cert(name, key, LEAF_DAYS);

	add_extension(cert, NID_basic_constraints, "critical,CA:FALSE");
	add_extension(cert, NID_ext_key_usage, "serverAuth");
	add_extension(cert, NID_subject_alt_name, alt);
	sign(cert, &i->intermediate);
	return cert;
}

SSL_CTX *issuer_serve(const struct issuer *i, const char *name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char address[sizeof(struct in6_addr)];
	char alt[300];
	X509 *cert;

	need(ctx && key);
	snprintf(alt, sizeof(alt), "%s:%s",
	    inet_pton(AF_INET, name, address) == 1 ? "IP" : "DNS", name);
	cert = leaf(i, key, name, alt);
	need(SSL_CTX_use_certificate(ctx, cert) == 1 &&
	     SSL_CTX_add1_chain_cert(ctx, i->intermediate.cert) == 1 &&
	     SSL_CTX_use_PrivateKey(ctx, key) == 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

static bool is_named(const GENERAL_NAME *name, const char *const *names, size_t n)
{
	const ASN1_IA5STRING *text;

	if (name->type != GEN_DNS)
		return false;
	text = name->d.dNSName;
	for (size_t i = 0; i < n; i++) {
		if (strlen(names[i]) == (size_t)ASN1_STRING_length(text) &&
		    memcmp(names[i], ASN1_STRING_get0_data(text), strlen(names[i])) ==
			0)
			return true;
	}
	return false;
}

/* Does the request ask for exactly these? RFC 8555 section 7.4. */
static bool asks_for(X509_REQ *req, const char *const *names, size_t n)
{
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
	GENERAL_NAMES *alt =
	    X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
	bool good = alt && (size_t)sk_GENERAL_NAME_num(alt) == n;

	for (int i = 0; good && i < sk_GENERAL_NAME_num(alt); i++)
		good = is_named(sk_GENERAL_NAME_value(alt, i), names, n);
	GENERAL_NAMES_free(alt);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return good;
}

static char *chain_pem(const struct issuer *i, X509 *cert)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *data, *text;
	long len;

	need(out && PEM_write_bio_X509(out, cert) == 1 &&
	     PEM_write_bio_X509(out, i->intermediate.cert) == 1);
	len = BIO_get_mem_data(out, &data);
	text = span_dup(span_make(data, (size_t)len));
	need(text);
	BIO_free(out);
	return text;
}

char *issuer_sign(const struct issuer *i, const unsigned char *der, size_t len,
    const char *const *names, size_t nnames)
{
	X509_REQ *req = d2i_X509_REQ(NULL, &der, (long)len);
	EVP_PKEY *key = req ? X509_REQ_get0_pubkey(req) : NULL;
	char alt[2048] = "", *chain = NULL;
	X509 *cert;

	if (key && nnames > 0 && X509_REQ_verify(req, key) == 1 &&
	    asks_for(req, names, nnames)) {
		for (size_t n = 0, at = 0; n < nnames && at < sizeof(alt); n++)
			at += (size_t)snprintf(alt + at, sizeof(alt) - at, "%sDNS:%s",
			    n > 0 ? "," : "", names[n]);
		cert = leaf(i, key, names[0], alt);
		chain = chain_pem(i, cert);
		X509_free(cert);
	}
	X509_REQ_free(req);
	return chain;
}
