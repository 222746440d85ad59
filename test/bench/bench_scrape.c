/*
 * A scrape of /metrics with a million accounts: from the connect to the last byte. Nothing
 * in it may depend on how many there are.
 */
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "test/bench/bench.h"

#define ACCOUNTS 1000000
#define SCRAPES  500

#define TEXT(x)  #x
#define VALUE(x) TEXT(x)

/* Rows as the daemon writes them, a few of each day. */
static const char rows[] =
    "WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n + 1"
    " < " VALUE(ACCOUNTS) ") INSERT INTO users SELECT printf('u%08d@" BENCH_DOMAIN
			  "', n),"
			  " '{SHA512-CRYPT}$6$salt$' || hex(zeroblob(43)), n + 1, 120, "
			  "1, 19000,"
			  " strftime('%s') / 86400 - n % 200 FROM i";

static void fill_store(const struct bench_folder *folder)
{
	char path[PATH_MAX];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/state/chatmaild.sqlite", folder->path);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, rows, NULL, NULL, NULL) != SQLITE_OK)
		bench_die("%s: %s", path, sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* The whole answer; returns its length. */
static size_t scrape(const struct bench_folder *folder, char *page, size_t size)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = 0;
	ssize_t n;

	snprintf(a.sun_path, sizeof a.sun_path, "%s/http.sock", folder->path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    write(fd, request, sizeof request - 1) < 0)
		bench_die("%s: %s", a.sun_path, strerror(errno));
	while (len < size - 1 && (n = read(fd, page + len, size - 1 - len)) > 0)
		len += (size_t)n;
	page[len] = '\0';
	close(fd);
	return len;
}

int main(int argc, char **argv)
{
	static char page[256 * 1024];
	struct bench_samples samples = { 0 };
	struct bench_folder folder;
	char text[160];
	uint64_t cpu;
	size_t len = 0;
	pid_t pid;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_scrape CHATMAILD\n");
		return 2;
	}
	folder = bench_folder_make();
	bench_configure(&folder, "user_cache_size = 512M\n");
	pid = bench_daemon_start(argv[1], &folder, BENCH_ALL_CPUS, NULL);
	bench_settle(pid);
	bench_daemon_stop(pid);
	fill_store(&folder);
	pid = bench_daemon_start(argv[1], &folder, 0, NULL);
	bench_settle(pid);
	bench_pin(1);

	bench_real_time(true);
	cpu = bench_cpu_ns(pid);
	for (unsigned i = 0; i < SCRAPES; i++) {
		uint64_t begin = bench_now_ns();

		len = scrape(&folder, page, sizeof page);
		bench_samples_add(&samples, bench_now_ns() - begin);
	}
	cpu = bench_cpu_ns(pid) - cpu;
	bench_real_time(false);
	if (!strstr(page, "chatmail_accounts{kind=\"all\"} " VALUE(ACCOUNTS) "\n"))
		bench_die("not all accounts are counted");
	snprintf(text, sizeof text, "p50 %.2f p99 %.2f ms, %.2f ms CPU, %zu bytes",
	    bench_samples_ms(&samples, 0.5), bench_samples_ms(&samples, 0.99),
	    (double)cpu / SCRAPES / 1e6, len);
	bench_row("a scrape with 1,000,000 accounts", text, "under 5 ms",
	    bench_samples_ms(&samples, 0.99) < 5);
	bench_samples_deinit(&samples);
	bench_daemon_stop(pid);
	bench_folder_remove(&folder);
	return 0;
}
