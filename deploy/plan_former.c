/*
 * Texts that come from the server: what a former generation wanted, and what is to be
 * replaced now.
 */
#include <stdlib.h>

#include "deploy/frame.h"
#include "deploy/manifest.h"
#include "deploy/plan_step.h"
#include "deploy/quote.h"

#define OLD_TEXT_MAX 1000000 /* bytes; of larger ones no difference is shown */

static const char former_script[] =
    "cd /var/lib/cmdeploy/generations 2>/dev/null || exit 3\n"
    "if [ \"$wanted\" = 0 ]; then\n"
    "	wanted=$(find . -mindepth 2 -name applied | cut -d/ -f2 | sort -n |\n"
    "		tail -n 2 | head -n 1)\n"
    "	[ \"$(find . -mindepth 2 -name applied | wc -l)\" -gt 1 ] || exit 3\n"
    "fi\n"
    "[ -e \"$wanted/applied\" ] || exit 3\n"
    "say() {\n"
    "	printf '%s %s\\n' \"$1\" \"$(stat -c %s \"$2\")\"\n"
    "	cat \"$2\"\n"
    "}\n"
    "say \"$wanted\" \"$wanted/manifest\"\n"
    "tab=$(printf '\\t')\n"
    "grep \"^file$tab\" \"$wanted/manifest\" | cut -f4 | sort -u |\n"
    "	while read -r hash; do\n"
    "		[ ! -e \"../blobs/$hash\" ] || say \"$hash\" \"../blobs/$hash\"\n"
    "	done\n";

/* The text with this hash; false if it did not come. */
static bool find_text(struct span frames, const char *hash, struct span *content)
{
	struct span name;

	while (frame_next(&frames, &name, content)) {
		if (span_is(name, hash))
			return true;
	}
	return false;
}

/* The same things, with the contents of files. A text that is not what its name says is as
 * good as none. */
static struct wanted *with_contents(const struct wanted *w, struct span frames)
{
	struct wanted *whole = wanted_create();
	const struct wanted_thing *list;
	char hash[WANTED_SHA256_SIZE];
	size_t n;

	list = wanted_list(w, &n);
	for (size_t i = 0; i < n; i++) {
		struct wanted_thing t = list[i];
		struct span content;

		if (i == 0 || strcmp(list[i - 1].component, t.component) != 0)
			wanted_component(whole, t.component);
		if (t.kind == WANTED_FILE &&
		    find_text(frames, t.file.sha256, &content)) {
			wanted_sha256(content, hash);
			if (strcmp(hash, t.file.sha256) == 0) {
				t.file.content = content.data;
				t.file.len = content.len;
			}
		}
		want_thing(whole, &t);
	}
	return whole;
}

static struct wanted *read_former(struct span frames, char error[PLAN_ERROR_MAX])
{
	char why[MANIFEST_ERROR_MAX];
	struct wanted *bare, *whole;
	struct span name, text;

	if (!frame_next(&frames, &name, &text)) {
		snprintf(error, PLAN_ERROR_MAX,
		    "The server's record of that generation did not arrive.");
		return NULL;
	}
	bare = manifest_parse(text, why);
	if (!bare) {
		snprintf(error, PLAN_ERROR_MAX,
		    "The server's record of generation %.*s cannot be read: %s.",
		    SPAN_ARG(name), why);
		return NULL;
	}
	whole = with_contents(bare, frames);
	wanted_free(bare);
	return whole;
}

struct wanted *plan_former(
    struct host *h, unsigned generation, char error[PLAN_ERROR_MAX])
{
	char why[HOST_ERROR_MAX];
	struct text script = { 0 };
	struct host_reply reply;
	struct wanted *w = NULL;

	quote_command(&script, "# read a former generation\nwanted=%u\n%r", generation,
	    former_script);
	if (!host_run(h, script.data, span_of(""), NULL, NULL, &reply, why))
		snprintf(error, PLAN_ERROR_MAX, "%s", why);
	else if (reply.status == 3)
		snprintf(error, PLAN_ERROR_MAX,
		    "%s has no such former generation to go back to.", host_name(h));
	else if (reply.status != 0)
		snprintf(error, PLAN_ERROR_MAX,
		    "%s: cannot read a former generation: %s", host_name(h),
		    text_span(&reply.err).data);
	else
		w = read_former(text_span(&reply.out), error);
	host_reply_free(&reply);
	text_free(&script);
	return w;
}

/* Is its old text to be shown beside the new one? */
static bool is_compared(const struct step *s)
{
	return s->thing->kind == WANTED_FILE && s->action == STEP_CHANGE &&
	       !(s->thing->file.flags & FILE_SECRET) && s->thing->file.content;
}

static void keep_old(struct plan *p, struct span frames)
{
	struct span name, content;

	while (frame_next(&frames, &name, &content)) {
		size_t i = strtoul(name.data, NULL, 10);

		if (i < p->nsteps && is_compared(&p->steps[i]) &&
		    !p->steps[i].fetched) {
			text_add_span(&p->steps[i].old, content);
			p->steps[i].fetched = true;
		}
	}
}

bool plan_fetch_old(struct plan *p, struct host *h, char error[PLAN_ERROR_MAX])
{
	char why[HOST_ERROR_MAX];
	struct text script = { 0 };
	struct host_reply reply = { 0 };
	bool any = false, good = true;

	quote_command(&script,
	    "# read the files that change\n"
	    "say() {\n"
	    "	[ -f \"$2\" ] || return 0\n"
	    "	size=$(stat -L -c %%s \"$2\")\n"
	    "	[ \"$size\" -le %u ] || return 0\n"
	    "	printf '%%s %%s\\n' \"$1\" \"$size\"\n"
	    "	head -c \"$size\" \"$2\"\n"
	    "}\n",
	    (unsigned)OLD_TEXT_MAX);
	for (size_t i = 0; i < p->nsteps; i++) {
		if (is_compared(&p->steps[i])) {
			quote_command(&script, "say %u %s\n", (unsigned)i,
			    p->steps[i].thing->file.path);
			any = true;
		}
	}
	if (any) {
		good = host_run(h, script.data, span_of(""), NULL, NULL, &reply, why);
		if (good)
			keep_old(p, text_span(&reply.out));
		else
			snprintf(error, PLAN_ERROR_MAX, "%s", why);
		host_reply_free(&reply);
	}
	text_free(&script);
	return good;
}
