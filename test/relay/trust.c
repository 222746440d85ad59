#include "test/relay/trust.h"

#include <err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Let's Encrypt's: one that clients will keep. Of package ca-certificates. */
#define KNOWN     "/usr/share/ca-certificates/mozilla/ISRG_Root_X2.crt"
#define CURVE     "P-384" /* of its key */
#define POINT_MAX 97      /* bytes of such a key, uncompressed */
#define DAY       (24 * 3600L)

struct point {
	unsigned char bytes[POINT_MAX];
	size_t len;
};

static void need(int ok, const char *what)
{
	if (!ok)
		errx(1, "trust: %s failed", what);
}

static FILE *open_file(const char *dir, const char *name, const char *mode)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s%s", dir, dir[0] ? "/" : "", name);
	f = fopen(path, mode);
	if (!f)
		err(1, "%s", path);
	return f;
}

static struct point point_of(EVP_PKEY *key)
{
	struct point p;

	need(EVP_PKEY_get_octet_string_param(
		 key, "encoded-pub-key", p.bytes, sizeof(p.bytes), &p.len),
	    "reading a public key");
	return p;
}

static X509 *read_known(void)
{
	FILE *f = open_file("", KNOWN, "re");
	X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);

	need(cert != NULL, "reading " KNOWN);
	fclose(f);
	return cert;
}

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	need(e && X509_add_ext(cert, e, -1), value);
	X509_EXTENSION_free(e);
}

/* For key, by issuer; not yet signed. */
static X509 *new_cert(long serial, EVP_PKEY *key, const X509_NAME *issuer)
{
	X509 *cert = X509_new();

	need(cert != NULL, "X509_new");
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -DAY);
	X509_gmtime_adj(X509_getm_notAfter(cert), DAY);
	X509_set_pubkey(cert, key);
	X509_set_issuer_name(cert, issuer);
	return cert;
}

static void sign_and_write(X509 *cert, EVP_PKEY *key, const char *dir, const char *name)
{
	FILE *f = open_file(dir, name, "we");

	need(X509_sign(cert, key, EVP_sha384()) > 0, "X509_sign");
	need(PEM_write_X509(f, cert), name);
	fclose(f);
	X509_free(cert);
}

static void write_server(
    const char *dir, const char *domain, EVP_PKEY *authority, const X509_NAME *issuer)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	FILE *f = open_file(dir, "key.pem", "we");
	X509 *cert = new_cert(2, key, issuer);
	char names[300];

	snprintf(names, sizeof(names), "DNS:%s", domain);
	add_extension(cert, NID_subject_alt_name, names);
	sign_and_write(cert, authority, dir, "cert.pem");
	need(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), "key.pem");
	fclose(f);
	EVP_PKEY_free(key);
}

static unsigned char *read_program(const char *path, size_t *len)
{
	FILE *f = open_file("", path, "rbe");
	unsigned char *bytes;
	struct stat st;

	need(fstat(fileno(f), &st) == 0, path);
	*len = (size_t)st.st_size;
	bytes = malloc(*len);
	need(bytes && fread(bytes, 1, *len, f) == *len, path);
	fclose(f);
	return bytes;
}

/* The key stands there once, as it is in the certificate. */
static void write_client(const char *dir, const char *program,
    const struct point *known, const struct point *ours)
{
	size_t len;
	unsigned char *bytes = read_program(program, &len);
	unsigned char *at = memmem(bytes, len, known->bytes, known->len);
	FILE *f = open_file(dir, "client", "wbe");

	if (!at)
		errx(1, "trust: %s does not know the authority of " KNOWN, program);
	memcpy(at, ours->bytes, ours->len);
	need(fwrite(bytes, 1, len, f) == len && fchmod(fileno(f), 0755) == 0, "client");
	need(fclose(f) == 0, "client");
	free(bytes);
}

void trust_make(const char *dir, const char *program, const char *domain)
{
	X509 *known = read_known(), *ca;
	EVP_PKEY *key = EVP_EC_gen(CURVE);
	const X509_NAME *name = X509_get_subject_name(known);
	struct point theirs = point_of(X509_get0_pubkey(known)), ours = point_of(key);

	need(theirs.len == ours.len, "finding a key of the same size");
	ca = new_cert(1, key, name);
	X509_set_subject_name(ca, name);
	add_extension(ca, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(ca, NID_key_usage, "critical,keyCertSign");
	sign_and_write(ca, key, dir, "ca.pem");
	write_server(dir, domain, key, name);
	write_client(dir, program, &theirs, &ours);
	EVP_PKEY_free(key);
	X509_free(known);
}
