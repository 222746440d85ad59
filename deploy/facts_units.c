/* What runs: units as systemctl(1) shows them, and who listens, as ss(8) does. */
#include "deploy/facts_read.h"

#include "deploy/python_relay.h"

#define PROCESSES_MAX 32 /* different ones that are told of a socket */

/* The properties of one unit, "NAME=VALUE" each. */
struct block {
	const char *names, *load, *active, *enabled;
	bool needs_reload, python;
	int64_t pid;
};

static void read_property(struct block *b, char *line)
{
	const char *name = facts_cut(&line, '=');

	if (!line)
		return;
	if (strcmp(name, "Names") == 0)
		b->names = line;
	else if (strcmp(name, "LoadState") == 0)
		b->load = line;
	else if (strcmp(name, "ActiveState") == 0)
		b->active = line;
	else if (strcmp(name, "UnitFileState") == 0)
		b->enabled = line;
	else if (strcmp(name, "NeedDaemonReload") == 0)
		b->needs_reload = strcmp(line, "yes") == 0;
	else if (strcmp(name, "MainPID") == 0)
		b->pid = facts_number(line);
	else if (strcmp(name, "ExecStart") == 0)
		b->python |= python_relay_runs(line);
}

static void take_unit(struct facts_reader *r, const struct block *b, const char *name)
{
	/* A table of ours, and only it is const for others. */
	struct fact_unit *unit = (struct fact_unit *)facts_unit(r->facts, name);
	struct facts_unit_note *note;

	if (!unit)
		return;
	note = &r->notes[unit - r->facts->units];
	unit->load = b->load;
	unit->active = b->active;
	unit->enabled = b->enabled;
	unit->needs_reload = b->needs_reload;
	note->pid = b->pid > 0 ? b->pid : -1;
	if (!b->python || !python_relay_has_unit(unit->name))
		return;
	r->facts->python_relay = unit->name;
	r->facts->python_runs |= strcmp(unit->active, "active") == 0 ||
				 strcmp(unit->active, "activating") == 0 ||
				 strcmp(unit->enabled, "enabled") == 0;
}

/* A unit may have several names; any of them is one that was asked for. */
static void end_block(struct facts_reader *r, struct block *b)
{
	struct span rest = span_of(b->names ? b->names : ""), word;
	char name[256]; /* longer ones cannot be loaded: UNIT_NAME_MAX of systemd */

	while (b->names && span_cut(&rest, ' ', &word)) {
		if (word.len == 0 || word.len >= sizeof(name))
			continue;
		memcpy(name, word.data, word.len);
		name[word.len] = '\0';
		take_unit(r, b, name);
	}
	*b = (struct block){
		.load = "not-found", .active = "inactive", .enabled = "", .pid = -1
	};
}

/* Blocks of lines, an empty one between two. */
void facts_read_units(struct facts_reader *r, char *value)
{
	struct block block = { 0 };
	char *line;

	end_block(r, &block);
	while ((line = facts_cut(&value, '\n'))) {
		if (*line)
			read_property(&block, line);
		else
			end_block(r, &block);
	}
	end_block(r, &block);
}

/* "/proc/PID/exe PROGRAM" */
void facts_read_programs(struct facts_reader *r, char *value)
{
	struct facts *f = r->facts;
	char *line;

	while ((line = facts_cut(&value, '\n'))) {
		struct span text = span_of(line);
		bool deleted = span_ends(text, span_of(" (deleted)"));
		int64_t pid;

		if (!span_starts(text, "/proc/") || !deleted)
			continue;
		pid = facts_number(line + strlen("/proc/"));
		for (size_t i = 0; pid > 0 && i < f->nunits; i++) {
			if (r->notes[i].pid == pid)
				f->units[i].stale = true;
		}
	}
}

/* Ports. */

static void add_port(struct facts *f, const struct fact_port *port, const char *process)
{
	struct fact_port *p = &f->ports[f->nports];

	if (f->nports == FACTS_PORTS_MAX)
		return;
	f->nports++;
	*p = *port;
	p->process = process;
}

/* "ADDRESS:PORT", the address in [] if of IPv6; false if it makes no sense. */
static bool read_address(struct fact_port *port, char *text)
{
	char *colon = strrchr(text, ':'), *bracket;
	int64_t n;

	if (!colon)
		return false;
	*colon = '\0';
	n = facts_number(colon + 1);
	if (n < 1 || n > UINT16_MAX)
		return false;
	if (*text == '[' && (bracket = strchr(text, ']'))) {
		memmove(bracket, bracket + 1, strlen(bracket));
		text++;
	}
	port->address = text;
	port->port = (uint16_t)n;
	return true;
}

/* users:(("NAME",pid=1,fd=2),("NAME",pid=3,fd=4)) */
static void read_processes(struct facts *f, const struct fact_port *port, char *text)
{
	size_t first = f->nports;
	char *at, *end;

	while (text && (at = strstr(text, "(\"")) && (end = strstr(at, "\",pid="))) {
		bool known = false;

		at += 2;
		*end = '\0';
		for (size_t i = first; i < f->nports; i++)
			known |= strcmp(f->ports[i].process, at) == 0;
		if (!known && f->nports - first < PROCESSES_MAX)
			add_port(f, port, at);
		text = end + 1;
	}
	if (f->nports == first)
		add_port(f, port, "");
}

/* "PROTOCOL STATE RECEIVING SENDING LOCAL PEER [PROCESSES]" parted by blanks. */
void facts_read_ports(struct facts_reader *r, char *value)
{
	struct facts *f = r->facts;
	char *line;

	if (!f->ports)
		f->ports =
		    facts_pool_take(r->pool, FACTS_PORTS_MAX, sizeof(f->ports[0]));
	f->nports = 0;
	f->ports_known = true;
	while ((line = facts_cut(&value, '\n'))) {
		char *processes = strstr(line, " users:("), *words[5];
		struct fact_port port = { 0 };

		if (processes)
			*processes++ = '\0';
		if (facts_words(line, words, 5) < 5 || !read_address(&port, words[4]))
			continue;
		port.protocol = words[0];
		read_processes(f, &port, processes);
	}
}
