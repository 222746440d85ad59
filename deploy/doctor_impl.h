/*
 * Inside of doctor.h.
 */
#ifndef DEPLOY_DOCTOR_IMPL_H
#define DEPLOY_DOCTOR_IMPL_H

#include <pthread.h>

#include "deploy/doctor.h"

struct doctor {
	pthread_mutex_t lock; /* while probes are under way */
	struct doctor_finding *list;
	size_t n, size;
};

#endif
