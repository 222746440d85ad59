/*
 * SQL of the pushes table. The rows of one account are few: they are found by its
 * address.
 */
#include "chatmaild/push_row.h"

#define ROOM_ROWS "1000" /* looked at for expired ones when the table is full */

#define REPEAT                                                                         \
	"UPDATE pushes SET start = ?3, due = ?3, tries = 0, version = version + 1"     \
	" WHERE address = ?1 AND token = ?2 RETURNING id, version"
#define INSERT                                                                         \
	"INSERT INTO pushes (address, token, start, due, tries, version)"              \
	" VALUES (?1, ?2, ?3, ?3, 0, 1) RETURNING id, version"
#define IMPORT                                                                         \
	"INSERT INTO pushes (address, token, start, due, tries, version)"              \
	" SELECT ?1, ?2, ?3, ?4, 0, 1"                                                 \
	" WHERE NOT EXISTS (SELECT 1 FROM pushes WHERE address = ?1 AND token = ?2)"
#define DELETE_EXPIRED                                                                 \
	"DELETE FROM pushes WHERE start <= ?1 AND id IN"                               \
	" (SELECT id FROM pushes ORDER BY id LIMIT " ROOM_ROWS ")"
#define DELETE_VERSION "DELETE FROM pushes WHERE id = ?1 AND version = ?2"
#define DELETE_ANY     "DELETE FROM pushes WHERE id = ?1"
#define RESCHEDULE                                                                     \
	"UPDATE pushes SET start = ?3, due = ?4, tries = ?5"                           \
	" WHERE id = ?1 AND version = ?2"

/* Statements used for every token, prepared once. */
struct adding {
	sqlite3_stmt *tokens, *repeat, *insert;
};

/* REPEAT or INSERT for a token: SQLITE_ROW and which row, or SQLITE_DONE for none. */
static int write_row(sqlite3_stmt *stmt, struct span address, struct span token,
    int64_t start, struct push_version *of)
{
	int rc, reset;

	store_bind_span(stmt, 1, address);
	store_bind_span(stmt, 2, token);
	sqlite3_bind_int64(stmt, 3, start);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		of->row = sqlite3_column_int64(stmt, 0);
		of->version = sqlite3_column_int64(stmt, 1);
	}
	reset = sqlite3_reset(stmt);
	return reset == SQLITE_OK ? rc : reset;
}

static int add_token(const struct adding *a, struct span address, struct span token,
    int64_t start, bool full, struct push_added *added)
{
	struct push_version *of = &added->of[added->n];
	int rc = write_row(a->repeat, address, token, start, of);

	if (rc == SQLITE_ROW) {
		added->coalesced++;
	} else if (rc == SQLITE_DONE && full) {
		added->shed++;
		return SQLITE_OK;
	} else if (rc == SQLITE_DONE) {
		rc = write_row(a->insert, address, token, start, of);
		added->inserted++;
	}
	if (rc != SQLITE_ROW)
		return rc;
	added->n++;
	return SQLITE_OK;
}

static int add_tokens(const struct adding *a, struct span address,
    const struct push_times *when, bool full, struct push_added *added)
{
	int rc;

	tokens_bind_valid(a->tokens, address, when->now);
	while ((rc = sqlite3_step(a->tokens)) == SQLITE_ROW &&
	       added->n < TOKENS_PER_ACCOUNT) {
		struct span token =
		    span_make((const char *)sqlite3_column_text(a->tokens, 0),
			(size_t)sqlite3_column_bytes(a->tokens, 0));

		rc = add_token(a, address, token, when->start, full, added);
		if (rc != SQLITE_OK)
			return rc;
	}
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int delete_expired(sqlite3 *db, int64_t start, uint64_t *expired)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, DELETE_EXPIRED, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, start);
	rc = store_finish(stmt);
	if (rc == SQLITE_OK)
		*expired = (uint64_t)sqlite3_changes(db);
	return rc;
}

int push_rows_add(sqlite3 *db, struct span address, const struct push_times *when,
    bool full, struct push_added *added)
{
	struct adding a = { NULL, NULL, NULL };
	int rc = SQLITE_OK;

	*added = (struct push_added){ .n = 0 };
	if (full)
		rc = delete_expired(db, when->expired, &added->expired);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, TOKENS_VALID, -1, &a.tokens, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, REPEAT, -1, &a.repeat, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, INSERT, -1, &a.insert, NULL);
	if (rc == SQLITE_OK)
		rc = add_tokens(&a, address, when, full && !added->expired, added);
	sqlite3_finalize(a.tokens);
	sqlite3_finalize(a.repeat);
	sqlite3_finalize(a.insert);
	return rc;
}

/* One statement for each kind of outcome, prepared when the first comes. */
struct finishing {
	sqlite3 *db;
	sqlite3_stmt *stmt[3]; /* by enum push_act */
};

static int finish_row(struct finishing *f, struct push_outcome *o)
{
	static const char *const sql[] = {
		[PUSH_DELETE] = DELETE_VERSION,
		[PUSH_DELETE_TOKEN] = DELETE_ANY,
		[PUSH_RESCHEDULE] = RESCHEDULE,
	};
	sqlite3_stmt **stmt = &f->stmt[o->act];
	int rc = SQLITE_OK;

	if (!*stmt)
		rc = sqlite3_prepare_v2(f->db, sql[o->act], -1, stmt, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(*stmt, 1, o->of.row);
	if (o->act != PUSH_DELETE_TOKEN)
		sqlite3_bind_int64(*stmt, 2, o->of.version);
	if (o->act == PUSH_RESCHEDULE) {
		sqlite3_bind_int64(*stmt, 3, o->start);
		sqlite3_bind_int64(*stmt, 4, o->due);
		sqlite3_bind_int64(*stmt, 5, o->tries);
	}
	sqlite3_step(*stmt);
	rc = sqlite3_reset(*stmt);
	o->applied = rc == SQLITE_OK && sqlite3_changes(f->db) > 0;
	if (rc == SQLITE_OK && o->act == PUSH_DELETE_TOKEN)
		rc = tokens_row_delete(f->db, o->address, o->token);
	return rc;
}

int push_rows_finish(sqlite3 *db, struct push_outcome *outcome, size_t n)
{
	struct finishing f = { .db = db };
	int rc = SQLITE_OK;

	for (size_t i = 0; rc == SQLITE_OK && i < n; i++)
		rc = finish_row(&f, &outcome[i]);
	for (size_t i = 0; i < sizeof(f.stmt) / sizeof(f.stmt[0]); i++)
		sqlite3_finalize(f.stmt[i]);
	return rc;
}

int push_row_import(sqlite3 *db, struct span address, struct span token, int64_t start,
    int64_t due, uint64_t *inserted)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, IMPORT, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	store_bind_span(stmt, 1, address);
	store_bind_span(stmt, 2, token);
	sqlite3_bind_int64(stmt, 3, start);
	sqlite3_bind_int64(stmt, 4, due);
	rc = store_finish(stmt);
	if (rc == SQLITE_OK)
		*inserted += (uint64_t)sqlite3_changes(db);
	return rc;
}
