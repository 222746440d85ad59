/*
 * The walk, and its result as text.
 */
#include "chatmaild/fsreport.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "chatmaild/mailbox.h"
#include "chatmaild/tree.h"

const int64_t fsreport_sizes[FSREPORT_SIZES] = { 0, 102400, 524288, 1048576, 2097152,
	5242880, 10485760 };
const int fsreport_days[FSREPORT_LOGINS] = { 1, 10, 30, 40, 80, 100, 150 };

/* --- the walk ------------------------------------------------------------------------ */

struct walk {
	struct fsreport *report;
	bool old_enough;
};

static bool is_message(const struct tree_entry *e)
{
	return strcmp(e->parent, "cur") == 0 || strcmp(e->parent, "new") == 0 ||
	       strcmp(e->parent, "tmp") == 0;
}

static enum tree_answer on_entry(void *arg, const struct tree_entry *e)
{
	const struct walk *w = arg;
	struct fsreport *r = w->report;
	const struct stat *st = e->directory ? NULL : tree_stat(e);

	if (!st || !S_ISREG(st->st_mode))
		return TREE_ENTER;
	if (!is_message(e)) {
		r->extra_bytes += (uint64_t)st->st_size;
		return TREE_ENTER;
	}
	r->messages_bytes += (uint64_t)st->st_size;
	if (!w->old_enough || (r->mdir && strcmp(e->parent, r->mdir) != 0))
		return TREE_ENTER;
	for (size_t i = 0; i < FSREPORT_SIZES; i++) {
		if (st->st_size < fsreport_sizes[i])
			break;
		r->bytes[i] += (uint64_t)st->st_size;
		r->count[i]++;
	}
	return TREE_ENTER;
}

/* The last login, 0 if it is no account. Whether it is blocked does not matter here. */
static int64_t last_login(int dirfd, const char *name)
{
	char path[NAME_MAX + sizeof("/password")];
	struct stat st;

	snprintf(path, sizeof(path), "%s/password", name);
	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return st.st_mtim.tv_sec;
}

static void count_login(struct fsreport *r, const char *name, int64_t login)
{
	if (login == 0)
		return;
	r->accounts++;
	if (strncmp(name, "ci-", 3) == 0) {
		r->ci++;
		return;
	}
	for (size_t i = 0; i < FSREPORT_LOGINS; i++)
		r->active[i] += login >= r->now - fsreport_days[i] * MAILBOX_DAY;
}

int fsreport_read(struct fsreport *r, const char *mailboxes_dir)
{
	DIR *dir = opendir(mailboxes_dir);
	const struct dirent *d;
	int64_t seen = 0;

	if (!dir)
		return -1;
	while ((r->max_entries < 0 || seen < r->max_entries) && (d = readdir(dir))) {
		struct walk w = { .report = r };
		int64_t login;

		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		seen++;
		if (!strchr(d->d_name, '@'))
			continue;
		login = last_login(dirfd(dir), d->d_name);
		count_login(r, d->d_name, login);
		w.old_enough = login != 0 && login <= r->now - r->min_age * MAILBOX_DAY;
		tree_walk(dirfd(dir), d->d_name, on_entry, NULL, &w);
	}
	closedir(dir);
	return 0;
}

/* --- as text ------------------------------------------------------------------------- */

/* Thousands and their powers, also of things that are not bytes. */
static const char *thousands(char buf[32], uint64_t n)
{
	if (n < 10000)
		snprintf(buf, 32, "%5.2fK", (double)n / 1000);
	else if (n < 1000000)
		snprintf(buf, 32, "%5.0fK", (double)n / 1000);
	else if (n < 1000000000)
		snprintf(buf, 32, "%5.0fM", (double)(n / 1000000));
	else
		snprintf(buf, 32, "%5.2fG", (double)n / 1000000000);
	return buf;
}

static double percent(uint64_t part, uint64_t all, double without)
{
	return all > 0 ? (double)part * 100 / (double)all : without;
}

static void write_storage(const struct fsreport *r, FILE *out)
{
	uint64_t all = r->messages_bytes + r->extra_bytes;
	char a[32], b[32];

	fprintf(out, "\n## Mailbox storage use analysis\n");
	fprintf(out, "Mailbox data total size: %s\n", thousands(a, all));
	fprintf(out, "Messages total size    : %s\n", thousands(a, r->messages_bytes));
	fprintf(out, "Extra files : %s (%.2f%%)\n\n", thousands(a, r->extra_bytes),
	    percent(r->extra_bytes, all, 100));
	if (r->min_age != 0)
		fprintf(out, "### Message storage for %" PRId64 " days old logins\n",
		    r->min_age);
	for (size_t i = 0; i < FSREPORT_SIZES; i++) {
		if (r->mdir)
			fprintf(out, "[%s] ", r->mdir);
		fprintf(out, "larger than %s: %s (%.2f%%), %" PRIu64 " msgs\n",
		    thousands(a, (uint64_t)fsreport_sizes[i]),
		    thousands(b, r->bytes[i]),
		    percent(r->bytes[i], r->messages_bytes, 0), r->count[i]);
	}
}

static void write_logins(const struct fsreport *r, FILE *out)
{
	uint64_t users = r->accounts - r->ci;
	char when[32] = "", a[32];
	time_t now = r->now;
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(out, "\n## Login stats, from date reference %s\n", when);
	fprintf(out, "all:     %s\n", thousands(a, r->accounts));
	fprintf(out, "non-ci:  %s\n", thousands(a, users));
	fprintf(out, "ci:      %s\n", thousands(a, r->ci));
	for (size_t i = 0; i < FSREPORT_LOGINS; i++) {
		fprintf(out, "last %3d days: %s ", fsreport_days[i],
		    thousands(a, r->active[i]));
		if (users > 0)
			fprintf(out, "(%.2f%%)\n", percent(r->active[i], users, 0));
		else
			fprintf(out, "100%%\n");
	}
}

void fsreport_text(const struct fsreport *r, FILE *out)
{
	write_storage(r, out);
	write_logins(r, out);
}

static void write_gauge(FILE *out, const char *name, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void write_sample(
    FILE *out, const char *name, const char *label, const char *value, uint64_t n)
{
	fprintf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, n);
}

static void write_by_size(
    FILE *out, const char *name, const char *help, const uint64_t of[FSREPORT_SIZES])
{
	write_gauge(out, name, help);
	for (size_t i = 0; i < FSREPORT_SIZES; i++) {
		char size[32];

		snprintf(size, sizeof(size), "%" PRId64, fsreport_sizes[i]);
		write_sample(out, name, "min_size", size, of[i]);
	}
}

void fsreport_prometheus(const struct fsreport *r, FILE *out)
{
	static const char storage[] = "chatmail_storage_bytes",
			  accounts[] = "chatmail_accounts",
			  active[] = "chatmail_accounts_active";

	write_gauge(out, storage, "Mailbox storage in bytes.");
	write_sample(out, storage, "kind", "messages", r->messages_bytes);
	write_sample(out, storage, "kind", "extra", r->extra_bytes);
	write_sample(out, storage, "kind", "total", r->messages_bytes + r->extra_bytes);
	write_by_size(
	    out, "chatmail_messages_bytes", "Sum of msg bytes >= threshold.", r->bytes);
	write_by_size(out, "chatmail_messages_count",
	    "Number of msgs >= size threshold.", r->count);
	write_gauge(out, accounts, "Number of accounts.");
	write_sample(out, accounts, "kind", "all", r->accounts);
	write_sample(out, accounts, "kind", "ci", r->ci);
	write_sample(out, accounts, "kind", "user", r->accounts - r->ci);
	write_gauge(out, active, "Non-CI accounts active within N days.");
	for (size_t i = 0; i < FSREPORT_LOGINS; i++) {
		char days[16];

		snprintf(days, sizeof(days), "%d", fsreport_days[i]);
		write_sample(out, active, "days", days, r->active[i]);
	}
}

void fsreport_page(uint64_t accounts, uint64_t ci, FILE *out)
{
	fprintf(out,
	    "# HELP total number of accounts\n# TYPE accounts gauge\n"
	    "accounts %" PRIu64 "\n"
	    "# HELP number of CI accounts\n# TYPE ci_accounts gauge\n"
	    "ci_accounts %" PRIu64 "\n"
	    "# HELP number of non-CI accounts\n# TYPE nonci_accounts gauge\n"
	    "nonci_accounts %" PRIu64 "\n",
	    accounts, ci, accounts - ci);
}
