/*
 * Answers of name servers, and what a server says of itself: whatever comes, it is judged,
 * and no half key becomes a record.
 */
#include <stdint.h>
#include <stdlib.h>

#include "deploy/dns_find.h"
#include "deploy/dns_judge.h"
#include "deploy/dns_server.h"
#include "test/fuzz/fuzz.h"

#define DOMAIN "chat.example."

static const struct dns_record records[] = {
	{ DNS_ANY_ADDRESS, true, (char *)DOMAIN, "A", { NULL }, 0, NULL },
	{ DNS_ADDRESS, true, (char *)DOMAIN, "A", { (char *)"192.0.2.1" }, 1, NULL },
	{ DNS_NO_ADDRESS, false, (char *)DOMAIN, "AAAA", { NULL }, 0, NULL },
	{ DNS_MX, true, (char *)DOMAIN, "MX", { (char *)"10 " DOMAIN }, 1, NULL },
	{ DNS_STS, true, (char *)"_mta-sts." DOMAIN, "TXT",
	    { (char *)"\"v=STSv1; id=1\"" }, 1, NULL },
	{ DNS_ALIAS, true, (char *)"www." DOMAIN, "CNAME", { (char *)DOMAIN }, 1,
	    NULL },
	{ DNS_DKIM, true, (char *)"opendkim._domainkey." DOMAIN, "TXT",
	    { (char *)"\"v=DKIM1;k=rsa;p=MIGf\" \"MA0G;s=email;t=s\"" }, 1, NULL },
	{ DNS_SPF, false, (char *)DOMAIN, "TXT", { (char *)"\"v=spf1 a ~all\"" }, 1,
	    NULL },
	{ DNS_DMARC, false, (char *)"_dmarc." DOMAIN, "TXT",
	    { (char *)"\"v=DMARC1;p=reject;adkim=s;aspf=s\"" }, 1, NULL },
	{ DNS_CAA, false, (char *)DOMAIN, "CAA",
	    { (char *)"0 issue \"letsencrypt.org;accounturi=https://a.example/1\"" }, 1,
	    NULL },
	{ DNS_ADSP, false, (char *)"_adsp._domainkey." DOMAIN, "TXT",
	    { (char *)"\"dkim=discardable\"" }, 1, NULL },
	{ DNS_SRV, false, (char *)"_imaps._tcp." DOMAIN, "SRV",
	    { (char *)"0 1 993 " DOMAIN }, 1, NULL },
};

static void judge_answer(const ldns_pkt *packet)
{
	const struct dns_zone zone = { .domain = (char *)DOMAIN };
	const ldns_rr_list *answer = ldns_pkt_answer(packet);
	char id[DNS_STS_ID_SIZE] = "";
	size_t k = 0;

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		struct dns_judgement is = dns_judge(&records[i], &zone, answer, answer);

		FUZZ_CHECK(is.verdict <= DNS_WRONG);
		FUZZ_CHECK(strlen(is.remark) < sizeof(is.remark));
		FUZZ_CHECK(is.verdict != DNS_WRONG || is.remark[0]);
		if (ldns_rr_list_rr_count(answer) == 0)
			FUZZ_CHECK(is.verdict == DNS_MISSING ||
				   records[i].kind == DNS_NO_ADDRESS);
	}
	if (dns_judge_sts_id(answer, id))
		FUZZ_CHECK(id[0] && strlen(id) < DNS_STS_ID_SIZE);
	while (dns_next_answer(packet, DOMAIN, LDNS_RR_TYPE_NS, &k))
		;
	FUZZ_CHECK(k <= ldns_rr_list_rr_count(answer));
}

static void read_server(const char *data, size_t len)
{
	struct dns_server s;

	dns_server_parse(&s, span_make(data, len), true);
	FUZZ_CHECK(s.nv4 <= DNS_ADDRESSES_MAX && s.nv6 <= DNS_ADDRESSES_MAX);
	FUZZ_CHECK(!s.dkim_key || strlen(s.dkim_key) >= 200);
	FUZZ_CHECK(!s.dkim_key || !strpbrk(s.dkim_key, "\"\\; \n"));
	FUZZ_CHECK(!s.acme_account || !strpbrk(s.acme_account, "\"\\; \n"));
	dns_server_deinit(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ldns_pkt *packet = NULL;

	if (ldns_wire2pkt(&packet, data, size) == LDNS_STATUS_OK) {
		judge_answer(packet);
		ldns_pkt_free(packet);
	}
	read_server((const char *)data, size);
	return 0;
}
