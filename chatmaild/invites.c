/*
 * Making and checking, and the two tables: the key in "meta", what was used in "invites".
 */
#include "chatmaild/invites.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define SERIAL_SIZE 6
#define BODY_SIZE   (SERIAL_SIZE + 2)
#define MAC_SIZE    10
#define DAYS        65536 /* that two bytes tell */

struct invites {
	struct store *store;
	unsigned char key[INVITE_KEY_SIZE];
	sqlite3_stmt *used;
};

/* --- the key ------------------------------------------------------------------------- */

struct key_op {
	struct store_op op;
	unsigned char key[INVITE_KEY_SIZE];
};

static int key_run(struct store_op *op, sqlite3 *db)
{
	const struct key_op *k = (const struct key_op *)op;
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db,
	    "INSERT INTO meta (key, value) VALUES ('invite_key', ?1)", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_blob(stmt, 1, k->key, INVITE_KEY_SIZE, SQLITE_STATIC);
	return store_finish(stmt);
}

static void key_done(struct store_op *op, int result)
{
	struct key_op *k = (struct key_op *)op;

	explicit_bzero(k->key, sizeof(k->key));
	free(k); /* if it could not be kept, which is logged, invites end with us */
}

static void make_key(struct invites *i)
{
	struct key_op *k = calloc(1, sizeof(*k));

	if (!k || RAND_bytes(i->key, INVITE_KEY_SIZE) != 1)
		abort(); /* a machine without randomness runs no TLS either */
	k->op.run = key_run;
	k->op.done = key_done;
	memcpy(k->key, i->key, INVITE_KEY_SIZE);
	store_submit(i->store, &k->op);
}

static bool load_key(struct invites *i)
{
	sqlite3_stmt *stmt =
	    store_prepare(i->store, "SELECT value FROM meta WHERE key = 'invite_key'");
	bool found = false;
	int rc;

	if (!stmt)
		return false;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == INVITE_KEY_SIZE) {
		memcpy(i->key, sqlite3_column_blob(stmt, 0), INVITE_KEY_SIZE);
		found = true;
	}
	store_check(i->store, rc);
	sqlite3_reset(stmt);
	if (!found)
		make_key(i);
	return true;
}

struct invites *invites_create(struct store *s)
{
	struct invites *i = calloc(1, sizeof(*i));

	if (!i)
		abort();
	i->store = s;
	i->used = store_prepare(s, "SELECT 1 FROM invites WHERE serial = ?1");
	if (i->used && load_key(i))
		return i;
	invites_destroy(i);
	return NULL;
}

void invites_destroy(struct invites *i)
{
	if (i)
		explicit_bzero(i->key, sizeof(i->key));
	free(i);
}

/* --- one invite ---------------------------------------------------------------------- */

static void seal(const unsigned char key[INVITE_KEY_SIZE],
    const unsigned char body[BODY_SIZE], unsigned char mac[MAC_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	if (!HMAC(EVP_sha256(), key, INVITE_KEY_SIZE, body, BODY_SIZE, digest, &len))
		abort();
	memcpy(mac, digest, MAC_SIZE);
}

/* base64url and the alphabet that OpenSSL knows differ in two letters. */
static void swap_letters(char *text, const char *from, const char *to)
{
	for (; *text; text++)
		for (size_t k = 0; k < 2; k++)
			if (*text == from[k]) {
				*text = to[k];
				break;
			}
}

void invite_write(const unsigned char key[INVITE_KEY_SIZE], const struct invite *i,
    char text[INVITE_LEN + 1])
{
	unsigned char bytes[BODY_SIZE + MAC_SIZE];

	for (size_t k = 0; k < SERIAL_SIZE; k++)
		bytes[k] = (unsigned char)(i->serial >> 8 * (SERIAL_SIZE - 1 - k));
	bytes[SERIAL_SIZE] = (unsigned char)(i->last_day % DAYS >> 8);
	bytes[SERIAL_SIZE + 1] = (unsigned char)i->last_day;
	seal(key, bytes, bytes + BODY_SIZE);
	EVP_EncodeBlock((unsigned char *)text, bytes, sizeof(bytes));
	swap_letters(text, "+/", "-_");
}

void invites_make(
    const struct invites *i, int64_t last_day, char invite[INVITE_LEN + 1])
{
	struct invite new = { .last_day = last_day };

	if (RAND_bytes((unsigned char *)&new.serial, SERIAL_SIZE) != 1)
		abort();
	invite_write(i->key, &new, invite);
}

/* The bytes of an invite; false if it is not made of the right letters. */
static bool decode(struct span password, unsigned char bytes[BODY_SIZE + MAC_SIZE])
{
	char text[INVITE_LEN + 1];

	if (password.len < INVITE_LEN)
		return false;
	memcpy(text, password.data, INVITE_LEN);
	text[INVITE_LEN] = '\0';
	for (size_t k = 0; k < INVITE_LEN; k++) {
		char c = text[k];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	swap_letters(text, "-_", "+/");
	return EVP_DecodeBlock(bytes, (const unsigned char *)text, INVITE_LEN) ==
	       BODY_SIZE + MAC_SIZE;
}

bool invite_read(
    const unsigned char key[INVITE_KEY_SIZE], struct span password, struct invite *i)
{
	unsigned char bytes[BODY_SIZE + MAC_SIZE], mac[MAC_SIZE];

	if (!decode(password, bytes))
		return false;
	seal(key, bytes, mac);
	if (CRYPTO_memcmp(mac, bytes + BODY_SIZE, MAC_SIZE) != 0)
		return false;
	i->serial = 1; /* above the random bits, so that none is 0 */
	for (size_t k = 0; k < SERIAL_SIZE; k++)
		i->serial = i->serial << 8 | bytes[k];
	i->last_day = bytes[SERIAL_SIZE] << 8 | bytes[SERIAL_SIZE + 1];
	return true;
}

static bool is_used(const struct invites *i, int64_t serial)
{
	int rc;

	sqlite3_bind_int64(i->used, 1, serial);
	rc = sqlite3_step(i->used);
	if (rc != SQLITE_ROW)
		store_check(i->store, rc);
	sqlite3_reset(i->used);
	return rc != SQLITE_DONE; /* in doubt it is */
}

int64_t invites_find(const struct invites *i, struct span password, int64_t today)
{
	struct invite found;

	if (!invite_read(i->key, password, &found) || found.last_day < today ||
	    is_used(i, found.serial))
		return 0;
	return found.serial;
}

int invites_row_use(sqlite3 *db, int64_t serial, int64_t today)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(
	    db, "DELETE FROM invites WHERE used < ?1", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	/* By then it is too old itself, whatever it was made for. */
	sqlite3_bind_int64(stmt, 1, today - INVITE_DAYS_MAX);
	rc = store_finish(stmt);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db,
		    "INSERT INTO invites (serial, used) VALUES (?1, ?2)", -1, &stmt,
		    NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, serial);
	sqlite3_bind_int64(stmt, 2, today);
	return store_finish(stmt);
}
