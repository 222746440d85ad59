/*
 * What the Python services of a relay left beside the accounts, for taking it over: device
 * tokens in ADDRESS/metadata.json, notifications in pending_notifications/. Only read;
 * blocks: for workers. What is damaged is passed over.
 */
#ifndef CHATMAILD_PYTHON_FILES_H
#define CHATMAILD_PYTHON_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/span.h"

#define PYTHON_METADATA_MAX (1024 * 1024) /* bytes of a file; a larger one is damaged */

/* A device token and its time, or a notification and its start; seconds. */
struct python_item {
	struct python_item *next;
	int64_t when;
	const char *token; /* behind address, in the same allocation */
	char address[];
};

/* In the order they were found. All zero: none. */
struct python_items {
	struct python_item *first, *last;
	size_t n;
};

/*
 * Append the tokens of one account below the open mailboxes directory that are still
 * valid at now, in their order. The old form, a list without times, counts as sent now.
 * False if the file is there but cannot be read.
 */
bool python_read_tokens(
    int dirfd, const char *address, int64_t now, struct python_items *items);

/*
 * Append the notification in file name of the open directory, unless its deadline of
 * PUSH_DEADLINE_SECONDS has passed at now. False if it is none.
 */
bool python_read_push(
    int dirfd, const char *name, int64_t now, struct python_items *items);

/* The same for the text of such a file. */
bool python_parse_tokens(
    struct span text, const char *address, int64_t now, struct python_items *items);
bool python_parse_push(struct span text, int64_t now, struct python_items *items);

void python_items_free(struct python_items *items);

#endif
