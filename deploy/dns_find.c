#include "deploy/dns_find.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DNS_PORT   53
#define LABELS_MAX 12 /* names that are tried as the zone's, the longest first */
#define NAMES_MAX  8  /* name servers of the zone */

static bool make_address(struct dns_address *a, const char *text, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a->to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->to;

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		a->len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		a->len = sizeof(*v6);
	}
	return a->len > 0;
}

static void print_address(const struct dns_address *a, char text[INET6_ADDRSTRLEN])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->to;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->to;

	if (a->to.ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, &v6->sin6_addr, text, INET6_ADDRSTRLEN);
}

/* Resolvers. */

static bool parse_resolver(
    struct dns_resolver *r, const char *given, char error[DNS_FIND_ERROR_MAX])
{
	char address[INET6_ADDRSTRLEN], rest;
	unsigned port = DNS_PORT;
	int n = sscanf(given, "%45[0-9a-fA-F:.]@%5u%c", address, &port, &rest);

	r->n = 1;
	r->port = (uint16_t)port;
	if ((n == 2 ||
		(n == 1 && !strchr(given, '@') && strlen(given) == strlen(address))) &&
	    port > 0 && port < 65536 && make_address(&r->address[0], address, r->port))
		return true;
	snprintf(error, DNS_FIND_ERROR_MAX,
	    "'%.60s' is no resolver; write ADDRESS or ADDRESS@PORT", given);
	return false;
}

bool dns_resolver_init(
    struct dns_resolver *r, const char *given, char error[DNS_FIND_ERROR_MAX])
{
	ldns_resolver *system = NULL;

	*r = (struct dns_resolver){ .port = DNS_PORT };
	if (given)
		return parse_resolver(r, given, error);
	if (ldns_resolver_new_frm_file(&system, NULL) == LDNS_STATUS_OK) {
		size_t n = ldns_resolver_nameserver_count(system);

		for (size_t i = 0; i < n && r->n < DNS_RESOLVERS_MAX; i++) {
			char *text = ldns_rdf2str(ldns_resolver_nameservers(system)[i]);

			r->n += text && make_address(&r->address[r->n], text, DNS_PORT);
			free(text);
		}
		ldns_resolver_deep_free(system);
	}
	if (r->n > 0)
		return true;
	snprintf(error, DNS_FIND_ERROR_MAX,
	    "there is no resolver in /etc/resolv.conf; name one with --resolver");
	return false;
}

static bool is_answered(const struct dns_question *q)
{
	return q->answer && (ldns_pkt_get_rcode(q->answer) == LDNS_RCODE_NOERROR ||
				ldns_pkt_get_rcode(q->answer) == LDNS_RCODE_NXDOMAIN);
}

void dns_resolve(const struct dns_resolver *r, struct dns_question *questions, size_t n)
{
	struct dns_question *again = calloc(n ? n : 1, sizeof(*again));
	size_t *index = calloc(n ? n : 1, sizeof(*index));

	if (!again || !index)
		abort();
	for (size_t try = 0; try < r->n; try++) {
		size_t nagain = 0;

		for (size_t i = 0; i < n; i++) {
			if (try > 0 && is_answered(&questions[i]))
				continue;
			again[nagain] = questions[i];
			again[nagain].server = &r->address[try];
			again[nagain].recurse = true;
			index[nagain++] = i;
		}
		dns_ask(again, nagain);
		for (size_t k = 0; k < nagain; k++) {
			struct dns_question *q = &questions[index[k]];

			/* What an earlier one said stays if this one says nothing. */
			if (try > 0 && !again[k].answer)
				continue;
			if (try > 0)
				ldns_pkt_free(q->answer);
			*q = again[k];
		}
	}
	free(again);
	free(index);
}

const ldns_rr *dns_next_answer(
    const ldns_pkt *packet, const char *name, ldns_rr_type type, size_t *i)
{
	ldns_rdf *owner = ldns_dname_new_frm_str(name);
	const ldns_rr *found = NULL;
	const ldns_rr_list *list = packet ? ldns_pkt_answer(packet) : NULL;

	while (owner && list && !found && *i < ldns_rr_list_rr_count(list)) {
		const ldns_rr *rr = ldns_rr_list_rr(list, (*i)++);

		if (ldns_rr_get_type(rr) == type && ldns_rr_rd_count(rr) > 0 &&
		    ldns_dname_compare(ldns_rr_owner(rr), owner) == 0)
			found = rr;
	}
	ldns_rdf_deep_free(owner);
	return found;
}

/* The zone. */

/* The names of name's servers in this answer. Returns how many; they are the caller's. */
static size_t read_names(const struct dns_question *q, char *names[NAMES_MAX])
{
	const ldns_rr *rr;
	size_t n = 0, i = 0;

	while (n < NAMES_MAX &&
	       (rr = dns_next_answer(q->answer, q->name, LDNS_RR_TYPE_NS, &i)))
		names[n++] = ldns_rdf2str(ldns_rr_rdf(rr, 0));
	return n;
}

/*
 * Ask for NS of the domain and of all names above it at once; the longest that has some is
 * the zone. Returns the number of servers, or -1 if no resolver answered.
 */
static int find_cut(struct dns_servers *s, const struct dns_resolver *r,
    const char *domain, char *names[NAMES_MAX])
{
	struct dns_question questions[LABELS_MAX] = { 0 };
	bool answered = false;
	size_t n = 0, found = 0;

	for (const char *at = domain; *at && n < LABELS_MAX;
	     at = strchr(at, '.') + 1) /* the last label ends in a dot too */
		questions[n++] =
		    (struct dns_question){ .name = at, .type = LDNS_RR_TYPE_NS };
	dns_resolve(r, questions, n);
	for (size_t i = 0; i < n && found == 0; i++) {
		answered = answered || questions[i].answer;
		found = read_names(&questions[i], names);
		if (found > 0)
			s->zone = strdup(questions[i].name);
	}
	dns_questions_free(questions, n);
	return answered ? (int)found : -1;
}

static void add_server(
    struct dns_servers *s, const char *name, const char *text, uint16_t port)
{
	struct dns_name_server *server = &s->server[s->n];

	if (s->n == DNS_SERVERS_MAX || !make_address(&server->address, text, port))
		return;
	server->name = strdup(name);
	print_address(&server->address, server->text);
	s->n++;
}

static void find_addresses(struct dns_servers *s, const struct dns_resolver *r,
    char *const *names, size_t nnames)
{
	struct dns_question questions[NAMES_MAX * 2] = { 0 };

	for (size_t i = 0; i < nnames; i++) {
		questions[2 * i].name = names[i];
		questions[2 * i].type = LDNS_RR_TYPE_A;
		questions[2 * i + 1].name = names[i];
		questions[2 * i + 1].type = LDNS_RR_TYPE_AAAA;
	}
	dns_resolve(r, questions, nnames * 2);
	for (size_t i = 0; i < nnames * 2; i++) {
		const ldns_rr *rr;
		size_t k = 0;

		while ((rr = dns_next_answer(questions[i].answer, questions[i].name,
			    questions[i].type, &k))) {
			char *text = ldns_rdf2str(ldns_rr_rdf(rr, 0));

			add_server(s, questions[i].name, text, r->port);
			free(text);
		}
	}
	dns_questions_free(questions, nnames * 2);
}

static void take_resolvers(struct dns_servers *s, const struct dns_resolver *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct dns_name_server *server = &s->server[s->n++];

		server->address = r->address[i];
		print_address(&server->address, server->text);
		server->name = strdup(server->text);
	}
}

bool dns_find(struct dns_servers *s, const struct dns_resolver *r, const char *domain,
    char error[DNS_FIND_ERROR_MAX])
{
	char *names[NAMES_MAX];
	int n;

	*s = (struct dns_servers){ 0 };
	n = find_cut(s, r, domain, names);
	if (n < 0) {
		char text[INET6_ADDRSTRLEN];

		print_address(&r->address[0], text);
		snprintf(error, DNS_FIND_ERROR_MAX,
		    "no resolver answers, the first is %s; see /etc/resolv.conf of "
		    "this "
		    "machine",
		    text);
		return false;
	}
	if (n == 0)
		take_resolvers(s, r);
	else
		find_addresses(s, r, names, (size_t)n);
	for (int i = 0; i < n; i++)
		free(names[i]);
	if (s->n > 0)
		return true;
	snprintf(error, DNS_FIND_ERROR_MAX,
	    "none of the name servers of %.120s has an address", s->zone);
	dns_servers_deinit(s);
	return false;
}

void dns_servers_deinit(struct dns_servers *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->server[i].name);
	free(s->zone);
	*s = (struct dns_servers){ 0 };
}
