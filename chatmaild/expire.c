/*
 * The rules, mailbox by mailbox.
 */
#include "chatmaild/expire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/mailbox.h"
#include "chatmaild/tree.h"

#define REMOVED_PREFIX ".expired-" /* of an account's directory once it is renamed */
#define STRAY_SECONDS  86400 /* a temporary password file older than that is one */
#define OLDEST_MAX     8192  /* messages over the quota that are found in one go */

/* A message at the top, as the quota counts it. */
struct counted {
	int64_t when, size;
	char *path; /* "cur/NAME", owned */
};

/* The oldest messages behind one, of those that the quota may take. */
struct oldest {
	struct counted *behind;          /* NULL: from the beginning */
	struct counted list[OLDEST_MAX]; /* a heap, the youngest first; sorted later */
	size_t n;
};

struct visit {
	struct expire *e;
	const char *name; /* of the mailbox */
	uint64_t removed; /* files, so far */
	uint64_t files;
	int64_t total;         /* bytes that the quota counts */
	struct oldest *oldest; /* NULL: the first walk, which only counts */
};

/* --- telling ------------------------------------------------------------------------- */

static void tell_why(struct expire *e, enum expire_event event, const char *why,
    const char *name, const char *below, int64_t when, uint64_t n, int error)
{
	char path[2 * TREE_PATH_MAX];
	const struct expire_note note = { event, why, path, when, n, error };

	e->totals.errors += event == EXPIRE_ERROR;
	e->totals.foreign += event == EXPIRE_FOREIGN;
	e->totals.vanished += event == EXPIRE_VANISHED;
	if (!e->tell)
		return;
	snprintf(path, sizeof(path), "%s/%s%s%s",
	    strcmp(e->dir, "/") == 0 ? "" : e->dir, name, *below ? "/" : "", below);
	e->tell(e->arg, &note);
}

static void tell(struct expire *e, enum expire_event event, const char *name,
    const char *below, int64_t when, uint64_t n, int error)
{
	tell_why(e, event, NULL, name, below, when, n, error);
}

static void tell_trouble(
    struct expire *e, const char *name, const char *below, int error)
{
	tell(e, error == ENOENT ? EXPIRE_VANISHED : EXPIRE_ERROR, name, below, 0, 0,
	    error == ENOENT ? 0 : error);
}

static void on_trouble(void *arg, const char *path, int error)
{
	struct visit *v = arg;

	tell_trouble(v->e, v->name, path, error);
}

/* --- files --------------------------------------------------------------------------- */

/* True if it went, or would. */
static bool remove_file(struct visit *v, const char *why, int dirfd, const char *name,
    const char *path, const struct stat *st)
{
	struct expire *e = v->e;

	tell_why(e, EXPIRE_FILE, why, v->name, path, st ? st->st_mtime : 0, 0, 0);
	if (!e->rules.dry_run && unlinkat(dirfd, name, 0) < 0) {
		tell_trouble(e, v->name, path, errno);
		return false;
	}
	v->removed++;
	e->totals.files_removed++;
	e->totals.bytes_removed += st ? (uint64_t)st->st_size : 0;
	return true;
}

static bool older(const struct expire *e, int64_t when, int days)
{
	return days >= 0 && when < e->rules.now - (int64_t)days * MAILBOX_DAY;
}

static bool is_message_directory(const char *name)
{
	return strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 ||
	       strcmp(name, "tmp") == 0;
}

static bool parse_number(const char **text, int64_t *value)
{
	const char *p = *text;

	for (*value = 0; *p >= '0' && *p <= '9'; p++) {
		if (*value > (INT64_MAX - 9) / 10)
			return false;
		*value = *value * 10 + (*p - '0');
	}
	if (p == *text)
		return false;
	*text = p;
	return true;
}

bool expire_parse_name(const char *name, int64_t *when, int64_t *size)
{
	const char *p = name;

	if (!parse_number(&p, when) || *p != '.' || p[1] == ',' || p[1] == '\0')
		return false;
	p = strstr(p, ",S=");
	if (!p)
		return false;
	p += 3;
	return parse_number(&p, size);
}

static int by_age(const void *a, const void *b)
{
	const struct counted *x = a, *y = b;

	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(x->path, y->path);
}

static void swap(struct counted *a, struct counted *b)
{
	const struct counted c = *a;

	*a = *b;
	*b = c;
}

static void sift_up(struct counted *list, size_t i)
{
	for (; i > 0 && by_age(&list[(i - 1) / 2], &list[i]) < 0; i = (i - 1) / 2)
		swap(&list[(i - 1) / 2], &list[i]);
}

static void sift_down(struct counted *list, size_t n)
{
	size_t i = 0, child;

	while ((child = 2 * i + 1) < n) {
		if (child + 1 < n && by_age(&list[child], &list[child + 1]) < 0)
			child++;
		if (by_age(&list[i], &list[child]) >= 0)
			return;
		swap(&list[i], &list[child]);
		i = child;
	}
}

static void keep_oldest(struct oldest *o, const struct counted *c)
{
	struct counted *place = &o->list[o->n < OLDEST_MAX ? o->n : 0];

	if (o->behind && by_age(c, o->behind) <= 0)
		return;
	if (o->n == OLDEST_MAX) {
		if (by_age(c, place) >= 0)
			return;
		free(place->path);
	}
	*place = *c;
	place->path = strdup(c->path);
	if (!place->path)
		abort();
	if (o->n < OLDEST_MAX)
		sift_up(o->list, o->n++);
	else
		sift_down(o->list, o->n);
}

static void count_message(struct visit *v, const struct tree_entry *f)
{
	struct counted c = { .path = (char *)(uintptr_t)f->path };

	if (!expire_parse_name(f->name, &c.when, &c.size))
		return;
	if (v->oldest && c.when <= v->e->rules.now - EXPIRE_PROTECTED)
		keep_oldest(v->oldest, &c);
	else if (!v->oldest && __builtin_add_overflow(v->total, c.size, &v->total))
		v->total = INT64_MAX;
}

/* Why a message's time has come, or NULL. */
static const char *due(
    const struct expire *e, const struct tree_entry *f, const struct stat *st)
{
	if (older(e, st->st_mtime, e->rules.mails))
		return "old";
	if (strcmp(f->parent, "cur") == 0 && st->st_size > EXPIRE_LARGE &&
	    older(e, st->st_mtime, e->rules.large))
		return "large";
	return NULL;
}

static void see_message(
    struct visit *v, const struct tree_entry *f, const struct stat *st)
{
	const char *why = due(v->e, f, st);

	if (!v->oldest) {
		v->files++;
		if (why)
			remove_file(v, why, f->dirfd, f->name, f->path, st);
	}
	if (!why && v->e->rules.quota >= 0 && f->depth == 1 &&
	    strcmp(f->parent, "tmp") != 0)
		count_message(v, f);
}

static void note_foreign(struct visit *v, const struct tree_entry *f)
{
	if (!v->oldest) /* the first walk tells */
		tell(v->e, EXPIRE_FOREIGN, v->name, f->path, 0, 0, 0);
}

static bool is_stopped(const struct expire *e)
{
	return e->stop && atomic_load(e->stop);
}

static enum tree_answer on_entry(void *arg, const struct tree_entry *f)
{
	struct visit *v = arg;
	const bool message = is_message_directory(f->parent);
	const struct stat *st;

	if (is_stopped(v->e))
		return TREE_STOP;
	if (f->link || (f->directory && message)) {
		note_foreign(v, f);
		return TREE_SKIP;
	}
	if (f->directory)
		return TREE_ENTER;
	if (!message && (f->depth > 0 || strncmp(f->name, "password.tmp-", 13) != 0))
		return TREE_ENTER;
	st = tree_stat(f);
	if (!st)
		return TREE_ENTER;
	if (!S_ISREG(st->st_mode))
		note_foreign(v, f);
	else if (message)
		see_message(v, f, st);
	else if (!v->oldest && st->st_mtime < v->e->rules.now - STRAY_SECONDS)
		remove_file(v, "never finished", f->dirfd, f->name, f->path, st);
	return TREE_ENTER;
}

/* --- the quota ----------------------------------------------------------------------- */

/* By its directory, for one that was replaced by a symbolic link leads out of the mailbox. */
static bool trim_message(struct visit *v, int mailbox, const char *path)
{
	const char *name = strchr(path, '/') + 1; /* at the top: "cur/NAME" */
	char parent[NAME_MAX];
	bool removed = false;
	struct stat st;
	int dir;

	snprintf(parent, sizeof(parent), "%.*s", (int)(name - 1 - path), path);
	dir = openat(mailbox, parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		tell_trouble(v->e, v->name, path, errno);
	else
		removed = remove_file(v, "over quota", dir, name, path, &st);
	if (dir >= 0)
		close(dir);
	return removed;
}

/* Take of the oldest until the total fits. Messages are told apart by name only, so one that
 * was moved meanwhile counts as gone. */
static uint64_t trim_oldest(struct visit *v, int mailbox)
{
	const int64_t quota = v->e->rules.quota;
	uint64_t removed = 0;

	for (size_t i = 0; i < v->oldest->n && v->total > quota; i++) {
		const struct counted *c = &v->oldest->list[i];

		v->total -= c->size;
		removed += trim_message(v, mailbox, c->path);
	}
	return removed;
}

/* The last one stays, for the next walk to begin behind it. */
static void forget_oldest(struct oldest *o, struct counted *last)
{
	free(last->path);
	*last = o->n > 0 ? o->list[--o->n] : (struct counted){ 0 };
	while (o->n > 0)
		free(o->list[--o->n].path);
	o->behind = last;
}

/* Oldest first, as many walks as that takes; mostly it takes none. */
static uint64_t trim(struct visit *v, int mailbox)
{
	struct expire *e = v->e;
	struct counted last = { 0 };
	uint64_t removed = 0;
	bool more = true;

	v->oldest = calloc(1, sizeof(*v->oldest));
	if (!v->oldest)
		abort();
	while (more && v->total > e->rules.quota && !is_stopped(e)) {
		/* What made trouble was told by the first walk. */
		if (tree_walk(mailbox, ".", on_entry, NULL, v) < 0)
			break;
		more = v->oldest->n == OLDEST_MAX;
		if (v->oldest->n > 0)
			qsort(v->oldest->list, v->oldest->n, sizeof(last), by_age);
		removed += trim_oldest(v, mailbox);
		forget_oldest(v->oldest, &last);
	}
	free(last.path);
	free(v->oldest);
	v->oldest = NULL;
	e->totals.quota_removed += removed;
	if (removed > 0)
		tell(e, EXPIRE_OVER_QUOTA, v->name, "", 0, removed, 0);
	return removed;
}

/* Dovecot counts anew what it finds without this file. */
static void forget_size(struct visit *v, int mailbox)
{
	struct stat st;

	if (fstatat(mailbox, "maildirsize", &st, AT_SYMLINK_NOFOLLOW) == 0)
		remove_file(v, "to be counted anew", mailbox, "maildirsize",
		    "maildirsize", NULL);
}

static int open_mailbox(const struct expire *e, const char *name)
{
	return openat(e->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The messages of one mailbox by e's rules; how many its quota took. */
static uint64_t expire_messages(struct expire *e, const char *name, int mailbox)
{
	struct visit v = { .e = e, .name = name };
	uint64_t trimmed = 0;

	if (tree_walk(mailbox, ".", on_entry, on_trouble, &v) < 0) {
		tell_trouble(e, name, "", errno);
	} else {
		if (e->rules.quota >= 0 && v.total > e->rules.quota)
			trimmed = trim(&v, mailbox);
		if (v.removed > 0)
			forget_size(&v, mailbox);
	}
	e->totals.files += v.files;
	return trimmed;
}

uint64_t expire_trim(struct expire *e, const char *name)
{
	const struct expire_rules rules = e->rules;
	int mailbox = open_mailbox(e, name);
	uint64_t removed;

	if (mailbox < 0) {
		tell_trouble(e, name, "", errno);
		return 0;
	}
	e->rules.mails = e->rules.large = -1;
	removed = expire_messages(e, name, mailbox);
	e->rules = rules;
	close(mailbox);
	return removed;
}

/* --- accounts ------------------------------------------------------------------------ */

static bool is_inactive(const struct expire *e, int64_t last_login)
{
	return last_login != 0 && older(e, last_login, e->rules.inactive);
}

static void on_removal_trouble(void *arg, const char *path, int error)
{
	struct visit *v = arg;

	tell_trouble(v->e, v->name, path, error);
}

/* The new name has no '@', so it is no address; two directories never share it. */
static int rename_away(struct expire *e, const char *name, char *away, size_t size)
{
	struct stat st;

	if (fstatat(e->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	snprintf(away, size, REMOVED_PREFIX "%" PRIuMAX, (uintmax_t)st.st_ino);
	return renameat(e->dirfd, name, e->dirfd, away);
}

/* Is it an account still that nobody used? Who logged in meanwhile, or was blocked, stays. */
static bool is_still_inactive(const struct expire *e, const char *name)
{
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	int64_t last_login = 0;

	return mailbox_read_at(e->dirfd, name, hash, &stamp, &last_login) ==
		   MAILBOX_USABLE &&
	       is_inactive(e, last_login);
}

static int remove_if(struct expire *e, const char *name, bool inactive_only)
{
	char away[sizeof(REMOVED_PREFIX) + 20];
	struct visit v = { .e = e, .name = away };

	if (rename_away(e, name, away, sizeof(away)) < 0)
		return -1;
	/* Back it goes, unless there is a new account: that is not replaced. */
	if (inactive_only && !is_still_inactive(e, away) &&
	    renameat(e->dirfd, away, e->dirfd, name) == 0) {
		errno = EBUSY;
		return -1;
	}
	tree_remove(e->dirfd, away, on_removal_trouble, &v);
	return 0;
}

int expire_remove(struct expire *e, const char *name)
{
	return remove_if(e, name, false);
}

static enum expire_answer remove_inactive(struct expire *e, const char *name)
{
	tell_why(e, EXPIRE_MAILBOX, "no login", name, "", 0, 0, 0);
	if (!e->rules.dry_run && remove_if(e, name, true) < 0) {
		if (errno != EBUSY)
			tell_trouble(e, name, "", errno);
		return EXPIRE_KEPT;
	}
	e->totals.mailboxes_removed++;
	return EXPIRE_REMOVED;
}

/* Is there nothing in it? */
static enum tree_answer on_any(void *arg, const struct tree_entry *f)
{
	*(bool *)arg = false;
	return TREE_STOP;
}

/* No password file: no account. What others keep there is theirs. */
static enum expire_answer expire_stranger(
    struct expire *e, const char *name, int mailbox)
{
	bool empty = true;

	tell(e, EXPIRE_CHECKING, name, "", 0, 0, 0);
	if (tree_walk(mailbox, ".", on_any, NULL, &empty) < 0) {
		tell_trouble(e, name, "", errno);
		return EXPIRE_KEPT;
	}
	if (!empty) {
		tell(e, EXPIRE_NOT_EMPTY, name, "", 0, 0, 0);
		return EXPIRE_KEPT;
	}
	tell_why(e, EXPIRE_MAILBOX, "empty, no account", name, "", 0, 0, 0);
	if (!e->rules.dry_run && unlinkat(e->dirfd, name, AT_REMOVEDIR) < 0) {
		tell_trouble(e, name, "", errno);
		return EXPIRE_KEPT;
	}
	e->totals.mailboxes_removed++;
	return EXPIRE_REMOVED;
}

/* The contents of the file, which are another block of the disk, count only now. */
static bool is_blocked(const struct expire *e, const char *name)
{
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;

	return mailbox_read_at(e->dirfd, name, hash, &stamp, NULL) != MAILBOX_USABLE;
}

static enum expire_answer expire_account(
    struct expire *e, const char *name, int mailbox, int64_t last_login)
{
	tell(e, EXPIRE_CHECKING, name, "", last_login, 0, 0);
	if (is_inactive(e, last_login) && !is_blocked(e, name))
		return remove_inactive(e, name);
	if (e->rules.mails >= 0 || e->rules.large >= 0 || e->rules.quota >= 0)
		expire_messages(e, name, mailbox);
	return EXPIRE_KEPT;
}

enum expire_answer expire_mailbox(struct expire *e, const char *name)
{
	enum expire_answer answer = EXPIRE_KEPT;
	int mailbox = open_mailbox(e, name);
	int64_t last_login = 0;

	e->totals.mailboxes++;
	if (mailbox < 0) {
		if (errno == ENOTDIR || errno == ELOOP) /* a file, a symbolic link */
			tell(e, EXPIRE_FOREIGN, name, "", 0, 0, 0);
		else
			tell_trouble(e, name, "", errno);
		return EXPIRE_KEPT;
	}
	switch (mailbox_stat_at(mailbox, &last_login)) {
	case MAILBOX_ABSENT:
		answer = expire_stranger(e, name, mailbox);
		break;
	case MAILBOX_TROUBLE:
		tell_trouble(e, name, "password", errno);
		break;
	case MAILBOX_USABLE:
	case MAILBOX_BLOCKED:
		answer = expire_account(e, name, mailbox, last_login);
		break;
	}
	close(mailbox);
	return answer;
}

void expire_clean(struct expire *e)
{
	int fd = openat(e->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (!e->rules.dry_run && (d = readdir(dir))) {
		struct visit v = { .e = e, .name = d->d_name };

		if (strncmp(d->d_name, REMOVED_PREFIX, strlen(REMOVED_PREFIX)) == 0)
			tree_remove(e->dirfd, d->d_name, on_removal_trouble, &v);
	}
	closedir(dir);
}
