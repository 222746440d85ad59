/*
 * From exec to READY with 100,000 accounts, and what the daemon weighs when it is idle:
 * the first start finds only the directories, the second its own database, too.
 */
#include <stdio.h>

#include "test/bench/bench.h"

#define ACCOUNTS 100000
#define STARTS   5

int main(int argc, char **argv)
{
	struct bench_folder folder;
	struct bench_memory memory;
	double ms, worst = 0;
	char text[160];
	pid_t pid;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_start CHATMAILD\n");
		return 2;
	}
	folder = bench_folder_make();
	pid = bench_daemon_start(argv[1], &folder, BENCH_ALL_CPUS, NULL);
	bench_settle(pid);
	memory = bench_memory(pid);
	snprintf(text, sizeof text, "Private_Dirty %.1f MiB", memory.private_dirty);
	bench_row("idle, no accounts", text, "under 5 MiB", memory.private_dirty < 5);
	snprintf(text, sizeof text, "RSS %.1f MiB", memory.rss);
	bench_row("", text, "under 18 MiB", memory.rss < 18);
	bench_daemon_stop(pid);
	bench_folder_remove(&folder);

	folder = bench_folder_make();
	bench_accounts_make(&folder, ACCOUNTS);
	pid = bench_daemon_start(argv[1], &folder, BENCH_ALL_CPUS, &ms);
	snprintf(text, sizeof text, "%.1f ms", ms);
	bench_row(
	    "READY, 100,000 accounts, no database yet", text, "under 100 ms", ms < 100);
	bench_settle(pid);
	bench_daemon_stop(pid);

	for (int i = 0; i < STARTS; i++) {
		pid = bench_daemon_start(argv[1], &folder, BENCH_ALL_CPUS, &ms);
		if (ms > worst)
			worst = ms;
		if (i + 1 < STARTS)
			bench_daemon_stop(pid);
	}
	snprintf(text, sizeof text, "%.1f ms, the slowest of %d", worst, STARTS);
	bench_row("READY, 100,000 accounts", text, "under 100 ms", worst < 100);
	bench_settle(pid);
	memory = bench_memory(pid);
	snprintf(text, sizeof text, "Private_Dirty %.1f MiB, RSS %.1f MiB",
	    memory.private_dirty, memory.rss);
	bench_row("idle, 100,000 accounts in memory", text, "", -1);
	bench_daemon_stop(pid);
	bench_folder_remove(&folder);
	return 0;
}
