/*
 * A backup: a tar archive as GNU tar writes it (the GNU format of tar(5)), read while it
 * passes. It holds files, directories, hard links, and, but among mailboxes, symbolic links;
 * none of them, and no target of a link, is absolute or climbs out of the archive by "..", and
 * no file has a set-user-ID bit: anything else makes it a wrong one.
 *
 * Two members are ours: the first one, ARCHIVE_INFO, says whose it is; the last one,
 * ARCHIVE_MANIFEST, holds the SHA-256 of all before it, and counts. So an archive that was
 * cut or changed is told from a whole one, and any tar can unpack it.
 */
#ifndef DEPLOY_ARCHIVE_H
#define DEPLOY_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "deploy/text.h"

#define ARCHIVE_INFO     "chatmail-backup/info"
#define ARCHIVE_MANIFEST "chatmail-backup/manifest"
#define ARCHIVE_TEXT_MAX 16384 /* bytes of either */
#define ARCHIVE_NAME_MAX 8192  /* bytes of a member's name */

struct archive_counts {
	uint64_t
	    accounts; /* MAILBOXES/ADDRESS/password; MAILBOXES is a line of the info */
	uint64_t messages; /* files below MAILBOXES, in directories "cur" and "new" */
	uint64_t bytes;    /* of all files */
};

struct archive;

struct archive *archive_create(void);
void archive_free(struct archive *a); /* accepts NULL */

/*
 * Read bytes; what of them stands before the archive's end is appended to out, unless that is
 * NULL. Bytes behind the end are passed over. Returns NULL, or what is wrong, for good.
 */
const char *archive_feed(struct archive *a, struct span bytes, struct text *out);

/* Did the end come? Or it is cut. */
bool archive_ended(const struct archive *a);

/* Of what was read, without our two members. */
struct archive_counts archive_counts(const struct archive *a);

/* The value of a line "KEY VALUE" of ARCHIVE_INFO; false if there is none. */
bool archive_info(const struct archive *a, const char *key, struct span *value);

/* Append the manifest of what was read, as a member, and the archive's end. */
void archive_seal(const struct archive *a, struct text *to);

/* After the last byte: NULL, or why it is not as it was sealed. */
const char *archive_verify(const struct archive *a);

#endif
