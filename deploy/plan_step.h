/*
 * The inside of a plan, for plan*.c.
 */
#ifndef DEPLOY_PLAN_STEP_H
#define DEPLOY_PLAN_STEP_H

#include "deploy/plan.h"

enum step_action {
	STEP_MAKE,       /* it is not there */
	STEP_CHANGE,     /* it is there with another content */
	STEP_ATTRIBUTES, /* its owner or mode differ */
	STEP_REMOVE,
	/* Units. */
	STEP_START,
	STEP_RESTART,
	STEP_RELOAD,
	STEP_ENABLE,
	STEP_STOP,
	STEP_MASK,
};

struct step {
	const struct wanted_thing *thing;
	enum step_action action;
	bool foreign;    /* what is there is not of our making: it is kept in backup/ */
	bool former;     /* of the last generation, not wanted any more */
	struct text why; /* of units: "/etc/x changed" */
	struct text old; /* of files that change; once fetched */
	bool fetched;
};

struct plan {
	const struct wanted *wanted;
	const struct facts *facts;
	struct plan_options options;
	struct wanted *former;  /* of the last generation; empty if there is none */
	struct wanted *unnamed; /* units that are only known as effects */
	struct text note;       /* what is odd, lines for the operator */
	struct text manifest;
	bool record; /* the manifest is to be written */

	/* In the order of components; units in the order in which they are handled. */
	struct step *steps;
	size_t nsteps, size;
};

struct step *plan_add(
    struct plan *p, const struct wanted_thing *thing, enum step_action action);

/* Add the steps of units; all others are there. */
void plan_units(struct plan *p);

/* Does this list say anything of the component? */
bool plan_wants_anything(const struct wanted *w, const char *component);

/* The stage in which a step is done. */
enum stage step_stage(const struct step *s);

/* The names of units in a list of effects, one after the other. */
bool next_unit(struct span *list, struct span *unit);

/* How effects become of this unit: nothing if it is wanted stopped. */
bool unit_takes_effects(const struct plan *p, struct span unit);

/* The files of the operator's directory: "DIR/BASENAME" for a binary, or NULL. */
char *binary_at_hand(const struct plan *p, const struct wanted_binary *b);

/* What stands behind the last slash. */
const char *base_name(const char *path);

#endif
