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

static bool always(const struct config *c)
{
	return true;
}

static bool with_echobot(const struct config *c)
{
	return c->echobot;
}

static bool with_iroh(const struct config *c)
{
	return c->iroh == IROH_LOCAL;
}

/* Answered by nginx from elsewhere or written by its component: no page can stand there.
 * Of a relay that has them. */
static const struct place {
	const char *path;
	bool (*has)(const struct config *c);
} places[] = {
	{ ".well-known/acme-challenge", always },
	{ ".well-known/autoconfig", always },
	{ ".well-known/mta-sts.txt", always },
	{ "cgi-bin", always },
	{ "echobot", with_echobot },
	{ "generate_204", with_iroh },
	{ "metrics", always },
	{ "new", always },
	{ "ping", with_iroh },
	{ "relay", with_iroh },
};

static bool is_taken(const struct config *c, const char *path)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		size_t len = strlen(places[i].path);

		if (strncmp(path, places[i].path, len) == 0 &&
		    (path[len] == '\0' || path[len] == '/'))
			return places[i].has(c);
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

static void want_page(
    const struct config *c, struct wanted *w, const struct page_file *f)
{
	char *path;

	if (is_taken(c, f->path)) {
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
		want_page(r->config, w, &site.file[i]);
	page_files_deinit(&site);
	if (*r->config->www_folder == '\0')
		remark_privacy(r->config);
	return true;
}

const struct component website_component = { "website", want };
