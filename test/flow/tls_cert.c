#include "test/flow/tls_cert.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY (24 * 3600L)

struct tls_authority {
	EVP_PKEY *key;
	X509 *cert;
	EVP_PKEY *other_key; /* of another authority by the same name */
};

/* Works in tests and in measurements alike. */
static void need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "tls_cert: %s failed\n", what);
	abort();
}

static EVP_PKEY *new_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	need(key != NULL, "EVP_EC_gen");
	return key;
}

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	need(e != NULL && X509_add_ext(cert, e, -1), value);
	X509_EXTENSION_free(e);
}

/* Valid from from to to, in days from now; not yet signed. */
static X509 *new_cert(const char *name, EVP_PKEY *key, long from, long to)
{
	static long serial = 1;
	X509 *cert = X509_new();

	need(cert != NULL, "X509_new");
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(cert), from * DAY);
	X509_gmtime_adj(X509_getm_notAfter(cert), to * DAY);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	return cert;
}

struct tls_authority *tls_authority_create(void)
{
	struct tls_authority *a = calloc(1, sizeof(*a));

	need(a != NULL, "calloc");
	a->key = new_key();
	a->other_key = new_key();
	a->cert = new_cert("test authority", a->key, -1, 30);
	X509_set_issuer_name(a->cert, X509_get_subject_name(a->cert));
	add_extension(a->cert, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(a->cert, NID_key_usage, "critical,keyCertSign");
	need(X509_sign(a->cert, a->key, EVP_sha256()) > 0, "X509_sign");
	return a;
}

void tls_authority_destroy(struct tls_authority *a)
{
	if (!a)
		return;
	X509_free(a->cert);
	EVP_PKEY_free(a->key);
	EVP_PKEY_free(a->other_key);
	free(a);
}

void tls_authority_write(const struct tls_authority *a, const char *path)
{
	FILE *f = fopen(path, "we");

	need(f && PEM_write_X509(f, a->cert), path);
	fclose(f);
}

static X509 *sign_server(
    const struct tls_authority *a, enum tls_cert kind, EVP_PKEY *key)
{
	X509 *cert;

	cert = new_cert("server", key, -20, kind == TLS_CERT_EXPIRED ? -1 : 20);
	X509_set_issuer_name(cert, X509_get_subject_name(a->cert));
	add_extension(cert, NID_subject_alt_name,
	    kind == TLS_CERT_OTHER_NAME
		? "DNS:other.example"
		: "DNS:localhost,DNS:push.example,IP:127.0.0.1,IP:::1");
	need(X509_sign(cert, kind == TLS_CERT_OTHER_CA ? a->other_key : a->key,
		 EVP_sha256()) > 0,
	    "X509_sign");
	return cert;
}

void tls_authority_write_server(
    const struct tls_authority *a, const char *cert_path, const char *key_path)
{
	EVP_PKEY *key = new_key();
	X509 *cert = sign_server(a, TLS_CERT_GOOD, key);
	FILE *f = fopen(cert_path, "we");

	need(f && PEM_write_X509(f, cert), cert_path);
	fclose(f);
	f = fopen(key_path, "we");
	need(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), key_path);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
}

SSL_CTX *tls_authority_serve(const struct tls_authority *a, enum tls_cert kind)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = new_key();
	X509 *cert = sign_server(a, kind, key);

	need(tls && SSL_CTX_use_certificate(tls, cert) &&
		 SSL_CTX_use_PrivateKey(tls, key),
	    "SSL_CTX_use_certificate");
	X509_free(cert);
	EVP_PKEY_free(key);
	return tls;
}
