/*
 * Whom to ask about a name: the name servers of its zone, found by way of a resolver.
 */
#ifndef DEPLOY_DNS_FIND_H
#define DEPLOY_DNS_FIND_H

#include <netinet/in.h>

#include "deploy/dns_ask.h"

#define DNS_RESOLVERS_MAX  3  /* as resolv.conf(5) has it */
#define DNS_SERVERS_MAX    16 /* addresses; more are passed over */
#define DNS_FIND_ERROR_MAX 256

struct dns_resolver {
	struct dns_address address[DNS_RESOLVERS_MAX];
	size_t n;
	uint16_t port; /* of name servers */
};

/*
 * given: "ADDRESS" or "ADDRESS@PORT", the port being that of all name servers too; NULL: what
 * /etc/resolv.conf says. False with the cause in error.
 */
bool dns_resolver_init(
    struct dns_resolver *r, const char *given, char error[DNS_FIND_ERROR_MAX]);

/* dns_ask() by the resolvers, one after the other until one has an answer; the questions'
 * server and recurse are set here. An answer may be a failure (SERVFAIL) still. */
void dns_resolve(
    const struct dns_resolver *r, struct dns_question *questions, size_t n);

struct dns_name_server {
	char *name;                  /* "ns1.example."; of a resolver its address */
	char text[INET6_ADDRSTRLEN]; /* its address */
	struct dns_address address;
};

struct dns_servers {
	char *
	    zone; /* "example."; NULL: no zone cut was found, these are the resolvers */
	struct dns_name_server server[DNS_SERVERS_MAX];
	size_t n;
};

/* Find those of the zone that domain is in. False with the cause in error. */
bool dns_find(struct dns_servers *s, const struct dns_resolver *r, const char *domain,
    char error[DNS_FIND_ERROR_MAX]);
void dns_servers_deinit(struct dns_servers *s);

/* The records of a type in a packet's answer that belong to name; *i is 0 at first. NULL at
 * the end, and if there is no packet. */
const ldns_rr *dns_next_answer(
    const ldns_pkt *packet, const char *name, ldns_rr_type type, size_t *i);

#endif
