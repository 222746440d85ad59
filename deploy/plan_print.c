#include <stdlib.h>

#include "deploy/diff.h"
#include "deploy/plan_step.h"

struct printer {
	const struct plan *plan;
	FILE *out;
	bool colour;
	size_t files, packages, units, others; /* counted on the way */
};

/* Names and versions may be the server's own words. */
static void heading(const struct printer *pr, const char *text)
{
	fputs(pr->colour ? "\033[1m" : "", pr->out);
	text_write_visible(pr->out, span_of(text), "");
	fputs(pr->colour ? "\033[0m\n" : "\n", pr->out);
}

static void row(const struct printer *pr, char sign, const char *what, const char *name,
    const char *more)
{
	const char *colour = sign == '+' ? "32" : sign == '-' ? "31" : "33";

	if (pr->colour)
		fprintf(pr->out, "  \033[%sm%c\033[0m %s", colour, sign, what);
	else
		fprintf(pr->out, "  %c %s", sign, what);
	text_write_visible(pr->out, span_of(name), "");
	text_write_visible(pr->out, span_of(more), "");
	fputc('\n', pr->out);
}

static char sign_of(const struct step *s)
{
	return s->action == STEP_MAKE ? '+' : s->action == STEP_REMOVE ? '-' : '~';
}

static void print_diff(const struct printer *pr, const struct step *s)
{
	const struct wanted_file *f = &s->thing->file;

	if (f->flags & FILE_SECRET)
		fputs("    (its text is secret, and not shown)\n", pr->out);
	else if (s->fetched)
		diff_write(pr->out, f->path, text_span(&s->old),
		    span_make(f->content, f->len), pr->colour);
}

static void print_file(struct printer *pr, const struct step *s)
{
	const struct wanted_file *f = &s->thing->file;
	char more[160];

	pr->files++;
	if (s->action == STEP_REMOVE)
		snprintf(more, sizeof(more), " (of the last generation)");
	else if (s->action == STEP_CHANGE && !s->foreign)
		more[0] = '\0';
	else
		snprintf(more, sizeof(more), " (%.40s:%.40s %04o%s)", f->owner,
		    f->group, (unsigned)f->mode,
		    s->foreign ? "; not of cmdeploy: the old one is kept in backup"
			       : "");
	row(pr, sign_of(s), "file ", f->path, more);
	if (s->action == STEP_CHANGE)
		print_diff(pr, s);
}

static void print_binary(struct printer *pr, const struct step *s)
{
	const struct wanted_binary *b = &s->thing->binary;
	char *here = binary_at_hand(pr->plan, b), *more;

	if (asprintf(&more, " (from %s)", here ? here : b->url) < 0)
		abort();
	row(pr, sign_of(s), "binary ", b->path, s->action == STEP_REMOVE ? "" : more);
	pr->others++;
	free(more);
	free(here);
}

static void print_deb(struct printer *pr, const struct step *s)
{
	const struct wanted_deb *d = &s->thing->deb;
	const struct fact_package *f = facts_package(pr->plan->facts, d->name);
	char more[256];

	snprintf(more, sizeof(more), " %.100s%s%.100s", d->version,
	    f ? ", there is " : "", f ? f->version : "");
	row(pr, sign_of(s), "package ", d->name, more);
	pr->packages++;
}

static void print_absent(struct printer *pr, const struct step *s)
{
	row(pr, '-', "", s->thing->absent.path, s->foreign ? " (kept in backup)" : "");
	pr->files++;
}

static void print_user(struct printer *pr, const struct step *s)
{
	char more[160];

	snprintf(more, sizeof(more), " (group %.60s, home %.60s)", s->thing->user.group,
	    s->thing->user.home);
	row(pr, '+', "user ", s->thing->user.name, more);
	pr->others++;
}

static void print_directory(struct printer *pr, const struct step *s)
{
	const struct wanted_directory *d = &s->thing->directory;
	char more[160];

	snprintf(more, sizeof(more), " (%.40s:%.40s %04o)", d->owner, d->group,
	    (unsigned)d->mode);
	row(pr, sign_of(s), "directory ", d->path,
	    s->action == STEP_REMOVE ? " (if it is empty)" : more);
	pr->others++;
}

static void print_member(struct printer *pr, const struct step *s)
{
	char more[100];

	snprintf(more, sizeof(more), " in group %.60s", s->thing->member.group);
	row(pr, '+', "user ", s->thing->member.user, more);
	pr->others++;
}

static void print_unit(struct printer *pr, const struct step *s)
{
	static const char *const verbs[] = {
		[STEP_START] = "start ",
		[STEP_RESTART] = "restart ",
		[STEP_RELOAD] = "reload ",
		[STEP_ENABLE] = "enable ",
		[STEP_STOP] = "stop and disable ",
		[STEP_MASK] = "stop and mask ",
	};
	char *more = NULL;

	if (s->why.len > 0 && asprintf(&more, ": %s", s->why.data) < 0)
		abort();
	row(pr, '*', verbs[s->action], s->thing->unit.name, more ? more : "");
	free(more);
	pr->units++;
}

static void print_step(struct printer *pr, const struct step *s)
{
	const struct wanted_thing *t = s->thing;

	switch (t->kind) {
	case WANTED_PACKAGE:
	case WANTED_NO_PACKAGE:
		row(pr, sign_of(s), "package ", wanted_text(t, 0), "");
		pr->packages++;
		break;
	case WANTED_DEB:
		print_deb(pr, s);
		break;
	case WANTED_USER:
		print_user(pr, s);
		break;
	case WANTED_MEMBER:
		print_member(pr, s);
		break;
	case WANTED_BINARY:
		print_binary(pr, s);
		break;
	case WANTED_ABSENT:
		print_absent(pr, s);
		break;
	case WANTED_DIRECTORY:
		print_directory(pr, s);
		break;
	case WANTED_FILE:
		print_file(pr, s);
		break;
	case WANTED_UNIT:
		print_unit(pr, s);
		break;
	case WANTED_GROUP:
		row(pr, '+', "group ", t->group.name, "");
		pr->others++;
		break;
	case WANTED_STATE:
		row(pr, '+', "", t->state.what, "");
		pr->others++;
		break;
	case WANTED_CHECK:
	case WANTED_KINDS:
		break;
	}
}

/* Is the component of step i one that was shown already? */
static bool was_shown(const struct plan *p, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (strcmp(p->steps[k].thing->component,
			p->steps[i].thing->component) == 0)
			return true;
	}
	return false;
}

static void print_component(struct printer *pr, size_t first)
{
	const struct plan *p = pr->plan;
	const char *name = p->steps[first].thing->component;

	heading(pr, name);
	for (size_t i = first; i < p->nsteps; i++) {
		if (strcmp(p->steps[i].thing->component, name) == 0)
			print_step(pr, &p->steps[i]);
	}
}

static void count(FILE *out, const char **comma, size_t n, const char *what)
{
	if (n == 0)
		return;
	fprintf(out, "%s%zu %s%s", *comma, n, what, n == 1 ? "" : "s");
	*comma = ", ";
}

static void print_counts(const struct printer *pr)
{
	const char *comma = "In all: ";

	count(pr->out, &comma, pr->packages, "package");
	count(pr->out, &comma, pr->files, "file");
	count(pr->out, &comma, pr->units, "unit");
	count(pr->out, &comma, pr->others, "other thing");
	if (*comma == ',')
		fputs(".\n", pr->out);
}

void plan_print(const struct plan *p, FILE *out, bool colour)
{
	struct printer pr = { .plan = p, .out = out, .colour = colour };

	if (p->note.len > 0)
		fputs(p->note.data, out);
	if (plan_is_empty(p)) {
		fputs("Nothing to do: the server is as chatmail.ini wants it.\n", out);
		return;
	}
	if (p->options.upgrade && (p->options.stages & STAGE_INSTALL))
		row(&pr, '~', "all packages of Debian that have a newer version", "",
		    "");
	for (size_t i = 0; i < p->nsteps; i++) {
		if (!was_shown(p, i))
			print_component(&pr, i);
	}
	print_counts(&pr);
	if (p->nsteps == 0 && p->record)
		fputs("Only the server's record of this relay is brought up to date.\n",
		    out);
}
