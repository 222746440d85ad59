/* See echobot_message.h. */
#include "chatmaild/echobot_message.h"

#include <stdint.h>

#include "proto/span.h"

/* Ids up to it are not persons': ourselves, the device, info; DC_CONTACT_ID_LAST_SPECIAL. */
#define LAST_SPECIAL_CONTACT 9

/* What can be sent back as what it was; a call, for instance, cannot. */
static const char *const kinds[] = {
	"Audio",
	"File",
	"Gif",
	"Image",
	"Sticker",
	"Text",
	"Vcard",
	"Video",
	"Voice",
	"Webxdc",
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static bool is(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static json_int_t id_of(const json_t *o, const char *key)
{
	json_int_t id = json_integer_value(json_object_get(o, key));

	return id > 0 && id <= UINT32_MAX ? id : 0;
}

static bool is_kind(const char *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind, kinds[i]) == 0)
			return true;
	return false;
}

static bool is_for_us(const json_t *message, const struct echobot_message *m)
{
	return m->chat > 0 && m->sender > LAST_SPECIAL_CONTACT &&
	       !is(message, "isInfo") && !is(message, "isBot") &&
	       is(message, "showPadlock") && is_kind(text_of(message, "viewType"));
}

/* As it is, any NUL in it, too; what is no text, or an empty one, is left out. */
static void put(json_t *to, const char *key, const json_t *from, const char *its_key)
{
	json_t *text = json_object_get(from, its_key);

	if (json_string_length(text) > 0)
		json_object_set(to, key, text);
}

static json_t *make_echo(const json_t *message)
{
	json_t *answer = json_object();

	put(answer, "text", message, "text");
	if (*text_of(message, "file")) {
		put(answer, "file", message, "file");
		put(answer, "viewtype", message, "viewType");
		put(answer, "filename", message, "fileName");
	}
	return answer;
}

/* A file that cannot be had is none. */
static enum echobot_verdict judge_file(const json_t *message, bool patient)
{
	const char *state = text_of(message, "downloadState");

	if (!patient || strcmp(state, "Failure") == 0 ||
	    strcmp(state, "Undecipherable") == 0)
		return *text_of(message, "text") ? ECHOBOT_ECHO : ECHOBOT_IGNORE;
	return strcmp(state, "Available") == 0 ? ECHOBOT_FETCH : ECHOBOT_AWAIT;
}

enum echobot_verdict echobot_judge(
    const json_t *message, bool patient, struct echobot_message *m)
{
	enum echobot_verdict verdict = ECHOBOT_ECHO;
	struct span text = span_trim(span_of(text_of(message, "text")));

	*m = (struct echobot_message){
		.chat = id_of(message, "chatId"),
		.sender = id_of(message, "fromId"),
	};
	if (!is_for_us(message, m))
		return ECHOBOT_IGNORE;
	if (strcmp(text_of(message, "downloadState"), "Done") != 0)
		verdict = judge_file(message, patient);
	else if (text.len == 0 && !*text_of(message, "file"))
		return ECHOBOT_IGNORE;
	if (verdict == ECHOBOT_ECHO && span_is(text, "/help")) {
		m->answer = json_pack("{s:s}", "text", ECHOBOT_HELP);
		return ECHOBOT_SAY_HELP;
	}
	if (verdict == ECHOBOT_ECHO)
		m->answer = make_echo(message);
	return verdict;
}

void echobot_message_deinit(struct echobot_message *m)
{
	json_decref(m->answer);
	m->answer = NULL;
}

bool echobot_chat_is_ours(const json_t *chat)
{
	return strcmp(text_of(chat, "chatType"), "Single") == 0 &&
	       is(chat, "isEncrypted") && !is(chat, "isSelfTalk") &&
	       !is(chat, "isDeviceChat");
}

bool echobot_is_link(const char *text)
{
	size_t n = 0;

	if (strncmp(text, "https://", strlen("https://")) != 0 &&
	    strncmp(text, "OPENPGP4FPR:", strlen("OPENPGP4FPR:")) != 0)
		return false;
	for (; text[n]; n++)
		if (text[n] <= ' ' || text[n] > '~' || n == ECHOBOT_LINK_MAX - 1)
			return false;
	return true;
}
