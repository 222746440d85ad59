/* Two Delta Chat clients, talking. */
#include "deploy/chat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__attribute__((format(printf, 2, 3))) static bool fail(
    char error[CHAT_ERROR_MAX], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error, CHAT_ERROR_MAX, format, ap);
	va_end(ap);
	return false;
}

bool chat_failed(const struct chat_end *end, const struct chat_end *other,
    char error[CHAT_ERROR_MAX])
{
	const char *trouble = other->client ? deltachat_trouble(other->client) : "";

	return fail(error, "%s: %s%s%s", end->name, deltachat_error(end->client),
	    *trouble ? "; the other's client said: " : "", trouble);
}

bool chat_meet(struct chat *c, char error[CHAT_ERROR_MAX])
{
	char *invitation = deltachat_invite(c->a.client);
	uint32_t contact;

	if (!invitation)
		return chat_failed(&c->a, &c->b, error);
	c->b.chat = deltachat_join(c->b.client, invitation);
	free(invitation);
	if (c->b.chat == 0 || deltachat_joined(c->b.client) < 0)
		return chat_failed(&c->b, &c->a, error);
	if (deltachat_invited(c->a.client, &c->a.chat, &contact) < 0)
		return chat_failed(&c->a, &c->b, error);
	return true;
}

bool chat_say(const struct chat_end *from, const struct chat_end *to, const char *text,
    const char *file, char error[CHAT_ERROR_MAX])
{
	struct deltachat_message m = { 0 };
	bool good = true;

	if (deltachat_send(from->client, from->chat, text, file) == 0)
		return chat_failed(from, to, error);
	if (deltachat_receive(to->client, &m) < 0 ||
	    deltachat_fetch(to->client, &m) < 0)
		good = chat_failed(to, from, error);
	else if (strcmp(m.text, text) != 0)
		good =
		    fail(error, "%s got '%s' instead of '%s'", to->name, m.text, text);
	else if (!m.encrypted)
		good =
		    fail(error, "%s: '%s' is not shown as encrypted", to->name, text);
	else if (file && !m.file)
		good = fail(error, "%s: '%s' came without its file", to->name, text);
	deltachat_message_deinit(&m);
	return good;
}

void chat_pause(void)
{
	const struct timespec pause = { .tv_sec = 1, .tv_nsec = 200 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}
