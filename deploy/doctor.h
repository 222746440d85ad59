/*
 * What cmdeploy doctor found: a list of findings, each with its cause and its remedy, and
 * which of them follows from which. How things are looked at is told in doctor_*.h.
 */
#ifndef DEPLOY_DOCTOR_H
#define DEPLOY_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum doctor_severity { /* from good to bad */
	DOCTOR_SOUND,
	DOCTOR_UNTRIED, /* could not be looked at; says nothing of the relay */
	DOCTOR_WARNING, /* works, and will not for long or not for all */
	DOCTOR_TROUBLE,
};

/* All owned by the list. */
struct doctor_finding {
	const char
	    *key; /* what was looked at: "unit nginx.service", "port 25 192.0.2.1" */
	enum doctor_severity severity;
	const char *is;     /* how it is, and why: half a sentence */
	const char *remedy; /* the other half; "" if nothing is to be done */

	/* Set by doctor_explain(). */
	size_t
	    because; /* index of the finding that this one follows from, or its own */
	enum doctor_severity worst; /* of it and of all that follows from it */
};

struct doctor;

struct doctor *doctor_create(void);
void doctor_free(struct doctor *d); /* accepts NULL */

/*
 * Note a finding; the first one of a key stays. remedy may be NULL. Any thread may call.
 * Bytes that
 * are no printable ASCII, which only peers can bring in, become '?'.
 */
__attribute__((format(printf, 5, 6))) void doctor_note(struct doctor *d,
    enum doctor_severity severity, const char *key, const char *remedy,
    const char *format, ...);

/* In order of their coming; valid until the next note. */
const struct doctor_finding *doctor_list(const struct doctor *d, size_t *n);

/* What was found under a key; NULL: nothing. */
const struct doctor_finding *doctor_find(const struct doctor *d, const char *key);

/*
 * Find for each warning and trouble the one that it follows from, by the table of what
 * depends on what: a dead port follows from the unit that is stopped, and that from a file
 * that was changed. Once, when all is noted.
 */
void doctor_explain(struct doctor *d);

/* The worst of all; DOCTOR_SOUND also if something was not tried. */
enum doctor_severity doctor_worst(const struct doctor *d);

/*
 * For the operator: each cause with its remedy in a sentence, the worst first, and below it
 * what follows from it; then what was not tried. all: what is sound, too.
 */
void doctor_print(const struct doctor *d, bool all, FILE *out);

/* The same as one JSON object. */
void doctor_print_json(
    const struct doctor *d, const char *domain, double seconds, FILE *out);

#endif
