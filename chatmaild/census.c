/*
 * Counts per kind, and of plain accounts per day.
 */
#include "chatmaild/census.h"

#include <stdlib.h>
#include <string.h>

#define DAYS 65536 /* to the year 2149; other days are moved to the ends */
#define DAY  86400 /* seconds */

#define ACCOUNTS(label, field)                                                         \
	{                                                                              \
		"chatmail_accounts", "Number of accounts.", OPENMETRICS_GAUGE,         \
		    "kind=\"" label "\"", offsetof(struct census_gauges, field)        \
	}
#define ACTIVE(label, i)                                                               \
	{                                                                              \
		"chatmail_accounts_active", "Non-CI accounts active within N days.",   \
		    OPENMETRICS_GAUGE, "days=\"" label "\"",                           \
		    offsetof(struct census_gauges, active[i])                          \
	}

static const int active_days[] = CENSUS_DAYS;
#define NACTIVE (sizeof(active_days) / sizeof(active_days[0]))

const struct metric_def census_metrics[] = {
	ACCOUNTS("all", all),
	ACCOUNTS("ci", ci),
	ACCOUNTS("user", user),
	ACTIVE("1", 0),
	ACTIVE("10", 1),
	ACTIVE("30", 2),
	ACTIVE("40", 3),
	ACTIVE("80", 4),
	ACTIVE("100", 5),
	ACTIVE("150", 6),
};
const size_t ncensus_metrics = sizeof(census_metrics) / sizeof(census_metrics[0]);

struct counts {
	uint64_t total[ACCOUNT_KINDS];
	uint32_t by_day[DAYS]; /* without ci-; pages that stay 0 cost no memory */
};

struct census {
	struct store *store;
	bool counted, counting;
	struct counts counts; /* 0 until counted */
};

/* The count of what is in the store, on the writer thread; then the census gets it. */
struct load {
	struct store_op op;
	struct census *into;
	struct counts counted;
};

enum account_kind account_kind(struct span address)
{
	if (span_starts(address, "ci-"))
		return ACCOUNT_CI;
	return span_starts(address, "ac_") ? ACCOUNT_AC : ACCOUNT_PLAIN;
}

static size_t place(int64_t day)
{
	if (day < 0)
		return 0;
	return day < DAYS ? (size_t)day : DAYS - 1;
}

static void count(struct counts *c, enum account_kind kind, int64_t day, int64_t by)
{
	c->total[kind] += (uint64_t)by;
	if (kind != ACCOUNT_CI)
		c->by_day[place(day)] += (uint32_t)by;
}

static int load_run(struct store_op *op, sqlite3 *db)
{
	struct load *l = (struct load *)op;
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db,
	    "SELECT CASE substr(address, 1, 3) WHEN 'ci-' THEN 1 WHEN 'ac_' THEN 2"
	    " ELSE 0 END AS kind, coalesce(last_login_day, created_day, 0) AS day,"
	    " count(*) FROM users GROUP BY kind, day",
	    -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	while (sqlite3_step(stmt) == SQLITE_ROW)
		count(&l->counted, (enum account_kind)sqlite3_column_int(stmt, 0),
		    sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 2));
	return sqlite3_finalize(stmt);
}

/* Reports come in the order of the operations: what came before this is counted in it. */
static void load_done(struct store_op *op, int result)
{
	struct load *l = (struct load *)op;
	struct census *c = l->into;

	c->counting = false;
	if (result == SQLITE_OK) {
		c->counted = true;
		c->counts = l->counted;
	}
	free(l); /* else the store has logged it */
}

static void start_count(struct census *c)
{
	struct load *l;

	if (c->counting)
		return;
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->op.run = load_run;
	l->op.done = load_done;
	l->into = c;
	c->counting = true;
	store_submit(c->store, &l->op);
}

struct census *census_create(struct store *store)
{
	struct census *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->store = store;
	start_count(c);
	return c;
}

void census_destroy(struct census *c)
{
	free(c);
}

void census_apply(struct census *c, const struct census_change *changes, size_t n)
{
	/* The count failed; as the store can be written again it may succeed now. */
	if (!c->counted)
		start_count(c);
	for (size_t i = 0; c->counted && i < n; i++) {
		if (changes[i].before != CENSUS_NONE)
			count(&c->counts, changes[i].kind, changes[i].before, -1);
		if (changes[i].after != CENSUS_NONE)
			count(&c->counts, changes[i].kind, changes[i].after, 1);
	}
}

uint64_t census_count(const struct census *c, enum account_kind kind)
{
	return c->counts.total[kind];
}

void census_read(const struct census *c, int64_t now, struct census_gauges *gauges)
{
	size_t today = place(now / DAY), day = DAYS;
	uint64_t active = 0;

	*gauges = (struct census_gauges){
		.ci = c->counts.total[ACCOUNT_CI],
		.user = c->counts.total[ACCOUNT_PLAIN] + c->counts.total[ACCOUNT_AC],
	};
	gauges->all = gauges->ci + gauges->user;
	for (size_t i = 0; i < NACTIVE; i++) {
		size_t first = place((int64_t)today - active_days[i]);

		while (day > first)
			active += c->counts.by_day[--day];
		gauges->active[i] = active;
	}
}
