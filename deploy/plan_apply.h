/*
 * The scripts of a plan, for plan_apply.c; made without a server, so that they can be tested
 * without one.
 */
#ifndef DEPLOY_PLAN_APPLY_H
#define DEPLOY_PLAN_APPLY_H

#include "deploy/plan_step.h"

/* Everything that server.sh and takeover.sh offer. To be free()d. */
char *server_functions(void);

/* Does the component have a step in this stage? */
bool has_steps(const struct plan *p, const char *component, enum stage stage);

/* Packages, users, binaries; nothing is appended if there is nothing to do. */
void install_script(struct text *to, const struct plan *p);

/*
 * What CONFIGURE does for a component. change defines the functions change and checks;
 * to drives them.
 */
void configure_script(
    struct text *to, struct text *change, const struct plan *p, const char *component);

/* Only the try of it, so that nothing is changed yet; nothing is appended to to if there is
 * nothing to try. Then all but that try. */
void rehearse_script(
    struct text *to, struct text *change, const struct plan *p, const char *component);
void rehearsed_script(struct text *to, const struct plan *p, const char *component);

void activate_script(struct text *to, const struct plan *p, const char *component);

/*
 * plan_takeover.c: a Python relay gives way. Keep all that it has where ours comes; change at
 * once from its services to ours, of the components that is_switched() names: those that mail
 * runs through.
 */
void keep_script(struct text *to, const struct plan *p);
void switch_script(struct text *to, const struct plan *p);
bool is_switched(const char *component);

#endif
