/* The web site: what comes along, folders of operators, and their mistakes. */
#include "deploy/page.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/support.h"

#define LAYOUT                                                                         \
	"<title>{{ config.mail_domain }} {{ pagename }}</title>{{ markdown_html }}"

static struct config *make_config(
    const char *domain, const char *folder, const char *more)
{
	struct config *config;
	char *text;
	int len = asprintf(&text, "[params]\nmail_domain = %s\nwww_folder = %s\n%s",
	    domain, folder, more);

	assert_true(len > 0);
	config = config_parse("chatmail.ini", text, (size_t)len, stderr);
	assert_non_null(config);
	free(text);
	return config;
}

/* The shipped pages. */
static struct page_files make_shipped(const char *domain, const char *more)
{
	struct config *config = make_config(domain, "", more);
	char error[PAGE_ERROR_MAX];
	struct page_files site;

	assert_int_equal(page_make(config, false, &site, error), PAGE_MADE);
	assert_string_equal(error, "");
	config_free(config);
	return site;
}

static const char *text_of(const struct page_files *site, const char *path)
{
	const struct page_file *f = page_files_find(site, path);

	if (!f)
		fail_msg("there is no %s", path);
	return f->data;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
		n++;
	return n;
}

static void shipped(void **state)
{
	static const char *const there[] = { "app.html", "app.de.html", "banner.svg",
		"index.html", "index.de.html", "index.en.html", "info.html",
		"info.de.html", "logo.svg", "main.css", "privacy.html",
		"privacy.de.html", "robots.txt",
		"qr-chatmail-invite-chat.example.org.png",
		"qr-chatmail-invite-chat.example.org.svg" };
	struct page_files site = make_shipped("chat.example.org", "");

	for (size_t i = 0; i < ARRAY_LEN(there); i++)
		text_of(&site, there[i]);
	assert_null(page_files_find(&site, "page-layout.html"));
	for (size_t i = 0; i < site.n; i++) {
		const struct page_file *f = &site.file[i];
		struct span path = span_of(f->path);

		assert_false(span_ends(path, span_of(".md")));
		if (!span_ends(path, span_of(".html")))
			continue;
		assert_int_equal(count(f->data, "{{") + count(f->data, "{%"), 0);
		assert_int_equal(count(f->data, "<!DOCTYPE html>"), 1);
		assert_int_equal(count(f->data, "http-equiv=\"refresh\""), 0);
		assert_int_equal(count(f->data, "style="), 0);
	}
	page_files_deinit(&site);
}

static void home(void **state)
{
	static const char *const pages[] = { "index.html", "index.en.html",
		"index.de.html" };
	struct page_files site = make_shipped("chat.example.org", "");

	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		const char *html = text_of(&site, pages[i]);

		assert_int_equal(
		    count(html, "href=\"DCACCOUNT:https://chat.example.org/new\""), 2);
		assert_int_equal(count(html, "class=\"cta-button\""), 1);
		assert_int_equal(count(html, "qr-chatmail-invite-"), 1);
		assert_int_equal(count(html, "<script"), 0);
	}
	page_files_deinit(&site);
}

static void home_of_a_self_signed_relay(void **state)
{
	static const char *const ids[] = { "dclogin-link", "qr-link", "qr-code" };
	struct page_files site = make_shipped("_chat.example.org", "");
	const char *html = text_of(&site, "index.html");

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		char id[64];

		snprintf(id, sizeof(id), "id=\"%s\"", ids[i]);
		assert_int_equal(count(html, id), 1);
	}
	assert_int_equal(count(html, "<script"), 2);
	assert_int_equal(count(html, "DCACCOUNT:"), 0);
	assert_int_equal(count(html, "qr-chatmail-invite-"), 0);
	text_of(&site, "qr-chatmail-invite-_chat.example.org.png");
	page_files_deinit(&site);
}

/* A relay without a name: brackets in addresses, none in names of files and hosts. */
static void home_of_an_address(void **state)
{
	struct page_files site = make_shipped("192.0.2.1", "");

	assert_non_null(strstr(text_of(&site, "index.html"), "id=\"dclogin-link\""));
	assert_non_null(strstr(text_of(&site, "info.html"), "About [192.0.2.1]"));
	text_of(&site, "qr-chatmail-invite-192.0.2.1.svg");
	page_files_deinit(&site);
}

static void limits_are_those_of_the_config(void **state)
{
	static const char *const pages[] = { "info.html", "info.de.html" };
	static const char *const shown[] = { "<dd>41 ", " 42 ", " 43 MB", "<dd>44 MB",
		" 45 ", " 46 ", " 47 ", " 20 " };
	struct page_files site = make_shipped("chat.example.org",
	    "max_user_send_per_minute = 41\nmax_user_send_burst_size = 42\n"
	    "max_message_size = 45088768\nmax_mailbox_size = 44M\n"
	    "delete_mails_after = 45\ndelete_large_after = 46\n"
	    "delete_inactive_users_after = 47\nusername_min_length = 18\n"
	    "username_max_length = 19\npassword_min_length = 20\n");

	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		const char *html = text_of(&site, pages[i]);

		for (size_t j = 0; j < ARRAY_LEN(shown); j++) {
			if (!strstr(html, shown[j]))
				fail_msg("%s does not show '%s'", pages[i], shown[j]);
		}
		assert_true(strstr(html, "18 to 19") || strstr(html, "18 bis 19"));
	}
	page_files_deinit(&site);
}

static void operator_is_shown(void **state)
{
	struct page_files site = make_shipped("chat.example.org",
	    "privacy_postal = Jane <b>Doe</b>\n  Street 1\n  Town\n"
	    "privacy_mail = jane@example.org\nprivacy_pdo = {{ pagename }}\n"
	    "privacy_supervisor = \"><script>alert(1)</script>\n");
	const char *html = text_of(&site, "privacy.html");

	assert_non_null(
	    strstr(html, "Jane &lt;b&gt;Doe&lt;/b&gt;<br>Street 1<br>Town"));
	assert_non_null(
	    strstr(html, "<a href=\"mailto:jane@example.org\">jane@example.org</a>"));
	assert_non_null(strstr(html, "<p>{{ pagename }}</p>"));
	assert_non_null(
	    strstr(html, "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
	assert_int_equal(count(html, "<script"), 0);
	assert_int_equal(count(html, "class=\"missing\""), 0);
	page_files_deinit(&site);

	site = make_shipped("chat.example.org", "");
	assert_int_equal(count(text_of(&site, "privacy.html"), "class=\"missing\""), 4);
	assert_int_equal(
	    count(text_of(&site, "privacy.de.html"), "class=\"missing\""), 4);
	page_files_deinit(&site);
}

static void same_twice(void **state)
{
	struct page_files a = make_shipped("chat.example.org", "");
	struct page_files b = make_shipped("chat.example.org", "");

	assert_int_equal(a.n, b.n);
	for (size_t i = 0; i < a.n; i++) {
		assert_string_equal(a.file[i].path, b.file[i].path);
		support_assert_span(span_make(a.file[i].data, a.file[i].len),
		    span_make(b.file[i].data, b.file[i].len));
	}
	page_files_deinit(&a);
	page_files_deinit(&b);
}

/* --- folders of operators ----------------------------------------------------------- */

/* A file of a folder; a path that ends in "/" is an empty folder. */
struct source {
	const char *path, *text;
};

#define SOURCES_MAX 8

static char *make_folder(const struct source *sources)
{
	char *dir = support_tmpdir();

	for (; sources->path; sources++) {
		char *path = support_path(dir, sources->path);

		for (char *slash = path + strlen(dir);
		     (slash = strchr(slash + 1, '/'));) {
			*slash = '\0';
			mkdir(path, 0700);
			*slash = '/';
		}
		if (path[strlen(path) - 1] != '/')
			support_write_file(path, span_of(sources->text));
		free(path);
	}
	return dir;
}

static const struct folder_case {
	const char *name;
	struct source sources[SOURCES_MAX];
	struct source site[SOURCES_MAX]; /* text NULL: there is one */
	size_t n;                        /* files of the site */
} folder_cases[] = {
	{ "built",
	    { { "src/index.md", "# Hello {{ config.mail_domain }}" },
		{ "src/page-layout.html", LAYOUT }, { "src/a.css", "a {{ b }}" },
		{ "README.md", "not a page" } },
	    { { "index.html", "<title>chat.example.org home</title>"
			      "<h1>Hello chat.example.org</h1>\n" },
		{ "a.css", "a {{ b }}" },
		{ "qr-chatmail-invite-chat.example.org.png", NULL },
		{ "qr-chatmail-invite-chat.example.org.svg", NULL } },
	    4 },
	{ "as it is",
	    { { "index.md", "# Hello {{ foo }}" }, { "index.html", "{{ foo }}" },
		{ "css/x.css", "<<<<<<<\n=======\n>>>>>>>\n" } },
	    { { "index.md", "# Hello {{ foo }}" }, { "index.html", "{{ foo }}" },
		{ "css/x.css", "<<<<<<<\n=======\n>>>>>>>\n" } },
	    3 },
	{ "src without index.md is as it is", { { "src/info.md", "x" } },
	    { { "src/info.md", "x" } }, 1 },
	{ "below, and in languages",
	    { { "src/index.md", "x" }, { "src/news/today.md", "today" },
		{ "src/news/today.fr.md", "{{ language }}{{ language_suffix }}" },
		{ "src/page-layout.html", "{{ language }} {{ markdown_html }}" } },
	    { { "news/today.html", "en <p>today</p>\n" },
		{ "news/today.en.html", "en <p>today</p>\n" },
		{ "news/today.fr.html", "fr <p>fr.fr</p>\n" } },
	    6 },
	{ "what is passed over",
	    { { "src/index.md", "x" }, { "src/page-layout.html", "y" },
		{ "src/.git/config", "z" }, { "src/index.md~", "z" },
		{ "src/.index.md.swp", "z" }, { "src/a.swp", "z" },
		{ "src/.well-known/security.txt", "z" } },
	    { { "index.html", "y" }, { ".well-known/security.txt", "z" } }, 4 },
	{ "a QR code of one's own",
	    { { "src/index.md", "x" }, { "src/page-layout.html", "y" },
		{ "src/qr-chatmail-invite-chat.example.org.png", "own" } },
	    { { "qr-chatmail-invite-chat.example.org.png", "own" } }, 3 },
	{ "values in places that Markdown would change",
	    { { "src/page-layout.html", "{{ markdown_html }}" },
		{ "src/index.md",
		    "[a](mailto:{{ config.privacy_mail }}) `{{ pagename }}` "
		    "<https://{{ config.mail_domain }}/> "
		    "*{{ config.delete_large_after }}*\n\n    {{ pagename }}\n" } },
	    { { "index.html", "<p><a href=\"mailto:me_&amp;_you@example.org\">a</a> "
			      "<code>home</code> <a href=\"https://chat.example.org/\">"
			      "https://chat.example.org/</a> <em>7</em></p>\n"
			      "<pre><code>home\n</code></pre>\n" } },
	    3 },
	{ "Markdown as operators know it",
	    { { "src/page-layout.html", "{{ markdown_html }}" },
		{ "src/index.md",
		    "\"quotes\" -- stay\n\n<a class=\"cta-button\"\n"
		    "href=\"DCACCOUNT:https://{{ config.mail_domain }}/new\">go</a>\n\n"
		    "{% if config.tls_cert_mode == \"self\" %}\nself\n{% else %}\n"
		    "<div>raw *html*</div>\n{% endif %}\n" } },
	    { { "index.html",
		"<p>&quot;quotes&quot; -- stay</p>\n<p><a class=\"cta-button\"\n"
		"href=\"DCACCOUNT:https://chat.example.org/new\">go</a></p>\n"
		"<div>raw *html*</div>\n" } },
	    3 },
	{ "no conflict",
	    { { "src/index.md", "=======\n<<<<<<<\n>>>>>>>\n" },
		{ "src/page-layout.html", "y" },
		{ "src/a.txt", "<<<<<<<\n=======\n>>>>>>>\n" },
		{ "src/b.css", " <<<<<<<\n=======\n>>>>>>>\n" },
		{ "src/c.css", "<<<<<<<\n======\n>>>>>>>\n" } },
	    { { "a.txt", NULL } }, 6 },
};

static void folder(void **state)
{
	const struct folder_case *c = *state;
	char *dir = make_folder(c->sources);
	struct config *config = make_config(
	    "chat.example.org", dir, "privacy_mail = me_&_you@example.org\n");
	char error[PAGE_ERROR_MAX];
	struct page_files site;

	if (page_make(config, false, &site, error) != PAGE_MADE)
		fail_msg("%s", error);
	assert_int_equal(site.n, c->n);
	for (const struct source *s = c->site; s->path; s++) {
		const char *text = text_of(&site, s->path);

		if (s->text)
			assert_string_equal(text, s->text);
	}
	page_files_deinit(&site);
	config_free(config);
	support_tmpdir_remove(dir);
}

static const struct mistake_case {
	const char *name;
	struct source sources[SOURCES_MAX];
	const char *want; /* of the message, behind the folder's path */
} mistake_cases[] = {
	{ "an unknown name",
	    { { "src/index.md", "a\nb\n{{ foo }}" }, { "src/page-layout.html", "x" } },
	    "/src/index.md:3: there is no variable 'foo'" },
	{ "in the layout",
	    { { "src/index.md", "a" }, { "src/page-layout.html", "x\n{{ foo }}" } },
	    "/src/page-layout.html:2: there is no variable 'foo'" },
	{ "in a tag",
	    { { "src/index.md", "a\n\nb <a href={{ pagename }}>" },
		{ "src/page-layout.html", "{{ markdown_html }}" } },
	    "/src/index.md:3: an expression within a tag must stand in quotes" },
	{ "no layout", { { "src/index.md", "a" } },
	    "/src/page-layout.html: there is no such file" },
	{ "a conflict",
	    { { "src/index.md", "a" }, { "src/page-layout.html", "x" },
		{ "src/info.md", "<<<<<<< HEAD\na\n======= \nb\n>>>>>>> other\n" } },
	    "/src/info.md: holds conflict markers" },
	{ "a conflict in a style sheet",
	    { { "src/index.md", "a" }, { "src/page-layout.html", "x" },
		{ "src/a.css", "a\n<<<<<<<\n=======\n>>>>>>>" } },
	    "/src/a.css: holds conflict markers" },
	{ "a conflict in a copied page",
	    { { "src/index.md", "a" }, { "src/page-layout.html", "x" },
		{ "src/n/a.html", "<<<<<<<\n=======\n\n>>>>>>>" } },
	    "/src/n/a.html: holds conflict markers" },
	{ "made of two",
	    { { "src/index.md", "a" }, { "src/index.html", "b" },
		{ "src/page-layout.html", "x" } },
	    "/src/index.html: made of two sources" },
	{ "a file and a folder",
	    { { "src/index.md", "a" }, { "src/page-layout.html", "x" },
		{ "src/index.html/a.txt", "b" } },
	    "/src/index.html/a.txt: made of two sources" },
};

static void mistake(void **state)
{
	const struct mistake_case *c = *state;
	char *dir = make_folder(c->sources), error[PAGE_ERROR_MAX];
	struct config *config = make_config("chat.example.org", dir, "");
	struct page_files site;

	assert_int_equal(page_make(config, false, &site, error), PAGE_FAILED);
	assert_int_equal(site.n, 0);
	assert_int_equal(strncmp(error, dir, strlen(dir)), 0);
	if (strncmp(error + strlen(dir), c->want, strlen(c->want)) != 0)
		assert_string_equal(error + strlen(dir), c->want);
	config_free(config);
	support_tmpdir_remove(dir);
}

static void no_folder(void **state)
{
	static const char *const folders[] = { "disabled", "/dev/null" };

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		struct config *config = make_config("chat.example.org", folders[i], "");
		char error[PAGE_ERROR_MAX];
		struct page_files site;

		assert_int_equal(page_make(config, false, &site, error), PAGE_NONE);
		assert_non_null(strstr(error, folders[i]));
		assert_int_equal(site.n, 0);
		config_free(config);
	}
}

static void no_file(void **state)
{
	const struct source sources[] = { { "index.html", "x" }, { NULL, NULL } };
	char *dir = make_folder(sources), error[PAGE_ERROR_MAX];
	char *fifo = support_path(dir, "pipe"), *loop = support_path(dir, "loop");
	struct config *config = make_config("chat.example.org", dir, "");
	struct page_files site;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(page_make(config, false, &site, error), PAGE_FAILED);
	assert_non_null(strstr(error, "/pipe: neither a file nor a folder"));
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(symlink(".", loop), 0);
	assert_int_equal(page_make(config, false, &site, error), PAGE_FAILED);
	assert_non_null(strstr(error, "/loop: neither a file nor a folder"));
	assert_int_equal(unlink(loop), 0);
	assert_int_equal(symlink("index.html", loop), 0);
	assert_int_equal(page_make(config, false, &site, error), PAGE_MADE);
	assert_string_equal(text_of(&site, "loop"), "x");
	page_files_deinit(&site);
	free(fifo);
	free(loop);
	config_free(config);
	support_tmpdir_remove(dir);
}

static void reload_for_webdev_only(void **state)
{
	struct config *config = make_config("chat.example.org", "", "");
	char error[PAGE_ERROR_MAX];
	struct page_files site;

	assert_int_equal(page_make(config, true, &site, error), PAGE_MADE);
	assert_int_equal(
	    count(text_of(&site, "index.html"), "http-equiv=\"refresh\""), 1);
	page_files_deinit(&site);
	config_free(config);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(shipped) },
		{ SUPPORT_TEST(home) },
		{ SUPPORT_TEST(home_of_a_self_signed_relay) },
		{ SUPPORT_TEST(home_of_an_address) },
		{ SUPPORT_TEST(limits_are_those_of_the_config) },
		{ SUPPORT_TEST(operator_is_shown) },
		{ SUPPORT_TEST(same_twice) },
		{ SUPPORT_TABLE(folder, folder_cases) },
		{ SUPPORT_TABLE(mistake, mistake_cases) },
		{ SUPPORT_TEST(no_folder) },
		{ SUPPORT_TEST(no_file) },
		{ SUPPORT_TEST(reload_for_webdev_only) },
	};

	return support_run("page", tests, ARRAY_LEN(tests));
}
