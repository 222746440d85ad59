/*
 * One dict connection, whatever the service behind it: lines, handshake, transactions,
 * replies in the order of the requests. Dovecot opens one for nearly every operation, so
 * this is the hot path of every login.
 *
 * Requests are served one at a time: while a handler owes a reply, the rest waits in the
 * input buffer. Transactions live here because their ids are unique per connection only.
 */
#ifndef CHATMAILD_DICT_CONN_H
#define CHATMAILD_DICT_CONN_H

#include "chatmaild/daemon.h"
#include "proto/dict.h"

struct dict_conn;

#define DICT_TRANSACTIONS_MAX 16  /* open on one connection; more: the commit gets F */
#define DICT_SETS_MAX	      64  /* in one transaction */

struct dict_set {
	struct span key, value;
};

struct dict_transaction {
	struct span user; /* from B */
	const struct dict_set *set;
	size_t nsets;
};

/* What a service does with requests. Each handler answers exactly once, now or later, by
 * dict_conn_reply(), or for iterate by rows and dict_conn_end(). */
struct dict_handler {
	void (*lookup)(struct dict_conn *c, struct span key, struct span user);
	void (*iterate)(struct dict_conn *c, struct span path, struct span user);
	/* The spans live until the reply. */
	void (*commit)(struct dict_conn *c, const struct dict_transaction *t);
};

struct dict_counters {
	uint64_t lookups, iterations, commits;
	uint64_t found, not_found, failed; /* replies O, N, F */
	uint64_t bad_requests;
	uint64_t connections; /* gauge: open now */
};

/* All connections of one service; it embeds this. */
struct dict_server {
	struct daemon *daemon;
	const char *name;
	const struct dict_handler *handler;
	void *service; /* the handlers' own state */
	struct dict_counters counters;
	struct dict_conn *conns; /* dict_conn.c's list */
};

void dict_server_accept(struct dict_server *s, struct listener *from, evutil_socket_t fd);
void dict_server_drain(struct dict_server *s);
unsigned dict_server_pending(const struct dict_server *s); /* connections owed a reply */
void dict_server_stop(struct dict_server *s);

struct dict_server *dict_conn_server(struct dict_conn *c);

/* status 'O' with value, 'N', or 'F' with an optional reason as value. */
void dict_conn_reply(struct dict_conn *c, char status, struct span value);
void dict_conn_row(struct dict_conn *c, struct span key, struct span value);
void dict_conn_end(struct dict_conn *c);

/*
 * For replies that come later: the peer may hang up meanwhile. Keep a ticket instead of
 * the connection; dict_ticket_redeem() gives the connection back once, or NULL if it is
 * gone, and frees the ticket.
 */
struct dict_ticket;
struct dict_ticket *dict_conn_defer(struct dict_conn *c);
struct dict_conn *dict_ticket_redeem(struct dict_ticket *t);

#endif
