/*
 * Find and remember accounts; users_make.c makes them. Files are mailbox.c's, rows are
 * user_row.c's.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "chatmaild/log.h"
#include "chatmaild/takeover.h"
#include "chatmaild/tokens.h"
#include "chatmaild/users_private.h"
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

void users_copy_address(char buf[ADDRESS_MAX + 1], struct span address)
{
	assert(address.len <= ADDRESS_MAX);
	memcpy(buf, address.data, address.len);
	buf[address.len] = '\0';
}

void users_log_trouble(struct users *u, const char *what, int error)
{
	int64_t now = users_clock_ns(CLOCK_MONOTONIC) / 1000000;

	if (u->trouble_logged_ms && now - u->trouble_logged_ms < TROUBLE_LOG_MS)
		return;
	u->trouble_logged_ms = now;
	log_warning("users: %s: %s", what, strerror(error));
}

/*
 * Rows, written without anybody waiting: if that fails, or too many wait already, the
 * next lookup after a restart reads a file.
 */
struct remember {
	struct store_op op;
	struct users *users;
	char *gone_from; /* the mailboxes directory: forget the row; NULL: write it */
	struct user_row row;
	struct census_change change;
};

/* An account that was made anew since is another one: its row is written or on its way,
 * and its device tokens are its own. */
static int remember_run(struct store_op *op, sqlite3 *db)
{
	struct remember *r = (struct remember *)op;
	struct mailbox_stamp stamp;
	int rc;

	if (!r->gone_from)
		return user_rows_write(db, &r->row, 1, &r->change);
	if (mailbox_stat(r->gone_from, r->row.address, &stamp) == MAILBOX_USABLE) {
		r->change.before = r->change.after = CENSUS_NONE;
		return SQLITE_OK;
	}
	rc = user_row_delete(db, r->row.address, &r->change);
	return rc == SQLITE_OK ? tokens_rows_forget(db, span_of(r->row.address)) : rc;
}

static void remember_done(struct store_op *op, int result)
{
	struct remember *r = (struct remember *)op;

	r->users->remembering--;
	if (result == SQLITE_OK)
		census_apply(r->users->census, &r->change, 1);
	free(r->gone_from);
	free(r); /* else the store has logged what went wrong */
}

/* Takes gone_from. */
static void remember(struct users *u, const struct user_row *row, char *gone_from)
{
	struct remember *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->op.run = remember_run;
	r->op.done = remember_done;
	r->users = u;
	r->gone_from = gone_from;
	r->row = *row;
	u->remembering++;
	store_submit(u->daemon->store, &r->op);
}

static void write_row(struct users *u, const struct user_row *row)
{
	if (!u->stopping && u->remembering < USERS_REMEMBER_MAX)
		remember(u, row, NULL);
}

/* Always: without its directory nobody would ever ask for the account again. Who removes
 * many waits for users_remembering(). */
static void forget_row(struct users *u, const char *address)
{
	char *dir = strdup(u->daemon->config->mailboxes_dir);
	struct user_row row = { 0 };

	if (!dir)
		abort();
	memcpy(row.address, address, strlen(address) + 1);
	remember(u, &row, dir);
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

struct cached_user *users_put(struct users *u, const struct user_row *row)
{
	struct mailbox_stamp stamp = row->stamp;

	if (users_clock_ns(CLOCK_REALTIME) - stamp.ctime_ns < RACY_NS)
		stamp.ctime_ns = -1; /* equals no file's: the next lookup reads again */
	return user_cache_put(
	    u->cache, span_of(row->address), span_of(row->hash), &stamp);
}

/* The file is not as cached, or not cached: it decides. */
enum mailbox_state users_read(
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
	*found = users_put(u, &row);
	if (!row_is_stored(u, &row))
		write_row(u, &row);
	return state;
}

enum users_answer users_find(struct users *u, struct span address, struct user *user)
{
	char name[ADDRESS_MAX + 1];
	struct mailbox_stamp stamp;
	enum mailbox_state state;
	struct cached_user *e;

	if (!address_is_path(address) || users_is_making(u, address))
		return USERS_ABSENT;
	users_copy_address(name, address);
	e = user_cache_get(u->cache, address);
	state = mailbox_stat(u->daemon->config->mailboxes_dir, name, &stamp);
	if (state == MAILBOX_USABLE && e && mailbox_stamp_equal(&e->stamp, &stamp))
		u->counters.hits++;
	else if (state == MAILBOX_USABLE)
		state = users_read(u, name, &e);

	switch (state) {
	case MAILBOX_USABLE:
		user->address = cached_user_address(e);
		user->hash = cached_user_hash(e);
		return USERS_FOUND;
	case MAILBOX_TROUBLE:
		users_log_trouble(u, "cannot read a password file", errno);
		return USERS_TROUBLE;
	case MAILBOX_ABSENT:
	case MAILBOX_BLOCKED:
		break;
	}
	/* Only what was known is forgotten: asking for strangers writes nothing. */
	if (e) {
		user_cache_drop(u->cache, address);
		forget_row(u, name);
	}
	return state == MAILBOX_ABSENT ? USERS_ABSENT : USERS_BLOCKED;
}

bool users_is_unseen(const struct users *u, struct span address)
{
	return u->warmed && user_cache_has_room(u->cache) &&
	       !user_cache_get(u->cache, address);
}

enum users_answer users_login(struct users *u, struct span address, int64_t seconds)
{
	const char *dir = u->daemon->config->mailboxes_dir;
	struct user_row row = { .created_day = USER_DAY_UNKNOWN };
	int changed;

	if (!address_is_path(address) || users_is_making(u, address))
		return USERS_ABSENT;
	users_copy_address(row.address, address);
	changed = mailbox_touch(dir, row.address, seconds);
	if (changed < 0 && errno == ENOENT)
		return USERS_ABSENT;
	if (changed < 0) {
		users_log_trouble(u, "cannot set a last login", errno);
		return USERS_TROUBLE;
	}
	/* The ctime moved with it, so cache and row get the new stamp. */
	if (changed && mailbox_read(dir, row.address, row.hash, &row.stamp, NULL) ==
			   MAILBOX_USABLE) {
		users_put(u, &row);
		row.last_login_day = seconds / MAILBOX_DAY;
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
	int64_t end = users_clock_ns(CLOCK_MONOTONIC) + WARM_SLICE_NS;

	while (warm_batch(u)) {
		if (users_clock_ns(CLOCK_MONOTONIC) >= end) {
			event_add(u->warm, &soon);
			return;
		}
	}
	event_free(u->warm);
	u->warm = NULL;
	u->warmed = user_cache_has_room(u->cache);
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
	u->guard = guard_create();
	u->invites = invites_create(d->store);
	u->rows_after = store_prepare(d->store, USER_ROWS_AFTER);
	u->row_of = store_prepare(d->store, USER_ROW_OF);
	if (!u->rows_after || !u->row_of || !u->invites) {
		guard_destroy(u->guard);
		invites_destroy(u->invites);
		user_cache_destroy(u->cache);
		free(u);
		return NULL;
	}
	u->census = census_create(d->store);
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
	census_destroy(u->census);
	guard_destroy(u->guard);
	invites_destroy(u->invites);
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

void users_removed(struct users *u, struct span address)
{
	char name[ADDRESS_MAX + 1];

	if (!address_is_path(address))
		return;
	users_copy_address(name, address);
	user_cache_drop(u->cache, address);
	forget_row(u, name);
}

unsigned users_remembering(const struct users *u)
{
	return u->remembering;
}

struct census *users_census(struct users *u)
{
	return u->census;
}

struct admission_control *users_admission(struct users *u)
{
	return &u->admission;
}

enum admission users_registration(struct users *u)
{
	const struct config *config = u->daemon->config;
	int64_t now_ms = users_clock_ns(CLOCK_MONOTONIC) / 1000000;
	enum admission answer = admission_open(&u->admission, config, now_ms);

	if (answer == ADMISSION_OK &&
	    guard_is_full(u->guard, config->max_new_accounts_per_minute, now_ms))
		return ADMISSION_RATE;
	return answer;
}

void users_invite(struct users *u, int days, char invite[INVITE_LEN + 1])
{
	invites_make(u->invites, users_today() + days, invite);
}

bool users_takes_invite(struct users *u, struct span invite)
{
	return invites_find(u->invites, invite, users_today()) != 0;
}
