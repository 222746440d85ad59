/*
 * Inside of preflight.h.
 */
#ifndef DEPLOY_PREFLIGHT_IMPL_H
#define DEPLOY_PREFLIGHT_IMPL_H

#include "deploy/preflight.h"

struct preflight {
	const struct config *config;
	const struct facts *facts;
	FILE *out;
	unsigned hindrances;
};

/* A line each; control characters, which only a server can bring in, become '?'. */
__attribute__((format(printf, 2, 3))) void preflight_hinder(
    struct preflight *p, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void preflight_remark(
    struct preflight *p, const char *fmt, ...);

/* Ports that others hold. */
void preflight_ports(struct preflight *p);

#endif
