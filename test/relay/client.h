/*
 * A small blocking SMTP and IMAP client for a relay on loopback, any certificate. The
 * socket's own timeout bounds every wait.
 */
#ifndef TEST_RELAY_CLIENT_H
#define TEST_RELAY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client;

enum client_tls {
	CLIENT_PLAIN,
	CLIENT_TLS, /* from the first byte */
};

/* Connect to 127.0.0.1. NULL if nobody answers. */
struct client *client_open(unsigned port, enum client_tls tls);
void client_close(struct client *c);

/* Send bytes as they are; a lost connection shows at the next reply. */
void client_write(struct client *c, const char *data, size_t len);

/* Send what client_write() left in the buffer; reading a reply does so, too. */
void client_flush(struct client *c);

/* Read one SMTP reply: its code, or 0 when the connection is lost. */
int client_reply(struct client *c);

/* Send a line, CRLF is added, and read the reply. */
int client_command(struct client *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The next line of whatever protocol, without its end, valid until the next one is read;
 * NULL when the connection is lost or silent. */
const char *client_line(struct client *c);

/* The last line read, without its line end: "523 Encryption Needed: ...". */
const char *client_text(const struct client *c);

/*
 * Open port and get to where MAIL is good: greeting, EHLO, STARTTLS unless tls, and
 * AUTH unless user is NULL. NULL when any of it fails.
 */
struct client *smtp_open(
    unsigned port, enum client_tls tls, const char *user, const char *password);

/*
 * MAIL, RCPT, DATA and message, whole lines, dots are stuffed. Returns the code of the
 * first refusal, which ends the transaction, or of the reply to the end of data; 0 when
 * the connection is lost.
 */
int smtp_send(struct client *c, const char *from, const char *to, const char *message,
    size_t len);

/* Open Dovecot's LMTP socket and get to where MAIL is good. NULL when it fails. */
struct client *lmtp_open(const char *path);

/* Log in and select INBOX on an IMAP port with TLS. NULL when it fails. */
struct client *imap_open(unsigned port, const char *user, const char *password);

/* How many messages INBOX has, or -1. */
int imap_count(struct client *c);

/* Idle until INBOX has count messages. False when the connection is lost or silent. */
bool imap_wait(struct client *c, int count);

/* Run a command, given without its tag. Whether it was answered OK. */
bool imap_command(struct client *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Begin to idle; returns when the server does, too. False when it does not. */
bool imap_idle(struct client *c);

/* The next line the server sends by itself, valid until the next; NULL when the
 * connection is lost or silent for its timeout. */
const char *imap_told(struct client *c);

/* Whether the server says nothing for that long. */
bool imap_silent(struct client *c, int ms);

/* End idling. What is told on the way only counts for imap_count(). */
bool imap_done(struct client *c);

/* A whole message by its number, NUL-terminated, malloc()ed; NULL when it fails. */
char *imap_fetch(struct client *c, int number);

#endif
