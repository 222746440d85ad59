/*
 * What stands in a deployment's way: found out before anything is changed.
 */
#ifndef DEPLOY_PREFLIGHT_H
#define DEPLOY_PREFLIGHT_H

#include <stdio.h>

#include "chatmaild/config.h"
#include "deploy/facts.h"

/*
 * Write a line for each hindrance to out, with its remedy: a release that is not Debian 12,
 * no systemd, ports taken and by whom, a running Python relay, too little disk or memory, a
 * kernel without IPv6 where it is wanted, an unknown processor, mtail_address that is not the
 * host's. Remarks, which begin with "Note: ", are written too: systemd-resolved will be
 * replaced, ports of the ini let any local user inject mail. stages (enum stage): an image that is only installed into need not run
 * systemd, nor have free ports.
 * Returns the number of hindrances, without the remarks.
 */
unsigned preflight(
    const struct config *config, const struct facts *facts, unsigned stages, FILE *out);

/*
 * The same for our packages: those that are neither installed nor at hand for the server's
 * processor cannot come from Debian. wanted is the list that the facts were asked for.
 */
unsigned preflight_packages(
    const struct wanted *wanted, const struct facts *facts, FILE *out);

/*
 * The same for what nobody but the operator can mend: states whose mend is their check, as of
 * a certificate that somebody else keeps. One that fails without a word is not judged yet.
 */
unsigned preflight_states(
    const struct wanted *wanted, const struct facts *facts, FILE *out);

/*
 * The same for the config alone, before there is a connection: contact data of somebody else
 * in the privacy keys. Returns the number of hindrances.
 */
unsigned preflight_config(const struct config *config, FILE *out);

#endif
