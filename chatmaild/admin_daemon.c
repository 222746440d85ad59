/*
 * The operator's commands about the daemon as a whole: how it is, its numbers, its config,
 * who may register, what waits for the push service.
 */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/admin.h"
#include "chatmaild/expiry.h"
#include "chatmaild/push_queue.h"
#include "chatmaild/scrape.h"
#include "chatmaild/stall.h"
#include "chatmaild/store.h"
#include "chatmaild/suggest.h"
#include "chatmaild/users.h"

#define INVITES_MAX 1000 /* of one request; their lines are held in memory */

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* What a stranger who asks for an account would hear now. */
static const char *registration(const struct daemon *d)
{
	switch (users_registration(d->users)) {
	case ADMISSION_CLOSED:
		return "closed";
	case ADMISSION_LOAD:
		return "refused: the load of the machine is above max_load_1m";
	case ADMISSION_MEMORY:
		return "refused: less memory is available than min_available_memory";
	case ADMISSION_DISK:
		return "refused: less disk is free than min_free_disk_space";
	case ADMISSION_RATE:
		return "refused: max_new_accounts_per_minute were made just now";
	default:
		return d->config->invites ? "by invite" : "open";
	}
}

static json_t *accounts(const struct daemon *d)
{
	static const unsigned days[] = CENSUS_DAYS;
	struct census_gauges g;
	json_t *active = json_object();

	census_read(users_census(d->users), time(NULL), &g);
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		char key[16];

		snprintf(key, sizeof(key), "%u", days[i]);
		json_object_set_new(active, key, number(g.active[i]));
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "all", number(g.all), "ci",
	    number(g.ci), "user", number(g.user), "active", active);
}

static void run_status(struct admin_request *r)
{
	const struct daemon *d = r->daemon;
	const struct expiry_counters *e = expiry_counters(d->expiry);
	const struct config *c = d->config;

	admin_end(r,
	    json_pack(
		"{s:s, s:s, s:s, s:i, s:I, s:b, s:s, s:o, s:i, s:I, s:o, s:o, s:b, "
		"s:I, s:s}",
		"version", CHATMAILD_VERSION, "mail_domain", c->mail_domain, "config",
		c->path, "pid", (int)getpid(), "started", (json_int_t)d->started,
		"draining", d->draining, "registration", registration(d), "accounts",
		accounts(d), "connections", (int)services_connections(d->services),
		"push_queued", (json_int_t)push_queue_counters(d->pushes)->queued,
		"created", number(users_counters(d->users)->created), "stall_us",
		number(stall_worst_us(d->stall)), "expiring", e->running > 0,
		"expiry_end", (json_int_t)e->last_end, "unknown_keys",
		c->unknown_keys));
}

static void run_metrics(struct admin_request *r)
{
	struct evbuffer *page = evbuffer_new();
	size_t len;

	if (!page)
		abort();
	scrape_write(r->daemon, page, METRIC_TEXT);
	len = evbuffer_get_length(page);
	admin_end(r, json_pack("{s:s%}", "metrics",
			 (const char *)evbuffer_pullup(page, -1), len));
	evbuffer_free(page);
}

static void run_registration(struct admin_request *r)
{
	admin_end(r, json_pack("{s:s}", "registration", registration(r->daemon)));
}

/* A whole number that is a member of the request, or fallback. */
static int64_t number_of(
    const struct admin_request *r, const char *name, int64_t fallback)
{
	const json_t *value = json_object_get(r->args, name);

	return json_is_integer(value) ? json_integer_value(value) : fallback;
}

static void say_invite(struct admin_request *r, int days)
{
	const struct config *c = r->daemon->config;
	char invite[INVITE_LEN + 1];
	json_t *line;

	users_invite(r->daemon->users, days, invite);
	line = suggest_login(c, span_of(invite));
	if (!line)
		abort(); /* no randomness */
	json_object_set_new(line, "invite", json_string(invite));
	json_object_set_new(line, "dcaccount_url",
	    json_sprintf(
		"dcaccount:https://%s/new?invite=%s", c->mail_domain_bare, invite));
	admin_say(r, line);
}

static void run_invite(struct admin_request *r)
{
	int64_t count = number_of(r, "count", 1), days = number_of(r, "days", 30);

	if (count < 1 || count > INVITES_MAX) {
		admin_refuse(r, "1 to %d invites at once", INVITES_MAX);
		return;
	}
	if (days < 1 || days > INVITE_DAYS_MAX) {
		admin_refuse(r, "an invite is good for 1 to %d days", INVITE_DAYS_MAX);
		return;
	}
	for (int64_t i = 0; i < count; i++)
		say_invite(r, (int)days);
	admin_end(r, json_pack("{s:I, s:b}", "count", (json_int_t)count, "needed",
			 r->daemon->config->invites));
}

static void run_reload(struct admin_request *r)
{
	struct daemon *d = r->daemon;
	char changed[DAEMON_CHANGED_MAX];

	if (d->draining)
		admin_refuse(r, "the daemon is stopping");
	else if (daemon_reload(d, changed) < 0)
		admin_refuse(r,
		    "%s has mistakes, the config from before stays in force; see "
		    "chatmaild --check-config",
		    d->config->path);
	else
		admin_end(r, json_pack("{s:s, s:s}", "config", d->config->path,
				 "needs_restart", changed));
}

/* --- pushes: what only the store knows ----------------------------------------------- */

struct push_op {
	struct store_op op;
	struct admin_request *request;
	int64_t now;
	int64_t rows; /* that were tried and wait for another try */
	int64_t oldest;
};

static int push_count(struct store_op *op, sqlite3 *db)
{
	struct push_op *p = (struct push_op *)op;
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db,
	    "SELECT (SELECT count(*) FROM pushes WHERE tries > 0),"
	    " (SELECT min(start) FROM (SELECT start FROM pushes ORDER BY id LIMIT "
	    "1000))",
	    -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		p->rows = sqlite3_column_int64(stmt, 0);
		p->oldest = sqlite3_column_int64(stmt, 1);
	}
	return sqlite3_finalize(stmt);
}

static int push_make_due(struct store_op *op, sqlite3 *db)
{
	struct push_op *p = (struct push_op *)op;
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db,
	    "UPDATE pushes SET due = ?1 WHERE due > ?1 AND tries > 0", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(stmt, 1, p->now);
	rc = store_finish(stmt);
	p->rows = sqlite3_changes64(db);
	return rc;
}

static void push_counted(struct store_op *op, int result)
{
	struct push_op *p = (struct push_op *)op;
	struct admin_request *r = p->request;
	const struct push_counters *c = push_queue_counters(r->daemon->pushes);

	if (result != SQLITE_OK)
		admin_refuse(r, "the database cannot be read");
	else
		admin_end(r,
		    json_pack("{s:s, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}",
			"url", r->daemon->config->push_url, "queued", number(c->queued),
			"in_flight", number(c->in_flight), "retrying",
			(json_int_t)p->rows, "oldest", (json_int_t)p->oldest, "sent",
			number(c->sent), "failed", number(c->failed), "dead_tokens",
			number(c->dead_tokens), "expired", number(c->expired),
			"ownerless", number(c->ownerless), "shed", number(c->shed)));
	free(p);
}

static void push_made_due(struct store_op *op, int result)
{
	struct push_op *p = (struct push_op *)op;
	struct admin_request *r = p->request;

	if (result != SQLITE_OK) {
		admin_refuse(r, "the database cannot be written");
	} else {
		push_queue_found(r->daemon->pushes, 0); /* none is new, but due now */
		admin_end(r, json_pack("{s:I}", "due", (json_int_t)p->rows));
	}
	free(p);
}

static void submit(struct admin_request *r,
    int (*run)(struct store_op *op, sqlite3 *db),
    void (*done)(struct store_op *op, int result))
{
	struct push_op *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->op.run = run;
	p->op.done = done;
	p->request = r;
	p->now = time(NULL);
	store_submit(r->daemon->store, &p->op);
}

static void run_push_status(struct admin_request *r)
{
	submit(r, push_count, push_counted);
}

static void run_push_flush(struct admin_request *r)
{
	submit(r, push_make_due, push_made_due);
}

const struct admin_command admin_daemon_commands[] = {
	{ "status", run_status, false },
	{ "metrics", run_metrics, false },
	{ "registration", run_registration, false },
	{ "reload", run_reload, false },
	{ "invite", run_invite, false },
	{ "push-status", run_push_status, false },
	{ "push-flush", run_push_flush, false },
	{ NULL, NULL, false },
};
