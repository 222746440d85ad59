/* chatmaild/expire.c and tree.c: every rule over generated mailboxes, with a clock of the
 * test's own. */
#include "chatmaild/expire.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/tree.h"
#include "test/support.h"

#define NOW    INT64_C(1700000000)
#define DAY    86400
#define USER   "abcdefghi@chat.example"
#define HASH   "{SHA512-CRYPT}$6$salt$hash"
#define NOBODY 65534

/* A file of a mailbox: age in days with a second more or less, as strict comparisons need
 * it; what is left of it afterwards. */
struct file {
	const char *path;
	int64_t size;
	int64_t age; /* seconds before NOW */
	bool stays;
};

struct house {
	char *dir;
	struct expire e;
	char *log;
	size_t log_size;
	FILE *out;
};

static void note(void *arg, const struct expire_note *n)
{
	static const char *const names[] = { "checking", "mailbox", "file", "quota",
		"not empty", "foreign", "vanished", "error" };
	struct house *h = arg;

	fprintf(h->out, "%s %s", names[n->event], n->path + strlen(h->dir) + 1);
	if (n->event == EXPIRE_OVER_QUOTA)
		fprintf(h->out, " %llu", (unsigned long long)n->n);
	fputc('\n', h->out);
}

static void house_init(struct house *h)
{
	*h = (struct house){ .dir = support_tmpdir() };
	h->out = open_memstream(&h->log, &h->log_size);
	assert_non_null(h->out);
	h->e = (struct expire){ .dir = h->dir,
		.dirfd = open(h->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.rules = { .now = NOW,
		    .inactive = 90,
		    .mails = 20,
		    .large = 7,
		    .quota = 1000000 },
		.tell = note,
		.arg = h };
	assert_true(h->e.dirfd >= 0);
}

static void house_deinit(struct house *h)
{
	close(h->e.dirfd);
	fclose(h->out);
	free(h->log);
	support_tmpdir_remove(h->dir);
}

static const char *log_of(struct house *h)
{
	fflush(h->out);
	return h->log;
}

static void make_parents(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(path, 0700) < 0)
			assert_int_equal(errno, EEXIST);
		*p = '/';
	}
}

static void set_age(const char *path, int64_t age)
{
	const struct timespec times[2] = { { .tv_sec = NOW - age },
		{ .tv_sec = NOW - age } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void put(
    struct house *h, const char *user, const char *name, int64_t size, int64_t age)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s/%s", h->dir, user, name);
	make_parents(path);
	support_write_file(path, span_of(strcmp(name, "password") == 0 ? HASH : ""));
	if (strcmp(name, "password") != 0)
		assert_int_equal(truncate(path, size), 0);
	set_age(path, age);
}

static bool there(const struct house *h, const char *user, const char *name)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s/%s", h->dir, user, name);
	return lstat(path, &st) == 0;
}

static const struct age_case {
	const char *name;
	struct file files[6];
	uint64_t seen, removed;
} age_cases[] = {
	{ "young mail stays",
	    { { "cur/1.M1", 10, 0, true }, { "new/1.M2", 10, 20 * DAY, true } }, 2, 0 },
	{ "old mail goes, wherever it lies",
	    { { "cur/1.M1", 10, 20 * DAY + 1, false },
		{ "new/1.M2", 10, 20 * DAY + 1, false },
		{ "tmp/1.M3", 10, 20 * DAY + 1, false },
		{ ".Sub/cur/1.M4", 10, 20 * DAY + 1, false },
		{ ".Sub/.Deep/new/1.M5", 10, 20 * DAY + 1, false } },
	    5, 5 },
	{ "large mail goes sooner, if it was seen",
	    { { "cur/1.M1", 200001, 7 * DAY + 1, false },
		{ "new/1.M2", 200001, 7 * DAY + 1, true },
		{ "tmp/1.M3", 200001, 7 * DAY + 1, true },
		{ ".Sub/cur/1.M4", 200001, 7 * DAY + 1, false } },
	    4, 2 },
	{ "large begins above 200000",
	    { { "cur/1.M1", 200000, 8 * DAY, true },
		{ "cur/1.M2", 200001, 7 * DAY, true } },
	    2, 0 },
	{ "a file that is no message stays",
	    { { "dovecot.index", 10, 400 * DAY, true },
		{ "subscriptions", 10, 400 * DAY, true },
		{ ".Sub/dovecot-uidlist", 10, 400 * DAY, true },
		{ "enforceE2EEincoming", 0, 400 * DAY, true } },
	    0, 0 },
	{ "what lies below cur is none", { { "cur/below/1.M1", 10, 400 * DAY, true } },
	    0, 0 },
	{ "maildirsize goes with the first message",
	    { { "cur/1.M1", 10, 21 * DAY, false }, { "cur/1.M2", 10, 0, true },
		{ "maildirsize", 50, 0, false } },
	    2, 2 },
	{ "and stays without one",
	    { { "cur/1.M1", 10, 0, true }, { "maildirsize", 50, 400 * DAY, true } }, 1,
	    0 },
	{ "a password that was never finished",
	    { { "password.tmp-1", 10, DAY + 1, false },
		{ "password.tmp-2", 10, DAY, true } },
	    0, 1 },
	{ "names with line breaks and spaces",
	    { { "cur/1.M1\nx y", 10, 21 * DAY, false } }, 1, 1 },
};

static void ages(void **state)
{
	const struct age_case *c = *state;
	struct house h;

	for (unsigned dry = 0; dry < 2; dry++) {
		house_init(&h);
		h.e.rules.dry_run = dry;
		put(&h, USER, "password", 0, 89 * DAY);
		for (const struct file *f = c->files; f->path; f++)
			put(&h, USER, f->path, f->size, f->age);
		assert_int_equal(expire_mailbox(&h.e, USER), EXPIRE_KEPT);
		for (const struct file *f = c->files; f->path; f++)
			if (there(&h, USER, f->path) != (f->stays || dry))
				fail_msg("%s %s", f->path,
				    f->stays || dry ? "went" : "stayed");
		assert_int_equal(h.e.totals.files, c->seen);
		/* What a dry run would do is what the other does. */
		assert_int_equal(h.e.totals.files_removed, c->removed);
		assert_int_equal(h.e.totals.errors, 0);
		house_deinit(&h);
	}
}

static const struct account_case {
	const char *name;
	const char *password; /* NULL: no file */
	int64_t age;          /* of it */
	const char *other;    /* one more file, or NULL */
	bool stays;
	const char *log; /* a line of it */
} account_cases[] = {
	{ "in use", HASH, 90 * DAY, "cur/1.M1", true, "checking " USER "\n" },
	{ "not used", HASH, 90 * DAY + 1, "cur/1.M1", false, "mailbox " USER "\n" },
	{ "time unknown", HASH, NOW, "cur/1.M1", true, "checking " USER "\n" },
	{ "blocked, by an empty file", "", 900 * DAY, "cur/1.M1", true,
	    "checking " USER "\n" },
	{ "blocked, by a text", "blocked for spam", 900 * DAY, NULL, true,
	    "checking " USER "\n" },
	{ "no account, nothing there", NULL, 0, "", false, "mailbox " USER "\n" },
	{ "no account, something there", NULL, 0, "cur/1.M1", true,
	    "not empty " USER "\n" },
};

static void account(void **state)
{
	const struct account_case *c = *state;
	char path[4096];
	struct house h;

	for (unsigned dry = 0; dry < 2; dry++) {
		bool gone = !c->stays;

		house_init(&h);
		h.e.rules.dry_run = dry;
		snprintf(path, sizeof(path), "%s/" USER "/", h.dir);
		make_parents(path);
		if (c->other && *c->other)
			put(&h, USER, c->other, 10, 900 * DAY);
		if (c->password) {
			snprintf(path, sizeof(path), "%s/" USER "/password", h.dir);
			support_write_file(path, span_of(c->password));
			set_age(path, c->age);
		}
		assert_int_equal(
		    expire_mailbox(&h.e, USER), gone ? EXPIRE_REMOVED : EXPIRE_KEPT);
		assert_int_equal(there(&h, USER, ""), !gone || dry);
		assert_int_equal(h.e.totals.mailboxes_removed, gone);
		assert_int_equal(h.e.totals.mailboxes, 1);
		assert_non_null(strstr(log_of(&h), c->log));
		/* Messages of no account are somebody else's. */
		if (c->stays && c->other)
			assert_int_equal(
			    there(&h, USER, c->other), !c->password || dry);
		house_deinit(&h);
	}
}

static const struct name_case {
	const char *name, *file;
	int64_t when, size; /* when -1: not of Dovecot's making */
} name_cases[] = {
	{ "seen", "1700000000.M1P2.host,S=1234,W=1250:2,S", 1700000000, 1234 },
	{ "new", "17.M1P2.host,S=0", 17, 0 },
	{ "without a size", "1700000000.M1P2.host:2,S", -1, 0 },
	{ "without a time", "M1P2.host,S=1", -1, 0 },
	{ "size is no number", "17.M1,S=x", -1, 0 },
	{ "nothing behind the dot", "17.", -1, 0 },
	{ "size at once", "17.,S=1", -1, 0 },
	{ "time too large", "99999999999999999999.M1,S=1", -1, 0 },
	{ "size too large", "17.M1,S=99999999999999999999", -1, 0 },
	{ "nothing", "", -1, 0 },
};

static void names(void **state)
{
	const struct name_case *c = *state;
	int64_t when = -1, size = 0;

	assert_int_equal(expire_parse_name(c->file, &when, &size), c->when >= 0);
	if (c->when >= 0) {
		assert_int_equal(when, c->when);
		assert_int_equal(size, c->size);
	}
}

static void put_counted(
    struct house *h, const char *folder, int64_t age, int64_t size, bool twin)
{
	char name[256];

	snprintf(name, sizeof(name), "%s/%lld.M%dP1.host,S=%lld:2,S", folder,
	    (long long)(NOW - age), twin, (long long)size);
	put(h, USER, name, 5, 0); /* neither its size on disk nor its mtime counts */
}

static unsigned count_files(const struct house *h, const char *folder)
{
	char command[4200];
	unsigned n = 0;
	FILE *p;

	snprintf(command, sizeof(command), "find %s/" USER "/%s -type f | wc -l",
	    h->dir, folder);
	p = popen(command, "r");
	assert_non_null(p);
	assert_int_equal(fscanf(p, "%u", &n), 1);
	pclose(p);
	return n;
}

static const struct quota_case {
	const char *name;
	unsigned cur, fresh,
	    sub; /* messages of 100 kB: a day and more old, young, elsewhere */
	int64_t quota;
	uint64_t removed;
} quota_cases[] = {
	{ "below", 5, 0, 0, 500000, 0 },
	{ "one over", 6, 0, 0, 500000, 1 },
	{ "to nothing", 6, 0, 0, 0, 6 },
	{ "the last day is protected", 2, 6, 0, 500000, 2 },
	{ "only the last day", 0, 9, 0, 500000, 0 },
	{ "other folders do not count", 5, 0, 9, 500000, 0 },
	{ "off", 50, 0, 0, -1, 0 },
};

static void quota(void **state)
{
	const struct quota_case *c = *state;
	struct house h;

	for (unsigned dry = 0; dry < 2; dry++) {
		house_init(&h);
		h.e.rules.dry_run = dry;
		h.e.rules.quota = c->quota;
		put(&h, USER, "password", 0, 0);
		put(&h, USER, "maildirsize", 9, 0);
		put(&h, USER, "cur/foreign,S=99999999", 9, 0);
		for (unsigned i = 0; i < c->cur; i++)
			put_counted(&h, i % 2 ? "cur" : "new", DAY + 1 + i, 100000, 0);
		for (unsigned i = 0; i < c->fresh; i++)
			put_counted(&h, "cur", DAY - 1 - i, 100000, 1);
		for (unsigned i = 0; i < c->sub; i++)
			put_counted(&h, ".Sub/cur", DAY + 1 + i, 100000, 0);
		expire_mailbox(&h.e, USER);
		assert_int_equal(h.e.totals.quota_removed, c->removed);
		assert_int_equal(
		    there(&h, USER, "maildirsize"), c->removed == 0 || dry);
		assert_true(there(&h, USER, "cur/foreign,S=99999999"));
		if (!dry)
			assert_int_equal(
			    count_files(&h, ""), c->cur + c->fresh + c->sub + 2 +
						     (c->removed == 0) - c->removed);
		house_deinit(&h);
	}
}

static void quota_takes_the_oldest(void **state)
{
	struct house h;

	house_init(&h);
	h.e.rules.quota = 250000;
	put_counted(&h, "cur", 5 * DAY, 100000, 0);
	put_counted(&h, "new", 9 * DAY, 100000, 0);
	put_counted(&h, "cur", 7 * DAY, 100000, 0);
	put_counted(&h, "cur", 7 * DAY, 100000, 1);
	assert_int_equal(expire_trim(&h.e, USER), 2);
	assert_int_equal(count_files(&h, "new"), 0);
	assert_int_equal(count_files(&h, "cur"), 2);
	assert_non_null(strstr(log_of(&h), "quota " USER " 2\n"));
	/* By name among equals. */
	assert_null(strstr(log_of(&h), ".M1P1"));
	house_deinit(&h);
}

/* More than are found in one walk. */
static void quota_takes_many(void **state)
{
	char name[64];
	struct house h;

	house_init(&h);
	h.e.rules.quota = 100 * 100;
	put(&h, USER, "password", 0, 0);
	for (unsigned i = 0; i < 8300; i++) {
		snprintf(name, sizeof(name), "%s/%lld.M%u.host,S=100",
		    i % 2 ? "cur" : "new", (long long)(NOW - 2 * DAY - (i % 1500)), i);
		put(&h, USER, name, 5, 0);
	}
	put(&h, USER, "cur/1.M0.host,S=100", 5, 21 * DAY); /* not counted: old */
	for (unsigned dry = 2; dry-- > 0;) {
		h.e.rules.dry_run = dry;
		h.e.totals = (struct expire_totals){ 0 };
		expire_mailbox(&h.e, USER);
		assert_int_equal(h.e.totals.quota_removed, 8200);
		assert_int_equal(h.e.totals.files_removed, 8201);
		assert_int_equal(h.e.totals.files, 8301);
		assert_int_equal(h.e.totals.errors, 0);
		assert_int_equal(
		    count_files(&h, "cur") + count_files(&h, "new"), dry ? 8301 : 100);
		/* The youngest are left. */
		assert_true(there(&h, USER, "new/1699827200.M0.host,S=100"));
		assert_int_equal(
		    there(&h, USER, "new/1699827150.M1550.host,S=100"), dry);
	}
	house_deinit(&h);
}

static void trims_any_age(void **state)
{
	struct house h;

	house_init(&h);
	h.e.rules.quota = 1000000;
	put(&h, USER, "cur/1.M1", 10, 900 * DAY);
	assert_int_equal(expire_trim(&h.e, USER), 0);
	assert_true(there(&h, USER, "cur/1.M1"));
	assert_int_equal(expire_trim(&h.e, "nobody@chat.example"), 0);
	assert_non_null(strstr(log_of(&h), "vanished nobody@chat.example\n"));
	assert_int_equal(h.e.totals.errors, 0);
	house_deinit(&h);
}

static void symbolic_links_are_not_followed(void **state)
{
	char outside[4096], link[4096], name[4200];
	struct house h;

	house_init(&h);
	put(&h, "elsewhere", "cur/1.M1", 10, 900 * DAY);
	put(&h, "elsewhere", "password", 0, 900 * DAY);
	put(&h, USER, "password", 0, 0);
	snprintf(outside, sizeof(outside), "%s/elsewhere/cur", h.dir);
	snprintf(link, sizeof(link), "%s/" USER "/cur", h.dir);
	assert_int_equal(symlink(outside, link), 0);
	snprintf(name, sizeof(name), "%s/1.M1", outside);
	snprintf(link, sizeof(link), "%s/" USER "/new/1.M1", h.dir);
	make_parents(link);
	assert_int_equal(symlink(name, link), 0);
	set_age(link, 900 * DAY);
	assert_int_equal(expire_mailbox(&h.e, USER), EXPIRE_KEPT);
	assert_true(there(&h, "elsewhere", "cur/1.M1"));
	assert_true(there(&h, USER, "new/1.M1"));
	assert_int_equal(h.e.totals.files, 0);
	assert_int_equal(h.e.totals.foreign, 2);
	assert_non_null(strstr(log_of(&h), "foreign " USER "/cur\n"));
	assert_non_null(strstr(log_of(&h), "foreign " USER "/new/1.M1\n"));

	/* A mailbox that is one. */
	snprintf(outside, sizeof(outside), "%s/elsewhere", h.dir);
	snprintf(link, sizeof(link), "%s/linked@chat.example", h.dir);
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(expire_mailbox(&h.e, "linked@chat.example"), EXPIRE_KEPT);
	assert_true(there(&h, "elsewhere", "password"));
	assert_true(there(&h, "elsewhere", "cur/1.M1"));
	assert_non_null(strstr(log_of(&h), "foreign linked@chat.example\n"));

	/* No mailbox at all. */
	snprintf(link, sizeof(link), "%s/file@chat.example", h.dir);
	support_write_file(link, span_of("x"));
	assert_int_equal(expire_mailbox(&h.e, "file@chat.example"), EXPIRE_KEPT);
	assert_non_null(strstr(log_of(&h), "foreign file@chat.example\n"));
	assert_int_equal(h.e.totals.foreign, 4);
	assert_int_equal(h.e.totals.errors, 0);
	house_deinit(&h);
}

/* Root reads everything, so somebody else looks. */
static void unreadable_ones_are_told(void **state)
{
	const bool root = geteuid() == 0;
	char path[4096];
	struct house h;

	house_init(&h);
	put(&h, USER, "password", 0, 0);
	put(&h, USER, "cur/1.M1", 10, 21 * DAY);
	put(&h, USER, ".Sub/cur/1.M2", 10, 21 * DAY);
	put(&h, "closed@chat.example", "password", 0, 900 * DAY);
	snprintf(path, sizeof(path),
	    "chown -R %u '%s' && chmod 0 '%s/" USER "/.Sub' '%s/closed@chat.example'",
	    root ? NOBODY : geteuid(), h.dir, h.dir, h.dir);
	assert_int_equal(system(path), 0);
	if (root)
		assert_return_code(seteuid(NOBODY), errno);
	expire_mailbox(&h.e, "closed@chat.example");
	expire_mailbox(&h.e, USER);
	if (root)
		assert_return_code(seteuid(0), errno);
	assert_int_equal(h.e.totals.errors, 2);
	assert_non_null(strstr(log_of(&h), "error closed@chat.example\n"));
	assert_non_null(strstr(log_of(&h), "error " USER "/.Sub\n"));
	/* The rest goes on. */
	assert_int_equal(h.e.totals.files_removed, 1);
	snprintf(path, sizeof(path), "chmod -R u+rwX '%s'", h.dir);
	assert_int_equal(system(path), 0);
	assert_true(there(&h, "closed@chat.example", "password"));
	assert_true(there(&h, USER, ".Sub/cur/1.M2"));
	house_deinit(&h);
}

/* The account is gone before its files are: its directory never half there. */
static void a_crash_leaves_nothing_to_log_in_to(void **state)
{
	struct house h;

	house_init(&h);
	put(&h, USER, "password", 0, 0);
	put(&h, USER, "cur/1.M1", 10, 0);
	assert_int_equal(expire_remove(&h.e, USER), 0);
	assert_false(there(&h, USER, ""));
	assert_int_equal(expire_remove(&h.e, USER), -1);
	assert_int_equal(errno, ENOENT);

	/* What a killed one left is cleaned up; what others left is not. */
	put(&h, ".expired-1234", "password", 0, 0);
	put(&h, ".expired-1234", ".Sub/cur/1.M1", 10, 0);
	put(&h, "pending_notifications", "x", 0, 0);
	h.e.rules.dry_run = true;
	expire_clean(&h.e);
	assert_true(there(&h, ".expired-1234", "password"));
	h.e.rules.dry_run = false;
	expire_clean(&h.e);
	assert_false(there(&h, ".expired-1234", ""));
	assert_true(there(&h, "pending_notifications", "x"));
	house_deinit(&h);
}

/* What happens to an unused account between the look at its file and its removal. */
static const struct meanwhile_case {
	const char *name;
	const char *password; /* new text of the file, or NULL */
	int64_t age;          /* of the file then */
	bool stays;
} meanwhile_cases[] = {
	{ "nothing", NULL, 91 * DAY, false },
	{ "a login", NULL, 0, true },
	{ "blocked, by a text", "blocked for spam", 91 * DAY, true },
	{ "blocked, by an empty file", "", 91 * DAY, true },
};

struct meanwhile {
	const struct meanwhile_case *c;
	struct house h;
};

static void on_meanwhile(void *arg, const struct expire_note *n)
{
	struct meanwhile *m = arg;
	char path[4096];

	if (n->event != EXPIRE_MAILBOX)
		return;
	snprintf(path, sizeof(path), "%s/password", n->path);
	if (m->c->password)
		support_write_file(path, span_of(m->c->password));
	set_age(path, m->c->age);
}

static void meanwhile(void **state)
{
	struct meanwhile m = { .c = *state };
	struct house *h = &m.h;

	house_init(h);
	h->e.tell = on_meanwhile;
	h->e.arg = &m;
	put(h, USER, "password", 0, 91 * DAY);
	put(h, USER, "cur/1.M1", 10, 0);
	assert_int_equal(
	    expire_mailbox(&h->e, USER), m.c->stays ? EXPIRE_KEPT : EXPIRE_REMOVED);
	assert_int_equal(there(h, USER, "password"), m.c->stays);
	assert_int_equal(there(h, USER, "cur/1.M1"), m.c->stays);
	assert_int_equal(h->e.totals.mailboxes_removed, !m.c->stays);
	assert_int_equal(h->e.totals.errors, 0);
	house_deinit(h);
}

/* --- while it is in use -------------------------------------------------------------- */

#define OLD(n)  "169000000" #n ".M1P1.host,S=100000"
#define SEEN(n) "cur/" OLD(n) ":2,S"

static void path_of(const struct house *h, const char *name, char path[4096])
{
	snprintf(path, 4096, "%s/" USER "/%s", h->dir, name);
}

static void move(const struct house *h, const char *from, const char *to)
{
	char old[4096], new[4096];

	path_of(h, from, old);
	path_of(h, to, new);
	assert_int_equal(rename(old, new), 0);
}

/* Six messages of 100 kB of which three must go. */
static void fill(struct house *h)
{
	house_init(h);
	h->e.rules.quota = 300000;
	put(h, USER, "new/" OLD(1), 5, 0);
	put(h, USER, SEEN(2), 5, 0);
	put(h, USER, SEEN(3), 5, 0);
	put(h, USER, SEEN(4), 5, 0);
	put(h, USER, SEEN(5), 5, 0);
	put(h, USER, SEEN(6), 5, 0);
}

/* When the first message is about to go: a client reads it, another one deletes the second,
 * and Dovecot delivers. */
static void on_trim(void *arg, const struct expire_note *n)
{
	struct house *h = arg;
	char path[4096];

	note(h, n);
	if (n->event != EXPIRE_FILE || !there(h, USER, "new/" OLD(1)))
		return;
	move(h, "new/" OLD(1), SEEN(1));
	path_of(h, SEEN(2), path);
	assert_int_equal(unlink(path), 0);
	put(h, USER, "new/1700000000.M7P1.host,S=100000", 5, 0);
}

static void trimmed_in_use(void **state)
{
	struct house h;

	fill(&h);
	h.e.tell = on_trim;
	assert_int_equal(expire_trim(&h.e, USER), 1);
	assert_int_equal(h.e.totals.vanished, 2);
	assert_int_equal(h.e.totals.errors, 0);
	assert_true(there(&h, USER, SEEN(1)));
	assert_false(there(&h, USER, SEEN(3)));
	assert_true(there(&h, USER, SEEN(4)));
	assert_true(there(&h, USER, "new/1700000000.M7P1.host,S=100000"));
	/* The next one finds what this one missed. */
	assert_int_equal(expire_trim(&h.e, USER), 2);
	assert_false(there(&h, USER, SEEN(1)));
	assert_false(there(&h, USER, SEEN(4)));
	assert_int_equal(count_files(&h, ""), 3);
	house_deinit(&h);
}

/* A directory becomes a link to where messages of the same names lie, which are others'. */
static void on_swap(void *arg, const struct expire_note *n)
{
	struct house *h = arg;
	char cur[4096];

	note(h, n);
	if (n->event != EXPIRE_FILE || there(h, USER, "aside"))
		return;
	move(h, "cur", "aside");
	path_of(h, "cur", cur);
	assert_int_equal(symlink("../elsewhere/cur", cur), 0);
}

static void trims_nothing_elsewhere(void **state)
{
	struct house h;

	fill(&h);
	h.e.tell = on_swap;
	put(&h, "elsewhere", SEEN(2), 5, 0);
	put(&h, "elsewhere", SEEN(3), 5, 0);
	assert_int_equal(expire_trim(&h.e, USER), 1);
	assert_false(there(&h, USER, "new/" OLD(1)));
	assert_true(there(&h, "elsewhere", SEEN(2)));
	assert_true(there(&h, "elsewhere", SEEN(3)));
	assert_int_equal(h.e.totals.errors, 2);
	house_deinit(&h);
}

/* The mailbox goes in the middle of it. */
static void on_vanish(void *arg, const struct expire_note *n)
{
	struct house *h = arg;
	char path[4096];

	note(h, n);
	path_of(h, "cur", path);
	if (n->event == EXPIRE_FILE && there(h, USER, "cur"))
		assert_int_equal(tree_remove(h->e.dirfd, USER, NULL, NULL), 0);
}

static void vanishes_in_the_middle(void **state)
{
	struct house h;

	fill(&h);
	h.e.tell = on_vanish;
	assert_int_equal(expire_trim(&h.e, USER), 0);
	assert_int_equal(h.e.totals.vanished, 3);
	assert_int_equal(h.e.totals.errors, 0);
	house_deinit(&h);
}

#define ROUNDS     100
#define DELIVERIES 1000

struct delivery {
	const struct house *h;
	unsigned n; /* how many were acknowledged */
	atomic_bool over;
};

/* As Dovecot does it, and a client that reads each at once. */
static void *deliver(void *arg)
{
	struct delivery *d = arg;

	while (!atomic_load(&d->over) && d->n < DELIVERIES) {
		char tmp[4096], new[4096], cur[4096], name[128];

		snprintf(name, sizeof(name), "tmp/%u", d->n);
		path_of(d->h, name, tmp);
		snprintf(name, sizeof(name), "new/%lld.M%uP2.host,S=100000",
		    (long long)NOW, d->n);
		path_of(d->h, name, new);
		snprintf(name, sizeof(name), "cur/%lld.M%uP2.host,S=100000:2,S",
		    (long long)NOW, d->n);
		path_of(d->h, name, cur);
		close(open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
		d->n += rename(tmp, new) == 0 && rename(new, cur) == 0;
	}
	return NULL;
}

static void nothing_delivered_is_trimmed(void **state)
{
	struct delivery d = { 0 };
	uint64_t removed = 0;
	pthread_t thread;
	struct house h;

	fill(&h);
	put(&h, USER, "tmp/other", 0, 0);
	put(&h, USER, "password", 0, 0);
	d.h = &h;
	h.e.rules.quota = 0;
	assert_int_equal(pthread_create(&thread, NULL, deliver, &d), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "cur/1690000000.M%uP3.host,S=100000", i);
		put(&h, USER, name, 5, 0);
		removed += expire_trim(&h.e, USER);
		/* By age, too. Its files are new on the disk, whatever the clock says. */
		expire_mailbox(&h.e, USER);
		h.log_size = 0;
		rewind(h.out);
	}
	atomic_store(&d.over, true);
	pthread_join(thread, NULL);
	assert_int_equal(removed, ROUNDS + 6);
	assert_true(d.n > 0);
	assert_int_equal(count_files(&h, "cur"), d.n);
	assert_int_equal(count_files(&h, "new"), 0);
	assert_int_equal(h.e.totals.errors, 0);
	house_deinit(&h);
}

static void ignore_trouble(void *arg, const char *path, int error)
{
	*(int *)arg = error;
}

static void trees_too_deep_are_told(void **state)
{
	char name[4 * TREE_DEPTH_MAX + 8] = "";
	struct house h;
	int error = 0;

	house_init(&h);
	put(&h, USER, "password", 0, 0);
	for (unsigned i = 0; i < TREE_DEPTH_MAX + 1; i++)
		strcat(name, "d/");
	strcat(name, "x");
	put(&h, USER, name, 0, 0);
	expire_mailbox(&h.e, USER);
	assert_int_equal(h.e.totals.errors, 1);
	assert_int_equal(tree_remove(h.e.dirfd, USER, ignore_trouble, &error), -1);
	assert_int_not_equal(error, 0);
	assert_true(there(&h, USER, name));
	assert_false(there(&h, USER, "password"));
	house_deinit(&h);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(ages, age_cases) },
		{ SUPPORT_TABLE(account, account_cases) },
		{ SUPPORT_TABLE(names, name_cases) },
		{ SUPPORT_TABLE(quota, quota_cases) },
		{ SUPPORT_TEST(quota_takes_the_oldest) },
		{ SUPPORT_TEST(quota_takes_many) },
		{ SUPPORT_TEST(trims_any_age) },
		{ SUPPORT_TEST(symbolic_links_are_not_followed) },
		{ SUPPORT_TEST(unreadable_ones_are_told) },
		{ SUPPORT_TEST(a_crash_leaves_nothing_to_log_in_to) },
		{ SUPPORT_TABLE(meanwhile, meanwhile_cases) },
		{ SUPPORT_TEST(trimmed_in_use) },
		{ SUPPORT_TEST(trims_nothing_elsewhere) },
		{ SUPPORT_TEST(vanishes_in_the_middle) },
		{ SUPPORT_TEST(nothing_delivered_is_trimmed) },
		{ SUPPORT_TEST(trees_too_deep_are_told) },
	};

	return support_run("expire", tests, ARRAY_LEN(tests));
}
