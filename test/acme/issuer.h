/*
 * A small certificate authority: a root, an intermediate that signs, and what it signs.
 * Keys are EC P-256.
 */
#ifndef TEST_ACME_ISSUER_H
#define TEST_ACME_ISSUER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct issuer;

/* A new authority; its root is written to path as PEM. NULL if it cannot be. */
struct issuer *issuer_create(const char *path);
void issuer_destroy(struct issuer *i);

/* For a TLS server that answers by this name; SSL_CTX_free() it. */
SSL_CTX *issuer_serve(const struct issuer *i, const char *name);

/*
 * Sign the certificate request der. Its names must be names, no more and no less.
 * Returns the chain as PEM, leaf first, root left out, to be free()d; or NULL.
 */
char *issuer_sign(const struct issuer *i, const unsigned char *der, size_t len,
    const char *const *names, size_t nnames);

#endif
