/*
 * Invites: who may make an account while registration is by invite. An invite is a short
 * text at the beginning of the new account's password, so that clients need to know nothing
 * but how to log in. It proves itself by a keyed hash, and nothing is stored of it until it
 * is used:
 *
 *	6 bytes serial, random   2 bytes last day, since 1970   10 bytes of HMAC-SHA256
 *
 * in base64url (RFC 4648 section 5): 24 characters. The key is the store's; with the
 * database all invites that were not used yet are lost.
 */
#ifndef CHATMAILD_INVITES_H
#define CHATMAILD_INVITES_H

#include <stdbool.h>
#include <stdint.h>

#include "chatmaild/store.h"

#define INVITE_LEN      24 /* characters */
#define INVITE_KEY_SIZE 32
#define INVITE_DAYS_MAX 3650

struct invites;

/* NULL if the store cannot be read, logged. */
struct invites *invites_create(struct store *s);
void invites_destroy(struct invites *i); /* after store_close(); accepts NULL */

/* A new one, good to the end of that day (days since 1970); NUL-terminated. */
void invites_make(
    const struct invites *i, int64_t last_day, char invite[INVITE_LEN + 1]);

/*
 * The serial of the invite that password begins with, if it is ours, not too old and not
 * used; else 0. Reads the store on the loop.
 */
int64_t invites_find(const struct invites *i, struct span password, int64_t today);

/*
 * For an operation's run(), on the writer: it is used now. SQLITE_CONSTRAINT if it was
 * before. Forgets those that are too old by now.
 */
int invites_row_use(sqlite3 *db, int64_t serial, int64_t today);

/* What an invite says. Without the store, for the above and their fuzz target. */
struct invite {
	int64_t serial;   /* of 48 bits, and one above them: never 0 */
	int64_t last_day; /* since 1970, below 65536 */
};

/* NUL-terminated. */
void invite_write(const unsigned char key[INVITE_KEY_SIZE], const struct invite *i,
    char text[INVITE_LEN + 1]);

/* What password begins with; false if that is no invite of this key. */
bool invite_read(
    const unsigned char key[INVITE_KEY_SIZE], struct span password, struct invite *i);

#endif
