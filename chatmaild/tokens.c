/*
 * SQL of the tokens table. An account has few tokens, so they are found by its address
 * and compared: an index over the tokens themselves would double the file.
 */
#include "chatmaild/tokens.h"

#include <stdlib.h>

#define FORGET_STALE_OF "DELETE FROM tokens WHERE address = ?1 AND refreshed <= ?2"
#define REFRESH         "UPDATE tokens SET refreshed = ?3 WHERE address = ?1 AND token = ?2"
#define INSERT                                                                         \
	"INSERT INTO tokens (address, token, refreshed) SELECT ?1, ?2, ?3"             \
	" WHERE NOT EXISTS (SELECT 1 FROM tokens WHERE address = ?1 AND token = ?2)"
#define FORGET_SURPLUS                                                                 \
	"DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE address = ?1"     \
	" ORDER BY refreshed DESC, id DESC LIMIT -1 OFFSET ?2)"

bool token_is_valid(struct span token)
{
	if (token.len == 0 || token.len > TOKEN_MAX)
		return false;
	for (size_t i = 0; i < token.len; i++)
		if (token.data[i] <= ' ' || token.data[i] > '~')
			return false;
	return true;
}

bool token_is_current(int64_t refreshed, int64_t now)
{
	return refreshed > now - TOKEN_VALID_SECONDS &&
	       refreshed < now + TOKEN_FUTURE_MAX;
}

void tokens_bind_valid(sqlite3_stmt *stmt, struct span address, int64_t now)
{
	store_bind_span(stmt, 1, address);
	sqlite3_bind_int64(stmt, 2, now - TOKEN_VALID_SECONDS);
	sqlite3_bind_int64(stmt, 3, now + TOKEN_FUTURE_MAX);
}

/* INSERT or REFRESH. */
static int write_row(sqlite3 *db, const char *sql, struct span address,
    struct span token, int64_t refreshed)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	store_bind_span(stmt, 1, address);
	store_bind_span(stmt, 2, token);
	sqlite3_bind_int64(stmt, 3, refreshed);
	return store_finish(stmt);
}

/* FORGET_STALE_OF or FORGET_SURPLUS. */
static int forget_rows(sqlite3 *db, const char *sql, struct span address, int64_t limit)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	store_bind_span(stmt, 1, address);
	sqlite3_bind_int64(stmt, 2, limit);
	return store_finish(stmt);
}

int tokens_row_import(
    sqlite3 *db, struct span address, struct span token, int64_t refreshed)
{
	int rc = write_row(db, INSERT, address, token, refreshed);

	if (rc == SQLITE_OK)
		rc = forget_rows(db, FORGET_SURPLUS, address, TOKENS_PER_ACCOUNT);
	return rc;
}

int tokens_row_delete(sqlite3 *db, struct span address, struct span token)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db,
	    "DELETE FROM tokens WHERE address = ?1 AND token = ?2", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	store_bind_span(stmt, 1, address);
	store_bind_span(stmt, 2, token);
	return store_finish(stmt);
}

int tokens_rows_forget(sqlite3 *db, struct span address)
{
	return forget_rows(db, FORGET_STALE_OF, address, INT64_MAX);
}

/* Some tokens of one account on their way into the store; the texts follow. */
struct addition {
	struct store_op op;
	tokens_done *done;
	void *arg;
	int64_t now;
	struct span address;
	size_t n;
	struct span token[];
};

static int addition_run(struct store_op *op, sqlite3 *db)
{
	const struct addition *a = (struct addition *)op;
	int rc =
	    forget_rows(db, FORGET_STALE_OF, a->address, a->now - TOKEN_VALID_SECONDS);

	for (size_t i = 0; rc == SQLITE_OK && i < a->n; i++) {
		rc = write_row(db, REFRESH, a->address, a->token[i], a->now);
		if (rc == SQLITE_OK && sqlite3_changes(db) == 0)
			rc = write_row(db, INSERT, a->address, a->token[i], a->now);
	}
	if (rc == SQLITE_OK)
		rc = forget_rows(db, FORGET_SURPLUS, a->address, TOKENS_PER_ACCOUNT);
	return rc;
}

static void addition_done(struct store_op *op, int result)
{
	struct addition *a = (struct addition *)op;

	a->done(a->arg, result == SQLITE_OK ? 0 : -1);
	free(a);
}

/* Copy text to *end and move it on. */
static struct span keep(char **end, struct span text)
{
	struct span kept = span_make(*end, text.len);

	memcpy(*end, text.data, text.len);
	*end += text.len;
	return kept;
}

void tokens_add(struct store *s, struct span address, const struct span *token,
    size_t n, int64_t now, tokens_done *done, void *arg)
{
	size_t bytes = address.len;
	struct addition *a;
	char *end;

	for (size_t i = 0; i < n; i++)
		bytes += token[i].len;
	a = calloc(1, sizeof(*a) + n * sizeof(a->token[0]) + bytes);
	if (!a)
		abort();
	*a = (struct addition){ .done = done, .arg = arg, .now = now, .n = n };
	a->op.run = addition_run;
	a->op.done = addition_done;
	end = (char *)&a->token[n];
	a->address = keep(&end, address);
	for (size_t i = 0; i < n; i++)
		a->token[i] = keep(&end, token[i]);
	store_submit(s, &a->op);
}

/* Append the token that stmt stands at; list grows with it. */
static char *append(char *list, size_t *len, sqlite3_stmt *stmt)
{
	const unsigned char *token = sqlite3_column_text(stmt, 0);
	size_t n = (size_t)sqlite3_column_bytes(stmt, 0);

	list = realloc(list, *len + n + 2);
	if (!list)
		abort();
	if (*len)
		list[(*len)++] = ' ';
	memcpy(list + *len, token, n);
	*len += n;
	list[*len] = '\0';
	return list;
}

char *tokens_list(struct store *s, struct span address, int64_t now)
{
	sqlite3_stmt *stmt = store_prepare(s, TOKENS_VALID);
	char *list = strdup("");
	size_t len = 0;
	int rc;

	if (!list)
		abort();
	if (!stmt) {
		free(list);
		return NULL;
	}
	tokens_bind_valid(stmt, address, now);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		list = append(list, &len, stmt);
	sqlite3_finalize(stmt);
	store_check(s, rc);
	if (rc == SQLITE_DONE)
		return list;
	free(list);
	return NULL;
}

struct purge {
	struct store_op op;
	int64_t oldest;
};

static int purge_run(struct store_op *op, sqlite3 *db)
{
	const struct purge *p = (struct purge *)op;
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(
	    db, "DELETE FROM tokens WHERE refreshed <= ?1", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, p->oldest);
	return store_finish(stmt);
}

static void purge_done(struct store_op *op, int result)
{
	free(op);
}

void tokens_purge(struct store *s, int64_t now)
{
	struct purge *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->op.run = purge_run;
	p->op.done = purge_done;
	p->oldest = now - TOKEN_VALID_SECONDS;
	store_submit(s, &p->op);
}
