/*
 * The web pages, below /var/www/html. Nothing else there is touched: what other components
 * and the operator put there stays, and a page that is no longer wanted goes because a
 * former run uploaded it. A mistake in the pages does not stop a deployment; the pages on
 * the server then stay as they are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "deploy/component.h"
#include "deploy/page.h"
#include "deploy/progress.h"
#include "deploy/text.h"

#define ROOT "/var/www/html"
#define USER "www-data"

/* Answered by nginx from elsewhere or written by its component: no page can stand there. */
static const char *const taken[] = {
	".well-known/acme-challenge",
	".well-known/autoconfig",
	".well-known/mta-sts.txt",
	"cgi-bin",
	"metrics",
	"new",
};

static bool is_taken(const char *path)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		size_t len = strlen(taken[i]);

		if (strncmp(path, taken[i], len) == 0 &&
		    (path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

/* The folders above a file. */
static void want_folders(struct wanted *w, const char *path)
{
	char *folder = strdup(path);

	if (!folder)
		abort();
	for (char *slash = folder + strlen(ROOT); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		want_directory(w, folder, USER, USER, 0755);
		*slash = '/';
	}
	free(folder);
}

static void want_page(struct wanted *w, const struct page_file *f)
{
	char *path;

	if (is_taken(f->path)) {
		say("The page %s is passed over: the relay answers there itself.",
		    f->path);
		return;
	}
	if (asprintf(&path, ROOT "/%s", f->path) < 0)
		abort();
	want_folders(w, path);
	want_file(w, &(struct wanted_file){ .path = path,
			 .content = f->data,
			 .len = f->len,
			 .owner = USER,
			 .group = USER,
			 .mode = 0644 });
	free(path);
}

/* What the privacy page cannot do without. */
static void remark_privacy(const struct config *c)
{
	const struct {
		const char *key, *value;
	} rows[] = {
		{ "privacy_postal", c->privacy_postal },
		{ "privacy_mail", c->privacy_mail },
		{ "privacy_pdo", c->privacy_pdo },
		{ "privacy_supervisor", c->privacy_supervisor },
	};
	struct text missing = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (*rows[i].value == '\0')
			text_printf(
			    &missing, "%s%s", missing.len ? ", " : "", rows[i].key);
	}
	if (missing.len > 0)
		say("The privacy page says \"not configured\" for: %s", missing.data);
	text_free(&missing);
}

static bool want(struct relay *r, struct wanted *w)
{
	struct page_files site;
	char error[PAGE_ERROR_MAX];

	switch (page_make(r->config, false, &site, error)) {
	case PAGE_MADE:
		break;
	case PAGE_NONE:
		say("No web pages are uploaded: %s", error);
		return true;
	case PAGE_FAILED:
		say_bad("%s", error);
		say_bad("The web pages on the server stay as they are.");
		return true;
	}
	for (size_t i = 0; i < site.n; i++)
		want_page(w, &site.file[i]);
	page_files_deinit(&site);
	if (*r->config->www_folder == '\0')
		remark_privacy(r->config);
	return true;
}

const struct component website_component = { "website", want };
