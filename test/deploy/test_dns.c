/*
 * The DNS as it is: three real name servers (NSD) on loopback serve a zone for each case.
 * ns1 and ns2 may be told different things; ns3 knows none of the zones.
 */
#include "deploy/dns.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support.h"

/* A public key in base64, and its second half. */
#define KEY_HEAD                                                                       \
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7"
#define KEY_TAIL                                                                       \
	"/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gb" \
	"to/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
#define ACCOUNT "https://acme.example/acct/1"

/* A string that, a few times, is more than an answer by UDP may hold. */
#define LONG KEY_HEAD KEY_HEAD KEY_HEAD

#define NO_SERVER_TAKEN 77 /* meson: skipped */

/* A line in drop is a part of lines to leave out; @ in add is the domain. */
struct zone_case {
	const char *name;         /* and the zone's, with .test behind */
	const char *drop, *add;   /* on both servers */
	const char *drop2, *add2; /* on ns2 besides */
	const char *says;         /* all that is not right, a line each */
	bool good;
	const char *servers; /* names; NULL: ns1 ns2 */
};

static const struct zone_case zone_cases[] = {
	{ "right", NULL, NULL, NULL, NULL, "", true, NULL },
	{ "upper-case", " MX \n_imaps",
	    "@ MX 10 UPPER-CASE.Test.\n_IMAPS._tcp.@ SRV 5 7 993 Upper-Case.TEST.\n",
	    NULL, NULL, "", true, NULL },
	{ "second-mx", NULL, "@ MX 20 backup.example.\n", NULL, NULL,
	    "wrong MX: mail may go to another server too\n", false, NULL },
	{ "missing-mx", " MX ", NULL, NULL, NULL, "missing MX\n", false, NULL },
	{ "wrong-mx", " MX ", "@ MX 10 mail.example.\n", NULL, NULL,
	    "wrong MX: mail goes to another server\n", false, NULL },
	{ "revoked", "_domainkey", "opendkim._domainkey.@ TXT \"v=DKIM1; p=\"\n", NULL,
	    NULL,
	    "wrong TXT opendkim._domainkey: revoked: its p= is empty\n"
	    "missing TXT _adsp._domainkey\n",
	    false, NULL },
	{ "split", "opendkim._domainkey",
	    "OPENDKIM._domainkey.@ TXT \"v=DKIM1; k=rsa\" \"; p=" KEY_HEAD
	    " \" \"" KEY_TAIL "\"\n",
	    NULL, NULL, "", true, NULL },
	{ "texts", NULL,
	    "@ TXT \"google-site-verification=1\"\n@ TXT \"MS=ms1\"\n"
	    "_dmarc.@ TXT \"other\"\n_mta-sts.@ TXT \"unrelated\"\n",
	    NULL, NULL, "", true, NULL },
	{ "truncated", NULL,
	    "@ TXT " LONG "\n@ TXT " LONG " a\n@ TXT " LONG " b\n"
	    "@ TXT " LONG " c\n@ TXT " LONG " d\n",
	    NULL, NULL, "", true, NULL },
	{ "two-spf", NULL, "@ TXT \"v=spf1 -all\"\n", NULL, NULL,
	    "wrong TXT: several SPF texts, which is an error for receivers\n", true,
	    NULL },
	{ "no-caa", " CAA ", NULL, NULL, NULL, "missing CAA\n", true, NULL },
	{ "other-caa", " CAA ", "@ CAA 0 issue \"ca.example\"\n", NULL, NULL,
	    "wrong CAA: another authority; no certificate can be had\n", true, NULL },
	{ "alias-elsewhere", " CNAME ",
	    "mta-sts.@ CNAME other.example.\nwww.@ CNAME @\n", NULL, NULL,
	    "wrong CNAME mta-sts: an alias of another name\n", false, NULL },
	{ "alias-by-address", "www.", "www.@ A 192.0.2.1\nwww.@ AAAA 2001:db8::1\n",
	    NULL, NULL, "", true, NULL },
	{ "no-aaaa", " AAAA ", NULL, NULL, NULL, "missing AAAA\n", false, NULL },
	{ "other-address", " A ", "@ A 198.51.100.7\n", NULL, NULL,
	    "doubtful A: not an address of the server; right only if it leads there\n",
	    true, NULL },
	{ "srv-port", "_imaps._tcp", "_imaps._tcp.@ SRV 0 1 143 @\n", NULL, NULL,
	    "wrong SRV _imaps._tcp: port 143 instead of 993\n", true, NULL },
	{ "weak-dmarc", "_dmarc", "_dmarc.@ TXT \"v=DMARC1; p=none\"\n", NULL, NULL,
	    "wrong TXT _dmarc: weak: its p= is not reject\n", true, NULL },
	{ "text-by-alias", "_dmarc", "_dmarc.@ CNAME policy.right.test.\n", NULL, NULL,
	    "", true, NULL },
	{ "delegated", "_adsp", "_adsp._domainkey.@ NS ns1.right.test.\n", NULL, NULL,
	    "no answer TXT _adsp._domainkey\n", true, NULL },
	{ "disagree", NULL, NULL, " MX ", "@ MX 10 old.example.\n",
	    "wrong MX [disagree]: mail goes to another server\n", false, NULL },
	{ "two-ids", NULL, NULL, "_mta-sts", "_mta-sts.@ TXT \"v=STSv1; id=2\"\n",
	    "right TXT _mta-sts [disagree]\n", true, NULL },
	{ "lame", NULL, NULL, NULL, NULL, "ns3 lame\n", true, "ns1 ns3" },
	{ "dead", NULL, NULL, NULL, NULL, "ns4 dead\n", true, "ns1 ns4" },
	{ "ipv6", NULL, NULL, NULL, NULL, "", true, "ns1 ns5" },
	{ "all-lame", NULL, NULL, NULL, NULL, NULL, false, "ns3" },
	{ "only-recommended-missing", "spf1\n_dmarc\n CAA \n_adsp\n SRV ", NULL, NULL,
	    NULL,
	    "missing TXT\nmissing TXT _dmarc\nmissing CAA\n"
	    "missing TXT _adsp._domainkey\nmissing SRV _submission._tcp\n"
	    "missing SRV _submissions._tcp\nmissing SRV _imap._tcp\n"
	    "missing SRV _imaps._tcp\n",
	    true, NULL },
};

/* The name servers, and where they are: set up in main(), before the tests. */
static char resolver[32];
static bool has_ipv6;

static struct config *config_of(const char *name)
{
	struct text ini = { 0 };
	struct config *config;

	text_printf(&ini, "[params]\nmail_domain = %s.test\n", name);
	config = config_parse("ini", ini.data, ini.len, stderr);
	assert_non_null(config);
	text_free(&ini);
	return config;
}

static void make_zone(struct dns_zone *z, const struct config *config)
{
	struct dns_server server;

	dns_server_parse(&server,
	    span_of("address 192.0.2.1/24\naddress 2001:db8::1/64\n"
		    "acme " ACCOUNT "\ndkim " KEY_HEAD KEY_TAIL "\n"),
	    true);
	/* Without a server all of 2001:db8::/32 is public, as 2000::/3. */
	dns_zone_init(z, config, &server, "202611231826");
	dns_server_deinit(&server);
}

/* Zone files. */

static bool is_dropped(struct span line, const char *drop)
{
	struct span rest = drop ? span_of(drop) : span_make(NULL, 0), part;

	while (span_cut(&rest, '\n', &part)) {
		if (part.len > 0 && memmem(line.data, line.len, part.data, part.len))
			return true;
	}
	return false;
}

static void add_lines(struct text *t, const char *lines, const char *domain)
{
	for (const char *p = lines ? lines : ""; *p; p++)
		*p == '@' ? text_add(t, domain) : text_add_span(t, span_make(p, 1));
}

static void add_name_servers(struct text *t, const struct zone_case *c)
{
	struct span rest = span_of(c->servers ? c->servers : "ns1 ns2"), name;

	text_printf(t, "%s.test. 1 SOA ns1 postmaster 1 1 1 1 1\n", c->name);
	while (span_cut(&rest, ' ', &name))
		text_printf(
		    t, "%s.test. 1 NS %.*s.right.test.\n", c->name, SPAN_ARG(name));
	if (strcmp(c->name, "right") == 0)
		text_add(t, "ns1.right.test. 1 A 127.0.0.1\n"
			    "ns2.right.test. 1 A 127.0.0.2\n"
			    "ns3.right.test. 1 A 127.0.0.3\n"
			    "ns4.right.test. 1 A 127.0.0.4\n"
			    "ns5.right.test. 1 AAAA ::1\n"
			    "policy.right.test. 1 TXT "
			    "\"v=DMARC1;p=reject;adkim=s;aspf=s;rua=mailto:a@b.c\"\n");
}

static void write_zone(const char *dir, const struct zone_case *c, bool second)
{
	struct config *config = config_of(c->name);
	struct text t = { 0 };
	struct span rest, line;
	struct dns_zone zone;
	char *path, *name, *whole = NULL, domain[64];
	size_t len;
	FILE *out = open_memstream(&whole, &len);

	make_zone(&zone, config);
	dns_zone_print(&zone, out);
	fclose(out);
	add_name_servers(&t, c);
	rest = span_make(whole, len);
	while (span_cut(&rest, '\n', &line)) {
		if (!is_dropped(line, c->drop) &&
		    !(second && is_dropped(line, c->drop2)))
			text_printf(&t, "%.*s\n", SPAN_ARG(line));
	}
	snprintf(domain, sizeof(domain), "%s.test.", c->name);
	add_lines(&t, c->add, domain);
	add_lines(&t, second ? c->add2 : NULL, domain);
	assert_true(asprintf(&name, "%s.%d.zone", c->name, second ? 2 : 1) > 0);
	path = support_path(dir, name);
	support_write_file(path, text_span(&t));
	dns_zone_deinit(&zone);
	config_free(config);
	free(path);
	free(name);
	free(whole);
	text_free(&t);
}

/* Name servers. */

/* A port that is free on loopback for UDP and TCP: of the latter it is kept closed. */
static uint16_t free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&in, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&in, &len) < 0)
		abort();
	close(fd);
	return ntohs(in.sin_port);
}

/* Not every machine has an address for IPv6 on loopback. */
static bool can_bind_ipv6(void)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0;

	if (fd >= 0)
		close(fd);
	return good;
}

/* One nsd for each server; the third serves a zone that nobody asks for. */
static pid_t start_server(const char *dir, unsigned number, uint16_t port)
{
	char *path, name[32];
	struct text t = { 0 };
	pid_t pid;

	text_add(&t, "server:\n");
	if (number == 1 && has_ipv6)
		text_printf(&t, " ip-address: ::1@%u\n", port);
	text_printf(&t,
	    " ip-address: 127.0.0.%u@%u\n username: \"\"\n chroot: \"\"\n"
	    " zonesdir: \"%s\"\n database: \"\"\n pidfile: \"%s/nsd%u.pid\"\n"
	    " logfile: \"%s/nsd%u.log\"\n xfrdfile: \"%s/xfrd%u\"\n"
	    " zonelistfile: \"%s/list%u\"\n server-count: 1\n"
	    "remote-control:\n control-enable: no\n",
	    number, port, dir, dir, number, dir, number, dir, number, dir, number);
	for (size_t i = 0; number < 3 && i < ARRAY_LEN(zone_cases); i++)
		text_printf(&t,
		    "zone:\n name: \"%s.test\"\n zonefile: \"%s.%u.zone\"\n",
		    zone_cases[i].name, zone_cases[i].name, number);
	snprintf(name, sizeof(name), "nsd%u.conf", number);
	path = support_path(dir, name);
	support_write_file(path, text_span(&t));
	pid = fork();
	if (pid == 0) {
		execlp("nsd", "nsd", "-d", "-c", path, (char *)NULL);
		_exit(127);
	}
	free(path);
	text_free(&t);
	return pid;
}

/* Until it answers; false if it does not within ten seconds. */
static bool wait_for_server(unsigned number, uint16_t port)
{
	struct dns_address address = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in *in = (struct sockaddr_in *)&address.to;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK + number - 1);
	for (int i = 0; i < 500; i++) {
		struct dns_question q = { .server = &address,
			.name = "right.test.",
			.type = LDNS_RR_TYPE_SOA };

		dns_ask(&q, 1);
		dns_questions_free(&q, 1);
		if (q.outcome == DNS_ANSWERED)
			return true;
		usleep(20000);
	}
	return false;
}

/* Tests. */

static const char *service_name(enum dns_service service)
{
	static const char *const names[] = { "serves", "partly", "lame", "dead",
		"unreached" };

	return names[service];
}

/* All that is not right, without the zone's name. */
static struct text summary(const struct dns_report *report, const struct dns_zone *zone)
{
	struct text t = { 0 };

	text_add(&t, "");
	for (size_t i = 0; i < report->nresults; i++) {
		const struct dns_result *r = &report->result[i];
		size_t prefix = strlen(r->want->name) - strlen(zone->domain);

		if (r->is.verdict == DNS_RIGHT && !r->disagree)
			continue;
		text_printf(&t, "%s %s%s%.*s%s%s%s\n", dns_verdict_name(r->is.verdict),
		    r->want->type, prefix ? " " : "", prefix ? (int)prefix - 1 : 0,
		    r->want->name, r->disagree ? " [disagree]" : "",
		    r->is.remark[0] ? ": " : "", r->is.remark);
	}
	for (size_t i = 0; i < report->servers.n; i++) {
		if (report->service[i] != DNS_SERVES)
			text_printf(&t, "%.3s %s\n", report->servers.server[i].name,
			    service_name(report->service[i]));
	}
	return t;
}

static void check(void **state)
{
	const struct zone_case *c = *state;
	struct config *config = config_of(c->name);
	char error[DNS_ERROR_MAX];
	struct dns_report report;
	struct dns_zone zone;
	struct text says;

	if (strcmp(c->name, "ipv6") == 0 && !has_ipv6) {
		config_free(config);
		skip();
	}
	make_zone(&zone, config);
	if (!dns_check(&report, &zone, resolver, error))
		fail_msg("%s", error);
	assert_string_equal(report.servers.zone, zone.domain);
	says = summary(&report, &zone);
	if (c->says)
		assert_string_equal(says.data, c->says);
	assert_int_equal(dns_report_is_good(&report), c->good);
	text_free(&says);
	dns_report_deinit(&report);
	dns_zone_deinit(&zone);
	config_free(config);
}

static void precheck(void **state)
{
	static const struct {
		const char *name;
		unsigned hindrances;
		const char *says;
	} cases[] = {
		{ "right", 0, "" },
		{ "alias-elsewhere", 1,
		    "mta-sts.alias-elsewhere.test. is an alias of another name" },
		{ "alias-by-address", 0, "" },
		{ "no-aaaa", 0, "" },
		{ "all-lame", 1, "no name server of all-lame.test. answers" },
		{ "new.right", 3, "set \"www.new.right.test. CNAME new.right.test.\"" },
		{ "unknown", 1, "no name server of any zone answers" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config *config = config_of(cases[i].name);
		char *said = NULL;
		size_t len;
		FILE *out = open_memstream(&said, &len);
		unsigned n = dns_precheck(config, resolver, out);

		fclose(out);
		print_message("%s: %s\n", cases[i].name, said);
		assert_int_equal(n, cases[i].hindrances);
		assert_non_null(strstr(said, cases[i].says));
		free(said);
		config_free(config);
	}
}

static void sts_id_of_the_zone(void **state)
{
	struct config *right = config_of("right"), *unknown = config_of("unknown");
	char id[DNS_STS_ID_SIZE];

	dns_published_sts_id(right, resolver, 0, id);
	assert_string_equal(id, "202611231826");
	dns_published_sts_id(unknown, resolver, 0, id);
	assert_string_equal(id, "197001010000");
	config_free(right);
	config_free(unknown);
}

static void silent_resolver(void **state)
{
	struct config *config = config_of("right");
	char error[DNS_ERROR_MAX], silent[32];
	struct dns_report report;
	struct dns_zone zone;

	make_zone(&zone, config);
	snprintf(silent, sizeof(silent), "127.0.0.9%s", strchr(resolver, '@'));
	assert_false(dns_check(&report, &zone, silent, error));
	assert_non_null(strstr(error, "no resolver answers"));
	dns_zone_deinit(&zone);
	config_free(config);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(check, zone_cases) },
		{ SUPPORT_TEST(precheck) },
		{ SUPPORT_TEST(sts_id_of_the_zone) },
		{ SUPPORT_TEST(silent_resolver) },
	};
	uint16_t port = free_port();
	pid_t pid[3];
	bool ready = true;
	int status = NO_SERVER_TAKEN;
	char *dir;

	if (access("/usr/sbin/nsd", X_OK) != 0)
		return NO_SERVER_TAKEN;
	setenv("PATH", "/usr/sbin:/usr/bin:/bin", 1);
	dir = support_tmpdir();
	has_ipv6 = can_bind_ipv6();
	snprintf(resolver, sizeof(resolver), "127.0.0.1@%u", port);
	for (size_t i = 0; i < ARRAY_LEN(zone_cases); i++) {
		write_zone(dir, &zone_cases[i], false);
		write_zone(dir, &zone_cases[i], true);
	}
	for (unsigned i = 0; i < 3; i++)
		pid[i] = start_server(dir, i + 1, port);
	for (unsigned i = 0; i < 3; i++)
		ready = ready && wait_for_server(i + 1, port);
	status = ready ? support_run("dns", tests, ARRAY_LEN(tests)) : 1;
	for (unsigned i = 0; i < 3; i++) {
		kill(pid[i], SIGTERM);
		waitpid(pid[i], NULL, 0);
	}
	support_tmpdir_remove(dir);
	return status;
}
