/* What stands in a deployment's way. */
#include "deploy/preflight.h"

#include <stdlib.h>

#include "test/support.h"

#define GIB (INT64_C(1) << 30)

static struct config *make_config(const char *more)
{
	struct text ini = { 0 };
	struct config *config;

	text_printf(&ini, "[params]\nmail_domain = chat.example\n%s", more);
	config = config_parse("chatmail.ini", ini.data, ini.len, stderr);
	assert_non_null(config);
	text_free(&ini);
	return config;
}

/* A server on which nothing is wrong. */
static struct facts good_facts(void)
{
	static const char *addresses[] = { "192.0.2.1", "2001:db8::1" };

	return (struct facts){ .os_id = "debian",
		.os_version = "12",
		.machine = "x86_64",
		.deb_arch = "amd64",
		.systemd = true,
		.disk_free = 10 * GIB,
		.home_free = 10 * GIB,
		.memory = GIB,
		.ipv6 = true,
		.addresses = addresses,
		.naddresses = 2,
		.resolv = "",
		.manifest = "",
		.ports_known = true };
}

/* Compare what is said, and how much of it is a hindrance. */
static void check(const char *ini, const struct facts *facts, unsigned stages,
    unsigned hindrances, const char *const says[])
{
	struct config *config = make_config(ini);
	char *said = NULL;
	size_t len, lines = 0, wanted = 0;
	FILE *out = open_memstream(&said, &len);
	unsigned n;

	assert_non_null(out);
	n = preflight(config, facts, stages, out);
	assert_int_equal(fclose(out), 0);
	for (; says[wanted]; wanted++) {
		if (!strstr(said, says[wanted]))
			fail_msg("\"%s\" is not in: %s", says[wanted], said);
	}
	for (size_t i = 0; i < len; i++)
		lines += said[i] == '\n';
	if (lines != wanted || n != hindrances)
		fail_msg("%zu lines, %u hindrances: %s", lines, n, said);
	free(said);
	config_free(config);
}

static const struct system_case {
	const char *name;
	const char *os, *version, *machine, *arch;
	bool no_systemd;
	unsigned all, install; /* hindrances of a whole run, and of installing only */
	const char *says;
} system_cases[] = {
	{ "fine", "debian", "12", "x86_64", "amd64", false, 0, 0, NULL },
	{ "fine too", "debian", "12", "aarch64", "arm64", false, 0, 0, NULL },
	{ "testing", "debian", "", "x86_64", "amd64", false, 1, 1, "runs debian;" },
	{ "newer", "debian", "13", "x86_64", "amd64", false, 1, 1, "debian 13" },
	{ "other", "ubuntu", "12", "x86_64", "amd64", false, 1, 1, "ubuntu 12" },
	{ "unknown", "", "", "x86_64", "amd64", false, 1, 1, "an unknown system;" },
	{ "processor", "debian", "12", "riscv64", "riscv64", false, 1, 1, "riscv64" },
	{ "32 bit", "debian", "12", "aarch64", "armhf", false, 1, 1, "armhf" },
	{ "no systemd", "debian", "12", "x86_64", "amd64", true, 1, 0,
	    "not run systemd" },
	{ "colours", "debian", "\033[31m", "x86_64", "amd64", false, 1, 1,
	    "debian \\x1b[31m;" },
};

static void system_(void **state)
{
	const struct system_case *c = *state;
	const char *says[] = { c->says, NULL }, *nothing[] = { NULL };
	struct facts f = good_facts();

	f.os_id = c->os;
	f.os_version = c->version;
	f.machine = c->machine;
	f.deb_arch = c->arch;
	f.systemd = !c->no_systemd;
	check("", &f, STAGE_ALL, c->all, says);
	check("", &f, STAGE_INSTALL, c->install, c->install ? says : nothing);
}

/* Taken over as a whole, and with the Dovecot that it has. */
static void python_relay(void **state)
{
	static const char *const nothing[] = { NULL };
	static const char *const parts[] = {
		"A Python relay is on the server "
		"(doveauth.service); it is taken over by a "
		"whole run only",
		NULL
	};
	static const char *const dovecot[] = {
		"Note: the server's Dovecot is "
		"1:2.3.21+dfsg1-3, not Debian 12's; it is "
		"kept",
		NULL
	};
	struct fact_package package = { "dovecot-core", "1:2.3.19.1+dfsg1-2.1" };
	struct facts f = good_facts();

	(void)state;
	f.python_relay = "doveauth.service";
	f.packages = &package;
	f.npackages = 1;
	check("", &f, STAGE_ALL, 0, nothing);
	check("", &f, STAGE_INSTALL, 1, parts);
	check("", &f, STAGE_CONFIGURE | STAGE_ACTIVATE, 1, parts);
	package.version = "1:2.3.21+dfsg1-3";
	check("", &f, STAGE_ALL, 0, dovecot);
}

static const struct space_case {
	const char *name;
	int64_t disk, home, memory;
	unsigned hindrances, generation;
	const char *says[3];
} space_cases[] = {
	{ "unknown", -1, -1, -1, 0, 0, { NULL } },
	{ "disk full", 0, 9 * GIB, GIB, 1, 0, { "0 MiB left, and needs 500" } },
	{ "disk nearly full", GIB, 9 * GIB, GIB, 0, 0, { "Note: the server's disk" } },
	{ "home full", 9 * GIB, GIB / 2, GIB, 0, 0, { "/home has 512 MiB left" } },
	{ "little memory", 9 * GIB, 9 * GIB, GIB / 4, 1, 0,
	    { "256 MiB of memory; a relay" } },
	{ "less memory", 9 * GIB, 9 * GIB, GIB / 2, 0, 0,
	    { "Note: the server has 512 MiB" } },
	{ "both", 0, 0, 0, 2, 0, { "disk", "/home", "memory" } },
	{ "full, but deployed before", 49 << 20, 9 * GIB, GIB, 1, 1,
	    { "49 MiB left, and needs 50;" } },
	{ "nearly full, but deployed before", 50 << 20, 9 * GIB, GIB, 0, 1,
	    { "Note: the server's disk has only 50 MiB" } },
};

static void space(void **state)
{
	const struct space_case *c = *state;
	const char *says[4] = { c->says[0], c->says[1], c->says[2], NULL };
	struct facts f = good_facts();

	f.disk_free = c->disk;
	f.home_free = c->home;
	f.memory = c->memory;
	f.generation = c->generation;
	check("", &f, STAGE_ALL, c->hindrances, says);
}

static void kernel_without_ipv6(void **state)
{
	static const char *const says[] = { "kernel has no IPv6", NULL },
				 *const nothing[] = { NULL };
	struct facts f = good_facts();

	f.ipv6 = false;
	f.no_ipv6 = true;
	check("", &f, STAGE_ALL, 1, says);
	check("", &f, STAGE_INSTALL, 0, nothing);
	check("disable_ipv6 = True\n", &f, STAGE_ALL, 0, nothing);
}

static const struct packages_case {
	const char *name;
	bool want_by_name;
	const char *deb_arch; /* of a file that is at hand */
	bool installed;
	const char *says;
} packages_cases[] = {
	{ "not wanted", false, NULL, false, NULL },
	{ "by name, nothing there", true, NULL, false,
	    "lacks chatmaild, and no .deb files for amd64" },
	{ "by name, installed", true, NULL, true, NULL },
	{ "at hand", false, "amd64", false, NULL },
	{ "at hand for all", false, "all", false, NULL },
	{ "for another processor", false, "arm64", false, "lacks chatmaild" },
	{ "for another processor, installed", false, "arm64", true, NULL },
};

static void packages(void **state)
{
	const struct packages_case *c = *state;
	struct fact_package there[] = { { "chatmaild", "1" } };
	struct wanted *w = wanted_create();
	struct facts f = good_facts();
	char *said = NULL;
	size_t len;
	FILE *out = open_memstream(&said, &len);

	wanted_component(w, "chatmaild");
	if (c->want_by_name)
		want_package(w, "chatmaild");
	if (c->deb_arch)
		want_deb(w, &(struct wanted_deb){ .name = "chatmaild",
				.arch = c->deb_arch,
				.path = "/x.deb",
				.version = "1",
				.sha256 = "" });
	f.packages = there;
	f.npackages = c->installed;
	assert_int_equal(preflight_packages(w, &f, out), c->says != NULL);
	fclose(out);
	if (c->says)
		assert_non_null(strstr(said, c->says));
	else
		assert_string_equal(said, "");
	free(said);
	wanted_free(w);
}

static const struct state_case {
	const char *name, *mend;
	bool so;
	const char *why, *says;
} state_cases[] = {
	{ "so", "test", true, "", "" },
	{ "the operator's to mend", "test", false, "no key\nat all",
	    "This is wanted: a certificate. But:\n  no key\n  at all\n" },
	{ "without a word", "test", false, "", "" },
	{ "mended by a run", "make", false, "no key", "" },
	{ "words that paint", "test", false, "\033[2Jx",
	    "This is wanted: a certificate. But:\n  \\x1b[2Jx\n" },
};

static void states(void **state)
{
	const struct state_case *c = *state;
	struct wanted *w = wanted_create();
	struct facts f = good_facts();
	bool so[] = { false, c->so };
	const char *whys[] = { "not asked for", c->why };
	char *said = NULL;
	size_t len;
	FILE *out = open_memstream(&said, &len);

	wanted_component(w, "tls");
	want_state(w, &(struct wanted_state){ .what = "a key",
			  .check = "false",
			  .mend = "true",
			  .stage = STAGE_INSTALL });
	want_package(w, "openssl");
	want_state(w, &(struct wanted_state){ .what = "a certificate",
			  .check = "test",
			  .mend = c->mend,
			  .stage = STAGE_INSTALL });
	f.states = so;
	f.whys = whys;
	f.nstates = 2;
	assert_int_equal(preflight_states(w, &f, out), *c->says != '\0');
	fclose(out);
	assert_string_equal(said, c->says);
	free(said);
	wanted_free(w);
}

static const struct ini_case {
	const char *name, *ini;
	bool no_ipv6;
	unsigned hindrances;
	const char *says[2];
} ini_cases[] = {
	{ "mtail at home", "mtail_address = 127.0.0.1\n", false, 0, { NULL } },
	{ "mtail of the server", "mtail_address = 192.0.2.1\n", false, 0, { NULL } },
	{ "mtail by IPv6", "mtail_address = 2001:DB8:0::1\n", false, 0, { NULL } },
	{ "mtail elsewhere", "mtail_address = 192.0.2.10\n", false, 1,
	    { "mtail_address = 192.0.2.10 is no address" } },
	{ "no IPv6", "", true, 0, { "disable_ipv6 = True" } },
	{ "IPv6 not wanted", "disable_ipv6 = True\n", true, 0, { NULL } },
	{ "old port", "filtermail_smtp_port = 10080\n", false, 0,
	    { "Note: filtermail_smtp_port (or filter_outgoing_socket) in "
	      "chatmail.ini" } },
	{ "old ports", "postfix_reinject_port = 10025\nfiltermail_smtp_port = 10080\n",
	    false, 0, { "filter_outgoing_socket), postfix_reinject_port (or" } },
	{ "port by the new key", "reinject_incoming = inet:127.0.0.1:10026\n", false, 0,
	    { "(or reinject_incoming)" } },
};

static void ini(void **state)
{
	const struct ini_case *c = *state;
	const char *says[3] = { c->says[0], c->says[1], NULL };
	struct facts f = good_facts();

	f.ipv6 = !c->no_ipv6;
	check(c->ini, &f, STAGE_ALL, c->hindrances, says);
}

static const struct port_case {
	const char *name, *ini;
	struct fact_port ports[6];
	unsigned hindrances;
	const char *says[3];
} port_cases[] = {
	{ "a relay", "",
	    { { "tcp", "0.0.0.0", 25, "master" }, { "tcp", "*", 80, "nginx" },
		{ "tcp", "*", 80, "acmetool" }, { "tcp", "0.0.0.0", 993, "dovecot" },
		{ "udp", "127.0.0.1", 53, "unbound" }, { "tcp", "*", 22, "sshd" } },
	    0, { NULL } },
	{ "another mail server", "", { { "tcp", "127.0.0.1", 25, "exim4" } }, 1,
	    { "Port 25 of the server is taken by exim4; a relay needs it." } },
	{ "both families are one port", "",
	    { { "tcp", "0.0.0.0", 80, "apache2" }, { "tcp", "0.0.0.0", 443, "apache2" },
		{ "tcp", "::", 80, "apache2" }, { "tcp", "::", 443, "apache2" } },
	    1, { "Ports 80, 443 of the server are taken by apache2" } },
	{ "several programs", "",
	    { { "tcp", "*", 25, "exim4" }, { "tcp", "*", 80, "caddy" } }, 2,
	    { "25 of the server is taken by exim4",
		"80 of the server is taken by caddy" } },
	{ "a name within a name", "", { { "tcp", "*", 443, "ngin" } }, 1,
	    { "by ngin;" } },
	{ "another protocol", "", { { "udp", "*", 443, "quic" } }, 0, { NULL } },
	{ "nobody knows who", "", { { "tcp", "*", 443, "" } }, 0, { NULL } },
	{ "held for a program of ours", "",
	    { { "tcp", "*", 443, "systemd" }, { "tcp", "*", 443, "nginx" } }, 0,
	    { NULL } },
	{ "held for another", "",
	    { { "tcp", "*", 80, "nginx" }, { "tcp", "*", 443, "systemd" } }, 1,
	    { "by systemd" } },
	{ "systemd-resolved", "",
	    { { "udp", "127.0.0.53%lo", 53, "systemd-resolve" },
		{ "tcp", "127.0.0.53%lo", 53, "systemd-resolve" } },
	    0, { "Note: systemd-resolved" } },
	{ "resolver of virtual machines", "",
	    { { "udp", "192.168.122.1", 53, "dnsmasq" } }, 0, { NULL } },
	{ "another resolver", "", { { "udp", "0.0.0.0", 53, "dnsmasq" } }, 1,
	    { "Port 53 of the server is taken by dnsmasq" } },
	{ "mtail's, when wanted", "mtail_address = 127.0.0.1\n",
	    { { "tcp", "127.0.0.1", 3903, "other" } }, 1, { "3903" } },
	{ "mtail's, when not", "", { { "tcp", "127.0.0.1", 3903, "other" } }, 0,
	    { NULL } },
	{ "metrics, by socket activation", "metrics_address = inet:127.0.0.1:3905\n",
	    { { "tcp", "127.0.0.1", 3905, "systemd" } }, 0, { NULL } },
	{ "metrics, taken", "metrics_address = inet:[::1]:3905\n",
	    { { "tcp", "::1", 3905, "other" } }, 1, { "3905" } },
	{ "acmetool's, without ACME",
	    "tls_external_cert_and_key = /etc/ssl/a /etc/ssl/b\n",
	    { { "tcp", "*", 402, "other" } }, 0, { NULL } },
	{ "acmetool's", "", { { "tcp", "*", 402, "other" } }, 1, { "402" } },
	{ "iroh's, elsewhere", "iroh_relay = https://iroh.example\n",
	    { { "tcp", "*", 3340, "other" } }, 0, { NULL } },
	{ "iroh's", "", { { "tcp", "*", 3340, "other" } }, 1, { "3340" } },
	{ "a name that paints", "", { { "tcp", "*", 25, "\033[2J" } }, 1,
	    { "by \\x1b[2J;" } },
};

static void port(void **state)
{
	const struct port_case *c = *state;
	const char *says[4] = { c->says[0], c->says[1], c->says[2], NULL };
	const char *nothing[] = { NULL };
	struct fact_port ports[6];
	struct facts f = good_facts();

	memcpy(ports, c->ports, sizeof(ports));
	f.ports = ports;
	while (f.nports < 6 && ports[f.nports].process)
		f.nports++;
	check(c->ini, &f, STAGE_ALL, c->hindrances, says);
	check(c->ini, &f, STAGE_INSTALL, 0, nothing);
}

static void ports_unknown(void **state)
{
	const char *says[] = { "iproute2", NULL };
	struct facts f = good_facts();

	f.ports_known = false;
	check("", &f, STAGE_ALL, 0, says);
}

static const struct privacy_case {
	const char *name, *ini;
	unsigned hindrances;
} privacy_cases[] = {
	{ "empty", "mail_domain = chat.example\n", 0 },
	{ "own", "mail_domain = chat.example\nprivacy_mail = me@chat.example\n", 0 },
	{ "somebody's",
	    "mail_domain = chat.example\nprivacy_mail = privacy@testrun.org\n"
	    "privacy_postal =\n  Merlinux GmbH\n  Somewhere\nprivacy_pdo = me\n",
	    2 },
	{ "two names in one",
	    "mail_domain = a.example\n"
	    "privacy_supervisor = schmieder of merlinux\n",
	    1 },
	{ "theirs", "mail_domain = nine.testrun.org\nprivacy_mail = a@testrun.org\n",
	    0 },
	{ "theirs itself", "mail_domain = testrun.org\nprivacy_mail = a@testrun.org\n",
	    0 },
	{ "nearly theirs",
	    "mail_domain = mytestrun.org\nprivacy_mail = a@testrun.org\n", 1 },
};

static void privacy(void **state)
{
	const struct privacy_case *c = *state;
	struct text text = { 0 };
	struct config *config;
	char *said = NULL;
	size_t len, lines = 0;
	FILE *out = open_memstream(&said, &len);

	text_printf(&text, "[params]\n%s", c->ini);
	config = config_parse("chatmail.ini", text.data, text.len, stderr);
	assert_non_null(config);
	assert_int_equal(preflight_config(config, out), c->hindrances);
	assert_int_equal(fclose(out), 0);
	for (size_t i = 0; i < len; i++)
		lines += said[i] == '\n';
	assert_int_equal(lines, c->hindrances);
	free(said);
	text_free(&text);
	config_free(config);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(system_, system_cases) },
		{ SUPPORT_TEST(kernel_without_ipv6) },
		{ SUPPORT_TABLE(packages, packages_cases) },
		{ SUPPORT_TABLE(states, state_cases) },
		{ SUPPORT_TEST(python_relay) },
		{ SUPPORT_TABLE(space, space_cases) },
		{ SUPPORT_TABLE(ini, ini_cases) },
		{ SUPPORT_TABLE(port, port_cases) },
		{ SUPPORT_TEST(ports_unknown) },
		{ SUPPORT_TABLE(privacy, privacy_cases) },
	};

	return support_run("preflight", tests, ARRAY_LEN(tests));
}
