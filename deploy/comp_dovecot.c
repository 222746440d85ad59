/*
 * Dovecot: Debian's own, its whole configuration ours. What its package has in conf.d/ is
 * not read.
 */
#include "deploy/component.h"

#define UNIT "dovecot.service"

static const char *const packages[] = {
	"dovecot-core",
	"dovecot-imapd",
	"dovecot-lmtpd",
};

static const struct component_file files[] = {
	{ .path = "/etc/dovecot/auth.conf", .effects = { .restart = UNIT } },
	{ .path = "/etc/dovecot/dovecot.conf", .effects = { .restart = UNIT } },
	/* Read by each delivery process when it starts; sessions need not end for it. */
	{ .path = "/etc/dovecot/push_notification.lua", .effects = { .reload = UNIT } },
	{ .path = "/etc/systemd/system/dovecot.service.d/chatmail.conf",
	    .effects = { .restart = UNIT } },
};

static bool want(struct relay *r, struct wanted *w)
{
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		want_package(w, packages[i]);
	want_check(w, "doveconf -n", "doveconf -n >/dev/null");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!component_file(r, w, "dovecot", &files[i]))
			return false;
	}
	want_unit(w, UNIT, r->disable_mail ? UNIT_STOPPED : UNIT_RUNNING);
	return true;
}

const struct component dovecot_component = { "dovecot", want };
