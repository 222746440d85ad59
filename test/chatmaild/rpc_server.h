/*
 * A scripted deltachat-rpc-server at a UNIX socket, on the loop of who calls it: one client
 * at a time, one account with one transport, messages that a test puts in. It answers as the
 * real one does, but for what its script spoils.
 */
#ifndef TEST_CHATMAILD_RPC_SERVER_H
#define TEST_CHATMAILD_RPC_SERVER_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "chatmaild/endpoint.h"

#define RPC_SERVER_CALLS_MAX 4096 /* noted; further ones are not */

enum rpc_fault {
	RPC_NO_FAULT,
	RPC_REFUSE,   /* an error */
	RPC_DIE,      /* closes the connection */
	RPC_HANG,     /* no answer */
	RPC_GARBAGE,  /* a line that is no JSON */
	RPC_ENDLESS,  /* a line without an end */
	RPC_WRONG_ID, /* the answer to what was not asked */
	RPC_NO_ID,    /* a notification */
	RPC_TWICE,    /* the answer, and once more */
	RPC_ODD,      /* a result of another kind */
	RPC_LONG,     /* more than anybody wants to read */
	RPC_UNENDING, /* the beginning of an answer like that */
};

struct rpc_server {
	/* The script. */
	const char *spoiled; /* a method, or NULL */
	enum rpc_fault fault;
	unsigned times; /* that the fault comes; then all is well */
	const char *link;
	const char *held; /* a method that is not answered until rpc_server_release() */
	bool flood;       /* of events that mean nothing */
	json_t *messages; /* object: id -> what get_message says; owned */
	json_t *chats;    /* object: id -> what get_basic_chat_info says; owned */
	json_t *transport; /* as was set, or NULL; owned */
	json_int_t account;

	/* What it saw. */
	unsigned connections, ncalls;
	const char *calls[RPC_SERVER_CALLS_MAX]; /* methods, literals */
	json_t *sent;    /* array of what send_msg got: [chat, data]; owned */
	json_t *deleted; /* array of ids; owned */
	json_t *config;  /* as was set; owned */

	/* Its own. */
	struct evconnlistener *listener;
	struct bufferevent *bev;
	json_t *events, *waiting; /* arrays: events to tell, ids of held requests */
	json_int_t event_id;      /* the request for an event that waits, or 0 */
};

/* Calls at at from now on. */
void rpc_server_init(
    struct rpc_server *s, struct event_base *base, const struct endpoint *at);
void rpc_server_deinit(struct rpc_server *s);

/* A message arrives; takes message, which gets its id. */
void rpc_server_message(struct rpc_server *s, json_int_t id, json_t *message);

/* Answer null to all that was held, and hold nothing any more. */
void rpc_server_release(struct rpc_server *s);

unsigned rpc_server_count(const struct rpc_server *s, const char *method);

#endif
