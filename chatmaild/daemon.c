/*
 * The daemon's life: what is shared is made first, then the services start; the loop
 * runs; signals reload or end it; all is taken down in reverse.
 */
#include "chatmaild/daemon.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "chatmaild/expiry.h"
#include "chatmaild/log.h"
#include "chatmaild/machine.h"
#include "chatmaild/passdb.h"
#include "chatmaild/push_queue.h"
#include "chatmaild/reload.h"
#include "chatmaild/slice.h"
#include "chatmaild/stall.h"
#include "chatmaild/store.h"
#include "chatmaild/systemd.h"
#include "chatmaild/users.h"
#include "chatmaild/worker.h"

/* Hashing takes milliseconds of CPU: on all cores, but after the loop. */
#define HASHERS_MAX 16

/* These wait for the disk, which is faster with some at once. */
#define WORKERS 2

/* After SIGTERM: how long mail in flight may take, how often we look whether it is
 * done. */
#define DRAIN_MAX_MS  5000
#define DRAIN_LOOK_MS 10

#define STATUS_INTERVAL_S 10
#define STATUS_MAX        128

/* Everything the daemon serves, in the order it starts; stopped in reverse. */
static const struct service *const service_table[] = {
	&auth_service,
	&lastlogin_service,
	&metadata_service,
	&notify_service,
	&echobot_service,
	&outgoing_service,
	&incoming_service,
	&http_service,
	&metrics_service,
	&admin_service,
};

/* What only daemon_run() needs; lives on its stack. */
struct runner {
	struct daemon *daemon;
	int64_t drain_until_ms; /* monotonic */
	char status[STATUS_MAX];
	struct event *sigterm, *sigint, *sighup;
	struct event *drain_timer, *status_timer, *watchdog_timer;
};

/* Thousands of connections need more than the usual soft limit of 1024. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_debug("RLIMIT_NOFILE stays as it is");
}

static unsigned hasher_threads(void)
{
	cpu_set_t cpus;
	int n = 1;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		n = CPU_COUNT(&cpus);
	return n < 1 ? 1 : n > HASHERS_MAX ? HASHERS_MAX : (unsigned)n;
}

/*
 * Nobody else uses the loop's base: it needs no locks. With a change list, what one turn
 * adds and takes back costs no system call; no descriptor here is a dup() of another, which
 * would confuse it.
 */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		abort();
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(config);
	event_config_free(config);
	if (!base)
		abort();
	return base;
}

struct daemon *daemon_create(struct config *config)
{
	const struct workers_options hashers = { .threads = hasher_threads(),
		.name = "hasher" };
	const struct workers_options workers = { .threads = WORKERS };
	struct daemon *d = calloc(1, sizeof(*d));
	struct passdb_totals totals;
	bool fresh = false, imported;

	if (!d)
		abort();
	d->config = config;
	d->started = time(NULL);
	signal(SIGPIPE, SIG_IGN); /* libevent writes without MSG_NOSIGNAL */
	raise_descriptor_limit();
	d->base = new_base();
	d->stall = stall_create(d->base);
	imported = passdb_import(
	    config->passdb_path, config->mailboxes_dir, d->started, &totals);
	d->store = store_open(d->base, config->state_dir, &fresh);
	if (!d->store)
		goto fail;
	d->hashers = workers_create(d->base, &hashers);
	d->workers = workers_create(d->base, &workers);
	if (!d->hashers || !d->workers)
		goto fail;
	d->machine = machine_create(d);
	d->users = users_create(d, fresh || imported);
	if (!d->users)
		goto fail;
	d->pushes = push_queue_create(d->base, d->store, config->mailboxes_dir);
	if (!d->pushes)
		goto fail;
	d->expiry = expiry_create(d);
	if (!d->expiry)
		goto fail;
	d->services = services_start(
	    d, service_table, sizeof(service_table) / sizeof(service_table[0]));
	if (!d->services)
		goto fail;
	return d;

fail:
	daemon_destroy(d);
	return NULL;
}

void daemon_destroy(struct daemon *d)
{
	if (!d)
		return;
	services_stop(d->services);
	/* What is under way on workers and in the store comes back to users and pushes.
	 */
	users_stop(d->users);
	expiry_stop(d->expiry);
	workers_destroy(d->hashers); /* hands on to workers, these to the store */
	workers_destroy(d->workers);
	d->workers = NULL;
	store_close(d->store);
	d->store = NULL;
	users_destroy(d->users);
	push_queue_destroy(d->pushes);
	expiry_destroy(d->expiry);
	machine_destroy(d->machine);
	stall_destroy(d->stall);
	free(d->invite_link);
	event_base_free(d->base);
	config_free((struct config *)d->config);
	free(d);
}

static void format_status(const struct daemon *d, char status[static STATUS_MAX])
{
	snprintf(status, STATUS_MAX, "%u connections, %llu accounts known",
	    services_connections(d->services),
	    (unsigned long long)users_counters(d->users)->known);
}

static void on_status(evutil_socket_t fd, short what, void *arg)
{
	struct runner *r = arg;
	char status[STATUS_MAX];

	format_status(r->daemon, status);
	if (strcmp(status, r->status) == 0)
		return;
	memcpy(r->status, status, sizeof(status));
	systemd_status(status);
}

/* On the loop, so that a loop that hangs is noticed. */
static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	systemd_alive();
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_drain_timer(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval again = { .tv_usec = DRAIN_LOOK_MS * 1000 };
	struct runner *r = arg;
	unsigned pending = services_pending(r->daemon->services);

	if (pending > 0 && now_ms() < r->drain_until_ms) {
		evtimer_add(r->drain_timer, &again);
		return;
	}
	if (pending > 0)
		log_warning("stopping with %u requests unanswered: they took too long",
		    pending);
	event_base_loopbreak(r->daemon->base);
}

static void on_terminate(evutil_socket_t sig, short what, void *arg)
{
	struct runner *r = arg;
	struct daemon *d = r->daemon;

	if (d->draining) {
		log_warning("stopping at once, as told again");
		event_base_loopbreak(d->base);
		return;
	}
	log_info("stopping");
	d->draining = true;
	r->drain_until_ms = now_ms() + DRAIN_MAX_MS;
	systemd_stopping();
	event_del(r->status_timer);
	services_stop_accepting(d->services);
	services_drain(d->services);
	on_drain_timer(-1, EV_TIMEOUT, r);
}

static void replace_config(
    struct daemon *d, struct config *fresh, char changed[DAEMON_CHANGED_MAX])
{
	struct config *old = (struct config *)d->config;

	if (reload_keep_fixed(fresh, old, changed, DAEMON_CHANGED_MAX) > 0)
		log_warning(
		    "%s: restart to make these changes work: %s", fresh->path, changed);
	d->config = fresh;
	users_reload(d->users);
	services_reload(d->services);
	config_free(old);
}

int daemon_reload(struct daemon *d, char changed[DAEMON_CHANGED_MAX])
{
	struct config *fresh;
	char status[STATUS_MAX];

	systemd_reloading();
	fresh = reload_read(d->config->path);
	if (fresh) {
		replace_config(d, fresh, changed);
		log_info("%s: read again", d->config->path);
	} else {
		log_error("%s: not taken over, the config from before stays in force",
		    d->config->path);
	}
	format_status(d, status);
	systemd_ready(status);
	return fresh ? 0 : -1;
}

static void on_reload(evutil_socket_t sig, short what, void *arg)
{
	struct runner *r = arg;
	char changed[DAEMON_CHANGED_MAX];

	if (!r->daemon->draining)
		daemon_reload(r->daemon, changed);
}

static struct event *add_event(struct event *ev, const struct timeval *interval)
{
	if (!ev || event_add(ev, interval) < 0)
		abort();
	return ev;
}

static void runner_init(struct runner *r, struct daemon *d)
{
	static const struct timeval status_interval = { .tv_sec = STATUS_INTERVAL_S };
	uint64_t watchdog_us = systemd_watchdog_us() / 2;
	struct event_base *base = d->base;

	*r = (struct runner){ .daemon = d };
	r->sigterm = add_event(evsignal_new(base, SIGTERM, on_terminate, r), NULL);
	r->sigint = add_event(evsignal_new(base, SIGINT, on_terminate, r), NULL);
	r->sighup = add_event(evsignal_new(base, SIGHUP, on_reload, r), NULL);
	r->drain_timer = evtimer_new(base, on_drain_timer, r);
	if (!r->drain_timer)
		abort();
	r->status_timer =
	    add_event(event_new(base, -1, EV_PERSIST, on_status, r), &status_interval);
	if (watchdog_us > 0) {
		struct timeval interval = {
			.tv_sec = (time_t)(watchdog_us / 1000000),
			.tv_usec = (suseconds_t)(watchdog_us % 1000000),
		};

		r->watchdog_timer = add_event(
		    event_new(base, -1, EV_PERSIST, on_watchdog, r), &interval);
	}
}

static void runner_deinit(struct runner *r)
{
	if (r->watchdog_timer)
		event_free(r->watchdog_timer);
	event_free(r->status_timer);
	event_free(r->drain_timer);
	event_free(r->sighup);
	event_free(r->sigint);
	event_free(r->sigterm);
}

void daemon_run(struct daemon *d)
{
	struct runner r;

	slice_shorten(); /* only here: threads that are there already keep theirs */
	runner_init(&r, d);
	format_status(d, r.status);
	log_info("ready: %s", r.status);
	systemd_ready(r.status);
	event_base_dispatch(d->base);
	runner_deinit(&r);
}
