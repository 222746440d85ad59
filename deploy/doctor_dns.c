#include "deploy/doctor_dns.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "deploy/doctor_dkim.h"

#define KEY_SIZE    512
#define REMEDY_SIZE 1024

static const char *const services[] = {
	[DNS_SERVES] = "",
	[DNS_SERVES_PARTLY] = "leaves questions without an answer",
	[DNS_LAME] = "does not know the zone",
	[DNS_DEAD] = "does not answer",
	[DNS_UNREACHED] = "",
};

/* "x.example.": without the dot, as people write it. */
static int bare(const char *name)
{
	size_t len = strlen(name);

	return (int)(len > 1 && name[len - 1] == '.' ? len - 1 : len);
}

/* All silent is one matter, not one for each record. */
static bool judge_servers(struct doctor *d, const struct dns_report *r)
{
	size_t dead = 0;

	for (size_t i = 0; i < r->servers.n; i++)
		dead += r->service[i] == DNS_DEAD || r->service[i] == DNS_UNREACHED;
	if (dead == r->servers.n) {
		doctor_note(d, DOCTOR_TROUBLE, "dns servers",
		    "see whether this machine is online, and what the provider of the "
		    "zone says",
		    "none of the %zu name servers answers", r->servers.n);
		return false;
	}
	for (size_t i = 0; i < r->servers.n; i++) {
		char key[KEY_SIZE];

		if (!*services[r->service[i]])
			continue;
		snprintf(key, sizeof(key), "dns server %.*s %s",
		    bare(r->servers.server[i].name), r->servers.server[i].name,
		    r->servers.server[i].text);
		doctor_note(d, DOCTOR_WARNING, key,
		    "have the zone's provider mend it, or take it out of the NS "
		    "records",
		    "%s", services[r->service[i]]);
	}
	doctor_note(d, DOCTOR_SOUND, "dns servers", NULL, "%zu of %zu answer",
	    r->servers.n - dead, r->servers.n);
	return true;
}

static void add_values(char *text, size_t size, const struct dns_record *want)
{
	size_t len;

	for (size_t i = 0; i < want->nvalues; i++) {
		len = strlen(text);
		snprintf(
		    text + len, size - len, "%s%s", i > 0 ? ", " : " ", want->value[i]);
	}
}

static void judge_record(struct doctor *d, const struct dns_result *r)
{
	const struct dns_record *want = r->want;
	enum doctor_severity severity =
	    r->is.verdict == DNS_RIGHT                        ? DOCTOR_SOUND
	    : want->required && r->is.verdict != DNS_DOUBTFUL ? DOCTOR_TROUBLE
							      : DOCTOR_WARNING;
	char key[KEY_SIZE], remedy[REMEDY_SIZE];

	snprintf(
	    key, sizeof(key), "dns %s %.*s", want->type, bare(want->name), want->name);
	snprintf(remedy, sizeof(remedy), "set %s", want->type);
	add_values(remedy, sizeof(remedy), want);
	if (severity == DOCTOR_SOUND)
		doctor_note(d, severity, key, NULL, "right");
	else
		doctor_note(d, severity, key, remedy, "%s%s%s%s%s",
		    dns_verdict_name(r->is.verdict), *r->is.remark ? ": " : "",
		    r->is.remark, *r->found ? "; there is " : "", r->found);
	if (r->disagree && severity == DOCTOR_SOUND) {
		snprintf(key, sizeof(key), "dns agreement %.*s", bare(want->name),
		    want->name);
		doctor_note(d, DOCTOR_WARNING, key,
		    "wait until all name servers have the new zone",
		    "the name servers do not say the same");
	}
}

void doctor_judge_dns(struct doctor *d, const struct dns_report *report)
{
	if (!judge_servers(d, report))
		return;
	for (size_t i = 0; i < report->nresults; i++)
		judge_record(d, &report->result[i]);
}

char *doctor_dkim_record(const struct dns_report *report)
{
	for (size_t i = 0; i < report->nresults; i++) {
		const struct dns_result *r = &report->result[i];

		if (r->want->kind == DNS_DKIM && r->found && *r->found)
			return doctor_join_text(r->found);
	}
	return NULL;
}

static bool is_address(const char *name)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, name, bytes) == 1 ||
	       inet_pton(AF_INET6, name, bytes) == 1;
}

size_t doctor_addresses(const char *name, const char *resolver,
    char (*addresses)[INET6_ADDRSTRLEN], size_t max)
{
	struct dns_question q[] = {
		{ .type = LDNS_RR_TYPE_A },
		{ .type = LDNS_RR_TYPE_AAAA },
	};
	char error[DNS_FIND_ERROR_MAX], *absolute;
	struct dns_resolver r;
	size_t n = 0;

	if (is_address(name) && max > 0) {
		snprintf(addresses[0], INET6_ADDRSTRLEN, "%s", name);
		return 1;
	}
	if (!dns_resolver_init(&r, resolver, error))
		return 0;
	if (asprintf(&absolute, "%s.", name) < 0)
		abort();
	q[0].name = q[1].name = absolute;
	dns_resolve(&r, q, 2);
	for (size_t k = 0; k < 2; k++) {
		const ldns_rr_list *list =
		    q[k].answer ? ldns_pkt_answer(q[k].answer) : NULL;

		for (size_t i = 0; list && i < ldns_rr_list_rr_count(list) && n < max;
		     i++) {
			const ldns_rr *rr = ldns_rr_list_rr(list, i);
			char *text;

			if (ldns_rr_get_type(rr) != q[k].type)
				continue;
			text = ldns_rdf2str(ldns_rr_rdf(rr, 0));
			if (text)
				snprintf(addresses[n++], INET6_ADDRSTRLEN, "%s", text);
			free(text);
		}
	}
	dns_questions_free(q, 2);
	free(absolute);
	return n;
}
