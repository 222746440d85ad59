/*
 * How long a relay takes for what its users do: connections, logins, and real Delta Chat
 * clients that come online and talk. Everything is waited for as users do, so the network
 * between is in it.
 */
#ifndef DEPLOY_BENCH_H
#define DEPLOY_BENCH_H

#include "deploy/chat.h"
#include "deploy/measure.h"
#include "deploy/progress.h"
#include "deploy/trial.h"

#define BENCH_ROUNDS_MAX 100
#define BENCH_BURST      10 /* messages sent at once, or as many as the relay allows */

struct bench {
	struct trial *trial;
	struct measures *measures; /* what was found goes there */
	struct progress *progress;
	struct deltachat_program program;
	const char *dir; /* for the clients' data and a file to send; empty at first */
	unsigned rounds; /* of what is quick; the rest is measured half as often */
	unsigned burst;  /* messages that a sender may send at once */
	double pace;     /* seconds after which one more is allowed */

	unsigned clients;           /* that were started */
	char error[CHAT_ERROR_MAX]; /* why it ended early */
};

/* Each false when something failed, with the reason, or when a signal came. */
bool bench_connections(struct bench *b);
bool bench_onboarding(struct bench *b); /* clients come online on the first relay */
bool bench_chats(
    struct bench *b); /* within the first relay; and with the second, if any */

/* Time since some beginning, in seconds. */
double bench_now(void);

/*
 * Take n samples of a measure: once() returns how long it took in seconds, or less than 0
 * with the reason in b->error.
 */
bool bench_repeat(struct bench *b, const char *name, const char *title, unsigned n,
    double (*once)(struct bench *b, void *arg), void *arg);

#endif
