#include "deploy/dns_judge.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

struct judging {
	const struct dns_record *want;
	const struct dns_zone *zone;
	const ldns_rr_list *found, *own;
	ldns_rdf *name, *domain;
	struct dns_judgement is;
};

__attribute__((format(printf, 3, 4))) static void rule(
    struct judging *j, enum dns_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	j->is.verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(j->is.remark, sizeof(j->is.remark), fmt, ap);
	va_end(ap);
}

static void right(struct judging *j)
{
	rule(j, DNS_RIGHT, "%s", "");
}

static void missing(struct judging *j)
{
	rule(j, DNS_MISSING, "%s", "");
}

/* Walk over the records of a type: *i is 0 at first. NULL at the end. */
static const ldns_rr *next_in(const ldns_rr_list *list, ldns_rr_type type, size_t *i)
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
	return next_in(j->found, type, i);
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
		rule(j, DNS_WRONG, "a CNAME; beside the MX record there may be none");
		return;
	}
	if (count_of(j, type) == 0) {
		missing(j);
		return;
	}
	right(j);
	while ((rr = next_of(j, type, &i))) {
		if (!field(rr, 0) || is_wanted_address(j->want, rr))
			continue;
		if (private)
			rule(j, DNS_RIGHT,
			    "cannot be checked, the server has a private address");
		else
			rule(j, DNS_DOUBTFUL,
			    "not an address of the server; right only if it leads "
			    "there");
	}
}

static void judge_no_address(struct judging *j)
{
	bool v4 = strcmp(j->want->type, "A") == 0;

	right(j);
	if (count_of(j, v4 ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA) > 0)
		rule(j, DNS_DOUBTFUL,
		    "published, but the server has no IPv%c address in use",
		    v4 ? '4' : '6');
}

static void judge_any_address(struct judging *j)
{
	if (count_of(j, LDNS_RR_TYPE_A) + count_of(j, LDNS_RR_TYPE_AAAA) > 0)
		right(j);
	else
		missing(j);
}

/* Names. */

static void judge_mx(struct judging *j)
{
	const ldns_rr *rr;
	size_t i = 0, ours = 0, others = 0;

	while ((rr = next_of(j, LDNS_RR_TYPE_MX, &i)))
		is_name(rr, 1, j->domain) ? ours++ : others++;
	if (ours + others == 0)
		missing(j);
	else if (ours == 0)
		rule(j, DNS_WRONG, "mail goes to another server");
	else if (others > 0)
		rule(j, DNS_WRONG, "mail may go to another server too");
	else
		right(j);
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
		right(j);
	else if (rr)
		rule(j, DNS_WRONG, "an alias of another name");
	else if (others > 0)
		rule(j, DNS_WRONG, "addresses other than those of the domain");
	else if (ours > 0)
		rule(j, DNS_RIGHT,
		    "by address: to be changed whenever the server's does");
	else
		missing(j);
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
		missing(j);
	else if (next_of(j, LDNS_RR_TYPE_SRV, &i))
		rule(j, DNS_WRONG,
		    "several records, clients may take another than ours");
	else if (!is_name(rr, 3, j->domain))
		rule(j, DNS_WRONG, "another server");
	else if (number(rr, 2) != port)
		rule(j, DNS_WRONG, "port %u instead of %u", number(rr, 2), port);
	else
		right(j);
}

/* Texts. */

/* The strings of a TXT record joined: RFC 7208 section 3.3, RFC 6376 section 3.6.2.2. */
static struct text joined(const ldns_rr *rr)
{
	struct text t = { 0 };

	text_add(&t, "");
	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
		const char *data = (const char *)ldns_rdf_data(rdf);

		if (ldns_rdf_size(rdf) > 0) /* a byte of length, then the string */
			text_add_span(&t, span_make(data + 1, ldns_rdf_size(rdf) - 1));
	}
	return t;
}

/*
 * Find the one text that begins with prefix ("" takes any), whatever its case, and is not
 * merely the beginning of a longer word. Returns how many there are; *text, to be freed, is
 * the first.
 */
static size_t find_text(const ldns_rr_list *list, const char *prefix, struct text *text)
{
	const ldns_rr *rr;
	size_t i = 0, n = 0;

	*text = (struct text){ 0 };
	while ((rr = next_in(list, LDNS_RR_TYPE_TXT, &i))) {
		struct text t = joined(rr);
		struct span rest = span_skip(text_span(&t), strlen(prefix));

		if (!span_starts_nocase(text_span(&t), prefix) ||
		    (prefix[0] && rest.len > 0 && !span_blank(rest.data[0]) &&
			rest.data[0] != ';')) {
			text_free(&t);
		} else if (n++ == 0) {
			*text = t;
		} else {
			text_free(&t);
		}
	}
	return n;
}

/* The value of a tag in "a=1; b=2"; data is NULL if it is not there. */
static struct span tag(const struct text *list, const char *name)
{
	struct span rest = text_span(list), item, key;

	while (span_cut(&rest, ';', &item)) {
		if (span_cut(&item, '=', &key) && item.data &&
		    span_is_nocase(span_trim(key), name))
			return span_trim(item);
	}
	return span_make(NULL, 0);
}

static bool tag_is(const struct text *list, const char *name, const char *value)
{
	struct span found = tag(list, name);

	return found.data && span_is_nocase(found, value);
}

static bool is_sts_id(struct span id)
{
	for (size_t i = 0; i < id.len; i++) {
		char c = id.data[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
		    !(c >= 'A' && c <= 'Z'))
			return false;
	}
	return id.len > 0 && id.len < DNS_STS_ID_SIZE;
}

bool dns_judge_sts_id(const ldns_rr_list *found, char id[DNS_STS_ID_SIZE])
{
	struct text t;
	size_t n = find_text(found, "v=STSv1", &t);
	struct span value = tag(&t, "id");
	bool good = n == 1 && is_sts_id(value);

	if (good) {
		memcpy(id, value.data, value.len);
		id[value.len] = '\0';
	}
	text_free(&t);
	return good;
}

static void judge_sts(struct judging *j)
{
	char id[DNS_STS_ID_SIZE];
	struct text t;
	size_t n = find_text(j->found, "v=STSv1", &t);

	if (n == 0)
		missing(j);
	else if (n > 1)
		rule(j, DNS_WRONG, "several of them, which counts as none");
	else if (!dns_judge_sts_id(j->found, id))
		rule(j, DNS_WRONG, "its id is not 1 to 32 letters and digits");
	else
		right(j);
	text_free(&t);
}

/* Equal but for blanks, which base64 in a record may hold. */
static bool equal_key(struct span found, struct span key)
{
	size_t k = 0;

	for (size_t i = 0; i < found.len; i++) {
		if (span_blank(found.data[i]))
			continue;
		if (k == key.len || found.data[i] != key.data[k++])
			return false;
	}
	return k == key.len;
}

/* Is word one of a list parted by colons? */
static bool lists(struct span list, const char *word)
{
	struct span item;

	while (span_cut(&list, ':', &item)) {
		if (span_is_nocase(span_trim(item), word))
			return true;
	}
	return false;
}

static void judge_key(struct judging *j, const struct text *t, const struct text *want)
{
	struct span key = tag(t, "p"), version = tag(t, "v"), type = tag(t, "k");
	struct span services = tag(t, "s"), hashes = tag(t, "h"), flags = tag(t, "t");

	if (!key.data)
		rule(j, DNS_WRONG, "not a DKIM key");
	else if (key.len == 0)
		rule(j, DNS_WRONG, "revoked: its p= is empty");
	else if (!equal_key(key, tag(want, "p")))
		rule(j, DNS_WRONG, "another key than the server signs with");
	else if (version.data && !span_is(version, "DKIM1"))
		rule(j, DNS_WRONG, "its v= is not DKIM1");
	else if (type.data && !span_is_nocase(type, "rsa"))
		rule(j, DNS_WRONG, "its k= is not rsa");
	else if (services.data && !lists(services, "*") && !lists(services, "email"))
		rule(j, DNS_WRONG, "its s= leaves e-mail out");
	else if (hashes.data && !lists(hashes, "sha256"))
		rule(j, DNS_WRONG, "its h= leaves sha256 out");
	else if (flags.data && lists(flags, "y"))
		rule(j, DNS_DOUBTFUL, "its t=y says that it is only a test");
	else
		right(j);
}

/* A joined copy of the wanted text. */
static struct text wanted_text(const struct dns_record *want)
{
	char *quoted = dns_record_unsplit(want);
	struct text t = { 0 };

	text_add_span(&t, span_make(quoted + 1, strlen(quoted) - 2));
	free(quoted);
	return t;
}

static void judge_dkim(struct judging *j)
{
	struct text want = wanted_text(j->want), t;
	size_t n = find_text(j->found, "", &t);

	if (n == 0)
		missing(j);
	else if (n > 1)
		rule(j, DNS_WRONG, "several texts; verifiers take any of them");
	else
		judge_key(j, &t, &want);
	text_free(&t);
	text_free(&want);
}

/* Does the term let the addresses of the domain pass? "a", "+mx:chat.example.", ... */
static bool passes(const struct judging *j, struct span term)
{
	struct span mechanism, name = span_of(j->zone->domain);

	if (term.len > 0 && term.data[0] == '+')
		term = span_skip(term, 1);
	if (!span_cut(&term, ':', &mechanism) ||
	    (!span_is_nocase(mechanism, "a") && !span_is_nocase(mechanism, "mx")))
		return false;
	if (!term.data)
		return true;
	if (term.len > 0 && term.data[term.len - 1] == '.')
		term.len--;
	return span_equal_nocase(term, span_make(name.data, name.len - 1));
}

static void judge_spf(struct judging *j)
{
	struct text t;
	size_t n = find_text(j->found, "v=spf1", &t);
	struct span rest = text_span(&t), term, last = span_of("");
	bool pass = false;

	while (span_cut(&rest, ' ', &term)) {
		pass = pass || passes(j, term);
		if (term.len > 0)
			last = term;
	}
	if (n == 0)
		missing(j);
	else if (n > 1)
		rule(
		    j, DNS_WRONG, "several SPF texts, which is an error for receivers");
	else if (!pass)
		rule(j, DNS_WRONG, "does not name the server by a or mx");
	else if (!span_is_nocase(last, "~all") && !span_is_nocase(last, "-all"))
		rule(j, DNS_WRONG, "does not end in ~all: anybody may send");
	else
		right(j);
	text_free(&t);
}

static void judge_dmarc(struct judging *j)
{
	struct text t;
	size_t n = find_text(j->found, "v=DMARC1", &t);
	struct span policy = tag(&t, "p"), below = tag(&t, "sp"), part = tag(&t, "pct");

	if (n == 0)
		missing(j);
	else if (n > 1)
		rule(j, DNS_WRONG, "several of them, which counts as none");
	else if (!policy.data || !span_is_nocase(policy, "reject"))
		rule(j, DNS_WRONG, "weak: its p= is not reject");
	else if (below.data && !span_is_nocase(below, "reject"))
		rule(j, DNS_WRONG, "weak: its sp= is not reject");
	else if (part.data && !span_is(part, "100"))
		rule(j, DNS_WRONG, "weak: its pct= is not 100");
	else if (!tag_is(&t, "adkim", "s") || !tag_is(&t, "aspf", "s"))
		rule(j, DNS_WRONG, "weak: without adkim=s and aspf=s");
	else
		right(j);
	text_free(&t);
}

static void judge_adsp(struct judging *j)
{
	struct text t;
	size_t n = find_text(j->found, "", &t);

	if (n == 0)
		missing(j);
	else if (n > 1 || !tag_is(&t, "dkim", "discardable"))
		rule(j, DNS_WRONG, "does not say discardable");
	else
		right(j);
	text_free(&t);
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
		else if (!tag(&value, "accounturi").data)
			bare++;
		else if (!span_equal(
			     tag(&value, "accounturi"), tag(&want, "accounturi")))
			accounts++;
		else
			ours++;
		text_free(&value);
	}
	if (ours + bare + others + accounts == 0)
		missing(j);
	else if (ours + bare == 0)
		rule(j, DNS_WRONG, "%s; no certificate can be had",
		    others ? "another authority" : "another account");
	else if (ours == 0)
		rule(j, DNS_WRONG, "does not name the account");
	else if (bare + others + accounts > 0)
		rule(j, DNS_WRONG, "others may have certificates issued too");
	else
		right(j);
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
		[DNS_STS] = judge_sts,
		[DNS_ALIAS] = judge_alias,
		[DNS_DKIM] = judge_dkim,
		[DNS_SPF] = judge_spf,
		[DNS_DMARC] = judge_dmarc,
		[DNS_CAA] = judge_caa,
		[DNS_ADSP] = judge_adsp,
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
