/*
 * Load on the daemon's auth socket as Dovecot makes it: lookups over kept connections,
 * over a new connection each, beside account creations, and idle connections in
 * numbers. The daemon has CPU 0, the load CPU 1; both share one machine, so the row
 * says how busy the daemon was. The peer to compare with is an echo server: the same
 * bytes over the same kind of socket with nothing decided in between.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/bench/bench.h"

#define ACCOUNTS         10000
#define CLIENTS          50
#define IDLE_CONNECTIONS 10000
#define EVENTS           64
#define HELLO            "H3\t2\t0\t\tauth\n"

static unsigned seconds = 5; /* each load */

/* A stream of lookups by some clients, each waiting for its reply before the next. */
struct load {
	const char *path;
	unsigned nclients;
	bool fresh;        /* a new connection each */
	bool create;       /* addresses nobody has yet */
	uint64_t pause_ns; /* between a reply and the next request of a client */

	unsigned next_account;
	uint64_t done, refused;
	struct bench_samples latency;
	struct client *clients;
	int epoll;
};

struct client {
	int fd; /* -1: none */
	bool waiting;
	uint64_t at_ns; /* when the request went out, or is to go out */
	size_t got;
	char reply[1024];
};

static int connect_to(const char *path, int flags)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	if (fd < 0 || errno != EAGAIN)
		bench_die("cannot connect to %s: %s", path, strerror(errno));
	close(fd); /* the backlog is full: later */
	return -1;
}

/* The name of the account to ask for next. */
static void next_name(struct load *l, char name[10])
{
	static unsigned unknown = ACCOUNTS;

	if (l->create)
		bench_account_name(name, unknown++);
	else
		bench_account_name(name, l->next_account++ % ACCOUNTS);
}

static void send_request(struct load *l, struct client *c)
{
	char text[512], name[10];
	bool hello = c->fd < 0;
	size_t len;

	if (c->fd < 0) {
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

		c->fd = connect_to(l->path, SOCK_NONBLOCK);
		if (c->fd < 0)
			return;
		epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e);
	}
	next_name(l, name);
	len = (size_t)snprintf(text, sizeof text,
	    "%sLshared/passdb/" BENCH_PASSWORD "\"%s@" BENCH_DOMAIN "\t%s@" BENCH_DOMAIN
	    "\n",
	    hello ? HELLO : "", name, name);
	c->got = 0;
	c->waiting = true;
	c->at_ns = bench_now_ns();
	if (write(c->fd, text, len) != (ssize_t)len)
		bench_die("a request did not fit: %s", strerror(errno));
}

static void read_reply(struct load *l, struct client *c)
{
	ssize_t n = read(c->fd, c->reply + c->got, sizeof c->reply - c->got);
	uint64_t now;

	if (n <= 0)
		bench_die("the daemon closed a connection that waits for a reply");
	c->got += (size_t)n;
	if (c->reply[c->got - 1] != '\n') {
		if (c->got == sizeof c->reply)
			bench_die("a reply is too long");
		return;
	}
	now = bench_now_ns();
	bench_samples_add(&l->latency, now - c->at_ns);
	l->done++;
	l->refused += c->reply[0] != 'O';
	if (l->fresh) {
		close(c->fd); /* which takes it out of epoll */
		c->fd = -1;
	}
	c->waiting = false;
	c->at_ns = now + l->pause_ns;
}

static void load_start(struct load *l)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->clients = calloc(l->nclients, sizeof l->clients[0]);
	for (unsigned i = 0; i < l->nclients; i++) {
		l->clients[i].fd = -1;
		/* Paced clients are spread over the pause. */
		l->clients[i].at_ns = bench_now_ns() + l->pause_ns * i / l->nclients;
	}
}

/* Send what is due, take what has come; wait at most a millisecond. */
static void load_turn(struct load *l)
{
	struct epoll_event events[EVENTS];
	uint64_t now = bench_now_ns();
	int n;

	for (unsigned i = 0; i < l->nclients; i++)
		if (!l->clients[i].waiting && l->clients[i].at_ns <= now)
			send_request(l, &l->clients[i]);
	n = epoll_wait(l->epoll, events, EVENTS, 1);
	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		read_reply(l, c);
		if (l->pause_ns == 0)
			send_request(l, c);
	}
}

static void load_run(struct load *l, uint64_t duration_ns)
{
	uint64_t end = bench_now_ns() + duration_ns;

	while (bench_now_ns() < end)
		load_turn(l);
}

static void load_stop(struct load *l)
{
	for (unsigned i = 0; i < l->nclients; i++)
		if (l->clients[i].fd >= 0)
			close(l->clients[i].fd);
	close(l->epoll);
	free(l->clients);
	bench_samples_deinit(&l->latency);
}

/* A row about a load that had the daemon to itself; goal in lookups a second of a CPU.
 */
static void show_rate(const char *what, struct load *l, double wall_s, double cpu_s,
    const char *goal, double goal_rate)
{
	double rate = (double)l->done / wall_s, per_cpu = (double)l->done / cpu_s;
	char text[160];

	snprintf(text, sizeof text,
	    "%.0f/s, daemon %.0f %% busy: %.0f/CPU s, p50 %.2f p99 %.2f ms", rate,
	    100 * cpu_s / wall_s, per_cpu, bench_samples_ms(&l->latency, 0.5),
	    bench_samples_ms(&l->latency, 0.99));
	bench_row(what, text, goal, goal_rate > 0 ? per_cpu >= goal_rate : -1);
	if (l->refused > 0)
		bench_die("%llu of %llu lookups were refused",
		    (unsigned long long)l->refused, (unsigned long long)l->done);
}

static void measure_rate(const char *what, const char *path, pid_t pid, bool fresh,
    const char *goal, double goal_rate)
{
	struct load l = { .path = path, .nclients = CLIENTS, .fresh = fresh };
	uint64_t cpu, begin;

	load_start(&l);
	load_run(&l, 500000000); /* warm */
	l.done = 0;
	l.latency.n = 0;
	begin = bench_now_ns();
	cpu = bench_cpu_ns(pid);
	load_run(&l, seconds * UINT64_C(1000000000));
	cpu = bench_cpu_ns(pid) - cpu;
	show_rate(what, &l, (double)(bench_now_ns() - begin) / 1e9, (double)cpu / 1e9,
	    goal, goal_rate);
	load_stop(&l);
}

static void measure_beside_creations(const char *path)
{
	/* 5,000 lookups a second of 50 clients, whatever the creations do. */
	struct load lookups = {
		.path = path, .nclients = CLIENTS, .pause_ns = 10000000
	};
	struct load creations = {
		.path = path, .nclients = CLIENTS, .fresh = true, .create = true
	};
	uint64_t end;
	char text[160];
	double p99;

	bench_real_time(true);
	load_start(&lookups);
	load_start(&creations);
	end = bench_now_ns() + seconds * UINT64_C(1000000000);
	while (bench_now_ns() < end) {
		struct epoll_event events[2 * EVENTS];
		int n;

		load_turn(&lookups);
		for (unsigned i = 0; i < creations.nclients; i++)
			if (!creations.clients[i].waiting)
				send_request(&creations, &creations.clients[i]);
		n = epoll_wait(creations.epoll, events, 2 * EVENTS, 0);
		for (int i = 0; i < n; i++)
			read_reply(&creations, events[i].data.ptr);
	}
	bench_real_time(false);
	p99 = bench_samples_ms(&lookups.latency, 0.99);
	snprintf(text, sizeof text,
	    "%llu creations/s; lookups %llu/s, p50 %.2f p99 %.2f ms",
	    (unsigned long long)creations.done / seconds,
	    (unsigned long long)lookups.done / seconds,
	    bench_samples_ms(&lookups.latency, 0.5), p99);
	bench_row("lookups while 50 clients create accounts", text, "p99 under 2 ms",
	    p99 < 2);
	if (lookups.refused > 0 || creations.refused > 0)
		bench_die("%llu lookups and %llu creations were refused",
		    (unsigned long long)lookups.refused,
		    (unsigned long long)creations.refused);
	load_stop(&lookups);
	load_stop(&creations);
}

static void measure_idle(const char *path, pid_t pid)
{
	static int fds[IDLE_CONNECTIONS];
	struct bench_memory before = bench_memory(pid), after;
	const struct timeval timeout = { .tv_sec = 30 };
	char text[160], byte;

	for (unsigned i = 0; i < IDLE_CONNECTIONS; i++) {
		fds[i] = connect_to(path, 0);
		setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
		if (write(fds[i], HELLO "Lshared/none\t\n", strlen(HELLO) + 14) < 0)
			bench_die("connection %u: %s", i, strerror(errno));
	}
	for (unsigned i = 0; i < IDLE_CONNECTIONS; i++)
		if (read(fds[i], &byte, 1) != 1) /* served, not only in the backlog */
			bench_die("connection %u was not served", i);
	after = bench_memory(pid);
	snprintf(text, sizeof text, "RSS %.1f MiB, %.0f bytes a connection", after.rss,
	    (after.rss - before.rss) * 1048576 / IDLE_CONNECTIONS);
	bench_row("10,000 idle dict connections", text, "under 60 MiB", after.rss < 60);
	for (unsigned i = 0; i < IDLE_CONNECTIONS; i++)
		close(fds[i]);
}

/* Answer every request with as many bytes as the daemon sends, read nothing into it. */
static void echo_serve(int listener)
{
	static char reply[330];
	struct epoll_event events[EVENTS],
	    e = { .events = EPOLLIN, .data.fd = listener };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	char buf[4096];

	memset(reply, 'O', sizeof reply - 1);
	reply[sizeof reply - 1] = '\n';
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			ssize_t got;

			if (fd == listener) {
				while ((fd = accept4(listener, NULL, NULL,
					    SOCK_NONBLOCK)) >= 0) {
					e.data.fd = fd;
					epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
				}
				continue;
			}
			got = read(fd, buf, sizeof buf);
			if (got <= 0 || write(fd, reply, sizeof reply) < 0)
				close(fd);
		}
	}
}

static pid_t echo_start(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	pid_t pid;

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    listen(fd, 1000) < 0)
		bench_die("cannot listen on %s: %s", path, strerror(errno));
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		bench_pin(0);
		echo_serve(fd);
	}
	close(fd);
	return pid;
}

static void measure_peer(const struct bench_folder *folder)
{
	char path[BENCH_PATH_MAX];
	pid_t pid;

	snprintf(path, sizeof path, "%s/echo.sock", folder->path);
	pid = echo_start(path);
	measure_rate("  peer: echo server, kept connections", path, pid, false, "", 0);
	measure_rate(
	    "  peer: echo server, a new connection each", path, pid, true, "", 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	struct bench_folder folder;
	char path[BENCH_PATH_MAX];
	pid_t pid;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: bench_dict CHATMAILD [SECONDS]\n");
		return 2;
	}
	if (argc == 3)
		seconds = (unsigned)atoi(argv[2]);
	bench_raise_limits();
	folder = bench_folder_make();
	bench_accounts_make(&folder, ACCOUNTS);
	snprintf(path, sizeof path, "%s/auth.sock", folder.path);

	pid = bench_daemon_start(argv[1], &folder, 0, NULL);
	bench_pin(1);
	bench_settle(pid);
	measure_rate(
	    "passdb, 50 kept connections", path, pid, false, "100,000/s a core", 1e5);
	measure_rate(
	    "passdb, a new connection each", path, pid, true, "40,000/s a core", 4e4);
	measure_idle(path, pid);
	bench_daemon_stop(pid);
	measure_peer(&folder);

	bench_pin(BENCH_ALL_CPUS);
	pid = bench_daemon_start(argv[1], &folder, BENCH_ALL_CPUS, NULL);
	bench_settle(pid);
	measure_beside_creations(path);
	bench_daemon_stop(pid);
	bench_folder_remove(&folder);
	return 0;
}
