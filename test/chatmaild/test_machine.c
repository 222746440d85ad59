/* What is told of the machine: ports, the certificate, room. */
#include "chatmaild/machine.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/daemon.h"
#include "chatmaild/worker.h"
#include "test/flow/tls_cert.h"
#include "test/support.h"

#define HEAD "  sl  local_address rem_address   st tx_queue rx_queue\n"

/* The ports are 25, 143, 443, 465, 587, 993. */
static const struct ports_case {
	const char *name, *table, *open;
} ports_cases[] = {
	{ "none", HEAD, "000000" },
	{ "all addresses",
	    HEAD "   0: 00000000:0019 00000000:0000 0A 00000000:00000000\n", "100000" },
	{ "IPv6",
	    HEAD "  12: 00000000000000000000000000000000:03E1 "
		 "00000000000000000000000000000000:0000 0A 0\n",
	    "000001" },
	{ "a connection is no listener",
	    HEAD "   0: 0100007F:01BB 0100007F:D431 01 00000000:00000000\n", "000000" },
	{ "another port", HEAD "   0: 00000000:0050 00000000:0000 0A 0\n", "000000" },
	{ "rubbish", "x\n\n   0: zz:0019 0A\n", "000000" },
	{ "several",
	    "   0: 00000000:008F 00000000:0000 0A 0\n"
	    "   1: 00000000:01BB 00000000:0000 0A 0\n"
	    "   2: 00000000:01D1 00000000:0000 0A 0\n"
	    "   3: 00000000:024B 00000000:0000 0A 0\n",
	    "011110" },
};

static void ports(void **state)
{
	const struct ports_case *c = *state;
	FILE *in = fmemopen((char *)c->table, strlen(c->table), "r");
	uint64_t open[MACHINE_PORTS] = { 0 };
	char text[MACHINE_PORTS + 1] = "";

	assert_non_null(in);
	machine_read_ports(in, open);
	fclose(in);
	for (size_t i = 0; i < MACHINE_PORTS; i++)
		text[i] = open[i] ? '1' : '0';
	assert_string_equal(text, c->open);
}

static void no_certificate_is_zero(void **state)
{
	assert_int_equal(machine_certificate_ends("/nowhere"), 0);
	assert_int_equal(machine_certificate_ends("/dev/null"), 0);
}

static bool seen(void *arg)
{
	const struct machine_gauges *g = machine_gauges(arg);

	return g->disk_size > 0;
}

static void looks_by_itself(void **state)
{
	const struct workers_options options = { .threads = 1 };
	char dir[] = "/tmp/test_machine-XXXXXX", cert[64], key[64];
	struct tls_authority *authority = tls_authority_create();
	struct daemon d = { .base = event_base_new() };
	struct config config = { .mailboxes_dir = dir, .tls_cert_path = cert };
	struct machine *m;

	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	tls_authority_write_server(authority, cert, key);
	d.config = &config;
	d.workers = workers_create(d.base, &options);
	m = machine_create(&d);
	support_loop(d.base, seen, m);
	assert_true(machine_gauges(m)->memory > 0);
	assert_true(machine_gauges(m)->disk_free <= machine_gauges(m)->disk_size);
	assert_true(machine_gauges(m)->certificate_ends > (uint64_t)time(NULL));
	workers_destroy(d.workers);
	machine_destroy(m);
	event_base_free(d.base);
	tls_authority_destroy(authority);
	unlink(cert);
	unlink(key);
	rmdir(dir);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(ports, ports_cases) },
		{ SUPPORT_TEST(no_certificate_is_zero) },
		{ SUPPORT_TEST(looks_by_itself) },
	};

	return support_run("machine", tests, ARRAY_LEN(tests));
}
