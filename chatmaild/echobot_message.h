/*
 * What the echo bot makes of a message: pure, from the objects that deltachat-rpc-server's
 * get_message and get_basic_chat_info give. Whatever JSON it is, there is an answer.
 */
#ifndef CHATMAILD_ECHOBOT_MESSAGE_H
#define CHATMAILD_ECHOBOT_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>

#define ECHOBOT_HELP "Send me any message and I will echo it back"

enum echobot_verdict {
	ECHOBOT_IGNORE, /* not a person's message to us, or nothing in it */
	ECHOBOT_AWAIT,  /* its file is on the way: ask again in a while */
	ECHOBOT_FETCH,  /* its file is not, and must be asked for */
	ECHOBOT_ECHO,
	ECHOBOT_SAY_HELP,
};

/* A message as judged. */
struct echobot_message {
	json_int_t chat, sender; /* ids, above 0 */
	json_t *answer;          /* owned; for send_msg; NULL unless ECHO or SAY_HELP */
};

/*
 * Judge a message. patient: its file may still come; else a message with text is echoed
 * without it. Info messages, those of bots (so that two never talk to each other), our own,
 * and what was not encrypted, which we could not answer, are ignored.
 */
enum echobot_verdict echobot_judge(
    const json_t *message, bool patient, struct echobot_message *m);
void echobot_message_deinit(struct echobot_message *m);

/* A chat with one other, encrypted: the only ones that are answered. */
bool echobot_chat_is_ours(const json_t *chat);

/* An invitation as clients show it: a link of printable ASCII that fits an HTTP header. */
#define ECHOBOT_LINK_MAX 2048 /* bytes, NUL included */
bool echobot_is_link(const char *text);

#endif
