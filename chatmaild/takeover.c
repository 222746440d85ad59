/*
 * Batches alternate between a worker, which reads directories, and the store's writer:
 * one batch is in memory at a time, and neither the disk nor the store is flooded.
 */
#include "chatmaild/takeover.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "chatmaild/log.h"
#include "chatmaild/push_queue.h"
#include "chatmaild/push_row.h"
#include "chatmaild/python_files.h"
#include "chatmaild/user_row.h"
#include "chatmaild/users.h"
#include "chatmaild/worker.h"

#define BATCH_ACCOUNTS 500
#define BATCH_ITEMS    1000 /* device tokens or notifications, of a few KiB at most */
#define BATCH_NAMES    2000 /* directory entries looked at, accounts or not */
#define PUSHES_DIR     "pending_notifications"

/* The directories that are walked, one after the other. */
enum phase {
	ACCOUNTS, /* the mailboxes directory */
	PUSHES,   /* PUSHES_DIR in it */
	END,
};

struct takeover {
	struct daemon *daemon;
	takeover_progress *progress; /* NULL once cancelled */
	void *arg;
	uint64_t accounts; /* stored so far */

	/* One of the two is under way at any time; it alone touches what is below. */
	struct job walk;
	struct store_op write;

	char *path;
	enum phase phase;
	DIR *dir;          /* of the phase, NULL before it is opened */
	int error;         /* errno, why the walk cannot go on */
	uint64_t damaged;  /* files that could not be read */
	uint64_t imported; /* notifications of this batch */
	int64_t now;
	size_t n;
	struct user_row rows[BATCH_ACCOUNTS];
	struct census_change changes[BATCH_ACCOUNTS];
	struct python_items tokens, found_pushes;
};

static void finish(struct takeover *t, bool complete)
{
	if (t->damaged > 0)
		log_warning("takeover: %llu corrupt files with device tokens or "
			    "notifications were passed over",
		    (unsigned long long)t->damaged);
	if (t->progress)
		t->progress(t->arg, t->accounts, true, complete);
	if (t->dir)
		closedir(t->dir);
	python_items_free(&t->tokens);
	python_items_free(&t->found_pushes);
	free(t->path);
	free(t);
}

static void read_account(struct takeover *t, const char *name)
{
	struct user_row *row = &t->rows[t->n];
	int64_t last_login;

	if (!address_is_path(span_of(name)) ||
	    mailbox_read_at(dirfd(t->dir), name, row->hash, &row->stamp, &last_login) !=
		MAILBOX_USABLE)
		return;
	memcpy(row->address, name, strlen(name) + 1);
	row->created_day = USER_DAY_UNKNOWN;
	row->last_login_day = last_login / MAILBOX_DAY;
	t->n++;
	if (!python_read_tokens(dirfd(t->dir), name, t->now, &t->tokens))
		t->damaged++;
}

static void read_push(struct takeover *t, const char *name)
{
	if (name[0] != '.' &&
	    !python_read_push(dirfd(t->dir), name, t->now, &t->found_pushes))
		t->damaged++;
}

/* No directory, nothing in it: a relay that is new, or never ran the Python services. */
static DIR *open_phase(struct takeover *t)
{
	char path[MAILBOX_PATH_MAX];
	DIR *dir = NULL;

	if (t->phase == ACCOUNTS)
		dir = opendir(t->path);
	else if (snprintf(path, sizeof(path), "%s/" PUSHES_DIR, t->path) <
		 (int)sizeof(path))
		dir = opendir(path);
	if (!dir && errno != ENOENT && (t->phase == ACCOUNTS || errno != ENOTDIR))
		t->error = errno;
	return dir;
}

/* The next name of the walk; NULL at its end, or when it cannot go on. */
static const char *next_name(struct takeover *t)
{
	while (t->phase != END && !t->error) {
		const struct dirent *e = NULL;

		if (!t->dir)
			t->dir = open_phase(t);
		errno = 0;
		if (t->dir)
			e = readdir(t->dir);
		if (e)
			return e->d_name;
		if (t->dir) {
			t->error = errno;
			closedir(t->dir);
			t->dir = NULL;
		}
		t->phase++;
	}
	return NULL;
}

static bool batch_has_room(const struct takeover *t)
{
	return t->n < BATCH_ACCOUNTS && t->tokens.n < BATCH_ITEMS &&
	       t->found_pushes.n < BATCH_ITEMS;
}

static void walk(struct job *job)
{
	struct takeover *t =
	    (struct takeover *)((char *)job - offsetof(struct takeover, walk));

	t->n = 0;
	t->now = time(NULL);
	python_items_free(&t->tokens);
	python_items_free(&t->found_pushes);
	for (unsigned i = 0; i < BATCH_NAMES && batch_has_room(t); i++) {
		const char *name = next_name(t);

		if (!name)
			return;
		if (t->phase == ACCOUNTS)
			read_account(t, name);
		else
			read_push(t, name);
	}
}

static int write_items(struct takeover *t, sqlite3 *db)
{
	int rc = SQLITE_OK;

	for (const struct python_item *i = t->tokens.first; i && rc == SQLITE_OK;
	     i = i->next)
		rc = tokens_row_import(
		    db, span_of(i->address), span_of(i->token), i->when);
	t->imported = 0;
	for (const struct python_item *i = t->found_pushes.first; i && rc == SQLITE_OK;
	     i = i->next)
		rc = push_row_import(db, span_of(i->address), span_of(i->token),
		    i->when, t->now, &t->imported);
	return rc;
}

static int write_batch(struct store_op *op, sqlite3 *db)
{
	struct takeover *t =
	    (struct takeover *)((char *)op - offsetof(struct takeover, write));
	int rc = user_rows_write(db, t->rows, t->n, t->changes);

	if (rc == SQLITE_OK)
		rc = write_items(t, db);
	if (rc == SQLITE_OK && t->phase == END)
		rc = user_rows_complete(db);
	return rc;
}

static void written(struct store_op *op, int result)
{
	struct takeover *t =
	    (struct takeover *)((char *)op - offsetof(struct takeover, write));

	if (result == SQLITE_OK) {
		t->accounts += t->n;
		census_apply(users_census(t->daemon->users), t->changes, t->n);
		if (t->imported > 0 && t->daemon->pushes)
			push_queue_found(t->daemon->pushes, t->imported);
	}
	if (result != SQLITE_OK || t->phase == END || !t->progress ||
	    !t->daemon->workers) {
		finish(t, result == SQLITE_OK && t->phase == END);
		return;
	}
	t->progress(t->arg, t->accounts, false, false);
	workers_submit(t->daemon->workers, &t->walk);
}

static void walked(struct job *job)
{
	struct takeover *t =
	    (struct takeover *)((char *)job - offsetof(struct takeover, walk));

	if (t->error)
		log_error(
		    "cannot read the mailbox directories: %s; the rebuild is redone "
		    "at the next start",
		    strerror(t->error));
	if (t->error || !t->progress || !t->daemon->store) {
		finish(t, false);
		return;
	}
	store_submit(t->daemon->store, &t->write);
}

struct takeover *takeover_start(
    struct daemon *d, takeover_progress *progress, void *arg)
{
	struct takeover *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->daemon = d;
	t->progress = progress;
	t->arg = arg;
	t->path = strdup(d->config->mailboxes_dir);
	if (!t->path)
		abort();
	t->walk.run = walk;
	t->walk.done = walked;
	t->write.run = write_batch;
	t->write.done = written;
	workers_submit(d->workers, &t->walk);
	return t;
}

void takeover_cancel(struct takeover *t)
{
	t->progress = NULL;
}
