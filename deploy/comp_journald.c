/*
 * journald: what the services log stays in memory, and not for long.
 */
#include "deploy/component.h"

static bool want(struct relay *r, struct wanted *w)
{
	static const struct component_file file = {
		.path = "/etc/systemd/journald.conf.d/chatmail.conf",
		.effects = { .restart = "systemd-journald.service" },
	};

	if (!component_file(r, w, "journald", &file))
		return false;
	want_absent(w, "/var/log/journal");
	want_unit(w, "systemd-journald.service", UNIT_PRESENT);
	return true;
}

const struct component journald_component = { "journald", want };
