#include "deploy/page_language.h"

#include <stdio.h>
#include <stdlib.h>

#define ACCEPTED_MAX 3 /* as many as nginx looks at */

/* Languages in their own words; others are shown by their code. */
static const struct {
	const char *code, *name;
} names[] = {
	{ "ar", "العربية" },
	{ "ca", "Català" },
	{ "cs", "Čeština" },
	{ "da", "Dansk" },
	{ "de", "Deutsch" },
	{ "en", "English" },
	{ "es", "Español" },
	{ "fa", "فارسی" },
	{ "fi", "Suomi" },
	{ "fr", "Français" },
	{ "hu", "Magyar" },
	{ "id", "Indonesia" },
	{ "it", "Italiano" },
	{ "ja", "日本語" },
	{ "ko", "한국어" },
	{ "nl", "Nederlands" },
	{ "pl", "Polski" },
	{ "pt", "Português" },
	{ "ro", "Română" },
	{ "ru", "Русский" },
	{ "sq", "Shqip" },
	{ "sv", "Svenska" },
	{ "tr", "Türkçe" },
	{ "uk", "Українська" },
	{ "zh", "中文" },
};

static const char *language_name(const char *code)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].code, code) == 0)
			return names[i].name;
	}
	return code;
}

static bool is_small(char c)
{
	return c >= 'a' && c <= 'z';
}

/* "de", "pt-br" */
static bool is_language(struct span s)
{
	if (s.len != 2 && (s.len != 5 || s.data[2] != '-'))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (i != 2 && !is_small(s.data[i]))
			return false;
	}
	return true;
}

bool page_has_language(
    const struct page_files *files, struct span stem, const char *language)
{
	const struct page_file *found;
	char *path;

	if (asprintf(&path, "%.*s%s%s.md", SPAN_ARG(stem), *language ? "." : "",
		language) < 0)
		abort();
	found = page_files_find(files, path);
	free(path);
	return found != NULL;
}

bool page_name_parse(
    const struct page_files *files, const char *path, struct page_name *name)
{
	struct span s = span_of(path), suffix;
	const char *dot;

	if (!span_ends(s, span_of(".md")))
		return false;
	s.len -= strlen(".md");
	*name = (struct page_name){ .stem = s };
	dot = memrchr(s.data, '.', s.len);
	if (!dot || dot == s.data)
		return true;
	suffix = span_skip(s, (size_t)(dot - s.data) + 1);
	s.len = (size_t)(dot - s.data);
	/* Without info.md, "info.de" is a name like any other. */
	if (is_language(suffix) && page_has_language(files, s, "")) {
		memcpy(name->language, suffix.data, suffix.len);
		name->stem = s;
	}
	return true;
}

/* Call visit for each language of the page that has a URL of its own. */
static size_t each_language(const struct page_files *files, struct span stem,
    void (*visit)(void *arg, const char *language), void *arg)
{
	bool english = page_has_language(files, stem, PAGE_LANGUAGE_DEFAULT);
	size_t n = 0;

	for (size_t i = 0; i < files->n; i++) {
		struct page_name name;

		if (!page_name_parse(files, files->file[i].path, &name) ||
		    !span_equal(name.stem, stem) || name.language[0] == '\0')
			continue;
		if (visit)
			visit(arg, name.language);
		n++;
	}
	if (n > 0 && !english) {
		if (visit)
			visit(arg, PAGE_LANGUAGE_DEFAULT);
		n++;
	}
	return n;
}

bool page_has_languages(const struct page_files *files, struct span stem)
{
	return each_language(files, stem, NULL, NULL) > 0;
}

struct linker {
	struct span stem;
	const char *own;
	struct text *links, *alternates;
};

static void add_link(void *arg, const char *language)
{
	struct linker *l = arg;

	text_printf(l->alternates,
	    "<link rel=\"alternate\" hreflang=\"%s\" href=\"/%.*s.%s.html\">\n",
	    language, SPAN_ARG(l->stem), language);
	if (strcmp(language, l->own) == 0)
		return;
	text_printf(l->links,
	    "<a href=\"/%.*s.%s.html\" hreflang=\"%s\" lang=\"%s\">%s</a>\n",
	    SPAN_ARG(l->stem), language, language, language, language_name(language));
}

void page_language_links(const struct page_files *files, const struct page_name *name,
    struct text *links, struct text *alternates)
{
	struct text stem = { 0 };
	struct linker l = {
		.own = name->language[0] ? name->language : PAGE_LANGUAGE_DEFAULT,
		.links = links,
		.alternates = alternates,
	};

	for (size_t i = 0; i < name->stem.len; i++) {
		char c = name->stem.data[i];

		/* Of a URL, RFC 3986 section 3.3; quotes and "<" are not. */
		if (c == '%' || c == '"' || c == '<' || c == '&' || c == ' ' ||
		    c == '?' || c == '#')
			text_printf(&stem, "%%%02X", (unsigned char)c);
		else
			text_add_span(&stem, span_make(&c, 1));
	}
	l.stem = text_span(&stem);
	each_language(files, name->stem, add_link, &l);
	text_free(&stem);
}

/* The first two letters of each language in an Accept-Language header. */
static size_t accepted(const char *header, char code[ACCEPTED_MAX][3])
{
	struct span rest = span_of(header ? header : ""), one;
	size_t n = 0;

	while (n < ACCEPTED_MAX && span_cut(&rest, ',', &one)) {
		one = span_trim(one);
		if (one.len < 2)
			continue;
		snprintf(code[n++], 3, "%.2s", one.data);
	}
	return n;
}

const struct page_file *page_negotiate(
    const struct page_files *site, const char *path, const char *accept_language)
{
	char code[ACCEPTED_MAX][3];
	size_t ncodes = accepted(accept_language, code), len;
	const struct page_file *found = NULL;
	char *name, *tried;

	path += strspn(path, "/");
	len = strlen(path);
	if (asprintf(&name, "%s%s", path,
		len == 0 || path[len - 1] == '/' ? "index.html" : "") < 0)
		abort();
	if (span_ends(span_of(name), span_of(".html"))) {
		int stem = (int)(strlen(name) - strlen(".html"));

		for (size_t i = 0; i < ncodes && !found; i++) {
			if (asprintf(&tried, "%.*s.%s.html", stem, name, code[i]) < 0)
				abort();
			found = page_files_find(site, tried);
			free(tried);
		}
	}
	if (!found)
		found = page_files_find(site, name);
	free(name);
	return found;
}
