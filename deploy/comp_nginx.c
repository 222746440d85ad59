/*
 * nginx: the web site, the doors of port 443, and the way to the daemon's pages.
 */
#include "deploy/component.h"

#define UNIT    "nginx.service"
#define MTA_STS "/var/www/html/.well-known/mta-sts.txt"

static const char *const packages[] = {
	"libnginx-mod-stream",
	"nginx",
};

static const struct component_file files[] = {
	{ .path = "/etc/nginx/nginx.conf", .effects = { .reload = UNIT } },
	{ .path = "/etc/systemd/system/" UNIT ".d/chatmail.conf",
	    .effects = { .restart = UNIT } },
	{ .path = "/var/www/html/.well-known/autoconfig/mail/config-v1.1.xml" },
};

/* Only what every server can verify may be promised to all of them. */
static const struct component_file mta_sts = { .path = MTA_STS };

static const char check[] =
    "error=$(nginx -t -q 2>&1) || {\n"
    "	printf '%s\\n' \"$error\" >&2\n"
    "	case $error in\n"
    "	*'Address family not supported'*)\n"
    "		echo 'This host has no IPv6: set disable_ipv6 = true.' >&2 ;;\n"
    "	esac\n"
    "	exit 1\n"
    "}\n";

static bool want(struct relay *r, struct wanted *w)
{
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		want_package(w, packages[i]);
	want_check(w, "nginx -t", check);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!component_file(r, w, "nginx", &files[i]))
			return false;
	}
	if (r->config->tls_mode == TLS_SELF)
		want_absent(w, MTA_STS);
	else if (!component_file(r, w, "nginx", &mta_sts))
		return false;
	want_unit(w, UNIT, UNIT_RUNNING);
	return true;
}

const struct component nginx_component = { "nginx", want };
