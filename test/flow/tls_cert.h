/*
 * Certificates for TLS servers of tests, made on the spot: an authority and what it
 * signed, good or with one thing wrong.
 */
#ifndef TEST_FLOW_TLS_CERT_H
#define TEST_FLOW_TLS_CERT_H

#include <openssl/ssl.h>

enum tls_cert {
	TLS_CERT_GOOD,       /* localhost, push.example, 127.0.0.1, ::1 */
	TLS_CERT_EXPIRED,    /* since yesterday */
	TLS_CERT_OTHER_NAME, /* of other.example */
	TLS_CERT_OTHER_CA,   /* signed by an authority that nobody knows */
};

struct tls_authority;

struct tls_authority *tls_authority_create(void);
void tls_authority_destroy(struct tls_authority *a); /* accepts NULL */

/* Its certificate as PEM: what a client trusts. */
void tls_authority_write(const struct tls_authority *a, const char *path);

/* A good one and its key as PEM, for a server that is a program of its own. */
void tls_authority_write_server(
    const struct tls_authority *a, const char *cert_path, const char *key_path);

/* A server's context with such a certificate and its key; SSL_CTX_free() it. */
SSL_CTX *tls_authority_serve(const struct tls_authority *a, enum tls_cert kind);

#endif
