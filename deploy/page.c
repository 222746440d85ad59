#include "deploy/page.h"

#include <cmark.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/page_expression.h"
#include "deploy/page_language.h"
#include "deploy/page_qr.h"

#define LAYOUT          "page-layout.html"
#define PAGE_SOURCE_MAX (1 << 20) /* bytes of a page or layout */
#define CONFLICT_LEN    7

struct maker {
	const struct config *config;
	bool webdev;
	const char *dir; /* of the sources, for messages */
	const struct page_files *sources;
	struct page_files *site;
	char *error;
};

const char *page_folder(const struct config *config)
{
	const char *dir = getenv("CMDEPLOY_WWW");

	if (*config->www_folder)
		return config->www_folder;
	if (dir && *dir)
		return dir;
	if (access(WWW_INSTALL_DIR, R_OK | X_OK) == 0)
		return WWW_INSTALL_DIR;
	return WWW_SOURCE_DIR;
}

static char *join(const char *a, const char *b)
{
	char *path;

	if (asprintf(&path, "%s/%s", a, b) < 0)
		abort();
	return path;
}

static bool is_type(const char *path, mode_t type)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

char *page_sources(const struct config *config, bool *built)
{
	const char *folder = page_folder(config);
	char *index, *dir;

	*built = false;
	if (!is_type(folder, S_IFDIR))
		return NULL;
	index = join(folder, "src/index.md");
	*built = is_type(index, S_IFREG);
	free(index);
	dir = *built ? join(folder, "src") : strdup(folder);
	if (!dir)
		abort();
	return dir;
}

/* What merging two versions leaves in a text when it could not decide. */
static bool has_conflict(const struct page_file *file)
{
	static const char markers[] = "<=>";
	struct span rest = span_make(file->data, file->len), line;
	size_t met = 0;

	while (met < 3 && span_cut(&rest, '\n', &line)) {
		size_t len = 0;

		while (len < line.len && line.data[len] == markers[met])
			len++;
		met += len >= CONFLICT_LEN;
	}
	return met == 3;
}

static bool has_suffix(const char *path, const char *suffix)
{
	return span_ends(span_of(path), span_of(suffix));
}

static bool check_conflicts(struct maker *m)
{
	for (size_t i = 0; i < m->sources->n; i++) {
		const struct page_file *f = &m->sources->file[i];

		if ((has_suffix(f->path, ".md") || has_suffix(f->path, ".html") ||
			has_suffix(f->path, ".css")) &&
		    has_conflict(f)) {
			snprintf(m->error, PAGE_ERROR_MAX,
			    "%s/%s: holds conflict markers (<<<<<<<, =======, "
			    ">>>>>>>): "
			    "decide between the two versions",
			    m->dir, f->path);
			return false;
		}
	}
	return true;
}

static bool complain(struct maker *m, const char *path, const char *why)
{
	snprintf(m->error, PAGE_ERROR_MAX, "%s/%s: %s", m->dir, path, why);
	return false;
}

static void to_markdown(struct text *text)
{
	/* The author's own markup passes. */
	char *html =
	    cmark_markdown_to_html(text_span(text).data, text->len, CMARK_OPT_UNSAFE);

	if (!html)
		abort();
	text_free(text);
	text_add(text, html);
	free(html);
}

/* Both steps of expansion; Markdown between them if the file is a page. */
static bool expand(struct maker *m, const struct page_file *file,
    const struct page_scope *scope, struct text *out)
{
	struct page_slots slots = { 0 };
	struct text text = { 0 };
	char *name;
	bool good;

	if (file->len > PAGE_SOURCE_MAX)
		return complain(m, file->path, "larger than 1 MiB");
	name = join(m->dir, file->path);
	good = page_expand(
	    name, span_make(file->data, file->len), scope, &slots, &text, m->error);
	if (good && !scope->markdown_html)
		to_markdown(&text);
	good = good && page_fill(name, text_span(&text), &slots, out, m->error);
	page_slots_deinit(&slots);
	text_free(&text);
	free(name);
	return good;
}

/* The page within its layout, added to the site as path. */
static bool make_html(struct maker *m, const struct page_file *layout,
    const struct page_file *source, struct page_scope *scope, const char *path)
{
	struct text body = { 0 }, html = { 0 };
	bool good = expand(m, source, scope, &body);

	if (good) {
		scope->markdown_html = text_span(&body).data;
		good = expand(m, layout, scope, &html);
	}
	if (good) {
		size_t len = html.len;

		page_files_take(m->site, path, text_take(&html), len);
	}
	text_free(&body);
	text_free(&html);
	return good;
}

/* One page in the language that name tells. */
static bool make_page(struct maker *m, const struct page_file *layout,
    const struct page_file *source, const struct page_name *name)
{
	struct text links = { 0 }, alternates = { 0 };
	char *stem = span_dup(name->stem), *suffix, *path;
	struct page_scope scope = {
		.config = m->config,
		.webdev = m->webdev,
		.language = *name->language ? name->language : PAGE_LANGUAGE_DEFAULT,
	};
	bool good;

	if (!stem ||
	    asprintf(&suffix, "%s%s", *name->language ? "." : "", name->language) < 0 ||
	    asprintf(&path, "%s%s.html", stem, suffix) < 0)
		abort();
	page_language_links(m->sources, name, &links, &alternates);
	scope.pagename = strcmp(stem, "index") == 0 ? "home" : stem;
	scope.language_suffix = suffix;
	scope.language_links = text_span(&links).data;
	scope.alternate_links = text_span(&alternates).data;
	good = make_html(m, layout, source, &scope, path);
	text_free(&links);
	text_free(&alternates);
	free(path);
	free(suffix);
	free(stem);
	return good;
}

static bool make_pages(struct maker *m, const struct page_file *layout,
    const struct page_file *source, const struct page_name *name)
{
	struct page_name english = *name;

	if (!make_page(m, layout, source, name))
		return false;
	if (*name->language || !page_has_languages(m->sources, name->stem) ||
	    page_has_language(m->sources, name->stem, PAGE_LANGUAGE_DEFAULT))
		return true;
	/* So that who reads another language can choose this one. */
	strcpy(english.language, PAGE_LANGUAGE_DEFAULT);
	return make_page(m, layout, source, &english);
}

static void copy_file(struct maker *m, const struct page_file *file)
{
	char *data = malloc(file->len + 1);

	if (!data)
		abort();
	memcpy(data, file->data, file->len + 1);
	page_files_take(m->site, file->path, data, file->len);
}

void page_invite(const struct config *config, char url[PAGE_URL_MAX])
{
	snprintf(
	    url, PAGE_URL_MAX, "DCACCOUNT:https://%s/new", config->mail_domain_bare);
}

/* The QR code as SVG and PNG, unless the sources hold files of these names. */
static bool make_qr(struct maker *m)
{
	static const struct {
		const char *suffix;
		bool (*draw)(const char *text, struct text *out);
	} forms[] = { { "svg", page_qr_svg }, { "png", page_qr_png } };
	char url[PAGE_URL_MAX];

	page_invite(m->config, url);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct text picture = { 0 };
		char *path;
		bool good;

		if (asprintf(&path, "qr-chatmail-invite-%s.%s",
			m->config->mail_domain_bare, forms[i].suffix) < 0)
			abort();
		good =
		    page_files_find(m->sources, path) || forms[i].draw(url, &picture);
		if (!good)
			complain(m, path, "the QR code could not be drawn");
		if (picture.len > 0) {
			size_t len = picture.len;

			page_files_take(m->site, path, text_take(&picture), len);
		}
		free(path);
		text_free(&picture);
		if (!good)
			return false;
	}
	return true;
}

/* Whether a folder above path is a file of the site. */
static bool is_below_file(const struct page_files *site, const char *path)
{
	char *folder = strdup(path);
	bool found = false;

	if (!folder)
		abort();
	for (char *slash = strchr(folder, '/'); slash && !found;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		found = page_files_find(site, folder) != NULL;
		*slash = '/';
	}
	free(folder);
	return found;
}

/* Two sources may have made the same file, or one what is another's folder. */
static bool check_twice(struct maker *m)
{
	page_files_sort(m->site);
	for (size_t i = 0; i < m->site->n; i++) {
		const char *path = m->site->file[i].path;

		if ((i > 0 && strcmp(path, m->site->file[i - 1].path) == 0) ||
		    is_below_file(m->site, path))
			return complain(m, path, "made of two sources: remove one");
	}
	return true;
}

static bool make_site(struct maker *m)
{
	const struct page_file *layout = page_files_find(m->sources, LAYOUT);

	if (!check_conflicts(m))
		return false;
	if (!layout)
		return complain(m, LAYOUT, "there is no such file");
	for (size_t i = 0; i < m->sources->n; i++) {
		const struct page_file *f = &m->sources->file[i];
		struct page_name name;

		if (f == layout)
			continue;
		if (!page_name_parse(m->sources, f->path, &name))
			copy_file(m, f);
		else if (!make_pages(m, layout, f, &name))
			return false;
	}
	return make_qr(m) && check_twice(m);
}

enum page_result page_make(const struct config *config, bool webdev,
    struct page_files *site, char error[PAGE_ERROR_MAX])
{
	struct page_files sources = { 0 };
	struct maker m = {
		.config = config,
		.webdev = webdev,
		.sources = &sources,
		.site = site,
		.error = error,
	};
	bool built, good;
	char *dir = page_sources(config, &built);

	*site = (struct page_files){ 0 };
	error[0] = '\0';
	if (!dir) {
		snprintf(error, PAGE_ERROR_MAX, "%s is no folder", page_folder(config));
		return PAGE_NONE;
	}
	m.dir = dir;
	good = page_files_read(&sources, dir, error);
	if (good && built) {
		good = make_site(&m);
		page_files_deinit(&sources);
	} else if (good) {
		*site = sources;
	}
	if (!good) {
		page_files_deinit(&sources);
		page_files_deinit(site);
	}
	free(dir);
	return good ? PAGE_MADE : PAGE_FAILED;
}
