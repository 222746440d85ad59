#include "chatmaild/machine.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "chatmaild/daemon.h"
#include "chatmaild/worker.h"

#define LISTENING 0x0a /* TCP_LISTEN of the kernel */

static const unsigned ports[MACHINE_PORTS] = { 25, 143, 443, 465, 587, 993 };

#define GAUGE(name, help, field)                                                       \
	{                                                                              \
		name, help, OPENMETRICS_GAUGE, NULL,                                   \
		    offsetof(struct machine_gauges, field)                             \
	}
#define PORT(number, i)                                                                \
	{                                                                              \
		"chatmail_port_open", "1 if something listens on this port here.",     \
		    OPENMETRICS_GAUGE, "port=\"" number "\"",                          \
		    offsetof(struct machine_gauges, port_open[i])                      \
	}
const struct metric_def machine_metrics[] = {
	GAUGE("chatmail_disk_free_bytes", "Free where the mailboxes are.", disk_free),
	GAUGE("chatmail_disk_size_bytes", "Size of that file system.", disk_size),
	GAUGE("chatmail_disk_free_inodes", "Inodes free there.", inodes_free),
	GAUGE("chatmail_memory_available_bytes",
	    "Memory of the machine that programs could still have.", memory),
	GAUGE("chatmail_certificate_end_time_seconds",
	    "When the relay's certificate ends, Unix time; 0 if it cannot be read.",
	    certificate_ends),
	PORT("25", 0),
	PORT("143", 1),
	PORT("443", 2),
	PORT("465", 3),
	PORT("587", 4),
	PORT("993", 5),
};
const size_t nmachine_metrics = sizeof(machine_metrics) / sizeof(machine_metrics[0]);

struct machine {
	struct daemon *daemon;
	struct event *timer;
	bool looking; /* a job is under way: one that hangs is not joined by others */
	struct machine_gauges gauges;
};

/* One look, on a worker. */
struct look {
	struct job job;
	struct machine *machine;
	char *mailboxes, *certificate;
	struct machine_gauges found;
};

void machine_read_ports(FILE *in, uint64_t open[MACHINE_PORTS])
{
	unsigned port, state;
	char line[512];

	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port,
			&state) != 2 ||
		    state != LISTENING)
			continue;
		for (size_t i = 0; i < MACHINE_PORTS; i++) {
			if (ports[i] == port)
				open[i] = 1;
		}
	}
}

static void read_ports(struct machine_gauges *g)
{
	static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6" };

	for (size_t i = 0; i < 2; i++) {
		FILE *in = fopen(tables[i], "re");

		if (!in)
			continue;
		machine_read_ports(in, g->port_open);
		fclose(in);
	}
}

uint64_t machine_certificate_ends(const char *path)
{
	FILE *in = fopen(path, "re");
	X509 *cert = in ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;
	uint64_t ends = 0;
	struct tm tm;

	if (cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 &&
	    timegm(&tm) > 0)
		ends = (uint64_t)timegm(&tm);
	X509_free(cert);
	ERR_clear_error();
	if (in)
		fclose(in);
	return ends;
}

static uint64_t available_memory(void)
{
	FILE *in = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	}
	if (in)
		fclose(in);
	return kib * 1024;
}

static void run(struct job *job)
{
	struct look *l = (struct look *)job;
	struct statvfs disk;

	if (statvfs(l->mailboxes, &disk) == 0) {
		l->found.disk_free = (uint64_t)disk.f_bavail * disk.f_frsize;
		l->found.disk_size = (uint64_t)disk.f_blocks * disk.f_frsize;
		l->found.inodes_free = disk.f_favail;
	}
	l->found.memory = available_memory();
	l->found.certificate_ends = machine_certificate_ends(l->certificate);
	read_ports(&l->found);
}

static void done(struct job *job)
{
	struct look *l = (struct look *)job;

	l->machine->gauges = l->found;
	l->machine->looking = false;
	free(l->mailboxes);
	free(l->certificate);
	free(l);
}

static void look(struct machine *m)
{
	const struct config *c = m->daemon->config;
	struct look *l;

	if (m->looking)
		return;
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->job = (struct job){ .run = run, .done = done };
	l->machine = m;
	l->mailboxes = strdup(c->mailboxes_dir);
	l->certificate = strdup(c->tls_cert_path);
	if (!l->mailboxes || !l->certificate)
		abort();
	m->looking = true;
	workers_submit(m->daemon->workers, &l->job);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	look(arg);
}

struct machine *machine_create(struct daemon *d)
{
	static const struct timeval interval = { .tv_sec = MACHINE_SECONDS };
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->daemon = d;
	m->timer = event_new(d->base, -1, EV_PERSIST, on_timer, m);
	if (!m->timer || event_add(m->timer, &interval) != 0)
		abort();
	look(m);
	return m;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	event_free(m->timer);
	free(m);
}

const struct machine_gauges *machine_gauges(const struct machine *m)
{
	return &m->gauges;
}
