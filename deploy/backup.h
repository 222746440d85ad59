/*
 * What of a relay is kept in a backup, and the scripts that read it out of one server and
 * put it on another.
 */
#ifndef DEPLOY_BACKUP_H
#define DEPLOY_BACKUP_H

#include "chatmaild/config.h"
#include "deploy/text.h"

enum backup_part {
	BACKUP_ALL,
	BACKUP_ACCOUNTS, /* without messages */
	BACKUP_STATE,    /* without mailboxes */
};

/*
 * Writes a tar archive to stdout while the relay works, from a snapshot of the database and
 * the files as they are met; without the end of archive.h. Dovecot's indexes are left out: it
 * makes them anew.
 */
void backup_script(
    const struct config *config, enum backup_part part, struct text *script);

/*
 * Exits 0 if the server holds nothing that a restore would put something in the place of;
 * else it says on stdout what is there.
 */
void backup_look_script(const struct config *config, struct text *script);

/*
 * Reads such an archive from stdin, all of it before anything is put in its place; then says
 * "accounts N" and "messages N" on stdout. force: what is there is stopped, and its mailboxes
 * are moved aside, which is said as "aside PATH".
 *
 * Clients have seen messages that came after the backup. So that the next ones are not taken
 * for these, the numbers of messages to come (UIDNEXT, RFC 3501 section 2.3.1.1) are raised.
 */
void backup_restore_script(
    const struct config *config, bool force, struct text *script);

/* For BACKUP_STATE, as it comes out of backup_script(): onto a stopped relay. */
void backup_state_script(const struct config *config, struct text *script);

#endif
