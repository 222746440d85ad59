/*
 * The day's run and what is asked for in between.
 */
#include "chatmaild/expiry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chatmaild/config_value.h"
#include "chatmaild/daily.h"
#include "chatmaild/log.h"
#include "chatmaild/users.h"
#include "chatmaild/worker.h"
#include "proto/address.h"

#define TICK_S       30        /* how often the clock is looked at */
#define JITTER_S     600       /* relays of one hoster do not all begin at once */
#define SLICES       4         /* at once: what the disk is asked for, too */
#define SLICE_NS     100000000 /* on a thread, without a break */
#define NAMES_MAX    65536     /* accounts that are sorted together, a few MiB */
#define REMOVED_MAX  64        /* accounts of one slice */
#define NOTES_MAX    2500      /* of one slice that a watcher sees */
#define LOGGED_MAX   100       /* paths of one run that made trouble */
#define MAILBOX_JOBS 64        /* waiting or running */
#define MIB          (1024 * 1024)
#define DAY          86400

#define COUNTERS(field) offsetof(struct expiry_counters, field)
const struct metric_def expiry_metrics[] = {
	{ "chatmail_expiry_runs_total", "Daily runs that came to their end.",
	    OPENMETRICS_COUNTER, NULL, COUNTERS(runs) },
	{ "chatmail_expiry_accounts_removed_total",
	    "Accounts removed that nobody logged in to.", OPENMETRICS_COUNTER, NULL,
	    COUNTERS(accounts) },
	{ "chatmail_expiry_files_removed_total", "Files removed, messages mostly.",
	    OPENMETRICS_COUNTER, NULL, COUNTERS(files) },
	{ "chatmail_expiry_bytes_removed_total", "Their bytes on disk.",
	    OPENMETRICS_COUNTER, NULL, COUNTERS(bytes) },
	{ "chatmail_expiry_quota_removed_total",
	    "Messages removed to keep a mailbox below its quota.", OPENMETRICS_COUNTER,
	    NULL, COUNTERS(quota) },
	{ "chatmail_expiry_quota_runs_total",
	    "Mailboxes looked at because Dovecot warned of their quota.",
	    OPENMETRICS_COUNTER, NULL, COUNTERS(trims) },
	{ "chatmail_expiry_errors_total", "Files and directories that made trouble.",
	    OPENMETRICS_COUNTER, NULL, COUNTERS(errors) },
	{ "chatmail_expiry_foreign_total",
	    "Symbolic links and others that no mailbox has: left alone.",
	    OPENMETRICS_COUNTER, NULL, COUNTERS(foreign) },
	{ "chatmail_expiry_vanished_total",
	    "Files and directories that others removed meanwhile.", OPENMETRICS_COUNTER,
	    NULL, COUNTERS(vanished) },
	{ "chatmail_expiry_running", "1 while a run goes on.", OPENMETRICS_GAUGE, NULL,
	    COUNTERS(running) },
	{ "chatmail_expiry_last_end_time_seconds",
	    "When the last daily run ended, Unix time; 0 if none did yet.",
	    OPENMETRICS_GAUGE, NULL, COUNTERS(last_end) },
};
const size_t nexpiry_metrics = sizeof(expiry_metrics) / sizeof(expiry_metrics[0]);

struct note {
	struct note *next;
	struct expire_note note;
	char path[];
};

/* A mailbox, by what tells its place on the disk. */
struct name {
	ino_t inode;
	char *text;
};

/* What one thread does of a run without a break. Its thread's while it is busy. */
struct slice {
	struct job job;
	struct run *run;
	bool busy;
	bool watched;    /* notes are kept for somebody */
	struct expire e; /* with the totals of the slice */
	struct note *notes, **last_note;
	size_t nnotes;
	size_t nremoved;
	char removed[REMOVED_MAX][ADDRESS_MAX + 1];
};

/* A run over all mailboxes. The loop's; threads take names out of the batch, and one of them
 * fills it while no slice is busy. */
struct run {
	struct job reading;
	struct expiry *expiry;
	char *dir;
	int dirfd;
	DIR *names;
	struct expire_rules rules;
	struct expire_totals totals;
	struct name *batch; /* NAMES_MAX; from next on, nbatch are still to be done */
	atomic_size_t next;
	size_t nbatch;
	bool ended;
	int error; /* errno: the mailboxes cannot be read */
	atomic_uint logged;
	unsigned busy; /* slices, or the reading */
	struct slice slice[SLICES];
};

struct expiry {
	struct daemon *daemon;
	struct workers *threads;
	struct event *tick, *again;
	struct run *run;
	struct expiry_watcher watcher;
	bool watched;
	struct daily daily;
	unsigned mailbox_jobs;
	atomic_bool stopping;
	struct expiry_counters counters;
};

/* --- on a thread --------------------------------------------------------------------- */

static void keep_note(struct slice *s, const struct expire_note *n)
{
	size_t len = strlen(n->path) + 1;
	struct note *kept;

	if (s->nnotes == NOTES_MAX)
		return;
	kept = malloc(sizeof(*kept) + len);
	if (!kept)
		abort();
	kept->note = *n;
	kept->note.path = memcpy(kept->path, n->path, len);
	kept->next = NULL;
	*s->last_note = kept;
	s->last_note = &kept->next;
	s->nnotes++;
}

/* The first of a run, with their paths. */
static void log_note(atomic_uint *logged, const struct expire_note *n)
{
	if (n->event != EXPIRE_ERROR && n->event != EXPIRE_FOREIGN &&
	    n->event != EXPIRE_VANISHED)
		return;
	if (atomic_fetch_add(logged, 1) >= LOGGED_MAX)
		return;
	if (n->event == EXPIRE_ERROR)
		log_warning("expiry: %s: %s", n->path, strerror(n->error));
	else if (n->event == EXPIRE_FOREIGN)
		log_warning("expiry: %s: no file of a mailbox; left alone", n->path);
	else
		log_info("expiry: %s: vanished", n->path);
}

static void on_note(void *arg, const struct expire_note *n)
{
	struct slice *s = arg;

	log_note(&s->run->logged, n);
	if (s->watched && n->event != EXPIRE_CHECKING)
		keep_note(s, n);
}

static int64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static bool open_names(struct run *r)
{
	int fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	r->dirfd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r->names = r->dirfd < 0 ? NULL : fdopendir(fd);
	if (!r->names) {
		r->error = errno;
		if (fd >= 0)
			close(fd);
		if (r->dirfd >= 0)
			close(r->dirfd);
		return false;
	}
	r->batch = malloc(NAMES_MAX * sizeof(*r->batch));
	if (!r->batch)
		abort();
	for (unsigned i = 0; i < SLICES; i++)
		r->slice[i].e.dirfd = r->dirfd;
	expire_clean(&r->slice[0].e);
	return true;
}

static int by_inode(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

/*
 * The next names, in the order of their inodes: as the directory gives them they lie all over
 * the disk. False at the end, or when it cannot be read.
 */
static bool read_names(struct run *r)
{
	const struct dirent *d;

	r->next = 0;
	r->nbatch = 0;
	errno = 0;
	while (r->nbatch < NAMES_MAX && (d = readdir(r->names))) {
		struct name *n = &r->batch[r->nbatch];

		if (!address_is_path(span_of(d->d_name)))
			continue;
		n->inode = d->d_ino;
		n->text = strdup(d->d_name);
		if (!n->text)
			abort();
		r->nbatch++;
		errno = 0;
	}
	if (r->nbatch < NAMES_MAX && errno)
		r->error = errno;
	qsort(r->batch, r->nbatch, sizeof(*r->batch), by_inode);
	return r->nbatch > 0;
}

static void read_batch(struct job *job)
{
	struct run *r = (struct run *)job;

	r->ended = (!r->names && !open_names(r)) || !read_names(r);
}

static void run_mailbox(struct slice *s, const char *name)
{
	if (expire_mailbox(&s->e, name) == EXPIRE_REMOVED && !s->e.rules.dry_run)
		memcpy(s->removed[s->nremoved++], name, strlen(name) + 1);
}

static void run_slice(struct job *job)
{
	struct slice *s = (struct slice *)job;
	const int64_t end = monotonic_ns() + SLICE_NS;
	struct run *r = s->run;

	while (s->nremoved < REMOVED_MAX && monotonic_ns() < end &&
	       !atomic_load(s->e.stop)) {
		size_t i = atomic_fetch_add(&r->next, 1);

		if (i >= r->nbatch)
			break;
		run_mailbox(s, r->batch[i].text);
		free(r->batch[i].text);
		r->batch[i].text = NULL;
	}
}

/* --- on the loop --------------------------------------------------------------------- */

struct remember_op {
	struct store_op op;
	int64_t when;
};

static int remember_run(struct store_op *op, sqlite3 *db)
{
	const struct remember_op *r = (const struct remember_op *)op;
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db,
	    "INSERT OR REPLACE INTO meta (key, value) VALUES ('expired', ?1)", -1,
	    &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, r->when);
	return store_finish(stmt);
}

static void remember_done(struct store_op *op, int result)
{
	free(op); /* else the store has logged it, and the day is done twice */
}

static void remember(struct expiry *x, int64_t when)
{
	struct remember_op *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->op.run = remember_run;
	r->op.done = remember_done;
	r->when = when;
	store_submit(x->daemon->store, &r->op);
}

static void give_notes(struct expiry *x, struct slice *s)
{
	while (s->notes) {
		struct note *n = s->notes;

		s->notes = n->next;
		if (x->watched)
			x->watcher.note(x->watcher.arg, &n->note);
		free(n);
	}
	s->last_note = &s->notes;
	s->nnotes = 0;
}

static void add_totals(struct expire_totals *sum, struct expire_totals *t)
{
	sum->mailboxes += t->mailboxes;
	sum->mailboxes_removed += t->mailboxes_removed;
	sum->files += t->files;
	sum->files_removed += t->files_removed;
	sum->bytes_removed += t->bytes_removed;
	sum->quota_removed += t->quota_removed;
	sum->foreign += t->foreign;
	sum->vanished += t->vanished;
	sum->errors += t->errors;
	*t = (struct expire_totals){ 0 };
}

static void count(struct expiry *x, const struct expire_totals *t)
{
	x->counters.accounts += t->mailboxes_removed;
	x->counters.files += t->files_removed;
	x->counters.bytes += t->bytes_removed;
	x->counters.quota += t->quota_removed;
	x->counters.foreign += t->foreign;
	x->counters.vanished += t->vanished;
	x->counters.errors += t->errors;
}

/* Takes r. */
static void run_end(struct expiry *x, struct run *r)
{
	const struct expire_totals *t = &r->totals;
	const char *error = r->error   ? strerror(r->error)
			    : r->ended ? NULL
				       : "the daemon is stopping";

	if (r->error == ENOENT)
		log_info("expiry: no mailboxes at %s yet", r->dir);
	else if (r->error)
		log_error("expiry: %s: %s", r->dir, strerror(r->error));
	else if (r->ended && !r->rules.dry_run)
		log_info(
		    "expiry: removed %llu of %llu accounts and %llu of %llu files, "
		    "%llu MiB, %llu errors",
		    (unsigned long long)t->mailboxes_removed,
		    (unsigned long long)t->mailboxes,
		    (unsigned long long)t->files_removed, (unsigned long long)t->files,
		    (unsigned long long)(t->bytes_removed / MIB),
		    (unsigned long long)t->errors);
	if (!r->rules.dry_run) {
		count(x, t);
		if (!error) {
			x->counters.runs++;
			x->counters.last_end = (uint64_t)time(NULL);
			x->daily.last = r->rules.now;
			remember(x, x->daily.last);
		}
	}
	x->run = NULL;
	x->counters.running = 0;
	if (x->watched) {
		x->watched = false;
		x->watcher.done(x->watcher.arg, t, error);
	}
	if (r->names) {
		closedir(r->names);
		close(r->dirfd);
	}
	for (size_t i = 0; i < r->nbatch; i++)
		free(r->batch[i].text);
	free(r->batch);
	free(r->dir);
	free(r);
}

/* Nothing is busy, or all that are see that there is nothing left. */
static void run_turn(struct expiry *x)
{
	struct run *r = x->run;

	if (r->busy == 0 && (r->ended || x->stopping))
		run_end(x, r);
	else if (!x->stopping)
		event_active(x->again, EV_TIMEOUT, 0);
}

static void reading_done(struct job *job)
{
	struct run *r = (struct run *)job;

	r->busy--;
	add_totals(&r->totals, &r->slice[0].e.totals);
	give_notes(r->expiry, &r->slice[0]);
	run_turn(r->expiry);
}

static void slice_done(struct job *job)
{
	struct slice *s = (struct slice *)job;
	struct run *r = s->run;
	struct expiry *x = r->expiry;

	r->busy--;
	add_totals(&r->totals, &s->e.totals);
	give_notes(x, s);
	for (size_t i = 0; i < s->nremoved; i++)
		users_removed(x->daemon->users, span_of(s->removed[i]));
	s->nremoved = 0;
	s->busy = false;
	run_turn(x);
}

/* Somebody watches who cannot take more now. */
static bool is_held(const struct expiry *x)
{
	return x->watched && x->watcher.full && x->watcher.full(x->watcher.arg);
}

static void begin_reading(struct expiry *x, struct run *r)
{
	r->slice[0].watched = x->watched; /* of what is cleaned up first */
	r->busy++;
	workers_submit(x->threads, &r->reading);
}

static void begin_slices(struct expiry *x, struct run *r)
{
	for (unsigned i = 0; i < SLICES; i++) {
		struct slice *s = &r->slice[i];

		if (s->busy)
			continue;
		s->busy = true;
		s->watched = x->watched;
		r->busy++;
		workers_submit(x->threads, &s->job);
	}
}

/* The next slices, once the store has kept up with what the last ones removed, and who
 * watches with what he was told. */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = { .tv_usec = 20000 };
	struct expiry *x = arg;
	struct run *r = x->run;

	if (is_held(x) ||
	    users_remembering(x->daemon->users) >
		USERS_REMEMBER_MAX - SLICES * REMOVED_MAX - USERS_REMEMBER_MAX / 4)
		event_add(x->again, &soon);
	else if (r->next < r->nbatch)
		begin_slices(x, r);
	else if (r->busy == 0)
		begin_reading(x, r);
}

static struct expire_rules rules_of(const struct config *c, bool dry_run)
{
	return (struct expire_rules){
		.now = time(NULL),
		.inactive = c->delete_inactive_users_after,
		.mails = c->delete_mails_after,
		.large = c->delete_large_after,
		.quota = c->max_mailbox_size * MIB * EXPIRE_QUOTA_PERCENT / 100,
		.dry_run = dry_run,
	};
}

static struct run *run_create(struct expiry *x, bool dry_run)
{
	struct run *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->reading.run = read_batch;
	r->reading.done = reading_done;
	r->expiry = x;
	r->rules = rules_of(x->daemon->config, dry_run);
	r->dir = strdup(x->daemon->config->mailboxes_dir);
	if (!r->dir)
		abort();
	for (unsigned i = 0; i < SLICES; i++) {
		struct slice *s = &r->slice[i];

		s->job.run = run_slice;
		s->job.done = slice_done;
		s->run = r;
		s->last_note = &s->notes;
		s->e = (struct expire){ .dir = r->dir,
			.dirfd = -1,
			.rules = r->rules,
			.tell = on_note,
			.arg = s,
			.stop = &x->stopping };
	}
	return r;
}

bool expiry_run(struct expiry *x, bool dry_run, const struct expiry_watcher *watcher)
{
	if (x->run || x->stopping)
		return false;
	x->run = run_create(x, dry_run);
	x->counters.running = 1;
	x->watched = watcher != NULL;
	if (watcher)
		x->watcher = *watcher;
	event_active(x->again, EV_TIMEOUT, 0);
	return true;
}

void expiry_unwatch(struct expiry *x, const void *arg)
{
	if (x->watched && x->watcher.arg == arg)
		x->watched = false;
}

/* --- one mailbox --------------------------------------------------------------------- */

struct mailbox_job {
	struct job job;
	struct expiry *expiry;
	enum expiry_task task;
	char *dir;
	char address[ADDRESS_MAX + 1];
	struct expire_rules rules;
	struct expire_totals totals;
	uint64_t n;
	int error;
	atomic_uint logged;
	expiry_done *done;
	void *arg;
};

static void on_mailbox_note(void *arg, const struct expire_note *n)
{
	struct mailbox_job *m = arg;

	if (n->event == EXPIRE_ERROR)
		m->error = n->error;
	log_note(&m->logged, n);
}

static void mailbox_run(struct job *job)
{
	struct mailbox_job *m = (struct mailbox_job *)job;
	struct expire e = { .dir = m->dir,
		.dirfd = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.rules = m->rules,
		.tell = on_mailbox_note,
		.arg = m,
		.stop = &m->expiry->stopping };

	if (e.dirfd < 0) {
		m->error = errno;
		return;
	}
	if (m->task == EXPIRY_TRIM) {
		m->n = expire_trim(&e, m->address);
	} else if (expire_remove(&e, m->address) == 0) {
		m->n = 1;
	} else {
		m->error = errno;
	}
	m->totals = e.totals;
	close(e.dirfd);
}

static void mailbox_done(struct job *job)
{
	struct mailbox_job *m = (struct mailbox_job *)job;
	struct expiry *x = m->expiry;

	x->mailbox_jobs--;
	count(x, &m->totals);
	if (m->task == EXPIRY_TRIM) {
		x->counters.trims++;
		/* Monitoring counts this line. */
		if (m->n > 0)
			log_info("quota-expire: removed %llu message(s)",
			    (unsigned long long)m->n);
	} else if (m->n > 0) {
		users_removed(x->daemon->users, span_of(m->address));
	}
	m->done(m->arg, m->n, m->error);
	free(m->dir);
	free(m);
}

bool expiry_mailbox(struct expiry *x, enum expiry_task task, struct span address,
    expiry_done *done, void *arg)
{
	struct mailbox_job *m;

	if (x->stopping || x->mailbox_jobs == MAILBOX_JOBS)
		return false;
	m = calloc(1, sizeof(*m));
	if (!m)
		abort();
	m->job.run = mailbox_run;
	m->job.done = mailbox_done;
	m->expiry = x;
	m->task = task;
	m->dir = strdup(x->daemon->config->mailboxes_dir);
	if (!m->dir)
		abort();
	memcpy(m->address, address.data, address.len);
	m->rules = rules_of(x->daemon->config, false);
	m->done = done;
	m->arg = arg;
	x->mailbox_jobs++;
	workers_submit(x->threads, &m->job);
	return true;
}

/* --- once a day ---------------------------------------------------------------------- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct expiry *x = arg;

	/* What a rebuild has read and not yet written must not go meanwhile. */
	if (x->run || users_counters(x->daemon->users)->rebuilding)
		return;
	config_parse_time(x->daemon->config->expiry_time, &x->daily.minutes);
	switch (daily_look(&x->daily, time(NULL))) {
	case DAILY_WAIT:
		return;
	case DAILY_DUE:
		expiry_run(x, false, NULL);
		return;
	case DAILY_BACK:
		log_warning("expiry: the clock went back by more than a day");
		break;
	case DAILY_GAP:
		log_warning(
		    "expiry: no run for more than %d days, or the clock is wrong; "
		    "nothing is removed until the next time it is due",
		    DAILY_GAP_MAX / DAY);
		break;
	}
	remember(x, x->daily.last);
}

/* When the last whole run began; now if there was none, for a relay that was just taken
 * over shall not lose mail before its operator has looked at it. */
static bool load_last(struct expiry *x)
{
	sqlite3_stmt *stmt = store_prepare(
	    x->daemon->store, "SELECT value FROM meta WHERE key = 'expired'");
	int rc;

	if (!stmt)
		return false;
	rc = sqlite3_step(stmt);
	x->daily.last = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
	store_check(x->daemon->store, rc);
	sqlite3_reset(stmt);
	if (x->daily.last <= 0) {
		x->daily.last = time(NULL);
		remember(x, x->daily.last);
	}
	return true;
}

struct expiry *expiry_create(struct daemon *d)
{
	static const struct timeval interval = { .tv_sec = TICK_S };
	static const struct workers_options threads = { .threads = SLICES,
		.name = "expiry" };
	struct expiry *x = calloc(1, sizeof(*x));
	unsigned char random[2];

	if (!x)
		abort();
	x->daemon = d;
	evutil_secure_rng_get_bytes(random, sizeof(random));
	x->daily.jitter = (random[0] << 8 | random[1]) % JITTER_S;
	x->tick = event_new(d->base, -1, EV_PERSIST, on_tick, x);
	x->again = evtimer_new(d->base, on_again, x);
	if (!x->tick || !x->again || event_add(x->tick, &interval) < 0)
		abort();
	x->threads = workers_create(d->base, &threads);
	if (!x->threads || !load_last(x)) {
		expiry_stop(x);
		expiry_destroy(x);
		return NULL;
	}
	event_active(x->tick, EV_TIMEOUT, 0); /* it may be overdue */
	return x;
}

void expiry_stop(struct expiry *x)
{
	if (!x || x->stopping)
		return;
	x->stopping = true;
	workers_destroy(x->threads); /* whose last slice ends the run */
	x->threads = NULL;
	event_free(x->tick);
	event_free(x->again);
	if (x->run)
		run_end(x, x->run); /* it was between two slices */
}

void expiry_destroy(struct expiry *x)
{
	free(x);
}

const struct expiry_counters *expiry_counters(const struct expiry *x)
{
	return &x->counters;
}

size_t expiry_queued(const struct expiry *x)
{
	return workers_queued(x->threads);
}
