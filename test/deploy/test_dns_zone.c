/* The zone as it should be, in the form of a zone file. */
#include "deploy/dns_zone.h"

#include <ldns/ldns.h>
#include <stdlib.h>

#include "test/support.h"

static struct config *config_of(const char *lines)
{
	struct text ini = { 0 };
	struct config *config;

	text_printf(&ini, "[params]\n%s\n", lines);
	config = config_parse("ini", ini.data, ini.len, stderr);
	assert_non_null(config);
	text_free(&ini);
	return config;
}

static char *print(const char *lines, const struct dns_server *server)
{
	struct config *config = config_of(lines);
	struct dns_zone zone;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	dns_zone_init(&zone, config, server, "202611231826");
	dns_zone_print(&zone, out);
	fclose(out);
	dns_zone_deinit(&zone);
	config_free(config);
	return text;
}

static void whole(void **state)
{
	struct dns_server server = {
		.v4 = { (char *)"192.0.2.1" },
		.nv4 = 1,
		.v6 = { (char *)"2001:db8::1" },
		.nv6 = 1,
		.acme_account = (char *)"https://a.example/1",
		.dkim_key = (char *)"KEY",
	};
	char *text = print("mail_domain = Chat.example", &server);

#define ROW(name, type, value) name " 3600   IN " type " " value "\n"
	assert_string_equal(text,
	    "; Required\n" ROW("chat.example.                           ", "A    ",
		"192.0.2.1") ROW("chat.example.                           ", "AAAA ",
		"2001:db8::1") ROW("chat.example.                           ", "MX   ",
		"10 chat.example.") ROW("_mta-sts.chat.example.                  ",
		"TXT  ", "\"v=STSv1; id=202611231826\"") ROW("mta-sts.chat.example.    "
							     "               ",
		"CNAME",
		"chat.example.") ROW("www.chat.example.                       ",
		"CNAME",
		"chat.example.") ROW("opendkim._domainkey.chat.example.       ",
		"TXT  ",
		"\"v=DKIM1;k=rsa;p=KEY;s=email;t=s\"") "\n; Recommended\n" ROW("chat."
									       "example"
									       ".      "
									       "       "
									       "       "
									       "      "
									       " ",
		"TXT  ", "\"v=spf1 a ~all\"")
		ROW("_dmarc.chat.example.                    ", "TXT  ",
		    "\"v=DMARC1;p=reject;adkim=s;aspf=s\"")
		    ROW("chat.example.                           ", "CAA  ",
			"0 issue \"letsencrypt.org;accounturi=https://a.example/1\"")
			ROW("_adsp._domainkey.chat.example.          ", "TXT  ",
			    "\"dkim=discardable\"")
			    ROW("_submission._tcp.chat.example.          ", "SRV  ",
				"0 1 587 chat.example.")
				ROW("_submissions._tcp.chat.example.         ", "SRV  ",
				    "0 1 465 chat.example.")
				    ROW("_imap._tcp.chat.example.                ",
					"SRV  ", "0 1 143 chat.example.")
					ROW("_imaps._tcp.chat.example.               ",
					    "SRV  ", "0 1 993 chat.example."));
	free(text);
}

/* A record with an empty key would mean that it is revoked. */
static void without_key_and_account(void **state)
{
	struct dns_server server = { .v4 = { (char *)"192.0.2.1" }, .nv4 = 1 };
	char *text = print("mail_domain = chat.example", &server);

	assert_null(strstr(text, "DKIM1"));
	assert_null(strstr(text, "CAA"));
	assert_null(strstr(text, "AAAA"));
	free(text);
}

static void without_acme(void **state)
{
	struct dns_server server = { .v4 = { (char *)"192.0.2.1" }, .nv4 = 1 };
	char *text = print("mail_domain = _chat.example", &server);

	assert_null(strstr(text, "mta-sts"));
	assert_non_null(strstr(text, "www._chat.example."));
	free(text);
}

static void private_address(void **state)
{
	struct dns_server server = {
		.v4 = { (char *)"10.0.0.1" }, .nv4 = 1, .v4_private = true
	};
	char *text = print("mail_domain = chat.example", &server);

	assert_non_null(strstr(text, "; a private address"));
	free(text);
}

/* Every line is taken by a reader of zone files, long keys and all. */
static void is_a_zone_file(void **state)
{
	char key[1000];
	struct dns_server server = {
		.v4 = { (char *)"192.0.2.1", (char *)"192.0.2.2" },
		.nv4 = 2,
		.acme_account = (char *)"https://a.example/1",
		.dkim_key = key,
	};
	struct span rest, line;
	size_t records = 0, strings = 0;
	char *text;

	memset(key, 'A', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	text = print("mail_domain = chat.example", &server);
	rest = span_of(text);
	while (span_cut(&rest, '\n', &line)) {
		char *copy = span_dup(line);
		ldns_rr *rr;

		if (line.len > 0 && line.data[0] != ';') {
			assert_int_equal(ldns_rr_new_frm_str(&rr, copy, 0, NULL, NULL),
			    LDNS_STATUS_OK);
			if (strstr(copy, "DKIM1"))
				strings = ldns_rr_rd_count(rr);
			ldns_rr_free(rr);
			records++;
		}
		free(copy);
	}
	assert_int_equal(records, 15);
	assert_int_equal(strings, 5); /* 1032 bytes, 255 in each */
	free(text);
}

static void unsplit(void **state)
{
	struct dns_record r = {
		.value = { (char *)"\"v=DKIM1;p=abc\" \"def;s=email\"" }, .nvalues = 1
	};
	char *text = dns_record_unsplit(&r);

	assert_string_equal(text, "\"v=DKIM1;p=abcdef;s=email\"");
	free(text);
}

static void sts_id(void **state)
{
	char id[DNS_STS_ID_SIZE];

	dns_sts_id(id, 1767225599); /* 2025-12-31 23:59:59 */
	assert_string_equal(id, "202512312359");
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(whole) },
		{ SUPPORT_TEST(without_key_and_account) },
		{ SUPPORT_TEST(without_acme) },
		{ SUPPORT_TEST(private_address) },
		{ SUPPORT_TEST(is_a_zone_file) },
		{ SUPPORT_TEST(unsplit) },
		{ SUPPORT_TEST(sts_id) },
	};

	return support_run("dns_zone", tests, ARRAY_LEN(tests));
}
