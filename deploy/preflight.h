/*
 * What stands in a deployment's way: found out from the facts before anything is changed.
 */
#ifndef DEPLOY_PREFLIGHT_H
#define DEPLOY_PREFLIGHT_H

#include <stdio.h>

#include "chatmaild/config.h"
#include "deploy/facts.h"

/*
 * Write a line for each hindrance to out, with its remedy: a release that is not Debian 12,
 * no systemd, ports taken and by whom, a running Python relay, too little disk or memory,
 * an unknown processor, mtail_address that is not the host's. Remarks (systemd-resolved will
 * be replaced, old port keys let any local user inject mail) are written too.
 * Returns the number of hindrances, without the remarks.
 */
unsigned preflight(const struct config *config, const struct facts *facts, FILE *out);

#endif
