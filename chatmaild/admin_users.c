/*
 * The operator's commands about accounts. What is said of them comes from the mailbox
 * directories, by workers; what only the store knows, from its own thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/admin.h"
#include "chatmaild/block.h"
#include "chatmaild/expiry.h"
#include "chatmaild/mailbox.h"
#include "chatmaild/store.h"
#include "chatmaild/tree.h"
#include "chatmaild/users.h"
#include "chatmaild/worker.h"
#include "proto/address.h"

#define LIST_SLICE 256 /* directory entries a worker looks at in one job */
#define FILTER_MAX 64  /* bytes of a text that addresses are to hold */

static const char *state_name(enum mailbox_state state)
{
	switch (state) {
	case MAILBOX_USABLE:
		return "ok";
	case MAILBOX_BLOCKED:
		return "blocked";
	case MAILBOX_TROUBLE:
		return "unreadable";
	case MAILBOX_ABSENT:
		break;
	}
	return "absent";
}

/* As mailbox_read_at(), with the last login of blocked accounts too. */
static enum mailbox_state read_state(
    int dirfd, const char *address, int64_t *last_login)
{
	char hash[PASSWORD_HASH_MAX], path[NAME_MAX + sizeof("/password")];
	struct mailbox_stamp stamp;
	enum mailbox_state state =
	    mailbox_read_at(dirfd, address, hash, &stamp, last_login);
	struct stat st;

	snprintf(path, sizeof(path), "%s/password", address);
	if (state == MAILBOX_BLOCKED &&
	    fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		*last_login = st.st_mtim.tv_sec;
	return state;
}

static char *copy_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

/* --- list ---------------------------------------------------------------------------- */

struct listed {
	enum mailbox_state state;
	int64_t last_login;
	char address[NAME_MAX + 1];
};

/* A walk over the directory: a slice is a worker's, then its lines are the loop's. */
struct listing {
	struct job job;
	struct admin_request *request; /* NULL: nobody listens any more */
	struct workers *workers;
	bool working;
	char *dir;
	char filter[FILTER_MAX];
	DIR *names;
	bool ended;
	int error;
	uint64_t count;
	size_t n;
	struct listed row[LIST_SLICE];
};

static bool listing_open(struct listing *l)
{
	if (!l->names)
		l->names = opendir(l->dir);
	if (!l->names) {
		l->error = errno == ENOENT ? 0 : errno; /* nobody came yet */
		l->ended = true;
	}
	return l->names != NULL;
}

static void listing_run(struct job *job)
{
	struct listing *l = (struct listing *)job;

	l->n = 0;
	if (!listing_open(l))
		return;
	for (unsigned i = 0; i < LIST_SLICE; i++) {
		const struct dirent *d = readdir(l->names);
		struct listed *row = &l->row[l->n];

		if (!d) {
			l->ended = true;
			return;
		}
		if (!address_is_path(span_of(d->d_name)) ||
		    !strstr(d->d_name, l->filter))
			continue;
		row->last_login = 0;
		row->state = read_state(dirfd(l->names), d->d_name, &row->last_login);
		if (row->state == MAILBOX_ABSENT)
			continue;
		memcpy(row->address, d->d_name, strlen(d->d_name) + 1);
		l->n++;
	}
}

static void listing_free(struct listing *l)
{
	if (l->names)
		closedir(l->names);
	free(l->dir);
	free(l);
}

static void listing_go_on(struct listing *l)
{
	l->working = true;
	workers_submit(l->workers, &l->job);
}

static void listing_done(struct job *job)
{
	struct listing *l = (struct listing *)job;
	struct admin_request *r = l->request;

	l->working = false;
	for (size_t i = 0; r && i < l->n; i++) {
		const struct listed *row = &l->row[i];
		json_t *address = json_string(row->address);

		if (!address) /* not UTF-8: no login has such a name */
			continue;
		l->count++;
		admin_say(r, json_pack("{s:o, s:s, s:I}", "address", address, "state",
				 state_name(row->state), "last_login",
				 (json_int_t)row->last_login));
	}
	if (!r) {
		listing_free(l);
	} else if (l->ended) {
		r->gone = NULL;
		r->room = NULL;
		if (l->error)
			admin_refuse(r, "%s: %s", l->dir, strerror(l->error));
		else
			admin_end(r, json_pack("{s:I}", "count", (json_int_t)l->count));
		listing_free(l);
	} else if (!admin_is_full(r)) {
		listing_go_on(l);
	}
}

static void listing_room(struct admin_request *r)
{
	struct listing *l = r->state;

	if (!l->working && !admin_is_full(r))
		listing_go_on(l);
}

static void listing_gone(struct admin_request *r)
{
	struct listing *l = r->state;

	l->request = NULL;
	if (!l->working)
		listing_free(l);
	admin_end(r, NULL);
}

static void run_list(struct admin_request *r)
{
	const char *filter = json_string_value(json_object_get(r->args, "filter"));
	struct listing *l;

	if (filter && strlen(filter) >= FILTER_MAX) {
		admin_refuse(r, "this text is longer than %d bytes", FILTER_MAX - 1);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->job.run = listing_run;
	l->job.done = listing_done;
	l->request = r;
	l->workers = r->daemon->workers;
	l->dir = copy_text(r->daemon->config->mailboxes_dir);
	if (filter)
		memcpy(l->filter, filter, strlen(filter) + 1);
	r->state = l;
	r->room = listing_room;
	r->gone = listing_gone;
	listing_go_on(l);
}

/* --- show ---------------------------------------------------------------------------- */

/* One account looked at: its files on a worker, then its rows on the store's thread. */
struct look {
	struct job job;
	struct store_op op;
	struct admin_request *request;
	char *dir;
	char address[ADDRESS_MAX + 1];
	enum mailbox_state state;
	int64_t last_login;
	bool enforces;
	uint64_t messages, bytes, quota;
	int64_t created_day, tokens, pushes;
};

static enum tree_answer on_entry(void *arg, const struct tree_entry *e)
{
	const struct stat *st = e->directory ? NULL : tree_stat(e);
	struct look *l = arg;
	int64_t when, size;

	if (!st || !S_ISREG(st->st_mode))
		return TREE_ENTER;
	l->bytes += (uint64_t)st->st_size;
	if (strcmp(e->parent, "cur") != 0 && strcmp(e->parent, "new") != 0)
		return TREE_ENTER;
	l->messages++;
	if (expire_parse_name(e->name, &when, &size))
		l->quota += (uint64_t)size;
	return TREE_ENTER;
}

static void look_run(struct job *job)
{
	struct look *l = (struct look *)job;
	int fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	l->state = MAILBOX_ABSENT;
	if (fd < 0)
		return;
	l->state = read_state(fd, l->address, &l->last_login);
	l->enforces = mailbox_enforces(l->dir, l->address);
	if (l->state != MAILBOX_ABSENT)
		tree_walk(fd, l->address, on_entry, NULL, l);
	close(fd);
}

static int rows_run(struct store_op *op, sqlite3 *db)
{
	struct look *l = (struct look *)((char *)op - offsetof(struct look, op));
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db,
	    "SELECT (SELECT created_day FROM users WHERE address = ?1),"
	    " (SELECT count(*) FROM tokens WHERE address = ?1),"
	    " (SELECT count(*) FROM pushes WHERE address = ?1)",
	    -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_text(stmt, 1, l->address, -1, SQLITE_STATIC);
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		l->created_day = sqlite3_column_int64(stmt, 0);
		l->tokens = sqlite3_column_int64(stmt, 1);
		l->pushes = sqlite3_column_int64(stmt, 2);
	}
	return sqlite3_finalize(stmt);
}

static void look_end(struct look *l)
{
	free(l->dir);
	free(l);
}

static void rows_done(struct store_op *op, int result)
{
	struct look *l = (struct look *)((char *)op - offsetof(struct look, op));
	json_t *reply = json_pack("{s:s, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "address", l->address, "state", state_name(l->state), "last_login",
	    (json_int_t)l->last_login, "encrypted_only", l->enforces, "messages",
	    (json_int_t)l->messages, "bytes", (json_int_t)l->bytes, "quota_used",
	    (json_int_t)l->quota, "quota",
	    (json_int_t)l->request->daemon->config->max_mailbox_size * 1024 * 1024,
	    "devices", (json_int_t)l->tokens, "push_queued", (json_int_t)l->pushes);

	if (result == SQLITE_OK && l->created_day > 0)
		json_object_set_new(reply, "created",
		    json_integer((json_int_t)l->created_day * MAILBOX_DAY));
	admin_end(l->request, reply);
	look_end(l);
}

static void look_done(struct job *job)
{
	struct look *l = (struct look *)job;

	if (l->state == MAILBOX_ABSENT) {
		admin_refuse(l->request, "there is no such account");
		look_end(l);
		return;
	}
	l->op.run = rows_run;
	l->op.done = rows_done;
	store_submit(l->request->daemon->store, &l->op);
}

static void run_show(struct admin_request *r)
{
	struct span address;
	struct look *l;

	if (!admin_address(r, &address))
		return;
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->job.run = look_run;
	l->job.done = look_done;
	l->request = r;
	l->dir = copy_text(r->daemon->config->mailboxes_dir);
	memcpy(l->address, address.data, address.len);
	workers_submit(r->daemon->workers, &l->job);
}

/* --- block, unblock ------------------------------------------------------------------ */

struct blocking {
	struct job job;
	struct admin_request *request;
	char *dir;
	char address[ADDRESS_MAX + 1];
	bool block;
	int error;
};

static void blocking_run(struct job *job)
{
	struct blocking *b = (struct blocking *)job;
	int rc = b->block ? block_account(b->dir, b->address)
			  : unblock_account(b->dir, b->address);

	b->error = rc < 0 ? errno : 0;
}

static void blocking_done(struct job *job)
{
	struct blocking *b = (struct blocking *)job;
	struct admin_request *r = b->request;
	struct user user;

	if (b->error == 0) {
		/* What was known of it is forgotten now, not at its next login. */
		users_find(r->daemon->users, span_of(b->address), &user);
		admin_end(r, json_pack("{s:s}", "address", b->address));
	} else if (b->error == ENOENT) {
		admin_refuse(r, "there is no such account");
	} else if (b->error == EALREADY) {
		admin_refuse(
		    r, b->block ? "it is blocked already" : "it is not blocked");
	} else if (b->error == EINVAL) {
		admin_refuse(r, "its password file holds no hash that could be given "
				"back; put one there");
	} else {
		admin_refuse(r, "%s", strerror(b->error));
	}
	free(b->dir);
	free(b);
}

static void start_blocking(struct admin_request *r, bool block)
{
	struct span address;
	struct blocking *b;

	if (!admin_address(r, &address))
		return;
	b = calloc(1, sizeof(*b));
	if (!b)
		abort();
	b->job.run = blocking_run;
	b->job.done = blocking_done;
	b->request = r;
	b->block = block;
	b->dir = copy_text(r->daemon->config->mailboxes_dir);
	memcpy(b->address, address.data, address.len);
	workers_submit(r->daemon->workers, &b->job);
}

static void run_block(struct admin_request *r)
{
	start_blocking(r, true);
}

static void run_unblock(struct admin_request *r)
{
	start_blocking(r, false);
}

/* --- delete, create ------------------------------------------------------------------ */

static void on_removed(void *arg, uint64_t n, int error)
{
	struct admin_request *r = arg;

	if (n > 0)
		admin_end(r, NULL);
	else if (error == ENOENT)
		admin_refuse(r, "there is no such account");
	else
		admin_refuse(r, "%s", strerror(error));
}

static void run_delete(struct admin_request *r)
{
	struct span address;

	if (admin_address(r, &address) &&
	    !expiry_mailbox(r->daemon->expiry, EXPIRY_REMOVE, address, on_removed, r))
		admin_refuse(r, "too many mailboxes are being worked on");
}

static void on_made(void *arg, enum users_answer answer, const struct user *user)
{
	struct admin_request *r = arg;

	switch (answer) {
	case USERS_FOUND:
		admin_end(r, json_pack("{s:s}", "address", user->address));
		return;
	case USERS_REFUSED:
		admin_refuse(r,
		    "its name has other characters than a-z 0-9 . _ - or is "
		    "too long, or the password is too short or too long");
		return;
	case USERS_BLOCKED:
		admin_refuse(r, "it is there, and blocked");
		return;
	case USERS_ABSENT:
	case USERS_TROUBLE:
		admin_refuse(r, "trouble with the disk or the database; see the log");
		return;
	}
}

static void run_create(struct admin_request *r)
{
	static const struct users_applicant operator= { .is_operator = true };
	const json_t *password = json_object_get(r->args, "password");
	struct span address;
	struct user user;

	if (!admin_address(r, &address))
		return;
	if (!json_is_string(password))
		admin_refuse(r, "no password is given");
	else if (users_find(r->daemon->users, address, &user) == USERS_FOUND)
		admin_refuse(r, "it is there already");
	else
		users_make(r->daemon->users, address,
		    span_make(
			json_string_value(password), json_string_length(password)),
		    &operator, on_made, r);
}

const struct admin_command admin_users_commands[] = {
	{ "users-list", run_list, true },
	{ "users-show", run_show, false },
	{ "users-block", run_block, false },
	{ "users-unblock", run_unblock, false },
	{ "users-delete", run_delete, false },
	{ "users-create", run_create, false },
	{ NULL, NULL, false },
};
