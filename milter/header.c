/*
 * Header blocks: splitting, and values by GMime beside our own reading.
 */
#include "milter/header.h"

#include <gmime/gmime.h>
#include <pthread.h>
#include <stdlib.h>

#include "milter/strict.h"

/* GMime keeps its tables in globals of its own and must be told once. */
static void gmime_ready(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, g_mime_init);
}

/* Take one CRLF-ended line. Returns NULL, or why it is none. */
static const char *cut_line(struct span *rest, struct span *line)
{
	const char *lf = memchr(rest->data, '\n', rest->len);
	size_t len;

	if (!lf)
		return "header: last line has no end";
	len = (size_t)(lf - rest->data);
	if (len == 0 || lf[-1] != '\r')
		return "header: bare LF";
	*line = span_make(rest->data, len - 1);
	*rest = span_skip(*rest, len + 1);
	if (line->len && memchr(line->data, '\r', line->len))
		return "header: bare CR";
	if (line->len && memchr(line->data, '\0', line->len))
		return "header: NUL";
	return NULL;
}

/* RFC 5322 section 2.2: a name is printable ASCII without the colon. */
static const char *parse_field(struct header_field *f, struct span line)
{
	size_t n = 0;

	while (n < line.len && line.data[n] > ' ' && line.data[n] < 0x7f &&
	       line.data[n] != ':')
		n++;
	if (n == 0 || n == line.len || line.data[n] != ':')
		return "header: neither field nor continuation";
	f->name = span_make(line.data, n);
	f->value = span_skip(line, n + 1);
	return NULL;
}

static const char *extend_field(struct header *h, struct span line)
{
	struct span *value;

	if (h->nfields == 0)
		return "header: begins with a continuation";
	if (span_trim(line).len == 0)
		return "header: blank continuation";
	value = &h->field[h->nfields - 1].value;
	value->len = (size_t)(line.data + line.len - value->data);
	return NULL;
}

static const char *add_line(struct header *h, struct span line)
{
	if (line.data[0] == ' ' || line.data[0] == '\t')
		return extend_field(h, line);
	if (h->nfields == HEADER_FIELDS_MAX)
		return "header: too many fields";
	/* Grows at 0, 16, 32, 64, ... fields. */
	if (h->nfields == 0 ||
	    (h->nfields >= 16 && (h->nfields & (h->nfields - 1)) == 0)) {
		size_t room = h->nfields ? 2 * h->nfields : 16;

		h->field = realloc(h->field, room * sizeof(*h->field));
		if (!h->field)
			abort();
	}
	return parse_field(&h->field[h->nfields++], line);
}

const char *header_parse(struct header *h, struct span block)
{
	const char *why = NULL;
	struct span line;

	*h = (struct header){ 0 };
	while (!why && block.len) {
		why = cut_line(&block, &line);
		if (why)
			break;
		if (line.len)
			why = add_line(h, line);
		else if (block.len)
			why = "header: text behind the blank line";
	}
	if (!why && h->nfields == 0)
		why = "header: no field";
	if (why)
		header_deinit(h);
	return why;
}

void header_deinit(struct header *h)
{
	free(h->field);
	*h = (struct header){ 0 };
}

struct span header_get(const struct header *h, const char *name, size_t n)
{
	for (size_t i = 0; i < h->nfields; i++)
		if (span_is_nocase(h->field[i].name, name) && n-- == 0)
			return h->field[i].value;
	return span_make(NULL, 0);
}

size_t header_count(const struct header *h, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->nfields; i++)
		n += span_is_nocase(h->field[i].name, name);
	return n;
}

/* Without line ends and blanks around it, NUL-terminated. False if it does not fit. */
static bool unfold(struct span value, char *buf, size_t size, struct span *text)
{
	size_t n = 0;

	value = span_trim(value);
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] == '\r' || value.data[i] == '\n')
			continue;
		if (n + 1 >= size)
			return false;
		buf[n++] = value.data[i];
	}
	buf[n] = '\0';
	*text = span_make(buf, n);
	return true;
}

static bool gmime_agrees(const struct content_type *ct, const char *text)
{
	GMimeContentType *theirs;
	const char *type, *subtype, *boundary;
	bool same;

	gmime_ready();
	theirs = g_mime_content_type_parse(NULL, text);
	if (!theirs)
		return false;
	type = g_mime_content_type_get_media_type(theirs);
	subtype = g_mime_content_type_get_media_subtype(theirs);
	boundary = g_mime_content_type_get_parameter(theirs, "boundary");
	same = type && subtype && strcasecmp(type, ct->type) == 0 &&
	       strcasecmp(subtype, ct->subtype) == 0 &&
	       strcmp(boundary ? boundary : "", ct->boundary) == 0;
	g_object_unref(theirs);
	return same;
}

bool content_type_parse(struct content_type *ct, struct span value)
{
	static const struct content_type plain = { .type = "text", .subtype = "plain" };
	char buf[HEADER_TYPE_MAX];
	struct span text;

	if (!value.data || span_trim(value).len == 0) {
		*ct = plain;
		return true;
	}
	if (unfold(value, buf, sizeof(buf), &text) && strict_content_type(ct, text) &&
	    (strcmp(ct->type, "multipart") != 0 || gmime_agrees(ct, buf)))
		return true;
	*ct = plain;
	return false;
}

bool content_type_is(
    const struct content_type *ct, const char *type, const char *subtype)
{
	return strcmp(ct->type, type) == 0 && strcmp(ct->subtype, subtype) == 0;
}

/* GMime finds one mailbox in text, and it is this one. */
static bool gmime_finds(struct span address, const char *text)
{
	InternetAddressList *list = internet_address_list_parse(NULL, text);
	bool same = false;

	if (!list)
		return false;
	if (internet_address_list_length(list) == 1) {
		InternetAddress *one = internet_address_list_get_address(list, 0);

		if (INTERNET_ADDRESS_IS_MAILBOX(one)) {
			InternetAddressMailbox *box = INTERNET_ADDRESS_MAILBOX(one);
			const char *addr = internet_address_mailbox_get_addr(box);

			same = addr && span_is(address, addr);
			if (!same) /* it turns a punycode domain into UTF-8, and back */
				addr = internet_address_mailbox_get_idn_addr(box);
			same = same || (addr && span_is(address, addr));
		}
	}
	g_object_unref(list);
	return same;
}

const char *header_from(const struct header *h, char *address, size_t size)
{
	char buf[HEADER_ADDRESS_MAX + 1];
	struct span value = header_get(h, "From", 0);
	struct span text, mailbox;
	const char *why;

	if (header_count(h, "From") > 1)
		return "more than one From field";
	if (!value.data || span_trim(value).len == 0)
		return "";
	if (!unfold(value, buf, sizeof(buf), &text))
		return "too long";
	why = strict_mailbox(&mailbox, text);
	if (why)
		return why;
	gmime_ready();
	if (!gmime_finds(mailbox, buf))
		return "not one mailbox";
	if (mailbox.len >= size)
		return "too long";
	memcpy(address, mailbox.data, mailbox.len);
	address[mailbox.len] = '\0';
	return NULL;
}

void header_decode(struct span value, char *buf, size_t size)
{
	char raw[HEADER_TEXT_MAX + 1];
	struct span text;
	char *decoded;

	buf[0] = '\0';
	if (!value.data || value.len > HEADER_TEXT_MAX ||
	    !unfold(value, raw, sizeof(raw), &text))
		return;
	gmime_ready();
	decoded = g_mime_utils_header_decode_text(NULL, raw);
	if (decoded)
		g_strlcpy(buf, decoded, size);
	g_free(decoded);
}
