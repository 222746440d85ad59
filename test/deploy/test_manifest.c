/* Manifests: written, read again, and what is refused. */
#include "deploy/manifest.h"

#include <stdlib.h>

#include "test/support.h"

#define HEAD "cmdeploy-manifest 1\n"
#define HASH "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static const char whole[] =
    HEAD "package\tbase\tcurl\n"
	 "group\tbase\tvmail\n"
	 "user\tbase\tvmail\tvmail\t/home/vmail\n"
	 "member\tbase\tpostfix\tvmail\n"
	 "no-package\tobsolete\trspamd\n"
	 "absent\tobsolete\t/etc/cron.d/a 100%25\n"
	 "directory\tweb\t/var/www\troot\twww-data\t2755\n"
	 "file\tweb\t/etc/x\t" HASH "\troot\troot\ta.service b.service\t\t640\t2\n"
	 "state\tweb\tkey\t[ -s /k ]%0a\tmake key%0a\t\ta.service\t2\n"
	 "check\tweb\tx -t\tx -t\n"
	 "check\tweb\tx -t\tx -t\n"
	 "unit\tweb\ta.service\t0\n";

static struct wanted *make(void)
{
	struct wanted *w = wanted_create();

	wanted_component(w, "base");
	want_package(w, "curl");
	want_group(w, "vmail");
	want_user(w, "vmail", "vmail", "/home/vmail");
	want_member(w, "postfix", "vmail");
	wanted_component(w, "obsolete");
	want_no_package(w, "rspamd");
	want_absent(w, "/etc/cron.d/a 100%");
	wanted_component(w, "web");
	want_directory(w, "/var/www", "root", "www-data", 02755);
	want_file(w, &(struct wanted_file){ .path = "/etc/x",
			 .content = "abc",
			 .len = 3,
			 .mode = 0640,
			 .flags = FILE_SECRET,
			 .effects = { .restart = "a.service b.service" } });
	want_state(w, &(struct wanted_state){ .what = "key",
			  .check = "[ -s /k ]\n",
			  .mend = "make key\n",
			  .stage = STAGE_CONFIGURE,
			  .effects = { .reload = "a.service" } });
	want_check(w, "x -t", "x -t");
	want_check(w, "x -t", "x -t");
	want_unit(w, "a.service", UNIT_RUNNING);
	return w;
}

static void written(void **state)
{
	struct wanted *w = make();
	struct text text = { 0 };

	manifest_write(&text, w);
	support_assert_span(text_span(&text), span_of(whole));
	text_free(&text);
	wanted_free(w);
}

static void read_again(void **state)
{
	char error[MANIFEST_ERROR_MAX];
	struct wanted *w = manifest_parse(span_of(whole), error);
	const struct wanted_thing *t;
	struct text text = { 0 };

	assert_non_null(w);
	manifest_write(&text, w);
	support_assert_span(text_span(&text), span_of(whole));
	t = wanted_find(w, WANTED_FILE, "/etc/x", NULL);
	assert_non_null(t);
	assert_null(t->file.content);
	assert_string_equal(t->file.sha256, HASH);
	assert_int_equal(t->file.mode, 0640);
	assert_string_equal(t->component, "web");
	text_free(&text);
	wanted_free(w);
}

/* Where a package lay here, and what the net's file is a part of. */
static void optional(void **state)
{
	char error[MANIFEST_ERROR_MAX];
	struct wanted *w = wanted_create(), *again;
	struct text text = { 0 };

	wanted_component(w, "daemon");
	want_deb(w, &(struct wanted_deb){ .name = "chatmaild",
			.arch = "all",
			.path = "/home/me/chatmaild.deb",
			.version = "1",
			.sha256 = HASH });
	want_binary(w, &(struct wanted_binary){ .path = "/usr/local/bin/t",
			   .arch = "x86_64",
			   .url = "https://example.org/t",
			   .sha256 = HASH });
	manifest_write(&text, w);
	assert_null(strstr(text.data, "/home/me"));
	again = manifest_parse(text_span(&text), error);
	assert_non_null(again);
	assert_null(wanted_find(again, WANTED_DEB, "chatmaild", NULL)->deb.path);
	assert_null(
	    wanted_find(again, WANTED_BINARY, "/usr/local/bin/t", NULL)->binary.member);
	text_free(&text);
	wanted_free(w);
	wanted_free(again);
}

static const struct refused_case {
	const char *name, *text, *why;
} refused_cases[] = {
	{ "empty", "", "line 1: not a manifest that this version reads" },
	{ "another version", "cmdeploy-manifest 2\n",
	    "line 1: not a manifest that this version reads" },
	{ "cut off", HEAD "package\ta\tcu", "line 1: the end is missing" },
	{ "unknown kind", HEAD "pakcage\ta\tcurl\n",
	    "line 2: an unknown kind of thing" },
	{ "empty line", HEAD "\n", "line 2: an unknown kind of thing" },
	{ "field missing", HEAD "package\ta\n",
	    "line 2: not as many fields as it should have" },
	{ "field too many", HEAD "package\ta\tcurl\tx\n",
	    "line 2: not as many fields as it should have" },
	{ "very many fields",
	    HEAD "package\ta\tb\tc\td\te\tf\tg\th\ti\tj\tk\tl\tm\tn\n",
	    "line 2: not as many fields as it should have" },
	{ "no name", HEAD "package\ta\t\n", "line 2: an empty name" },
	{ "half an escape", HEAD "package\ta\tx%2\n", "line 2: a byte that cannot be" },
	{ "no escape", HEAD "package\ta\tx%zz\n", "line 2: a byte that cannot be" },
	{ "NUL", HEAD "package\ta\tx%00\n", "line 2: a byte that cannot be" },
	{ "control", HEAD "package\ta\tx\r\n", "line 2: a byte that cannot be" },
	{ "mode", HEAD "directory\ta\t/x\troot\troot\t10000\n",
	    "line 2: a number that cannot be" },
	{ "no octal", HEAD "directory\ta\t/x\troot\troot\t78\n",
	    "line 2: a number that cannot be" },
	{ "no number", HEAD "unit\ta\tx.service\t\n",
	    "line 2: a number that cannot be" },
	{ "unit's state", HEAD "unit\ta\tx.service\t4\n",
	    "line 2: a number that cannot be" },
	{ "component with a line break", HEAD "package\ta%0arm -r x\tcurl\n",
	    "line 2: no name of a component" },
	{ "component without a name", HEAD "package\t\tcurl\n",
	    "line 2: no name of a component" },
	{ "relative path", HEAD "file\ta\tx\t" HASH "\troot\troot\t\t\t644\t0\n",
	    "line 2: a path or a hash that cannot be" },
	{ "hash that leads away",
	    HEAD "file\ta\t/x\t../../../etc/shadow\troot\troot\t\t\t644\t0\n",
	    "line 2: a path or a hash that cannot be" },
	{ "the root is not absent", HEAD "absent\ta\t/\n",
	    "line 2: a path or a hash that cannot be" },
	{ "contradiction", HEAD "package\ta\tcurl\nno-package\tb\tcurl\n",
	    "line 3: it contradicts another line" },
};

static void refused(void **state)
{
	const struct refused_case *c = *state;
	char error[MANIFEST_ERROR_MAX];

	assert_null(manifest_parse(span_of(c->text), error));
	assert_string_equal(error, c->why);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(written) },
		{ SUPPORT_TEST(read_again) },
		{ SUPPORT_TEST(optional) },
		{ SUPPORT_TABLE(refused, refused_cases) },
	};

	return support_run("manifest", tests, ARRAY_LEN(tests));
}
