/*
 * Make an account: a look whether it is there, admission, hash, files, row, replies. One
 * creation per address, whatever arrives at once.
 */
#include <errno.h>
#include <stdlib.h>

#include "chatmaild/log.h"
#include "chatmaild/tokens.h"
#include "chatmaild/users_private.h"
#include "chatmaild/worker.h"

struct waiter {
	struct waiter *next;
	users_done *done;
	void *arg;
};

/*
 * One account being made. It passes through a worker (look), a hasher, a worker again
 * (files), the store's writer (row) and, if the row fails, once more a worker (undo);
 * each step owns it meanwhile. The waiters are the loop's.
 */
struct creation {
	struct creation *next, **link; /* in users->creations */
	struct users *users;
	struct waiter *waiters, **last_waiter;
	int64_t asked; /* histogram_clock() of the first of them */

	struct job job;
	struct store_op op;
	bool looking; /* the account may exist */
	bool by_operator;
	char client[GUARD_CLIENT_MAX + 1]; /* "": not known */
	enum mailbox_state state;
	bool hashed;
	int64_t invite; /* serial of the one that pays for it; 0: none does */
	bool late;      /* somebody else used that one meanwhile */
	int error;      /* errno of the files, 0 if made */
	size_t password_len;
	char password[PASSWORD_MAX + 1]; /* cut there, which is too long all the same */
	char *dir;
	struct user_row row;
	struct census_change change;
};

static struct creation *creation_of(const struct users *u, struct span address)
{
	struct creation *c = u->creations;

	while (c && !span_equal(span_of(c->row.address), address))
		c = c->next;
	return c;
}

bool users_is_making(const struct users *u, struct span address)
{
	const struct creation *c = creation_of(u, address);

	return c && !c->looking;
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
	explicit_bzero(c->password, sizeof(c->password));
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
	struct creation *c = creation_of_job(job);

	creation_end(c, c->late ? USERS_REFUSED : USERS_TROUBLE);
}

/* Device tokens of an account of this name from before are not this one's. */
static int row_run(struct store_op *op, sqlite3 *db)
{
	struct creation *c =
	    (struct creation *)((char *)op - offsetof(struct creation, op));
	int rc = user_rows_write(db, &c->row, 1, &c->change);

	if (rc == SQLITE_OK && c->invite)
		rc = invites_row_use(db, c->invite, c->row.created_day);
	return rc == SQLITE_OK ? tokens_rows_forget(db, span_of(c->row.address)) : rc;
}

static void row_done(struct store_op *op, int result)
{
	struct creation *c =
	    (struct creation *)((char *)op - offsetof(struct creation, op));
	struct users *u = c->users;

	if (result == SQLITE_OK) {
		users_put(u, &c->row);
		census_apply(u->census, &c->change, 1);
		u->counters.created++;
		histogram_since(&u->counters.creation, c->asked);
		log_info("Created address: %s", c->row.address);
		creation_end(c, USERS_FOUND);
		return;
	}
	c->late = c->invite && (result & 0xff) == SQLITE_CONSTRAINT;
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

/* There is a password file: it decides. */
static void creation_found(struct creation *c)
{
	struct cached_user *e = NULL;
	enum mailbox_state state = users_read(c->users, c->row.address, &e);

	if (state != MAILBOX_USABLE) {
		creation_end(
		    c, state == MAILBOX_BLOCKED ? USERS_BLOCKED : USERS_TROUBLE);
		return;
	}
	memcpy(c->row.hash, cached_user_hash(e), (size_t)e->hash_len + 1);
	creation_end(c, USERS_FOUND);
}

static void files_run(struct job *job)
{
	struct creation *c = creation_of_job(job);

	if (mailbox_make(c->dir, c->row.address, c->row.hash, &c->row.stamp) < 0)
		c->error = errno;
}

static void files_done(struct job *job)
{
	struct creation *c = creation_of_job(job);
	struct users *u = c->users;

	if (c->error == EEXIST) {
		creation_found(c);
	} else if (c->error) {
		users_log_trouble(u, "cannot make an account's files", c->error);
		creation_end(c, USERS_TROUBLE);
	} else {
		c->op.run = row_run;
		c->op.done = row_done;
		store_submit(u->daemon->store, &c->op);
	}
}

static void hash_run(struct job *job)
{
	struct creation *c = creation_of_job(job);

	c->hashed = password_hash(span_make(c->password, c->password_len), c->row.hash,
			sizeof(c->row.hash)) == 0;
	explicit_bzero(c->password, sizeof(c->password));
}

static void hash_done(struct job *job)
{
	struct creation *c = creation_of_job(job);

	if (!c->hashed) {
		log_warning("users: cannot hash a password");
		creation_end(c, USERS_TROUBLE);
		return;
	}
	c->job.run = files_run;
	c->job.done = files_done;
	workers_submit(c->users->daemon->workers, &c->job);
}

/* What does not depend on the account alone. */
static enum admission ask_guard(const struct creation *c, int64_t now_ms)
{
	const struct config *config = c->users->daemon->config;

	switch (guard_take(c->users->guard, config->max_new_accounts_per_minute,
	    config->max_new_accounts_per_network, span_of(c->client), now_ms)) {
	case GUARD_OK:
		break;
	case GUARD_RATE:
		log_warning("registration rejected: more than %d new accounts a minute",
		    config->max_new_accounts_per_minute);
		return ADMISSION_RATE;
	case GUARD_NETWORK:
		log_warning("registration rejected: more than %d new accounts an hour "
			    "from one network",
		    config->max_new_accounts_per_network);
		return ADMISSION_NETWORK;
	}
	return ADMISSION_OK;
}

static enum admission judge(struct creation *c)
{
	const struct config *config = c->users->daemon->config;
	struct span address = span_of(c->row.address),
		    password = span_make(c->password, c->password_len);
	int64_t now_ms = users_clock_ns(CLOCK_MONOTONIC) / 1000000;
	enum admission answer;

	if (c->by_operator)
		return admission_check_form(config, address, password);
	answer =
	    admission_check(&c->users->admission, config, address, password, now_ms);
	if (answer == ADMISSION_OK && config->invites) {
		c->invite = invites_find(c->users->invites, password, users_today());
		if (!c->invite) {
			log_info("no account made: no invite, or one that is no good");
			answer = ADMISSION_INVITE;
		}
	}
	return answer == ADMISSION_OK ? ask_guard(c, now_ms) : answer;
}

static bool admit(struct creation *c)
{
	struct users_counters *counters = &c->users->counters;
	uint64_t *const of[ADMISSION_ANSWERS] = {
		[ADMISSION_CLOSED] = &counters->refused_closed,
		[ADMISSION_PASSWORD] = &counters->refused_password,
		[ADMISSION_NAME] = &counters->refused_name,
		[ADMISSION_LOAD] = &counters->refused_load,
		[ADMISSION_MEMORY] = &counters->refused_memory,
		[ADMISSION_DISK] = &counters->refused_disk,
		[ADMISSION_RATE] = &counters->refused_rate,
		[ADMISSION_NETWORK] = &counters->refused_network,
		[ADMISSION_INVITE] = &counters->refused_invite,
	};
	enum admission answer = judge(c);

	if (answer == ADMISSION_OK)
		return true;
	++*of[answer];
	return false;
}

static void look_run(struct job *job)
{
	struct creation *c = creation_of_job(job);
	struct mailbox_stamp stamp;

	c->state = mailbox_stat(c->dir, c->row.address, &stamp);
}

/* What exists is found whatever the policy says; what does not has to please it. */
static void look_done(struct job *job)
{
	struct creation *c = creation_of_job(job);
	struct users *u = c->users;

	if (c->state != MAILBOX_ABSENT) {
		creation_found(c);
	} else if (u->stopping) {
		creation_end(c, USERS_TROUBLE);
	} else if (!admit(c)) {
		creation_end(c, USERS_REFUSED);
	} else {
		c->looking = false;
		c->job.run = hash_run;
		c->job.done = hash_done;
		workers_submit(u->daemon->hashers, &c->job);
	}
}

static struct creation *creation_start(struct users *u, struct span address,
    struct span password, const struct users_applicant *by)
{
	struct creation *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->users = u;
	c->by_operator = by && by->is_operator;
	if (by && by->client.len > 0 && by->client.len <= GUARD_CLIENT_MAX)
		memcpy(c->client, by->client.data, by->client.len);
	c->last_waiter = &c->waiters;
	c->asked = histogram_clock();
	users_copy_address(c->row.address, address);
	c->password_len = password.len;
	if (c->password_len > sizeof(c->password))
		c->password_len = sizeof(c->password);
	if (c->password_len)
		memcpy(c->password, password.data, c->password_len);
	c->dir = strdup(u->daemon->config->mailboxes_dir);
	if (!c->dir)
		abort();
	c->row.created_day = users_today();
	c->row.last_login_day = USER_DAY_UNKNOWN;
	c->looking = true;
	c->job.run = look_run;
	c->job.done = look_done;

	c->next = u->creations;
	c->link = &u->creations;
	if (c->next)
		c->next->link = &c->next;
	u->creations = c;
	u->counters.creating++;
	return c;
}

void users_make(struct users *u, struct span address, struct span password,
    const struct users_applicant *by, users_done *done, void *arg)
{
	struct creation *c = creation_of(u, address);

	if (c) {
		creation_wait(c, done, arg);
		return;
	}
	if (u->stopping) {
		done(arg, USERS_TROUBLE, NULL);
		return;
	}
	c = creation_start(u, address, password, by);
	creation_wait(c, done, arg);
	workers_submit(u->daemon->workers, &c->job);
}
