/*
 * What the files of service echobot share: echobot.c (connection, account), echobot_setup.c
 * (from an open connection to a bot that is online), echobot_talk.c (messages). For tests,
 * too.
 */
#ifndef CHATMAILD_ECHOBOT_PRIVATE_H
#define CHATMAILD_ECHOBOT_PRIVATE_H

#include "chatmaild/daemon.h"
#include "chatmaild/echobot_account.h"
#include "chatmaild/rpc.h"

struct ratelimit;

/* Messages under way; what comes meanwhile is dropped. With an event and a look at the
 * connection all fit into RPC_CALLS_MAX. */
#define ECHOBOT_TASKS_MAX 32

/* Events that are taken in a second: a client that is told to log all sends many. */
#define ECHOBOT_EVENTS_MAX 200

/* How often one contact is answered, a minute and at once; all of them together as often
 * as the relay lets anybody send. */
#define ECHOBOT_PER_MINUTE   20
#define ECHOBOT_BURST        10
#define ECHOBOT_CONTACTS_MAX 10000 /* whose rates are known at a time */

struct echobot_timing {
	unsigned retry_min_ms, retry_max_ms; /* doubled from try to try */
	unsigned steady_s;                   /* online for so long: tries count anew */
	unsigned call_s, configure_s;        /* for an answer */
	unsigned look_s;                     /* between two looks whether it lives */
	unsigned await_s;                    /* for the file of a message */
};

/* A message from its event to the last call about it. */
struct echobot_task {
	struct echobot *bot;
	json_int_t id; /* of the message; 0: the place is free */
	bool waiting;  /* for its file: the next tick looks again */
	bool fetching; /* it was asked for */
	unsigned age;  /* ticks spent so */
	struct echobot_message message;
	bool help;
};

struct echobot {
	struct daemon *daemon;
	const struct echobot_timing *timing;
	bool on;
	char socket[sizeof(((struct endpoint *)NULL)->text)]; /* where it was called */
	struct rpc *rpc;             /* NULL between two tries */
	struct event *retry, *tick;  /* tick: each second while there is a connection */
	struct preparation *prepare; /* a worker's, or NULL */
	struct echobot_account account; /* as prepared last */
	bool prepared;                  /* account is to be deinitialised */
	unsigned tries;                 /* in vain, in a row */
	bool told;                      /* that it does not work */

	unsigned stage;      /* of echobot_setup.c */
	json_int_t id;       /* of the client's account */
	unsigned online_s;   /* ticks since all was set up */
	unsigned silent_s;   /* ticks since the last look */
	unsigned nevents;    /* taken in this tick */
	bool awaiting_event; /* asked for the next one */
	struct echobot_task tasks[ECHOBOT_TASKS_MAX];
	struct ratelimit *each, *all;
	struct echobot_counters {
		uint64_t online;                  /* gauge */
		uint64_t made, failed, lost;      /* connections */
		uint64_t echoed, helped, ignored; /* messages, as those below */
		uint64_t limited, dropped, broken;
	} counters;
};

/* The connection is no good any more: end it, try again later. why is for the log. */
void echobot_give_up(struct echobot *b, const char *why);

/* The connection is open and the account prepared. Ends in echobot_talk_begin(). */
void echobot_setup(struct echobot *b);

/* All is set up and the client's account online; link is how to meet it. */
void echobot_online(struct echobot *b, const char *link);

void echobot_talk_begin(struct echobot *b);
void echobot_talk_tick(struct echobot *b); /* each second from then on */
void echobot_talk_end(struct echobot *b);  /* forget what is under way */

#endif
