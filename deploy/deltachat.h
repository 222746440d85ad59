/*
 * A real Delta Chat client, driven: one child process deltachat-rpc-server with one
 * account, spoken to in JSON-RPC 2.0, one object per line over its standard input and
 * output. Synchronous: every function returns when the answer is there or its time is
 * up. `deltachat-rpc-server --openrpc` prints the methods, their parameters and events.
 *
 * Whatever fails leaves its reason in deltachat_error(), and the client is then only
 * good for deltachat_stop().
 */
#ifndef DEPLOY_DELTACHAT_H
#define DEPLOY_DELTACHAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct deltachat;

/* How to reach a relay whose certificate is self-signed: implicit TLS on both ports. */
struct deltachat_relay {
	const char *domain; /* of the addresses */
	const char *host;
	unsigned imap_port, smtp_port;
};

/* A message as it was received. */
struct deltachat_message {
	uint32_t id, chat;
	bool encrypted; /* and signed: what the app shows without a mark */
	char *text;     /* owned, never NULL */
	char *file;   /* path of the attachment once it is here, owned; NULL without */
	bool pending; /* the attachment is announced, but not fetched yet */
};
void deltachat_message_deinit(struct deltachat_message *m);

/*
 * A client's program: server, found by $PATH unless it has a slash. Or, if run is not NULL,
 * that function in the child, with arg: it speaks as the program would, with its data in the
 * folder that $DC_ACCOUNTS_PATH names, and does not return.
 */
struct deltachat_program {
	const char *server;
	void (*run)(const void *arg);
	const void *arg;
};

/*
 * Start program with its data under dir/name, which must not exist yet, its stderr going
 * to dir/name.log. NULL with errno; a program that cannot be run shows at the first
 * call. The child is killed when this process dies.
 */
struct deltachat *deltachat_start(
    const struct deltachat_program *program, const char *dir, const char *name);

/* End the child, by force if it does not obey; NULL is fine. */
void deltachat_stop(struct deltachat *dc);

/* Why the last function failed: a phrase with the client's own words in it. */
const char *deltachat_error(const struct deltachat *dc);

/* The client's last warning or error so far, "" if there was none. For when another client
 * waits in vain for what this one should have sent. */
const char *deltachat_trouble(struct deltachat *dc);

/* How long a wait may take from now on, in milliseconds; 30,000 at first. */
void deltachat_set_timeout(struct deltachat *dc, int timeout_ms);

/*
 * Call method; takes params, an array. Returns the result (a new reference; JSON null
 * if there is none) or NULL.
 */
json_t *deltachat_call(struct deltachat *dc, const char *method, json_t *params);

/*
 * Wait for an event of kind and return it (a new reference), or NULL. Events of other
 * kinds before it are forgotten. An event that tells that a message failed for good
 * ends the wait, too, unless it is the one waited for.
 */
json_t *deltachat_wait(struct deltachat *dc, const char *kind);

/*
 * Log in with this address and password, which makes the address if the relay allows,
 * and go online: returns when the inbox is watched. 0 or -1.
 */
int deltachat_login(struct deltachat *dc, const struct deltachat_relay *relay,
    const char *address, const char *password);

/* A setting of the account, such as "configured_addr", malloc()ed; or NULL. */
char *deltachat_config(struct deltachat *dc, const char *key);

/*
 * The same by a link as it is on web pages and in QR codes (dcaccount:, dclogin:); and
 * with an address alone, for which the client looks for the servers itself.
 */
int deltachat_follow(struct deltachat *dc, const char *link);
int deltachat_find(struct deltachat *dc, const char *address, const char *password);

/* The address it is logged in with, malloc()ed, or NULL. */
char *deltachat_address(struct deltachat *dc);

/* Wait until the relay has this client's device token; returns it as the relay has it,
 * encrypted to the notification service, malloc()ed; or NULL. */
char *deltachat_stored_token(struct deltachat *dc);

/* An invitation to contact this account: text of a QR code, malloc()ed, or NULL. */
char *deltachat_invite(struct deltachat *dc);

/* Begin a SecureJoin with the inviter: the chat's id, or 0. */
uint32_t deltachat_join(struct deltachat *dc, const char *invitation);

/* Wait until a SecureJoin is complete, as the joiner and as the inviter. 0 or -1; the
 * inviter learns the chat with the joiner and the joiner's contact id. */
int deltachat_joined(struct deltachat *dc);
int deltachat_invited(struct deltachat *dc, uint32_t *chat, uint32_t *contact);

/* Send text, and a file unless file is NULL: the message's id, or 0. */
uint32_t deltachat_send(
    struct deltachat *dc, uint32_t chat, const char *text, const char *file);

/* Wait for the next message from others. 0 and *m, to be deinitialised; or -1. */
int deltachat_receive(struct deltachat *dc, struct deltachat_message *m);

/* Wait until the attachment of m, announced already, is here, and read m anew. */
int deltachat_fetch(struct deltachat *dc, struct deltachat_message *m);

#endif
