/*
 * Find, make, remember accounts. Policy on new ones is admission.c's, files are
 * mailbox.c's, rows are user_row.c's.
 */
#include "chatmaild/users.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "chatmaild/log.h"
#include "chatmaild/takeover.h"
#include "chatmaild/user_cache.h"
#include "chatmaild/user_row.h"
#include "chatmaild/worker.h"
#include "proto/address.h"

#define MIB               (1024 * 1024)
#define WARM_BATCH        128     /* rows of one query */
#define WARM_SLICE_NS     1000000 /* of one loop turn */
#define PROGRESS_ACCOUNTS 100000  /* a log line for that many rebuilt */
#define TROUBLE_LOG_MS    1000    /* disk trouble is logged once in that time */
/*
 * A file changed twice within one tick of the kernel's clock shows the same ctime: what
 * is that fresh is read again, until its ctime is safely past. Same idea as git's
 * index.
 */
#define RACY_NS 50000000

struct users {
	struct daemon *daemon;
	struct user_cache *cache;
	struct admission_control admission;
	struct creation *creations; /* under way */
	struct takeover *takeover;  /* NULL unless rebuilding */
	struct event *warm;         /* NULL once everything is in the cache */
	char warm_after[ADDRESS_MAX + 1];
	sqlite3_stmt *rows_after, *row_of;
	bool stopping;
	int64_t trouble_logged_ms;
	uint64_t progress_logged;
	struct users_counters counters;
};

struct waiter {
	struct waiter *next;
	users_done *done;
	void *arg;
};

/*
 * One account being made. It passes through a worker (hash, files), the store's writer
 * (row) and, if the row fails, a worker again (undo); each step owns it meanwhile. The
 * waiters are the loop's.
 */
struct creation {
	struct creation *next, **link; /* in users->creations */
	struct users *users;
	struct waiter *waiters, **last_waiter;

	struct job job;
	struct store_op op;
	int error; /* errno of the files, 0 if made */
	bool hashed;
	size_t password_len;
	char password[PASSWORD_MAX];
	char *dir;
	struct user_row row;
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t now_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

static void copy_address(char buf[ADDRESS_MAX + 1], struct span address)
{
	assert(address.len <= ADDRESS_MAX);
	memcpy(buf, address.data, address.len);
	buf[address.len] = '\0';
}

static void log_trouble(struct users *u, const char *what, int error)
{
	int64_t now = now_ms();

	if (u->trouble_logged_ms && now - u->trouble_logged_ms < TROUBLE_LOG_MS)
		return;
	u->trouble_logged_ms = now;
	log_warning("users: %s: %s", what, strerror(error));
}

/*
 * Rows, written without anybody waiting: if that fails, the next lookup after a restart
 * reads a file.
 */
struct remember {
	struct store_op op;
	bool forget;
	struct user_row row;
};

static int remember_run(struct store_op *op, sqlite3 *db)
{
	struct remember *r = (struct remember *)op;

	return r->forget ? user_row_delete(db, r->row.address)
			 : user_rows_write(db, &r->row, 1);
}

static void remember_done(struct store_op *op, int result)
{
	free(op); /* the store has logged what went wrong */
}

static struct remember *remember_new(const char *address)
{
	struct remember *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->op.run = remember_run;
	r->op.done = remember_done;
	memcpy(r->row.address, address, strlen(address) + 1);
	return r;
}

static void forget_row(struct users *u, const char *address)
{
	struct remember *r = remember_new(address);

	r->forget = true;
	store_submit(u->daemon->store, &r->op);
}

static void write_row(struct users *u, const struct user_row *row)
{
	struct remember *r = remember_new(row->address);

	r->row = *row;
	store_submit(u->daemon->store, &r->op);
}

/* Does the store hold this already? */
static bool row_is_stored(struct users *u, const struct user_row *row)
{
	struct user_row stored;
	bool same = false;
	int rc;

	sqlite3_bind_text(u->row_of, 1, row->address, -1, SQLITE_STATIC);
	rc = sqlite3_step(u->row_of);
	if (rc == SQLITE_ROW)
		same = user_row_get(u->row_of, &stored) &&
		       strcmp(stored.hash, row->hash) == 0 &&
		       mailbox_stamp_equal(&stored.stamp, &row->stamp);
	else
		store_check(u->daemon->store, rc);
	sqlite3_reset(u->row_of);
	return same;
}

static struct cached_user *put_in_cache(struct users *u, const struct user_row *row)
{
	struct mailbox_stamp stamp = row->stamp;

	if (clock_ns(CLOCK_REALTIME) - stamp.ctime_ns < RACY_NS)
		stamp.ctime_ns = -1; /* equals no file's: the next lookup reads again */
	return user_cache_put(
	    u->cache, span_of(row->address), span_of(row->hash), &stamp);
}

/* The file is not as cached, or not cached: it decides. */
static enum mailbox_state read_account(
    struct users *u, const char *address, struct cached_user **found)
{
	struct user_row row = { .created_day = USER_DAY_UNKNOWN,
		.last_login_day = USER_DAY_UNKNOWN };
	enum mailbox_state state = mailbox_read(
	    u->daemon->config->mailboxes_dir, address, row.hash, &row.stamp, NULL);

	u->counters.misses++;
	if (state != MAILBOX_USABLE)
		return state;
	memcpy(row.address, address, strlen(address) + 1);
	*found = put_in_cache(u, &row);
	if (!u->stopping && !row_is_stored(u, &row))
		write_row(u, &row);
	return state;
}

static struct creation *creation_of(const struct users *u, struct span address)
{
	struct creation *c = u->creations;

	while (c && !span_equal(span_of(c->row.address), address))
		c = c->next;
	return c;
}

enum users_answer users_find(struct users *u, struct span address, struct user *user)
{
	char name[ADDRESS_MAX + 1];
	struct mailbox_stamp stamp;
	enum mailbox_state state;
	struct cached_user *e;

	if (!address_is_path(address) || creation_of(u, address))
		return USERS_ABSENT;
	copy_address(name, address);
	e = user_cache_get(u->cache, address);
	state = mailbox_stat(u->daemon->config->mailboxes_dir, name, &stamp);
	if (state == MAILBOX_USABLE && e && mailbox_stamp_equal(&e->stamp, &stamp))
		u->counters.hits++;
	else if (state == MAILBOX_USABLE)
		state = read_account(u, name, &e);

	switch (state) {
	case MAILBOX_USABLE:
		user->address = cached_user_address(e);
		user->hash = cached_user_hash(e);
		return USERS_FOUND;
	case MAILBOX_TROUBLE:
		log_trouble(u, "cannot read a password file", errno);
		return USERS_TROUBLE;
	case MAILBOX_ABSENT:
	case MAILBOX_BLOCKED:
		break;
	}
	/* Only what was known is forgotten: asking for strangers writes nothing. */
	if (e) {
		user_cache_drop(u->cache, address);
		if (!u->stopping)
			forget_row(u, name);
	}
	return state == MAILBOX_ABSENT ? USERS_ABSENT : USERS_BLOCKED;
}

static void creation_wait(struct creation *c, users_done *done, void *arg)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	w->done = done;
	w->arg = arg;
	*c->last_waiter = w;
	c->last_waiter = &w->next;
}

/* Takes c. From here on users_find() sees the account's files. */
static void creation_end(struct creation *c, enum users_answer answer)
{
	struct users *u = c->users;
	struct user user = { c->row.address, c->row.hash };

	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	u->counters.creating--;
	if (answer == USERS_TROUBLE)
		u->counters.create_failed++;

	while (c->waiters) {
		struct waiter *w = c->waiters;

		c->waiters = w->next;
		w->done(w->arg, answer, answer == USERS_FOUND ? &user : NULL);
		free(w);
	}
	free(c->dir);
	free(c);
}

static struct creation *creation_of_job(struct job *job)
{
	return (struct creation *)((char *)job - offsetof(struct creation, job));
}

static void undo_run(struct job *job)
{
	const struct creation *c = creation_of_job(job);

	mailbox_unmake(c->dir, c->row.address, &c->row.stamp);
}

static void undo_done(struct job *job)
{
	creation_end(creation_of_job(job), USERS_TROUBLE);
}

static int row_run(struct store_op *op, sqlite3 *db)
{
	const struct creation *c =
	    (struct creation *)((char *)op - offsetof(struct creation, op));

	return user_rows_write(db, &c->row, 1);
}

static void row_done(struct store_op *op, int result)
{
	struct creation *c =
	    (struct creation *)((char *)op - offsetof(struct creation, op));
	struct users *u = c->users;

	if (result == SQLITE_OK) {
		put_in_cache(u, &c->row);
		u->counters.created++;
		log_info("Created address: %s", c->row.address);
		creation_end(c, USERS_FOUND);
		return;
	}
	/* Nobody was told of it, so it must not stay. */
	c->job.run = undo_run;
	c->job.done = undo_done;
	if (u->daemon->workers) {
		workers_submit(u->daemon->workers, &c->job);
	} else { /* the daemon ends: nobody is kept waiting */
		undo_run(&c->job);
		undo_done(&c->job);
	}
}

static void make_run(struct job *job)
{
	struct creation *c = creation_of_job(job);

	c->hashed = password_hash(span_make(c->password, c->password_len), c->row.hash,
			sizeof(c->row.hash)) == 0;
	explicit_bzero(c->password, sizeof(c->password));
	if (c->hashed &&
	    mailbox_make(c->dir, c->row.address, c->row.hash, &c->row.stamp) < 0)
		c->error = errno;
}

/* A password file came from elsewhere meanwhile: it decides, not our hash. */
static void creation_lost(struct creation *c)
{
	struct cached_user *e = NULL;
	enum mailbox_state state = read_account(c->users, c->row.address, &e);

	if (state != MAILBOX_USABLE) {
		creation_end(
		    c, state == MAILBOX_BLOCKED ? USERS_BLOCKED : USERS_TROUBLE);
		return;
	}
	memcpy(c->row.hash, cached_user_hash(e), (size_t)e->hash_len + 1);
	creation_end(c, USERS_FOUND);
}

static void make_done(struct job *job)
{
	struct creation *c = creation_of_job(job);
	struct users *u = c->users;

	if (!c->hashed) {
		log_warning("users: cannot hash a password");
		creation_end(c, USERS_TROUBLE);
	} else if (c->error == EEXIST) {
		creation_lost(c);
	} else if (c->error) {
		log_trouble(u, "cannot make an account's files", c->error);
		creation_end(c, USERS_TROUBLE);
	} else {
		c->op.run = row_run;
		c->op.done = row_done;
		store_submit(u->daemon->store, &c->op);
	}
}

static struct creation *creation_start(
    struct users *u, struct span address, struct span password)
{
	struct creation *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->users = u;
	c->last_waiter = &c->waiters;
	copy_address(c->row.address, address);
	memcpy(c->password, password.data, password.len);
	c->password_len = password.len;
	c->dir = strdup(u->daemon->config->mailboxes_dir);
	if (!c->dir)
		abort();
	c->row.created_day = clock_ns(CLOCK_REALTIME) / 1000000000 / MAILBOX_DAY;
	c->row.last_login_day = USER_DAY_UNKNOWN;
	c->job.run = make_run;
	c->job.done = make_done;

	c->next = u->creations;
	c->link = &u->creations;
	if (c->next)
		c->next->link = &c->next;
	u->creations = c;
	u->counters.creating++;
	return c;
}

static enum admission admit(struct users *u, struct span address, struct span password)
{
	enum admission answer = admission_check(
	    &u->admission, u->daemon->config, address, password, now_ms());
	uint64_t *const counters[ADMISSION_ANSWERS] = {
		[ADMISSION_CLOSED] = &u->counters.refused_closed,
		[ADMISSION_PASSWORD] = &u->counters.refused_password,
		[ADMISSION_NAME] = &u->counters.refused_name,
		[ADMISSION_LOAD] = &u->counters.refused_load,
		[ADMISSION_MEMORY] = &u->counters.refused_memory,
		[ADMISSION_DISK] = &u->counters.refused_disk,
	};

	if (counters[answer])
		++*counters[answer];
	return answer;
}

void users_make(struct users *u, struct span address, struct span password,
    users_done *done, void *arg)
{
	struct creation *c = creation_of(u, address);

	if (c) {
		creation_wait(c, done, arg);
		return;
	}
	if (admit(u, address, password) != ADMISSION_OK) {
		done(arg, USERS_REFUSED, NULL);
		return;
	}
	if (u->stopping) {
		done(arg, USERS_TROUBLE, NULL);
		return;
	}
	c = creation_start(u, address, password);
	creation_wait(c, done, arg);
	workers_submit(u->daemon->workers, &c->job);
}

enum users_answer users_login(struct users *u, struct span address, int64_t seconds)
{
	const char *dir = u->daemon->config->mailboxes_dir;
	struct user_row row = { .created_day = USER_DAY_UNKNOWN };
	int changed;

	if (!address_is_path(address) || creation_of(u, address))
		return USERS_ABSENT;
	copy_address(row.address, address);
	changed = mailbox_touch(dir, row.address, seconds);
	if (changed < 0 && errno == ENOENT)
		return USERS_ABSENT;
	if (changed < 0) {
		log_trouble(u, "cannot set a last login", errno);
		return USERS_TROUBLE;
	}
	/* The ctime moved with it, so cache and row get the new stamp. */
	if (changed && mailbox_read(dir, row.address, row.hash, &row.stamp, NULL) ==
			   MAILBOX_USABLE) {
		put_in_cache(u, &row);
		row.last_login_day = seconds / MAILBOX_DAY;
		if (!u->stopping)
			write_row(u, &row);
	}
	return USERS_FOUND;
}

/* Rows into the cache, none replaced: what is there came from a file. */
static bool warm_batch(struct users *u)
{
	unsigned rows = 0;
	int rc;

	sqlite3_bind_text(u->rows_after, 1, u->warm_after, -1, SQLITE_STATIC);
	sqlite3_bind_int(u->rows_after, 2, WARM_BATCH);
	while ((rc = sqlite3_step(u->rows_after)) == SQLITE_ROW) {
		struct user_row row;
		struct span address;

		rows++;
		if (!user_row_get(u->rows_after, &row))
			continue;
		address = span_of(row.address);
		if (!user_cache_get(u->cache, address) && user_cache_has_room(u->cache))
			user_cache_put(
			    u->cache, address, span_of(row.hash), &row.stamp);
		if (rows == WARM_BATCH)
			memcpy(u->warm_after, row.address, address.len + 1);
	}
	store_check(u->daemon->store, rc);
	sqlite3_reset(u->rows_after);
	return rows == WARM_BATCH && user_cache_has_room(u->cache);
}

static void on_warm(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = { 0, 0 };
	struct users *u = arg;
	int64_t end = clock_ns(CLOCK_MONOTONIC) + WARM_SLICE_NS;

	while (warm_batch(u)) {
		if (clock_ns(CLOCK_MONOTONIC) >= end) {
			event_add(u->warm, &soon);
			return;
		}
	}
	event_free(u->warm);
	u->warm = NULL;
	log_info("users: %zu accounts in memory", user_cache_count(u->cache));
}

static void warm_start(struct users *u)
{
	static const struct timeval soon = { 0, 0 };

	u->warm = evtimer_new(u->daemon->base, on_warm, u);
	if (!u->warm || event_add(u->warm, &soon) < 0)
		abort();
}

static void on_rebuild(void *arg, uint64_t accounts, bool finished, bool complete)
{
	struct users *u = arg;

	u->counters.rebuilt = accounts;
	if (!finished) {
		if (accounts - u->progress_logged >= PROGRESS_ACCOUNTS) {
			u->progress_logged = accounts;
			log_info(
			    "users: %llu accounts read from the mailbox directories",
			    (unsigned long long)accounts);
		}
		return;
	}
	u->takeover = NULL;
	u->counters.rebuilding = 0;
	if (!complete) {
		log_warning(
		    "users: the rebuild stopped after %llu accounts; it is redone "
		    "at the next start, logins work meanwhile",
		    (unsigned long long)accounts);
		return;
	}
	log_info("users: rebuilt from the mailbox directories, %llu accounts",
	    (unsigned long long)accounts);
	if (!u->stopping)
		warm_start(u);
}

struct users *users_create(struct daemon *d, bool fresh)
{
	struct users *u = calloc(1, sizeof(*u));

	if (!u)
		abort();
	u->daemon = d;
	u->cache = user_cache_create((size_t)d->config->user_cache_size * MIB);
	admission_init(&u->admission);
	u->rows_after = store_prepare(d->store, USER_ROWS_AFTER);
	u->row_of = store_prepare(d->store, USER_ROW_OF);
	if (!u->rows_after || !u->row_of) {
		user_cache_destroy(u->cache);
		free(u);
		return NULL;
	}
	if (fresh) {
		u->counters.rebuilding = 1;
		u->takeover = takeover_start(d, on_rebuild, u);
	} else {
		warm_start(u);
	}
	return u;
}

void users_stop(struct users *u)
{
	if (!u)
		return;
	u->stopping = true;
	if (u->takeover)
		takeover_cancel(u->takeover);
	u->takeover = NULL;
	if (u->warm)
		event_free(u->warm);
	u->warm = NULL;
}

void users_destroy(struct users *u)
{
	if (!u)
		return;
	users_stop(u);
	assert(!u->creations);
	user_cache_destroy(u->cache);
	free(u);
}

void users_reload(struct users *u)
{
	user_cache_resize(u->cache, (size_t)u->daemon->config->user_cache_size * MIB);
}

const struct users_counters *users_counters(struct users *u)
{
	u->counters.known = user_cache_count(u->cache);
	u->counters.cache_bytes = user_cache_bytes(u->cache);
	return &u->counters;
}

struct admission_control *users_admission(struct users *u)
{
	return &u->admission;
}
