/* Which language a page is in, how it leads to the others, and who gets to see it. */
#include "deploy/page_language.h"

#include <stdlib.h>

#include "test/support.h"

static void add(struct page_files *files, const char *path)
{
	page_files_take(files, path, strdup(path), strlen(path));
}

/* Blank-separated paths. */
static struct page_files make_files(const char *paths)
{
	struct page_files files = { 0 };
	struct span rest = span_of(paths), path;

	while (span_cut(&rest, ' ', &path)) {
		char *name = span_dup(path);

		add(&files, name);
		free(name);
	}
	page_files_sort(&files);
	return files;
}

static const struct name_case {
	const char *name, *files, *path;
	const char *stem, *language; /* stem NULL: no page */
} name_cases[] = {
	{ "a page", "info.md", "info.md", "info", "" },
	{ "in German", "info.md info.de.md", "info.de.md", "info", "de" },
	{ "of a country", "info.md info.pt-br.md", "info.pt-br.md", "info", "pt-br" },
	{ "without the page for all", "info.de.md", "info.de.md", "info.de", "" },
	{ "no language", "info.md info.old.md", "info.old.md", "info.old", "" },
	{ "capital letters", "info.md info.DE.md", "info.DE.md", "info.DE", "" },
	{ "below", "a/b.md a/b.fr.md", "a/b.fr.md", "a/b", "fr" },
	{ "no page at all", "info.html", "info.html", NULL, NULL },
	{ "nothing but a language", ".de.md", ".de.md", ".de", "" },
};

static void name(void **state)
{
	const struct name_case *c = *state;
	struct page_files files = make_files(c->files);
	struct page_name got;

	assert_true(page_name_parse(&files, c->path, &got) == (c->stem != NULL));
	if (c->stem) {
		support_assert_span(got.stem, span_of(c->stem));
		assert_string_equal(got.language, c->language);
	}
	page_files_deinit(&files);
}

static const struct links_case {
	const char *name, *files, *path;
	const char *links, *alternates;
} links_cases[] = {
	{ "one language", "info.md", "info.md", "", "" },
	{ "the page for all", "info.md info.de.md", "info.md",
	    "<a href=\"/info.de.html\" hreflang=\"de\" lang=\"de\">Deutsch</a>\n",
	    "<link rel=\"alternate\" hreflang=\"de\" href=\"/info.de.html\">\n"
	    "<link rel=\"alternate\" hreflang=\"en\" href=\"/info.en.html\">\n" },
	{ "the other", "info.md info.de.md", "info.de.md",
	    "<a href=\"/info.en.html\" hreflang=\"en\" lang=\"en\">English</a>\n",
	    "<link rel=\"alternate\" hreflang=\"de\" href=\"/info.de.html\">\n"
	    "<link rel=\"alternate\" hreflang=\"en\" href=\"/info.en.html\">\n" },
	{ "an unknown one, and a name that needs care", "a%22.md a%22.xx.md a%22.en.md",
	    "a%22.en.md",
	    "<a href=\"/a%2522.xx.html\" hreflang=\"xx\" lang=\"xx\">xx</a>\n",
	    "<link rel=\"alternate\" hreflang=\"en\" href=\"/a%2522.en.html\">\n"
	    "<link rel=\"alternate\" hreflang=\"xx\" href=\"/a%2522.xx.html\">\n" },
};

static void links(void **state)
{
	const struct links_case *c = *state;
	struct page_files files = make_files(c->files);
	struct text got = { 0 }, alternates = { 0 };
	struct page_name name;

	assert_true(page_name_parse(&files, c->path, &name));
	page_language_links(&files, &name, &got, &alternates);
	support_assert_span(text_span(&got), span_of(c->links));
	support_assert_span(text_span(&alternates), span_of(c->alternates));
	text_free(&got);
	text_free(&alternates);
	page_files_deinit(&files);
}

#define SITE "index.html index.de.html index.en.html info.html main.css n/index.html"

static const struct negotiate_case {
	const char *name, *path, *header, *want;
} negotiate_cases[] = {
	{ "no header", "/", NULL, "index.html" },
	{ "German", "/", "de", "index.de.html" },
	{ "German of Austria", "/", "de-AT,de;q=0.9,en;q=0.8", "index.de.html" },
	{ "English before German", "/", "en-US, de;q=0.5", "index.en.html" },
	{ "the second one", "/", "fr, de;q=0.5", "index.de.html" },
	{ "one that is not there", "/", "fr", "index.html" },
	{ "only three are looked at", "/", "fr,it,es,de", "index.html" },
	{ "any", "/", "*", "index.html" },
	{ "by name", "/index.html", "de", "index.de.html" },
	{ "chosen", "/index.en.html", "de", "index.en.html" },
	{ "a page in one language", "/info.html", "de", "info.html" },
	{ "no page", "/main.css", "de", "main.css" },
	{ "a folder", "/n/", "de", "n/index.html" },
	{ "nothing", "/nothing.html", "de", NULL },
	{ "nonsense", "/", ",,;q=,x,\"../de\",", "index.html" },
};

static void negotiate(void **state)
{
	const struct negotiate_case *c = *state;
	struct page_files site = make_files(SITE);
	const struct page_file *got = page_negotiate(&site, c->path, c->header);

	if (c->want) {
		assert_non_null(got);
		assert_string_equal(got->path, c->want);
	} else {
		assert_null(got);
	}
	page_files_deinit(&site);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(name, name_cases) },
		{ SUPPORT_TABLE(links, links_cases) },
		{ SUPPORT_TABLE(negotiate, negotiate_cases) },
	};

	return support_run("page_language", tests, ARRAY_LEN(tests));
}
