/*
 * What the server itself knows of its zone: its addresses, the account that its certificates
 * come from, the key that its mail is signed with. Asked in one round trip.
 */
#ifndef DEPLOY_DNS_SERVER_H
#define DEPLOY_DNS_SERVER_H

#include <stdbool.h>

#include "deploy/text.h"

#define DNS_ADDRESSES_MAX 8 /* of a family; more are passed over */

/* All strings are owned. All zero is a server of which nothing is known. */
struct dns_server {
	/* Public addresses; if there are none of a family, its private ones. Those of a
	 * family that is not wanted are not here. */
	char *v4[DNS_ADDRESSES_MAX], *v6[DNS_ADDRESSES_MAX];
	size_t nv4, nv6;
	bool v4_private, v6_private; /* they are: behind NAT, or in a laboratory */

	char *acme_account; /* URL; NULL if there is none */
	char *dkim_key;     /* base64 of the public key's DER; NULL if there is none */
};

/* The script for "sh -eu" that asks. The caller's to free(). */
char *dns_server_script(void);

/*
 * Read its output, whatever bytes it is: what does not look like an address, an https URL,
 * or a whole key is as if it were not there. ipv6: addresses of this family count. Fills s,
 * which the caller gives to dns_server_deinit().
 */
void dns_server_parse(struct dns_server *s, struct span output, bool ipv6);
void dns_server_deinit(struct dns_server *s);

#endif
