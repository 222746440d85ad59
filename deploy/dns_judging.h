/*
 * Within dns_judge*.c: one judgement while it is made.
 */
#ifndef DEPLOY_DNS_JUDGING_H
#define DEPLOY_DNS_JUDGING_H

#include "deploy/dns_judge.h"

/* All borrowed. */
struct judging {
	const struct dns_record *want;
	const struct dns_zone *zone;
	const ldns_rr_list *found, *own;
	ldns_rdf *name, *domain;
	struct dns_judgement is;
};

__attribute__((format(printf, 3, 4))) void judging_rule(
    struct judging *j, enum dns_verdict verdict, const char *fmt, ...);
void judging_right(struct judging *j);
void judging_missing(struct judging *j);

/* Walk over the records of a type: *i is 0 at first. NULL at the end. */
const ldns_rr *judging_next(const ldns_rr_list *list, ldns_rr_type type, size_t *i);

/* The value of a tag in "a=1; b=2"; data is NULL if it is not there. */
struct span judging_tag(const struct text *list, const char *name);

/* Those of texts. */
void judging_sts(struct judging *j);
void judging_dkim(struct judging *j);
void judging_spf(struct judging *j);
void judging_dmarc(struct judging *j);
void judging_adsp(struct judging *j);

#endif
