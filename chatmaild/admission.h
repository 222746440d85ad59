/*
 * May a new account be made? The operator's switch, the lengths and letters of names
 * and passwords, the load of the machine. Existing accounts never come here.
 */
#ifndef CHATMAILD_ADMISSION_H
#define CHATMAILD_ADMISSION_H

#include <stdint.h>

#include "chatmaild/config.h"

#define ADMISSION_CLOSED_FILE "/etc/chatmail-nocreate"

/* Before the @: while there is an echo bot, nobody else makes this one. */
#define ADMISSION_ECHOBOT "echo"

enum admission {
	ADMISSION_OK,
	ADMISSION_CLOSED,   /* the operator's switch */
	ADMISSION_PASSWORD, /* too short or too long */
	ADMISSION_NAME,
	ADMISSION_LOAD,
	ADMISSION_MEMORY,
	ADMISSION_DISK,
	ADMISSION_RATE,    /* users.c's: too many on the whole relay just now */
	ADMISSION_NETWORK, /* too many from one network */
	ADMISSION_INVITE,  /* none, or one that is no good */
	ADMISSION_ANSWERS, /* how many there are */
};

/* Readings of the machine are kept for a second; the paths are fields for tests. */
struct admission_control {
	const char *closed_file;
	const char *loadavg; /* /proc/loadavg */
	const char *meminfo; /* /proc/meminfo */

	int64_t read_at_ms; /* monotonic; 0: never */
	double load_1m;     /* negative: could not be read */
	int64_t memory_mib; /* available; negative: could not be read */
	int64_t disk_mib;   /* free below mailboxes_dir for other users than root */
};

void admission_init(struct admission_control *a);

/*
 * Whether any account may be made at all: OK, CLOSED, LOAD, MEMORY or DISK. Logs nothing;
 * now_ms is a monotonic clock's.
 */
enum admission admission_open(
    struct admission_control *a, const struct config *config, int64_t now_ms);

/* now_ms is a monotonic clock's. Refusals are logged here, without the address. */
enum admission admission_check(struct admission_control *a, const struct config *config,
    struct span address, struct span password, int64_t now_ms);

/*
 * The same for an account that the operator asks for: only what no mailbox and no login can
 * do without. OK, NAME or PASSWORD; logs nothing.
 */
enum admission admission_check_form(
    const struct config *config, struct span address, struct span password);

#endif
