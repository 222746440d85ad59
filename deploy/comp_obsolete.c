/*
 * What former relays left behind, of their parts that nothing of ours has taken over: units
 * of services that are no more, scheduled jobs, a package source.
 * What a Python relay runs is another matter: comp_python.c.
 */
#include "deploy/component.h"

static const char *const units[] = {
	"doveauth-dictproxy.service",
	"echobot.service",
};

static const char *const packages[] = {
	"rspamd",
};

static const char *const paths[] = {
	"/etc/apt/keyrings/obs-home-deltachat.gpg",
	"/etc/cron.d/chatmail-metrics",
	"/etc/cron.d/expunge",
	"/etc/mta-sts-daemon.yml",
	"/etc/systemd/system/dovecot.service.d/10_restart.conf",
	"/etc/systemd/system/opendkim.service.d/10-prevent-memory-leak.conf",
	"/etc/systemd/system/postfix@.service.d/10_restart.conf",
	"/root/from-cmdeploy",
	"/usr/local/lib/postfix-mta-sts-resolver",
	"/var/www/html/metrics",
};

#define OBS_SOURCE "download.opensuse.org/repositories/home:/deltachat/"

/* Of Dovecot's former packages; its key is gone, and apt complains of such a source. */
static const struct wanted_state no_obs_source = {
	.what = "no package source " OBS_SOURCE,
	.check = "! grep -qsF " OBS_SOURCE " /etc/apt/sources.list",
	.mend = "sed -i '\\,^deb .*" OBS_SOURCE ",d' /etc/apt/sources.list",
	.stage = STAGE_INSTALL,
};

#define MTA_STS_UNIT "mta-sts-daemon.service"

/* Stopped while systemd still knows what to stop. */
static const struct wanted_state no_mta_sts_daemon = {
	.what = "no " MTA_STS_UNIT,
	.check = "[ ! -e /etc/systemd/system/" MTA_STS_UNIT " ]",
	.mend = "systemctl disable --now " MTA_STS_UNIT "\n"
		"rm -f /etc/systemd/system/" MTA_STS_UNIT "\n"
		"systemctl daemon-reload\n",
	.stage = STAGE_ACTIVATE,
};

static bool want(struct relay *r, struct wanted *w)
{
	(void)r;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		want_unit(w, units[i], UNIT_STOPPED);
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		want_no_package(w, packages[i]);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		want_absent(w, paths[i]);
	want_state(w, &no_obs_source);
	want_state(w, &no_mta_sts_daemon);
	return true;
}

const struct component obsolete_component = { "obsolete", want };
