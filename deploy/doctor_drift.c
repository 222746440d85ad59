/* What is not as it was deployed: the server's own manifest against the facts. */
#include <stdarg.h>

#include "deploy/answer.h"
#include "deploy/doctor_server.h"

#define KEY_SIZE    512
#define REMEDY_SIZE 512

static const char mend[] = "cmdeploy run puts it right";

struct drift {
	struct doctor *doctor;
	const struct doctor_question *question;
	const struct facts *facts;
	struct span output; /* of the script */
	size_t nstates;     /* walked over */
	unsigned ill;
};

/* A thing of the manifest that is not as it should be. */
__attribute__((format(printf, 5, 6))) static void note(struct drift *r,
    enum doctor_severity severity, const char *kind, const char *name,
    const char *format, ...)
{
	char key[KEY_SIZE], is[KEY_SIZE];
	va_list ap;

	va_start(ap, format);
	vsnprintf(is, sizeof(is), format, ap);
	va_end(ap);
	snprintf(key, sizeof(key), "%s %s", kind, name);
	doctor_note(r->doctor, severity, key, mend, "%s", is);
	r->ill++;
}

static const char *or_root(const char *name)
{
	return name ? name : "root";
}

static void judge_attributes(struct drift *r, const char *kind, const char *path,
    const struct fact_file *f, const char *owner, const char *group, mode_t mode)
{
	if (strcmp(f->owner, or_root(owner)) != 0 ||
	    strcmp(f->group, or_root(group)) != 0)
		note(r, DOCTOR_WARNING, kind, path,
		    "belongs to %s:%s, and was deployed as %s:%s's", f->owner, f->group,
		    or_root(owner), or_root(group));
	else if ((f->mode & 07777) != mode)
		note(r, DOCTOR_WARNING, kind, path,
		    "has the mode %04o, and was deployed with %04o",
		    (unsigned)(f->mode & 07777), (unsigned)mode);
}

static void judge_file(struct drift *r, const struct wanted_file *w)
{
	const struct fact_file *f = facts_file(r->facts, w->path);

	if (!f || f->type == FACT_NONE)
		note(r, DOCTOR_WARNING, "file", w->path,
		    "is gone since it was deployed");
	else if (w->flags & FILE_KEEP)
		return;
	else if (f->type != FACT_REGULAR)
		note(r, DOCTOR_WARNING, "file", w->path, "is no regular file any more");
	else if (!f->sha256 || strcmp(f->sha256, w->sha256) != 0)
		note(r, DOCTOR_WARNING, "file", w->path,
		    "was changed by hand since it was deployed");
	else
		judge_attributes(r, "file", w->path, f, w->owner, w->group, w->mode);
}

static void judge_directory(struct drift *r, const struct wanted_directory *w)
{
	const struct fact_file *f = facts_file(r->facts, w->path);

	if (!f || f->type == FACT_NONE)
		note(r, DOCTOR_WARNING, "directory", w->path,
		    "is gone since it was deployed");
	else if (f->type == FACT_DIRECTORY)
		judge_attributes(
		    r, "directory", w->path, f, w->owner, w->group, w->mode);
}

static void judge_binary(struct drift *r, const struct wanted_binary *w)
{
	const struct fact_file *f = facts_file(r->facts, w->path);

	if (strcmp(w->arch, r->facts->machine) != 0)
		return;
	if (!f || f->type == FACT_NONE) {
		if (!w->optional)
			note(r, DOCTOR_WARNING, "file", w->path,
			    "is gone since it was deployed");
	} else if (!f->sha256 || strcmp(f->sha256, w->sha256) != 0) {
		note(r, DOCTOR_WARNING, "file", w->path,
		    "is another program than the deployed one");
	}
}

static void judge_package(struct drift *r, const char *name)
{
	if (!facts_package(r->facts, name))
		note(r, DOCTOR_WARNING, "package", name,
		    "was removed since it was deployed");
}

static void judge_state(struct drift *r, const struct wanted_state *w)
{
	size_t i = r->nstates++;

	if (i < r->facts->nstates && !r->facts->states[i])
		note(r, DOCTOR_WARNING, "state", w->what, "is not as it was deployed");
}

/* Its own last words, if it had any. */
static void why(const struct drift *r, const char *unit, char *words, size_t size)
{
	struct answer_reader reader = { r->output, "why" };
	struct span value;

	words[0] = '\0';
	while (answer_next(&reader, &value)) {
		if (span_is(answer_word(&value), unit) && span_trim(value).len > 0) {
			value = span_trim(value);
			snprintf(words, size, " (%.*s)", SPAN_ARG(value));
			return;
		}
	}
}

static void note_unit(struct drift *r, enum doctor_severity severity, const char *name,
    const char *remedy, const char *is)
{
	char key[KEY_SIZE];

	snprintf(key, sizeof(key), "unit %s", name);
	doctor_note(r->doctor, severity, key, remedy, "%s", is);
	r->ill += severity > DOCTOR_SOUND;
}

/* It is known, and does not run. */
static void judge_stopped(struct drift *r, const struct fact_unit *f)
{
	char words[KEY_SIZE], is[2 * KEY_SIZE], remedy[REMEDY_SIZE];

	why(r, f->name, words, sizeof(words));
	if (strcmp(f->active, "failed") == 0) {
		snprintf(is, sizeof(is), "has failed%s", words);
		snprintf(remedy, sizeof(remedy),
		    "see journalctl -u %s, mend what it says, then systemctl restart "
		    "%s",
		    f->name, f->name);
	} else if (strcmp(f->active, "activating") == 0) {
		snprintf(is, sizeof(is), "does not come up%s", words);
		snprintf(remedy, sizeof(remedy), "see journalctl -u %s", f->name);
	} else {
		snprintf(is, sizeof(is), "is stopped");
		snprintf(remedy, sizeof(remedy), "systemctl start %s", f->name);
	}
	note_unit(r, DOCTOR_TROUBLE, f->name, remedy, is);
}

/* It runs. */
static void judge_running(struct drift *r, const struct fact_unit *f)
{
	char remedy[REMEDY_SIZE];

	if (f->stale) {
		snprintf(remedy, sizeof(remedy), "systemctl restart %s", f->name);
		note_unit(r, DOCTOR_WARNING, f->name, remedy,
		    "runs a program that was replaced on the disk meanwhile");
	} else if (strcmp(f->enabled, "disabled") == 0) {
		snprintf(remedy, sizeof(remedy), "systemctl enable %s", f->name);
		note_unit(r, DOCTOR_WARNING, f->name, remedy,
		    "is disabled: it will not run after the next boot");
	} else if (f->needs_reload) {
		note_unit(r, DOCTOR_WARNING, f->name, "systemctl daemon-reload",
		    "has a changed unit file that systemd has not read");
	} else {
		note_unit(r, DOCTOR_SOUND, f->name, NULL, "runs");
	}
}

static void judge_unit(struct drift *r, const struct wanted_unit *w)
{
	const struct fact_unit *f = facts_unit(r->facts, w->name);
	char remedy[REMEDY_SIZE];

	if (w->state == UNIT_PRESENT || !f)
		return;
	if (w->state != UNIT_RUNNING) {
		snprintf(remedy, sizeof(remedy), "systemctl disable --now %s", w->name);
		if (strcmp(f->active, "active") == 0)
			note_unit(r, DOCTOR_WARNING, w->name, remedy,
			    "runs, though it was deployed to be stopped");
		return;
	}
	if (strcmp(f->load, "masked") == 0 || strncmp(f->enabled, "masked", 6) == 0) {
		snprintf(remedy, sizeof(remedy),
		    "systemctl unmask %s, then cmdeploy run", w->name);
		note_unit(r, DOCTOR_TROUBLE, w->name, remedy,
		    strcmp(f->active, "active") == 0
			? "is masked: it still runs, and will not after the next boot"
			: "is masked, so nothing can start it");
	} else if (strcmp(f->load, "loaded") != 0) {
		snprintf(remedy, sizeof(remedy), "%s", mend);
		note_unit(
		    r, DOCTOR_TROUBLE, w->name, remedy, "is not known to systemd");
	} else if (strcmp(f->active, "active") == 0 ||
		   strcmp(f->active, "reloading") == 0) {
		judge_running(r, f);
	} else {
		judge_stopped(r, f);
	}
}

static void judge_thing(struct drift *r, const struct wanted_thing *t)
{
	switch (t->kind) {
	case WANTED_PACKAGE:
		judge_package(r, t->package.name);
		break;
	case WANTED_DEB:
		judge_package(r, t->deb.name);
		break;
	case WANTED_BINARY:
		judge_binary(r, &t->binary);
		break;
	case WANTED_FILE:
		judge_file(r, &t->file);
		break;
	case WANTED_DIRECTORY:
		judge_directory(r, &t->directory);
		break;
	case WANTED_STATE:
		judge_state(r, &t->state);
		break;
	case WANTED_UNIT:
		judge_unit(r, &t->unit);
		break;
	default:
		break;
	}
}

/* Which unit must run for a socket to be there; any of them. */
static const struct {
	uint16_t port;
	const char *unit, *other;
} sockets[] = {
	{ 25, "postfix@-.service", NULL },
	{ 53, "unbound.service", NULL },
	{ 80, "nginx.service", "acmetool-redirector.service" },
	{ 143, "dovecot.service", NULL },
	{ 443, "nginx.service", NULL },
	{ 465, "postfix@-.service", NULL },
	{ 587, "postfix@-.service", NULL },
	{ 993, "dovecot.service", NULL },
	{ 3478, "turnserver.service", "coturn.service" },
};

static bool shall_run(const struct wanted *w, const char *unit)
{
	const struct wanted_thing *t =
	    unit ? wanted_find(w, WANTED_UNIT, unit, NULL) : NULL;

	return t && t->unit.state == UNIT_RUNNING;
}

static bool is_listened_on(const struct facts *f, uint16_t port)
{
	for (size_t i = 0; i < f->nports; i++) {
		if (f->ports[i].port == port)
			return true;
	}
	return false;
}

static void judge_sockets(struct drift *r)
{
	const struct wanted *w = r->question->deployed;

	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		const char *unit = shall_run(w, sockets[i].unit)    ? sockets[i].unit
				   : shall_run(w, sockets[i].other) ? sockets[i].other
								    : NULL;
		char key[KEY_SIZE], remedy[REMEDY_SIZE];

		if (!unit || !r->facts->ports_known)
			continue;
		snprintf(key, sizeof(key), "listen %u", sockets[i].port);
		snprintf(remedy, sizeof(remedy),
		    "see journalctl -u %s, then cmdeploy run", unit);
		if (is_listened_on(r->facts, sockets[i].port))
			doctor_note(r->doctor, DOCTOR_SOUND, key, NULL,
			    "the server listens on it");
		else
			doctor_note(r->doctor, DOCTOR_TROUBLE, key, remedy,
			    "nobody on the server listens on it; %s should", unit);
	}
}

static void judge_pending(struct drift *r)
{
	for (size_t i = 0; i < r->facts->npending; i++)
		note(r, DOCTOR_WARNING, "owed", r->facts->pending[i],
		    "the last run ended before it could do this");
}

void doctor_judge_drift(struct doctor *d, const struct doctor_question *q,
    const struct facts *f, struct span output)
{
	struct drift r = { .doctor = d, .question = q, .facts = f, .output = output };
	size_t n;
	const struct wanted_thing *things = wanted_list(q->deployed, &n);

	for (size_t i = 0; i < n; i++)
		judge_thing(&r, &things[i]);
	judge_sockets(&r);
	judge_pending(&r);
	if (r.ill == 0)
		doctor_note(d, DOCTOR_SOUND, "deployment", NULL,
		    "the server is as generation %u was deployed", f->generation);
}
