/* chatmail-expire, delete_inactive_users, chatmail-quota-expire. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/ctl_old.h"
#include "chatmaild/expire.h"
#include "proto/address.h"

#define MIB (1024 * 1024)
#define DAY 86400

static const char expire_usage[] =
    "Usage: chatmail-expire [--days N] [--maxnum N] [-v] [--remove] [INI]\n"
    "Delete old mail and unused accounts, as the daemon does each day.\n\n"
    "  --days N    pretend that it is N days ago\n"
    "  --maxnum N  look only at the first N mailboxes\n"
    "  -v          tell what is removed\n"
    "  --remove    remove it; else only count and tell\n";

/* A name of others' making, harmless on a terminal. */
static void put_line(const char *before, const char *name, const char *after)
{
	fputs(before, stderr);
	for (; *name; name++)
		fputc(
		    (unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name, stderr);
	fprintf(stderr, "%s\n", after);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "removing Nov 23 " or, when the time is not known, without a day. */
static void put_dated(
    const char *what, int64_t when, const char *unknown, const char *name)
{
	char before[64], day[16] = "";
	time_t t = when;
	struct tm tm;

	if (when && localtime_r(&t, &tm))
		strftime(day, sizeof(day), "%b %d ", &tm);
	snprintf(before, sizeof(before), "%s%s", what, when ? day : unknown);
	put_line(before, name, "");
}

/* arg is whether to tell everything. */
static void on_note(void *arg, const struct expire_note *n)
{
	const bool verbose = *(const bool *)arg;
	char text[128];

	switch (n->event) {
	case EXPIRE_CHECKING:
		if (verbose)
			put_dated("checking mailbox ", n->when, "(no last_login) ",
			    base_name(n->path));
		return;
	case EXPIRE_MAILBOX:
	case EXPIRE_FILE:
		if (verbose)
			put_dated("removing ", n->when, "", n->path);
		return;
	case EXPIRE_OVER_QUOTA:
		snprintf(text, sizeof(text),
		    "quota-expire: removed %llu message(s) from ",
		    (unsigned long long)n->n);
		if (verbose)
			put_line(text, base_name(n->path), "");
		return;
	case EXPIRE_NOT_EMPTY:
		put_line("Skipped deleting ", n->path,
		    ", doesn't have last_login but isn't empty");
		return;
	case EXPIRE_FOREIGN:
		put_line("", n->path, ": no file of a mailbox; left alone");
		return;
	case EXPIRE_VANISHED:
		put_line("file not found/vanished ", n->path, "");
		return;
	case EXPIRE_ERROR:
		snprintf(text, sizeof(text), ": %s", strerror(n->error));
		put_line("", n->path, text);
		return;
	}
}

/* All mailboxes; false if there are none. */
static bool run(struct expire *e, int64_t max_entries)
{
	int fd = open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	e->dirfd = fd;
	expire_clean(e);
	for (int64_t n = 0;
	     (max_entries < 0 || n < max_entries) && (d = readdir(dir));) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		n++;
		if (address_is_path(span_of(d->d_name)))
			expire_mailbox(e, d->d_name);
	}
	closedir(dir);
	return true;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	       (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void put_summary(const struct expire_totals *t, double seconds)
{
	printf(
	    "Removed %llu out of %llu mailboxes and %llu out of %llu files in existing "
	    "mailboxes in %.2f seconds\n",
	    (unsigned long long)t->mailboxes_removed, (unsigned long long)t->mailboxes,
	    (unsigned long long)t->files_removed, (unsigned long long)t->files,
	    seconds);
}

int ctl_old_expire(int argc, char **argv)
{
	static const struct option options[] = { { "days", required_argument, NULL,
						     'd' },
		{ "maxnum", required_argument, NULL, 'm' },
		{ "remove", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int64_t days = 0, max_entries = -1;
	bool verbose = false, removes = false;
	struct timespec start;
	struct expire e = { .tell = on_note, .arg = &verbose };
	struct config *c;
	int option;

	while ((option = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
		if (option == 'd')
			days = ctl_old_number(argv[0], "--days", optarg);
		else if (option == 'm')
			max_entries = ctl_old_number(argv[0], "--maxnum", optarg);
		else if (option == 'v')
			verbose = true;
		else if (option == 'r')
			removes = true;
		else
			return fputs(expire_usage, option == 'h' ? stdout : stderr),
			       option == 'h' ? 0 : 2;
	}
	c = ctl_old_config(argc, argv);
	e.dir = c->mailboxes_dir;
	e.rules = (struct expire_rules){
		.now = time(NULL) - days * DAY,
		.inactive = c->delete_inactive_users_after,
		.mails = c->delete_mails_after,
		.large = c->delete_large_after,
		.quota = c->max_mailbox_size * MIB * EXPIRE_QUOTA_PERCENT / 100,
		.dry_run = !removes,
	};
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (run(&e, max_entries))
		put_summary(&e.totals, seconds_since(&start));
	else
		put_line("no mailboxes found at: ", e.dir, "");
	config_free(c);
	return 0;
}

int ctl_old_inactive(int argc, char **argv)
{
	static const struct option options[] = { { NULL, 0, NULL, 0 } };
	struct expire e = { .dirfd = -1 };
	struct config *c;

	if (getopt_long(argc, argv, "", options, NULL) != -1) {
		fputs("Usage: delete_inactive_users [INI]\n", stderr);
		return 2;
	}
	c = ctl_old_config(argc, argv);
	e.dir = c->mailboxes_dir;
	e.rules = (struct expire_rules){ .now = time(NULL),
		.inactive = c->delete_inactive_users_after,
		.mails = -1,
		.large = -1,
		.quota = -1 };
	run(&e, -1);
	config_free(c);
	return 0;
}

int ctl_old_quota(int argc, char **argv)
{
	struct expire e = { .dir = "/" };
	char path[PATH_MAX];
	uint64_t n;

	if (argc != 3) {
		fputs("Usage: chatmail-quota-expire TARGET_MB MAILBOX_PATH\n", stderr);
		return 2;
	}
	e.rules.quota = ctl_old_number(argv[0], "TARGET_MB", argv[1]) * MIB;
	e.rules.now = time(NULL);
	if (!realpath(argv[2], path)) {
		fprintf(stderr, "%s: %s: %s\n", argv[0], argv[2], strerror(errno));
		return 1;
	}
	e.dirfd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e.dirfd < 0 || path[1] == '\0')
		return 1;
	n = expire_trim(&e, path + 1);
	close(e.dirfd);
	if (n > 0) {
		char text[64];

		/* Monitoring counts this line. */
		snprintf(text, sizeof(text),
		    "quota-expire: removed %llu message(s) from ",
		    (unsigned long long)n);
		put_line(text, base_name(path), "");
	}
	return 0;
}
