#include "test/bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Any well-formed hash will do: Dovecot compares, not the daemon. */
#define HASH                                                                           \
	"{SHA512-CRYPT}$6$rounds0salt0salt$"                                           \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345" \
	"678"                                                                          \
	"9012345"
#define READY_TIMEOUT_MS 60000

void bench_die(const char *format, ...)
{
	va_list ap;

	fputs("bench: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

uint64_t bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void bench_real_time(bool on)
{
	const struct sched_param param = { .sched_priority = on ? 1 : 0 };

	if (sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &param) < 0)
		fprintf(stderr, "bench: latencies hold delays of the load itself: %s\n",
		    strerror(errno));
}

void bench_pin(int cpu)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	if (n < 2)
		return;
	CPU_ZERO(&set);
	for (int i = 0; i < n; i++)
		if (cpu == BENCH_ALL_CPUS || i == cpu)
			CPU_SET(i, &set);
	if (sched_setaffinity(0, sizeof set, &set) < 0)
		bench_die("cannot choose CPU %d: %s", cpu, strerror(errno));
}

void bench_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

struct bench_folder bench_folder_make(void)
{
	struct bench_folder folder = { "/tmp/bench-XXXXXX" };

	if (!mkdtemp(folder.path))
		bench_die("no folder below /tmp: %s", strerror(errno));
	return folder;
}

static int remove_entry(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void bench_folder_remove(const struct bench_folder *folder)
{
	nftw(folder->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void bench_account_name(char name[10], unsigned i)
{
	snprintf(name, 10, "u%08u", i % 100000000);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		bench_die("cannot write %s: %s", path, strerror(errno));
	close(fd);
}

void bench_accounts_make(const struct bench_folder *folder, unsigned n)
{
	char path[PATH_MAX], name[10];

	snprintf(path, sizeof path, "%s/mail", folder->path);
	mkdir(path, 0700);
	for (unsigned i = 0; i < n; i++) {
		bench_account_name(name, i);
		snprintf(path, sizeof path, "%s/mail/%s@%s", folder->path, name,
		    BENCH_DOMAIN);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			bench_die("cannot make %s: %s", path, strerror(errno));
		strcat(path, "/password");
		write_file(path, HASH);
		strcpy(strrchr(path, '/'), "/enforceE2EEincoming");
		write_file(path, "");
	}
}

void bench_configure(const struct bench_folder *folder, const char *lines)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/more.ini", folder->path);
	write_file(path, lines);
}

static void append_more(FILE *to, const struct bench_folder *folder)
{
	char path[PATH_MAX], line[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof path, "%s/more.ini", folder->path);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f))
		fputs(line, to);
	if (f)
		fclose(f);
}

static void write_config(const struct bench_folder *folder)
{
	static const char *const sockets[][2] = {
		{ "auth_socket", "auth" },
		{ "metadata_socket", "metadata" },
		{ "lastlogin_socket", "lastlogin" },
		{ "http_socket", "http" },
		{ "admin_socket", "admin" },
		{ "filter_outgoing_socket", "out" },
		{ "filter_incoming_socket", "in" },
		{ "reinject_outgoing", "sink" },
		{ "reinject_incoming", "sink" },
	};
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof path, "%s/chatmail.ini", folder->path);
	f = fopen(path, "we");
	if (!f)
		bench_die("cannot write %s: %s", path, strerror(errno));
	fprintf(f,
	    "[params]\nmail_domain = %s\nmailboxes_dir = %s/mail\nstate_dir = "
	    "%s/state\npassdb_path = %s/passdb.sqlite\n"
	    "mail_user = root\nmax_load_1m = 1000\nmax_user_send_per_minute = 1000000\n"
	    "max_user_send_burst_size = 1000000\n",
	    BENCH_DOMAIN, folder->path, folder->path, folder->path);
	for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++)
		fprintf(f, "%s = unix:%s/%s.sock\n", sockets[i][0], folder->path,
		    sockets[i][1]);
	append_more(f, folder);
	fclose(f);
	snprintf(path, sizeof path, "%s/state", folder->path);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/mail", folder->path);
	mkdir(path, 0700);
}

static void run_daemon(const char *program, const struct bench_folder *folder, int cpu)
{
	char config[PATH_MAX], path[PATH_MAX];
	int log;

	snprintf(config, sizeof config, "%s/chatmail.ini", folder->path);
	snprintf(path, sizeof path, "%s/notify", folder->path);
	setenv("NOTIFY_SOCKET", path, 1);
	snprintf(path, sizeof path, "%s/log", folder->path);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(cpu);
	execl(program, program, "-c", config, (char *)NULL);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", program, strerror(errno));
	_exit(127);
}

/* Read sd_notify messages until READY=1. */
static void wait_until_ready(int fd, pid_t pid, const struct bench_folder *folder)
{
	uint64_t end = bench_now_ns() + (uint64_t)READY_TIMEOUT_MS * 1000000;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[512];

	while (bench_now_ns() < end) {
		ssize_t n;

		if (poll(&p, 1, 100) == 0 && waitpid(pid, NULL, WNOHANG) == pid)
			break;
		n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
		if (n <= 0)
			continue;
		text[n] = '\0';
		if (strstr(text, "READY=1"))
			return;
	}
	bench_die("the daemon did not become ready, see %s/log", folder->path);
}

pid_t bench_daemon_start(
    const char *program, const struct bench_folder *folder, int cpu, double *ready_ms)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t begin;
	pid_t pid;

	write_config(folder);
	snprintf(a.sun_path, sizeof a.sun_path, "%s/notify", folder->path);
	unlink(a.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		bench_die("cannot listen on %s: %s", a.sun_path, strerror(errno));
	begin = bench_now_ns();
	pid = fork();
	if (pid == 0)
		run_daemon(program, folder, cpu);
	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	wait_until_ready(fd, pid, folder);
	if (ready_ms)
		*ready_ms = (double)(bench_now_ns() - begin) / 1e6;
	close(fd);
	return pid;
}

void bench_daemon_stop(pid_t pid)
{
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

void bench_settle(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 500000000 };
	uint64_t before;

	do {
		before = bench_cpu_ns(pid);
		nanosleep(&pause, NULL);
	} while (bench_cpu_ns(pid) - before > 5000000);
}

uint64_t bench_cpu_ns(pid_t pid)
{
	char path[PATH_MAX];
	uint64_t sum = 0;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		bench_die("process %d is gone", (int)pid);
	while ((e = readdir(dir))) {
		unsigned long long ns;
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid,
		    e->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%llu", &ns) == 1)
			sum += ns;
		if (f)
			fclose(f);
	}
	closedir(dir);
	return sum;
}

/* The number behind key in a file of "Key:  123 kB" lines, as MiB. */
static double read_kib(pid_t pid, const char *file, const char *key)
{
	char path[64], line[256];
	double mib = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "re");
	if (!f)
		bench_die("process %d is gone", (int)pid);
	while (fgets(line, sizeof line, f))
		if (strncmp(line, key, strlen(key)) == 0)
			mib = strtod(line + strlen(key), NULL) / 1024;
	fclose(f);
	return mib;
}

struct bench_memory bench_memory(pid_t pid)
{
	return (struct bench_memory){
		.rss = read_kib(pid, "smaps_rollup", "Rss:"),
		.private_dirty = read_kib(pid, "smaps_rollup", "Private_Dirty:"),
		.peak = read_kib(pid, "status", "VmHWM:"),
	};
}

void bench_samples_add(struct bench_samples *s, uint64_t ns)
{
	if (s->n == s->size) {
		s->size = s->size ? s->size * 2 : 65536;
		s->us = realloc(s->us, s->size * sizeof s->us[0]);
		if (!s->us)
			bench_die("out of memory");
	}
	s->us[s->n++] = (uint32_t)(ns / 1000);
}

static int compare_samples(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

double bench_samples_ms(struct bench_samples *s, double share)
{
	if (s->n == 0)
		return 0;
	qsort(s->us, s->n, sizeof s->us[0], compare_samples);
	return s->us[(size_t)(share * (double)(s->n - 1))] / 1000.0;
}

void bench_samples_deinit(struct bench_samples *s)
{
	free(s->us);
	*s = (struct bench_samples){ 0 };
}

void bench_row(const char *what, const char *measured, const char *goal, int met)
{
	printf("%-46s %-62s %-22s %s\n", what, measured, goal,
	    met < 0 ? ""
	    : met   ? "met"
		    : "MISSED");
	fflush(stdout);
}
