/*
 * cmdeploy webdev: the web pages as a visitor will see them, on this machine only, made
 * anew whenever a source or the config changes. Nothing is written to disk, unless the pages
 * are asked for as files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/command.h"
#include "deploy/page.h"
#include "deploy/progress.h"
#include "deploy/webdev_server.h"
#include "deploy/webdev_watch.h"

#define PORT_DEFAULT 8000

struct webdev {
	struct command_common common;
	struct event_base *base;
	struct webdev_server *server;
	struct webdev_watch *watch;
	struct config *config;
	struct page_files site;
	char error[PAGE_ERROR_MAX]; /* what is wrong now; "" if nothing */
	unsigned builds;
};

/* --- pages as files ----------------------------------------------------------------- */

static bool complain(const char *path)
{
	say_bad("%s: %s", path, strerror(errno));
	return false;
}

/* Make the folders above path. */
static bool make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		int made;

		*slash = '\0';
		made = mkdir(path, 0755);
		if (made < 0 && errno != EEXIST)
			return complain(path);
		*slash = '/';
	}
	return true;
}

static bool write_file(const char *dir, const struct page_file *f)
{
	bool good = false;
	FILE *file;
	char *path;

	if (asprintf(&path, "%s/%s", dir, f->path) < 0)
		abort();
	if (make_folders(path)) {
		file = fopen(path, "we");
		good = file && fwrite(f->data, 1, f->len, file) == f->len;
		good = file && fclose(file) == 0 && good;
		if (!good)
			complain(path);
	}
	free(path);
	return good;
}

static int write_site(const struct config *config, const char *dir)
{
	char error[PAGE_ERROR_MAX];
	struct page_files site;
	bool good = page_make(config, false, &site, error) == PAGE_MADE;

	if (!good)
		say_bad("%s", error);
	for (size_t i = 0; good && i < site.n; i++)
		good = write_file(dir, &site.file[i]);
	page_files_deinit(&site);
	return good ? COMMAND_OK : COMMAND_FAILED;
}

/* --- pages served ------------------------------------------------------------------- */

static void print_url(const struct webdev *d)
{
	printf("http://127.0.0.1:%u/\n", webdev_server_port(d->server));
	fflush(stdout);
}

static void say_changed(
    const char *path, const struct page_file *before, const struct page_file *now)
{
	if (before && now && before->len == now->len &&
	    memcmp(before->data, now->data, now->len) == 0)
		return;
	say("  %s%s", path, !before ? " (new)" : !now ? " (gone)" : "");
}

static void say_changes(const struct page_files *before, const struct page_files *now)
{
	for (size_t i = 0; i < before->n; i++)
		say_changed(before->file[i].path, &before->file[i],
		    page_files_find(now, before->file[i].path));
	for (size_t i = 0; i < now->n; i++) {
		if (!page_files_find(before, now->file[i].path))
			say_changed(now->file[i].path, NULL, &now->file[i]);
	}
}

static void build(struct webdev *d)
{
	struct page_files site;

	d->builds++;
	if (page_make(d->config, true, &site, d->error) != PAGE_MADE) {
		say_bad("%s", d->error);
	} else {
		if (d->builds > 1) {
			say("Build %u:", d->builds);
			say_changes(&d->site, &site);
		}
		page_files_deinit(&d->site);
		d->site = site;
	}
	webdev_server_show(
	    d->server, d->config, &d->site, d->error[0] ? d->error : NULL);
}

static void watch(struct webdev *d)
{
	bool built;
	char *dir = page_sources(d->config, &built);

	/* The whole folder: src/ may come or go. */
	if (webdev_watch_set(
		d->watch, dir ? page_folder(d->config) : NULL, d->common.config) < 0)
		say_bad("Changes cannot be watched: %s", strerror(errno));
	free(dir);
}

/* Watched again before it is built, so that no change falls between. */
static void on_changed(void *arg)
{
	struct webdev *d = arg;
	struct config *config = command_load_config(&d->common);

	if (config) {
		config_free(d->config);
		d->config = config;
	}
	watch(d);
	build(d);
	print_url(d);
}

static int serve(struct webdev *d, uint16_t port, bool any)
{
	int status = COMMAND_FAILED;

	d->base = event_base_new();
	if (!d->base)
		abort();
	d->server = webdev_server_create(d->base, port);
	if (!d->server && any)
		d->server = webdev_server_create(d->base, 0);
	if (!d->server) {
		say_bad("Port %u of 127.0.0.1 is taken: %s", port, strerror(errno));
		goto out;
	}
	d->watch = webdev_watch_create(d->base, on_changed, d);
	watch(d);
	build(d);
	print_url(d);
	say("Watching %s; Ctrl-C ends.", page_folder(d->config));
	if (event_base_dispatch(d->base) == 0)
		status = COMMAND_OK;
out:
	webdev_watch_free(d->watch);
	webdev_server_free(d->server);
	event_base_free(d->base);
	page_files_deinit(&d->site);
	return status;
}

static bool read_port(const char *text, uint16_t *port)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n > UINT16_MAX)
		return false;
	*port = (uint16_t)n;
	return true;
}

static int run(int argc, char **argv)
{
	struct webdev d = { 0 };
	const char *port_text = NULL, *dir = NULL;
	const struct command_option options[] = {
		{ "port", "PORT", "serve there (default: 8000, else any free one)",
		    NULL, &port_text },
		{ "build", "DIR", "only write the pages below DIR, as run uploads them",
		    NULL, &dir },
	};
	uint16_t port = PORT_DEFAULT;
	int status;

	if (!command_parse(&webdev_command, options,
		sizeof(options) / sizeof(options[0]), &d.common, 0, 0, argc, argv,
		&status))
		return status;
	if (port_text && !read_port(port_text, &port)) {
		say_bad("--port %s: write a number from 0 to 65535", port_text);
		return COMMAND_USAGE;
	}
	d.config = command_load_config(&d.common);
	if (!d.config)
		return COMMAND_FAILED;
	status = dir ? write_site(d.config, dir) : serve(&d, port, !port_text);
	config_free(d.config);
	return status;
}

const struct command webdev_command = {
	.name = "webdev",
	.arguments = "[--port PORT] [--build DIR]",
	.summary = "Show the web pages on this machine while you edit them.",
	.run = run,
};
