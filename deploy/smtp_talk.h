/*
 * The client's half of SMTP (RFC 5321) and of mail submission (RFC 6409), over a dial.
 */
#ifndef DEPLOY_SMTP_TALK_H
#define DEPLOY_SMTP_TALK_H

#include "deploy/dial.h"
#include "proto/smtp.h"

/* All zero but dial, at first. */
struct smtp_talk {
	struct dial *dial;       /* borrowed */
	struct smtp_reply reply; /* the last one; its text has no codes */
};

/*
 * Each returns the code of the reply, which is in t->reply; 0 if there was none, and
 * dial_error() tells why.
 */
unsigned smtp_talk_reply(struct smtp_talk *t); /* waits for one: the greeting */
__attribute__((format(printf, 2, 3))) unsigned smtp_talk_command(
    struct smtp_talk *t, const char *format, ...); /* a line, without its end */

/* The greeting, EHLO, and, if starttls, STARTTLS and EHLO once more. 250 if all went well,
 * else the code that was not what it should be. */
unsigned smtp_talk_begin(struct smtp_talk *t, const char *helo, bool starttls);

/* After EHLO: is this extension offered ("AUTH")? */
bool smtp_talk_offers(const struct smtp_talk *t, const char *keyword);

/* AUTH PLAIN, RFC 4954; 235 if it is accepted. */
unsigned smtp_talk_login(struct smtp_talk *t, const char *user, const char *password);

/*
 * MAIL, RCPT, DATA and the message, lines that end in CRLF; dots are stuffed. The code of the
 * reply to the end of data, or of the first refusal, behind which RSET is due.
 */
unsigned smtp_talk_send(
    struct smtp_talk *t, const char *from, const char *to, struct span message);

#endif
