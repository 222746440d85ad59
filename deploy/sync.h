/*
 * Mailboxes of one server made the same on another, through this machine: only what differs
 * is sent. Files are told apart by path, size and time of change; a message never changes,
 * and Dovecot's own files are replaced by rename, which gives them a new time.
 */
#ifndef DEPLOY_SYNC_H
#define DEPLOY_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "deploy/host.h"
#include "deploy/progress.h"

#define SYNC_ERROR_MAX (HOST_ERROR_MAX + 64)

struct sync {
	struct host *from, *to;
	const char *from_directory, *to_directory;
	struct progress *progress;
	uint64_t sent; /* bytes of the archive, filled in */
};

/*
 * Make to_directory the same as from_directory: what is not in that is deleted. Dovecot's
 * indexes are left out. Mail that moves meanwhile is a matter of the next time. False with
 * what failed in error; what was copied by then stays, and need not be again.
 */
bool sync_run(struct sync *s, char error[SYNC_ERROR_MAX]);

/*
 * What pack_script says on from, reading in (a descriptor, -1: none), becomes the input of
 * unpack_script on to. Its bytes are added to *sent. True if both ended well.
 */
bool sync_pipe(struct host *from, const char *pack_script, int in, struct host *to,
    const char *unpack_script, struct progress *progress, uint64_t *sent,
    char error[SYNC_ERROR_MAX]);

#endif
