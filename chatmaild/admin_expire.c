/*
 * The operator's commands that delete: a run by the rules of expire.h, which tells what
 * goes and why as it finds it, and one mailbox brought below its quota's mark.
 */
#include <stdlib.h>
#include <string.h>

#include "chatmaild/admin.h"
#include "chatmaild/expiry.h"

static const char *event_name(enum expire_event event)
{
	switch (event) {
	case EXPIRE_MAILBOX:
		return "account";
	case EXPIRE_FILE:
		return "file";
	case EXPIRE_OVER_QUOTA:
		return "trimmed";
	case EXPIRE_NOT_EMPTY:
		return "skipped";
	case EXPIRE_FOREIGN:
		return "foreign";
	case EXPIRE_VANISHED:
		return "vanished";
	case EXPIRE_ERROR:
		return "error";
	case EXPIRE_CHECKING:
		break;
	}
	return NULL;
}

/* File names can be any bytes; JSON's text cannot: they become '?'. */
static json_t *path_value(const char *path)
{
	json_t *value = json_string(path);
	char *ascii;

	if (value)
		return value;
	ascii = strdup(path);
	if (!ascii)
		abort();
	for (char *p = ascii; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	value = json_string(ascii);
	free(ascii);
	return value;
}

static void on_note(void *arg, const struct expire_note *n)
{
	struct admin_request *r = arg;
	const char *event = event_name(n->event);
	json_t *line;

	if (!event)
		return;
	line = json_pack("{s:s, s:o}", "event", event, "path", path_value(n->path));
	if (n->why)
		json_object_set_new(line, "why", json_string(n->why));
	if (n->when)
		json_object_set_new(line, "when", json_integer(n->when));
	if (n->n)
		json_object_set_new(line, "messages", json_integer((json_int_t)n->n));
	if (n->error)
		json_object_set_new(line, "error", json_string(strerror(n->error)));
	admin_say(r, line);
}

static bool on_full(void *arg)
{
	return admin_is_full(arg);
}

static void on_done(void *arg, const struct expire_totals *t, const char *error)
{
	struct admin_request *r = arg;

	if (error) {
		admin_refuse(r, "%s", error);
		return;
	}
	admin_end(
	    r, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "mailboxes",
		   (json_int_t)t->mailboxes, "mailboxes_removed",
		   (json_int_t)t->mailboxes_removed, "files", (json_int_t)t->files,
		   "files_removed", (json_int_t)t->files_removed, "bytes_removed",
		   (json_int_t)t->bytes_removed, "quota_removed",
		   (json_int_t)t->quota_removed, "foreign", (json_int_t)t->foreign,
		   "errors", (json_int_t)t->errors));
}

/* The run goes on without us. */
static void on_gone(struct admin_request *r)
{
	expiry_unwatch(r->daemon->expiry, r);
	admin_end(r, NULL);
}

static void run_expire(struct admin_request *r)
{
	const struct expiry_watcher watcher = {
		.note = on_note, .done = on_done, .full = on_full, .arg = r
	};

	r->gone = on_gone;
	if (!expiry_run(r->daemon->expiry, admin_flag(r, "dry_run"), &watcher)) {
		r->gone = NULL;
		admin_refuse(
		    r, "a run is under way already; try again when it is over");
	}
}

static void on_trimmed(void *arg, uint64_t n, int error)
{
	struct admin_request *r = arg;

	if (error)
		admin_refuse(r, "%s", strerror(error));
	else
		admin_end(r, json_pack("{s:I}", "messages", (json_int_t)n));
}

static void run_trim(struct admin_request *r)
{
	struct span address;

	if (admin_address(r, &address) &&
	    !expiry_mailbox(r->daemon->expiry, EXPIRY_TRIM, address, on_trimmed, r))
		admin_refuse(r, "too many mailboxes are being worked on");
}

const struct admin_command admin_expire_commands[] = {
	{ "expire", run_expire, true },
	{ "trim", run_trim, false },
	{ NULL, NULL, false },
};
