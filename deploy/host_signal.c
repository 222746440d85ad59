/* Signals noted while a connection is open. */
#include "deploy/host_signal.h"

#include <stddef.h>

static const int signals[HOST_SIGNALS] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };

/* A handler gets no argument of ours. */
static volatile sig_atomic_t caught;

static void note(int sig)
{
	caught = sig;
}

void host_signals_catch(struct host_signals *s)
{
	caught = 0;
	for (size_t i = 0; i < HOST_SIGNALS; i++) {
		bool pipe = signals[i] == SIGPIPE;
		struct sigaction action = { .sa_handler = pipe ? SIG_IGN : note };

		sigemptyset(&action.sa_mask);
		sigaction(signals[i], NULL, &s->former[i]);
		/* nohup(1) wants it ignored. */
		if (s->former[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

void host_signals_restore(const struct host_signals *s)
{
	int sig = caught;

	for (size_t i = 0; i < HOST_SIGNALS; i++)
		sigaction(signals[i], &s->former[i], NULL);
	caught = 0;
	if (sig != 0)
		raise(sig);
}

int host_signals_caught(void)
{
	return caught;
}
