/* The files as chatmail's Python services wrote them. */
#include "chatmaild/python_files.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chatmaild/push_queue.h"
#include "chatmaild/tokens.h"
#include "proto/address.h"

#define PUSH_FILE_MAX (ADDRESS_MAX + TOKEN_MAX + 64) /* bytes: address, time, token */
#define START_DIGITS  12

static void append(
    struct python_items *items, struct span address, struct span token, int64_t when)
{
	struct python_item *item = malloc(sizeof(*item) + address.len + token.len + 2);
	char *text;

	if (!item)
		abort();
	item->next = NULL;
	item->when = when;
	memcpy(item->address, address.data, address.len);
	item->address[address.len] = '\0';
	text = item->address + address.len + 1;
	memcpy(text, token.data, token.len);
	text[token.len] = '\0';
	item->token = text;
	if (items->last)
		items->last->next = item;
	else
		items->first = item;
	items->last = item;
	items->n++;
}

void python_items_free(struct python_items *items)
{
	while (items->first) {
		struct python_item *item = items->first;

		items->first = item->next;
		free(item);
	}
	*items = (struct python_items){ .n = 0 };
}

/* All of a regular file of at most max bytes, or NULL. Takes fd, which may be -1. */
static char *read_file(int fd, size_t max, size_t *len)
{
	char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size <= max) {
		text = malloc((size_t)st.st_size + 1);
		if (!text)
			abort();
		n = read(fd, text, (size_t)st.st_size);
		if (n == st.st_size) {
			*len = (size_t)n;
		} else {
			free(text);
			text = NULL;
		}
	}
	close(fd);
	return text;
}

#define OPEN_FILE (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* -1 if there is none. */
static int open_metadata(int dirfd, const char *address)
{
	int box = openat(dirfd, address, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = box < 0 ? -1 : openat(box, "metadata.json", OPEN_FILE);

	if (box >= 0)
		close(box);
	return fd;
}

static void append_token(struct python_items *items, const char *address,
    struct span token, int64_t when, int64_t now)
{
	if (token_is_valid(token) && token_is_current(when, now))
		append(items, span_of(address), token, when);
}

/* {"TOKEN": SECONDS, ...}, or the old ["TOKEN", ...]; absent is none. */
static bool read_member(
    const json_t *tokens, const char *address, int64_t now, struct python_items *items)
{
	const json_t *value;
	const char *key;
	size_t i;

	if (json_is_object(tokens)) {
		json_object_foreach((json_t *)tokens, key, value)
		{
			append_token(items, address, span_of(key),
			    json_integer_value(value), now);
		}
	} else if (json_is_array(tokens)) {
		json_array_foreach(tokens, i, value)
		{
			if (json_is_string(value))
				append_token(items, address,
				    span_of(json_string_value(value)), now, now);
		}
	}
	return !tokens || json_is_object(tokens) || json_is_array(tokens);
}

bool python_parse_tokens(
    struct span text, const char *address, int64_t now, struct python_items *items)
{
	json_t *json = json_loadb(text.data, text.len, 0, NULL);
	bool good =
	    json_is_object(json) &&
	    read_member(json_object_get(json, "devicetoken"), address, now, items);

	json_decref(json);
	return good;
}

bool python_read_tokens(
    int dirfd, const char *address, int64_t now, struct python_items *items)
{
	int fd = open_metadata(dirfd, address);
	size_t len = 0;
	char *text;
	bool good;

	if (fd < 0)
		return true;
	text = read_file(fd, PYTHON_METADATA_MAX, &len);
	good = text && python_parse_tokens(span_make(text, len), address, now, items);
	free(text);
	return good;
}

static bool parse_start(struct span text, int64_t *start)
{
	*start = 0;
	if (text.len == 0 || text.len > START_DIGITS)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		*start = *start * 10 + (text.data[i] - '0');
	}
	return true;
}

bool python_parse_push(struct span text, int64_t now, struct python_items *items)
{
	struct span token = text, address, number;
	int64_t start;

	/* The token is all behind the second LF. */
	if (!span_cut(&token, '\n', &address) || !span_cut(&token, '\n', &number) ||
	    !token.data || !address_is_path(address) || !parse_start(number, &start) ||
	    !token_is_valid(token))
		return false;
	if (start > now)
		start = now;
	if (start >= now - PUSH_DEADLINE_SECONDS)
		append(items, address, token, start);
	return true;
}

bool python_read_push(
    int dirfd, const char *name, int64_t now, struct python_items *items)
{
	size_t len = 0;
	char *text = read_file(openat(dirfd, name, OPEN_FILE), PUSH_FILE_MAX, &len);
	bool good = text && python_parse_push(span_make(text, len), now, items);

	free(text);
	return good;
}
