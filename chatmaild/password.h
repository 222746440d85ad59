/*
 * Password hashes as Dovecot reads them: "{SHA512-CRYPT}$6$<16 salt>$<86>", 5000
 * rounds, by libxcrypt. Costs more than a millisecond: call it on a worker.
 */
#ifndef CHATMAILD_PASSWORD_H
#define CHATMAILD_PASSWORD_H

#include "proto/span.h"

#define PASSWORD_MAX 511 /* bytes; crypt() takes 512 with the NUL */
#define PASSWORD_HASH_MAX                                                              \
	512 /* bytes of a stored hash with its scheme, NUL included  \
			       */

/*
 * Write the NUL-terminated hash. 0, or -1 if password is longer than PASSWORD_MAX,
 * holds NUL, does not fit size, or randomness or crypt() failed.
 */
int password_hash(struct span password, char *hash, size_t size);

/*
 * Is it this password's hash? Only of our own scheme: of any other, no. For what we
 * made ourselves; users' passwords are compared by Dovecot. As costly as password_hash().
 */
bool password_matches(struct span password, const char *hash);

/*
 * "{SCHEME}" with a non-empty rest of printable ASCII: what may be handed to Dovecot,
 * whose default_pass_scheme would take any other text as the password itself.
 */
bool password_is_hash(struct span text);

/* Characters, not bytes: UTF-8 continuation bytes do not count. */
size_t password_length(struct span password);

#endif
