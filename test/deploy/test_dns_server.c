/* What a server says of itself is believed only where it can be true. */
#include "deploy/dns_server.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support.h"

#define KEY                                                                            \
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7" \
	"/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gb" \
	"to/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"

struct server_case {
	const char *name, *output;
	const char *v4, *v6; /* parted by blanks */
	bool v4_private;
	const char *account, *key;
};

static const struct server_case server_cases[] = {
	{ "nothing", "", "", "", false, NULL, NULL },
	{ "all",
	    "address 192.0.2.1/24\naddress 2001:db8::1/64\nacme "
	    "https://a.example/acct/1\ndkim " KEY "\n",
	    "192.0.2.1", "2001:db8::1", false, "https://a.example/acct/1", KEY },
	{ "private ones give way",
	    "address 10.0.0.1/8\naddress 192.0.2.1/24\naddress 172.17.0.1/16\naddress "
	    "fd00::1/8\naddress 2001:db8::1/64\n",
	    "192.0.2.1", "2001:db8::1", false, NULL, NULL },
	{ "only private ones",
	    "address 172.31.255.1/16\naddress 192.168.0.1/16\naddress 100.64.0.1/10\n",
	    "172.31.255.1 192.168.0.1 100.64.0.1", "", true, NULL, NULL },
	{ "just outside of the private ones",
	    "address 172.32.0.1/16\naddress 100.128.0.1/10\naddress 9.255.255.255/8\n",
	    "172.32.0.1 100.128.0.1 9.255.255.255", "", false, NULL, NULL },
	{ "the same twice, in another form",
	    "address 2001:0DB8:0::1/64\naddress 2001:db8::1/64\n", "", "2001:db8::1",
	    false, NULL, NULL },
	{ "more than are taken",
	    "address 192.0.2.1\naddress 192.0.2.2\naddress 192.0.2.3\naddress "
	    "192.0.2.4\naddress 192.0.2.5\naddress 192.0.2.6\naddress "
	    "192.0.2.7\naddress 192.0.2.8\naddress 192.0.2.9\n",
	    "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7 "
	    "192.0.2.8",
	    "", false, NULL, NULL },
	{ "no addresses",
	    "address \naddress 1.2.3\naddress 1.2.3.4.5/8\naddress "
	    "fe80::1%eth0/64\naddress "
	    "1111111111111111111111111111111111111111111111111/8\nhello\n",
	    "", "", false, NULL, NULL },
	{ "accounts that are none",
	    "acme \nacme http://a.example/\nacme https://a\"b/\nacme "
	    "https://a;b/\nacme https://a b/\n",
	    "", "", false, NULL, NULL },
	{ "no key", "dkim \n", "", "", false, NULL, NULL },
	{ "an error for a key", "dkim unable to load key\n", "", "", false, NULL,
	    NULL },
	{ "half a key", "dkim MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3S\n", "",
	    "", false, NULL, NULL },
	{ "a key and a half", "dkim " KEY "AAAA\n", "", "", false, NULL, NULL },
	{ "a key with a quote",
	    "dkim MIGf\""
	    "0GCSqGSIb3DQEB\n",
	    "", "", false, NULL, NULL },
};

static void assert_list(char *const *list, size_t n, const char *want)
{
	struct text t = { 0 };

	text_add(&t, "");
	for (size_t i = 0; i < n; i++)
		text_printf(&t, "%s%s", i ? " " : "", list[i]);
	assert_string_equal(t.data, want);
	text_free(&t);
}

static void assert_text(const char *got, const char *want)
{
	if (want)
		assert_string_equal(got ? got : "nothing", want);
	else
		assert_null(got);
}

static void parse(void **state)
{
	const struct server_case *c = *state;
	struct dns_server s;

	dns_server_parse(&s, span_of(c->output), true);
	assert_list(s.v4, s.nv4, c->v4);
	assert_list(s.v6, s.nv6, c->v6);
	assert_int_equal(s.v4_private, c->v4_private);
	assert_text(s.acme_account, c->account);
	assert_text(s.dkim_key, c->key);
	dns_server_deinit(&s);
}

static void without_ipv6(void **state)
{
	struct dns_server s;

	dns_server_parse(
	    &s, span_of("address 192.0.2.1/24\naddress 2001:db8::1/64\n"), false);
	assert_int_equal(s.nv4, 1);
	assert_int_equal(s.nv6, 0);
	dns_server_deinit(&s);
}

/* The script runs here as it does there, and says something of the form that is read. */
static void script_runs(void **state)
{
	char *script = dns_server_script(), *command, line[512];
	struct text t = { 0 };
	FILE *out;

	assert_true(asprintf(&command, "sh -eu <<'END' 2>&1\n%sEND\n", script) > 0);
	out = popen(command, "re");
	while (fgets(line, sizeof(line), out)) {
		if (strncmp(line, "address ", 8) != 0 &&
		    strncmp(line, "dkim ", 5) != 0 && strncmp(line, "acme ", 5) != 0)
			text_add(&t, line);
	}
	assert_int_equal(pclose(out), 0);
	if (t.len > 0 && !strstr(t.data, "ip: not found"))
		fail_msg("%s", t.data);
	text_free(&t);
	free(command);
	free(script);
}

/* acmetool does not end its line; what comes next is not of it. */
static void account_is_a_line(void **state)
{
	char *script = dns_server_script(), *command, line[512];
	unsigned found = 0;
	FILE *out;

	assert_true(asprintf(&command,
			"sh -eu <<'END' 2>/dev/null\n"
			"acmetool() { printf https://ca.example/account/1; }\n%s"
			"echo next\nEND\n",
			script) > 0);
	out = popen(command, "re");
	while (fgets(line, sizeof(line), out))
		found += strcmp(line, "acme https://ca.example/account/1\n") == 0;
	pclose(out);
	assert_int_equal(found, 1);
	free(command);
	free(script);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(parse, server_cases) },
		{ SUPPORT_TEST(without_ipv6) },
		{ SUPPORT_TEST(script_runs) },
		{ SUPPORT_TEST(account_is_a_line) },
	};

	return support_run("dns_server", tests, ARRAY_LEN(tests));
}
