#include "deploy/takeover.h"

#include <stdlib.h>

#include "deploy/frame.h"
#include "deploy/python_relay.h"
#include "deploy/quote.h"

#define COUNT_SECONDS 20 /* for directories of hundreds of thousands of accounts */

static const char look[] =
    "tell() {\n"
    "	printf '%s %s\\n%s' \"$1\" \"${#2}\" \"$2\"\n"
    "}\n"
    "count() {\n"
    "	timeout $seconds find \"$@\" 2>/dev/null | wc -l\n"
    "}\n"
    "tell accounts \"$(count \"$dir\" -mindepth 1 -maxdepth 1 -name '*@*' -type d)\"\n"
    "tell tokens \"$(count \"$dir\" -mindepth 2 -maxdepth 2 -name metadata.json)\"\n"
    "tell pushes \"$(count \"$dir/pending_notifications\" -type f ! -name '*.tmp')\"\n"
    "tell closed \"$(ls /etc/chatmail-nocreate 2>/dev/null || :)\"\n"
    "tell keys \"$(ls -d /etc/dkimkeys/*.private 2>/dev/null || :)\"\n"
    "tell acme \"$(ls -d /var/lib/acme/live/* 2>/dev/null || :)\"\n"
    "[ ! -f \"$ini\" ] || [ \"$(stat -c %s \"$ini\")\" -gt $max ] || {\n"
    "	printf 'ini %s\\n' \"$(stat -c %s \"$ini\")\"\n"
    "	cat \"$ini\"\n"
    "}\n";

char *takeover_script(const struct config *config)
{
	struct text script = { 0 };

	quote_command(&script,
	    "# what a Python relay has\n"
	    "dir=%s ini=%s seconds=%u max=%u\n%r",
	    config->mailboxes_dir, CONFIG_PATH_PYTHON, (unsigned)COUNT_SECONDS,
	    (unsigned)CONFIG_FILE_MAX, look);
	return text_take(&script);
}

/* ---- what the two files say ---- */

static void add_list(struct text *to, char *const *list)
{
	for (size_t i = 0; list[i]; i++)
		text_printf(to, "%s%s", i > 0 ? " " : "", list[i]);
}

/* A value in effect, as it would be written; sockets are each deployment's own affair. */
static bool add_value(
    struct text *to, const struct config *c, const struct config_option *o)
{
	const void *field = (const char *)c + o->field;

	switch (o->type) {
	case CONFIG_TEXT:
	case CONFIG_TEXTS:
	case CONFIG_FILE:
		text_add(to, *(char *const *)field);
		break;
	case CONFIG_LIST:
		add_list(to, *(char **const *)field);
		break;
	case CONFIG_INTEGER:
		text_printf(to, "%d", *(const int *)field);
		break;
	case CONFIG_BYTES:
	case CONFIG_SIZE:
		text_printf(to, "%lld", (long long)*(const int64_t *)field);
		break;
	case CONFIG_DECIMAL:
		text_printf(to, "%g", *(const double *)field);
		break;
	case CONFIG_BOOLEAN:
		text_add(to, *(const bool *)field ? "true" : "false");
		break;
	case CONFIG_ENDPOINT:
	case CONFIG_PORT:
	case CONFIG_UNUSED:
		return false;
	}
	return true;
}

static const char *or_nothing(const struct text *t)
{
	return t->len > 0 ? t->data : "(nothing)";
}

static void print_difference(const struct config *ours, const struct config *theirs,
    const struct config_option *o, FILE *out)
{
	struct text here = { 0 }, there = { 0 }, line = { 0 };

	if (add_value(&here, ours, o) && add_value(&there, theirs, o) &&
	    strcmp(or_nothing(&here), or_nothing(&there)) != 0) {
		if (strstr(o->key, "secret"))
			text_printf(&line, "  ! %s differs", o->key);
		else
			text_printf(&line, "  ! %s: there %s, %s says %s", o->key,
			    or_nothing(&there), ours->path, or_nothing(&here));
		text_write_visible(out, text_span(&line), "");
		fputc('\n', out);
	}
	text_free(&here);
	text_free(&there);
	text_free(&line);
}

static void print_differences(const struct config *ours, struct span ini, FILE *out)
{
	char *text = span_dup(ini), *why = NULL;
	struct config *theirs;
	size_t n, len = 0;
	const struct config_option *options = config_options(&n);
	FILE *complaints = open_memstream(&why, &len);

	if (!text || !complaints)
		abort();
	theirs = config_parse(CONFIG_PATH_PYTHON, text, ini.len, complaints);
	fclose(complaints);
	for (size_t i = 0; theirs && i < n; i++)
		print_difference(ours, theirs, &options[i], out);
	if (!theirs) {
		fputs("  ! its chatmail.ini makes no sense to us: ", out);
		text_write_visible(out, span_make(why, strcspn(why, "\n")), "");
		fputc('\n', out);
	}
	config_free(theirs);
	free(text);
	free(why);
}

/* ---- the section ---- */

static struct span find(struct span answer, const char *what)
{
	struct span name, content;

	while (frame_next(&answer, &name, &content)) {
		if (span_is(name, what))
			return content;
	}
	return span_of("");
}

static unsigned long long number(struct span answer, const char *what)
{
	struct span content = find(answer, what);

	return content.len > 0 && content.len < 20 ? strtoull(content.data, NULL, 10)
						   : 0;
}

static void print_units(const struct facts *f, FILE *out)
{
	const char *comma = "  * stop, and set aside: ";

	for (size_t i = 0; i < npython_relay_units; i++) {
		const struct fact_unit *unit = facts_unit(f, python_relay_units[i]);

		if (unit && strcmp(unit->load, "not-found") != 0) {
			fprintf(out, "%s%s", comma, unit->name);
			comma = ", ";
		}
	}
	fputs(*comma == ',' ? "\n" : "", out);
	fputs("  - set aside: its programs (" PYTHON_RELAY_VENV
	      "..., " PYTHON_RELAY_FILTER "), newemail.py, the pin of Dovecot\n",
	    out);
}

static void print_kept(struct span answer, const struct facts *f, FILE *out)
{
	const char *dovecot = facts_other_dovecot(f);

	fprintf(out,
	    "  = keep %llu mailboxes with their passwords and last logins%s%s%s\n",
	    number(answer, "accounts"),
	    find(answer, "keys").len > 0 ? ", the DKIM key" : "",
	    find(answer, "acme").len > 0 ? ", certificates and the ACME account" : "",
	    find(answer, "closed").len > 0 ? "; nobody can make accounts, as now" : "");
	if (dovecot) {
		fputs("  = keep Dovecot ", out);
		text_write_visible(out, span_of(dovecot), "");
		fputs(", without our plugin, which is built for Debian's\n", out);
	}
}

void takeover_print(const struct config *config, const struct facts *facts,
    struct span answer, FILE *out)
{
	struct span ini = find(answer, "ini");

	fputs("A Python relay is taken over\n", out);
	print_units(facts, out);
	fputs(
	    "  ~ replace its configuration of Postfix, Dovecot, OpenDKIM and nginx, as "
	    "below; the old files are kept\n",
	    out);
	fprintf(out,
	    "  + bring over: device tokens of %llu accounts, %llu waiting "
	    "notifications\n",
	    number(answer, "tokens"), number(answer, "pushes"));
	print_kept(answer, facts, out);
	if (ini.len > 0)
		print_differences(config, ini, out);
	fputs("Until ours runs, which is some seconds, mail waits at its senders. "
	      "cmdeploy give-back puts the Python relay back.\n\n",
	    out);
}
