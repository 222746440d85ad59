/* How a Python relay gives way: the scripts, with the functions of takeover.sh. */
#include "deploy/plan_apply.h"
#include "deploy/python_relay.h"
#include "deploy/quote.h"

static const char *const switched[] = { "chatmaild", "opendkim", "dovecot", "postfix" };
#define NSWITCHED (sizeof(switched) / sizeof(switched[0]))

bool is_switched(const char *component)
{
	for (size_t i = 0; i < NSWITCHED; i++) {
		if (strcmp(switched[i], component) == 0)
			return true;
	}
	return false;
}

/* Where something of ours comes, or has to go; what is only kept is as it was. */
static const char *path_of(const struct wanted_thing *t)
{
	switch (t->kind) {
	case WANTED_FILE:
		return t->file.flags & FILE_KEEP ? NULL : t->file.path;
	case WANTED_BINARY:
	case WANTED_ABSENT:
		return wanted_text(t, 0);
	default:
		return NULL;
	}
}

static void add_python_units(struct text *to)
{
	for (size_t i = 0; i < npython_relay_units; i++)
		quote_command(to, " %s", python_relay_units[i]);
}

void keep_script(struct text *to, const struct plan *p)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->wanted, &n);

	text_add(to, "keep_theirs");
	for (size_t i = 0; i < n; i++) {
		const char *path = path_of(&list[i]);

		if (path)
			quote_command(to, " %s", path);
	}
	/* Its own services first: whoever asks them is started behind them. */
	text_add(to, "\nkeep_units");
	add_python_units(to);
	text_add(to, " fcgiwrap.service fcgiwrap.socket");
	for (size_t i = 0; i < n; i++) {
		if (list[i].kind == WANTED_UNIT)
			quote_command(to, " %s", list[i].unit.name);
	}
	text_add(to, "\n");
}

/* What the switch stopped runs again, also where nothing was to be changed. */
static void add_running(struct text *to, const struct plan *p, const char *component)
{
	size_t n;
	const struct wanted_thing *list = wanted_list(p->wanted, &n);

	for (size_t i = 0; i < n; i++) {
		if (list[i].kind == WANTED_UNIT && list[i].unit.state == UNIT_RUNNING &&
		    strcmp(list[i].component, component) == 0)
			quote_command(to, "run_unit %s start\n", list[i].unit.name);
	}
}

/* Two OpenDKIMs more disturb nobody; the old one stops when Postfix asks ours. */
void switch_script(struct text *to, const struct plan *p)
{
	text_add(to, "begin_switch\n");
	for (size_t i = 0; i < NSWITCHED; i++)
		rehearsed_script(to, p, switched[i]);
	text_add(to, "reload_systemd\n");
	add_running(to, p, "opendkim");
	text_add(to, "stop_theirs");
	add_python_units(to);
	text_add(to, "\n");
	activate_script(to, p, "chatmaild");
	add_running(to, p, "chatmaild");
	text_add(to, "await_import\n");
	text_add(to, "stop_postfix\n");
	activate_script(to, p, "dovecot");
	add_running(to, p, "dovecot");
	activate_script(to, p, "postfix");
	add_running(to, p, "postfix");
	activate_script(to, p, "opendkim");
	text_add(to, "end_switch\n");
}
