#include "deploy/plan_step.h"

#include <stdlib.h>
#include <unistd.h>

#include "deploy/manifest.h"

const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool next_unit(struct span *list, struct span *unit)
{
	do {
		if (!span_cut(list, ' ', unit))
			return false;
	} while (unit->len == 0);
	return true;
}

struct step *plan_add(
    struct plan *p, const struct wanted_thing *thing, enum step_action action)
{
	if (p->nsteps == p->size) {
		p->size = p->size ? 2 * p->size : 64;
		p->steps = reallocarray(p->steps, p->size, sizeof(*p->steps));
		if (!p->steps)
			abort();
	}
	p->steps[p->nsteps] = (struct step){ .thing = thing, .action = action };
	return &p->steps[p->nsteps++];
}

static bool in_list(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i], name) == 0)
			return true;
	}
	return false;
}

static bool has_member(const struct facts *f, const struct wanted_member *m)
{
	size_t len = strlen(m->user);

	for (size_t i = 0; i < f->nmembers; i++) {
		const char *row = f->members[i];

		if (strncmp(row, m->user, len) == 0 && row[len] == ':' &&
		    strcmp(row + len + 1, m->group) == 0)
			return true;
	}
	return false;
}

static bool same_attributes(
    const struct fact_file *there, const char *owner, const char *group, mode_t mode)
{
	return (there->mode & 07777) == mode && strcmp(there->owner, owner) == 0 &&
	       strcmp(there->group, group) == 0;
}

/* Did we write what is there? */
static bool is_ours(const struct plan *p, const char *path, const struct fact_file *f)
{
	const struct wanted_thing *t = wanted_find(p->former, WANTED_FILE, path, NULL);

	return t && f->type == FACT_REGULAR && f->sha256 &&
	       strcmp(t->file.sha256, f->sha256) == 0;
}

static const struct fact_file *there(const struct plan *p, const char *path)
{
	const struct fact_file *f = facts_file(p->facts, path);

	return f && f->type != FACT_NONE ? f : NULL;
}

static void plan_file(struct plan *p, const struct wanted_thing *t)
{
	const struct wanted_file *file = &t->file;
	const struct fact_file *f = there(p, file->path);

	if (!f) {
		plan_add(p, t, STEP_MAKE);
	} else if (file->flags & FILE_KEEP) {
		return;
	} else if (f->type != FACT_REGULAR || !f->sha256 ||
		   strcmp(f->sha256, file->sha256) != 0) {
		plan_add(p, t, STEP_CHANGE)->foreign = !is_ours(p, file->path, f);
	} else if (!same_attributes(f, file->owner, file->group, file->mode)) {
		plan_add(p, t, STEP_ATTRIBUTES);
	}
}

static void plan_directory(struct plan *p, const struct wanted_thing *t)
{
	const struct wanted_directory *d = &t->directory;
	const struct fact_file *f = there(p, d->path);

	if (!f)
		plan_add(p, t, STEP_MAKE);
	else if (f->type == FACT_DIRECTORY &&
		 !same_attributes(f, d->owner, d->group, d->mode))
		plan_add(p, t, STEP_ATTRIBUTES);
	else if (f->type == FACT_REGULAR || f->type == FACT_OTHER)
		plan_add(p, t, STEP_CHANGE);
}

static void plan_absent(struct plan *p, const struct wanted_thing *t)
{
	const struct fact_file *f = there(p, t->absent.path);

	if (f)
		plan_add(p, t, STEP_REMOVE)->foreign =
		    f->type != FACT_DIRECTORY && !is_ours(p, t->absent.path, f);
}

/* It is built for Debian's Dovecot, and could not be installed beside another. */
static bool fits_dovecot(const struct plan *p, const char *package)
{
	return strcmp(package, "chatmaild-dovecot-plugin") != 0 ||
	       !facts_other_dovecot(p->facts);
}

static void plan_deb(struct plan *p, const struct wanted_thing *t)
{
	const struct wanted_deb *deb = &t->deb;
	const struct fact_package *f = facts_package(p->facts, deb->name);
	const struct wanted_thing *last =
	    wanted_find(p->former, WANTED_DEB, deb->name, deb->arch);

	if (strcmp(deb->arch, "all") != 0 && strcmp(deb->arch, p->facts->deb_arch) != 0)
		return;
	if (!fits_dovecot(p, deb->name))
		return;
	if (!f)
		plan_add(p, t, STEP_MAKE);
	else if (strcmp(f->version, deb->version) != 0 ||
		 (last && strcmp(last->deb.sha256, deb->sha256) != 0))
		plan_add(p, t, STEP_CHANGE);
}

/* Could the server not get it lately, and would it not get it now? */
static bool is_out_of_reach(struct plan *p, const struct wanted_binary *b)
{
	const struct facts *f = p->facts;
	char *here;

	if (!b->optional || p->options.upgrade ||
	    !in_list(f->missing, f->nmissing, b->sha256))
		return false;
	here = binary_at_hand(p, b);
	free(here);
	return !here;
}

static void plan_binary(struct plan *p, const struct wanted_thing *t)
{
	const struct fact_file *f = there(p, t->binary.path);

	if (strcmp(t->binary.arch, p->facts->machine) != 0)
		return;
	if (is_out_of_reach(p, &t->binary))
		text_printf(&p->note,
		    "Note: the server could not download %s, and goes without %s. It "
		    "tries again after a day, and with --upgrade; or run with "
		    "--binaries DIR.\n",
		    t->binary.url, t->binary.path);
	else if (!f)
		plan_add(p, t, STEP_MAKE);
	else if (!f->sha256 || strcmp(f->sha256, t->binary.sha256) != 0)
		plan_add(p, t, STEP_CHANGE);
}

/* One thing that is no unit. nstate counts the states, as the facts do. */
static void plan_thing(struct plan *p, const struct wanted_thing *t, size_t nstate)
{
	const struct facts *f = p->facts;

	switch (t->kind) {
	case WANTED_PACKAGE:
		if (!facts_package(f, t->package.name) &&
		    fits_dovecot(p, t->package.name))
			plan_add(p, t, STEP_MAKE);
		break;
	case WANTED_NO_PACKAGE:
		if (facts_package(f, t->no_package.name))
			plan_add(p, t, STEP_REMOVE);
		break;
	case WANTED_DEB:
		plan_deb(p, t);
		break;
	case WANTED_GROUP:
		if (!in_list(f->groups, f->ngroups, t->group.name))
			plan_add(p, t, STEP_MAKE);
		break;
	case WANTED_USER:
		if (!in_list(f->users, f->nusers, t->user.name))
			plan_add(p, t, STEP_MAKE);
		break;
	case WANTED_MEMBER:
		if (!has_member(f, &t->member))
			plan_add(p, t, STEP_MAKE);
		break;
	case WANTED_BINARY:
		plan_binary(p, t);
		break;
	case WANTED_ABSENT:
		plan_absent(p, t);
		break;
	case WANTED_DIRECTORY:
		plan_directory(p, t);
		break;
	case WANTED_FILE:
		plan_file(p, t);
		break;
	case WANTED_STATE:
		if (nstate >= f->nstates || !f->states[nstate])
			plan_add(p, t, STEP_MAKE);
		break;
	case WANTED_CHECK:
	case WANTED_UNIT:
	case WANTED_KINDS:
		break;
	}
}

static enum stage kind_stage(const struct wanted_thing *t)
{
	switch (t->kind) {
	case WANTED_ABSENT:
	case WANTED_DIRECTORY:
	case WANTED_FILE:
	case WANTED_CHECK:
		return STAGE_CONFIGURE;
	case WANTED_STATE:
		return t->state.stage;
	case WANTED_UNIT:
		return STAGE_ACTIVATE;
	default:
		return STAGE_INSTALL;
	}
}

enum stage step_stage(const struct step *s)
{
	/* What is left behind is cleared away together, whatever it was. */
	if (s->action == STEP_REMOVE && s->thing->kind == WANTED_BINARY)
		return STAGE_CONFIGURE;
	return kind_stage(s->thing);
}

bool plan_wants_anything(const struct wanted *w, const char *component)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(w, &n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].component, component) == 0)
			return true;
	}
	return false;
}

static bool path_is_wanted(const struct wanted *w, const char *path)
{
	return wanted_find(w, WANTED_FILE, path, NULL) ||
	       wanted_find(w, WANTED_DIRECTORY, path, NULL) ||
	       wanted_find(w, WANTED_BINARY, path, NULL) ||
	       wanted_find(w, WANTED_ABSENT, path, NULL);
}

/* A file that must not be taken away, for it was not put there anew. */
static bool is_left_alone(const struct wanted_thing *t)
{
	return t->kind == WANTED_FILE && (t->file.flags & FILE_KEEP);
}

/* What the last generation had and this one has not: files first, then their folders. */
static void plan_former_things(struct plan *p)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->former, &n);

	for (size_t i = 0; i < n; i++) {
		const struct wanted_thing *t = &list[i];

		if ((t->kind != WANTED_FILE && t->kind != WANTED_BINARY) ||
		    is_left_alone(t) || path_is_wanted(p->wanted, wanted_text(t, 0)) ||
		    !plan_wants_anything(p->wanted, t->component))
			continue;
		if (t->kind == WANTED_BINARY &&
		    strcmp(t->binary.arch, p->facts->machine) != 0)
			continue;
		plan_add(p, t, STEP_REMOVE)->former = true;
	}
	for (size_t i = n; i-- > 0;) {
		const struct wanted_thing *t = &list[i];

		if (t->kind == WANTED_DIRECTORY &&
		    !path_is_wanted(p->wanted, t->directory.path) &&
		    plan_wants_anything(p->wanted, t->component))
			plan_add(p, t, STEP_REMOVE)->former = true;
	}
}

/* All steps but those of units. */
static void plan_things(struct plan *p)
{
	size_t n, nstate = 0;
	const struct wanted_thing *list = wanted_list(p->wanted, &n);

	for (size_t i = 0; i < n; i++) {
		if (kind_stage(&list[i]) & p->options.stages)
			plan_thing(p, &list[i], nstate);
		nstate += list[i].kind == WANTED_STATE;
	}
	if (p->options.stages & STAGE_CONFIGURE)
		plan_former_things(p);
}

static void read_former(struct plan *p)
{
	char error[MANIFEST_ERROR_MAX];

	if (*p->facts->manifest) {
		p->former = manifest_parse(span_of(p->facts->manifest), error);
		if (p->former)
			return;
		text_printf(&p->note,
		    "The server's record of the last run cannot be read (%s): files "
		    "that differ are taken for those of others.\n",
		    error);
	}
	p->former = wanted_create();
}

/* The component's lines, but for what another component wants in another way now. */
static void write_component(
    struct plan *p, const struct wanted *w, const char *component)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(w, &n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].component, component) == 0 &&
		    (w == p->wanted || !wanted_refuses(p->wanted, &list[i])))
			manifest_write_thing(&p->manifest, &list[i]);
	}
}

/* Is thing i of the list the first one of its component? */
static bool begins_component(const struct wanted_thing *list, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (strcmp(list[k].component, list[i].component) == 0)
			return false;
	}
	return true;
}

static bool has_silent_component(const struct plan *p)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->former, &n);

	for (size_t i = 0; i < n; i++) {
		if (!plan_wants_anything(p->wanted, list[i].component))
			return true;
	}
	return false;
}

/* In the order of the last generation, so that who wants the same has the same record. */
static void write_merged(struct plan *p)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->former, &n);

	for (size_t i = 0; i < n; i++) {
		const char *component = list[i].component;

		if (!begins_component(list, i))
			continue;
		if (plan_wants_anything(p->wanted, component))
			write_component(p, p->wanted, component);
		else
			write_component(p, p->former, component);
	}
	list = wanted_list(p->wanted, &n);
	for (size_t i = 0; i < n; i++) {
		if (begins_component(list, i) &&
		    !plan_wants_anything(p->former, list[i].component))
			write_component(p, p->wanted, list[i].component);
	}
}

/* What is wanted now, and what components that want nothing now had. */
static void make_manifest(struct plan *p)
{
	if (has_silent_component(p)) {
		manifest_begin(&p->manifest);
		write_merged(p);
	} else {
		manifest_write(&p->manifest, p->wanted);
	}
	p->record = (p->options.stages & STAGE_CONFIGURE) &&
		    strcmp(p->manifest.data, p->facts->manifest) != 0;
}

char *binary_at_hand(const struct plan *p, const struct wanted_binary *b)
{
	char *path;

	if (!p->options.binaries)
		return NULL;
	if (asprintf(&path, "%s/%s", p->options.binaries, base_name(b->url)) < 0)
		abort();
	if (access(path, R_OK) == 0)
		return path;
	free(path);
	return NULL;
}

struct plan *plan_create(
    const struct wanted *w, const struct facts *f, const struct plan_options *options)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->wanted = w;
	p->facts = f;
	p->options = *options;
	p->unnamed = wanted_create();
	read_former(p);
	plan_things(p);
	plan_units(p);
	make_manifest(p);
	return p;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nsteps; i++) {
		text_free(&p->steps[i].why);
		text_free(&p->steps[i].old);
	}
	free(p->steps);
	wanted_free(p->former);
	wanted_free(p->unnamed);
	text_free(&p->note);
	text_free(&p->manifest);
	free(p);
}

bool plan_is_empty(const struct plan *p)
{
	return p->nsteps == 0 && !p->record &&
	       !(p->options.upgrade && (p->options.stages & STAGE_INSTALL));
}
