/*
 * Postfix: Debian's own, its whole configuration ours.
 *
 * Debian has two units for it. postfix.service does nothing by itself; what is done to it
 * is passed on to postfix@-.service, which tells whether it went well.
 */
#include "deploy/component.h"

#define UNIT "postfix@-.service"

static const char *const packages[] = {
	"openssl", /* prepares the CA certificates for the chroot; only recommended */
	"postfix",
};

static const struct component_file files[] = {
	{ .path = "/etc/postfix/login_map", .effects = { .reload = UNIT } },
	{ .path = "/etc/postfix/lmtp_header_cleanup", .effects = { .reload = UNIT } },
	{ .path = "/etc/postfix/main.cf", .effects = { .reload = UNIT } },
	{ .path = "/etc/postfix/master.cf", .effects = { .reload = UNIT } },
	{ .path = "/etc/postfix/smtp_tls_policy_map", .effects = { .reload = UNIT } },
	{ .path = "/etc/postfix/submission_header_cleanup",
	    .effects = { .reload = UNIT } },
	{ .path = "/etc/systemd/system/postfix@.service.d/chatmail.conf",
	    .effects = { .restart = UNIT } },
};

/* Its package then leaves the configuration to us, and asks nothing of the host's name. */
static const struct wanted_state preseeded = {
	.what = "Postfix's package configures nothing",
	.check = "debconf-show postfix | grep -q 'main_mailer_type: No configuration'",
	.mend = "echo 'postfix postfix/main_mailer_type select No configuration' |\n"
		"	debconf-set-selections\n",
	.stage = STAGE_INSTALL,
};

/*
 * postconf(1) and postmap(1) only warn of most mistakes: each word they say counts. postmap
 * ends with 1 when it does not find the word it looks for. postfix(1) goes last, for it
 * tells the log what is wrong, and nobody else.
 */
static const char check[] =
    "said=$({\n"
    "	postconf -n && postconf -M && postconf -P &&\n"
    "	for map in login_map lmtp_header_cleanup smtp_tls_policy_map \\\n"
    "		submission_header_cleanup; do\n"
    "		postmap -q x \"regexp:/etc/postfix/$map\" || [ $? -eq 1 ]\n"
    "	done\n"
    "} 2>&1 >/dev/null) || said=${said:-failed}\n"
    "[ -z \"$said\" ] || {\n"
    "	echo \"$said\" >&2\n"
    "	exit 1\n"
    "}\n"
    "postfix check || {\n"
    "	echo \"see journalctl -t postfix/postfix-script\" >&2\n"
    "	exit 1\n"
    "}\n";

static bool want(struct relay *r, struct wanted *w)
{
	enum unit_state state = r->disable_mail ? UNIT_STOPPED : UNIT_RUNNING;

	want_state(w, &preseeded);
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		want_package(w, packages[i]);
	want_check(w, "postfix check", check);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!component_file(r, w, "postfix", &files[i]))
			return false;
	}
	want_unit(w, "postfix.service", state);
	want_unit(w, UNIT, state);
	return true;
}

const struct component postfix_component = { "postfix", want };
