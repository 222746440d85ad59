/*
 * Talking with a program until it ends: what it shall read is written, what it says is
 * read, both bounded and neither waiting for the other.
 */
#ifndef DEPLOY_HOST_TALK_H
#define DEPLOY_HOST_TALK_H

#include "deploy/host.h"
#include "deploy/host_child.h"

#define TALK_ERR_MAX  (16 * 1024) /* bytes of stderr that are kept, the last ones */
#define TALK_LINE_MAX 4096  /* bytes of a line of stderr; longer ones are parted */
#define TALK_CHUNK    65536 /* bytes that are read of a source at once */
#define TALK_TICK_MS                                                                   \
	100 /* how often line() is called in silence, and signals are seen */

enum talk_end {
	TALK_ENDED,       /* the program ended; its status is in child */
	TALK_ANSWERED,    /* it said what it was to say, and still runs */
	TALK_TOO_MUCH,    /* it said more than HOST_OUTPUT_MAX; stopped */
	TALK_INTERRUPTED, /* a signal came; stopped */
	TALK_REFUSED,     /* drain() or the source failed; stopped */
};

struct talk {
	struct child *child;
	struct span in[2]; /* one after the other; then its standard input is closed */
	const char *
	    answer; /* NULL, or the line on stdout that is waited for; stdin stays open */
	host_line *line; /* or NULL */
	void *arg;
	struct text *out, *err;

	/* Another program's stderr that is read meanwhile, so that it never stalls. */
	int *aside;
	struct text *aside_err;

	/* Called when out has grown, to take from it what it can; false: stop. Or NULL. */
	bool (*drain)(void *arg, struct text *out);
	void *drain_arg;

	const int *source; /* read to its end and sent after in[], or NULL */
	int source_error;  /* errno of the read that failed, or 0 */
	char *chunk;       /* what was read of it last, TALK_CHUNK bytes */
	bool refused;

	struct text partial; /* a line of stderr that is not whole yet */
};

enum talk_end talk(struct talk *t);

/* Cut the front of what stderr said, so that at most TALK_ERR_MAX bytes are left. */
void talk_trim(struct text *err);

/*
 * Read what is there on *fd, and append it. Closes it at its end. Returns the bytes read;
 * 0 if nothing is there.
 */
size_t talk_read(int *fd, struct text *to);

#endif
