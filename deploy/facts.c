/*
 * What a server said of itself, read. The records are those of facts_script.c. Whatever
 * comes, memory and time are bounded by its length; a value that makes no sense is as if it
 * were not there, for the programs that said it are not ours.
 */
#include "deploy/facts.h"

#include <stdio.h>
#include <stdlib.h>

#include "deploy/facts_impl.h"
#include "deploy/facts_pool.h"
#include "deploy/facts_read.h"

typedef void take_record(struct facts_reader *r, char *value);

static void take_facts(struct facts_reader *r, char *value)
{
	r->begun = strcmp(value, "1\n") == 0;
}

static void take_end(struct facts_reader *r, char *value)
{
	r->ended = strcmp(value, "1\n") == 0;
}

/* Cut the line break at the end. */
static const char *first_line(char *value)
{
	value[strcspn(value, "\n")] = '\0';
	return value;
}

/* NAME=VALUE or NAME="VALUE", see os-release(5). */
static void take_os(struct facts_reader *r, char *value)
{
	char *line;

	while ((line = facts_cut(&value, '\n'))) {
		char *name = facts_cut(&line, '=');

		if (!line)
			continue;
		if (*line == '"' || *line == '\'') {
			line++;
			line[strcspn(line, "\"'")] = '\0';
		}
		if (strcmp(name, "ID") == 0)
			r->facts->os_id = line;
		else if (strcmp(name, "VERSION_ID") == 0)
			r->facts->os_version = line;
	}
}

static void take_machine(struct facts_reader *r, char *value)
{
	r->facts->machine = first_line(value);
}

static void take_arch(struct facts_reader *r, char *value)
{
	r->facts->deb_arch = first_line(value);
}

static void take_systemd(struct facts_reader *r, char *value)
{
	r->facts->systemd = *value != '\0';
}

static void take_container(struct facts_reader *r, char *value)
{
	const char *kind = first_line(value);

	r->facts->container = *kind && strcmp(kind, "none") != 0;
}

static void take_apt(struct facts_reader *r, char *value)
{
	r->facts->apt_fresh = *value != '\0';
}

/* The first number after the heading of df(1). */
static int64_t after_heading(const char *value)
{
	const char *line = strchr(value, '\n');

	return line ? facts_number(line + 1) : -1;
}

static void take_disk(struct facts_reader *r, char *value)
{
	r->facts->disk_free = after_heading(value);
}

static void take_home(struct facts_reader *r, char *value)
{
	r->facts->home_free = after_heading(value);
}

/* "MemTotal:        1000000 kB" */
static void take_memory(struct facts_reader *r, char *value)
{
	int64_t kib = facts_number(value + strcspn(value, "0123456789"));

	r->facts->memory = kib < 0 || kib > INT64_MAX / 1024 ? -1 : kib * 1024;
}

/*
 * "ADDRESS INDEX PREFIX SCOPE FLAGS NAME" of /proc/net/if_inet6, in hex; scope 00 is global.
 * Unique local addresses (RFC 4193) are of this scope too, but lead nowhere.
 */
static void take_ipv6(struct facts_reader *r, char *value)
{
	char *line;

	while ((line = facts_cut(&value, '\n'))) {
		char *words[4];

		if (facts_words(line, words, 4) == 4 && strcmp(words[3], "00") == 0 &&
		    strncmp(words[0], "fc", 2) != 0 && strncmp(words[0], "fd", 2) != 0)
			r->facts->ipv6 = true;
	}
}

static void take_inet6(struct facts_reader *r, char *value)
{
	r->facts->no_ipv6 = *value == '\0';
}

/* What stands between separators; the number of parts that are not empty. */
static size_t take_list(
    struct facts_reader *r, char *value, char separator, const char ***list)
{
	char *part;
	size_t n = 0;

	*list = facts_pool_take(r->pool, strlen(value) / 2 + 1, sizeof(**list));
	while ((part = facts_cut(&value, separator))) {
		if (*part)
			(*list)[n++] = part;
	}
	return n;
}

static void take_addresses(struct facts_reader *r, char *value)
{
	struct facts *f = r->facts;

	first_line(value);
	f->naddresses = take_list(r, value, ' ', &f->addresses);
}

static void take_missing(struct facts_reader *r, char *value)
{
	struct facts *f = r->facts;

	f->nmissing = take_list(r, value, '\n', &f->missing);
}

static void take_resolv(struct facts_reader *r, char *value)
{
	r->facts->resolv = value;
}

static void take_state(struct facts_reader *r, char *value)
{
	size_t i = r->nstates_seen++;

	if (i >= r->facts->nstates)
		return;
	r->facts->states[i] = *value == '1';
	if (*value == '0')
		r->facts->whys[i] = value + 1;
}

/* "UNIT:restart" or "UNIT:reload", as grep(1) says it. */
static void take_pending(struct facts_reader *r, char *value)
{
	size_t max = facts_count(value, '\n') + 1;
	struct facts *f = r->facts;
	char *unit;

	f->pending = facts_pool_take(r->pool, max, sizeof(f->pending[0]));
	f->npending = 0;
	while ((unit = facts_cut(&value, '\n'))) {
		char *what = strrchr(unit, ':');
		char *both;

		if (!what || what == unit ||
		    (strcmp(what, ":restart") != 0 && strcmp(what, ":reload") != 0))
			continue;
		*what++ = '\0';
		both = facts_pool_take(r->pool, strlen(what) + strlen(unit) + 2, 1);
		sprintf(both, "%s %s", what, unit);
		f->pending[f->npending++] = both;
	}
}

static void take_generation(struct facts_reader *r, char *value)
{
	int64_t n = facts_number(value);

	r->facts->generation = n > 0 && n < 1000000000 ? (unsigned)n : 0;
}

static void take_manifest(struct facts_reader *r, char *value)
{
	r->facts->manifest = value;
}

static const struct record_kind {
	const char *key;
	take_record *take;
} record_kinds[] = {
	{ "facts", take_facts },
	{ "os", take_os },
	{ "machine", take_machine },
	{ "arch", take_arch },
	{ "systemd", take_systemd },
	{ "container", take_container },
	{ "apt", take_apt },
	{ "disk", take_disk },
	{ "home", take_home },
	{ "memory", take_memory },
	{ "ipv6", take_ipv6 },
	{ "inet6", take_inet6 },
	{ "addresses", take_addresses },
	{ "resolv", take_resolv },
	{ "ports", facts_read_ports },
	{ "packages", facts_read_packages },
	{ "passwd", facts_read_passwd },
	{ "group", facts_read_group },
	{ "file", facts_read_file },
	{ "link", facts_read_link },
	{ "hash", facts_read_hash },
	{ "units", facts_read_units },
	{ "programs", facts_read_programs },
	{ "state", take_state },
	{ "pending", take_pending },
	{ "missing", take_missing },
	{ "generation", take_generation },
	{ "manifest", take_manifest },
	{ "end", take_end },
};

static void take(struct facts_reader *r, char *record)
{
	char *value = record;
	const char *key = facts_cut(&value, '\t');

	for (size_t i = 0; value && i < sizeof(record_kinds) / sizeof(record_kinds[0]);
	     i++) {
		if (strcmp(record_kinds[i].key, key) == 0) {
			record_kinds[i].take(r, value);
			return;
		}
	}
}

static struct facts *create(void)
{
	struct facts_pool *pool = calloc(1, sizeof(*pool));
	struct facts *f = calloc(1, sizeof(*f));

	if (!f || !pool)
		abort();
	*f = (struct facts){ .os_id = "",
		.os_version = "",
		.machine = "",
		.deb_arch = "",
		.resolv = "",
		.manifest = "",
		.disk_free = -1,
		.home_free = -1,
		.memory = -1,
		.memory_pool = pool };
	return f;
}

/* Is the answer whole? */
static bool check(const struct facts_reader *r, char error[FACTS_ERROR_MAX])
{
	if (!r->begun)
		snprintf(error, FACTS_ERROR_MAX,
		    "what the server says of itself makes no sense");
	else if (!r->ended)
		snprintf(error, FACTS_ERROR_MAX,
		    "what the server says of itself is cut short");
	else if (r->nstates_seen != r->facts->nstates)
		snprintf(error, FACTS_ERROR_MAX,
		    "the server answers %zu of %zu questions", r->nstates_seen,
		    r->facts->nstates);
	else
		return true;
	return false;
}

struct facts *facts_parse(
    const struct wanted *w, struct span output, char error[FACTS_ERROR_MAX])
{
	struct facts *f = create();
	struct facts_reader r = { .facts = f, .pool = f->memory_pool };
	char *at = facts_pool_copy(r.pool, output.data, output.len);
	char *end = at + output.len;
	bool good;

	facts_reader_begin(&r, w);
	/* A record without its NUL is one that is cut short. */
	for (char *next; !r.ended && (next = memchr(at, '\0', (size_t)(end - at)));
	     at = next + 1)
		take(&r, at);
	facts_reader_end(&r);
	if (f->home_free < 0)
		f->home_free = f->disk_free;
	good = check(&r, error);
	if (good)
		return f;
	facts_free(f);
	return NULL;
}

void facts_free(struct facts *f)
{
	if (!f)
		return;
	facts_pool_free(f->memory_pool);
	free(f->memory_pool);
	free(f);
}

static int compare_file(const void *path, const void *file)
{
	return strcmp(path, ((const struct fact_file *)file)->path);
}

const struct fact_file *facts_file(const struct facts *f, const char *path)
{
	return f->nfiles == 0 ? NULL
			      : bsearch(path, f->files, f->nfiles, sizeof(f->files[0]),
				    compare_file);
}

static int compare_package(const void *name, const void *package)
{
	return strcmp(name, ((const struct fact_package *)package)->name);
}

const struct fact_package *facts_package(const struct facts *f, const char *name)
{
	return f->npackages == 0 ? NULL
				 : bsearch(name, f->packages, f->npackages,
				       sizeof(f->packages[0]), compare_package);
}

static int compare_unit(const void *name, const void *unit)
{
	return strcmp(name, ((const struct fact_unit *)unit)->name);
}

const struct fact_unit *facts_unit(const struct facts *f, const char *name)
{
	return f->nunits == 0 ? NULL
			      : bsearch(name, f->units, f->nunits, sizeof(f->units[0]),
				    compare_unit);
}

const char *facts_other_dovecot(const struct facts *f)
{
	static const char ours[] = "1:2.3.19.";
	const struct fact_package *dovecot = facts_package(f, "dovecot-core");

	if (!dovecot || strncmp(dovecot->version, ours, strlen(ours)) == 0)
		return NULL;
	return dovecot->version;
}
