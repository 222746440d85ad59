/*
 * What becomes of units: from what changed, from what a broken run still owes, and from how
 * they are.
 */
#include <stdlib.h>

#include "deploy/plan_step.h"

#define REASONS_MAX 3 /* that are told */

/* Why a unit is to be restarted or reloaded. */
struct reasons {
	bool restart, reload;
	unsigned n;
	struct text text;
};

static void add_reason(struct reasons *r, const char *what, const char *verb)
{
	r->n++;
	if (r->n <= REASONS_MAX)
		text_printf(&r->text, "%s%s%s%s", r->n > 1 ? ", " : "", what,
		    *verb ? " " : "", verb);
	else if (r->n == REASONS_MAX + 1)
		text_add(&r->text, " and more");
}

static const char *change_verb(const struct step *s)
{
	switch (s->action) {
	case STEP_MAKE:
		return s->thing->kind == WANTED_STATE ? "made" : "is new";
	case STEP_REMOVE:
		return "removed";
	default:
		return "changed";
	}
}

static bool names_unit(const char *units, const char *name)
{
	struct span list = span_of(units ? units : ""), unit;

	while (next_unit(&list, &unit)) {
		if (span_is(unit, name))
			return true;
	}
	return false;
}

static void reasons_of_steps(const struct plan *p, const char *unit, struct reasons *r)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];
		const struct effects *e = wanted_effects(s->thing);
		bool restart = e && names_unit(e->restart, unit);
		bool reload = e && names_unit(e->reload, unit);

		r->restart = r->restart || restart;
		r->reload = r->reload || reload;
		if (restart || reload)
			add_reason(r, wanted_text(s->thing, 0), change_verb(s));
	}
}

static void reasons_of_pending(
    const struct plan *p, const char *unit, struct reasons *r)
{
	for (size_t i = 0; i < p->facts->npending; i++) {
		struct span row = span_of(p->facts->pending[i]), verb;

		if (!span_cut(&row, ' ', &verb) || !row.data || !span_is(row, unit))
			continue;
		if (span_is(verb, "reload"))
			r->reload = true;
		else
			r->restart = true;
		add_reason(r, "an earlier run still owes it", "");
	}
}

static struct reasons find_reasons(
    const struct plan *p, const char *unit, const struct fact_unit *f)
{
	struct reasons r = { 0 };

	reasons_of_steps(p, unit, &r);
	reasons_of_pending(p, unit, &r);
	if (f && f->stale) {
		r.restart = true;
		add_reason(&r, "its program was replaced", "");
	}
	return r;
}

static bool is_known(const struct fact_unit *f)
{
	return f && strcmp(f->load, "not-found") != 0;
}

static bool is_active(const struct fact_unit *f)
{
	return f && (strcmp(f->active, "active") == 0 ||
			strcmp(f->active, "reloading") == 0);
}

/* Neither idle nor dead: also what fails and is started again and again. */
static bool is_at_work(const struct fact_unit *f)
{
	return f && strcmp(f->active, "inactive") != 0 &&
	       strcmp(f->active, "failed") != 0;
}

/* "enabled-runtime" is somebody's choice at each start, as with postfix@-.service, whose
 * generator wants it wherever postfix.service is wanted: disabling does not change it. */
static bool is_enabled(const struct fact_unit *f)
{
	return f && strcmp(f->enabled, "enabled") == 0;
}

static bool needs_enabling(const struct fact_unit *f)
{
	return !is_known(f) || !*f->enabled || strcmp(f->enabled, "disabled") == 0 ||
	       strcmp(f->enabled, "enabled-runtime") == 0 ||
	       strncmp(f->enabled, "masked", strlen("masked")) == 0;
}

/* Packages that are installed now may bring units that nobody knows yet. */
static bool installs_packages(const struct plan *p)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		enum wanted_kind kind = p->steps[i].thing->kind;

		if ((kind == WANTED_PACKAGE || kind == WANTED_DEB) &&
		    p->steps[i].action != STEP_REMOVE)
			return true;
	}
	return false;
}

static void add_unit(struct plan *p, const struct wanted_thing *t,
    enum step_action action, struct reasons *r)
{
	plan_add(p, t, action)->why = r->text;
	r->text = (struct text){ 0 };
}

static void plan_running(struct plan *p, const struct wanted_thing *t,
    const struct fact_unit *f, struct reasons *r)
{
	if (p->options.stages == STAGE_ACTIVATE) {
		r->restart = true;
		add_reason(r, "all are, when only activated", "");
	}
	if (!is_active(f)) {
		text_free(&r->text);
		add_unit(p, t, STEP_START, r);
	} else if (r->restart) {
		add_unit(p, t, STEP_RESTART, r);
	} else if (r->reload) {
		add_unit(p, t, STEP_RELOAD, r);
	} else if (needs_enabling(f)) {
		add_unit(p, t, STEP_ENABLE, r);
	}
}

static void plan_stopped(struct plan *p, const struct wanted_thing *t,
    const struct fact_unit *f, struct reasons *r)
{
	if (is_known(f) ? is_at_work(f) || is_enabled(f) : installs_packages(p)) {
		text_free(&r->text);
		if (!is_known(f))
			text_add(&r->text, "should a package bring it");
		add_unit(p, t, STEP_STOP, r);
	}
}

static void plan_masked(struct plan *p, const struct wanted_thing *t,
    const struct fact_unit *f, struct reasons *r)
{
	text_free(&r->text);
	if (!f || strcmp(f->enabled, "masked") != 0 || is_at_work(f))
		add_unit(p, t, STEP_MASK, r);
}

static void plan_unit(struct plan *p, const struct wanted_thing *t)
{
	const struct fact_unit *f = facts_unit(p->facts, t->unit.name);
	struct reasons r = find_reasons(p, t->unit.name, f);

	switch (t->unit.state) {
	case UNIT_RUNNING:
		plan_running(p, t, f, &r);
		break;
	case UNIT_STOPPED:
		plan_stopped(p, t, f, &r);
		break;
	case UNIT_MASKED:
		plan_masked(p, t, f, &r);
		break;
	case UNIT_PRESENT:
		if (r.restart || r.reload)
			add_unit(p, t, r.restart ? STEP_RESTART : STEP_RELOAD, &r);
		break;
	}
	text_free(&r.text);
}

bool unit_takes_effects(const struct plan *p, struct span unit)
{
	char *name = span_dup(unit);
	const struct wanted_thing *t;

	if (!name)
		abort();
	t = wanted_find(p->wanted, WANTED_UNIT, name, NULL);
	free(name);
	return !t || (t->unit.state != UNIT_STOPPED && t->unit.state != UNIT_MASKED);
}

/* A unit that no component wants, but something changed that it reads. */
static void add_unnamed(struct plan *p, struct span unit)
{
	char *name = span_dup(unit);

	if (!name)
		abort();
	if (!wanted_find(p->wanted, WANTED_UNIT, name, NULL))
		want_unit(p->unnamed, name, UNIT_PRESENT);
	free(name);
}

static void add_all_unnamed(struct plan *p, const char *units)
{
	struct span list = span_of(units ? units : ""), unit;

	while (next_unit(&list, &unit))
		add_unnamed(p, unit);
}

static void plan_unnamed(struct plan *p)
{
	const struct wanted_thing *list;
	size_t n;

	wanted_component(p->unnamed, "others");
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct effects *e = wanted_effects(p->steps[i].thing);

		if (e) {
			add_all_unnamed(p, e->restart);
			add_all_unnamed(p, e->reload);
		}
	}
	for (size_t i = 0; i < p->facts->npending; i++) {
		struct span row = span_of(p->facts->pending[i]), verb;

		if (span_cut(&row, ' ', &verb) && row.data && row.len > 0)
			add_unnamed(p, row);
	}
	list = wanted_list(p->unnamed, &n);
	for (size_t i = 0; i < n; i++)
		plan_unit(p, &list[i]);
}

/* Units that the last generation ran, and this one knows nothing of. */
static void plan_departing(struct plan *p)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->former, &n);

	for (size_t i = 0; i < n; i++) {
		const struct wanted_thing *t = &list[i];

		if (t->kind == WANTED_UNIT && t->unit.state == UNIT_RUNNING &&
		    !wanted_find(p->wanted, WANTED_UNIT, t->unit.name, NULL) &&
		    plan_wants_anything(p->wanted, t->component))
			plan_add(p, t, STEP_STOP)->former = true;
	}
}

void plan_units(struct plan *p)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->wanted, &n);

	if (!(p->options.stages & STAGE_ACTIVATE))
		return;
	plan_departing(p);
	for (size_t i = 0; i < n; i++) {
		if (list[i].kind == WANTED_UNIT)
			plan_unit(p, &list[i]);
	}
	plan_unnamed(p);
}
