/* What the mailboxes hold: chatmailctl report, chatmail-fsreport, chatmail-metrics. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/ctl.h"
#include "chatmaild/ctl_old.h"
#include "chatmaild/fsreport.h"

#define PAGE_FILE "/var/www/html/metrics"
#define DAY       86400

/* --- chatmailctl report -------------------------------------------------------------- */

static json_t *numbers(const uint64_t *of, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_integer((json_int_t)of[i]));
	return array;
}

static void put_report_json(const struct fsreport *r)
{
	json_t *sizes = json_array(), *days = json_array(), *object;

	for (size_t i = 0; i < FSREPORT_SIZES; i++)
		json_array_append_new(sizes, json_integer(fsreport_sizes[i]));
	for (size_t i = 0; i < FSREPORT_LOGINS; i++)
		json_array_append_new(days, json_integer(fsreport_days[i]));
	object = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "accounts",
	    (json_int_t)r->accounts, "ci", (json_int_t)r->ci, "messages_bytes",
	    (json_int_t)r->messages_bytes, "extra_bytes", (json_int_t)r->extra_bytes,
	    "min_size", sizes, "bytes", numbers(r->bytes, FSREPORT_SIZES), "messages",
	    numbers(r->count, FSREPORT_SIZES), "days", days, "active",
	    numbers(r->active, FSREPORT_LOGINS));
	ctl_put_json(object);
	json_decref(object);
}

enum ctl_exit ctl_report(struct ctl *c)
{
	const char *dir = ctl_config(c)->mailboxes_dir;
	struct fsreport r = { .now = time(NULL), .max_entries = -1 };

	if (fsreport_read(&r, dir) < 0) {
		ctl_error("%s: %s", dir, strerror(errno));
		return CTL_FAILED;
	}
	if (c->json)
		put_report_json(&r);
	else
		fsreport_text(&r, stdout);
	return CTL_OK;
}

/* --- chatmail-fsreport --------------------------------------------------------------- */

static const char report_usage[] =
    "Usage: chatmail-fsreport [OPTION...] [INI]\n"
    "What the mailboxes hold, and when their owners last logged in.\n\n"
    "  --days N                  pretend that it is N days ago\n"
    "  --min-login-age DAYS      count messages of accounts unused for so long only\n"
    "  --mdir cur|new|tmp        count messages in this directory only\n"
    "  --maxnum N                look only at the first N mailboxes\n"
    "  --textfile PATH           write metrics for Prometheus there\n"
    "  --legacy-metrics [FILE]   write the page of accounts there, by default\n"
    "                            " PAGE_FILE "\n";

struct report_arguments {
	int64_t days;
	const char *textfile, *page;
	struct fsreport report;
};

/* Whole or not at all, for whoever reads it meanwhile. */
static int write_file(const char *path, const struct fsreport *r, bool page)
{
	char tmp[PATH_MAX];
	bool failed;
	FILE *out;
	int fd;

	if (snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= (int)sizeof(tmp)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(tmp, O_CLOEXEC);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out)
		return -1;
	if (page)
		fsreport_page(r->accounts, r->ci, out);
	else
		fsreport_prometheus(r, out);
	failed = fchmod(fd, 0644) < 0;
	failed = fclose(out) != 0 || failed;
	if (failed || rename(tmp, path) < 0) {
		unlink(tmp);
		return -1;
	}
	return 0;
}

static int write_textfile(const char *path, const struct fsreport *r)
{
	char inside[PATH_MAX];
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		snprintf(inside, sizeof(inside), "%s/fsreport.prom", path);
		path = inside;
	}
	return write_file(path, r, false);
}

static bool take_report_option(
    struct report_arguments *a, int option, int argc, char **argv)
{
	switch (option) {
	case 'd':
		a->days = ctl_old_number(argv[0], "--days", optarg);
		return true;
	case 'a':
		a->report.min_age = ctl_old_number(argv[0], "--min-login-age", optarg);
		return true;
	case 'n':
		a->report.max_entries = ctl_old_number(argv[0], "--maxnum", optarg);
		return true;
	case 'm':
		a->report.mdir = optarg;
		return strcmp(optarg, "cur") == 0 || strcmp(optarg, "new") == 0 ||
		       strcmp(optarg, "tmp") == 0;
	case 't':
		a->textfile = optarg;
		return true;
	case 'l':
		/* Its argument may follow as a word of its own, or not at all. */
		a->page = optarg;
		if (!a->page && optind < argc && argv[optind][0] != '-')
			a->page = argv[optind++];
		if (!a->page)
			a->page = PAGE_FILE;
		return true;
	default:
		return false;
	}
}

static int write_report(const struct report_arguments *a)
{
	const struct fsreport *r = &a->report;
	int failed = 0;

	if (a->textfile && write_textfile(a->textfile, r) < 0) {
		fprintf(stderr, "%s: %s\n", a->textfile, strerror(errno));
		failed = 1;
	}
	if (a->page && write_file(a->page, r, true) < 0) {
		fprintf(stderr, "%s: %s\n", a->page, strerror(errno));
		failed = 1;
	}
	if (!a->textfile && !a->page)
		fsreport_text(r, stdout);
	return failed;
}

int ctl_old_report(int argc, char **argv)
{
	static const struct option options[] = { { "days", required_argument, NULL,
						     'd' },
		{ "min-login-age", required_argument, NULL, 'a' },
		{ "mdir", required_argument, NULL, 'm' },
		{ "maxnum", required_argument, NULL, 'n' },
		{ "textfile", required_argument, NULL, 't' },
		{ "legacy-metrics", optional_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	struct report_arguments a = { .report.max_entries = -1 };
	struct config *config;
	int option, rc = 1;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h' || !take_report_option(&a, option, argc, argv)) {
			fputs(report_usage, option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	config = ctl_old_config(argc, argv);
	a.report.now = time(NULL) - a.days * DAY;
	if (fsreport_read(&a.report, config->mailboxes_dir) < 0)
		fprintf(stderr, "%s: %s\n", config->mailboxes_dir, strerror(errno));
	else
		rc = write_report(&a);
	config_free(config);
	return rc;
}

/* --- chatmail-metrics ---------------------------------------------------------------- */

/* An account, as these numbers always meant it: a directory cur is in it. */
static bool has_cur(int fd, const char *name)
{
	char path[NAME_MAX + sizeof("/cur")];
	struct stat st;

	snprintf(path, sizeof(path), "%s/cur", name);
	return fstatat(fd, path, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

int ctl_old_metrics(int argc, char **argv)
{
	uint64_t accounts = 0, ci = 0;
	const struct dirent *d;
	DIR *dir;

	if (argc != 2) {
		fputs("Usage: chatmail-metrics MAILBOXES_DIR\n", stderr);
		return 2;
	}
	dir = opendir(argv[1]);
	if (!dir) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.' || !has_cur(dirfd(dir), d->d_name))
			continue;
		accounts++;
		ci += strncmp(d->d_name, "ci-", 3) == 0 ||
		      strncmp(d->d_name, "ac_", 3) == 0;
	}
	closedir(dir);
	fsreport_page(accounts, ci, stdout);
	return 0;
}
