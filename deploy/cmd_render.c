/*
 * cmdeploy render: every file below templates/COMPONENT/ becomes a file below OUTDIR,
 * at the same place and with the same mode. It changes nothing else on the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/config.h"
#include "deploy/command.h"
#include "deploy/context.h"
#include "deploy/template.h"

#define TEMPLATE_FILE_MAX (1 << 20) /* bytes */
#define SETS_MAX          64        /* --set options */

struct options {
	const char *templates; /* directory */
	const char *set[SETS_MAX];
	size_t nset;
	const char *ini;
	const char *outdir;
};

static void print_help(void)
{
	const struct host_variable *v;
	size_t n;

	puts("Usage: cmdeploy render [OPTION]... INI OUTDIR\n"
	     "Fill the templates with the values of the file INI; write below "
	     "OUTDIR.\n\n"
	     "  --templates DIR    use the templates of DIR\n"
	     "  --set NAME=VALUE   say where things are on the server, see below\n\n"
	     "Variables of --set and their defaults:");
	v = host_variables(&n);
	for (size_t i = 0; i < n; i++)
		printf("  %s=%s\n      %s\n", v[i].name, v[i].fallback, v[i].help);
}

static bool complain(const char *path)
{
	fprintf(stderr, "cmdeploy: %s: %s\n", path, strerror(errno));
	return false;
}

/* The whole file in one allocation; false after a message on stderr. */
static bool read_template(const char *path, char **data, size_t *len)
{
	FILE *file = fopen(path, "re");
	char *text;

	if (!file)
		return complain(path);
	text = malloc(TEMPLATE_FILE_MAX + 1);
	if (!text)
		abort();
	*len = fread(text, 1, TEMPLATE_FILE_MAX + 1, file);
	if (ferror(file))
		complain(path);
	else if (*len > TEMPLATE_FILE_MAX)
		fprintf(stderr, "cmdeploy: %s: larger than 1 MiB\n", path);
	else
		*data = text;
	fclose(file);
	if (*data != text)
		free(text);
	return *data == text;
}

/* Make the directories above path. */
static bool make_parents(char *path)
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

static bool write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return true;
}

/* Beside and renamed, so that nobody ever reads half a file. */
static bool write_beside(const char *path, const char *data, size_t len, mode_t mode)
{
	char *beside;
	bool good;
	int fd;

	if (asprintf(&beside, "%s.new-XXXXXX", path) < 0)
		abort();
	fd = mkostemp(beside, O_CLOEXEC);
	if (fd < 0) {
		complain(beside);
		free(beside);
		return false;
	}
	good = write_all(fd, data, len) && fchmod(fd, mode) == 0;
	good = close(fd) == 0 && good;
	good = good && rename(beside, path) == 0;
	if (!good) {
		complain(path);
		unlink(beside);
	}
	free(beside);
	return good;
}

static bool render_file(const struct options *o, const json_t *context,
    const char *from, const char *below, mode_t mode)
{
	char error[TEMPLATE_ERROR_MAX], *to = NULL, *text = NULL, *result = NULL;
	size_t len = 0, result_len = 0;
	bool good = false;

	if (!read_template(from, &text, &len))
		return false;
	result = template_render(
	    from, span_make(text, len), context, NULL, &result_len, error);
	if (!result) {
		fprintf(stderr, "cmdeploy: %s\n", error);
		goto out;
	}
	if (asprintf(&to, "%s/%s", o->outdir, below) < 0)
		abort();
	good = make_parents(to) &&
	       write_beside(to, result, result_len, mode & S_IXUSR ? 0755 : 0644);
out:
	free(to);
	free(result);
	free(text);
	return good;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* What stands behind "COMPONENT/" in a path below the templates directory, or NULL. */
static const char *below_component(const char *path, const char *templates)
{
	const char *slash;

	path += strlen(templates);
	path += strspn(path, "/");
	slash = strchr(path, '/');
	return slash ? slash + 1 : NULL;
}

/* One entry of the walk; false if it should have become a file and did not. */
static bool render_entry(
    const struct options *o, const json_t *context, const FTSENT *e)
{
	const char *below;

	switch (e->fts_info) {
	case FTS_D:
	case FTS_DP:
		return true;
	case FTS_F:
		below = below_component(e->fts_path, o->templates);
		if (!below || e->fts_name[e->fts_namelen - 1] == '~')
			return true; /* a note for maintainers, an editor's backup */
		return render_file(
		    o, context, e->fts_path, below, e->fts_statp->st_mode);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		errno = e->fts_errno;
		return complain(e->fts_path);
	default:
		fprintf(stderr, "cmdeploy: %s: no regular file\n", e->fts_path);
		return false;
	}
}

/* Goes on after a mistake, so that one run shows them all. */
static int render_all(const struct options *o, const json_t *context)
{
	char *paths[] = { (char *)o->templates, NULL };
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	int status = COMMAND_OK;
	FTSENT *e;

	if (!walk) {
		complain(o->templates);
		return COMMAND_FAILED;
	}
	while ((e = fts_read(walk))) {
		if (!render_entry(o, context, e))
			status = COMMAND_FAILED;
	}
	fts_close(walk);
	return status;
}

/* COMMAND_OK to go on, else (or after --help) the exit code. */
static int read_options(struct options *o, int argc, char **argv, bool *done)
{
	static const struct option longs[] = {
		{ "templates", required_argument, NULL, 't' },
		{ "set", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*done = true;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 't') {
			o->templates = optarg;
		} else if (c == 's' && o->nset == SETS_MAX) {
			fprintf(stderr, "cmdeploy: more than %d --set\n", SETS_MAX);
			return COMMAND_USAGE;
		} else if (c == 's') {
			o->set[o->nset++] = optarg;
		} else if (c == 'h') {
			print_help();
			return COMMAND_OK;
		} else {
			return COMMAND_USAGE; /* getopt has said why */
		}
	}
	/* Below "" would be below the root directory. */
	if (argc - optind != 2 || argv[optind + 1][0] == '\0') {
		fputs("Usage: cmdeploy render [OPTION]... INI OUTDIR\n", stderr);
		return COMMAND_USAGE;
	}
	o->ini = argv[optind];
	o->outdir = argv[optind + 1];
	*done = false;
	return COMMAND_OK;
}

static int run(int argc, char **argv)
{
	struct options o = { .templates = command_templates() };
	char error[CONTEXT_ERROR_MAX];
	struct config *config;
	json_t *context;
	bool done;
	int status = read_options(&o, argc, argv, &done);

	if (done)
		return status;
	config = config_load(o.ini, stderr);
	if (!config)
		return COMMAND_FAILED;
	context = context_create(config, o.set, o.nset, error);
	if (context) {
		status = render_all(&o, context);
		json_decref(context);
	} else {
		fprintf(stderr, "cmdeploy: %s\n", error);
		status = COMMAND_FAILED;
	}
	config_free(config);
	return status;
}

const struct command render_command = {
	.name = "render",
	.arguments = "[--templates DIR] [--set NAME=VALUE]... INI OUTDIR",
	.summary = "Fill the templates from the file INI; write below OUTDIR.",
	.run = run,
};
