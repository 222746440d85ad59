#include "deploy/plan_apply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "deploy/frame.h"
#include "deploy/quote.h"

#define UPLOAD_MAX ((size_t)512 << 20) /* bytes of one file */
#define STEP_MAX   256

struct apply {
	struct plan *plan;
	struct host *host;
	struct progress *progress;
	char *error;         /* PLAN_ERROR_MAX */
	char step[STEP_MAX]; /* what the server said it does */
	char time[32];       /* of the run */
	bool switched;       /* a Python relay's services are gone */
	struct text notes;   /* for the operator, told when the step has ended */
	struct text
	    unheeded; /* lines that are neither steps nor notes: why it failed */
};

__attribute__((format(printf, 2, 3))) static bool fail(
    struct apply *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->error, PLAN_ERROR_MAX, fmt, ap);
	va_end(ap);
	return false;
}

/* ---- talking with the server ---- */

/* Only what was said since the last step tells why it failed. */
static void on_line(void *arg, const char *line)
{
	struct apply *a = arg;

	if (line && strncmp(line, "@step ", 6) == 0) {
		snprintf(a->step, sizeof(a->step), "%s", line + 6);
		text_free(&a->unheeded);
		line = a->step;
	} else if (line && strncmp(line, "@note ", 6) == 0) {
		text_printf(&a->notes, "%s\n", line + 6);
		line = NULL;
	} else if (line) {
		text_printf(&a->unheeded, "%s\n", line);
	}
	progress_line(a->progress, line);
}

static void tell_notes(struct apply *a)
{
	struct span rest = text_span(&a->notes), line;

	while (rest.len > 0 && span_cut(&rest, '\n', &line))
		say("  %.*s", SPAN_ARG(line));
	text_free(&a->notes);
}

/* The end of what it said, from the start of a line. */
static const char *last_words(const struct text *said)
{
	size_t room = PLAN_ERROR_MAX / 2;
	const char *from, *line;

	if (said->len == 0)
		return "";
	if (said->len <= room)
		return said->data;
	from = said->data + said->len - room;
	line = strchr(from, '\n');
	return line && line[1] ? line + 1 : from;
}

static bool explain(struct apply *a, const char *what, int status)
{
	const char *words = last_words(&a->unheeded);

	return fail(a,
		   "%s: %s failed on %s%s\n%sWhat was done before stays. Mend this, "
		   "and run "
		   "again: it goes on from there.",
		   what, *a->step ? a->step : "the script", host_name(a->host),
		   *words ? ":" : ", without a word.", words) &&
	       status;
}

/* Run body with the functions of server.sh; what: for the progress and the error. */
static bool run(struct apply *a, const char *what, const char *body, struct span in)
{
	char why[HOST_ERROR_MAX];
	struct host_reply reply;
	struct text script = { 0 };
	bool good;

	quote_command(&script,
	    "# %r\n"
	    "time=%s\n"
	    ". /var/lib/cmdeploy/server.sh\n"
	    "lock\n"
	    "%r",
	    what, a->time, body);
	a->step[0] = '\0';
	text_free(&a->unheeded);
	progress_begin(a->progress, what);
	good = host_run(a->host, script.data, in, on_line, a, &reply, why);
	if (!good)
		fail(a,
		    "%s: %s%s%s\nWhat was done before stays. Run again: it goes on "
		    "from there.",
		    what, a->step, *a->step ? ": " : "", why);
	else if (reply.status != 0)
		good = explain(a, what, reply.status);
	progress_end(a->progress, good, NULL);
	tell_notes(a);
	host_reply_free(&reply);
	text_free(&script);
	return good;
}

/* ---- sending ---- */

static const char receive_script[] =
    "# receive files\n"
    "umask 077\n"
    "cd /var/lib\n"
    "mkdir -p cmdeploy && cd cmdeploy\n"
    "mkdir -p blobs packages binaries upload pending generations backup\n"
    "while read -r name len; do\n"
    "	[ \"$name\" != end ] || exit 0\n"
    "	read -r hash\n"
    "	head -c \"$len\" >upload/.new\n"
    "	[ \"$(sha256sum <upload/.new)\" = \"$hash  -\" ] || {\n"
    "		echo \"$name did not arrive as it was sent: is the disk full?\" >&2\n"
    "		exit 1\n"
    "	}\n"
    "	mv upload/.new \"$name\"\n"
    "done\n"
    "echo 'what was sent did not arrive whole' >&2\n"
    "exit 1\n";

/* A file on its way: its place below /var/lib/cmdeploy, its hash, its bytes. */
static void send_bytes(struct text *to, const char *name, struct span bytes)
{
	char hash[WANTED_SHA256_SIZE];

	wanted_sha256(bytes, hash);
	text_printf(to, "%s %zu\n%s\n", name, bytes.len, hash);
	text_add_span(to, bytes);
}

static bool send_file(
    struct apply *a, struct text *to, const char *name, const char *path)
{
	struct text content = { 0 };
	FILE *file = fopen(path, "re");
	char bytes[65536];
	bool good = true;
	size_t n;

	if (!file)
		return fail(a, "%s: %s", path, strerror(errno));
	while (
	    (n = fread(bytes, 1, sizeof(bytes), file)) > 0 && content.len < UPLOAD_MAX)
		text_add_span(&content, span_make(bytes, n));
	if (ferror(file) || content.len >= UPLOAD_MAX)
		good = fail(a, "%s: %s", path,
		    ferror(file) ? strerror(errno) : "too large to be sent");
	fclose(file);
	if (good)
		send_bytes(to, name, text_span(&content));
	text_free(&content);
	return good;
}

static bool send_binary(struct apply *a, struct text *to, const struct wanted_binary *b)
{
	char *here = binary_at_hand(a->plan, b), *name;
	bool good = true;

	if (here) {
		if (asprintf(&name, "upload/%s", base_name(b->url)) < 0)
			abort();
		good = send_file(a, to, name, here);
		free(name);
	}
	free(here);
	return good;
}

static bool send_step(struct apply *a, struct text *to, const struct step *s)
{
	const struct wanted_thing *t = s->thing;
	char name[WANTED_SHA256_SIZE + 32];

	if (s->action == STEP_REMOVE || s->action == STEP_ATTRIBUTES)
		return true;
	if (t->kind == WANTED_FILE && t->file.content) {
		snprintf(name, sizeof(name), "blobs/%s", t->file.sha256);
		send_bytes(to, name, span_make(t->file.content, t->file.len));
	} else if (t->kind == WANTED_DEB && t->deb.path) {
		snprintf(name, sizeof(name), "packages/%s.deb", t->deb.sha256);
		return send_file(a, to, name, t->deb.path);
	} else if (t->kind == WANTED_BINARY) {
		return send_binary(a, to, &t->binary);
	}
	return true;
}

static bool send_all(struct apply *a)
{
	char *functions = server_functions(), why[HOST_ERROR_MAX];
	struct text stream = { 0 };
	struct host_reply reply = { 0 };
	bool good = true;

	send_bytes(&stream, "server.sh", span_of(functions));
	free(functions);
	for (size_t i = 0; good && i < a->plan->nsteps; i++)
		good = send_step(a, &stream, &a->plan->steps[i]);
	text_add(&stream, "end 0\n");
	if (good) {
		progress_begin(a->progress, "send files");
		good = host_run(a->host, receive_script, text_span(&stream), on_line, a,
		    &reply, why);
		if (!good)
			fail(a, "send files: %s\nNothing was changed. Run again.", why);
		else if (reply.status != 0)
			good = explain(a, "send files", reply.status);
		progress_end(a->progress, good, NULL);
		host_reply_free(&reply);
	}
	text_free(&stream);
	return good;
}

/* ---- the passes ---- */

static bool install(struct apply *a)
{
	struct text script = { 0 };
	bool good = true;

	install_script(&script, a->plan);
	if (script.len > 0)
		good = run(a, "packages and users", script.data, span_of(""));
	text_free(&script);
	return good;
}

/* With the functions change and checks at hand. */
static bool run_change(struct apply *a, const char *what, const struct text *script,
    const struct text *change)
{
	struct text whole = { 0 };
	bool good;

	text_printf(&whole, "cat >\"$D/change.sh\"\n. \"$D/change.sh\"\n%s",
	    script->len > 0 ? script->data : "");
	good = run(a, what, whole.data, text_span(change));
	text_free(&whole);
	return good;
}

static bool configure(struct apply *a, const char *component)
{
	struct text script = { 0 }, change = { 0 };
	bool good;

	if (a->plan->facts->python_runs && is_switched(component))
		return true;
	configure_script(&script, &change, a->plan, component);
	good = run_change(a, component, &script, &change);
	text_free(&script);
	text_free(&change);
	return good;
}

static bool rehearse(struct apply *a, const char *component)
{
	struct text script = { 0 }, change = { 0 }, what = { 0 };
	bool good = true;

	rehearse_script(&script, &change, a->plan, component);
	if (script.len > 0) {
		text_printf(&what, "try %s", component);
		good = run_change(a, what.data, &script, &change);
	}
	text_free(&script);
	text_free(&change);
	text_free(&what);
	return good;
}

/* The other components of it had their turn with the first. */
static bool change_over(struct apply *a)
{
	struct text script = { 0 };
	bool good;

	if (a->switched)
		return true;
	a->switched = true;
	switch_script(&script, a->plan);
	good = run(a, "switch", script.data, span_of(""));
	text_free(&script);
	return good;
}

static bool activate(struct apply *a, const char *component)
{
	struct text script = { 0 }, what = { 0 };
	bool good;

	if (a->plan->facts->python_runs && is_switched(component))
		return change_over(a);
	activate_script(&script, a->plan, component);
	text_printf(&what, "start %s", component);
	good = run(a, what.data, script.data, span_of(""));
	text_free(&script);
	text_free(&what);
	return good;
}

/* Has the component's turn come before thing i of list k? */
static bool had_its_turn(const struct wanted *const *lists, size_t k, size_t i)
{
	size_t n;
	const char *name = wanted_list(lists[k], &n)[i].component;

	for (size_t l = 0; l <= k; l++) {
		const struct wanted_thing *list = wanted_list(lists[l], &n);

		for (size_t j = 0; j < (l < k ? n : i); j++) {
			if (strcmp(list[j].component, name) == 0)
				return true;
		}
	}
	return false;
}

/* One pass over the components, in the order of the wanted list. A component that only the
 * last generation had comes behind them, then the units of others. */
static bool for_components(
    struct apply *a, enum stage stage, bool (*pass)(struct apply *, const char *))
{
	const struct wanted *const lists[] = { a->plan->wanted, a->plan->former,
		a->plan->unnamed };

	for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
		size_t n;
		const struct wanted_thing *list = wanted_list(lists[k], &n);

		for (size_t i = 0; i < n; i++) {
			if (!had_its_turn(lists, k, i) &&
			    has_steps(a->plan, list[i].component, stage) &&
			    !pass(a, list[i].component))
				return false;
		}
	}
	return true;
}

static bool changes_units(const struct plan *p)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct wanted_thing *t = p->steps[i].thing;

		if (t->kind == WANTED_PACKAGE || t->kind == WANTED_DEB)
			return true;
		if ((t->kind == WANTED_FILE || t->kind == WANTED_ABSENT) &&
		    strncmp(wanted_text(t, 0), "/etc/systemd/", 13) == 0)
			return true;
	}
	for (size_t i = 0; i < p->facts->nunits; i++) {
		if (p->facts->units[i].needs_reload)
			return true;
	}
	return false;
}

static bool has_stage(const struct plan *p, enum stage stage)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		if (step_stage(&p->steps[i]) == stage)
			return true;
	}
	return false;
}

/* What was started, after everything was. */
static void add_still_well(struct text *to, const struct plan *p)
{
	for (size_t i = 0; i < p->nsteps; i++) {
		const struct step *s = &p->steps[i];

		if (s->thing->kind == WANTED_UNIT &&
		    s->thing->unit.state == UNIT_RUNNING && !s->former)
			quote_command(to, "still_well %s\n", s->thing->unit.name);
	}
}

static bool finish(struct apply *a, bool activated)
{
	const struct plan *p = a->plan;
	struct text script = { 0 };
	bool good;

	if (activated) {
		text_add(&script, "pay_rest\n");
		add_still_well(&script, p);
	}
	if (p->record)
		quote_command(&script, "record %u %s\n", p->facts->generation + 1,
		    "cmdeploy " CMDEPLOY_VERSION);
	else
		text_add(&script, "forget\n");
	good = run(a, "finish", script.data, text_span(&p->manifest));
	text_free(&script);
	return good;
}

/* A relay of others: what it has is kept, and nothing of it changes before all of ours is
 * known to be sound. */
static bool prepare_takeover(struct apply *a)
{
	struct text script = { 0 };
	bool good;

	keep_script(&script, a->plan);
	good = run(a, "keep the Python relay", script.data, span_of(""));
	text_free(&script);
	return good;
}

static bool apply_all(struct apply *a)
{
	bool active = has_stage(a->plan, STAGE_ACTIVATE);
	bool takeover = a->plan->facts->python_relay != NULL;

	if (!send_all(a) || (takeover && !prepare_takeover(a)) || !install(a) ||
	    (takeover && !for_components(a, STAGE_CONFIGURE, rehearse)) ||
	    !for_components(a, STAGE_CONFIGURE, configure))
		return false;
	if (active && changes_units(a->plan) &&
	    !run(a, "read units anew", "reload_systemd\n", span_of("")))
		return false;
	return for_components(a, STAGE_ACTIVATE, activate) &&
	       (!a->plan->facts->python_runs || change_over(a)) && finish(a, active);
}

bool plan_apply(struct plan *p, struct host *h, struct progress *progress,
    char error[PLAN_ERROR_MAX])
{
	struct apply a = { .plan = p, .host = h, .progress = progress, .error = error };
	time_t now = time(NULL);
	struct tm tm;
	bool good;

	gmtime_r(&now, &tm);
	strftime(a.time, sizeof(a.time), "%Y-%m-%dT%H:%M:%SZ", &tm);
	good = apply_all(&a);
	text_free(&a.notes);
	text_free(&a.unheeded);
	return good;
}
