/*
 * A copy of the database, for backups.
 */
#ifndef CHATMAILD_STORE_COPY_H
#define CHATMAILD_STORE_COPY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Write the database below state_dir, as it is at one moment, to the new file to, which must
 * not be there; also while a daemon uses it. Run as the daemon's user, so that files that
 * SQLite makes are its. False with what is wrong in error, of size bytes.
 */
bool store_copy(const char *state_dir, const char *to, char *error, size_t size);

#endif
