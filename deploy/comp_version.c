/*
 * /etc/chatmail-version: what was deployed. Out of a checkout that is its commit, and what
 * was changed since; the same checkout gives the same text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "deploy/component.h"
#include "deploy/quote.h"

#define DIFF_MAX (256 << 10) /* bytes that are kept */

/* What a command says, at most max bytes; false if it fails. */
static bool read_command(const char *command, struct text *to, size_t max)
{
	FILE *pipe = popen(command, "re");
	char bytes[4096];
	size_t n;

	if (!pipe)
		return false;
	while ((n = fread(bytes, 1, sizeof(bytes), pipe)) > 0) {
		if (to->len + n <= max)
			text_add_span(to, span_make(bytes, n));
	}
	return pclose(pipe) == 0;
}

/* The commit and the changes, if the templates are part of a checkout. */
static bool read_checkout(const struct relay *r, struct text *commit, struct text *diff)
{
	struct text command = { 0 };
	bool good;

	/* Only where the templates are tracked: a package's directory may lie in somebody
	 * else's repository. */
	quote_command(&command,
	    "cd %s && git ls-files --error-unmatch postfix >/dev/null 2>&1 && "
	    "git rev-parse HEAD 2>/dev/null",
	    r->templates);
	good = read_command(command.data, commit, 256);
	text_free(&command);
	quote_command(&command,
	    "cd %s && git -c core.quotePath=true diff --no-ext-diff --no-color HEAD "
	    "2>/dev/null",
	    r->templates);
	good = good && read_command(command.data, diff, DIFF_MAX);
	text_free(&command);
	return good;
}

static bool want(struct relay *r, struct wanted *w)
{
	struct text content = { 0 }, commit = { 0 }, diff = { 0 };

	text_add(&content, CMDEPLOY_VERSION);
	if (read_checkout(r, &commit, &diff))
		text_printf(&content, " %s%s", commit.data,
		    diff.len > 0 ? "with these changes:\n\n" : "");
	else
		text_add(&content, "\n");
	text_add_span(&content, text_span(&diff));
	want_file(w, &(struct wanted_file){ .path = "/etc/chatmail-version",
			 .content = content.data,
			 .len = content.len,
			 .mode = 0644 });
	text_free(&content);
	text_free(&commit);
	text_free(&diff);
	return true;
}

const struct component version_component = { "version", want };
