/*
 * What a relay needs in the DNS: the zone as it should be, the same as it is, and the
 * difference. The DNS is asked from this machine, see dns_ask.h.
 */
#ifndef DEPLOY_DNS_H
#define DEPLOY_DNS_H

#include <stdio.h>

#include "chatmaild/config.h"

#define DNS_ERROR_MAX 512

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
