#include "deploy/wanted.h"

#include <stdlib.h>

#include <openssl/evp.h>

#define TEXT(field) offsetof(struct wanted_thing, field)

/* The first texts are the key. */
const struct wanted_shape wanted_shapes[WANTED_KINDS] = {
	[WANTED_PACKAGE] = { "package", 1, 1, { TEXT(package.name) }, 0, { 0 } },
	[WANTED_NO_PACKAGE] = { "no-package", 1, 1, { TEXT(no_package.name) }, 0,
	    { 0 } },
	[WANTED_DEB] = { "deb", 7, 2,
	    { TEXT(deb.name), TEXT(deb.arch), TEXT(deb.path), TEXT(deb.version),
		TEXT(deb.sha256), TEXT(deb.effects.restart), TEXT(deb.effects.reload) },
	    0, { 0 } },
	[WANTED_GROUP] = { "group", 1, 1, { TEXT(group.name) }, 0, { 0 } },
	[WANTED_USER] = { "user", 3, 1,
	    { TEXT(user.name), TEXT(user.group), TEXT(user.home) }, 0, { 0 } },
	[WANTED_MEMBER] = { "member", 2, 2, { TEXT(member.user), TEXT(member.group) },
	    0, { 0 } },
	[WANTED_BINARY] = { "binary", 7, 2,
	    { TEXT(binary.path), TEXT(binary.arch), TEXT(binary.url),
		TEXT(binary.member), TEXT(binary.sha256), TEXT(binary.effects.restart),
		TEXT(binary.effects.reload) },
	    1, { TEXT(binary.optional) } },
	[WANTED_ABSENT] = { "absent", 1, 1, { TEXT(absent.path) }, 0, { 0 } },
	[WANTED_DIRECTORY] = { "directory", 3, 1,
	    { TEXT(directory.path), TEXT(directory.owner), TEXT(directory.group) }, 1,
	    { TEXT(directory.mode) } },
	[WANTED_FILE] = { "file", 6, 1,
	    { TEXT(file.path), TEXT(file.sha256), TEXT(file.owner), TEXT(file.group),
		TEXT(file.effects.restart), TEXT(file.effects.reload) },
	    2, { TEXT(file.mode), TEXT(file.flags) } },
	[WANTED_STATE] = { "state", 5, 1,
	    { TEXT(state.what), TEXT(state.check), TEXT(state.mend),
		TEXT(state.effects.restart), TEXT(state.effects.reload) },
	    1, { TEXT(state.stage) } },
	[WANTED_CHECK] = { "check", 2, 0, { TEXT(check.what), TEXT(check.script) }, 0,
	    { 0 } },
	[WANTED_UNIT] = { "unit", 1, 1, { TEXT(unit.name) }, 1, { TEXT(unit.state) } },
};

_Static_assert(sizeof(mode_t) == sizeof(unsigned) &&
		   sizeof(enum stage) == sizeof(unsigned) &&
		   sizeof(enum unit_state) == sizeof(unsigned),
    "numbers of a shape are read as unsigned");

struct wanted {
	struct wanted_thing *things;
	size_t n, size;
	char **components; /* their names; things point to them */
	size_t ncomponents;
};

static void *allocate(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n, size);

	if (!p)
		abort();
	return p;
}

static char *copy(const char *text)
{
	char *p = text ? strdup(text) : NULL;

	if (text && !p)
		abort();
	return p;
}

static char *copy_bytes(const char *bytes, size_t len)
{
	char *p = allocate(NULL, len + 1, 1);

	memcpy(p, bytes, len);
	p[len] = '\0';
	return p;
}

struct wanted *wanted_create(void)
{
	struct wanted *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	return w;
}

static const char **text_at(struct wanted_thing *t, unsigned i)
{
	return (const char **)((char *)t + wanted_shapes[t->kind].texts[i]);
}

static void thing_free(struct wanted_thing *t)
{
	for (unsigned i = 0; i < wanted_shapes[t->kind].ntexts; i++)
		free((char *)*text_at(t, i));
	if (t->kind == WANTED_FILE)
		free((char *)t->file.content);
}

void wanted_free(struct wanted *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++)
		thing_free(&w->things[i]);
	for (size_t i = 0; i < w->ncomponents; i++)
		free(w->components[i]);
	free(w->things);
	free(w->components);
	free(w);
}

const struct wanted_thing *wanted_list(const struct wanted *w, size_t *n)
{
	*n = w->n;
	return w->things;
}

const char *wanted_text(const struct wanted_thing *t, unsigned i)
{
	return *(
	    const char *const *)((const char *)t + wanted_shapes[t->kind].texts[i]);
}

unsigned wanted_number(const struct wanted_thing *t, unsigned i)
{
	return *(const unsigned *)((const char *)t + wanted_shapes[t->kind].numbers[i]);
}

const struct effects *wanted_effects(const struct wanted_thing *t)
{
	switch (t->kind) {
	case WANTED_DEB:
		return &t->deb.effects;
	case WANTED_BINARY:
		return &t->binary.effects;
	case WANTED_FILE:
		return &t->file.effects;
	case WANTED_STATE:
		return &t->state.effects;
	default:
		return NULL;
	}
}

const struct wanted_thing *wanted_find(
    const struct wanted *w, enum wanted_kind kind, const char *key, const char *key2)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct wanted_thing *t = &w->things[i];

		if (t->kind == kind && strcmp(wanted_text(t, 0), key) == 0 &&
		    (!key2 || strcmp(wanted_text(t, 1), key2) == 0))
			return t;
	}
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_thing(const struct wanted_thing *a, const struct wanted_thing *b)
{
	const struct wanted_shape *shape = &wanted_shapes[a->kind];

	for (unsigned i = 0; i < shape->ntexts; i++) {
		if (!same_text(wanted_text(a, i), wanted_text(b, i)))
			return false;
	}
	for (unsigned i = 0; i < shape->nnumbers; i++) {
		if (wanted_number(a, i) != wanted_number(b, i))
			return false;
	}
	return true;
}

/* What must not be wanted beside it: a path that is there and absent, and the like. */
static bool contradicted(const struct wanted *w, const struct wanted_thing *t)
{
	static const enum wanted_kind paths[] = { WANTED_BINARY, WANTED_ABSENT,
		WANTED_DIRECTORY, WANTED_FILE };
	const char *key = wanted_text(t, 0);
	bool is_path = false;

	if (t->kind == WANTED_PACKAGE || t->kind == WANTED_DEB)
		return wanted_find(w, WANTED_NO_PACKAGE, key, NULL);
	if (t->kind == WANTED_NO_PACKAGE)
		return wanted_find(w, WANTED_PACKAGE, key, NULL) ||
		       wanted_find(w, WANTED_DEB, key, NULL);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		is_path = is_path || t->kind == paths[i];
	for (size_t i = 0; is_path && i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (paths[i] != t->kind && wanted_find(w, paths[i], key, NULL))
			return true;
	}
	return false;
}

void wanted_component(struct wanted *w, const char *component)
{
	w->components =
	    allocate(w->components, w->ncomponents + 1, sizeof(*w->components));
	w->components[w->ncomponents++] = copy(component);
}

static const struct wanted_thing *find_same(
    const struct wanted *w, const struct wanted_thing *t)
{
	unsigned nkeys = wanted_shapes[t->kind].nkeys;

	return nkeys == 0 ? NULL
			  : wanted_find(w, t->kind, wanted_text(t, 0),
				nkeys == 2 ? wanted_text(t, 1) : NULL);
}

bool wanted_refuses(const struct wanted *w, const struct wanted_thing *thing)
{
	const struct wanted_thing *there = find_same(w, thing);

	return w->ncomponents == 0 || contradicted(w, thing) ||
	       (there && !same_thing(there, thing));
}

void want_thing(struct wanted *w, const struct wanted_thing *thing)
{
	const struct wanted_shape *shape = &wanted_shapes[thing->kind];
	struct wanted_thing *t;

	if (wanted_refuses(w, thing))
		abort();
	if (find_same(w, thing))
		return;
	if (w->n == w->size) {
		w->size = w->size ? 2 * w->size : 64;
		w->things = allocate(w->things, w->size, sizeof(*w->things));
	}
	t = &w->things[w->n++];
	*t = *thing;
	t->component = w->components[w->ncomponents - 1];
	for (unsigned i = 0; i < shape->ntexts; i++)
		*text_at(t, i) = copy(*text_at(t, i));
	if (t->kind == WANTED_FILE && t->file.content)
		t->file.content = copy_bytes(t->file.content, t->file.len);
}

void wanted_trust(
    struct wanted *w, const char *path, const char *arch, const char *sha256)
{
	for (size_t i = 0; i < w->n; i++) {
		struct wanted_thing *t = &w->things[i];

		if (t->kind == WANTED_BINARY && strcmp(t->binary.path, path) == 0 &&
		    strcmp(t->binary.arch, arch) == 0) {
			free((char *)t->binary.sha256);
			t->binary.sha256 = copy(sha256);
		}
	}
}

void wanted_sha256(struct span bytes, char hex[WANTED_SHA256_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[32];

	if (EVP_Digest(bytes.len ? bytes.data : "", bytes.len, hash, NULL, EVP_sha256(),
		NULL) != 1)
		abort();
	for (size_t i = 0; i < sizeof(hash); i++) {
		hex[2 * i] = digits[hash[i] >> 4];
		hex[2 * i + 1] = digits[hash[i] & 15];
	}
	hex[2 * sizeof(hash)] = '\0';
}

void want_package(struct wanted *w, const char *name)
{
	want_thing(
	    w, &(struct wanted_thing){ .kind = WANTED_PACKAGE, .package = { name } });
}

void want_no_package(struct wanted *w, const char *name)
{
	want_thing(w, &(struct wanted_thing){
			  .kind = WANTED_NO_PACKAGE, .no_package = { name } });
}

void want_deb(struct wanted *w, const struct wanted_deb *deb)
{
	want_thing(w, &(struct wanted_thing){ .kind = WANTED_DEB, .deb = *deb });
}

void want_group(struct wanted *w, const char *name)
{
	want_thing(
	    w, &(struct wanted_thing){ .kind = WANTED_GROUP, .group = { name } });
}

void want_user(struct wanted *w, const char *name, const char *group, const char *home)
{
	want_thing(w, &(struct wanted_thing){
			  .kind = WANTED_USER, .user = { name, group, home } });
}

void want_member(struct wanted *w, const char *user, const char *group)
{
	want_thing(w,
	    &(struct wanted_thing){ .kind = WANTED_MEMBER, .member = { user, group } });
}

void want_binary(struct wanted *w, const struct wanted_binary *binary)
{
	want_thing(
	    w, &(struct wanted_thing){ .kind = WANTED_BINARY, .binary = *binary });
}

void want_absent(struct wanted *w, const char *path)
{
	want_thing(
	    w, &(struct wanted_thing){ .kind = WANTED_ABSENT, .absent = { path } });
}

void want_directory(struct wanted *w, const char *path, const char *owner,
    const char *group, mode_t mode)
{
	want_thing(w, &(struct wanted_thing){ .kind = WANTED_DIRECTORY,
			  .directory = { path, owner ? owner : "root",
			      group ? group : "root", mode } });
}

void want_file(struct wanted *w, const struct wanted_file *file)
{
	struct wanted_thing t = { .kind = WANTED_FILE, .file = *file };
	char sha256[WANTED_SHA256_SIZE];

	if (file->content) {
		wanted_sha256(span_make(file->content, file->len), sha256);
		t.file.sha256 = sha256;
	}
	t.file.owner = file->owner ? file->owner : "root";
	t.file.group = file->group ? file->group : "root";
	want_thing(w, &t);
}

void want_state(struct wanted *w, const struct wanted_state *state)
{
	want_thing(w, &(struct wanted_thing){ .kind = WANTED_STATE, .state = *state });
}

void want_check(struct wanted *w, const char *what, const char *script)
{
	want_thing(w,
	    &(struct wanted_thing){ .kind = WANTED_CHECK, .check = { what, script } });
}

void want_unit(struct wanted *w, const char *name, enum unit_state state)
{
	want_thing(
	    w, &(struct wanted_thing){ .kind = WANTED_UNIT, .unit = { name, state } });
}
