/* A timer's lateness, the last sixty samples of it. */
#include "chatmaild/stall.h"

#include <stdlib.h>
#include <time.h>

#define SAMPLES     60
#define INTERVAL_US 1000000

struct stall {
	struct event *timer;
	int64_t due_us; /* monotonic */
	uint64_t late_us[SAMPLES];
	unsigned next;
};

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void arm(struct stall *s)
{
	static const struct timeval interval = { .tv_sec = INTERVAL_US / 1000000 };

	s->due_us = now_us() + INTERVAL_US;
	evtimer_add(s->timer, &interval);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct stall *s = arg;
	int64_t late = now_us() - s->due_us;

	s->late_us[s->next] = late > 0 ? (uint64_t)late : 0;
	s->next = (s->next + 1) % SAMPLES;
	arm(s);
}

struct stall *stall_create(struct event_base *base)
{
	struct stall *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->timer = evtimer_new(base, on_timer, s);
	if (!s->timer)
		abort();
	arm(s);
	return s;
}

void stall_destroy(struct stall *s)
{
	if (!s)
		return;
	event_free(s->timer);
	free(s);
}

uint64_t stall_worst_us(const struct stall *s)
{
	uint64_t worst = 0;

	for (unsigned i = 0; i < SAMPLES; i++)
		if (s->late_us[i] > worst)
			worst = s->late_us[i];
	return worst;
}
