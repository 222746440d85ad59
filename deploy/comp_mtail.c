/*
 * mtail: counts what the log tells, for a monitoring server; only where an address is set
 * for it to serve on.
 */
#include <arpa/inet.h>

#include "deploy/component.h"

#define UNIT "mtail.service"

static const struct component_file files[] = {
	{ .path = "/etc/mtail/chatmail.mtail", .effects = { .restart = UNIT } },
	{ .path = "/etc/systemd/system/" UNIT, .effects = { .restart = UNIT } },
};

/* It becomes a part of a command. */
static bool is_address(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];

	return strcmp(text, "localhost") == 0 ||
	       inet_pton(AF_INET, text, address) == 1 ||
	       inet_pton(AF_INET6, text, address) == 1;
}

static bool want(struct relay *r, struct wanted *w)
{
	const char *address = r->config->mtail_address;

	if (!*address) {
		want_unit(w, UNIT, UNIT_STOPPED);
		return true;
	}
	if (!is_address(address))
		return component_fail(r,
		    "mtail_address = %s: write an IP address of the server", address);
	want_package(w, "mtail");
	want_check(w, "mtail --compile_only",
	    "mtail --compile_only --logtostderr --stderrthreshold ERROR \\\n"
	    "	--progs /etc/mtail/chatmail.mtail\n");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!component_file(r, w, "mtail", &files[i]))
			return false;
	}
	want_unit(w, UNIT, UNIT_RUNNING);
	return true;
}

const struct component mtail_component = { "mtail", want };
