/*
 * Two Delta Chat clients that talk with each other: every message must arrive as it was sent,
 * encrypted.
 */
#ifndef DEPLOY_CHAT_H
#define DEPLOY_CHAT_H

#include "deploy/deltachat.h"

#define CHAT_ERROR_MAX 3072

struct chat_end {
	const char *name; /* for what fails */
	struct deltachat *client;
	uint32_t chat; /* with the other end; chat_meet() sets it */
};

struct chat {
	struct chat_end a, b;
};

/* Both log in before. b follows a's invitation: SecureJoin. False with the reason. */
bool chat_meet(struct chat *c, char error[CHAT_ERROR_MAX]);

/*
 * Send from one end to the other, text and, unless it is NULL, the file of that path, and wait
 * until all of it is there. False with the reason.
 */
bool chat_say(const struct chat_end *from, const struct chat_end *to, const char *text,
    const char *file, char error[CHAT_ERROR_MAX]);

/* Why end's client failed, and what the other's said last: the cause may lie there. other may
 * have no client yet. Returns false. */
bool chat_failed(const struct chat_end *end, const struct chat_end *other,
    char error[CHAT_ERROR_MAX]);

/* As people do: a client that is asked for more than one message a second holds them back. */
void chat_pause(void);

#endif
