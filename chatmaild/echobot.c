/*
 * Service echobot: the account echo@DOMAIN, which sends back what it is sent. The chat core
 * is a program of its own, deltachat-rpc-server, that somebody else starts at the other end
 * of a socket; here is when to call it, with which account, and how its invitation gets to
 * people. The daemon runs without it just as well.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "chatmaild/echobot_private.h"
#include "chatmaild/log.h"
#include "chatmaild/users.h"
#include "milter/ratelimit.h"

/* Failures in a row that are no news. */
#define TRIES_UNTOLD 2

static const struct echobot_timing echobot_timing = {
	.retry_min_ms = 1000,
	.retry_max_ms = 300000,
	.steady_s = 60,
	.call_s = 60,
	.configure_s = 300, /* it tries several times itself */
	.look_s = 60,
	.await_s = 120,
};

/* The account's files are a worker's; the bot may end meanwhile. */
struct preparation {
	struct echobot_account account;
	struct echobot *bot; /* NULL: nobody waits */
};

/* A link on its way to its file. */
struct keeping {
	struct job job;
	char *state_dir;
	char link[ECHOBOT_LINK_MAX];
	int error;
};

static void forget_account(struct echobot *b)
{
	if (b->prepared)
		echobot_account_deinit(&b->account);
	b->prepared = false;
}

/* Whatever is under way. */
static void hang_up(struct echobot *b)
{
	rpc_destroy(b->rpc);
	b->rpc = NULL;
	event_del(b->tick);
	echobot_talk_end(b);
	b->counters.online = 0;
	if (b->prepare)
		b->prepare->bot = NULL;
	b->prepare = NULL;
}

/* Three quarters to five quarters of ms, so that no two relays keep step. */
static unsigned jitter(unsigned ms)
{
	uint16_t random = 0;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = UINT16_MAX / 2;
	return ms - ms / 4 + (unsigned)((uint64_t)(ms / 2) * random / UINT16_MAX);
}

static void try_later(struct echobot *b)
{
	uint64_t ms = b->timing->retry_min_ms;
	struct timeval tv;

	for (unsigned i = 0; i < b->tries && ms < b->timing->retry_max_ms; i++)
		ms *= 2;
	if (ms > b->timing->retry_max_ms)
		ms = b->timing->retry_max_ms;
	b->tries++;
	ms = jitter((unsigned)ms);
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	evtimer_add(b->retry, &tv);
}

/* Said once, until it works again; not of a relay whose parts are just starting. */
static void tell(struct echobot *b, const char *why)
{
	if (b->told || b->tries < TRIES_UNTOLD) {
		log_debug("echobot: %s", why);
		return;
	}
	log_warning("echobot: does not answer: %s: %s; it is tried again from time to "
		    "time",
	    b->socket, why);
	b->told = true;
}

void echobot_give_up(struct echobot *b, const char *why)
{
	if (b->counters.online)
		b->counters.lost++;
	else
		b->counters.failed++;
	if (b->online_s >= b->timing->steady_s)
		b->tries = 0;
	b->online_s = 0;
	hang_up(b);
	tell(b, why);
	try_later(b);
}

static void set_link(struct daemon *d, const char *link)
{
	free(d->invite_link);
	d->invite_link = link && *link ? strdup(link) : NULL;
	if (link && *link && !d->invite_link)
		abort();
}

static void prepare_run(struct job *job)
{
	struct preparation *p = (struct preparation *)job;

	echobot_account_prepare(&p->account);
}

static void preparation_free(struct preparation *p)
{
	echobot_account_deinit(&p->account);
	free(p);
}

/* The account is the bot's now. */
static void take_account(struct echobot *b, struct echobot_account *account)
{
	forget_account(b);
	b->account = *account;
	b->prepared = true;
	if (account->written)
		log_info("echobot: password of %s written", account->address);
	if (*account->link && !b->daemon->invite_link)
		set_link(b->daemon, account->link);
}

static void prepare_done(struct job *job)
{
	struct preparation *p = (struct preparation *)job;
	struct echobot *b = p->bot;
	char why[256];

	if (!b) {
		preparation_free(p);
		return;
	}
	b->prepare = NULL;
	if (p->account.why) {
		snprintf(why, sizeof(why), "%s%s%s", p->account.why,
		    p->account.error ? ": " : "",
		    p->account.error ? strerror(p->account.error) : "");
		preparation_free(p);
		echobot_give_up(b, why);
		return;
	}
	take_account(b, &p->account);
	free(p);
	echobot_setup(b);
}

static void on_open(void *arg)
{
	static const struct timeval second = { .tv_sec = 1 };
	struct echobot *b = arg;
	struct preparation *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	b->counters.made++;
	evtimer_add(b->tick, &second);
	echobot_account_init(&p->account, b->daemon->config);
	p->account.job.run = prepare_run;
	p->account.job.done = prepare_done;
	p->bot = b;
	b->prepare = p;
	workers_submit(b->daemon->workers, &p->account.job);
}

static void on_down(void *arg, const char *why)
{
	echobot_give_up(arg, why);
}

static const struct rpc_events rpc_events = { on_open, on_down };

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct echobot *b = arg;
	const struct endpoint *to = &b->daemon->config->echobot_socket;

	snprintf(b->socket, sizeof(b->socket), "%s", to->text);
	b->rpc = rpc_create(b->daemon->base, to, &rpc_events, b);
}

/* An account that was removed, expired, or got another password, is written anew. */
static bool account_is_ours(const struct echobot *b)
{
	struct user user;
	enum users_answer answer =
	    users_find(b->daemon->users, span_of(b->account.address), &user);

	return answer == USERS_TROUBLE ||
	       (answer == USERS_FOUND && strcmp(user.hash, b->account.hash) == 0);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct echobot *b = arg;

	if (!b->counters.online)
		return;
	b->online_s++;
	if (b->online_s % b->timing->look_s == 0 && !account_is_ours(b))
		echobot_give_up(b, "its account is gone, or has another password");
	else
		echobot_talk_tick(b);
}

static void keep_run(struct job *job)
{
	struct keeping *k = (struct keeping *)job;

	if (echobot_account_keep_link(k->state_dir, k->link) < 0)
		k->error = errno;
}

static void keep_done(struct job *job)
{
	struct keeping *k = (struct keeping *)job;

	if (k->error)
		log_warning("echobot: cannot keep the invite link in %s: %s",
		    k->state_dir, strerror(k->error));
	free(k->state_dir);
	free(k);
}

static void keep_link(const struct daemon *d, const char *link)
{
	struct keeping *k = calloc(1, sizeof(*k));

	if (!k || !(k->state_dir = strdup(d->config->state_dir)))
		abort();
	memcpy(k->link, link, strlen(link) + 1);
	k->job.run = keep_run;
	k->job.done = keep_done;
	workers_submit(d->workers, &k->job);
}

void echobot_online(struct echobot *b, const char *link)
{
	struct daemon *d = b->daemon;

	if (strcmp(link, b->account.link) != 0)
		keep_link(d, link);
	set_link(d, link);
	b->counters.online = 1;
	b->online_s = 0;
	b->told = false;
	log_info("echobot: %s is online", b->account.address);
	echobot_talk_begin(b);
}

static void switch_on(struct echobot *b)
{
	static const struct timeval now = { 0 };

	b->on = true;
	b->tries = 0;
	b->told = false;
	evtimer_add(b->retry, &now);
}

static void switch_off(struct echobot *b)
{
	b->on = false;
	event_del(b->retry);
	hang_up(b);
	set_link(b->daemon, NULL);
}

static void *echobot_start(struct daemon *d, const struct service *self)
{
	struct echobot *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->daemon = d;
	b->timing = &echobot_timing;
	b->retry = evtimer_new(d->base, on_retry, b);
	b->tick = event_new(d->base, -1, EV_PERSIST, on_tick, b);
	b->each = ratelimit_create(ECHOBOT_CONTACTS_MAX);
	b->all = ratelimit_create(1);
	if (!b->retry || !b->tick || !b->each || !b->all)
		abort();
	if (d->config->echobot)
		switch_on(b);
	return b;
}

/* What it is told about servers and limits counts from the next connection on. Who waits for
 * the next try need not: a reload may tell that the client is there now. */
static void echobot_reload(void *state)
{
	struct echobot *b = state;
	const struct config *config = b->daemon->config;

	if (b->on && (!config->echobot || !b->rpc ||
			 strcmp(b->socket, config->echobot_socket.text) != 0))
		switch_off(b);
	if (!b->on && config->echobot)
		switch_on(b);
}

static void echobot_stop(void *state)
{
	struct echobot *b = state;

	switch_off(b);
	forget_account(b);
	ratelimit_destroy(b->each);
	ratelimit_destroy(b->all);
	event_free(b->retry);
	event_free(b->tick);
	free(b);
}

static const void *echobot_counters(void *state)
{
	return &((struct echobot *)state)->counters;
}

#define COUNTER(field) offsetof(struct echobot_counters, field)
#define CONNECTIONS                                                                    \
	"chatmail_echobot_connections_total",                                          \
	    "Connections to the echo bot's client, and how they ended.",               \
	    OPENMETRICS_COUNTER
#define MESSAGES                                                                       \
	"chatmail_echobot_messages_total",                                             \
	    "Messages that the echo bot got, and what became of them.",                \
	    OPENMETRICS_COUNTER

static const struct metric_def echobot_metrics[] = {
	{ "chatmail_echobot_online", "1 while the echo bot answers.", OPENMETRICS_GAUGE,
	    NULL, COUNTER(online) },
	{ CONNECTIONS, "event=\"made\"", COUNTER(made) },
	{ CONNECTIONS, "event=\"failed\"", COUNTER(failed) },
	{ CONNECTIONS, "event=\"lost\"", COUNTER(lost) },
	{ MESSAGES, "result=\"echoed\"", COUNTER(echoed) },
	{ MESSAGES, "result=\"helped\"", COUNTER(helped) },
	{ MESSAGES, "result=\"ignored\"", COUNTER(ignored) },
	{ MESSAGES, "result=\"limited\"", COUNTER(limited) },
	{ MESSAGES, "result=\"dropped\"", COUNTER(dropped) },
	{ MESSAGES, "result=\"failed\"", COUNTER(broken) },
};

const struct service echobot_service = {
	.name = "echobot",
	.labels = "service=\"echobot\"",
	.socket = SERVICE_NO_SOCKET,
	.start = echobot_start,
	.reload = echobot_reload,
	.stop = echobot_stop,
	.metrics = echobot_metrics,
	.nmetrics = sizeof(echobot_metrics) / sizeof(echobot_metrics[0]),
	.counters = echobot_counters,
};
