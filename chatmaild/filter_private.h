/*
 * What filter_conn.c (bytes, states, the mail) and filter_command.c (what a command does)
 * share. Nobody else's.
 */
#ifndef CHATMAILD_FILTER_PRIVATE_H
#define CHATMAILD_FILTER_PRIVATE_H

#include "chatmaild/filter_conn.h"
#include "chatmaild/stream.h"

enum filter_state {
	FILTER_NEW,   /* no HELO or EHLO yet */
	FILTER_READY, /* for MAIL */
	FILTER_MAIL,  /* for the first RCPT */
	FILTER_RCPT,  /* for more, or DATA */
	FILTER_DATA,  /* what comes is the mail */
	FILTER_FULL,  /* as above, but Postfix must take some first */
	FILTER_WAIT,  /* the mail is complete, its reply is not there */
	FILTER_BYE,   /* close when the last reply is written */
};

struct filter_conn {
	LIST_ENTRY(filter_conn) link;
	struct filter *filter;
	struct listener *from;
	struct stream stream;
	enum filter_state state;
	unsigned errors;
	bool skip_line; /* the rest of a line that is too long */
	bool draining;
	/* The transaction: owned copies, freed by filter_conn_reset(). */
	char *mail_from;
	struct span *rcpt_to;
	size_t nrcpt, rcpt_size, rcpt_bytes;
	struct envelope envelope; /* borrows the above */
	struct filter_mail *mail; /* FILTER_DATA to FILTER_WAIT */
};

/* Forget the transaction. */
void filter_conn_reset(struct filter_conn *c);

/* Whole lines, CRLF-ended. */
void filter_conn_say(struct filter_conn *c, const char *text);

/* One reply; CRLF is added. */
__attribute__((format(printf, 2, 3))) void filter_conn_reply(
    struct filter_conn *c, const char *fmt, ...);

/* The peer is at fault. Postfix never is, so many faults are somebody else's. */
void filter_conn_fault(struct filter_conn *c, const char *reply);

/* What comes from now on is the mail. */
void filter_conn_begin_mail(struct filter_conn *c);

/* Answer one command line, without its line end: filter_command.c. */
void filter_command(struct filter_conn *c, struct span line);

#endif
