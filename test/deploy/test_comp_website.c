/* The website component: which files it wants, and that nothing about pages is fatal. */
#include "deploy/component.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "test/support.h"

struct fixture {
	struct relay relay;
	struct config *config;
	struct wanted *w;
};

static void setup_with(struct fixture *f, const char *folder, const char *more)
{
	char *text;
	int len = asprintf(&text,
	    "[params]\nmail_domain = chat.example.org\nwww_folder = %s\n%s", folder,
	    more);

	assert_true(len > 0);
	*f = (struct fixture){ .w = wanted_create() };
	f->config = config_parse("chatmail.ini", text, (size_t)len, stderr);
	assert_non_null(f->config);
	f->relay.config = f->config;
	wanted_component(f->w, "website");
	free(text);
}

static void setup(struct fixture *f, const char *folder)
{
	setup_with(f, folder, "");
}

static void teardown(struct fixture *f)
{
	config_free(f->config);
	wanted_free(f->w);
}

static const struct wanted_thing *find(
    const struct fixture *f, enum wanted_kind kind, const char *path)
{
	const struct wanted_thing *list;
	size_t n;

	list = wanted_list(f->w, &n);
	for (size_t i = 0; i < n; i++) {
		const char *got = list[i].kind == WANTED_FILE ? list[i].file.path
							      : list[i].directory.path;

		if (list[i].kind == kind && strcmp(got, path) == 0)
			return &list[i];
	}
	return NULL;
}

static void shipped(void **state)
{
	const struct wanted_thing *page, *folder;
	struct fixture f;

	setup(&f, "");
	assert_true(website_component.want(&f.relay, f.w));
	page = find(&f, WANTED_FILE, "/var/www/html/index.html");
	assert_non_null(page);
	assert_string_equal(page->file.owner, "www-data");
	assert_string_equal(page->file.group, "www-data");
	assert_int_equal(page->file.mode, 0644);
	assert_int_equal(page->file.flags, 0);
	assert_non_null(strstr(page->file.content, "chat.example.org"));
	page = find(
	    &f, WANTED_FILE, "/var/www/html/qr-chatmail-invite-chat.example.org.png");
	assert_non_null(page);
	assert_memory_equal(page->file.content, "\x89PNG", 4);
	folder = find(&f, WANTED_DIRECTORY, "/var/www/html");
	assert_non_null(folder);
	assert_string_equal(folder->directory.owner, "www-data");
	assert_int_equal(folder->directory.mode, 0755);
	teardown(&f);
}

static void put(const char *dir, const char *name)
{
	char *path = support_path(dir, name);

	for (char *slash = path + strlen(dir); (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	support_write_file(path, span_of("x"));
	free(path);
}

/* Pages never stand where nginx answers, or where its own files are. */
static void places_of_others(void **state)
{
	static const char *const passed_over[] = { ".well-known/mta-sts.txt",
		".well-known/autoconfig/mail/config-v1.1.xml",
		".well-known/acme-challenge/x", "metrics", "new",
		"cgi-bin/newemail.py" };
	static const char *const wanted[] = { ".well-known/security.txt", "new.html",
		"metrics.html", "a/b/c.txt" };
	char *dir = support_tmpdir();
	struct fixture f;
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(passed_over); i++)
		put(dir, passed_over[i]);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		put(dir, wanted[i]);
	setup(&f, dir);
	assert_true(website_component.want(&f.relay, f.w));
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		char *path = support_path("/var/www/html", wanted[i]);

		assert_non_null(find(&f, WANTED_FILE, path));
		free(path);
	}
	assert_non_null(find(&f, WANTED_DIRECTORY, "/var/www/html/a/b"));
	wanted_list(f.w, &n);
	/* The root, .well-known, a and a/b. */
	assert_int_equal(n, ARRAY_LEN(wanted) + 4);
	teardown(&f);
	support_tmpdir_remove(dir);
}

/* A file in place of a folder of theirs would be in its way. */
static void files_for_folders(void **state)
{
	static const char *const passed_over[] = { ".well-known/autoconfig",
		".well-known/acme-challenge", "cgi-bin", "metrics/a", "new/b" };
	char *dir = support_tmpdir();
	struct fixture f;
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(passed_over); i++)
		put(dir, passed_over[i]);
	setup(&f, dir);
	assert_true(website_component.want(&f.relay, f.w));
	wanted_list(f.w, &n);
	assert_int_equal(n, 0);
	teardown(&f);
	support_tmpdir_remove(dir);
}

/* What nginx asks of programs that not every relay has. */
static void places_of_some(void **state)
{
	static const struct {
		const char *ini;
		bool echobot, iroh;
	} relays[] = {
		{ "", true, true },
		{ "echobot = false\n", false, true },
		{ "iroh_relay =\n", true, false },
		{ "iroh_relay = https://iroh.example\n", true, false },
	};
	static const struct {
		const char *name;
		bool of_iroh;
	} places[] = { { "echobot", false }, { "relay/probe", true }, { "ping", true },
		{ "generate_204", true } };
	char *dir = support_tmpdir();
	struct fixture f;

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		put(dir, places[i].name);
	put(dir, "pingpong");
	for (size_t r = 0; r < ARRAY_LEN(relays); r++) {
		setup_with(&f, dir, relays[r].ini);
		assert_true(website_component.want(&f.relay, f.w));
		assert_non_null(find(&f, WANTED_FILE, "/var/www/html/pingpong"));
		for (size_t i = 0; i < ARRAY_LEN(places); i++) {
			char *path = support_path("/var/www/html", places[i].name);
			bool taken =
			    places[i].of_iroh ? relays[r].iroh : relays[r].echobot;

			assert_int_equal(find(&f, WANTED_FILE, path) == NULL, taken);
			free(path);
		}
		teardown(&f);
	}
	support_tmpdir_remove(dir);
}

static void switched_off(void **state)
{
	struct fixture f;
	size_t n;

	setup(&f, "disabled");
	assert_true(website_component.want(&f.relay, f.w));
	wanted_list(f.w, &n);
	assert_int_equal(n, 0);
	teardown(&f);
}

static void mistaken(void **state)
{
	char *dir = support_tmpdir();
	struct fixture f;
	size_t n;

	put(dir, "src/index.md"); /* and no layout */
	setup(&f, dir);
	assert_true(website_component.want(&f.relay, f.w));
	wanted_list(f.w, &n);
	assert_int_equal(n, 0);
	teardown(&f);
	support_tmpdir_remove(dir);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(shipped) },
		{ SUPPORT_TEST(places_of_others) },
		{ SUPPORT_TEST(files_for_folders) },
		{ SUPPORT_TEST(places_of_some) },
		{ SUPPORT_TEST(switched_off) },
		{ SUPPORT_TEST(mistaken) },
	};

	return support_run("comp_website", tests, ARRAY_LEN(tests));
}
