/*
 * Is what was found what is wanted? Records are compared by what they mean: sets without
 * order, names without case, texts however they are split, and only those texts that speak
 * of the matter.
 */
#ifndef DEPLOY_DNS_JUDGE_H
#define DEPLOY_DNS_JUDGE_H

#include <ldns/ldns.h>

#include "deploy/dns_zone.h"

enum dns_verdict { /* from good to bad */
	DNS_RIGHT,
	DNS_DOUBTFUL, /* may be meant so: a warning, even if the record is required */
	DNS_MISSING,
	DNS_WRONG,
	DNS_UNANSWERED, /* no name server said anything; not by dns_judge() */
};

struct dns_judgement {
	enum dns_verdict verdict;
	char
	    remark[256]; /* what is wrong or odd, for the operator; "" if all is said */
};

/*
 * found: the answer section, or what is left of it: the records of the wanted type (of both
 * address types for DNS_ALIAS and DNS_ANY_ADDRESS), and the CNAMEs that led to them. own: for DNS_ALIAS the
 * addresses of the domain, A and AAAA records; else of no meaning. Others are ignored.
 */
struct dns_judgement dns_judge(const struct dns_record *want,
    const struct dns_zone *zone, const ldns_rr_list *found, const ldns_rr_list *own);

/* Copy the id of the one valid MTA-STS record among them; false, and id untouched, if there is
 * none. */
bool dns_judge_sts_id(const ldns_rr_list *found, char id[DNS_STS_ID_SIZE]);

#endif
