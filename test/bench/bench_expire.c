/*
 * A day's expiry over many mailboxes, beside what find takes for the same predicates on the
 * same tree; and what logins notice of it. In turns, a few times; what one removed is made
 * again for the other. Both begin with nothing of the tree in memory, as on a server whose
 * memory is smaller than its mail: else it is chance how much there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/bench/bench.h"

#define MAILBOXES   100000
#define MESSAGES    10 /* of each: one every three days */
#define DAY         86400
#define SMALL       2000   /* bytes of a message, a hole in the file */
#define LARGE       300000 /* of the fourth message of each fifth mailbox */
#define ROUNDS      3
#define RUN_MAX_NS  600000000000
#define LOOKUP_WAIT 1000000    /* ns between two lookups */
#define LOOKUPS_NS  5000000000 /* how long they are measured without a run */

struct tree {
	struct bench_folder folder;
	unsigned mailboxes;
	time_t now;
};

/* What took how long, and how much of it on a CPU. */
struct effort {
	double seconds, cpu;
};

/* --- the tree ------------------------------------------------------------------------ */

/* True if it was not there. */
static bool make_message(int box, const struct tree *t, unsigned mailbox, unsigned i)
{
	time_t when = t->now - (time_t)(1 + 3 * i) * DAY;
	const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };
	bool large = i == 3 && mailbox % 5 == 0;
	char name[NAME_MAX + 1];
	int fd;

	snprintf(name, sizeof name, "%s/%lld.M%uP1.bench,S=%d%s",
	    i == 0 ? "new" : "cur", (long long)when, i, large ? LARGE : SMALL,
	    i == 0 ? "" : ":2,S");
	fd = openat(box, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return false;
	if (fd < 0 || ftruncate(fd, large ? LARGE : SMALL) < 0 ||
	    futimens(fd, times) < 0)
		bench_die("cannot make %s: %s", name, strerror(errno));
	close(fd);
	return true;
}

/* Make what is not there; returns how many messages that was. */
static unsigned long make_messages(const struct tree *t)
{
	static const char *const parts[] = { "cur", "new", "tmp" };
	unsigned long made = 0;

	for (unsigned i = 0; i < t->mailboxes; i++) {
		char path[PATH_MAX], name[10];
		int box;

		bench_account_name(name, i);
		snprintf(path, sizeof path, "%s/mail/%s@%s", t->folder.path, name,
		    BENCH_DOMAIN);
		box = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (box < 0)
			bench_die("%s: %s", path, strerror(errno));
		for (unsigned j = 0; j < 3; j++)
			if (mkdirat(box, parts[j], 0700) < 0 && errno != EEXIST)
				bench_die("%s: %s", path, strerror(errno));
		for (unsigned j = 0; j < MESSAGES; j++)
			made += make_message(box, t, i, j);
		close(box);
	}
	sync();
	return made;
}

/* The kernel forgets what it has in memory of the disk. Only root may ask for that. */
static void forget_tree(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "3", 1) != 1)
		bench_die("cannot empty the disk's caches, which root can: %s",
		    strerror(errno));
	close(fd);
}

/* --- find ---------------------------------------------------------------------------- */

/* As urgent as the daemon's own threads for it. */
static void run_find(const struct tree *t)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/mail", t->folder.path);
	setpriority(PRIO_PROCESS, 0, 19);
	execlp("find", "find", path, "-type", "f", "(", "-path", "*/cur/*", "-o",
	    "-path", "*/new/*", "-o", "-path", "*/tmp/*", ")", "(", "-mmin", "+28800",
	    "-o", "(", "-path", "*/cur/*", "-size", "+200000c", "-mmin", "+10080", ")",
	    ")", "-delete", (char *)NULL);
	_exit(127);
}

static struct effort measure_find(const struct tree *t)
{
	struct rusage usage;
	uint64_t begin;
	int status;
	pid_t pid;

	forget_tree();
	begin = bench_now_ns();
	pid = fork();
	if (pid == 0)
		run_find(t);
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status != 0)
		bench_die("find failed");
	return (struct effort){ (double)(bench_now_ns() - begin) / 1e9,
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6 };
}

/* --- the daemon ---------------------------------------------------------------------- */

/* The last run was two days ago: the next start begins with one. */
static void make_overdue(const struct tree *t)
{
	char path[PATH_MAX], sql[128];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/state/chatmaild.sqlite", t->folder.path);
	snprintf(sql, sizeof sql, "UPDATE meta SET value = %lld WHERE key = 'expired'",
	    (long long)t->now - 2 * DAY);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_changes(db) != 1)
		bench_die("%s: %s", path, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static int connect_auth(const struct tree *t)
{
	static const char hello[] = "H3\t2\t0\t\tauth\n";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s/auth.sock", t->folder.path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    write(fd, hello, sizeof hello - 1) < 0)
		bench_die("%s: %s", a.sun_path, strerror(errno));
	return fd;
}

static void look_up(const struct tree *t, int fd, struct bench_samples *samples)
{
	char request[128], reply[1024], name[10];
	uint64_t begin;
	ssize_t n;
	int len;

	bench_account_name(name, (unsigned)random() % t->mailboxes);
	len = snprintf(
	    request, sizeof request, "Lshared/userdb/%s@%s\tx\n", name, BENCH_DOMAIN);
	begin = bench_now_ns();
	if (write(fd, request, (size_t)len) != len)
		bench_die("the daemon is gone");
	do
		n = read(fd, reply, sizeof reply);
	while (n > 0 && reply[n - 1] != '\n');
	if (n <= 0 || reply[0] == 'F')
		bench_die("no good reply to a lookup");
	bench_samples_add(samples, bench_now_ns() - begin);
}

static off_t log_size(const struct tree *t)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%s/log", t->folder.path);
	return stat(path, &st) == 0 ? st.st_size : 0;
}

/* Has the daemon logged the end of a run, behind what its log held before? */
static bool run_is_over(const struct tree *t, off_t behind)
{
	char path[PATH_MAX], line[512];
	bool over = false;
	FILE *f;

	snprintf(path, sizeof path, "%s/log", t->folder.path);
	f = fopen(path, "re");
	if (f && fseeko(f, behind, SEEK_SET) < 0)
		bench_die("%s: %s", path, strerror(errno));
	while (f && !over && fgets(line, sizeof line, f))
		over = strstr(line, "expiry: removed ") != NULL;
	if (f)
		fclose(f);
	return over;
}

/*
 * Look accounts up, a thousand a second: for so many ns, or, if that is 0, until the log tells
 * of the end of a run behind that place.
 */
static void look_up_for(
    const struct tree *t, uint64_t ns, off_t behind, struct bench_samples *samples)
{
	const struct timespec pause = { .tv_nsec = LOOKUP_WAIT };
	uint64_t end = bench_now_ns() + (ns ? ns : RUN_MAX_NS);
	int fd = connect_auth(t);

	bench_real_time(true);
	for (unsigned i = 0; ns || i % 16 != 0 || !run_is_over(t, behind); i++) {
		if (ns && bench_now_ns() > end)
			break;
		if (bench_now_ns() > end)
			bench_die("the run does not end, see %s/log", t->folder.path);
		look_up(t, fd, samples);
		nanosleep(&pause, NULL);
	}
	bench_real_time(false);
	close(fd);
}

struct rounds {
	struct effort find[ROUNDS], daemon[ROUNDS];
	struct bench_samples lookups, before; /* while it goes on, and without it */
	double memory, growth;                /* of RSS, MiB: before, and at most */
	uint64_t cpu;                         /* ns that a start takes */
	unsigned long removed;
};

/* All accounts in the database and in memory, no run. */
static void measure_rest(const struct tree *t, const char *program, struct rounds *r)
{
	pid_t pid = bench_daemon_start(program, &t->folder, BENCH_ALL_CPUS, NULL);

	bench_settle(pid);
	bench_daemon_stop(pid);
	forget_tree();
	pid = bench_daemon_start(program, &t->folder, BENCH_ALL_CPUS, NULL);
	bench_settle(pid);
	r->memory = bench_memory(pid).rss;
	r->cpu = bench_cpu_ns(pid);
	look_up_for(t, LOOKUPS_NS, 0, &r->before);
	bench_daemon_stop(pid);
}

static void measure_daemon(
    const struct tree *t, const char *program, struct rounds *r, struct effort *effort)
{
	off_t log = log_size(t);
	uint64_t begin;
	double growth;
	pid_t pid;

	make_overdue(t);
	forget_tree();
	pid = bench_daemon_start(program, &t->folder, BENCH_ALL_CPUS, NULL);
	begin = bench_now_ns();
	look_up_for(t, 0, log, &r->lookups);
	effort->seconds = (double)(bench_now_ns() - begin) / 1e9;
	/* Without what every start takes. */
	effort->cpu = (double)(bench_cpu_ns(pid) - r->cpu) / 1e9;
	growth = bench_memory(pid).peak - r->memory;
	if (growth > r->growth)
		r->growth = growth;
	bench_daemon_stop(pid);
}

static void measure_round(
    struct tree *t, const char *program, struct rounds *r, unsigned round)
{
	unsigned long by_daemon;

	r->find[round] = measure_find(t);
	r->removed = make_messages(t);
	measure_daemon(t, program, r, &r->daemon[round]);
	by_daemon = make_messages(t);
	if (r->removed != by_daemon)
		bench_die(
		    "find removed %lu messages, the daemon %lu", r->removed, by_daemon);
}

static void report_round(const struct tree *t, const struct rounds *r, unsigned round)
{
	const struct effort *find = &r->find[round], *daemon = &r->daemon[round];
	const double ratio = daemon->seconds / find->seconds;
	char what[96], text[160];

	snprintf(what, sizeof what, "expiry: %u mailboxes, %u messages", t->mailboxes,
	    t->mailboxes * MESSAGES);
	snprintf(text, sizeof text, "%.1f s, %.1f s CPU, %lu removed: %.2f of find",
	    daemon->seconds, daemon->cpu, r->removed, ratio);
	bench_row(what, text, "at most 1.5 of find", ratio <= 1.5);
	snprintf(text, sizeof text, "%.1f s, %.1f s CPU", find->seconds, find->cpu);
	bench_row("  peer: find -delete with its predicates", text, "", -1);
}

static void report(struct rounds *r)
{
	double p99 = bench_samples_ms(&r->lookups, 0.99);
	char text[160];

	snprintf(text, sizeof text, "%.1f MiB more at its highest", r->growth);
	bench_row("  memory", text, "under 64 MiB", r->growth < 64);
	snprintf(text, sizeof text, "p50 %.2f p99 %.2f worst %.1f ms, %zu lookups",
	    bench_samples_ms(&r->lookups, 0.5), p99, bench_samples_ms(&r->lookups, 1),
	    r->lookups.n);
	bench_row("  lookups meanwhile, 1000/s", text, "p99 under 5 ms", p99 < 5);
	snprintf(text, sizeof text, "p50 %.2f p99 %.2f worst %.1f ms",
	    bench_samples_ms(&r->before, 0.5), bench_samples_ms(&r->before, 0.99),
	    bench_samples_ms(&r->before, 1));
	bench_row("  peer: lookups without a run", text, "", -1);
}

int main(int argc, char **argv)
{
	struct tree t = { .mailboxes = MAILBOXES, .now = time(NULL) };
	struct rounds rounds = { .growth = 0 };

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: bench_expire CHATMAILD [MAILBOXES]\n");
		return 2;
	}
	if (argc == 3)
		t.mailboxes = (unsigned)strtoul(argv[2], NULL, 10);
	if (t.mailboxes == 0)
		bench_die("how many mailboxes?");
	t.folder = bench_folder_make();
	bench_accounts_make(&t.folder, t.mailboxes);
	make_messages(&t);
	measure_rest(&t, argv[1], &rounds);
	for (unsigned i = 0; i < ROUNDS; i++) {
		measure_round(&t, argv[1], &rounds, i);
		report_round(&t, &rounds, i);
	}
	report(&rounds);
	bench_samples_deinit(&rounds.lookups);
	bench_samples_deinit(&rounds.before);
	bench_folder_remove(&t.folder);
	return 0;
}
