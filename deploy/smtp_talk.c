#include "deploy/smtp_talk.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>

#include "deploy/text.h"

#define REPLY_LINES_MAX 128

unsigned smtp_talk_reply(struct smtp_talk *t)
{
	struct span line;

	smtp_reply_init(&t->reply);
	for (unsigned i = 0; i < REPLY_LINES_MAX && dial_line(t->dial, &line); i++) {
		switch (smtp_reply_feed(&t->reply, line)) {
		case SMTP_REPLY_MORE:
			continue;
		case SMTP_REPLY_COMPLETE:
			return t->reply.code;
		case SMTP_REPLY_BROKEN:
			dial_fail(t->dial, DIAL_NONSENSE, "what answers is not SMTP");
			return 0;
		}
	}
	dial_fail(t->dial, DIAL_NONSENSE, "a reply that does not end");
	return 0;
}

unsigned smtp_talk_command(struct smtp_talk *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	dial_vline(t->dial, "", format, ap);
	va_end(ap);
	return smtp_talk_reply(t);
}

unsigned smtp_talk_begin(struct smtp_talk *t, const char *helo, bool starttls)
{
	unsigned code = smtp_talk_reply(t);

	if (code != 220)
		return code;
	code = smtp_talk_command(t, "EHLO %s", helo);
	if (code != 250 || !starttls)
		return code;
	code = smtp_talk_command(t, "STARTTLS");
	if (code != 220)
		return code;
	return dial_start_tls(t->dial) ? smtp_talk_command(t, "EHLO %s", helo) : 0;
}

bool smtp_talk_offers(const struct smtp_talk *t, const char *keyword)
{
	struct span rest = span_make(t->reply.text, t->reply.len), line, word;

	while (span_cut(&rest, '\n', &line)) {
		if (span_cut(&line, ' ', &word) && span_is_nocase(word, keyword))
			return true;
	}
	return false;
}

unsigned smtp_talk_login(struct smtp_talk *t, const char *user, const char *password)
{
	char *plain, *base64;
	int n = asprintf(&plain, "%c%s%c%s", '\0', user, '\0', password);
	size_t size = n < 0 ? 0 : ((size_t)n + 2) / 3 * 4 + 1;
	unsigned code;

	base64 = n < 0 ? NULL : malloc(size);
	if (!base64)
		abort();
	EVP_EncodeBlock((unsigned char *)base64, (const unsigned char *)plain, n);
	code = smtp_talk_command(t, "AUTH PLAIN %s", base64);
	OPENSSL_cleanse(plain, (size_t)n);
	free(plain);
	OPENSSL_cleanse(base64, size);
	free(base64);
	return code;
}

/* Line by line, for the dots (RFC 5321 section 4.5.2). */
static void stuff_dots(struct text *to, struct span message)
{
	struct span line;

	while (span_cut(&message, '\n', &line)) {
		if (line.len == 0 && !message.data)
			break; /* behind the last line's end */
		if (line.len > 0 && line.data[0] == '.')
			text_add(to, ".");
		text_add_span(to, line);
		text_add(to, "\n");
	}
}

unsigned smtp_talk_send(
    struct smtp_talk *t, const char *from, const char *to, struct span message)
{
	struct text stuffed = { 0 };
	unsigned code = smtp_talk_command(t, "MAIL FROM:<%s>", from);

	if (code == 250)
		code = smtp_talk_command(t, "RCPT TO:<%s>", to);
	if (code == 250)
		code = smtp_talk_command(t, "DATA");
	if (code != 354)
		return code;
	stuff_dots(&stuffed, message);
	text_add(&stuffed, ".\r\n");
	dial_write(t->dial, text_span(&stuffed));
	text_free(&stuffed);
	return smtp_talk_reply(t);
}
