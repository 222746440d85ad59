/*
 * Does the relay for calls give out addresses?
 */
#ifndef DEPLOY_DOCTOR_CALLS_H
#define DEPLOY_DOCTOR_CALLS_H

#include "deploy/doctor.h"
#include "proto/span.h"

#define TURN_TRY_MS 1500
#define TURN_TRIES  3

/*
 * Ask for an address by UDP and give it back. server is what clients are told by METADATA,
 * "HOST:PORT:USER:PASSWORD"; address where to find HOST, or NULL: by its name.
 */
void doctor_try_turn(struct doctor *d, struct span server, const char *address);

#endif
