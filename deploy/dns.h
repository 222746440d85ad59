/*
 * What a relay needs in the DNS: the zone as it should be (dns_zone.h) against what the name
 * servers of the zone say, each of them asked from this machine over both families.
 */
#ifndef DEPLOY_DNS_H
#define DEPLOY_DNS_H

#include <stdio.h>

#include "chatmaild/config.h"
#include "deploy/dns_find.h"
#include "deploy/dns_judge.h"

#define DNS_ERROR_MAX 512

/* What became of a name server. */
enum dns_service {
	DNS_SERVES,
	DNS_SERVES_PARTLY, /* some questions had no usable answer */
	DNS_LAME,          /* answers, but not for this zone */
	DNS_DEAD,          /* does not answer */
	DNS_UNREACHED,     /* this machine has no route there */
};

/* The verdict on one record of the zone. */
struct dns_result {
	const struct dns_record *want; /* borrowed from the zone */
	struct dns_judgement is;       /* the worst that a server gave cause for */
	char *found;   /* what that server has, in one line; "" if nothing; owned */
	bool disagree; /* the servers do not have the same */
	char *each;    /* then: what each has, a line a server; else NULL; owned */
};

struct dns_report {
	struct dns_servers servers;
	enum dns_service service[DNS_SERVERS_MAX];
	struct dns_result result[DNS_RECORDS_MAX];
	size_t nresults;
};

/*
 * Ask for all of zone's records and compare. zone must outlive the report. resolver as for
 * dns_precheck(). False with the cause in error if the servers of the zone cannot be found;
 * what they say then, or that they are silent, is in the report.
 */
bool dns_check(struct dns_report *report, const struct dns_zone *zone,
    const char *resolver, char error[DNS_ERROR_MAX]);
void dns_report_deinit(struct dns_report *report);

/* "right", "missing", ... */
const char *dns_verdict_name(enum dns_verdict verdict);

/*
 * The report for the operator, on out: the name servers, a table of the records, and for each
 * that is to be changed the lines of a zone file. Headings, in colours, go to stderr.
 */
void dns_report_print(
    const struct dns_report *report, const struct dns_zone *zone, FILE *out);

/* No required record is missing, wrong or unanswered. */
bool dns_report_is_good(const struct dns_report *report);

/* What is published as the id of the MTA-STS policy, or a new one of the time now. */
void dns_published_sts_id(const struct config *config, const char *resolver, time_t now,
    char id[DNS_STS_ID_SIZE]);

/*
 * What must be there before a relay can be deployed, and does not depend on the server: an
 * A or AAAA record of the domain; if certificates come by ACME also the names www and
 * mta-sts. Everything that is missing or points elsewhere gets a line on out, all at once,
 * with the record to set; so does a DNS that does not answer.
 *
 * resolver: "ADDRESS" or "ADDRESS@PORT" of the resolver to ask for the name servers (PORT is
 * then that of the name servers too: for tests), or NULL for those of /etc/resolv.conf.
 * Takes a few seconds at most. Returns the number of lines, 0 when all is right; a relay
 * without a name (an IPv4 address) needs nothing.
 */
unsigned dns_precheck(const struct config *config, const char *resolver, FILE *out);

#endif
