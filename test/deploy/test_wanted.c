/* The list of wanted things: copies, doubles, contradictions. */
#include "deploy/wanted.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support.h"

static void copied_in_order(void **state)
{
	char path[] = "/etc/a", content[] = "a\0b", restart[] = "x.service";
	struct wanted *w = wanted_create();
	const struct wanted_thing *list;
	size_t n;

	wanted_component(w, "one");
	want_package(w, "curl");
	want_file(w, &(struct wanted_file){ .path = path,
			 .content = content,
			 .len = 3,
			 .mode = 0640,
			 .group = "mail",
			 .flags = FILE_SECRET,
			 .effects = { .restart = restart } });
	memset(path, 'x', 6);
	memset(content, 'x', 3);
	memset(restart, 'x', 9);
	wanted_component(w, "two");
	want_unit(w, "x.service", UNIT_MASKED);

	list = wanted_list(w, &n);
	assert_int_equal(n, 3);
	assert_int_equal(list[0].kind, WANTED_PACKAGE);
	assert_string_equal(list[0].component, "one");
	assert_string_equal(list[1].file.path, "/etc/a");
	support_assert_span(
	    span_make(list[1].file.content, list[1].file.len), span_make("a\0b", 3));
	assert_string_equal(list[1].file.owner, "root");
	assert_string_equal(list[1].file.group, "mail");
	assert_string_equal(list[1].file.effects.restart, "x.service");
	assert_null(list[1].file.effects.reload);
	assert_string_equal(list[1].component, "one");
	assert_string_equal(list[2].component, "two");
	assert_int_equal(list[2].unit.state, UNIT_MASKED);
	wanted_free(w);
}

static void hashed(void **state)
{
	char hex[WANTED_SHA256_SIZE];

	/* FIPS 180-2, appendix B.1, and the empty text. */
	wanted_sha256(span_of("abc"), hex);
	assert_string_equal(
	    hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	wanted_sha256(span_make(NULL, 0), hex);
	assert_string_equal(
	    hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* Two wishes; whether they go together. */
static void package(struct wanted *w)
{
	want_package(w, "curl");
}
static void no_package(struct wanted *w)
{
	want_no_package(w, "curl");
}
static void directory(struct wanted *w)
{
	want_directory(w, "/etc/a", NULL, NULL, 0755);
}
static void directory_of_root(struct wanted *w)
{
	want_directory(w, "/etc/a", "root", "root", 0755);
}
static void directory_for_all(struct wanted *w)
{
	want_directory(w, "/etc/a", NULL, NULL, 0777);
}
static void absent(struct wanted *w)
{
	want_absent(w, "/etc/a");
}
static void file(struct wanted *w)
{
	want_file(w, &(struct wanted_file){
			 .path = "/etc/a", .content = "text", .len = 4, .mode = 0644 });
}
static void other_file(struct wanted *w)
{
	want_file(w, &(struct wanted_file){
			 .path = "/etc/a", .content = "Text", .len = 4, .mode = 0644 });
}
static void member_a(struct wanted *w)
{
	want_member(w, "postfix", "a");
}
static void member_b(struct wanted *w)
{
	want_member(w, "postfix", "b");
}
static void check(struct wanted *w)
{
	want_check(w, "nginx -t", "nginx -t -q");
}
static void running(struct wanted *w)
{
	want_unit(w, "a.service", UNIT_RUNNING);
}
static void stopped(struct wanted *w)
{
	want_unit(w, "a.service", UNIT_STOPPED);
}

static const struct pair_case {
	const char *name;
	void (*first)(struct wanted *), (*second)(struct wanted *);
	size_t n; /* things after both; 0: abort() */
} pair_cases[] = {
	{ "a package by two", package, package, 1 },
	{ "a package, and not", package, no_package, 0 },
	{ "no package, but one", no_package, package, 0 },
	{ "a directory by two", directory, directory_of_root, 1 },
	{ "a directory with two modes", directory, directory_for_all, 0 },
	{ "directory and file", directory, file, 0 },
	{ "absent and file", absent, file, 0 },
	{ "file and absent", file, absent, 0 },
	{ "the same file", file, file, 1 },
	{ "a file with two texts", file, other_file, 0 },
	{ "two groups of a user", member_a, member_b, 2 },
	{ "a check for two", check, check, 2 },
	{ "a unit by two", running, running, 1 },
	{ "a unit running and stopped", running, stopped, 0 },
};

static int in_child(const struct pair_case *c)
{
	struct wanted *w = wanted_create();
	size_t n;

	wanted_component(w, "one");
	c->first(w);
	wanted_component(w, "two");
	c->second(w);
	wanted_list(w, &n);
	wanted_free(w);
	return (int)n;
}

static void pairs(void **state)
{
	const struct pair_case *c = *state;
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		_exit(in_child(c));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (c->n == 0) {
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	} else {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), c->n);
	}
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(copied_in_order) },
		{ SUPPORT_TEST(hashed) },
		{ SUPPORT_TABLE(pairs, pair_cases) },
	};

	return support_run("wanted", tests, ARRAY_LEN(tests));
}
