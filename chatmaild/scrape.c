/* The service table walked into one page of metrics. */
#include "chatmaild/scrape.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/expiry.h"
#include "chatmaild/machine.h"
#include "chatmaild/stall.h"
#include "chatmaild/store.h"
#include "chatmaild/users.h"
#include "chatmaild/worker.h"

#define LABEL_MAX 64

/* What every listener counts; one set per service, told apart by its label. */
struct listener_counters {
	uint64_t open, max, accepted, refused;
};
static const struct metric_def listener_metrics[] = {
	{ "chatmail_connections", "Connections open now.", OPENMETRICS_GAUGE, NULL,
	    offsetof(struct listener_counters, open) },
	{ "chatmail_connections_max", "How many of them there may be.",
	    OPENMETRICS_GAUGE, NULL, offsetof(struct listener_counters, max) },
	{ "chatmail_connections_accepted_total", "Connections accepted.",
	    OPENMETRICS_COUNTER, NULL, offsetof(struct listener_counters, accepted) },
	{ "chatmail_connections_refused_total",
	    "Connections refused at the limit, or not accepted for want of "
	    "descriptors.",
	    OPENMETRICS_COUNTER, NULL, offsetof(struct listener_counters, refused) },
};

struct process_gauges {
	uint64_t start_time, resident, open_fds, max_fds;
	uint64_t hashers, workers, writer, expiry; /* jobs */
};
#define QUEUE                                                                          \
	"chatmail_worker_queue", "Jobs waiting for or running on worker threads.",     \
	    OPENMETRICS_GAUGE
static const struct metric_def process_metrics[] = {
	{ "chatmail_start_time_seconds", "When the daemon started, Unix time.",
	    OPENMETRICS_GAUGE, NULL, offsetof(struct process_gauges, start_time) },
	{ "chatmail_resident_memory_bytes", "Memory in use.", OPENMETRICS_GAUGE, NULL,
	    offsetof(struct process_gauges, resident) },
	{ "chatmail_open_fds", "Open file descriptors.", OPENMETRICS_GAUGE, NULL,
	    offsetof(struct process_gauges, open_fds) },
	{ "chatmail_max_fds", "How many of them there may be.", OPENMETRICS_GAUGE, NULL,
	    offsetof(struct process_gauges, max_fds) },
	{ QUEUE, "threads=\"hash\"", offsetof(struct process_gauges, hashers) },
	{ QUEUE, "threads=\"disk\"", offsetof(struct process_gauges, workers) },
	{ QUEUE, "threads=\"store\"", offsetof(struct process_gauges, writer) },
	{ QUEUE, "threads=\"expiry\"", offsetof(struct process_gauges, expiry) },
};

#define NROWS(table) (sizeof(table) / sizeof((table)[0]))

static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Since Linux 6.2 the directory's size tells; before, its entries are counted. */
static uint64_t open_fds(void)
{
	const char *path = "/proc/self/fd";
	struct stat st;
	uint64_t n = 0;
	DIR *dir;

	if (stat(path, &st) == 0 && st.st_size > 0)
		return (uint64_t)st.st_size;
	dir = opendir(path);
	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t max_fds(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t)limit.rlim_cur : 0;
}

static void write_accounts(
    const struct daemon *d, struct evbuffer *out, enum metric_format format)
{
	struct census_gauges gauges;
	const struct metric_source source = { census_metrics, ncensus_metrics, &gauges,
		NULL };

	if (!d->users)
		return;
	census_read(users_census(d->users), time(NULL), &gauges);
	metric_write(out, format, &source, 1);
}

static void write_expiry(
    const struct daemon *d, struct evbuffer *out, enum metric_format format)
{
	struct metric_source source = { expiry_metrics, nexpiry_metrics, NULL, NULL };

	if (!d->expiry)
		return;
	source.counters = expiry_counters(d->expiry);
	metric_write(out, format, &source, 1);
}

static void write_store(
    const struct daemon *d, struct evbuffer *out, enum metric_format format)
{
	struct store_counters counters;
	const struct metric_source source = { store_metrics, nstore_metrics, &counters,
		NULL };

	store_read_counters(d->store, &counters);
	metric_write(out, format, &source, 1);
}

static void write_machine(
    const struct daemon *d, struct evbuffer *out, enum metric_format format)
{
	struct metric_source source = { machine_metrics, nmachine_metrics, NULL, NULL };

	if (!d->machine)
		return;
	source.counters = machine_gauges(d->machine);
	metric_write(out, format, &source, 1);
}

static void write_process(
    const struct daemon *d, struct evbuffer *out, enum metric_format format)
{
	const struct process_gauges gauges = {
		.start_time = (uint64_t)d->started,
		.resident = resident_bytes(),
		.open_fds = open_fds(),
		.max_fds = max_fds(),
		.hashers = workers_queued(d->hashers),
		.workers = workers_queued(d->workers),
		.writer = store_queued(d->store),
		.expiry = d->expiry ? expiry_queued(d->expiry) : 0,
	};
	const struct metric_source source = { process_metrics, NROWS(process_metrics),
		&gauges, NULL };

	metric_write_number(out, format, OPENMETRICS_GAUGE, "chatmail_build_info",
	    "The version that runs; always 1.", "version=\"" CHATMAILD_VERSION "\"", 1);
	metric_write_number(out, format, OPENMETRICS_COUNTER,
	    "chatmail_cpu_seconds_total", "CPU time of all threads.", NULL,
	    cpu_seconds());
	metric_write_number(out, format, OPENMETRICS_GAUGE,
	    "chatmail_loop_stall_seconds",
	    "How late the event loop ran at worst in the last minute, sampled once a "
	    "second.",
	    NULL, (double)stall_worst_us(d->stall) / 1e6);
	metric_write(out, format, &source, 1);
}

/* All listeners together, so that each family stands once. */
static void write_listeners(struct evbuffer *out, enum metric_format format,
    const struct running_service *running, size_t n)
{
	struct listener_counters *counters = calloc(n + 1, sizeof(*counters));
	struct metric_source *sources = calloc(n + 1, sizeof(*sources));
	char(*labels)[LABEL_MAX] = calloc(n + 1, sizeof(*labels));
	size_t used = 0;

	if (!counters || !sources || !labels)
		abort();
	for (size_t i = 0; i < n; i++) {
		const struct listener *l = running[i].listener;

		if (!l)
			continue;
		counters[used] = (struct listener_counters){
			.open = listener_connections(l),
			.max = running[i].service->max_connections,
			.accepted = listener_accepted(l),
			.refused = listener_refused(l),
		};
		snprintf(labels[used], LABEL_MAX, "service=\"%s\"",
		    running[i].service->name);
		sources[used] = (struct metric_source){ listener_metrics,
			NROWS(listener_metrics), &counters[used], labels[used] };
		used++;
	}
	metric_write(out, format, sources, used);
	free(labels);
	free(sources);
	free(counters);
}

static void write_services(struct evbuffer *out, enum metric_format format,
    const struct running_service *running, size_t n)
{
	struct metric_source *sources = calloc(n + 1, sizeof(*sources));
	size_t used = 0;

	if (!sources)
		abort();
	for (size_t i = 0; i < n; i++) {
		const struct service *service = running[i].service;

		if (service->nmetrics == 0)
			continue;
		sources[used++] =
		    (struct metric_source){ service->metrics, service->nmetrics,
			    service->counters(running[i].state), service->labels };
	}
	metric_write(out, format, sources, used);
	free(sources);
}

void scrape_write(
    const struct daemon *d, struct evbuffer *out, enum metric_format format)
{
	size_t n;
	const struct running_service *running = services_list(d->services, &n);

	write_process(d, out, format);
	write_machine(d, out, format);
	write_accounts(d, out, format);
	write_expiry(d, out, format);
	write_store(d, out, format);
	write_listeners(out, format, running, n);
	write_services(out, format, running, n);
	if (format == METRIC_OPENMETRICS)
		evbuffer_add(out, OPENMETRICS_EOF, strlen(OPENMETRICS_EOF));
}
