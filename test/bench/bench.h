/*
 * What every measurement shares: the daemon under test in a folder of its own, accounts
 * made beforehand, CPU and memory of a process, percentiles, and a row of the table
 * with the goal beside the measured value.
 *
 * These are measurements, not tests: they end the program with a message when the
 * machine does not play along.
 */
#ifndef TEST_BENCH_BENCH_H
#define TEST_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BENCH_DOMAIN   "bench.example"
#define BENCH_PASSWORD "correcthorse"
#define BENCH_ALL_CPUS (-1)
#define BENCH_PATH_MAX                                                                 \
	108 /* of a folder with a socket's name, which is the shortest limit */

/* A line to stderr, exit 1. */
__attribute__((format(printf, 1, 2), noreturn)) void bench_die(const char *format, ...);

uint64_t bench_now_ns(void); /* monotonic */

/*
 * From here on this process runs before all others, so that latencies are the daemon's and
 * hold no wait of our own for a CPU. Needs root; without it says so and goes on.
 */
void bench_real_time(bool on);

/* Keep this process, and children to come, on one CPU, or let them use all. On a
 * machine with one CPU nothing happens. */
void bench_pin(int cpu);

/* As many open files as the machine allows. */
void bench_raise_limits(void);

/* A new folder below /tmp, which bench_folder_remove() deletes with all in it. */
struct bench_folder {
	char path[20];
};
struct bench_folder bench_folder_make(void);
void bench_folder_remove(const struct bench_folder *folder);

/* Account directories 0 to n-1 under folder/mail, all with the same hash, as the daemon
 * makes them; and the local part of one: 9 characters and a NUL. */
void bench_accounts_make(const struct bench_folder *folder, unsigned n);
void bench_account_name(char name[10], unsigned i);

/* More lines for the daemon's chatmail.ini, from its next start on. */
void bench_configure(const struct bench_folder *folder, const char *lines);

/*
 * Start program with sockets auth, out, in, lastlogin, metadata, http, admin (.sock) in
 * folder and accounts in folder/mail, on cpu; returns once it said READY=1.
 * Re-injection goes to folder/sink.sock. ready_ms is the time from fork() to READY, or
 * NULL.
 */
pid_t bench_daemon_start(
    const char *program, const struct bench_folder *folder, int cpu, double *ready_ms);

/* SIGTERM, and wait. */
void bench_daemon_stop(pid_t pid);

/* Wait until pid is idle: less than 1 % of a CPU in half a second. */
void bench_settle(pid_t pid);

/* CPU time of all threads so far, ns. */
uint64_t bench_cpu_ns(pid_t pid);

struct bench_memory {
	double rss, peak, private_dirty; /* MiB; peak of rss since start */
};
struct bench_memory bench_memory(pid_t pid);

/* Latencies. */
struct bench_samples {
	uint32_t *us; /* microseconds, owned */
	size_t n, size;
};
void bench_samples_add(struct bench_samples *s, uint64_t ns);
double bench_samples_ms(struct bench_samples *s, double share); /* 0.5: median; sorts */
void bench_samples_deinit(struct bench_samples *s);

/* One row: what, how much, the goal or "", and whether it is met (-1: no goal). */
void bench_row(const char *what, const char *measured, const char *goal, int met);

#endif
