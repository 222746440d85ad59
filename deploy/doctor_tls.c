/* Certificates as they are shown to those who connect. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

#include "deploy/answer.h"
#include "deploy/doctor_doors.h"

#define KEY_SIZE    64
#define DAY         86400
#define DAYS_WARN   14 /* ACME renews a month before the end */
#define NEAR_FUTURE 300

static void hash_hex(const unsigned char *der, int len, char hex[DOOR_HASH_SIZE])
{
	unsigned char hash[32];

	hex[0] = '\0';
	if (len <= 0 ||
	    EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL) != 1)
		return;
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
}

static int64_t to_time(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* By this machine's authorities, whatever its name is and whenever it was good. */
static bool is_trusted(SSL *ssl, X509 *leaf, STACK_OF(X509) * chain)
{
	X509_STORE *store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	bool good = false;

	if (context && X509_STORE_CTX_init(context, store, leaf, chain) == 1) {
		X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(context);

		X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_NO_CHECK_TIME);
		X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER);
		good = X509_verify_cert(context) == 1;
	}
	X509_STORE_CTX_free(context);
	ERR_clear_error();
	return good;
}

void door_read_certificate(struct door_certificate *c, SSL *ssl, const char *domain)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	unsigned char *der = NULL;

	if (!leaf)
		return;
	hash_hex(der, i2d_X509(leaf, &der), c->sha256);
	OPENSSL_free(der);
	der = NULL;
	hash_hex(der, i2d_PUBKEY(X509_get0_pubkey(leaf), &der), c->key);
	OPENSSL_free(der);
	X509_NAME_oneline(X509_get_issuer_name(leaf), c->issuer, sizeof(c->issuer));
	c->begins = to_time(X509_get0_notBefore(leaf));
	c->ends = to_time(X509_get0_notAfter(leaf));
	c->length = chain ? (size_t)sk_X509_num(chain) : 0;
	c->self_signed =
	    X509_NAME_cmp(X509_get_issuer_name(leaf), X509_get_subject_name(leaf)) == 0;
	c->name_fits = X509_check_host(leaf, domain, 0, 0, NULL) == 1 ||
		       X509_check_ip_asc(leaf, domain, 0) == 1;
	c->trusted = is_trusted(ssl, leaf, chain);
	ERR_clear_error();
}

static const char *remedy_of(const struct config *c)
{
	switch (c->tls_mode) {
	case TLS_ACME:
		return "acmetool --batch --xlog.severity=debug reconcile on the server "
		       "tells why it was not renewed";
	case TLS_EXTERNAL:
		return "have whoever keeps tls_external_cert_and_key renew it";
	case TLS_SELF:
		break;
	}
	return "cmdeploy run makes a new one";
}

static void judge_expiry(struct doctor *d, const struct config *config,
    const struct door_certificate *c, int64_t now)
{
	long long days = (long long)((c->ends - now) / DAY);

	if (c->begins > now + NEAR_FUTURE)
		doctor_note(d, DOCTOR_TROUBLE, "tls expiry", "see which clock is wrong",
		    "the certificate is good in %lld hours only",
		    (long long)((c->begins - now) / 3600));
	else if (c->ends <= now)
		doctor_note(d, DOCTOR_TROUBLE, "tls expiry", remedy_of(config),
		    "the certificate expired %lld days ago, so nobody connects", -days);
	else if (days < DAYS_WARN)
		doctor_note(d, DOCTOR_WARNING, "tls expiry", remedy_of(config),
		    "the certificate expires in %lld days and was not renewed", days);
	else
		doctor_note(d, DOCTOR_SOUND, "tls expiry", NULL,
		    "the certificate is good for %lld days", days);
}

static void judge_chain(
    struct doctor *d, const struct config *config, const struct door_certificate *c)
{
	if (c->trusted || (config->tls_mode == TLS_SELF && c->self_signed))
		doctor_note(
		    d, DOCTOR_SOUND, "tls chain", NULL, "issued by %s", c->issuer);
	else if (c->self_signed)
		doctor_note(d, DOCTOR_TROUBLE, "tls chain",
		    "get one of an authority that everybody trusts",
		    "the certificate is self-signed, and clients refuse it");
	else if (c->length == 1)
		doctor_note(d, DOCTOR_TROUBLE, "tls chain",
		    "put the whole chain (fullchain.pem) where the certificate is",
		    "the chain is incomplete: only the certificate itself is sent, "
		    "without "
		    "that of its issuer %s",
		    c->issuer);
	else
		doctor_note(d, DOCTOR_TROUBLE, "tls chain",
		    "get one of an authority that everybody trusts",
		    "this machine trusts no authority of the chain; the issuer is %s",
		    c->issuer);
}

static void judge_name(struct doctor *d, const struct doors *doors,
    const struct config *config, const struct door_certificate *c)
{
	if (c->name_fits)
		doctor_note(d, DOCTOR_SOUND, "tls name", NULL, "it is that of %s",
		    doors->domain);
	else
		doctor_note(d, DOCTOR_TROUBLE, "tls name", remedy_of(config),
		    "the certificate is not one for %s, and clients refuse it",
		    doors->domain);
}

/* Every port shows the certificate that is on the disk. */
static void judge_served(struct doctor *d, const struct door *door, struct span on_disk)
{
	char key[KEY_SIZE];

	if (on_disk.len == 0 || span_is(on_disk, door->certificate.sha256))
		return;
	snprintf(key, sizeof(key), "tls served %u", door->port);
	doctor_note(d, DOCTOR_WARNING, key,
	    "systemctl start tls-cert-reload.service, or restart the service of the "
	    "port",
	    "port %u shows another certificate than the one on the disk: it has not "
	    "read the new one",
	    door->port);
}

static bool same_key(const struct doors *doors, const struct door_certificate *first)
{
	for (size_t i = 0; i < doors->n; i++) {
		const char *key = doors->door[i].certificate.key;

		if (*key && strcmp(key, first->key) != 0)
			return false;
	}
	return true;
}

void doors_judge_tls(struct doctor *d, const struct doors *doors,
    const struct config *config, struct span output, int64_t now)
{
	const struct door_certificate *first = NULL;
	struct span value, on_disk = span_of("");

	if (answer_find(output, "certificate", &value) &&
	    span_is(answer_word(&value), "found"))
		on_disk = answer_word(&value);
	for (size_t i = 0; i < doors->n; i++) {
		const struct door_certificate *c = &doors->door[i].certificate;

		if (!*c->sha256)
			continue;
		judge_served(d, &doors->door[i], on_disk);
		if (!first || span_is(on_disk, c->sha256))
			first = c;
	}
	if (!first)
		return;
	judge_expiry(d, config, first, now);
	judge_chain(d, config, first);
	judge_name(d, doors, config, first);
	if (same_key(doors, first))
		doctor_note(d, DOCTOR_SOUND, "tls ports", NULL,
		    "all ports show one and the same key");
	else if (on_disk.len == 0)
		doctor_note(d, DOCTOR_WARNING, "tls ports", "cmdeploy run",
		    "the ports do not show one and the same key");
}
