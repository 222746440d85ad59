/*
 * Batches alternate between a worker, which reads directories, and the store's writer:
 * one batch is in memory at a time, and neither the disk nor the store is flooded.
 */
#include "chatmaild/takeover.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "chatmaild/log.h"
#include "chatmaild/user_row.h"
#include "chatmaild/worker.h"

#define BATCH_ACCOUNTS 500
#define BATCH_NAMES    2000 /* directory entries looked at, accounts or not */

struct takeover {
	struct daemon *daemon;
	takeover_progress *progress; /* NULL once cancelled */
	void *arg;
	uint64_t accounts;

	/* One of the two is under way at any time; it alone touches what is below. */
	struct job walk;
	struct store_op write;

	char *path;
	DIR *dir;
	bool at_end;
	int error; /* errno, why the walk cannot go on */
	size_t n;
	struct user_row rows[BATCH_ACCOUNTS];
};

static void finish(struct takeover *t, bool complete)
{
	if (t->progress)
		t->progress(t->arg, t->accounts, true, complete);
	if (t->dir)
		closedir(t->dir);
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
}

static void walk(struct job *job)
{
	struct takeover *t =
	    (struct takeover *)((char *)job - offsetof(struct takeover, walk));

	t->n = 0;
	if (!t->dir)
		t->dir = opendir(t->path);
	if (!t->dir) {
		/* No directory, no accounts: a relay that is new. */
		t->at_end = true;
		t->error = errno == ENOENT ? 0 : errno;
		return;
	}
	for (unsigned i = 0; i < BATCH_NAMES && t->n < BATCH_ACCOUNTS; i++) {
		const struct dirent *e;

		errno = 0;
		e = readdir(t->dir);
		if (!e) {
			t->at_end = true;
			t->error = errno;
			return;
		}
		read_account(t, e->d_name);
	}
}

static int write_batch(struct store_op *op, sqlite3 *db)
{
	struct takeover *t =
	    (struct takeover *)((char *)op - offsetof(struct takeover, write));
	int rc = user_rows_write(db, t->rows, t->n);

	if (rc == SQLITE_OK && t->at_end)
		rc = user_rows_complete(db);
	return rc;
}

static void written(struct store_op *op, int result)
{
	struct takeover *t =
	    (struct takeover *)((char *)op - offsetof(struct takeover, write));

	if (result == SQLITE_OK)
		t->accounts += t->n;
	if (result != SQLITE_OK || t->at_end || !t->progress || !t->daemon->workers) {
		finish(t, result == SQLITE_OK && t->at_end);
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
