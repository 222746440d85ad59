/*
 * What cmdeploy doctor asks the server itself, beyond the facts of facts.h: one script, whose
 * slow parts run side by side; and what its answers and the facts mean.
 */
#ifndef DEPLOY_DOCTOR_SERVER_H
#define DEPLOY_DOCTOR_SERVER_H

#include "chatmaild/config.h"
#include "deploy/doctor.h"
#include "deploy/facts.h"
#include "deploy/text.h"
#include "deploy/wanted.h"

#define DOCTOR_SCRIPT_SECONDS 25 /* at most, for what doctor_server_script() asks */

struct doctor_question {
	const struct config *config;
	const struct wanted *deployed; /* what the server's own manifest wants */
	const char *const *mail_hosts; /* names that should answer on port 25, ... */
	size_t nmail_hosts;            /* ... one of which is enough */
};

/* The script for "sh -eu". It changes nothing. The caller's to free(). */
char *doctor_server_script(const struct doctor_question *q);

/*
 * Disk, memory, limits, certificate files, resolver, ways out, queue: from the script's
 * output, of whatever bytes that is; what is not there is not judged.
 */
void doctor_judge_health(struct doctor *d, const struct doctor_question *q,
    const struct facts *f, struct span output);

/* What is not as it was deployed: files, packages, units, sockets. The facts must be those of
 * the deployed list. */
void doctor_judge_drift(struct doctor *d, const struct doctor_question *q,
    const struct facts *f, struct span output);

/*
 * The server's clock against this one's. before and after: microseconds of this machine's
 * clock when the server's, server, was asked and when the answer was there.
 */
void doctor_judge_clock(
    struct doctor *d, int64_t before, int64_t server, int64_t after);

#endif
