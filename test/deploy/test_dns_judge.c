/* What is found is compared by its meaning. */
#include "deploy/dns_judge.h"

#include <stdlib.h>

#include "test/support.h"

#define KEY "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP"

struct judge_case {
	const char *name;
	enum dns_kind kind;
	const char *type, *value; /* wanted, of the name below */
	const char *found;        /* zone file lines; x is the wanted name */
	enum dns_verdict verdict;
	const char *remark; /* a part of it, "" for none at all */
};

#define A(v4)     DNS_ADDRESS, "A", v4
#define DKIM_WANT DNS_DKIM, "TXT", "\"v=DKIM1;k=rsa;p=" KEY ";s=email;t=s\""
#define STS_WANT  DNS_STS, "TXT", "\"v=STSv1; id=1\""
#define SPF_WANT  DNS_SPF, "TXT", "\"v=spf1 a ~all\""
#define DMARC     DNS_DMARC, "TXT", "\"v=DMARC1;p=reject;adkim=s;aspf=s\""
#define ADSP_WANT DNS_ADSP, "TXT", "\"dkim=discardable\""
#define MX_WANT   DNS_MX, "MX", "10 chat.example."
#define ALIAS     DNS_ALIAS, "CNAME", "chat.example."
#define SRV_WANT  DNS_SRV, "SRV", "0 1 993 chat.example."
#define CAA_WANT                                                                       \
	DNS_CAA, "CAA", "0 issue \"letsencrypt.org;accounturi=https://a.example/1\""

static const struct judge_case judge_cases[] = {
	{ "address", A("192.0.2.1"), "x A 192.0.2.1", DNS_RIGHT, "" },
	{ "no address", A("192.0.2.1"), "x AAAA ::1", DNS_MISSING, "" },
	{ "one of two", A("192.0.2.1"), "x A 192.0.2.1\nx A 192.0.2.2", DNS_DOUBTFUL,
	    "not an address" },
	{ "alias at the domain", A("192.0.2.1"),
	    "x CNAME y.example.\ny.example. A 192.0.2.1", DNS_WRONG, "CNAME" },
	{ "another form of IPv6", DNS_ADDRESS, "AAAA", "2001:db8::1",
	    "x AAAA 2001:0DB8:0:0:0:0:0:1", DNS_RIGHT, "" },
	{ "no IPv6", DNS_NO_ADDRESS, "AAAA", NULL, "x A 192.0.2.1", DNS_RIGHT, "" },
	{ "IPv6 too much", DNS_NO_ADDRESS, "AAAA", NULL, "x AAAA 2001:db8::9",
	    DNS_DOUBTFUL, "no IPv6" },
	{ "any, only IPv6", DNS_ANY_ADDRESS, "A", NULL, "x AAAA 2001:db8::9", DNS_RIGHT,
	    "" },
	{ "any, none", DNS_ANY_ADDRESS, "A", NULL, "", DNS_MISSING, "" },

	{ "MX", MX_WANT, "x MX 50 CHAT.example.", DNS_RIGHT, "" },
	{ "MX missing", MX_WANT, "", DNS_MISSING, "" },
	{ "MX elsewhere", MX_WANT, "x MX 10 a.example.", DNS_WRONG, "another" },
	{ "null MX", MX_WANT, "x MX 0 .", DNS_WRONG, "another" },
	{ "two MX", MX_WANT, "x MX 10 chat.example.\nx MX 20 b.example.", DNS_WRONG,
	    "too" },

	{ "alias", ALIAS, "x CNAME Chat.Example.", DNS_RIGHT, "" },
	{ "alias of another", ALIAS,
	    "x CNAME a.example.\na.example. CNAME chat.example.", DNS_WRONG,
	    "another name" },
	{ "own address", ALIAS, "x A 192.0.2.1", DNS_RIGHT, "by address" },
	{ "other address", ALIAS, "x A 192.0.2.1\nx A 192.0.2.9", DNS_WRONG,
	    "other than" },
	{ "no alias", ALIAS, "", DNS_MISSING, "" },

	{ "SRV", SRV_WANT, "x SRV 10 0 993 chat.EXAMPLE.", DNS_RIGHT, "" },
	{ "SRV port", SRV_WANT, "x SRV 0 1 143 chat.example.", DNS_WRONG,
	    "port 143 instead of 993" },
	{ "SRV host", SRV_WANT, "x SRV 0 1 993 a.example.", DNS_WRONG, "another" },
	{ "SRV off", SRV_WANT, "x SRV 0 0 0 .", DNS_WRONG, "another" },
	{ "two SRV", SRV_WANT,
	    "x SRV 0 1 993 chat.example.\nx SRV 0 1 994 chat.example.", DNS_WRONG,
	    "several" },

	{ "STS", STS_WANT, "x TXT \"v=STSv1; id=20260101;\"", DNS_RIGHT, "" },
	{ "STS beside others", STS_WANT, "x TXT \"a\"\nx TXT \"v=STSv1;id=a\"",
	    DNS_RIGHT, "" },
	{ "STS of another version", STS_WANT, "x TXT \"v=STSv10; id=1\"", DNS_MISSING,
	    "" },
	{ "STS without id", STS_WANT, "x TXT \"v=STSv1;\"", DNS_WRONG, "id" },
	{ "STS with a bad id", STS_WANT, "x TXT \"v=STSv1; id=2026-01\"", DNS_WRONG,
	    "id" },
	{ "STS with a long id", STS_WANT,
	    "x TXT \"v=STSv1; id=123456789012345678901234567890123\"", DNS_WRONG,
	    "id" },
	{ "two STS", STS_WANT, "x TXT \"v=STSv1; id=1\"\nx TXT \"v=STSv1; id=2\"",
	    DNS_WRONG, "several" },

	{ "DKIM", DKIM_WANT, "x TXT \"v=DKIM1;k=rsa;p=" KEY ";s=email;t=s\"", DNS_RIGHT,
	    "" },
	{ "DKIM split elsewhere, blanks in the key, other order", DKIM_WANT,
	    "x TXT \"v=DK\" \"IM1 ; t=s; s=a:email; p= MIGfMA0GCSqGSIb3 DQEBAQUAA4\" "
	    "\"GNADCBiQKBgQDwIRP \"",
	    DNS_RIGHT, "" },
	{ "DKIM with the key alone", DKIM_WANT, "x TXT \"p=" KEY "\"", DNS_RIGHT, "" },
	{ "DKIM missing", DKIM_WANT, "", DNS_MISSING, "" },
	{ "DKIM revoked", DKIM_WANT, "x TXT \"v=DKIM1; p=\"", DNS_WRONG, "revoked" },
	{ "DKIM revoked, blank", DKIM_WANT, "x TXT \"v=DKIM1; p= ; \"", DNS_WRONG,
	    "revoked" },
	{ "DKIM, half a key", DKIM_WANT, "x TXT \"p=MIGfMA0GCSqGSIb3\"", DNS_WRONG,
	    "another key" },
	{ "DKIM, more than the key", DKIM_WANT, "x TXT \"p=" KEY "A\"", DNS_WRONG,
	    "another key" },
	{ "DKIM, key in small letters", DKIM_WANT,
	    "x TXT \"p=migfma0gcsqgsib3dqebaquaa4gnadcbiqkbgqdwirp\"", DNS_WRONG,
	    "another key" },
	{ "DKIM twice", DKIM_WANT, "x TXT \"p=" KEY "\"\nx TXT \"p=\"", DNS_WRONG,
	    "several" },
	{ "DKIM for a test", DKIM_WANT, "x TXT \"p=" KEY "; t=y:s\"", DNS_DOUBTFUL,
	    "t=y" },
	{ "DKIM of sha1", DKIM_WANT, "x TXT \"p=" KEY "; h=sha1\"", DNS_WRONG,
	    "sha256" },
	{ "DKIM not for mail", DKIM_WANT, "x TXT \"p=" KEY "; s=tlsrpt\"", DNS_WRONG,
	    "e-mail" },
	{ "DKIM of another kind", DKIM_WANT, "x TXT \"k=ed25519; p=" KEY "\"",
	    DNS_WRONG, "rsa" },
	{ "DKIM, no key at all", DKIM_WANT, "x TXT \"hello\"", DNS_WRONG,
	    "not a DKIM" },

	{ "SPF", SPF_WANT, "x TXT \"v=spf1 a ~all\"", DNS_RIGHT, "" },
	{ "SPF, strict and split", SPF_WANT,
	    "x TXT \"V=SPF1 +MX:chat.exam\" \"ple -all\"", DNS_RIGHT, "" },
	{ "SPF among texts", SPF_WANT,
	    "x TXT \"v=spf10\"\nx TXT \"MS=1\"\nx TXT \"v=spf1 a -all\"", DNS_RIGHT,
	    "" },
	{ "SPF missing", SPF_WANT, "x TXT \"other\"", DNS_MISSING, "" },
	{ "SPF twice", SPF_WANT, "x TXT \"v=spf1 a ~all\"\nx TXT \"v=spf1\"", DNS_WRONG,
	    "several" },
	{ "SPF without us", SPF_WANT, "x TXT \"v=spf1 include:a.example ~all\"",
	    DNS_WRONG, "name the server" },
	{ "SPF against us", SPF_WANT, "x TXT \"v=spf1 -a ~all\"", DNS_WRONG,
	    "name the server" },
	{ "SPF for all", SPF_WANT, "x TXT \"v=spf1 a +all\"", DNS_WRONG, "anybody" },

	{ "DMARC", DMARC,
	    "x TXT \"v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:a@b\"", DNS_RIGHT,
	    "" },
	{ "DMARC p", DMARC, "x TXT \"v=DMARC1; p=none; adkim=s; aspf=s\"", DNS_WRONG,
	    "weak: its p=" },
	{ "DMARC sp", DMARC, "x TXT \"v=DMARC1;p=reject;sp=none;adkim=s;aspf=s\"",
	    DNS_WRONG, "weak: its sp=" },
	{ "DMARC pct", DMARC, "x TXT \"v=DMARC1;p=reject;pct=10;adkim=s;aspf=s\"",
	    DNS_WRONG, "weak: its pct=" },
	{ "DMARC relaxed", DMARC, "x TXT \"v=DMARC1;p=reject\"", DNS_WRONG, "adkim" },
	{ "DMARC twice", DMARC,
	    "x TXT \"v=DMARC1;p=none\"\nx TXT \"v=DMARC1;p=reject\"", DNS_WRONG,
	    "several" },

	{ "ADSP", ADSP_WANT, "x TXT \"dkim = discardable\"", DNS_RIGHT, "" },
	{ "ADSP all", ADSP_WANT, "x TXT \"dkim=all\"", DNS_WRONG, "discardable" },

	{ "CAA", CAA_WANT,
	    "x CAA 128 issue \"LetsEncrypt.org; accounturi=https://a.example/1; "
	    "validationmethods=http-01\"\nx CAA 0 issuewild \";\"\n"
	    "x CAA 0 iodef \"mailto:a@b.example\"",
	    DNS_RIGHT, "" },
	{ "CAA missing", CAA_WANT, "x CAA 0 iodef \"mailto:a@b.example\"", DNS_MISSING,
	    "" },
	{ "CAA without account", CAA_WANT, "x CAA 0 issue \"letsencrypt.org\"",
	    DNS_WRONG, "account" },
	{ "CAA of another account", CAA_WANT,
	    "x CAA 0 issue \"letsencrypt.org;accounturi=https://a.example/2\"",
	    DNS_WRONG, "another account; no certificate" },
	{ "CAA of another authority", CAA_WANT, "x CAA 0 issue \"ca.example\"",
	    DNS_WRONG, "another authority; no certificate" },
	{ "CAA of nobody", CAA_WANT, "x CAA 0 issue \";\"", DNS_WRONG,
	    "no certificate" },
	{ "CAA of others too", CAA_WANT,
	    "x CAA 0 issue \"letsencrypt.org;accounturi=https://a.example/1\"\n"
	    "x CAA 0 issue \"ca.example\"",
	    DNS_WRONG, "others" },
};

static ldns_rr_list *parse(const char *lines)
{
	ldns_rr_list *list = ldns_rr_list_new();
	struct span rest = span_of(lines), line;

	while (span_cut(&rest, '\n', &line)) {
		char *text;
		ldns_rr *rr;

		if (line.len == 0)
			continue;
		assert_true(asprintf(&text, "%s%.*s",
				line.data[0] == 'x' ? "x.chat.example." : "",
				(int)line.len - (line.data[0] == 'x'),
				line.data + (line.data[0] == 'x')) > 0);
		assert_int_equal(
		    ldns_rr_new_frm_str(&rr, text, 60, NULL, NULL), LDNS_STATUS_OK);
		ldns_rr_list_push_rr(list, rr);
		free(text);
	}
	return list;
}

/* As it comes over the wire: whatever was written in a text is bytes then. */
static void judge(void **state)
{
	const struct judge_case *c = *state;
	struct dns_zone zone = { .domain = (char *)"chat.example." };
	struct dns_record want = { .kind = c->kind,
		.name = (char *)"x.chat.example.",
		.type = c->type,
		.value = { (char *)c->value },
		.nvalues = c->value != NULL };
	ldns_rr_list *found = parse(c->found);
	ldns_rr_list *own = parse("chat.example. A 192.0.2.1");
	struct dns_judgement is = dns_judge(&want, &zone, found, own);

	assert_int_equal(is.verdict, c->verdict);
	if (c->remark[0])
		assert_non_null(strstr(is.remark, c->remark));
	else
		assert_string_equal(is.remark, "");
	ldns_rr_list_deep_free(found);
	ldns_rr_list_deep_free(own);
}

static void private_addresses_are_not_checked(void **state)
{
	struct dns_zone zone = { .domain = (char *)"chat.example.",
		.v4_private = true };
	struct dns_record want = { .kind = DNS_ADDRESS,
		.name = (char *)"chat.example.",
		.type = "A",
		.value = { (char *)"10.0.0.1" },
		.nvalues = 1 };
	ldns_rr_list *found = parse("chat.example. A 192.0.2.1");
	struct dns_judgement is = dns_judge(&want, &zone, found, NULL);

	assert_int_equal(is.verdict, DNS_RIGHT);
	assert_non_null(strstr(is.remark, "cannot be checked"));
	ldns_rr_list_deep_free(found);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(judge, judge_cases) },
		{ SUPPORT_TEST(private_addresses_are_not_checked) },
	};

	return support_run("dns_judge", tests, ARRAY_LEN(tests));
}
