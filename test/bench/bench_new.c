/*
 * Load on /new, where apps get new addresses: over the daemon's own socket, and through
 * nginx with the rendered configuration; and what lookups, which share the daemon's loop,
 * feel of it. The peer to compare with is a file that the same nginx serves.
 *
 * TLS is left out, for it would be most of what is measured. nginx takes each client's
 * word for its address (the PROXY protocol, as at a relay), so that a flood comes from
 * everywhere and none of it is held back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/bench/bench.h"

#define CLIENTS          50
#define EVENTS           64
#define OFFERED          10000   /* requests a second */
#define LOOKUPS          5000    /* a second */
#define REQUESTS_OF_EACH 50      /* of one address, over one connection to nginx */
#define DOOR             "18443" /* nginx's port for the web, those of others follow */
#define HELLO            "H3\t2\t0\t\tauth\n"
#define POST_NEW                                                                       \
	"POST /new HTTP/1.1\r\nHost: " BENCH_DOMAIN "\r\nContent-Length: 0\r\n\r\n"
#define GET_FILE "GET /robots.txt HTTP/1.1\r\nHost: " BENCH_DOMAIN "\r\n\r\n"

static unsigned seconds = 5; /* each load */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
	} to;
	socklen_t len;
};

/* A stream of requests by some clients, each waiting for its reply before the next. */
struct load {
	struct address where;
	const char *request; /* HTTP; NULL: lookups, each client its own account */
	bool proxy;          /* each connection from another address */
	unsigned each;       /* requests of a connection; 0: all */
	uint64_t pause_ns;   /* between a client's requests */

	uint64_t done, refused;
	unsigned connections;
	struct bench_samples latency;
	struct client *clients;
	int epoll;
};

struct client {
	int fd; /* -1: none */
	bool waiting;
	unsigned asked;  /* over this connection */
	uint64_t due_ns; /* when the next request is to go out, or was */
	size_t got;
	char reply[4096];
};

static struct address unix_address(const struct bench_folder *folder, const char *name)
{
	struct address a = { .to.un.sun_family = AF_UNIX, .len = sizeof a.to.un };

	snprintf(
	    a.to.un.sun_path, sizeof a.to.un.sun_path, "%s/%s", folder->path, name);
	return a;
}

static struct address port_address(const char *port)
{
	struct address a = { .to.in.sin_family = AF_INET, .len = sizeof a.to.in };

	a.to.in.sin_port = htons((uint16_t)atoi(port));
	a.to.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static void open_connection(struct load *l, struct client *c)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	c->fd = socket(l->where.to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, &l->where.to.any, l->where.len) < 0)
		bench_die("cannot connect: %s", strerror(errno));
	epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e);
	c->asked = 0;
	l->connections++;
}

/* What a connection begins with. */
static int preamble(const struct load *l, char *text, size_t size)
{
	unsigned n = l->connections;

	if (!l->request)
		return snprintf(text, size, HELLO);
	if (!l->proxy)
		return 0;
	return snprintf(text, size, "PROXY TCP4 10.%u.%u.%u 127.0.0.1 1 443\r\n",
	    n >> 16 & 255, n >> 8 & 255, n & 255);
}

static void send_request(struct load *l, struct client *c)
{
	char text[512], name[10];
	int len = 0;

	if (c->fd < 0) {
		open_connection(l, c);
		len = preamble(l, text, sizeof text);
	}
	bench_account_name(name, (unsigned)(c - l->clients));
	if (l->request)
		len +=
		    snprintf(text + len, sizeof text - (size_t)len, "%s", l->request);
	else
		len += snprintf(text + len, sizeof text - (size_t)len,
		    "Lshared/passdb/" BENCH_PASSWORD "\"%s@" BENCH_DOMAIN
		    "\t%s@" BENCH_DOMAIN "\n",
		    name, name);
	c->got = 0;
	c->waiting = true;
	c->asked++;
	if (write(c->fd, text, (size_t)len) != len)
		bench_die("a request did not fit: %s", strerror(errno));
}

/* A lookup is answered by a line; HTTP by a header and as many bytes as it tells. */
static bool is_whole(const struct load *l, struct client *c)
{
	const char *body, *length;

	c->reply[c->got] = '\0';
	if (!l->request)
		return c->reply[c->got - 1] == '\n';
	body = strstr(c->reply, "\r\n\r\n");
	length = strstr(c->reply, "Content-Length: ");
	if (!body || !length || length > body)
		return false;
	return c->got >= (size_t)(body + 4 - c->reply) + strtoul(length + 16, NULL, 10);
}

static bool is_good(const struct load *l, const struct client *c)
{
	return l->request ? strncmp(c->reply, "HTTP/1.1 200 ", 13) == 0
			  : c->reply[0] == 'O';
}

/* The pace is kept, though a reply be late. */
static void finish(struct load *l, struct client *c)
{
	uint64_t now = bench_now_ns();

	bench_samples_add(&l->latency, now - c->due_ns);
	l->done++;
	l->refused += !is_good(l, c);
	c->waiting = false;
	c->due_ns = l->pause_ns ? c->due_ns + l->pause_ns : now;
	if (l->each > 0 && c->asked >= l->each) {
		close(c->fd); /* which takes it out of epoll */
		c->fd = -1;
	}
}

static void read_reply(struct load *l, struct client *c)
{
	ssize_t n = read(c->fd, c->reply + c->got, sizeof c->reply - 1 - c->got);

	if (n <= 0)
		bench_die("a connection was closed that waits for a reply");
	c->got += (size_t)n;
	if (is_whole(l, c))
		finish(l, c);
	else if (c->got == sizeof c->reply - 1)
		bench_die("a reply is too long");
}

static void load_start(struct load *l, unsigned rate)
{
	uint64_t now = bench_now_ns();

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->clients = calloc(CLIENTS, sizeof l->clients[0]);
	l->pause_ns = rate ? UINT64_C(1000000000) * CLIENTS / rate : 0;
	for (unsigned i = 0; i < CLIENTS; i++) {
		l->clients[i].fd = -1;
		/* Paced clients are spread over the pause. */
		l->clients[i].due_ns = now + l->pause_ns * i / CLIENTS;
	}
}

/* Send what is due, take what has come; wait at most so long. */
static void load_turn(struct load *l, int wait_ms)
{
	struct epoll_event events[EVENTS];
	uint64_t now = bench_now_ns();
	int n;

	for (unsigned i = 0; i < CLIENTS; i++)
		if (!l->clients[i].waiting && l->clients[i].due_ns <= now)
			send_request(l, &l->clients[i]);
	n = epoll_wait(l->epoll, events, EVENTS, wait_ms);
	for (int i = 0; i < n; i++)
		read_reply(l, events[i].data.ptr);
}

static void load_stop(struct load *l)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (l->clients[i].fd >= 0)
			close(l->clients[i].fd);
	close(l->epoll);
	free(l->clients);
	bench_samples_deinit(&l->latency);
}

static void forget_so_far(struct load *l)
{
	l->done = 0;
	l->latency.n = 0;
}

/* As much as goes. The rate, in requests a second. */
static double measure_rate(const char *what, struct load *l, pid_t pid, bool count)
{
	uint64_t begin, cpu, end;
	char text[160], each[40] = "";
	double rate;

	load_start(l, 0);
	end = bench_now_ns() + 500000000;
	while (bench_now_ns() < end) /* warm */
		load_turn(l, 1);
	forget_so_far(l);
	begin = bench_now_ns();
	cpu = bench_cpu_ns(pid);
	while (bench_now_ns() - begin < seconds * UINT64_C(1000000000))
		load_turn(l, 1);
	cpu = bench_cpu_ns(pid) - cpu;
	rate = (double)l->done * 1e9 / (double)(bench_now_ns() - begin);
	if (count)
		snprintf(each, sizeof each, ", %.0f us of the daemon's CPU each",
		    (double)cpu / 1e3 / (double)l->done);
	snprintf(text, sizeof text, "%.0f/s, p50 %.2f p99 %.2f ms%s", rate,
	    bench_samples_ms(&l->latency, 0.5), bench_samples_ms(&l->latency, 0.99),
	    each);
	bench_row(what, text, count ? "10,000/s" : "", count ? rate >= OFFERED : -1);
	if (l->refused > 0)
		bench_die("%llu requests were refused", (unsigned long long)l->refused);
	load_stop(l);
	return rate;
}

/* So many requests and lookups are offered a second, whatever becomes of the others. */
static void measure_lookups(const char *what, struct load *l, struct load *lookups)
{
	uint64_t end;
	char text[160];
	double p99;

	bench_real_time(true);
	load_start(l, OFFERED);
	load_start(lookups, LOOKUPS);
	end = bench_now_ns() + seconds * UINT64_C(1000000000);
	while (bench_now_ns() < end) {
		load_turn(l, 0);
		load_turn(lookups, 1);
	}
	bench_real_time(false);
	p99 = bench_samples_ms(&lookups->latency, 0.99);
	snprintf(text, sizeof text,
	    "%llu/s, p99 %.2f ms; lookups %llu/s, p50 %.2f p99 %.2f ms",
	    (unsigned long long)l->done / seconds, bench_samples_ms(&l->latency, 0.99),
	    (unsigned long long)lookups->done / seconds,
	    bench_samples_ms(&lookups->latency, 0.5), p99);
	bench_row(what, text, "lookups p99 under 2 ms",
	    p99 < 2 && l->done >= (OFFERED - OFFERED / 50) * seconds);
	if (lookups->refused > 0 || l->refused > 0)
		bench_die("%llu lookups and %llu requests were refused",
		    (unsigned long long)lookups->refused,
		    (unsigned long long)l->refused);
	load_stop(l);
	load_stop(lookups);
}

/* nginx as cmdeploy renders it, with the web pages, but without TLS. */
static const char lay_out_nginx[] =
    "set -eu; at=$BENCH_FOLDER\n"
    "printf '[params]\nmail_domain = " BENCH_DOMAIN
    "\nhttp_socket = unix:%s\n' $at/http.sock >$at/web.ini\n"
    "$BENCH_CMDEPLOY webdev --config $at/web.ini --build $at/html\n"
    "$BENCH_CMDEPLOY render --set https_door=127.0.0.1:" DOOR
    " --set imap_door=127.0.0.1:18444 --set smtp_door=127.0.0.1:18445 "
    "--set https_listen=127.0.0.1:18446 --set https_listen_ipv6= "
    "--set http_listen=127.0.0.1:18447 --set http_listen_ipv6= "
    "--set nginx_pid_file=$at/nginx.pid --set web_root=$at/html "
    "--set nginx_error_log=$at/nginx.log --set nginx_access_log=$at/access.log "
    "$at/web.ini $at/web\n"
    "sed -i -E -e 's/(listen .*) ssl /\\1 /' -e '/\\sssl_certificate/d' "
    "$at/web/etc/nginx/nginx.conf\n"
    "chmod 666 $at/http.sock; chmod 711 $at\n";

static pid_t nginx_start(const char *cmdeploy, const struct bench_folder *folder)
{
	char config[BENCH_PATH_MAX + 32];
	struct stat st;
	pid_t pid;

	setenv("BENCH_FOLDER", folder->path, 1);
	setenv("BENCH_CMDEPLOY", cmdeploy, 1);
	if (system(lay_out_nginx) != 0)
		bench_die("nginx could not be laid out");
	snprintf(config, sizeof config, "%s/web/etc/nginx/nginx.conf", folder->path);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl("/usr/sbin/nginx", "nginx", "-q", "-c", config, "-e", "/dev/null",
		    "-g", "daemon off;", (char *)NULL);
		_exit(127);
	}
	snprintf(config, sizeof config, "%s/nginx.pid", folder->path);
	for (unsigned i = 0; i < 100 && (stat(config, &st) < 0 || st.st_size == 0); i++)
		usleep(50000);
	return pid;
}

static void measure_by_nginx(
    const char *cmdeploy, const struct bench_folder *folder, pid_t pid)
{
	struct load file = { .where = port_address(DOOR),
		.request = GET_FILE,
		.proxy = true,
		.each = REQUESTS_OF_EACH };
	struct load new = file, both = file;
	struct load lookups = { .where = unix_address(folder, "auth.sock") };
	pid_t nginx = nginx_start(cmdeploy, folder);
	double file_rate, new_rate;
	char text[80];

	new.request = both.request = POST_NEW;
	both.connections = 1 << 23; /* addresses that did not ask yet */
	file_rate = measure_rate("  peer: a file by nginx", &file, pid, false);
	new_rate = measure_rate("/new by nginx, 50 clients", &new, pid, true);
	snprintf(
	    text, sizeof text, "%.2f times the rate of the file", new_rate / file_rate);
	bench_row("/new beside a file, by nginx", text, "", -1);
	measure_lookups("10,000 /new a second by nginx, and lookups", &both, &lookups);
	kill(nginx, SIGTERM);
	waitpid(nginx, NULL, 0);
}

int main(int argc, char **argv)
{
	struct bench_folder folder;
	struct load new = { .request = POST_NEW, .each = 1 }, both = new;
	struct load lookups = { 0 };
	pid_t pid;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: bench_new CHATMAILD CMDEPLOY [SECONDS]\n");
		return 2;
	}
	if (argc == 4)
		seconds = (unsigned)atoi(argv[3]);
	bench_raise_limits();
	folder = bench_folder_make();
	bench_accounts_make(&folder, CLIENTS);
	new.where = both.where = unix_address(&folder, "http.sock");
	lookups.where = unix_address(&folder, "auth.sock");

	pid = bench_daemon_start(argv[1], &folder, BENCH_ALL_CPUS, NULL);
	bench_settle(pid);
	measure_rate("/new by the daemon's socket, 50 clients", &new, pid, true);
	measure_lookups("10,000 /new a second, and lookups", &both, &lookups);
	measure_by_nginx(argv[2], &folder, pid);
	bench_daemon_stop(pid);
	bench_folder_remove(&folder);
	return 0;
}
