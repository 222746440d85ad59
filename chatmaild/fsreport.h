/*
 * How much the mailboxes hold and when their owners last logged in, counted by a walk over
 * the mailbox directories; reads only, and blocks. The forms it is written in are read by
 * others' scripts: keep them to the byte.
 */
#ifndef CHATMAILD_FSREPORT_H
#define CHATMAILD_FSREPORT_H

#include <stdint.h>
#include <stdio.h>

#define FSREPORT_SIZES  7 /* thresholds of messages */
#define FSREPORT_LOGINS 7 /* numbers of days since the last login */

/* Bytes, ascending; days, ascending. */
extern const int64_t fsreport_sizes[FSREPORT_SIZES];
extern const int fsreport_days[FSREPORT_LOGINS];

struct fsreport {
	/* What to look at. */
	int64_t now;      /* seconds since 1970 */
	int64_t min_age;  /* days since the last login of those whose messages count */
	const char *mdir; /* count only messages in "cur", "new" or "tmp"; or NULL */
	int64_t max_entries; /* of the directory; negative: all */

	/* What was found. Messages of each size: of accounts old enough, in mdir. */
	uint64_t accounts, ci;
	uint64_t active[FSREPORT_LOGINS]; /* accounts but ci ones, cumulative */
	uint64_t messages_bytes, extra_bytes;
	uint64_t bytes[FSREPORT_SIZES], count[FSREPORT_SIZES];
};

/* 0, or -1 with errno if mailboxes_dir cannot be read. Counts are added to. */
int fsreport_read(struct fsreport *r, const char *mailboxes_dir);

void fsreport_text(const struct fsreport *r, FILE *out);       /* for people */
void fsreport_prometheus(const struct fsreport *r, FILE *out); /* a .prom text file */

/* The page of nine lines that relays have always shown. */
void fsreport_page(uint64_t accounts, uint64_t ci, FILE *out);

#endif
