/*
 * The operator's directory of binaries: for servers without a way to the net, and for who
 * builds them himself.
 */
#include <errno.h>
#include <stdlib.h>

#include "deploy/plan_step.h"

#define MANIFEST_LINE_MAX 512
#define NAMES_MAX         64

struct trusted {
	char hash[WANTED_SHA256_SIZE];
	char name[256];
};

/* "SHA256  NAME", as sha256sum(1) writes it. */
static bool read_trusted(const char *line, struct trusted *t)
{
	char extra;

	return sscanf(line, "%64[0-9a-f]%*1[ ]%*1[ *]%255[^ \t\n] %c", t->hash, t->name,
		   &extra) == 2 &&
	       strlen(t->hash) == WANTED_SHA256_SIZE - 1;
}

static size_t read_all_trusted(
    FILE *file, const char *path, struct trusted *list, char *error)
{
	char line[MANIFEST_LINE_MAX];
	size_t n = 0, number = 0;

	error[0] = '\0';
	while (!*error && fgets(line, sizeof(line), file)) {
		number++;
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (n == NAMES_MAX || !read_trusted(line, &list[n++]))
			snprintf(error, PLAN_ERROR_MAX,
			    "%s:%zu: write lines \"SHA256  NAME\", at most %d", path,
			    number, NAMES_MAX);
	}
	return n;
}

static void trust(struct wanted *w, const struct wanted_thing *thing, const char *hash,
    const char *path, FILE *out)
{
	const struct wanted_binary *b = &thing->binary;

	if (strcmp(b->sha256, hash) == 0)
		return;
	fprintf(out,
	    "WARNING: %s is not what its maker published: %s says sha256\n"
	    "    %s\n  instead of\n    %s\n",
	    b->path, path, hash, b->sha256);
	wanted_trust(w, b->path, b->arch, hash);
}

static void trust_all(
    struct wanted *w, const struct trusted *list, size_t n, const char *path, FILE *out)
{
	size_t nthings;
	const struct wanted_thing *things = wanted_list(w, &nthings);

	for (size_t i = 0; i < nthings; i++) {
		for (size_t k = 0; k < n; k++) {
			if (things[i].kind == WANTED_BINARY &&
			    strcmp(base_name(things[i].binary.url), list[k].name) == 0)
				trust(w, &things[i], list[k].hash, path, out);
		}
	}
}

bool plan_trust_binaries(
    struct wanted *w, const char *dir, FILE *out, char error[PLAN_ERROR_MAX])
{
	struct trusted *list;
	size_t n = 0;
	char *path;
	FILE *file;

	if (asprintf(&path, "%s/manifest", dir) < 0)
		abort();
	list = calloc(NAMES_MAX, sizeof(*list));
	if (!list)
		abort();
	error[0] = '\0';
	file = fopen(path, "re");
	if (file) {
		n = read_all_trusted(file, path, list, error);
		fclose(file);
	} else if (errno != ENOENT) {
		snprintf(error, PLAN_ERROR_MAX, "%s: %s", path, strerror(errno));
	}
	if (!*error)
		trust_all(w, list, n, path, out);
	free(list);
	free(path);
	return !*error;
}
