/*
 * Load on the outgoing filter as Postfix makes it, one connection per message, with a
 * sink in Postfix's place behind it. Both ends are this one process, one epoll loop on
 * CPU 1; the daemon has CPU 0. The peer to compare with is the same load straight to
 * the sink, without a filter between.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/bench/bench.h"
#include "test/bench/mail.h"

#define SENDER       "sender001@" BENCH_DOMAIN
#define EVENTS       256
#define SMALL        (10 * 1024)
#define LARGE        (30 * 1000 * 1000) /* below the limit of 30 MiB */
#define SENDERS      20
#define SESSIONS     1000
#define RECIPIENTS   100
#define HEADER       (64 * 1024)
#define HEADER_LINE  100
#define LINE         512
#define IO_BYTES     65536
#define STALLED_NS   UINT64_C(1000000000)
#define GOAL_RSS_MIB 150
#define GOAL_SESSION (128 * 1024)
#define GOAL_CPU_US  100

/* One end of a connection: a client's when `client`, else the sink's or its listener.
 */
struct end {
	struct run *run;
	int fd;
	bool client, listener;
	unsigned recipients; /* client: RCPTs still to send */
	enum {
		GREETING,
		COMMANDS,
		BODY, /* client: writing it; sink: reading it */
		FINAL,
		QUIT,
	} state;
	size_t len, at;  /* bytes in line; of the body sent */
	uint64_t begin;  /* client: when it connected */
	char line[LINE]; /* input up to here; sink in BODY: its last bytes */
	unsigned step;   /* client: commands sent */
};

/* One load: senders each send messages, one after the other, to path. */
struct run {
	const char *path;
	const char *mail;
	size_t mail_len;
	unsigned senders, recipients;
	bool hold; /* the sink does not read bodies */

	int epoll;
	struct end sink;
	bool stopping; /* no new messages */
	uint64_t sent, refused, bytes;
	uint64_t moved_ns;        /* when anything went on, for the last time */
	unsigned in_flight, held; /* messages; bodies the sink does not read */
	uint64_t written;         /* bodies, to their end */
	struct bench_samples latency;
	char refusal[LINE];
};

static void watch(struct end *e, uint32_t events, int op)
{
	struct epoll_event ev = { .events = events, .data.ptr = e };

	if (epoll_ctl(e->run->epoll, op, e->fd, &ev) < 0)
		bench_die("epoll_ctl: %s", strerror(errno));
}

static void say(struct end *e, const char *text)
{
	if (*text && write(e->fd, text, strlen(text)) != (ssize_t)strlen(text) &&
	    errno != EPIPE)
		bench_die("a line did not fit: %s", strerror(errno));
}

static void client_open(struct run *r)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct end *e = calloc(1, sizeof *e);

	if (!e)
		bench_die("out of memory");
	*e = (struct end){ .run = r, .client = true, .recipients = r->recipients };
	e->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", r->path);
	if (e->fd < 0 || connect(e->fd, (struct sockaddr *)&a, sizeof a) < 0)
		bench_die("cannot connect to %s: %s", r->path, strerror(errno));
	e->begin = bench_now_ns();
	r->in_flight++;
	watch(e, EPOLLIN, EPOLL_CTL_ADD);
}

static void end_close(struct end *e)
{
	struct run *r = e->run;

	if (e->client)
		r->in_flight--;
	close(e->fd);
	free(e);
}

/* Write the body until the socket is full. */
static void client_write(struct end *e)
{
	struct run *r = e->run;

	while (e->at < r->mail_len) {
		ssize_t n = write(e->fd, r->mail + e->at, r->mail_len - e->at);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			bench_die("the filter closed a connection mid-body");
		e->at += (size_t)n;
		r->moved_ns = bench_now_ns();
	}
	e->state = FINAL;
	r->written++;
	watch(e, EPOLLIN, EPOLL_CTL_MOD);
}

static void client_next_command(struct end *e)
{
	static const char *const commands[] = {
		"EHLO bench.example\r\n",
		"MAIL FROM:<" SENDER "> BODY=8BITMIME\r\n",
		"RCPT TO:<receiver1@" BENCH_DOMAIN ">\r\n",
		"DATA\r\n",
	};

	e->state = COMMANDS;
	say(e, commands[e->step]);
	if (e->step != 2 || --e->recipients == 0)
		e->step++;
}

/* A whole reply is in e->line. */
static void client_reply(struct end *e)
{
	struct run *r = e->run;
	bool good = e->line[0] == '2' || e->line[0] == '3';

	e->len = 0;
	r->moved_ns = bench_now_ns();
	if (!good) {
		r->refused++;
		snprintf(r->refusal, sizeof r->refusal, "%.*s",
		    (int)strcspn(e->line, "\r\n"), e->line);
	}
	if (good && e->line[0] == '3') {
		e->state = BODY;
		watch(e, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
	} else if (good && e->state != FINAL) {
		client_next_command(e);
	} else {
		if (good) {
			r->sent++;
			r->bytes += r->mail_len;
			bench_samples_add(&r->latency, bench_now_ns() - e->begin);
		}
		say(e, "QUIT\r\n"); /* as Postfix: close without reading the answer */
		end_close(e);
		if (!r->stopping && good)
			client_open(r);
	}
}

/* The last line of a reply has a blank behind its code (RFC 5321 section 4.2.1). */
static bool reply_complete(const struct end *e)
{
	const char *last = e->line;

	if (e->len == 0 || e->line[e->len - 1] != '\n')
		return false;
	for (const char *p = e->line; p < e->line + e->len - 1; p++)
		if (*p == '\n')
			last = p + 1;
	return last + 3 < e->line + e->len && last[3] == ' ';
}

static void client_read(struct end *e)
{
	ssize_t n = read(e->fd, e->line + e->len, LINE - 1 - e->len);

	if (n <= 0)
		bench_die("the filter closed a connection that waits for a reply");
	e->len += (size_t)n;
	e->line[e->len] = '\0';
	if (reply_complete(e))
		client_reply(e);
}

/* Answers the command in e->line, with what Postfix's smtpd would say. */
static const char *sink_command(struct end *e)
{
	bool data = strncmp(e->line, "DATA", 4) == 0;

	e->len = 0;
	if (strncmp(e->line, "EHLO", 4) == 0)
		return "250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n";
	if (!data)
		return strncmp(e->line, "QUIT", 4) == 0 ? "221 Bye\r\n" : "250 OK\r\n";
	e->state = BODY;
	if (e->run->hold) {
		e->run->held++;
		watch(e, 0, EPOLL_CTL_MOD);
	}
	return "354 Go on\r\n";
}

/* Commands that come in one piece are answered in one, as RFC 2920 section 3.2 asks. */
static void sink_commands(struct end *e, const char *bytes, size_t n)
{
	char replies[IO_BYTES] = "";
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (e->len < LINE - 1)
			e->line[e->len++] = bytes[i];
		if (bytes[i] != '\n')
			continue;
		e->line[e->len] = '\0';
		len += (size_t)snprintf(
		    replies + len, sizeof replies - len, "%s", sink_command(e));
		if (len >= sizeof replies)
			bench_die("too many commands at once");
	}
	say(e, replies);
}

/* Keep the last five bytes; nobody sends more behind the final dot before our reply. */
static void sink_body(struct end *e, const char *bytes, size_t n)
{
	size_t keep = n < 5 ? 5 - n : 0;

	if (keep > e->len)
		keep = e->len;
	memmove(e->line, e->line + e->len - keep, keep);
	memcpy(e->line + keep, bytes + (n > 5 ? n - 5 : 0), n > 5 ? 5 : n);
	e->len = keep + (n > 5 ? 5 : n);
	if (e->len == 5 && memcmp(e->line, "\r\n.\r\n", 5) == 0) {
		say(e, "250 2.0.0 Ok: queued\r\n");
		e->state = COMMANDS;
		e->len = 0;
	}
}

static void sink_read(struct end *e)
{
	static char bytes[IO_BYTES];
	ssize_t n = read(e->fd, bytes, sizeof bytes);

	if (n <= 0) {
		end_close(e);
		return;
	}
	e->run->moved_ns = bench_now_ns();
	if (e->state == BODY) {
		sink_body(e, bytes, (size_t)n);
		return;
	}
	sink_commands(e, bytes, (size_t)n);
}

static void sink_accept(struct run *r)
{
	int fd;

	while (
	    (fd = accept4(r->sink.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct end *e = calloc(1, sizeof *e);

		if (!e)
			bench_die("out of memory");
		*e = (struct end){ .run = r, .fd = fd, .state = COMMANDS };
		watch(e, EPOLLIN, EPOLL_CTL_ADD);
		say(e, "220 sink ESMTP\r\n");
	}
}

static void turn(struct run *r)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(r->epoll, events, EVENTS, 10);

	for (int i = 0; i < n; i++) {
		struct end *e = events[i].data.ptr;

		if (e->listener)
			sink_accept(r);
		else if (!e->client)
			sink_read(e);
		else if (events[i].events & EPOLLIN)
			client_read(e);
		else if (events[i].events & EPOLLOUT)
			client_write(e);
	}
}

static void sink_open(struct run *r, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	unlink(path);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	r->sink = (struct end){ .run = r, .listener = true };
	r->sink.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (r->sink.fd < 0 || bind(r->sink.fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    listen(r->sink.fd, 4096) < 0)
		bench_die("cannot listen on %s: %s", path, strerror(errno));
	watch(&r->sink, EPOLLIN, EPOLL_CTL_ADD);
}

static void run_start(struct run *r, const struct bench_folder *folder)
{
	char path[BENCH_PATH_MAX];

	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	snprintf(path, sizeof path, "%s/sink.sock", folder->path);
	sink_open(r, path);
	for (unsigned i = 0; i < r->senders; i++)
		client_open(r);
}

static void run_for(struct run *r, uint64_t ns)
{
	uint64_t end = bench_now_ns() + ns;

	while (bench_now_ns() < end)
		turn(r);
}

/* Finish the messages under way. */
static void run_stop(struct run *r)
{
	r->stopping = true;
	while (r->in_flight > 0)
		turn(r);
	run_for(r, 100000000); /* the sink's ends see the close */
	close(r->sink.fd);
	close(r->epoll);
	bench_samples_deinit(&r->latency);
	if (r->refused > 0)
		bench_die("%llu messages were refused, the last with: %s",
		    (unsigned long long)r->refused, r->refusal);
}

struct rate {
	double per_s, mib_s, cpu_us, busy, p50,
	    p99; /* cpu per message; 0 for the peer */
};

static struct rate measure_rate(const struct bench_folder *folder, const char *socket,
    pid_t pid, unsigned senders, const char *mail, size_t len, double seconds)
{
	char path[BENCH_PATH_MAX];
	struct run r = { .path = path,
		.mail = mail,
		.mail_len = len,
		.senders = senders,
		.recipients = 1 };
	uint64_t begin, cpu;
	struct rate rate;
	double s;

	snprintf(path, sizeof path, "%s/%s.sock", folder->path, socket);
	run_start(&r, folder);
	run_for(&r, 500000000);
	r.sent = r.bytes = r.latency.n = 0;
	begin = bench_now_ns();
	cpu = pid ? bench_cpu_ns(pid) : 0;
	run_for(&r, (uint64_t)(seconds * 1e9));
	cpu = pid ? bench_cpu_ns(pid) - cpu : 0;
	s = (double)(bench_now_ns() - begin) / 1e9;
	if (r.sent == 0)
		bench_die("no message came through: %s", r.refusal);
	rate = (struct rate){
		.per_s = (double)r.sent / s,
		.mib_s = (double)r.bytes / 1048576 / s,
		.cpu_us = (double)cpu / 1000 / (double)r.sent,
		.busy = (double)cpu / 1e7 / s,
		.p50 = bench_samples_ms(&r.latency, 0.5),
		.p99 = bench_samples_ms(&r.latency, 0.99),
	};
	run_stop(&r);
	return rate;
}

static void measure_small(const struct bench_folder *folder, pid_t pid)
{
	size_t len;
	char *mail = mail_make(SENDER, SMALL, &len), text[160];
	struct rate f = measure_rate(folder, "out", pid, SENDERS, mail, len, 5);
	struct rate peer = measure_rate(folder, "sink", 0, SENDERS, mail, len, 3);

	snprintf(text, sizeof text,
	    "%.0f/s, %.0f us CPU each, %.0f %% busy, p50 %.2f p99 %.2f ms", f.per_s,
	    f.cpu_us, f.busy, f.p50, f.p99);
	bench_row("10 KiB messages, 20 at once", text, "under 100 us CPU",
	    f.cpu_us < GOAL_CPU_US);
	snprintf(text, sizeof text, "%.0f/s, p50 %.2f p99 %.2f ms", peer.per_s,
	    peer.p50, peer.p99);
	bench_row("  peer: straight to the sink", text, "", -1);
	free(mail);
}

static void measure_large(const struct bench_folder *folder, pid_t pid)
{
	size_t len;
	char *mail = mail_make(SENDER, LARGE, &len), text[160];
	struct rate f = measure_rate(folder, "out", pid, 4, mail, len, 5);
	struct rate peer = measure_rate(folder, "sink", 0, 4, mail, len, 3);
	double gib = (double)len / 1073741824;

	snprintf(text, sizeof text, "%.0f MiB/s, %.2f s CPU per GiB, %.0f %% busy",
	    f.mib_s, f.cpu_us / 1e6 / gib, f.busy);
	bench_row("30 MB messages, 4 at once", text, "", -1);
	snprintf(text, sizeof text, "%.0f MiB/s", peer.mib_s);
	bench_row("  peer: straight to the sink", text, "", -1);
	free(mail);
}

/* Sessions with all their buffers full, Postfix not taking any more. */
static void measure_memory(const struct bench_folder *folder, pid_t pid)
{
	char path[BENCH_PATH_MAX], text[160];
	struct run r = { .path = path,
		.senders = SESSIONS,
		.recipients = RECIPIENTS,
		.hold = true };
	struct bench_memory before = bench_memory(pid), after;
	double each;

	r.mail = mail_make(SENDER, LARGE, &r.mail_len);
	snprintf(path, sizeof path, "%s/out.sock", folder->path);
	run_start(&r, folder);
	r.moved_ns = bench_now_ns();
	while (bench_now_ns() - r.moved_ns < STALLED_NS)
		turn(&r);
	if (r.held != SESSIONS)
		bench_die(
		    "%u of %u messages are in flight; %s", r.held, SESSIONS, r.refusal);
	after = bench_memory(pid);
	each = (after.rss - before.rss) * 1048576 / SESSIONS;
	snprintf(
	    text, sizeof text, "RSS %.1f MiB, peak %.1f MiB", after.rss, after.peak);
	bench_row("1,000 sessions, 30 MB in flight each", text, "under 150 MiB",
	    after.peak < GOAL_RSS_MIB);
	snprintf(text, sizeof text, "%.1f KiB a session", each / 1024);
	bench_row("  each with 100 recipients", text, "at most 128 KiB",
	    each <= GOAL_SESSION);
	free((char *)r.mail);
}

/* A header block of HEADER bytes, of a mail that says it is encrypted. */
static char *make_header(void)
{
	static const char begin[] = "From: <" SENDER ">\r\n";
	static const char end[] =
	    "Content-Type: multipart/encrypted; boundary=b\r\n\r\n";
	char *text = malloc(HEADER + 1);
	size_t at = sizeof begin - 1, last = HEADER - (sizeof end - 1);

	if (!text)
		bench_die("out of memory");
	memset(text, 'x', HEADER);
	memcpy(text, begin, at);
	for (; at < last; at += HEADER_LINE) {
		size_t line = last - at < 2 * HEADER_LINE ? last - at : HEADER_LINE;

		memcpy(text + at, "X:", 2);
		memcpy(text + at + line - 2, "\r\n", 2);
		if (line > HEADER_LINE)
			break;
	}
	strcpy(text + last, end);
	return text;
}

/* Sessions that sent len bytes of a mail that begins with this header, and no more. */
static double measure_header(
    const struct bench_folder *folder, const char *daemon, const char *mail, size_t len)
{
	pid_t pid = bench_daemon_start(daemon, folder, 0, NULL);
	char path[BENCH_PATH_MAX];
	struct run r = { .path = path,
		.mail = mail,
		.mail_len = len,
		.senders = SESSIONS,
		.recipients = RECIPIENTS };
	struct bench_memory before, after;

	bench_settle(pid);
	before = bench_memory(pid);
	snprintf(path, sizeof path, "%s/out.sock", folder->path);
	run_start(&r, folder);
	r.moved_ns = bench_now_ns();
	while (bench_now_ns() - r.moved_ns < STALLED_NS)
		turn(&r);
	if (r.refused > 0 || r.written != SESSIONS)
		bench_die("%llu of %u headers are written; %s",
		    (unsigned long long)r.written, SESSIONS, r.refusal);
	after = bench_memory(pid);
	bench_daemon_stop(pid);
	return (after.rss - before.rss) * 1048576 / SESSIONS;
}

static void measure_headers(const struct bench_folder *folder, const char *daemon)
{
	char *mail = make_header(), text[160];
	double open = measure_header(folder, daemon, mail, HEADER - 2);
	double whole = measure_header(folder, daemon, mail, HEADER);

	snprintf(text, sizeof text, "%.1f KiB a session, %.1f KiB when it is whole",
	    open / 1024, whole / 1024);
	bench_row("  each with a header of 64 KiB", text, "at most 128 KiB",
	    open <= GOAL_SESSION && whole <= GOAL_SESSION);
	free(mail);
}

int main(int argc, char **argv)
{
	struct bench_folder folder;
	pid_t pid;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_filter CHATMAILD\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	bench_raise_limits();
	folder = bench_folder_make();
	pid = bench_daemon_start(argv[1], &folder, 0, NULL);
	bench_pin(1);
	bench_settle(pid);
	measure_small(&folder, pid);
	measure_large(&folder, pid);
	bench_daemon_stop(pid);

	/* A fresh one: what came before must not count in its peak. */
	pid = bench_daemon_start(argv[1], &folder, 0, NULL);
	bench_settle(pid);
	measure_memory(&folder, pid);
	bench_daemon_stop(pid);
	measure_headers(&folder, argv[1]);
	bench_folder_remove(&folder);
	return 0;
}
