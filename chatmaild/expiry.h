/*
 * When expire.h's rules are applied: once a day, and when somebody asks. The work is done
 * slice by slice on threads of its own, a few mailboxes at once, for one after another waits
 * for the disk mostly; between slices the loop forgets the accounts that went.
 */
#ifndef CHATMAILD_EXPIRY_H
#define CHATMAILD_EXPIRY_H

#include "chatmaild/daemon.h"
#include "chatmaild/expire.h"
#include "chatmaild/metric.h"
#include "proto/span.h"

struct expiry;

struct expiry_counters {
	uint64_t runs;
	uint64_t accounts, files, bytes, quota,
	    trims; /* removed; trims: runs for a mailbox */
	uint64_t foreign, vanished, errors;
	uint64_t running;  /* gauge */
	uint64_t last_end; /* gauge: Unix time of the last whole run, 0: none yet */
};
extern const struct metric_def expiry_metrics[];
extern const size_t nexpiry_metrics;

/* Needs d->base, config, store and users. NULL if the store cannot be read, or there are no
 * threads. */
struct expiry *expiry_create(struct daemon *d);
void expiry_stop(struct expiry *x); /* ends what is under way; before store_close() */
void expiry_destroy(struct expiry *x); /* after store_close(); accepts NULL */
const struct expiry_counters *expiry_counters(const struct expiry *x);
size_t expiry_queued(const struct expiry *x); /* jobs for its threads */

/*
 * Who wants to see a run. note is called on the loop, a mailbox's in order, for what goes or
 * would go and for errors; done once, with error NULL or why the run ended early.
 */
struct expiry_watcher {
	void (*note)(void *arg, const struct expire_note *n);
	void (*done)(void *arg, const struct expire_totals *t, const char *error);
	/* He cannot take more now: the run waits. May be NULL. */
	bool (*full)(void *arg);
	void *arg;
};

/* Start a run now; false if one is under way. The watcher is copied. */
bool expiry_run(struct expiry *x, bool dry_run, const struct expiry_watcher *watcher);

/* The watcher goes; the run goes on. */
void expiry_unwatch(struct expiry *x, const void *arg);

/*
 * One mailbox now: bring it below the quota's mark, or remove the account. done is called
 * on the loop with the number of messages that went, or of accounts; error is an errno or
 * 0. False if too many wait. address is address_is_path().
 */
enum expiry_task { EXPIRY_TRIM, EXPIRY_REMOVE };
typedef void expiry_done(void *arg, uint64_t n, int error);
bool expiry_mailbox(struct expiry *x, enum expiry_task task, struct span address,
    expiry_done *done, void *arg);

#endif
