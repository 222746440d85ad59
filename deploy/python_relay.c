#include "deploy/python_relay.h"

#include <stdlib.h>
#include <string.h>

#define UNITS        "/etc/systemd/system/"
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

const char *const python_relay_units[] = {
	"chatmail-expire.service",
	"chatmail-expire.timer",
	"chatmail-fsreport.service",
	"chatmail-fsreport.timer",
	"chatmail-metadata.service",
	"doveauth.service",
	"filtermail-incoming.service",
	"filtermail-transport.service",
	"filtermail.service",
	"lastlogin.service",
};
const size_t npython_relay_units = COUNT(python_relay_units);

/* Units first: while one is there, the rest is not gone yet. The pin held Dovecot at a
 * version that came from elsewhere; apt would neither mend nor renew it. */
const char *const python_relay_paths[] = {
	UNITS "chatmail-expire.service",
	UNITS "chatmail-expire.timer",
	UNITS "chatmail-fsreport.service",
	UNITS "chatmail-fsreport.timer",
	UNITS "chatmail-metadata.service",
	UNITS "doveauth.service",
	UNITS "filtermail-incoming.service",
	UNITS "filtermail-transport.service",
	UNITS "filtermail.service",
	UNITS "lastlogin.service",
	"/etc/apt/preferences.d/pin-dovecot",
	"/etc/mtail/delivered_mail.mtail",
	"/usr/lib/cgi-bin/newemail.py",
	PYTHON_RELAY_FILTER,
	"/usr/local/lib/chatmaild",
};
const size_t npython_relay_paths = COUNT(python_relay_paths);

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool python_relay_has_unit(const char *name)
{
	return bsearch(&name, python_relay_units, COUNT(python_relay_units),
		   sizeof(python_relay_units[0]), compare_names) != NULL;
}

bool python_relay_runs(const char *exec_start)
{
	return strstr(exec_start, "path=" PYTHON_RELAY_VENV) ||
	       strstr(exec_start, "path=" PYTHON_RELAY_FILTER " ");
}
