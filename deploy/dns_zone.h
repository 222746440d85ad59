/*
 * The zone of a relay as it should be, and its form in a file.
 */
#ifndef DEPLOY_DNS_ZONE_H
#define DEPLOY_DNS_ZONE_H

#include <stdio.h>
#include <time.h>

#include "chatmaild/config.h"
#include "deploy/dns_server.h"

#define DNS_RECORDS_MAX 24

/* What a set of records is for; this decides how it is judged (dns_judge.h). */
enum dns_kind {
	DNS_ANY_ADDRESS, /* an A or AAAA record, whatever it says */
	DNS_ADDRESS,     /* the server's addresses of a family */
	DNS_NO_ADDRESS,  /* none of this family, which the server does not have */
	DNS_MX,
	DNS_STS,   /* RFC 8461 section 3.1 */
	DNS_ALIAS, /* another name of the domain */
	DNS_DKIM,  /* RFC 6376 section 3.6.1 */
	DNS_SPF,   /* RFC 7208 */
	DNS_DMARC, /* RFC 7489 section 6.3 */
	DNS_CAA,   /* RFC 8659, RFC 8657 */
	DNS_ADSP,  /* RFC 5617 */
	DNS_SRV,   /* RFC 6186, RFC 8314 */
};

/* The records of one name and type. */
struct dns_record {
	enum dns_kind kind;
	bool required; /* else recommended */
	char *name;    /* absolute: "www.chat.example." */
	const char *type;
	char *value[DNS_ADDRESSES_MAX]; /* as in a zone file */
	size_t nvalues;                 /* more than one are addresses */
	const char *note;               /* for who sets it, or NULL */
};

struct dns_zone {
	char *domain; /* absolute, in small letters */
	bool v4_private, v6_private;
	struct dns_record record[DNS_RECORDS_MAX];
	size_t nrecords; /* as they are written: the recommended part last */
};

/*
 * The zone of config's domain, which must be a name, with what server knows. sts_id: of the
 * MTA-STS policy, the published one if there is one. A record whose contents the server does
 * not know (no DKIM key, no account) is not in the zone.
 */
void dns_zone_init(struct dns_zone *z, const struct config *config,
    const struct dns_server *server, const char *sts_id);

/* Only what dns_precheck() asks for. */
void dns_zone_init_precheck(struct dns_zone *z, const struct config *config);
void dns_zone_deinit(struct dns_zone *z);

/* A new STS id: the minute, "202611231826" (UTC). */
#define DNS_STS_ID_SIZE 33
void dns_sts_id(char id[DNS_STS_ID_SIZE], time_t now);

/* The lines of a record: name, TTL, IN, type, value. */
void dns_record_print(const struct dns_record *r, FILE *out);

/* The whole zone, the recommended part after a comment. */
void dns_zone_print(const struct dns_zone *z, FILE *out);

/* A text value as one string in quotes, for providers with a form on the web. The caller's
 * to free(). */
char *dns_record_unsplit(const struct dns_record *r);

#endif
