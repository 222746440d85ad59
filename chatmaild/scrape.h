/*
 * The page /metrics answers: every service's own table, what all listeners count, and
 * what the process weighs. docs/metrics.md names them all.
 */
#ifndef CHATMAILD_SCRAPE_H
#define CHATMAILD_SCRAPE_H

#include <event2/buffer.h>

#include "chatmaild/daemon.h"

/* Append the whole page to out. */
void scrape_write(
    const struct daemon *d, struct evbuffer *out, enum metric_format format);

#endif
