/*
 * From Dovecot's hook to the notification service: how soon a notification leaves, how
 * fast a queue drains over one connection, what a service that is away costs, and that
 * a killed daemon loses nothing. The service is a server that answers at once, on the
 * other CPU.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/bench/bench.h"
#include "test/flow/h2_server.h"

#define DEVICES    32   /* of each account, as many as one may have */
#define ACCOUNTS   3125 /* with 100,000 devices */
#define FEW        313  /* of them, with 10,016 */
#define RINGS      50
#define DEAD_S     60
#define PATIENCE_S 120
#define GUID       "0123456789abcdef0123456789abcdef"

/* Between the server's process and ours. */
struct shared {
	struct h2_server_script script;
	volatile bool up, hang_up; /* wanted */
	volatile uint16_t port;
	volatile uint64_t requests, first_ns, last_ns;
};

struct bench {
	const char *program;
	struct bench_folder folder;
	struct shared *shared;
	pid_t server, daemon;
	int fd; /* a dict connection to the metadata service */
};

static void on_request(void *arg)
{
	struct shared *s = arg;

	s->last_ns = bench_now_ns();
	if (s->requests++ == 0)
		s->first_ns = s->last_ns;
}

struct wish {
	struct shared *shared;
	struct h2_server *server;
};

/* Do what the other process wants. */
static void on_wish(evutil_socket_t fd, short what, void *arg)
{
	struct wish *w = arg;

	w->shared->script.stop = w->shared->up ? H2_SERVER_SERVE : H2_SERVER_CLOSE_TCP;
	if (w->shared->hang_up)
		h2_server_close_all(w->server);
	w->shared->hang_up = false;
}

static void serve(struct bench *b)
{
	static const struct timeval interval = { .tv_usec = 1000 };
	struct wish wish = { .shared = b->shared };
	struct event_base *base = event_base_new();
	struct tls_authority *authority = tls_authority_create();
	char path[BENCH_PATH_MAX];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	bench_pin(1);
	snprintf(path, sizeof path, "%s/ca.pem", b->folder.path);
	tls_authority_write(authority, path);
	wish.server = h2_server_create(base, authority, &b->shared->script);
	h2_server_watch(wish.server, on_request, b->shared);
	event_add(event_new(base, -1, EV_PERSIST, on_wish, &wish), &interval);
	b->shared->port = h2_server_seen(wish.server)->port;
	event_base_dispatch(base);
	_exit(1);
}

static void nap_ms(unsigned ms)
{
	const struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static void start_server(struct bench *b)
{
	char lines[256];

	b->shared = mmap(NULL, sizeof *b->shared, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b->shared == MAP_FAILED)
		bench_die("mmap: %s", strerror(errno));
	b->shared->script.nsteps = 1;
	b->server = fork();
	if (b->server == 0)
		serve(b);
	while (b->shared->port == 0) {
		if (waitpid(b->server, NULL, WNOHANG) == b->server)
			bench_die("the server did not start");
		nap_ms(1);
	}
	snprintf(lines, sizeof lines,
	    "push_url = https://localhost:%u/notify\npush_ca_file = %s/ca.pem\n",
	    b->shared->port, b->folder.path);
	bench_configure(&b->folder, lines);
}

static void server_is(struct bench *b, bool up)
{
	b->shared->up = up;
	b->shared->hang_up = !up;
	nap_ms(10);
}

static void start_daemon(struct bench *b)
{
	const struct timeval timeout = { .tv_sec = PATIENCE_S };
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	b->daemon = bench_daemon_start(b->program, &b->folder, 0, NULL);
	bench_pin(1);
	snprintf(a.sun_path, sizeof a.sun_path, "%s/metadata.sock", b->folder.path);
	b->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(b->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	if (connect(b->fd, (struct sockaddr *)&a, sizeof a) < 0)
		bench_die("cannot connect to %s: %s", a.sun_path, strerror(errno));
	dprintf(b->fd, "H3\t2\t0\tbench\tmetadata\n");
}

static void kill_daemon(struct bench *b)
{
	close(b->fd);
	kill(b->daemon, SIGKILL);
	waitpid(b->daemon, NULL, 0);
}

/* Send one transaction and wait for its "O". */
static void commit(struct bench *b, unsigned account, const char *sets)
{
	char name[10], text[8192], reply[64];
	int len;

	bench_account_name(name, account);
	len =
	    snprintf(text, sizeof text, "B1\t%s@" BENCH_DOMAIN "\n%sC1\n", name, sets);
	if (write(b->fd, text, (size_t)len) != len ||
	    read(b->fd, reply, sizeof reply) != 2 || reply[0] != 'O')
		bench_die("account %u: the transaction failed", account);
}

static void register_devices(struct bench *b)
{
	char sets[8000];

	for (unsigned i = 0; i < ACCOUNTS; i++) {
		size_t len = 0;

		for (unsigned d = 0; d < DEVICES; d++)
			len += (size_t)snprintf(sets + len, sizeof sets - len,
			    "S1\tpriv/" GUID "/devicetoken\topenpgp:%0100u%04u%02u\n",
			    i, i, d);
		commit(b, i, sets);
	}
}

static void message(struct bench *b, unsigned account)
{
	commit(b, account, "S1\tpriv/" GUID "/messagenew\t\n");
}

/* The value of a metric that the daemon shows. */
static uint64_t metric(struct bench *b, const char *name)
{
	static char page[65536];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = 0;
	const char *at;
	ssize_t n;

	snprintf(a.sun_path, sizeof a.sun_path, "%s/http.sock", b->folder.path);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		bench_die("cannot connect to %s: %s", a.sun_path, strerror(errno));
	dprintf(fd, "GET /metrics HTTP/1.0\r\n\r\n");
	while ((n = read(fd, page + len, sizeof page - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	page[len] = '\0';
	at = strstr(page, name);
	if (!at)
		bench_die("no metric %s", name);
	return strtoull(at + strlen(name), NULL, 10);
}

static void wait_empty(struct bench *b)
{
	uint64_t end = bench_now_ns() + PATIENCE_S * UINT64_C(1000000000);

	while (metric(b, "chatmail_push_waiting{service=\"metadata\"} ") > 0) {
		if (bench_now_ns() > end)
			bench_die("the queue does not drain");
		nap_ms(20);
	}
}

static void reset_peak(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "5", 1) != 1)
		bench_die("cannot reset the peak of RSS: %s", strerror(errno));
	close(fd);
}

/* The connection is up: how long until the POST is there? */
static void measure_latency(struct bench *b)
{
	struct bench_samples all = { 0 }, after = { 0 };
	char text[160];
	double median;

	for (unsigned i = 0; i < RINGS; i++) {
		uint64_t sent, stored;

		b->shared->requests = 0;
		sent = bench_now_ns();
		message(b, i);
		stored = bench_now_ns();
		while (b->shared->requests < DEVICES)
			nap_ms(1);
		bench_samples_add(&all, b->shared->first_ns - sent);
		bench_samples_add(&after,
		    b->shared->first_ns > stored ? b->shared->first_ns - stored : 0);
		wait_empty(b);
	}
	median = bench_samples_ms(&after, 0.5);
	snprintf(text, sizeof text, "median %.2f ms, worst %.2f ms", median,
	    bench_samples_ms(&after, 1));
	bench_row("hook answered to POST arrived", text, "under 5 ms", median < 5);
	snprintf(text, sizeof text, "median %.2f ms, worst %.2f ms",
	    bench_samples_ms(&all, 0.5), bench_samples_ms(&all, 1));
	bench_row("hook called to POST arrived", text, "", -1);
	bench_samples_deinit(&all);
	bench_samples_deinit(&after);
}

/* All that came while the service was away goes out when it is back. */
static void measure_drain(struct bench *b)
{
	struct bench_memory before, after;
	uint64_t cpu, n;
	double s, rate;
	char text[160];

	server_is(b, false);
	for (unsigned i = 0; i < FEW; i++)
		message(b, i);
	n = metric(b, "chatmail_push_waiting{service=\"metadata\"} ");
	if (n != FEW * DEVICES)
		bench_die("%llu notifications wait", (unsigned long long)n);
	reset_peak(b->daemon);
	before = bench_memory(b->daemon);
	b->shared->requests = 0;
	cpu = bench_cpu_ns(b->daemon);
	server_is(b, true);
	wait_empty(b);
	cpu = bench_cpu_ns(b->daemon) - cpu;
	after = bench_memory(b->daemon);
	if (b->shared->requests != n)
		bench_die("%llu notifications made %llu requests",
		    (unsigned long long)n, (unsigned long long)b->shared->requests);
	s = (double)(b->shared->last_ns - b->shared->first_ns) / 1e9;
	rate = (double)n / s;
	snprintf(text, sizeof text, "%.0f/s, %.0f us CPU each", rate,
	    (double)cpu / 1e3 / (double)n);
	bench_row("10,000 notifications drain", text, "2,000/s", rate > 2000);
	snprintf(text, sizeof text, "RSS %.1f MiB, at its peak %.1f more", before.rss,
	    after.peak - before.rss);
	bench_row("", text, "under 20 MiB more", after.peak - before.rss < 20);
}

static void measure_dead_service(struct bench *b)
{
	uint64_t cpu, n;
	char text[160];

	server_is(b, false);
	for (unsigned i = 0; i < ACCOUNTS; i++)
		message(b, i);
	close(b->fd);
	bench_daemon_stop(b->daemon);
	start_daemon(b);
	message(b, 0); /* the same rows; it notices that the service is away */
	bench_settle(b->daemon);
	cpu = bench_cpu_ns(b->daemon);
	nap_ms(DEAD_S * 1000);
	cpu = bench_cpu_ns(b->daemon) - cpu;
	snprintf(text, sizeof text, "%.3f s CPU in a minute, RSS %.1f MiB",
	    (double)cpu / 1e9 * 60 / DEAD_S, bench_memory(b->daemon).rss);
	bench_row("100,000 wait, the service is away", text, "under 0.1 s",
	    (double)cpu / 1e9 * 60 / DEAD_S < 0.1);

	kill_daemon(b);
	b->shared->requests = 0;
	server_is(b, true);
	start_daemon(b);
	n = metric(b, "chatmail_push_waiting{service=\"metadata\"} ");
	wait_empty(b);
	snprintf(text, sizeof text, "%llu found, %llu sent in %.1f s",
	    (unsigned long long)n, (unsigned long long)b->shared->requests,
	    (double)(b->shared->last_ns - b->shared->first_ns) / 1e9);
	bench_row("and then it is killed, and started again", text, "all 100,000",
	    b->shared->requests >= ACCOUNTS * DEVICES);
}

int main(int argc, char **argv)
{
	struct bench b = { .fd = -1 };

	if (argc != 2) {
		fprintf(stderr, "usage: bench_push CHATMAILD\n");
		return 2;
	}
	b.program = argv[1];
	b.folder = bench_folder_make();
	bench_accounts_make(&b.folder, ACCOUNTS);
	start_server(&b);
	server_is(&b, true);
	start_daemon(&b);
	register_devices(&b);
	message(&b, 0); /* the connection comes with the first one */
	wait_empty(&b);
	measure_latency(&b);
	measure_drain(&b);
	measure_dead_service(&b);
	kill_daemon(&b);
	kill(b.server, SIGKILL);
	waitpid(b.server, NULL, 0);
	bench_folder_remove(&b.folder);
	return 0;
}
