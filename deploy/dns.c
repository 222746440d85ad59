#include "deploy/dns.h"

#include <stdlib.h>

/* What is asked for a record: of two types for a name that may have both addresses. */
#define TYPES 2

/* Beside the records: the addresses of the domain itself, for names that have them too. */
#define ROWS (DNS_RECORDS_MAX + 1)

struct check {
	const struct dns_zone *zone;
	struct dns_resolver resolver;
	struct dns_report *report;
	size_t nrows; /* records, and the domain's addresses as the last */

	/* By server, row and type; and what the resolver says where they point elsewhere. */
	struct dns_question asked[DNS_SERVERS_MAX * ROWS * TYPES];
	struct dns_question followed[ROWS * TYPES];
};

static size_t row_types(const struct check *c, size_t row, ldns_rr_type types[TYPES])
{
	enum dns_kind kind =
	    row + 1 < c->nrows ? c->zone->record[row].kind : DNS_ANY_ADDRESS;

	types[0] = LDNS_RR_TYPE_A;
	types[1] = LDNS_RR_TYPE_AAAA;
	if (kind == DNS_ALIAS || kind == DNS_ANY_ADDRESS)
		return TYPES;
	types[0] = ldns_get_rr_type_by_name(c->zone->record[row].type);
	return 1;
}

static const char *row_name(const struct check *c, size_t row)
{
	return row + 1 < c->nrows ? c->zone->record[row].name : c->zone->domain;
}

static struct dns_question *question(
    struct check *c, size_t server, size_t row, size_t type)
{
	return &c->asked[(server * c->nrows + row) * TYPES + type];
}

/* All servers everything, at once. */
static void ask_servers(struct check *c)
{
	const struct dns_servers *s = &c->report->servers;
	struct dns_question *list;
	size_t *index, n = 0, all = s->n * c->nrows * TYPES;

	list = calloc(all, sizeof(*list));
	index = calloc(all, sizeof(*index));
	if (!list || !index)
		abort();
	for (size_t i = 0; i < s->n; i++) {
		for (size_t row = 0; row < c->nrows; row++) {
			ldns_rr_type types[TYPES];
			size_t ntypes = row_types(c, row, types);

			for (size_t t = 0; t < ntypes; t++) {
				index[n] = (size_t)(question(c, i, row, t) - c->asked);
				list[n++] = (struct dns_question){
					.server = &s->server[i].address,
					.name = row_name(c, row),
					.type = types[t],
					.recurse = !s->zone,
				};
			}
		}
	}
	dns_ask(list, n);
	for (size_t i = 0; i < n; i++)
		c->asked[index[i]] = list[i];
	free(list);
	free(index);
}

/* Does the answer hold a record of the type that was asked for? */
static bool has_type(const struct dns_question *q)
{
	const ldns_rr_list *list = ldns_pkt_answer(q->answer);

	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		if (ldns_rr_get_type(ldns_rr_list_rr(list, i)) == q->type)
			return true;
	}
	return false;
}

/* Does the answer send us on to the servers of a zone below this one? */
static bool is_referral(const struct check *c, const struct dns_question *q)
{
	const ldns_rr_list *list = ldns_pkt_authority(q->answer);
	const char *zone = c->report->servers.zone;
	ldns_rdf *apex;
	bool below = false;

	if (!zone || ldns_pkt_get_rcode(q->answer) != LDNS_RCODE_NOERROR ||
	    ldns_pkt_ancount(q->answer) > 0)
		return false;
	apex = ldns_dname_new_frm_str(zone);
	for (size_t i = 0; i < ldns_rr_list_rr_count(list) && !below; i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);

		below = ldns_rr_get_type(rr) == LDNS_RR_TYPE_NS &&
			ldns_dname_is_subdomain(ldns_rr_owner(rr), apex);
	}
	ldns_rdf_deep_free(apex);
	return below;
}

enum worth {
	USABLE,
	FOLLOW,  /* the resolver knows more: an alias out of the zone, a zone below */
	USELESS, /* not an answer */
};

static enum worth worth_of(
    const struct check *c, size_t row, const struct dns_question *q)
{
	bool judged_by_alias =
	    row + 1 < c->nrows && c->zone->record[row].kind == DNS_ALIAS;
	ldns_pkt_rcode rcode;
	size_t i = 0;

	if (!q->answer)
		return USELESS;
	rcode = ldns_pkt_get_rcode(q->answer);
	if (!q->recurse && !judged_by_alias && !has_type(q) &&
	    dns_next_answer(q->answer, q->name, LDNS_RR_TYPE_CNAME, &i))
		return FOLLOW;
	if (rcode != LDNS_RCODE_NOERROR && rcode != LDNS_RCODE_NXDOMAIN)
		return USELESS;
	if (ldns_pkt_aa(q->answer) || (q->recurse && ldns_pkt_ra(q->answer)))
		return USABLE;
	return is_referral(c, q) ? FOLLOW : USELESS;
}

/* One question to the resolver for all servers that point elsewhere. */
static void follow(struct check *c)
{
	struct dns_question list[ROWS * TYPES] = { 0 };
	size_t index[ROWS * TYPES], n = 0;

	for (size_t k = 0; k < c->nrows * TYPES; k++) {
		for (size_t i = 0; i < c->report->servers.n; i++) {
			const struct dns_question *q =
			    question(c, i, k / TYPES, k % TYPES);

			if (worth_of(c, k / TYPES, q) == FOLLOW) {
				index[n] = k;
				list[n].name = q->name;
				list[n++].type = q->type;
				break;
			}
		}
	}
	if (n > 0)
		dns_resolve(&c->resolver, list, n);
	for (size_t i = 0; i < n; i++)
		c->followed[index[i]] = list[i];
}

/* What counts as the server's answer: its own, or the resolver's; NULL if there is none. */
static const ldns_pkt *answer_of(
    struct check *c, size_t server, size_t row, size_t type)
{
	const struct dns_question *q = question(c, server, row, type);
	const struct dns_question *elsewhere = &c->followed[row * TYPES + type];
	enum worth worth = worth_of(c, row, q);

	if (worth == USABLE)
		return q->answer;
	if (worth == FOLLOW && worth_of(c, row, elsewhere) == USABLE)
		return elsewhere->answer;
	return NULL;
}

/* All that the server has for a row; shallow. NULL if it did not answer. */
static ldns_rr_list *collect(struct check *c, size_t server, size_t row)
{
	ldns_rr_list *list = ldns_rr_list_new();
	ldns_rr_type types[TYPES];
	size_t ntypes = row_types(c, row, types);

	for (size_t t = 0; t < ntypes; t++) {
		const ldns_pkt *packet = answer_of(c, server, row, t);

		if (!packet) {
			ldns_rr_list_free(list);
			return NULL;
		}
		for (size_t i = 0; i < ldns_pkt_ancount(packet); i++) {
			ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_answer(packet), i);

			/* A CNAME comes with the answers of both types. */
			if (rr && ldns_rr_get_type(rr) != LDNS_RR_TYPE_RRSIG &&
			    !ldns_rr_list_contains_rr(list, rr))
				ldns_rr_list_push_rr(list, rr);
		}
	}
	return list;
}

static enum dns_service service_of(struct check *c, size_t server)
{
	size_t usable = 0, useless = 0, answered = 0, no_route = 0;

	for (size_t row = 0; row < c->nrows; row++) {
		ldns_rr_type types[TYPES];
		size_t ntypes = row_types(c, row, types);

		for (size_t t = 0; t < ntypes; t++) {
			const struct dns_question *q = question(c, server, row, t);

			answered += q->answer != NULL;
			no_route += q->outcome == DNS_NO_ROUTE;
			worth_of(c, row, q) == USELESS ? useless++ : usable++;
		}
	}
	if (usable > 0)
		return useless > 0 ? DNS_SERVES_PARTLY : DNS_SERVES;
	if (no_route > 0)
		return DNS_UNREACHED;
	return answered > 0 ? DNS_LAME : DNS_DEAD;
}

/* The values of what was found, parted by commas; what can be printed as ldns escapes it. */
static char *print_values(const ldns_rr_list *list)
{
	struct text t = { 0 };

	text_add(&t, "");
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		char *type = ldns_rr_type2str(ldns_rr_get_type(rr));

		text_printf(&t, "%s%s", t.len ? ", " : "", type);
		free(type);
		for (size_t k = 0; k < ldns_rr_rd_count(rr); k++) {
			char *value = ldns_rdf2str(ldns_rr_rdf(rr, k));

			text_printf(&t, " %s", value ? value : "?");
			free(value);
		}
	}
	return text_take(&t);
}

/* Sorted and in small letters, TTLs and round robin being of no matter. */
static ldns_rr_list *canonical(const ldns_rr_list *list)
{
	ldns_rr_list *copy = ldns_rr_list_clone(list);

	if (!copy)
		abort();
	for (size_t i = 0; i < ldns_rr_list_rr_count(copy); i++)
		ldns_rr_set_ttl(ldns_rr_list_rr(copy, i), 0);
	ldns_rr_list2canonical(copy);
	ldns_rr_list_sort(copy);
	return copy;
}

static bool same_records(const ldns_rr_list *a, const ldns_rr_list *b)
{
	ldns_rr_list *x = canonical(a), *y = canonical(b);
	bool same = ldns_rr_list_compare(x, y) == 0;

	ldns_rr_list_deep_free(x);
	ldns_rr_list_deep_free(y);
	return same;
}

const char *dns_verdict_name(enum dns_verdict verdict)
{
	static const char *const names[] = {
		[DNS_RIGHT] = "right",
		[DNS_DOUBTFUL] = "doubtful",
		[DNS_MISSING] = "missing",
		[DNS_WRONG] = "wrong",
		[DNS_UNANSWERED] = "no answer",
	};

	return names[verdict];
}

/* Judge what one server has; it counts if it is worse than what was seen so far. */
static void judge_server(
    struct check *c, struct dns_result *r, size_t row, size_t server, struct text *each)
{
	const struct dns_name_server *s = &c->report->servers.server[server];
	ldns_rr_list *found = collect(c, server, row);
	ldns_rr_list *own = collect(c, server, c->nrows - 1);
	struct dns_judgement is;
	char *values;

	if (found) {
		is = dns_judge(r->want, c->zone, found, own);
		values = print_values(found);
		text_printf(each, "%s %s: %s %s\n", s->name, s->text,
		    dns_verdict_name(is.verdict), values);
		if (r->is.verdict == DNS_UNANSWERED || is.verdict > r->is.verdict) {
			r->is = is;
			free(r->found);
			r->found = values;
		} else {
			free(values);
		}
	}
	ldns_rr_list_free(found);
	ldns_rr_list_free(own);
}

static bool servers_disagree(struct check *c, size_t row)
{
	ldns_rr_list *first = NULL;
	bool disagree = false;

	for (size_t i = 0; i < c->report->servers.n && !disagree; i++) {
		ldns_rr_list *found = collect(c, i, row);

		if (found && first)
			disagree = !same_records(first, found);
		if (found && !first)
			first = found;
		else
			ldns_rr_list_free(found);
	}
	ldns_rr_list_free(first);
	return disagree;
}

static void judge_row(struct check *c, size_t row)
{
	struct dns_result *r = &c->report->result[row];
	struct text each = { 0 };

	*r = (struct dns_result){ .want = &c->zone->record[row],
		.is.verdict = DNS_UNANSWERED };
	for (size_t i = 0; i < c->report->servers.n; i++)
		judge_server(c, r, row, i, &each);
	if (!r->found)
		r->found = strdup("");
	r->disagree = servers_disagree(c, row);
	if (r->disagree)
		r->each = text_take(&each);
	else
		text_free(&each);
}

static void free_check(struct check *c)
{
	dns_questions_free(c->asked, sizeof(c->asked) / sizeof(c->asked[0]));
	dns_questions_free(c->followed, sizeof(c->followed) / sizeof(c->followed[0]));
	free(c);
}

bool dns_check(struct dns_report *report, const struct dns_zone *zone,
    const char *resolver, char error[DNS_ERROR_MAX])
{
	struct check *c = calloc(1, sizeof(*c));
	bool good;

	if (!c)
		abort();
	*report = (struct dns_report){ .nresults = zone->nrecords };
	c->zone = zone;
	c->report = report;
	c->nrows = zone->nrecords + 1;
	good = dns_resolver_init(&c->resolver, resolver, error) &&
	       dns_find(&report->servers, &c->resolver, zone->domain, error);
	if (good) {
		ask_servers(c);
		follow(c);
		for (size_t i = 0; i < report->servers.n; i++)
			report->service[i] = service_of(c, i);
		for (size_t row = 0; row < zone->nrecords; row++)
			judge_row(c, row);
	}
	free_check(c);
	return good;
}

void dns_report_deinit(struct dns_report *report)
{
	for (size_t i = 0; i < report->nresults; i++) {
		free(report->result[i].found);
		free(report->result[i].each);
	}
	dns_servers_deinit(&report->servers);
	*report = (struct dns_report){ 0 };
}

bool dns_report_is_good(const struct dns_report *report)
{
	for (size_t i = 0; i < report->nresults; i++) {
		const struct dns_result *r = &report->result[i];

		if (r->want->required && r->is.verdict > DNS_DOUBTFUL)
			return false;
	}
	return true;
}
