/* Values with many rows: files, packages, users and groups. */
#include "deploy/facts_read.h"

#include <stdio.h>
#include <stdlib.h>

#include "deploy/facts_impl.h"

char *facts_cut(char **rest, char sep)
{
	char *start = *rest, *at;

	if (!start)
		return NULL;
	at = strchr(start, sep);
	if (at)
		*at++ = '\0';
	*rest = at;
	return start;
}

size_t facts_words(char *line, char *words[], size_t n)
{
	size_t found = 0;
	char *word;

	while (found < n && (word = facts_cut(&line, ' '))) {
		if (*word)
			words[found++] = word;
	}
	return found;
}

size_t facts_count(const char *s, char c)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == c;
	return n;
}

int64_t facts_number(const char *s)
{
	int64_t n = 0;

	while (span_blank(*s))
		s++;
	if (*s < '0' || *s > '9')
		return -1;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (n > (INT64_MAX - 9) / 10)
			return -1;
		n = n * 10 + (*s - '0');
	}
	return n;
}

/* Rooms for what is wanted. */

static const char *keep(struct facts_reader *r, const char *name)
{
	return facts_pool_copy(r->pool, name, strlen(name));
}

static void begin_files(struct facts_reader *r, const struct wanted *w)
{
	struct facts_names names = facts_names(w, FACTS_PATHS);
	struct facts *f = r->facts;

	f->files = facts_pool_take(r->pool, names.n, sizeof(f->files[0]));
	for (size_t i = 0; i < names.n; i++)
		f->files[f->nfiles++] = (struct fact_file){ .owner = "",
			.group = "",
			.sha256 = "",
			.target = "",
			.path = keep(r, names.name[i]) };
	free(names.name);
}

static void begin_packages(struct facts_reader *r, const struct wanted *w)
{
	struct facts_names names = facts_names(w, FACTS_PACKAGES);
	struct facts *f = r->facts;

	f->packages = facts_pool_take(r->pool, names.n, sizeof(f->packages[0]));
	for (size_t i = 0; i < names.n; i++)
		f->packages[f->npackages++].name = keep(r, names.name[i]);
	free(names.name);
}

static struct facts_account *begin_accounts(struct facts_reader *r,
    const struct wanted *w, enum facts_subject subject, size_t *n)
{
	struct facts_names names = facts_names(w, subject);
	struct facts_account *accounts =
	    facts_pool_take(r->pool, names.n, sizeof(accounts[0]));

	for (size_t i = 0; i < names.n; i++)
		accounts[i].name = keep(r, names.name[i]);
	*n = names.n;
	free(names.name);
	return accounts;
}

static void begin_units(struct facts_reader *r, const struct wanted *w)
{
	struct facts_names names = facts_names(w, FACTS_UNITS);
	struct facts *f = r->facts;

	f->units = facts_pool_take(r->pool, names.n, sizeof(f->units[0]));
	r->notes = facts_pool_take(r->pool, names.n, sizeof(r->notes[0]));
	for (size_t i = 0; i < names.n; i++) {
		r->notes[i].pid = -1;
		f->units[f->nunits++] = (struct fact_unit){ .load = "not-found",
			.active = "inactive",
			.enabled = "",
			.name = keep(r, names.name[i]) };
	}
	free(names.name);
}

static void begin_things(struct facts_reader *r, const struct wanted *w)
{
	struct facts *f = r->facts;
	size_t n;
	const struct wanted_thing *t = wanted_list(w, &n);

	r->members = facts_pool_take(r->pool, n, sizeof(r->members[0]));
	for (size_t i = 0; i < n; i++) {
		f->nstates += t[i].kind == WANTED_STATE;
		if (t[i].kind == WANTED_MEMBER)
			r->members[r->nmembers++] = (struct facts_membership){
				.user = keep(r, t[i].member.user),
				.group = keep(r, t[i].member.group),
			};
	}
	f->states = facts_pool_take(r->pool, f->nstates, sizeof(f->states[0]));
	f->whys = facts_pool_take(r->pool, f->nstates, sizeof(f->whys[0]));
	for (size_t i = 0; i < f->nstates; i++)
		f->whys[i] = "";
}

void facts_reader_begin(struct facts_reader *r, const struct wanted *w)
{
	begin_files(r, w);
	begin_packages(r, w);
	begin_units(r, w);
	begin_things(r, w);
	r->users = begin_accounts(r, w, FACTS_USERS, &r->nusers);
	r->groups = begin_accounts(r, w, FACTS_GROUPS, &r->ngroups);
}

/* The names of the accounts that are there. */
static const char **present(
    struct facts_reader *r, const struct facts_account *a, size_t n, size_t *npresent)
{
	const char **names = facts_pool_take(r->pool, n, sizeof(names[0]));

	*npresent = 0;
	for (size_t i = 0; i < n; i++) {
		if (a[i].gid)
			names[(*npresent)++] = a[i].name;
	}
	return names;
}

static void end_members(struct facts_reader *r)
{
	struct facts *f = r->facts;

	f->members = facts_pool_take(r->pool, r->nmembers, sizeof(f->members[0]));
	for (size_t i = 0; i < r->nmembers; i++) {
		const struct facts_membership *m = &r->members[i];
		size_t size = strlen(m->user) + strlen(m->group) + 2;
		char *both;

		if (!m->is)
			continue;
		both = facts_pool_take(r->pool, size, 1);
		snprintf(both, size, "%s:%s", m->user, m->group);
		f->members[f->nmembers++] = both;
	}
}

void facts_reader_end(struct facts_reader *r)
{
	struct facts *f = r->facts;
	size_t n = 0;

	for (size_t i = 0; i < f->npackages; i++) {
		if (f->packages[i].version)
			f->packages[n++] = f->packages[i];
	}
	f->npackages = n;
	f->users = present(r, r->users, r->nusers, &f->nusers);
	f->groups = present(r, r->groups, r->ngroups, &f->ngroups);
	end_members(r);
}

/* Files. */

static enum fact_file_type file_type(char letter)
{
	switch (letter) {
	case 'f':
		return FACT_REGULAR;
	case 'd':
		return FACT_DIRECTORY;
	case 'l':
		return FACT_SYMLINK;
	default:
		return FACT_OTHER;
	}
}

/* "TYPE MODE OWNER GROUP PATH" parted by TAB. */
void facts_read_file(struct facts_reader *r, char *value)
{
	const char *type = facts_cut(&value, '\t'), *mode = facts_cut(&value, '\t');
	const char *owner = facts_cut(&value, '\t'), *group = facts_cut(&value, '\t');
	struct fact_file *file;

	r->file = NULL;
	if (!value)
		return;
	/* A table of ours, and only it is const for others. */
	file = (struct fact_file *)facts_file(r->facts, value);
	if (!file)
		return;
	file->type = file_type(type[0]);
	file->mode = (mode_t)strtoul(mode, NULL, 8) & 07777;
	file->owner = owner;
	file->group = group;
	r->file = file;
}

void facts_read_link(struct facts_reader *r, char *value)
{
	if (r->file && r->file->type == FACT_SYMLINK)
		r->file->target = value;
	r->file = NULL;
}

/* "HASH  PATH" of sha256sum(1); a '*' may stand for the second blank. */
void facts_read_hash(struct facts_reader *r, char *value)
{
	struct fact_file *file;

	if (strspn(value, "0123456789abcdef") != 64 || value[64] != ' ' ||
	    value[65] == '\0')
		return;
	value[64] = '\0';
	file = (struct fact_file *)facts_file(r->facts, value + 66);
	if (file && file->type == FACT_REGULAR)
		file->sha256 = value;
}

/* Packages: "NAME VERSION STATUS" parted by TAB, a line each. */

void facts_read_packages(struct facts_reader *r, char *value)
{
	char *line;

	while ((line = facts_cut(&value, '\n'))) {
		const char *name = facts_cut(&line, '\t');
		const char *version = facts_cut(&line, '\t');
		struct fact_package *package;

		if (!line || strcmp(line, "installed") != 0)
			continue;
		package = (struct fact_package *)facts_package(r->facts, name);
		/* The same of another architecture is none of ours. */
		if (package && !package->version)
			package->version = version;
	}
}

/* Users and groups: passwd(5), group(5). */

static int compare_account(const void *name, const void *account)
{
	return strcmp(name, ((const struct facts_account *)account)->name);
}

static struct facts_account *find_account(
    struct facts_account *accounts, size_t n, const char *name)
{
	return n == 0
		   ? NULL
		   : bsearch(name, accounts, n, sizeof(accounts[0]), compare_account);
}

void facts_read_passwd(struct facts_reader *r, char *value)
{
	char *line;

	while ((line = facts_cut(&value, '\n'))) {
		const char *name = facts_cut(&line, ':');
		const char *gid;
		struct facts_account *user;

		facts_cut(&line, ':');
		facts_cut(&line, ':');
		gid = facts_cut(&line, ':');
		user = find_account(r->users, r->nusers, name);
		if (user && gid)
			user->gid = gid;
	}
}

/* Is name one of the words of list, which are parted by commas? */
static bool is_listed(const char *list, const char *name)
{
	struct span rest = span_of(list), word;

	while (span_cut(&rest, ',', &word)) {
		if (span_is(word, name))
			return true;
	}
	return false;
}

void facts_read_group(struct facts_reader *r, char *value)
{
	char *line;

	while ((line = facts_cut(&value, '\n'))) {
		const char *name = facts_cut(&line, ':');
		const char *gid, *list;
		struct facts_account *group, *user;

		facts_cut(&line, ':');
		gid = facts_cut(&line, ':');
		list = line;
		group = find_account(r->groups, r->ngroups, name);
		if (!group || !list)
			continue;
		group->gid = gid;
		for (size_t i = 0; i < r->nmembers; i++) {
			struct facts_membership *m = &r->members[i];

			if (strcmp(m->group, name) != 0)
				continue;
			user = find_account(r->users, r->nusers, m->user);
			if (is_listed(list, m->user) ||
			    (user && user->gid && strcmp(user->gid, gid) == 0))
				m->is = true;
		}
	}
}
