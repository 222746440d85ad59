/*
 * One SMTP connection from Postfix: the dialogue of RFC 5321, the server's half. One
 * command at a time, in order: input that comes early waits.
 */
#ifndef CHATMAILD_FILTER_CONN_H
#define CHATMAILD_FILTER_CONN_H

#include "chatmaild/filter.h"

#define FILTER_IDLE_TIMEOUT 300         /* seconds; RFC 5321 section 4.5.3.2.7 */
#define FILTER_ERRORS_MAX   20          /* bad commands; then the peer is hopeless */
#define FILTER_RCPT_MAX     1000        /* Postfix's smtpd_recipient_limit */
#define FILTER_RCPT_BYTES   (64 * 1024) /* of all recipients of a mail together */

/* fd is taken. The connection lives in f->connections until it closes itself. */
void filter_conn_create(struct filter *f, struct listener *from, evutil_socket_t fd);

/* Close at once: what is not acknowledged yet never will be. */
void filter_conn_destroy(struct filter_conn *c);

/* Close as soon as no reply is owed, at once if none is. */
void filter_conn_drain(struct filter_conn *c);

struct filter_conn *filter_conn_next(const struct filter_conn *c);

/* A mail is between DATA and the last byte of its reply. */
bool filter_conn_busy(const struct filter_conn *c);

#endif
