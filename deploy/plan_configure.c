/*
 * From the steps of a plan to the scripts that do them, with the functions of server.sh.
 */
#include "deploy/plan_apply.h"

#include <stdlib.h>

#include "deploy/quote.h"

static const char *const server_lines[] = {
#include "server_sh.inc"
#include "takeover_sh.inc"
};

char *server_functions(void)
{
	struct text text = { 0 };

	for (size_t i = 0; i < sizeof(server_lines) / sizeof(server_lines[0]); i++)
		text_add(&text, server_lines[i]);
	return text_take(&text);
}

static bool is_of(const struct step *s, const char *component)
{
	return strcmp(s->thing->component, component) == 0;
}

bool has_steps(const struct plan *p, const char *component, enum stage stage)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		if (is_of(&p->steps[i], component) && step_stage(&p->steps[i]) == stage)
			return true;
	}
	return false;
}

/* ---- effects ---- */

static void add_effect_list(struct text *to, const struct plan *p, const char *units,
    const char *verb, const char *before, const char *after)
{
	struct span list = span_of(units ? units : ""), unit;

	while (next_unit(&list, &unit)) {
		if (!unit_takes_effects(p, unit))
			continue;
		text_printf(to, "%s%s ", before, verb);
		quote_shell(to, unit);
		text_add(to, after);
	}
}

/* For each unit that takes effects: before, "restart UNIT" or "reload UNIT", after. */
static void add_effects(struct text *to, const struct plan *p, const struct effects *e,
    const char *before, const char *after)
{
	if (e) {
		add_effect_list(to, p, e->restart, "restart", before, after);
		add_effect_list(to, p, e->reload, "reload", before, after);
	}
}

static void add_owed(struct text *to, const struct plan *p, const struct step *s)
{
	add_effects(to, p, wanted_effects(s->thing), "owe ", "\n");
}

static void add_mend(
    struct text *to, const struct plan *p, const struct wanted_thing *t)
{
	const struct wanted_state *s = &t->state;

	quote_command(to, "mend %s %s %s", s->what, s->check, s->mend);
	add_effects(to, p, &s->effects, " ", "");
	text_add(to, "\n");
}

/* ---- INSTALL ---- */

/* Does the component want a package before this state? Then the state comes after it. */
static bool follows_packages(const struct plan *p, const struct wanted_thing *state)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->wanted, &n);

	for (size_t i = 0; i < n && &list[i] != state; i++) {
		if (list[i].kind == WANTED_PACKAGE &&
		    strcmp(list[i].component, state->component) == 0)
			return true;
	}
	return false;
}

static void add_states(struct text *to, const struct plan *p, bool after)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];

		if (s->thing->kind == WANTED_STATE && step_stage(s) == STAGE_INSTALL &&
		    follows_packages(p, s->thing) == after)
			add_mend(to, p, s->thing);
	}
}

static void add_packages(struct text *to, const struct plan *p)
{
	struct text list = { 0 };

	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];

		if (s->thing->kind == WANTED_PACKAGE) {
			quote_command(&list, " %s", s->thing->package.name);
		} else if (s->thing->kind == WANTED_DEB) {
			quote_command(
			    &list, " \"$D\"/packages/%s.deb", s->thing->deb.sha256);
			add_owed(to, p, s);
		}
	}
	if (list.len > 0)
		text_printf(to, "install_packages %s%s\n",
		    p->facts->apt_fresh ? "fresh" : "stale", list.data);
	text_free(&list);
}

static void add_removed_packages(struct text *to, const struct plan *p)
{
	bool any = false;

	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];

		if (s->thing->kind == WANTED_NO_PACKAGE) {
			text_add(to, any ? "" : "remove_packages");
			quote_command(to, " %s", s->thing->no_package.name);
			any = true;
		}
	}
	text_add(to, any ? "\n" : "");
}

static void add_binary(struct text *to, const struct plan *p, const struct step *s)
{
	const struct wanted_binary *b = &s->thing->binary;
	char *here = binary_at_hand(p, b);

	add_owed(to, p, s);
	quote_command(to, "install_binary %s %s %s %s ", b->path, b->url,
	    b->member ? b->member : "", b->sha256);
	if (here)
		quote_command(to, "\"$D\"/upload/%s", base_name(b->url));
	else
		text_add(to, "''");
	text_add(to, b->optional ? " optional\n" : "\n");
	free(here);
}

/* Steps of one kind. */
static void add_kind(struct text *to, const struct plan *p, enum wanted_kind kind)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];
		const struct wanted_thing *t = s->thing;

		if (t->kind != kind || step_stage(s) != STAGE_INSTALL)
			continue;
		if (kind == WANTED_GROUP)
			quote_command(to, "add_group %s\n", t->group.name);
		else if (kind == WANTED_USER)
			quote_command(to, "add_user %s %s %s\n", t->user.name,
			    t->user.group, t->user.home);
		else if (kind == WANTED_MEMBER)
			quote_command(
			    to, "add_member %s %s\n", t->member.user, t->member.group);
		else if (kind == WANTED_BINARY)
			add_binary(to, p, s);
	}
}

void install_script(struct text *to, const struct plan *p)
{
	add_states(to, p, false);
	add_kind(to, p, WANTED_GROUP);
	add_packages(to, p);
	if (p->options.upgrade && (p->options.stages & STAGE_INSTALL))
		text_add(to, "upgrade_packages\n");
	add_states(to, p, true);
	add_kind(to, p, WANTED_USER);
	add_kind(to, p, WANTED_MEMBER);
	add_kind(to, p, WANTED_BINARY);
	add_removed_packages(to, p);
}

/* ---- CONFIGURE ---- */

/* The hash of what we wrote there last, or nothing. */
static const char *hash_of_ours(const struct plan *p, const char *path)
{
	const struct wanted_thing *t = wanted_find(p->former, WANTED_FILE, path, NULL);

	return t ? t->file.sha256 : "";
}

static void add_mode(struct text *to, mode_t mode)
{
	text_printf(to, "%04o", (unsigned)mode);
}

/* chmod(1) keeps these bits of a directory unless there are five digits. */
static void add_directory(struct text *to, const struct wanted_directory *d)
{
	text_add(to, "make_directory 0");
	add_mode(to, d->mode);
	quote_command(to, " %s %s %s\n", d->owner, d->group, d->path);
}

static void add_put(
    struct text *to, const struct plan *p, const struct wanted_file *file)
{
	quote_command(to, "put %s ", file->sha256);
	add_mode(to, file->mode);
	quote_command(to, " %s %s %s %s\n", file->owner, file->group, file->path,
	    hash_of_ours(p, file->path));
}

/* One line of the function change; false if the step is none of it. */
static bool add_change(struct text *to, const struct plan *p, const struct step *s)
{
	const struct wanted_thing *t = s->thing;

	if (step_stage(s) != STAGE_CONFIGURE)
		return false;
	if (s->former && t->kind == WANTED_DIRECTORY)
		quote_command(to, "take_directory_away %s\n", t->directory.path);
	else if (s->former && t->kind == WANTED_BINARY)
		quote_command(
		    to, "take_away %s %s\n", t->binary.sha256, t->binary.path);
	else if (s->former)
		quote_command(to, "take_away %s %s\n", t->file.sha256, t->file.path);
	else if (t->kind == WANTED_ABSENT)
		quote_command(to, "make_absent %s %s\n",
		    hash_of_ours(p, t->absent.path), t->absent.path);
	else if (t->kind == WANTED_FILE)
		add_put(to, p, &t->file);
	else
		return false;
	return true;
}

/* The paths that the function change touches, as words. */
static void add_paths(struct text *to, const struct plan *p, const char *component)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];

		if (is_of(s, component) && step_stage(s) == STAGE_CONFIGURE &&
		    s->thing->kind != WANTED_STATE &&
		    (s->thing->kind != WANTED_DIRECTORY || s->former))
			quote_command(to, " %s", wanted_text(s->thing, 0));
	}
}

static bool add_checks(struct text *to, const struct plan *p, const char *component)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->wanted, &n);
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (list[i].kind == WANTED_CHECK &&
		    strcmp(list[i].component, component) == 0) {
			quote_command(to, "check %s %s\n", list[i].check.what,
			    list[i].check.script);
			any = true;
		}
	}
	return any;
}

/* Does a file of the state's component stand before it in the list? */
static bool follows_file(const struct plan *p, const struct wanted_thing *state)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->wanted, &n);

	for (size_t i = 0; i < n && &list[i] != state; i++) {
		if (list[i].kind == WANTED_FILE &&
		    strcmp(list[i].component, state->component) == 0)
			return true;
	}
	return false;
}

static void add_own_states(
    struct text *to, const struct plan *p, const char *component, bool after)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];

		if (s->thing->kind == WANTED_STATE && is_of(s, component) &&
		    step_stage(s) == STAGE_CONFIGURE &&
		    follows_file(p, s->thing) == after)
			add_mend(to, p, s->thing);
	}
}

/* Define the functions change and checks of a component. Returns whether there is both
 * something to change and something to check it by. */
static bool add_functions(
    struct text *to, struct text *owed, const struct plan *p, const char *component)
{
	bool any = false, checks;

	text_add(to, "change() {\n:\n");
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];

		if (is_of(s, component) && add_change(to, p, s)) {
			add_owed(owed, p, s);
			any = true;
		}
	}
	text_add(to, "}\nchecks() {\n:\n");
	checks = add_checks(to, p, component);
	text_add(to, "}\n");
	if (any)
		text_add(owed, "change\n");
	return any && checks;
}

static void add_directories(
    struct text *to, const struct plan *p, const char *component)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];

		if (is_of(s, component) && s->thing->kind == WANTED_DIRECTORY &&
		    !s->former)
			add_directory(to, &s->thing->directory);
	}
}

static void add_try(struct text *to, const struct plan *p, const char *component)
{
	text_add(to, "try");
	add_paths(to, p, component);
	text_add(to, "\n");
}

void configure_script(
    struct text *to, struct text *change, const struct plan *p, const char *component)
{
	struct text owed = { 0 };
	bool tried = add_functions(change, &owed, p, component);

	add_directories(to, p, component);
	add_own_states(to, p, component, false);
	if (tried)
		add_try(to, p, component);
	text_add_span(to, text_span(&owed));
	add_own_states(to, p, component, true);
	text_free(&owed);
}

void rehearse_script(
    struct text *to, struct text *change, const struct plan *p, const char *component)
{
	struct text owed = { 0 };

	if (add_functions(change, &owed, p, component))
		add_try(to, p, component);
	text_free(&owed);
}

void rehearsed_script(struct text *to, const struct plan *p, const char *component)
{
	struct text owed = { 0 };

	add_functions(to, &owed, p, component);
	add_directories(to, p, component);
	add_own_states(to, p, component, false);
	text_add_span(to, text_span(&owed));
	add_own_states(to, p, component, true);
	text_free(&owed);
}

/* ---- ACTIVATE ---- */

static void add_unit(struct text *to, const struct step *s)
{
	const struct wanted_unit *u = &s->thing->unit;

	switch (s->action) {
	case STEP_STOP:
		quote_command(to, "stop_unit %s\n", u->name);
		break;
	case STEP_MASK:
		quote_command(to, "mask_unit %s\n", u->name);
		break;
	case STEP_RESTART:
	case STEP_RELOAD:
		quote_command(to, "%r %s %r\n",
		    u->state == UNIT_RUNNING ? "run_unit" : "touch_unit", u->name,
		    s->action == STEP_RESTART ? "restart" : "reload");
		break;
	default:
		quote_command(to, "run_unit %s start\n", u->name);
		break;
	}
}

/* A unit's step or a state's, in the order of the wanted list, which they share. */
static const struct step *find_step(
    const struct plan *p, const struct wanted_thing *thing)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		if (p->steps[i].thing == thing)
			return &p->steps[i];
	}
	return NULL;
}

static void add_listed(struct text *to, const struct plan *p,
    const struct wanted *wanted, const char *component)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(wanted, &n);

	for (size_t i = 0; i < n; i++) {
		const struct step *s = find_step(p, &list[i]);

		if (!s || !is_of(s, component) || step_stage(s) != STAGE_ACTIVATE)
			continue;
		if (s->thing->kind == WANTED_UNIT)
			add_unit(to, s);
		else
			add_mend(to, p, s->thing);
	}
}

void activate_script(struct text *to, const struct plan *p, const char *component)
{
	add_listed(to, p, p->former, component);
	add_listed(to, p, p->wanted, component);
	add_listed(to, p, p->unnamed, component);
}
