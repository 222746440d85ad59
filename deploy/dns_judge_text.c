/*
 * Judging texts: MTA-STS, DKIM, SPF, DMARC, ADSP.
 */
#include <stdlib.h>

#include "deploy/dns_judging.h"

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
	while ((rr = judging_next(list, LDNS_RR_TYPE_TXT, &i))) {
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

struct span judging_tag(const struct text *list, const char *name)
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
	struct span found = judging_tag(list, name);

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
	struct span value = judging_tag(&t, "id");
	bool good = n == 1 && is_sts_id(value);

	if (good) {
		memcpy(id, value.data, value.len);
		id[value.len] = '\0';
	}
	text_free(&t);
	return good;
}

void judging_sts(struct judging *j)
{
	char id[DNS_STS_ID_SIZE];
	struct text t;
	size_t n = find_text(j->found, "v=STSv1", &t);

	if (n == 0)
		judging_missing(j);
	else if (n > 1)
		judging_rule(j, DNS_WRONG, "several of them, which counts as none");
	else if (!dns_judge_sts_id(j->found, id))
		judging_rule(j, DNS_WRONG, "its id is not 1 to 32 letters and digits");
	else
		judging_right(j);
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
	struct span key = judging_tag(t, "p"), version = judging_tag(t, "v"),
		    type = judging_tag(t, "k");
	struct span services = judging_tag(t, "s"), hashes = judging_tag(t, "h"),
		    flags = judging_tag(t, "t");

	if (!key.data)
		judging_rule(j, DNS_WRONG, "not a DKIM key");
	else if (key.len == 0)
		judging_rule(j, DNS_WRONG, "revoked: its p= is empty");
	else if (!equal_key(key, judging_tag(want, "p")))
		judging_rule(j, DNS_WRONG, "another key than the server signs with");
	else if (version.data && !span_is(version, "DKIM1"))
		judging_rule(j, DNS_WRONG, "its v= is not DKIM1");
	else if (type.data && !span_is_nocase(type, "rsa"))
		judging_rule(j, DNS_WRONG, "its k= is not rsa");
	else if (services.data && !lists(services, "*") && !lists(services, "email"))
		judging_rule(j, DNS_WRONG, "its s= leaves e-mail out");
	else if (hashes.data && !lists(hashes, "sha256"))
		judging_rule(j, DNS_WRONG, "its h= leaves sha256 out");
	else if (flags.data && lists(flags, "y"))
		judging_rule(j, DNS_DOUBTFUL, "its t=y says that it is only a test");
	else
		judging_right(j);
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

void judging_dkim(struct judging *j)
{
	struct text want = wanted_text(j->want), t;
	size_t n = find_text(j->found, "", &t);

	if (n == 0)
		judging_missing(j);
	else if (n > 1)
		judging_rule(j, DNS_WRONG, "several texts; verifiers take any of them");
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

void judging_spf(struct judging *j)
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
		judging_missing(j);
	else if (n > 1)
		judging_rule(
		    j, DNS_WRONG, "several SPF texts, which is an error for receivers");
	else if (!pass)
		judging_rule(j, DNS_WRONG, "does not name the server by a or mx");
	else if (!span_is_nocase(last, "~all") && !span_is_nocase(last, "-all"))
		judging_rule(j, DNS_WRONG, "does not end in ~all: anybody may send");
	else
		judging_right(j);
	text_free(&t);
}

void judging_dmarc(struct judging *j)
{
	struct text t;
	size_t n = find_text(j->found, "v=DMARC1", &t);
	struct span policy = judging_tag(&t, "p"), below = judging_tag(&t, "sp"),
		    part = judging_tag(&t, "pct");

	if (n == 0)
		judging_missing(j);
	else if (n > 1)
		judging_rule(j, DNS_WRONG, "several of them, which counts as none");
	else if (!policy.data || !span_is_nocase(policy, "reject"))
		judging_rule(j, DNS_WRONG, "weak: its p= is not reject");
	else if (below.data && !span_is_nocase(below, "reject"))
		judging_rule(j, DNS_WRONG, "weak: its sp= is not reject");
	else if (part.data && !span_is(part, "100"))
		judging_rule(j, DNS_WRONG, "weak: its pct= is not 100");
	else if (!tag_is(&t, "adkim", "s") || !tag_is(&t, "aspf", "s"))
		judging_rule(j, DNS_WRONG, "weak: without adkim=s and aspf=s");
	else
		judging_right(j);
	text_free(&t);
}

void judging_adsp(struct judging *j)
{
	struct text t;
	size_t n = find_text(j->found, "", &t);

	if (n == 0)
		judging_missing(j);
	else if (n > 1 || !tag_is(&t, "dkim", "discardable"))
		judging_rule(j, DNS_WRONG, "does not say discardable");
	else
		judging_right(j);
	text_free(&t);
}
