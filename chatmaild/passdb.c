/* Rows into password files, then one sync for all of them. */
#include "chatmaild/passdb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/log.h"
#include "chatmaild/mailbox.h"
#include "chatmaild/store.h"
#include "chatmaild/systemd.h"
#include "proto/address.h"

#define PROGRESS   10000 /* passwords of a log line */
#define EXTEND_S   120   /* granted by the supervisor at each of them */
#define LOGGED_MAX 10    /* accounts that cannot be written, with their errors */
#define PATH_LEN   4096

/* In a password file it lets nobody log in, and nobody make the address anew. */
#define NO_HASH "blocked: the old database has no password hash"

struct import {
	const char *path;
	sqlite3 *db;
	int mailboxes;
	int64_t now;
	struct passdb_totals *totals;
};

/* --- the database -------------------------------------------------------------------- */

static int connect_file(struct import *m, int flags)
{
	int rc = sqlite3_open_v2(
	    m->path, &m->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_extended_result_codes(m->db, 1);
	sqlite3_busy_timeout(m->db, PASSDB_WAIT_S * 1000);
	return sqlite3_exec(m->db, "PRAGMA trusted_schema=0", NULL, NULL, NULL);
}

/* The mark of a database that is ours; 0 is nobody's. */
static int read_mark(struct import *m, int *mark)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(m->db, "PRAGMA application_id", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(stmt);
	*mark = rc == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : 0;
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* A transaction that a crash left half done can only be undone by who may write. */
static int open_database(struct import *m, int *mark)
{
	int rc = connect_file(m, SQLITE_OPEN_READONLY);

	if (rc == SQLITE_OK)
		rc = read_mark(m, mark);
	if ((rc & 0xff) == SQLITE_READONLY) {
		sqlite3_close(m->db);
		rc = connect_file(m, SQLITE_OPEN_READWRITE);
		if (rc == SQLITE_OK)
			rc = read_mark(m, mark);
	}
	return rc;
}

static void log_left(const struct import *m, const char *why)
{
	log_error("migration: %s: %s; it is left where it is", m->path, why);
}

/* --- its rows ------------------------------------------------------------------------ */

/* NULL if it is none, or holds a NUL. */
static const char *column_text(sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	return text && strlen(text) == (size_t)sqlite3_column_bytes(row, column) ? text
										 : NULL;
}

/* Seconds, not later than now; 0 if unknown. */
static int64_t column_login(const struct import *m, sqlite3_stmt *row)
{
	int64_t when = sqlite3_column_count(row) > 2 ? sqlite3_column_int64(row, 2) : 0;

	return when < 0 ? 0 : when > m->now ? m->now : when;
}

static bool is_test_account(struct span address)
{
	return span_starts(address, "ci-") || span_starts(address, "ac_");
}

static void note_progress(const struct import *m)
{
	char status[64];

	if (m->totals->passwords == 0 || m->totals->passwords % PROGRESS != 0)
		return;
	snprintf(status, sizeof(status),
	    "migration-progress: %" PRIu64 " passwords transferred",
	    m->totals->passwords);
	log_info("%s", status);
	systemd_starting(status, EXTEND_S);
}

/* False if it makes no sense to go on: errno says why. */
static bool import_row(struct import *m, sqlite3_stmt *row)
{
	const char *address = column_text(row, 0), *hash = column_text(row, 1);
	struct passdb_totals *t = m->totals;
	bool usable =
	    hash && strlen(hash) < PASSWORD_HASH_MAX && password_is_hash(span_of(hash));

	if (address && is_test_account(span_of(address))) {
		t->tests++;
		return true;
	}
	if (!address || !address_is_path(span_of(address))) {
		t->invalid++;
		return true;
	}
	if (mailbox_import_at(m->mailboxes, address, usable ? hash : NO_HASH,
		column_login(m, row)) < 0) {
		if (errno == ENOSPC || errno == EDQUOT || errno == EROFS)
			return false;
		if (t->failed++ < LOGGED_MAX)
			log_warning("migration: %s: %s", address, strerror(errno));
		return true;
	}
	t->passwords++;
	t->blocked += !usable;
	note_progress(m);
	return true;
}

/* NULL if every row was seen and is on disk, else why not. */
static const char *import_rows(struct import *m)
{
	const char *why = NULL;
	sqlite3_stmt *row;
	int rc = sqlite3_prepare_v2(m->db, "SELECT * FROM users", -1, &row, NULL);

	if (rc != SQLITE_OK)
		return sqlite3_errmsg(m->db);
	if (sqlite3_column_count(row) < 2)
		why = "its table users is not one of addresses and passwords";
	while (!why && (rc = sqlite3_step(row)) == SQLITE_ROW)
		if (!import_row(m, row))
			why = strerror(errno);
	sqlite3_finalize(row);
	if (!why && rc != SQLITE_DONE)
		why = sqlite3_errmsg(m->db);
	if (!why && syncfs(m->mailboxes) < 0)
		why = strerror(errno);
	if (!why && m->totals->failed > 0)
		why = "not all accounts could be made";
	return why;
}

/* --- aside --------------------------------------------------------------------------- */

static void sync_parent(const char *path)
{
	char copy[PATH_LEN];
	int fd;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fsync(fd) < 0)
		log_warning("migration: %s: %s", copy, strerror(errno));
	close(fd);
}

/* What SQLite keeps beside it goes along: the last changes may be in there only. */
static void move_beside(const char *path, const char *to, const char *suffix)
{
	char from[PATH_LEN], beside[PATH_LEN + 32];

	snprintf(from, sizeof(from), "%s%s", path, suffix);
	snprintf(beside, sizeof(beside), "%s%s", to, suffix);
	if (rename(from, beside) < 0 && errno != ENOENT)
		log_warning("migration: %s: %s", from, strerror(errno));
}

static bool move_aside(const struct import *m)
{
	char to[PATH_LEN], index[PATH_LEN];

	/* One of an earlier time is nothing to be lost either. */
	snprintf(to, sizeof(to), "%s.old", m->path);
	if (access(to, F_OK) == 0)
		snprintf(to, sizeof(to), "%s.old.%" PRId64, m->path, m->now);
	if (rename(m->path, to) < 0) {
		log_error("migration: cannot move %s to %s: %s; move it yourself, or "
			  "the next start sets all passwords in it again",
		    m->path, to, strerror(errno));
		return false;
	}
	move_beside(m->path, to, "-wal");
	move_beside(m->path, to, "-journal");
	snprintf(index, sizeof(index), "%s-shm", m->path); /* is made anew */
	unlink(index);
	sync_parent(m->path);
	log_info("migration: moved %s to %s", m->path, to);
	return true;
}

static void log_totals(const struct passdb_totals *t)
{
	log_info("migration: %" PRIu64 " passwords transferred, %" PRIu64
		 " of them without a usable hash and so blocked; passed over: %" PRIu64
		 " test accounts, %" PRIu64 " invalid addresses",
	    t->passwords, t->blocked, t->tests, t->invalid);
}

/* Only a file of its own is looked at: a link may lead to anything. */
static bool is_there(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			log_warning("migration: %s: %s", path, strerror(errno));
		return false;
	}
	if (S_ISREG(st.st_mode) && strlen(path) < PATH_LEN - 64)
		return true;
	log_warning("migration: %s is no regular file; it is left where it is", path);
	return false;
}

bool passdb_import(const char *path, const char *mailboxes_dir, int64_t now,
    struct passdb_totals *totals)
{
	struct import m = { path, NULL, -1, now, totals };
	const char *why = NULL;
	int mark = 0, rc;

	*totals = (struct passdb_totals){ 0 };
	if (!is_there(path))
		return false;
	log_info("migration: taking over the passwords in %s", path);
	systemd_starting("migration of the old password database", EXTEND_S);
	rc = open_database(&m, &mark);
	if (rc != SQLITE_OK)
		why = m.db ? sqlite3_errmsg(m.db) : sqlite3_errstr(rc);
	else if (mark == STORE_APPLICATION_ID)
		why = "it is the daemon's own database, not one of an old relay; set "
		      "passdb_path to another file";
	else if ((m.mailboxes = mailbox_open_all(mailboxes_dir)) < 0)
		why = strerror(errno);
	else
		why = import_rows(&m);
	if (why)
		log_left(&m, why);
	sqlite3_close(m.db);
	if (m.mailboxes >= 0)
		close(m.mailboxes);
	if (totals->passwords + totals->tests + totals->invalid > 0)
		log_totals(totals);
	if (why)
		return false;
	log_info("migration: all passwords migrated");
	return move_aside(&m);
}
