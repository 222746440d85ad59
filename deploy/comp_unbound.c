/*
 * unbound: the resolver of this host and nobody else's. /etc/resolv.conf names it once it
 * answers, so that no step before is without DNS.
 */
#include "deploy/component.h"
#include "deploy/quote.h"

#define UNIT "unbound.service"

static const char *const packages[] = {
	"bind9-dnsutils", /* dig */
	"dns-root-data",
	"unbound",
};

/* Others that would write /etc/resolv.conf. */
static const char *const no_packages[] = {
	"openresolv",
	"resolvconf",
};

static const struct component_file files[] = {
	{ .path = "/etc/dhcp/dhclient-enter-hooks.d/chatmail" },
	{ .path = "/etc/unbound/unbound.conf.d/chatmail.conf",
	    .effects = { .restart = UNIT } },
};

/* The unit's own helper, which copies it from dns-root-data when unbound starts; the checker
 * wants it before. */
static const struct wanted_state root_key = {
	.what = "DNSSEC root key /var/lib/unbound/root.key",
	.check = "[ -s /var/lib/unbound/root.key ]",
	.mend = "/usr/libexec/unbound-helper root_trust_anchor_update",
	.stage = STAGE_CONFIGURE,
};

static const char resolv_text[] = "resolv='nameserver 127.0.0.1\n"
				  "nameserver 9.9.9.9'\n";

static const char resolv_check[] = "[ ! -L /etc/resolv.conf ]\n"
				   "[ \"$(cat /etc/resolv.conf)\" = \"$resolv\" ]\n";

/*
 * That there is no such name is an answer, too. Within a container the file may be a mount,
 * which can be written to but not be replaced.
 */
static const char resolv_mend[] =
    "answers() {\n"
    "	dig +time=2 +tries=1 @127.0.0.1 \"$domain\" A |\n"
    "		grep -qE 'status: (NOERROR|NXDOMAIN)'\n"
    "}\n"
    "systemctl start " UNIT "\n"
    "left=15\n"
    "until answers; do\n"
    "	left=$((left - 1))\n"
    "	[ \"$left\" -gt 0 ] || {\n"
    "		echo 'unbound does not find out names; /etc/resolv.conf stays as it "
    "is.' >&2\n"
    "		echo 'See: journalctl -u unbound; dig @127.0.0.1' \"$domain\" >&2\n"
    "		echo 'The host must reach port 53 of other hosts, by UDP and TCP,' "
    ">&2\n"
    "		echo 'and its clock must be right.' >&2\n"
    "		exit 1\n"
    "	}\n"
    "	sleep 1\n"
    "done\n"
    "printf '%s\\n' \"$resolv\" >/etc/resolv.conf.new\n"
    "chmod 644 /etc/resolv.conf.new\n"
    "mv -fT /etc/resolv.conf.new /etc/resolv.conf 2>/dev/null || {\n"
    "	rm -f /etc/resolv.conf.new\n"
    "	printf '%s\\n' \"$resolv\" >/etc/resolv.conf\n"
    "}\n";

static void want_resolv_conf(const struct relay *r, struct wanted *w)
{
	struct text check = { 0 }, mend = { 0 };

	quote_command(&check, "%r%r", resolv_text, resolv_check);
	quote_command(&mend, "domain=%s\n%r%r", r->config->mail_domain_bare,
	    resolv_text, resolv_mend);
	want_state(w, &(struct wanted_state){
			  .what = "/etc/resolv.conf names this host's resolver",
			  .check = check.data,
			  .mend = mend.data,
			  .stage = STAGE_ACTIVATE,
		      });
	text_free(&check);
	text_free(&mend);
}

static bool want(struct relay *r, struct wanted *w)
{
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		want_package(w, packages[i]);
	for (size_t i = 0; i < sizeof(no_packages) / sizeof(no_packages[0]); i++)
		want_no_package(w, no_packages[i]);
	want_state(w, &root_key);
	want_check(w, "unbound-checkconf", "unbound-checkconf >/dev/null");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!component_file(r, w, "unbound", &files[i]))
			return false;
	}
	want_unit(w, UNIT, UNIT_RUNNING);
	want_resolv_conf(r, w);
	want_unit(w, "unbound-resolvconf.service", UNIT_STOPPED);
	want_unit(w, "systemd-resolved.service", UNIT_MASKED);
	return true;
}

const struct component unbound_component = { "unbound", want };
