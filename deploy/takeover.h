/*
 * A server that runs a Python relay: what of it the operator should know before ours takes
 * its place. How that is done: plan_takeover.c, takeover.sh.
 */
#ifndef DEPLOY_TAKEOVER_H
#define DEPLOY_TAKEOVER_H

#include <stdio.h>

#include "chatmaild/config.h"
#include "deploy/facts.h"
#include "deploy/wanted.h"

/* The script that looks; for host_run(). It changes nothing. The caller's to free(). */
char *takeover_script(const struct config *config);

/* For the operator, before the plan: what is stopped, brought over, kept; and where its
 * chatmail.ini says something else than ours. answer: what the script said. */
void takeover_print(const struct config *config, const struct facts *facts,
    struct span answer, FILE *out);

#endif
