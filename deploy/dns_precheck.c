/*
 * What is asked before there is a server to ask: may a relay be deployed, and which id does
 * its MTA-STS policy have?
 */
#include "deploy/dns.h"

void dns_published_sts_id(const struct config *config, const char *resolver, time_t now,
    char id[DNS_STS_ID_SIZE])
{
	char error[DNS_ERROR_MAX], name[sizeof("_mta-sts..") + 255];
	struct dns_question question = { .name = name, .type = LDNS_RR_TYPE_TXT };
	struct dns_resolver r;

	dns_sts_id(id, now);
	snprintf(name, sizeof(name), "_mta-sts.%s.", config->mail_domain);
	if (!dns_resolver_init(&r, resolver, error))
		return;
	dns_resolve(&r, &question, 1);
	if (question.answer)
		dns_judge_sts_id(ldns_pkt_answer(question.answer), id);
	dns_questions_free(&question, 1);
}

/* The record to set, and what is there instead. */
static void print_hindrance(const struct dns_result *r, FILE *out)
{
	const char *what = r->want->nvalues ? r->want->value[0] : "ADDRESS";

	if (r->is.verdict == DNS_UNANSWERED)
		fprintf(
		    out, "%s: no name server of the zone answers.\n", r->want->name);
	else if (r->is.verdict == DNS_MISSING && r->want->kind == DNS_ANY_ADDRESS)
		fprintf(out,
		    "%s has no address: set \"%s A ADDRESS\", and AAAA for IPv6.\n",
		    r->want->name, r->want->name);
	else if (r->is.verdict == DNS_MISSING)
		fprintf(out, "%s is missing: set \"%s %s %s\".\n", r->want->name,
		    r->want->name, r->want->type, what);
	else
		fprintf(out, "%s is %s (%.200s): set \"%s %s %s\".\n", r->want->name,
		    r->is.remark, r->found, r->want->name, r->want->type, what);
}

/* Returns the number of lines. */
static unsigned print_hindrances(const struct dns_report *report, FILE *out)
{
	unsigned n = 0, unanswered = 0;

	for (size_t i = 0; i < report->nresults; i++)
		unanswered += report->result[i].is.verdict == DNS_UNANSWERED;
	if (unanswered == report->nresults) {
		fprintf(out, "DNS: no name server of %s answers for %s\n",
		    report->servers.zone ? report->servers.zone : "any zone",
		    report->result[0].want->name);
		return 1;
	}
	for (size_t i = 0; i < report->nresults; i++) {
		if (report->result[i].is.verdict <= DNS_DOUBTFUL)
			continue;
		print_hindrance(&report->result[i], out);
		n++;
	}
	return n;
}

unsigned dns_precheck(const struct config *config, const char *resolver, FILE *out)
{
	char error[DNS_ERROR_MAX];
	struct dns_report report;
	struct dns_zone zone;
	unsigned hindrances = 1;

	if (config->ipv4_relay)
		return 0;
	dns_zone_init_precheck(&zone, config);
	if (dns_check(&report, &zone, resolver, error)) {
		hindrances = print_hindrances(&report, out);
		dns_report_deinit(&report);
	} else {
		fprintf(out, "DNS: %s\n", error);
	}
	dns_zone_deinit(&zone);
	return hindrances;
}
