/*
 * The records of the relay's zone, judged as cmdeploy dns does.
 */
#ifndef DEPLOY_DOCTOR_DNS_H
#define DEPLOY_DOCTOR_DNS_H

#include "chatmaild/config.h"
#include "deploy/dns.h"
#include "deploy/doctor.h"

/* Note what is missing or wrong, required or not. */
void doctor_judge_dns(struct doctor *d, const struct dns_report *report);

/* The DKIM key's text as a server of the zone has it; NULL: none. free() it. */
char *doctor_dkim_record(const struct dns_report *report);

/*
 * Addresses of a name by the resolver (as dns_check() takes it); of an address itself. At
 * most max. Returns how many.
 */
size_t doctor_addresses(const char *name, const char *resolver,
    char (*addresses)[INET6_ADDRSTRLEN], size_t max);

#endif
