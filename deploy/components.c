#include "deploy/component.h"

/*
 * Users and the way to the net come first; certificates before those who serve with them;
 * Dovecot before Postfix, which asks it for passwords and hands it mail; OpenDKIM before
 * Postfix, too.
 */
const struct component *const components[] = {
	&base_component,
	&obsolete_component,
	&journald_component,
	&unbound_component,
	&turn_component,
	&iroh_component,
	&tls_component,
	&website_component,
	&echobot_component,
	&chatmaild_component,
	&opendkim_component,
	&dovecot_component,
	&postfix_component,
	&nginx_component,
	&python_component, /* gives way when all of ours run */
	&mtail_component,
	&version_component,
};
const size_t ncomponents = sizeof(components) / sizeof(components[0]);
