/*
 * Many questions to many name servers at once, each by UDP and, where that does not do, by
 * TCP (RFC 7766). It knows packets, not what they are for.
 */
#ifndef DEPLOY_DNS_ASK_H
#define DEPLOY_DNS_ASK_H

#include <ldns/ldns.h>
#include <stdbool.h>
#include <sys/socket.h>

#define DNS_UDP_TRY_MS 1000 /* until the question is sent again */
#define DNS_UDP_TRIES  2
#define DNS_TCP_MS     2000 /* for all of connecting, asking and reading */

struct dns_address {
	struct sockaddr_storage to;
	socklen_t len;
};

enum dns_outcome {
	DNS_UNASKED,
	DNS_ANSWERED,
	DNS_SILENT,     /* neither by UDP nor by TCP */
	DNS_NO_ROUTE,   /* this machine has no way there, as to IPv6 often */
	DNS_IMPOSSIBLE, /* the name is too long for a question */
};

struct dns_question {
	const struct dns_address *server; /* borrowed */
	const char *name;                 /* borrowed; absolute */
	ldns_rr_type type;
	bool recurse; /* of a resolver; else what the server itself knows */

	/* Set by dns_ask(). */
	enum dns_outcome outcome;
	ldns_pkt *answer; /* owned; NULL unless DNS_ANSWERED */
};

/*
 * Ask them all; at most so long as the times above add up to, for every 128 questions. A server
 * that was silent is not asked what has not been asked yet. What answers is
 * checked: it comes from who was asked, with the id and the question that were sent.
 */
void dns_ask(struct dns_question *questions, size_t n);
void dns_questions_free(struct dns_question *questions, size_t n); /* the answers */

#endif
