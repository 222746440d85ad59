/*
 * The client's half of IMAP (RFC 3501), as much as it takes to look into a mailbox, over a
 * dial. Answers are gathered as text, literals in their place.
 */
#ifndef DEPLOY_IMAP_TALK_H
#define DEPLOY_IMAP_TALK_H

#include "deploy/dial.h"
#include "deploy/text.h"

#define IMAP_TALK_ANSWER_MAX (64 << 20) /* bytes of the answers to one command */

/* All zero but dial, at first. */
struct imap_talk {
	struct dial *dial; /* borrowed */
	unsigned tag;
	uint32_t exists; /* messages in the mailbox, as the server last told */
	bool idling;
	char result[256]; /* what the last command was answered: "NO [...] ..." */
};

/* The greeting; false if the server does not want to talk. */
bool imap_talk_begin(struct imap_talk *t);

/*
 * Run a command, given without tag and line end; true if the answer was OK. Else t->result
 * tells why not, or, if it is empty, dial_error() does. untagged, if not NULL, is emptied and
 * gets the untagged answers, "* " taken off: each is a line that ends in LF, literals as they
 * came behind their "{n}" and an LF.
 */
__attribute__((format(printf, 3, 4))) bool imap_talk_command(
    struct imap_talk *t, struct text *untagged, const char *format, ...);

/* LOGIN. Quotes and backslashes are escaped; neither may hold other than printable ASCII. */
bool imap_talk_login(struct imap_talk *t, const char *user, const char *password);

/* The whole message with this number, replacing what was in message. */
bool imap_talk_fetch(struct imap_talk *t, uint32_t number, struct text *message);

/*
 * IDLE, RFC 2177: begin; wait until there are more messages than before, true if so; end. A
 * wait that lasted ms milliseconds in vain is false, and so is a connection that is lost, which
 * dial_error() tells.
 */
bool imap_talk_idle(struct imap_talk *t);
bool imap_talk_wait(struct imap_talk *t, uint32_t before, unsigned ms);
bool imap_talk_idle_end(struct imap_talk *t);

#endif
