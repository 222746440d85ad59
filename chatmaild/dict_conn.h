/*
 * One dict connection, whatever the service behind it: lines, handshake, transactions,
 * replies in the order of the requests. Dovecot opens one for nearly every operation,
 * so this is the hot path of every login.
 *
 * Requests are served one at a time: while a handler owes a reply, the rest waits in
 * the input buffer. A bad request is answered, never a closed connection: Dovecot would
 * turn that into a temporary failure. Only a line beyond DICT_LINE_MAX closes.
 */
#ifndef CHATMAILD_DICT_CONN_H
#define CHATMAILD_DICT_CONN_H

#include <sys/queue.h>

#include "chatmaild/daemon.h"
#include "chatmaild/dict_transactions.h"
#include "proto/dict.h"

/* Bytes of replies that the peer has not read: beyond it we read no more requests. */
#define DICT_OUTPUT_HIGH (64 * 1024)

struct dict_conn;

/*
 * What a service does with requests. Each handler answers exactly once, now or later:
 * by dict_conn_reply(), for iterate by dict_conn_end() or dict_conn_stream(). The spans
 * live until then, or until the connection is gone.
 */
struct dict_handler {
	void (*lookup)(struct dict_conn *c, struct span key, struct span user);
	void (*iterate)(struct dict_conn *c, struct span path, struct span user);
	void (*commit)(struct dict_conn *c, const struct dict_transaction *t);
};

struct dict_counters {
	uint64_t lookups, iterations, commits;
	uint64_t found, not_found, failed; /* replies O, N, F */
	uint64_t bad_requests;
	uint64_t connections;     /* gauge: open now */
	struct histogram at_once; /* lookups that waited for nobody */
};

LIST_HEAD(dict_conn_list, dict_conn);

/* All connections of one service; it embeds this. */
struct dict_server {
	struct daemon *daemon;
	const char *name; /* for the log */
	const struct dict_handler *handler;
	void *service; /* the handlers' own state */
	struct dict_counters counters;

	/* dict_conn.c's. */
	struct dict_conn_list conns;
	struct dict_conn_list busy; /* go on in the next loop turn */
	struct event *turn;
	bool draining;
};

void dict_server_init(struct dict_server *s, struct daemon *d, const char *name,
    const struct dict_handler *handler, void *service);
void dict_server_accept(
    struct dict_server *s, struct listener *from, evutil_socket_t fd);
void dict_server_drain(struct dict_server *s);
unsigned dict_server_pending(
    const struct dict_server *s); /* connections owed a reply */
void dict_server_stop(struct dict_server *s);

/*
 * What every dict service does alike, for its row in the service table: its state begins
 * with the struct dict_server, its counters hold a copy of the server's named dict.
 */
void dict_service_accept(void *state, struct listener *from, evutil_socket_t fd);
void dict_service_drain(void *state);
unsigned dict_service_pending(const void *state);

#define DICT_METRIC(type, field, name, help, kind, labels)                             \
	{                                                                              \
		name, help, kind, labels, offsetof(type, dict.field)                   \
	}
#define DICT_REQUESTS(type, field, kind)                                               \
	DICT_METRIC(type, field, "chatmail_dict_requests_total",                       \
	    "Requests of Dovecot.", OPENMETRICS_COUNTER, "kind=\"" kind "\"")
#define DICT_REPLIES(type, field)                                                      \
	DICT_METRIC(type, field, "chatmail_dict_replies_total",                        \
	    "Replies to lookups and commits.", OPENMETRICS_COUNTER,                    \
	    "result=\"" #field "\"")
#define DICT_METRICS(type)                                                             \
	DICT_REQUESTS(type, lookups, "lookup"),                                        \
	    DICT_REQUESTS(type, iterations, "iterate"),                                \
	    DICT_REQUESTS(type, commits, "commit"), DICT_REPLIES(type, found),         \
	    DICT_REPLIES(type, not_found), DICT_REPLIES(type, failed),                 \
	    DICT_METRIC(type, bad_requests, "chatmail_dict_bad_requests_total",        \
		"Requests nobody can make sense of.", OPENMETRICS_COUNTER, NULL),      \
	    DICT_METRIC(type, connections, "chatmail_dict_connections",                \
		"Connections open now.", OPENMETRICS_GAUGE, NULL)

/* For services that have something to look up. */
#define DICT_LOOKUP_TIME(type)                                                         \
	DICT_METRIC(type, at_once, "chatmail_lookup_seconds",                          \
	    "Lookups of Dovecot that waited for no worker and no other program, from " \
	    "request to reply.",                                                       \
	    OPENMETRICS_HISTOGRAM, NULL)

struct dict_server *dict_conn_server(struct dict_conn *c);

/*
 * status 'O' with value, 'N', or 'F' with an optional reason as value. A commit is
 * answered 'O' or 'F', the value is ignored. The connection may be gone afterwards.
 */
void dict_conn_reply(struct dict_conn *c, char status, struct span value);

/*
 * The rows of an iteration, slice by slice: more() is called once a loop turn while the
 * peer reads, adds some rows by dict_conn_row() and returns false when there are no
 * more. destroy() comes after the last row or when the peer is gone.
 */
struct dict_rows {
	bool (*more)(struct dict_rows *rows, struct dict_conn *c);
	void (*destroy)(struct dict_rows *rows);
};
void dict_conn_stream(struct dict_conn *c, struct dict_rows *rows); /* takes rows */
void dict_conn_row(struct dict_conn *c, struct span key, struct span value);
void dict_conn_end(struct dict_conn *c); /* no rows */

/*
 * For replies that come later: the peer may hang up meanwhile. Keep a ticket instead of
 * the connection; dict_ticket_redeem() gives the connection back once, or NULL if it is
 * gone, and frees the ticket.
 */
struct dict_ticket;
struct dict_ticket *dict_conn_defer(struct dict_conn *c);
struct dict_conn *dict_ticket_redeem(struct dict_ticket *t);

#endif
