#include "deploy/dns_judge.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#include "deploy/dns_judging.h"

void judging_rule(struct judging *j, enum dns_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	j->is.verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(j->is.remark, sizeof(j->is.remark), fmt, ap);
	va_end(ap);
}

void judging_right(struct judging *j)
{
	judging_rule(j, DNS_RIGHT, "%s", "");
}

void judging_missing(struct judging *j)
{
	judging_rule(j, DNS_MISSING, "%s", "");
}

const ldns_rr *judging_next(const ldns_rr_list *list, ldns_rr_type type, size_t *i)
{
	while (*i < ldns_rr_list_rr_count(list)) {
		const ldns_rr *rr = ldns_rr_list_rr(list, (*i)++);

		if (ldns_rr_get_type(rr) == type)
			return rr;
	}
	return NULL;
}

static const ldns_rr *next_of(const struct judging *j, ldns_rr_type type, size_t *i)
{
	return judging_next(j->found, type, i);
}

static size_t count_of(const struct judging *j, ldns_rr_type type)
{
	size_t i = 0, n = 0;

	while (next_of(j, type, &i))
		n++;
	return n;
}

/* Field i of a record, or NULL: what came from the net may have fewer. */
static const ldns_rdf *field(const ldns_rr *rr, size_t i)
{
	return i < ldns_rr_rd_count(rr) ? ldns_rr_rdf(rr, i) : NULL;
}

static bool is_name(const ldns_rr *rr, size_t i, const ldns_rdf *name)
{
	const ldns_rdf *rdf = field(rr, i);

	return rdf && ldns_rdf_get_type(rdf) == LDNS_RDF_TYPE_DNAME &&
	       ldns_dname_compare(rdf, name) == 0;
}

static unsigned number(const ldns_rr *rr, size_t i)
{
	const ldns_rdf *rdf = field(rr, i);

	if (rdf && ldns_rdf_size(rdf) == 1)
		return ldns_rdf2native_int8(rdf);
	return rdf && ldns_rdf_size(rdf) == 2 ? ldns_rdf2native_int16(rdf) : 0;
}

/* Addresses. */

static bool is_wanted_address(const struct dns_record *want, const ldns_rr *rr)
{
	char *text = ldns_rdf2str(field(rr, 0));
	bool wanted = false;

	for (size_t i = 0; i < want->nvalues && !wanted; i++)
		wanted = text && strcmp(text, want->value[i]) == 0;
	free(text);
	return wanted;
}

/* One that is not the server's may be that of a proxy, or of the NAT before it. */
static void judge_address(struct judging *j)
{
	bool v4 = strcmp(j->want->type, "A") == 0;
	ldns_rr_type type = v4 ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA;
	bool private = v4 ? j->zone->v4_private : j->zone->v6_private;
	const ldns_rr *rr;
	size_t i = 0;

	if (count_of(j, LDNS_RR_TYPE_CNAME) > 0) {
		judging_rule(
		    j, DNS_WRONG, "a CNAME; beside the MX record there may be none");
		return;
	}
	if (count_of(j, type) == 0) {
		judging_missing(j);
		return;
	}
	judging_right(j);
	while ((rr = next_of(j, type, &i))) {
		if (!field(rr, 0) || is_wanted_address(j->want, rr))
			continue;
		if (private)
			judging_rule(j, DNS_RIGHT,
			    "cannot be checked, the server has a private address");
		else
			judging_rule(j, DNS_DOUBTFUL,
			    "not an address of the server; right only if it leads "
			    "there");
	}
}

static void judge_no_address(struct judging *j)
{
	bool v4 = strcmp(j->want->type, "A") == 0;

	judging_right(j);
	if (count_of(j, v4 ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA) > 0)
		judging_rule(j, DNS_DOUBTFUL,
		    "published, but the server has no IPv%c address in use",
		    v4 ? '4' : '6');
}

static void judge_any_address(struct judging *j)
{
	if (count_of(j, LDNS_RR_TYPE_A) + count_of(j, LDNS_RR_TYPE_AAAA) > 0)
		judging_right(j);
	else
		judging_missing(j);
}

/* Names. */

static void judge_mx(struct judging *j)
{
	const ldns_rr *rr;
	size_t i = 0, ours = 0, others = 0;

	while ((rr = next_of(j, LDNS_RR_TYPE_MX, &i)))
		is_name(rr, 1, j->domain) ? ours++ : others++;
	if (ours + others == 0)
		judging_missing(j);
	else if (ours == 0)
		judging_rule(j, DNS_WRONG, "mail goes to another server");
	else if (others > 0)
		judging_rule(j, DNS_WRONG, "mail may go to another server too");
	else
		judging_right(j);
}

/* Is the address in rr one of the domain's own? */
static bool is_own(const struct judging *j, const ldns_rr *rr)
{
	for (size_t i = 0; j->own && i < ldns_rr_list_rr_count(j->own); i++) {
		const ldns_rr *own = ldns_rr_list_rr(j->own, i);

		if (ldns_rr_get_type(own) == ldns_rr_get_type(rr) && field(own, 0) &&
		    field(rr, 0) && ldns_rdf_compare(field(own, 0), field(rr, 0)) == 0)
			return true;
	}
	return false;
}

/* The CNAME of the wanted name itself, not one further along the chain. */
static const ldns_rr *first_alias(const struct judging *j)
{
	const ldns_rr *rr;
	size_t i = 0;

	while ((rr = next_of(j, LDNS_RR_TYPE_CNAME, &i))) {
		if (ldns_dname_compare(ldns_rr_owner(rr), j->name) == 0)
			return rr;
	}
	return NULL;
}

/* Providers that cannot do a CNAME, or flatten it, publish the addresses. */
static void judge_alias(struct judging *j)
{
	static const ldns_rr_type types[] = { LDNS_RR_TYPE_A, LDNS_RR_TYPE_AAAA };
	const ldns_rr *rr = first_alias(j);
	size_t ours = 0, others = 0;

	for (size_t t = 0; t < 2; t++) {
		const ldns_rr *address;
		size_t i = 0;

		while ((address = next_of(j, types[t], &i)))
			is_own(j, address) ? ours++ : others++;
	}
	if (rr && is_name(rr, 0, j->domain))
		judging_right(j);
	else if (rr)
		judging_rule(j, DNS_WRONG, "an alias of another name");
	else if (others > 0)
		judging_rule(j, DNS_WRONG, "addresses other than those of the domain");
	else if (ours > 0)
		judging_rule(j, DNS_RIGHT,
		    "by address: to be changed whenever the server's does");
	else
		judging_missing(j);
}

static void judge_srv(struct judging *j)
{
	const ldns_rr *rr;
	unsigned port = 0;
	size_t i = 0;

	if (sscanf(j->want->value[0], "%*u %*u %u", &port) != 1)
		abort();
	rr = next_of(j, LDNS_RR_TYPE_SRV, &i);
	if (!rr)
		judging_missing(j);
	else if (next_of(j, LDNS_RR_TYPE_SRV, &i))
		judging_rule(j, DNS_WRONG,
		    "several records, clients may take another than ours");
	else if (!is_name(rr, 3, j->domain))
		judging_rule(j, DNS_WRONG, "another server");
	else if (number(rr, 2) != port)
		judging_rule(
		    j, DNS_WRONG, "port %u instead of %u", number(rr, 2), port);
	else
		judging_right(j);
}

/* CAA. */

static bool is_issue(const ldns_rr *rr)
{
	const ldns_rdf *rdf = field(rr, 1);
	struct span name;

	if (!rdf || !field(rr, 2) || ldns_rdf_size(rdf) < 1)
		return false;
	name = span_make((const char *)ldns_rdf_data(rdf) + 1, ldns_rdf_size(rdf) - 1);
	return span_is_nocase(name, "issue");
}

static struct text caa_value(const ldns_rr *rr)
{
	const ldns_rdf *rdf = field(rr, 2);
	struct text t = { 0 };

	text_add(&t, "");
	text_add_span(
	    &t, span_make((const char *)ldns_rdf_data(rdf), ldns_rdf_size(rdf)));
	return t;
}

/* The domain of the authority: what stands before the first semicolon. */
static struct span caa_authority(const struct text *value)
{
	struct span rest = text_span(value), authority = span_of("");

	span_cut(&rest, ';', &authority);
	return span_trim(authority);
}

static void judge_caa(struct judging *j)
{
	ldns_rr *wanted = NULL;
	struct text line = { 0 }, want;
	size_t i = 0, ours = 0, bare = 0, others = 0, accounts = 0;
	const ldns_rr *rr;

	text_printf(&line, "%s CAA %s", j->want->name, j->want->value[0]);
	if (ldns_rr_new_frm_str(&wanted, line.data, 0, NULL, NULL) != LDNS_STATUS_OK)
		abort();
	want = caa_value(wanted);
	while ((rr = next_of(j, LDNS_RR_TYPE_CAA, &i))) {
		struct text value;

		if (!is_issue(rr))
			continue;
		value = caa_value(rr);
		if (!span_equal_nocase(caa_authority(&value), caa_authority(&want)))
			others++;
		else if (!judging_tag(&value, "accounturi").data)
			bare++;
		else if (!span_equal(judging_tag(&value, "accounturi"),
			     judging_tag(&want, "accounturi")))
			accounts++;
		else
			ours++;
		text_free(&value);
	}
	if (ours + bare + others + accounts == 0)
		judging_missing(j);
	else if (ours + bare == 0)
		judging_rule(j, DNS_WRONG, "%s; no certificate can be had",
		    others ? "another authority" : "another account");
	else if (ours == 0)
		judging_rule(j, DNS_WRONG, "does not name the account");
	else if (bare + others + accounts > 0)
		judging_rule(j, DNS_WRONG, "others may have certificates issued too");
	else
		judging_right(j);
	text_free(&line);
	text_free(&want);
	ldns_rr_free(wanted);
}

struct dns_judgement dns_judge(const struct dns_record *want,
    const struct dns_zone *zone, const ldns_rr_list *found, const ldns_rr_list *own)
{
	static void (*const judges[])(struct judging *) = {
		[DNS_ANY_ADDRESS] = judge_any_address,
		[DNS_ADDRESS] = judge_address,
		[DNS_NO_ADDRESS] = judge_no_address,
		[DNS_MX] = judge_mx,
		[DNS_STS] = judging_sts,
		[DNS_ALIAS] = judge_alias,
		[DNS_DKIM] = judging_dkim,
		[DNS_SPF] = judging_spf,
		[DNS_DMARC] = judging_dmarc,
		[DNS_CAA] = judge_caa,
		[DNS_ADSP] = judging_adsp,
		[DNS_SRV] = judge_srv,
	};
	struct judging j = { want, zone, found, own, NULL, NULL, { 0 } };

	j.name = ldns_dname_new_frm_str(want->name);
	j.domain = ldns_dname_new_frm_str(zone->domain);
	assert(j.name && j.domain);
	judges[want->kind](&j);
	ldns_rdf_deep_free(j.name);
	ldns_rdf_deep_free(j.domain);
	return j.is;
}
