/*
 * The texts of chatmail.ini -> values, and what is wrong with them. Pure. The integer,
 * decimal and size forms are those of the Python relay, whose files must keep working.
 */
#ifndef CHATMAILD_CONFIG_VALUE_H
#define CHATMAILD_CONFIG_VALUE_H

#include <stdint.h>

#include "proto/span.h"

/* "-1_000", " 010 " (ten). False if it is none. What is too large becomes INT64_MAX, as
 * which it is out of every option's range. */
bool config_parse_integer(struct span text, int64_t *value);

/* "500M", "2 G", "100MB", "256": MiB. */
bool config_parse_size(struct span text, int64_t *value);

/* "5", "-1.5", "1e3". */
bool config_parse_decimal(struct span text, double *value);

/* "HH:MM": minutes of a day, below 1440. */
bool config_parse_time(const char *text, int *minutes);

bool config_is_ipv4(const char *text);

/* How text goes wrong first: an offset and why, a literal; or NULL if it is a fine
 * file. */
const char *config_check_bytes(struct span text, size_t *at);

/* NULL, or what is wrong with the value and what to write instead: a literal. */
const char *config_check_domain(const char *value);
const char *config_check_path(const char *value);
const char *config_check_cert_and_key(const char *value);
const char *config_check_user(const char *value);
const char *config_check_https(const char *value);
const char *config_check_time(const char *value);
const char *config_check_registration(const char *value);

#endif
