#include "chatmaild/hand_back.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/python_files.h"
#include "chatmaild/store.h"
#include "chatmaild/tokens.h"
#include "proto/address.h"

#define METADATA   "metadata.json"
#define PUSHES_DIR "pending_notifications"
#define TEMPORARY  ".tmp" /* at the end of a name: the Python services pass it over */
#define NAME_BYTES 16     /* of a notification's file, in hex */

struct handover {
	sqlite3 *db;
	sqlite3_stmt *tokens; /* of an account: token, refreshed */
	DIR *mailboxes;
	int64_t now;
	bool
	    complete; /* all files were read once: what is not in the database is gone */
	struct hand_back_totals *totals;
	char *error; /* HAND_BACK_ERROR_MAX */
};

__attribute__((format(printf, 2, 3))) static int fail(
    struct handover *h, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(h->error, HAND_BACK_ERROR_MAX, fmt, ap);
	va_end(ap);
	return -1;
}

static int fail_database(struct handover *h)
{
	return fail(h, "the database cannot be read: %s; does the daemon run?",
	    sqlite3_errmsg(h->db));
}

/* ---- files ---- */

static bool write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* By a temporary name, as the Python services do it. */
static int put_file(struct handover *h, int dir, const char *name, const char *data)
{
	char temporary[64];
	bool good;
	int fd;

	snprintf(temporary, sizeof(temporary), "%s" TEMPORARY, name);
	fd = openat(dir, temporary,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(h, "%s: %s", temporary, strerror(errno));
	good = write_all(fd, data, strlen(data)) && fsync(fd) == 0;
	if (close(fd) < 0 || !good || renameat(dir, temporary, dir, name) < 0)
		return fail(h, "%s: %s", name, strerror(errno));
	return 0;
}

/* ---- device tokens ---- */

/* What the account's file holds now; an empty object if there is none, or none that can be
 * read. *there: there is one. */
static json_t *read_metadata(int box, bool *there)
{
	int fd = openat(
	    box, METADATA, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	json_t *json = NULL;
	struct stat st;

	*there = fd >= 0;
	if (fd < 0)
		return json_object();
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= PYTHON_METADATA_MAX)
		json = json_loadfd(fd, 0, NULL);
	close(fd);
	if (json_is_object(json))
		return json;
	json_decref(json);
	return json_object();
}

/* The tokens of the database, after those of the file if they may not have been read. */
static json_t *collect_tokens(
    struct handover *h, const char *address, const json_t *metadata)
{
	const json_t *old = json_object_get(metadata, "devicetoken");
	json_t *tokens = !h->complete && json_is_object(old) ? json_copy((json_t *)old)
							     : json_object();
	int rc;

	tokens_bind_valid(h->tokens, span_of(address), h->now);
	while ((rc = sqlite3_step(h->tokens)) == SQLITE_ROW)
		json_object_set_new(tokens,
		    (const char *)sqlite3_column_text(h->tokens, 0),
		    json_integer(sqlite3_column_int64(h->tokens, 1)));
	sqlite3_reset(h->tokens);
	if (rc == SQLITE_DONE)
		return tokens;
	json_decref(tokens);
	return NULL;
}

static int write_metadata(
    struct handover *h, int box, json_t *metadata, const json_t *tokens)
{
	char *text = json_dumps(metadata, JSON_ENSURE_ASCII);
	int rc = text ? put_file(h, box, METADATA, text)
		      : fail(h, METADATA ": too large for the memory");

	free(text);
	if (rc == 0 && json_object_size(tokens) > 0) {
		h->totals->accounts++;
		h->totals->tokens += json_object_size(tokens);
	}
	return rc;
}

static int hand_account(struct handover *h, int box, const char *address)
{
	bool there;
	json_t *metadata = read_metadata(box, &there);
	json_t *tokens = collect_tokens(h, address, metadata);
	int rc = 0;

	if (!tokens) {
		rc = fail_database(h);
	} else if (there || json_object_size(tokens) > 0) {
		json_object_set(metadata, "devicetoken", tokens);
		rc = write_metadata(h, box, metadata, tokens);
	}
	json_decref(tokens);
	json_decref(metadata);
	return rc;
}

static int hand_accounts(struct handover *h)
{
	const struct dirent *e;

	while ((e = readdir(h->mailboxes))) {
		int box, rc;

		if (!address_is_path(span_of(e->d_name)))
			continue;
		box = openat(dirfd(h->mailboxes), e->d_name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (box < 0)
			continue;
		rc = hand_account(h, box, e->d_name);
		close(box);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- notifications ---- */

/* What was read from there at the takeover has been sent, or is in the database. */
static void empty_directory(DIR *dir)
{
	const struct dirent *e;

	while ((e = readdir(dir))) {
		if (e->d_name[0] != '.')
			unlinkat(dirfd(dir), e->d_name, 0);
	}
}

static int hand_push(struct handover *h, int dir, sqlite3_stmt *row)
{
	unsigned char bytes[NAME_BYTES];
	char name[2 * NAME_BYTES + 1], *text;
	int rc;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return fail(h, "no random numbers: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(name + 2 * i, 3, "%02x", bytes[i]);
	if (asprintf(&text, "%s\n%" PRId64 "\n%s", sqlite3_column_text(row, 0),
		(int64_t)sqlite3_column_int64(row, 1), sqlite3_column_text(row, 2)) < 0)
		abort();
	rc = put_file(h, dir, name, text);
	free(text);
	h->totals->pushes += rc == 0;
	return rc;
}

static int hand_rows(struct handover *h, int dir)
{
	sqlite3_stmt *row = NULL;
	int result = 0, rc = SQLITE_ERROR;

	if (sqlite3_prepare_v2(h->db,
		"SELECT address, start, token FROM pushes ORDER BY id", -1, &row,
		NULL) == SQLITE_OK) {
		while (result == 0 && (rc = sqlite3_step(row)) == SQLITE_ROW)
			result = hand_push(h, dir, row);
	}
	sqlite3_finalize(row);
	return result < 0 || rc == SQLITE_DONE ? result : fail_database(h);
}

static int hand_pushes(struct handover *h)
{
	int fd, rc;
	DIR *dir;

	if (mkdirat(dirfd(h->mailboxes), PUSHES_DIR, 0700) < 0 && errno != EEXIST)
		return fail(h, PUSHES_DIR ": %s", strerror(errno));
	fd = openat(dirfd(h->mailboxes), PUSHES_DIR,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return fail(h, PUSHES_DIR ": %s", strerror(errno));
	if (h->complete)
		empty_directory(dir);
	rc = hand_rows(h, fd);
	closedir(dir);
	return rc;
}

/* ---- the database ---- */

/* Exclusively: the daemon must not add what would be forgotten. */
static int open_database(struct handover *h, const char *path)
{
	sqlite3_stmt *mark = NULL;

	if (sqlite3_open_v2(path, &h->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
	    sqlite3_exec(h->db,
		"PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=0;"
		"BEGIN EXCLUSIVE",
		NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(h->db, "SELECT 1 FROM meta WHERE key='users_rebuilt'",
		-1, &mark, NULL) != SQLITE_OK)
		return fail_database(h);
	h->complete = sqlite3_step(mark) == SQLITE_ROW;
	sqlite3_finalize(mark);
	if (sqlite3_prepare_v2(h->db,
		"SELECT token, refreshed FROM tokens WHERE address = ?1"
		" AND refreshed > ?2 AND refreshed < ?3 ORDER BY id",
		-1, &h->tokens, NULL) != SQLITE_OK)
		return fail_database(h);
	return 0;
}

/* SQLite has written its log back into the file and removed it when it closed it. */
static int move_aside(struct handover *h, const char *path)
{
	char to[PATH_MAX];

	if (snprintf(to, sizeof(to), "%s" HAND_BACK_SUFFIX, path) >= (int)sizeof(to) ||
	    rename(path, to) < 0)
		return fail(h, "%s: %s", path, strerror(errno));
	return 0;
}

int hand_back(const char *state_dir, const char *mailboxes_dir, int64_t now,
    struct hand_back_totals *totals, char error[HAND_BACK_ERROR_MAX])
{
	struct handover h = { .now = now, .totals = totals, .error = error };
	char path[PATH_MAX];
	int rc;

	*totals = (struct hand_back_totals){ 0 };
	if (snprintf(path, sizeof(path), "%s/" STORE_FILE, state_dir) >=
	    (int)sizeof(path))
		return fail(&h, "%s: the name is too long", state_dir);
	if (access(path, F_OK) < 0)
		return errno == ENOENT ? 0 : fail(&h, "%s: %s", path, strerror(errno));
	h.mailboxes = opendir(mailboxes_dir);
	if (!h.mailboxes)
		return fail(&h, "%s: %s", mailboxes_dir, strerror(errno));
	rc = open_database(&h, path);
	if (rc == 0)
		rc = hand_accounts(&h);
	if (rc == 0)
		rc = hand_pushes(&h);
	/* Their names, too, before the database loses its own. */
	if (rc == 0 && syncfs(dirfd(h.mailboxes)) < 0)
		rc = fail(&h, "%s: %s", mailboxes_dir, strerror(errno));
	sqlite3_finalize(h.tokens);
	if (h.db && rc == 0)
		sqlite3_exec(h.db, "COMMIT", NULL, NULL, NULL);
	sqlite3_close(h.db);
	closedir(h.mailboxes);
	return rc < 0 ? rc : move_aside(&h, path);
}
