/*
 * The SQLite file: opening, migrating, group commits. What is in the tables is known to
 * the modules that use them.
 */
#include "chatmaild/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/log.h"

#define BUSY_TIMEOUT_MS 1000
#define STORE_PATH_MAX  4096

#define TEXT(x)  #x
#define VALUE(x) TEXT(x)

/* The schema: row n brings user_version n to n + 1. Rows are only ever added. */
static const char *const migrations[] = {
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	/* Days since 1970, NULL if unknown. The hash and what stat() said of its file
	 * warm the cache; the file stays the truth. */
	"CREATE TABLE users (address TEXT PRIMARY KEY, hash TEXT NOT NULL,"
	" inode INTEGER NOT NULL, size INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,"
	" created_day INTEGER, last_login_day INTEGER) WITHOUT ROWID;",
	/* In the order of their registration; refreshed, start and due are seconds. */
	"CREATE TABLE tokens (id INTEGER PRIMARY KEY, address TEXT NOT NULL,"
	" token TEXT NOT NULL, refreshed INTEGER NOT NULL);"
	"CREATE INDEX tokens_of ON tokens (address);"
	"CREATE INDEX tokens_age ON tokens (refreshed);"
	/* In the order of arrival. version counts the messages of a row. */
	"CREATE TABLE pushes (id INTEGER PRIMARY KEY, address TEXT NOT NULL,"
	" token TEXT NOT NULL, start INTEGER NOT NULL, due INTEGER NOT NULL,"
	" tries INTEGER NOT NULL, version INTEGER NOT NULL);"
	"CREATE INDEX pushes_of ON pushes (address);"
	"CREATE INDEX pushes_first ON pushes (due) WHERE tries = 0;"
	"CREATE INDEX pushes_retry ON pushes (due) WHERE tries > 0;",
	/* Invites that made an account, and the day they did. */
	"CREATE TABLE invites (serial INTEGER PRIMARY KEY, used INTEGER NOT NULL);",
};
#define VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

#define COUNTERS(field) offsetof(struct store_counters, field)
#define SIZE            "chatmail_store_size_bytes", "The database on disk.", OPENMETRICS_GAUGE
const struct metric_def store_metrics[] = {
	{ "chatmail_store_commit_seconds",
	    "Transactions of the database, until they are on disk.",
	    OPENMETRICS_HISTOGRAM, NULL, COUNTERS(commits) },
	{ "chatmail_store_operations_total", "Operations in these transactions.",
	    OPENMETRICS_COUNTER, NULL, COUNTERS(operations) },
	{ "chatmail_store_failures_total", "Operations that failed.",
	    OPENMETRICS_COUNTER, NULL, COUNTERS(failed) },
	{ SIZE, "file=\"database\"", COUNTERS(file_bytes) },
	{ SIZE, "file=\"log\"", COUNTERS(wal_bytes) },
};
const size_t nstore_metrics = sizeof(store_metrics) / sizeof(store_metrics[0]);

struct store {
	char path[STORE_PATH_MAX];
	struct workers *writer;

	/* The loop's. */
	sqlite3 *reader;
	struct store_counters counters; /* all but the sizes */

	/* The writer thread's. */
	sqlite3 *db;
	struct store_op *group; /* what the open transaction holds */
	int group_result;       /* SQLITE_OK, or why it cannot be committed */
	bool failing;           /* logged already */

	atomic_bool damaged; /* logged already */
};

static bool is_damage(int rc)
{
	return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

/* A file beside ours: its presence asks the next start to make the file anew. */
static int marker_path(const struct store *s, char path[STORE_PATH_MAX + 16])
{
	return snprintf(path, STORE_PATH_MAX + 16, "%s.damaged", s->path);
}

static void report_damage(struct store *s)
{
	char marker[STORE_PATH_MAX + 16];
	int fd;

	if (atomic_exchange(&s->damaged, true))
		return;
	log_error("store: %s is damaged; it will be made anew from the mailbox "
		  "directories at the next start",
	    s->path);
	marker_path(s, marker);
	fd = open(marker, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

void store_check(struct store *s, int result)
{
	if (is_damage(result))
		report_damage(s);
}

static int get_int(sqlite3 *db, const char *sql, int *value)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*value = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int connect_file(const struct store *s, sqlite3 **db)
{
	int rc = sqlite3_open_v2(
	    s->path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_extended_result_codes(*db, 1);
	sqlite3_busy_timeout(*db, BUSY_TIMEOUT_MS);
	return sqlite3_exec(*db,
	    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-512;"
	    "PRAGMA journal_size_limit=16777216; PRAGMA trusted_schema=0",
	    NULL, NULL, NULL);
}

/* SQLITE_NOTADB for a database that is somebody else's. */
static int check_owner(sqlite3 *db, int *version)
{
	int id = 0, tables = 0, rc;

	rc = get_int(db, "PRAGMA application_id", &id);
	if (rc == SQLITE_OK)
		rc = get_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (rc == SQLITE_OK)
		rc = get_int(db, "PRAGMA user_version", version);
	if (rc == SQLITE_OK && id != STORE_APPLICATION_ID &&
	    (tables > 0 || *version != 0))
		rc = SQLITE_NOTADB;
	return rc;
}

static int migrate(sqlite3 *db, int version)
{
	int rc = sqlite3_exec(db,
	    "BEGIN IMMEDIATE; PRAGMA application_id=" VALUE(STORE_APPLICATION_ID), NULL,
	    NULL, NULL);

	for (; rc == SQLITE_OK && version < VERSION; version++) {
		char set[64];

		rc = sqlite3_exec(db, migrations[version], NULL, NULL, NULL);
		snprintf(set, sizeof(set), "PRAGMA user_version=%d", version + 1);
		if (rc == SQLITE_OK)
			rc = sqlite3_exec(db, set, NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	else
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/*
 * Open and bring up to date; a missing file is made. The tables are probed: a cheap
 * look, damage further in shows when it is met.
 */
static int open_writer(struct store *s, bool *fresh)
{
	int version = 0, rebuilt = 0, rows = 0, rc;
	int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		log_error("store: %s: %s; make it writable for the daemon's user",
		    s->path, strerror(errno));
		return SQLITE_CANTOPEN;
	}
	fchmod(fd, 0600); /* fails when it is not ours: its owner decided then */
	close(fd);

	rc = connect_file(s, &s->db);
	if (rc == SQLITE_OK)
		rc = check_owner(s->db, &version);
	if (rc == SQLITE_OK && version > VERSION) {
		log_error("store: %s was made by a newer version (schema %d, this one "
			  "knows %d); install that version or move the file away",
		    s->path, version, VERSION);
		return SQLITE_MISMATCH;
	}
	if (rc == SQLITE_OK)
		rc = migrate(s->db, version);
	if (rc == SQLITE_OK)
		rc = get_int(
		    s->db, "SELECT 1 FROM meta WHERE key='users_rebuilt'", &rebuilt);
	if (rc == SQLITE_OK)
		rc = get_int(s->db, "SELECT 1 FROM users LIMIT 1", &rows);
	*fresh = !rebuilt;
	if (rc == SQLITE_OK || is_damage(rc))
		return rc;

	if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
		log_error(
		    "store: %s is locked by another process; stop it first", s->path);
	else
		log_error("store: %s: %s", s->path, sqlite3_errmsg(s->db));
	return rc;
}

/* The file and SQLite's two beside it, so that no stale WAL meets the new file. */
static int move_aside(const struct store *s)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	long long now = (long long)time(NULL);
	char marker[STORE_PATH_MAX + 16];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char from[STORE_PATH_MAX + 8], to[STORE_PATH_MAX + 48];

		snprintf(from, sizeof(from), "%s%s", s->path, suffixes[i]);
		snprintf(
		    to, sizeof(to), "%s.corrupt-%lld%s", s->path, now, suffixes[i]);
		if (rename(from, to) < 0 && errno != ENOENT) {
			log_error(
			    "store: cannot move %s aside: %s", from, strerror(errno));
			return -1;
		}
	}
	marker_path(s, marker);
	unlink(marker);
	log_error(
	    "store: %s was corrupt or not ours: moved to %s.corrupt-%lld, a new one "
	    "is filled from the mailbox directories",
	    s->path, s->path, now);
	return 0;
}

static int open_or_replace(struct store *s, bool *fresh)
{
	char marker[STORE_PATH_MAX + 16];
	int rc = SQLITE_CORRUPT;

	marker_path(s, marker);
	if (access(marker, F_OK) < 0)
		rc = open_writer(s, fresh);
	if (is_damage(rc)) {
		sqlite3_close(s->db);
		s->db = NULL;
		if (move_aside(s) < 0)
			return -1;
		rc = open_writer(s, fresh);
		if (is_damage(rc))
			log_error("store: %s: %s", s->path, sqlite3_errstr(rc));
	}
	return rc == SQLITE_OK ? 0 : -1;
}

/* Once per trouble, and once when it is over. */
static void note_commit(struct store *s, int rc)
{
	if (is_damage(rc))
		report_damage(s);
	else if (rc != SQLITE_OK && !s->failing)
		log_warning("store: cannot write %s: %s", s->path, sqlite3_errstr(rc));
	else if (rc == SQLITE_OK && s->failing)
		log_info("store: %s can be written again", s->path);
	s->failing = rc != SQLITE_OK;
}

static void begin_group(void *arg)
{
	struct store *s = arg;

	s->group = NULL;
	s->group_result = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
}

static void commit_group(void *arg)
{
	struct store *s = arg;
	int64_t began = histogram_clock();

	if (s->group_result == SQLITE_OK)
		s->group_result = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
	/* The loop counts; on this thread there is nothing it may read. */
	if (s->group_result == SQLITE_OK && s->group)
		s->group->commit_ns = histogram_clock() - began;
	if (s->group_result != SQLITE_OK && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	if (s->group_result != SQLITE_OK)
		for (struct store_op *op = s->group; op; op = op->next)
			op->result = s->group_result;
	note_commit(s, s->group_result);
}

static int run_in_savepoint(struct store_op *op, sqlite3 *db)
{
	int rc = sqlite3_exec(db, "SAVEPOINT op", NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = op->run(op, db);
	if (rc != SQLITE_OK)
		sqlite3_exec(db, "ROLLBACK TO op", NULL, NULL, NULL);
	sqlite3_exec(db, "RELEASE op", NULL, NULL, NULL);
	return rc;
}

static void run_op(struct job *job)
{
	struct store_op *op =
	    (struct store_op *)((char *)job - offsetof(struct store_op, job));
	struct store *s = op->store;

	if (s->group_result != SQLITE_OK) {
		op->result = s->group_result;
		return;
	}
	op->next = s->group;
	s->group = op;
	op->result = run_in_savepoint(op, s->db);
	if (is_damage(op->result))
		report_damage(s);
	/* A full disk or an I/O error may have rolled back the whole transaction. */
	if (op->result != SQLITE_OK && sqlite3_get_autocommit(s->db))
		s->group_result = op->result;
}

static void finish_op(struct job *job)
{
	struct store_op *op =
	    (struct store_op *)((char *)job - offsetof(struct store_op, job));
	struct store_counters *n = &op->store->counters;

	n->operations++;
	n->failed += op->result != SQLITE_OK;
	if (op->commit_ns)
		histogram_observe(&n->commits, op->commit_ns);
	op->done(op, op->result);
}

struct store *store_open(struct event_base *base, const char *state_dir, bool *fresh)
{
	struct store *s = calloc(1, sizeof(*s));
	struct workers_options options = {
		.threads = 1,
		.before = begin_group,
		.after = commit_group,
		.arg = s,
	};
	int n;

	if (!s)
		abort();
	n = snprintf(s->path, sizeof(s->path), "%s/" STORE_FILE, state_dir);
	if (n < 0 || n >= (int)sizeof(s->path)) {
		log_error("store: state_dir is too long");
		goto fail;
	}
	if (mkdir(state_dir, 0700) < 0 && errno != EEXIST) {
		log_error(
		    "store: cannot make state_dir %s: %s", state_dir, strerror(errno));
		goto fail;
	}
	if (open_or_replace(s, fresh) < 0)
		goto fail;
	if (connect_file(s, &s->reader) != SQLITE_OK) {
		log_error("store: %s: %s", s->path, sqlite3_errmsg(s->reader));
		goto fail;
	}
	s->writer = workers_create(base, &options);
	if (!s->writer)
		goto fail;
	return s;
fail:
	store_close(s);
	return NULL;
}

void store_close(struct store *s)
{
	sqlite3_stmt *stmt;

	if (!s)
		return;
	if (s->writer)
		workers_destroy(s->writer);
	while (s->reader && (stmt = sqlite3_next_stmt(s->reader, NULL)))
		sqlite3_finalize(stmt);
	sqlite3_close(s->reader);
	sqlite3_close(s->db);
	free(s);
}

void store_submit(struct store *s, struct store_op *op)
{
	op->store = s;
	op->commit_ns = 0;
	op->job.run = run_op;
	op->job.done = finish_op;
	workers_submit(s->writer, &op->job);
}

size_t store_queued(const struct store *s)
{
	return s ? workers_queued(s->writer) : 0;
}

static uint64_t file_size(const struct store *s, const char *suffix)
{
	char path[STORE_PATH_MAX + 8];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", s->path, suffix);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

void store_read_counters(const struct store *s, struct store_counters *counters)
{
	*counters = s->counters;
	counters->file_bytes = file_size(s, "");
	counters->wal_bytes = file_size(s, "-wal");
}

sqlite3_stmt *store_prepare(struct store *s, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v3(
	    s->reader, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);

	if (rc != SQLITE_OK) {
		store_check(s, rc);
		log_error("store: %s: %s", s->path, sqlite3_errmsg(s->reader));
	}
	return stmt;
}

void store_bind_span(sqlite3_stmt *stmt, int column, struct span text)
{
	/* NULL would be bound as SQL's NULL. */
	sqlite3_bind_text(
	    stmt, column, text.data ? text.data : "", (int)text.len, SQLITE_STATIC);
}

int store_finish(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);
	int final = sqlite3_finalize(stmt);

	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : final;
}
