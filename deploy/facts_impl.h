/*
 * Inside of facts.h: what is asked for, the same for the script and the parser.
 */
#ifndef DEPLOY_FACTS_IMPL_H
#define DEPLOY_FACTS_IMPL_H

#include "deploy/facts.h"

enum facts_subject {
	FACTS_PATHS,
	FACTS_PACKAGES,
	FACTS_USERS,
	FACTS_GROUPS,
	FACTS_UNITS, /* with those of the Python relay */
};

/* Sorted names, each once; borrowed from the wanted list. */
struct facts_names {
	const char **name;
	size_t n;
};

/* free(names.name) after use. */
struct facts_names facts_names(const struct wanted *w, enum facts_subject subject);

#endif
