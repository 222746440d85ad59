/* Which names are asked for. */
#include <stdlib.h>

#include "deploy/facts_impl.h"
#include "deploy/python_relay.h"

/* Which texts of a thing (wanted_shapes) are names of what. */
static const struct {
	enum wanted_kind kind;
	unsigned text;
	enum facts_subject subject;
} asked[] = {
	{ WANTED_PACKAGE, 0, FACTS_PACKAGES },
	{ WANTED_NO_PACKAGE, 0, FACTS_PACKAGES },
	{ WANTED_DEB, 0, FACTS_PACKAGES },
	{ WANTED_GROUP, 0, FACTS_GROUPS },
	{ WANTED_USER, 0, FACTS_USERS },
	{ WANTED_USER, 1, FACTS_GROUPS },
	{ WANTED_MEMBER, 0, FACTS_USERS },
	{ WANTED_MEMBER, 1, FACTS_GROUPS },
	{ WANTED_BINARY, 0, FACTS_PATHS },
	{ WANTED_ABSENT, 0, FACTS_PATHS },
	{ WANTED_DIRECTORY, 0, FACTS_PATHS },
	{ WANTED_FILE, 0, FACTS_PATHS },
	{ WANTED_UNIT, 0, FACTS_UNITS },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_unique(struct facts_names *names)
{
	size_t n = 0;

	if (names->n > 0)
		qsort(names->name, names->n, sizeof(names->name[0]), compare_names);
	for (size_t i = 0; i < names->n; i++) {
		if (n == 0 || strcmp(names->name[n - 1], names->name[i]) != 0)
			names->name[n++] = names->name[i];
	}
	names->n = n;
}

struct facts_names facts_names(const struct wanted *w, enum facts_subject subject)
{
	struct facts_names names = { 0 };
	size_t n;
	const struct wanted_thing *things = wanted_list(w, &n);

	names.name = calloc(n * 2 + npython_relay_units, sizeof(names.name[0]));
	if (!names.name)
		abort();
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < COUNT(asked); k++) {
			const char *name;

			if (asked[k].kind != things[i].kind ||
			    asked[k].subject != subject)
				continue;
			name = wanted_text(&things[i], asked[k].text);
			if (name && *name)
				names.name[names.n++] = name;
		}
	}
	for (size_t i = 0; subject == FACTS_UNITS && i < npython_relay_units; i++)
		names.name[names.n++] = python_relay_units[i];
	sort_unique(&names);
	return names;
}
