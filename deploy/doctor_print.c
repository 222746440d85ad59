/* The findings, for eyes and for programs. */
#include <jansson.h>

#include "deploy/doctor_impl.h"

static const char *const severities[] = {
	[DOCTOR_SOUND] = "sound",
	[DOCTOR_UNTRIED] = "untried",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_TROUBLE] = "trouble",
};

static bool is_root(const struct doctor *d, size_t i)
{
	return d->list[i].severity >= DOCTOR_WARNING && d->list[i].because == i;
}

static void print_sentence(const struct doctor_finding *f, const char *begin, FILE *out)
{
	fprintf(out, "%s%s: %s%s%s.\n", begin, f->key, f->is, *f->remedy ? "; " : "",
	    f->remedy);
}

/* A cause and, below it, what follows. */
static void print_root(const struct doctor *d, size_t root, FILE *out)
{
	char begin[16];

	snprintf(begin, sizeof(begin), "%-8s ", severities[d->list[root].worst]);
	print_sentence(&d->list[root], begin, out);
	for (size_t i = 0; i < d->n; i++) {
		const struct doctor_finding *f = &d->list[i];

		if (i != root && f->severity >= DOCTOR_WARNING && f->because == root)
			fprintf(out, "         so %s: %s.\n", f->key, f->is);
	}
}

static size_t count(const struct doctor *d, enum doctor_severity severity)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->list[i].severity == severity;
	return n;
}

void doctor_print(const struct doctor *d, bool all, FILE *out)
{
	for (int s = DOCTOR_TROUBLE; s >= DOCTOR_WARNING; s--) {
		for (size_t i = 0; i < d->n; i++) {
			if (is_root(d, i) && d->list[i].worst == (unsigned)s)
				print_root(d, i, out);
		}
	}
	for (size_t i = 0; i < d->n; i++) {
		if (d->list[i].severity == DOCTOR_UNTRIED)
			print_sentence(&d->list[i], "untried  ", out);
		else if (d->list[i].severity == DOCTOR_SOUND && all)
			print_sentence(&d->list[i], "sound    ", out);
	}
	fprintf(out, "%zu sound, %zu warnings, %zu in trouble, %zu not tried.\n",
	    count(d, DOCTOR_SOUND), count(d, DOCTOR_WARNING), count(d, DOCTOR_TROUBLE),
	    count(d, DOCTOR_UNTRIED));
}

void doctor_print_json(
    const struct doctor *d, const char *domain, double seconds, FILE *out)
{
	json_t *list = json_array(), *whole;

	for (size_t i = 0; i < d->n; i++) {
		const struct doctor_finding *f = &d->list[i];

		json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s, s:s, s:s?}", "probe", f->key, "severity",
			severities[f->severity], "cause", f->is, "remedy", f->remedy,
			"because", f->because == i ? NULL : d->list[f->because].key));
	}
	whole = json_pack("{s:s, s:s, s:f, s:o}", "domain", domain, "severity",
	    severities[doctor_worst(d)], "seconds", seconds, "findings", list);
	if (!whole)
		abort();
	json_dumpf(whole, out, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	fputc('\n', out);
	json_decref(whole);
}
