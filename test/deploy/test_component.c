/* A component's templates become wanted files. */
#include "deploy/component.h"

#include <stdlib.h>

#include <sys/stat.h>

#include "test/support.h"

struct fixture {
	struct relay relay;
	struct wanted *w;
	char *dir;
};

static void put(const char *dir, const char *name, const char *text)
{
	char *path = support_path(dir, name);

	support_write_file(path, span_of(text));
	free(path);
}

static void make_dir(const char *dir, const char *name)
{
	char *path = support_path(dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
	free(path);
}

static void setup(struct fixture *f)
{
	*f = (struct fixture){ .w = wanted_create(), .dir = support_tmpdir() };
	f->relay.templates = f->dir;
	f->relay.context = json_pack("{s:s}", "domain", "chat.example");
	make_dir(f->dir, "web");
	make_dir(f->dir, "web/etc");
	put(f->dir, "web/etc/good", "name {{domain}}\n");
	put(f->dir, "web/etc/bad", "line\nname {{dommain}}\n");
	wanted_component(f->w, "web");
}

static void teardown(struct fixture *f)
{
	json_decref(f->relay.context);
	wanted_free(f->w);
	support_tmpdir_remove(f->dir);
}

static void rendered(void **state)
{
	static const struct component_file row = { .path = "/etc/good",
		.group = "www-data",
		.effects = { .reload = "nginx.service" } };
	const struct wanted_thing *list;
	struct fixture f;
	size_t n;

	setup(&f);
	assert_true(component_file(&f.relay, f.w, "web", &row));
	list = wanted_list(f.w, &n);
	assert_int_equal(n, 1);
	assert_string_equal(list[0].file.path, "/etc/good");
	assert_string_equal(list[0].file.content, "name chat.example\n");
	assert_string_equal(list[0].file.owner, "root");
	assert_string_equal(list[0].file.group, "www-data");
	assert_int_equal(list[0].file.mode, 0644);
	assert_string_equal(list[0].file.effects.reload, "nginx.service");
	teardown(&f);
}

static const struct mistake_case {
	const char *name, *path, *says;
} mistake_cases[] = {
	{ "no such template", "/etc/none", "/web/etc/none: No such file or directory" },
	{ "unknown variable", "/etc/bad", "/web/etc/bad:2: " },
	{ "a directory", "/etc", "/web/etc: Is a directory" },
};

static void mistaken(void **state)
{
	const struct mistake_case *c = *state;
	struct component_file row = { .path = c->path };
	struct fixture f;
	size_t n;

	setup(&f);
	assert_false(component_file(&f.relay, f.w, "web", &row));
	assert_non_null(strstr(f.relay.error, c->says));
	wanted_list(f.w, &n);
	assert_int_equal(n, 0);
	teardown(&f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(rendered) },
		{ SUPPORT_TABLE(mistaken, mistake_cases) },
	};

	return support_run("component", tests, ARRAY_LEN(tests));
}
